"""CloudWatch metrics: put, listed and read back."""

import hashlib
from typing import Any

from opslib.sandbox.clock import Clock
from opslib.sandbox.metrics_reading import (
    DAY,
    HOUR,
    Span,
    check_period,
    check_statistic,
    epoch,
    is_kept,
    metric_key,
    span,
    statistic,
)
from opslib.sandbox.metrics_store import MetricKey, MetricsStore, Point
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
MAX_STATISTICS_POINTS = 1440
LISTED = 500


class MetricsApi:
    """PutMetricData, ListMetrics and GetMetricStatistics; GetMetricData is in apis/metric_data."""

    def __init__(self, store: MetricsStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @operation(
        "cloudwatch",
        "PutMetricData",
        modelled="Value, StatisticValues, Values and Counts; two weeks back, two hours ahead",
        source=API,
        difference="seen at once; high resolution is kept for ever; entities are ignored",
        tested=("test_metric_values_sets_and_counts",),
    )
    def put_metric_data(self, p: Params) -> None:
        """Keep some metric data."""
        if p["Namespace"].startswith("AWS/"):
            raise _wrong("The value AWS/ for parameter Namespace is invalid.")
        data = p.get("MetricData") or []
        if len(data) > 1000:
            raise _wrong("The collection MetricData must not have a size greater than 1000.")
        entries = [(metric_key(p["Namespace"], d["MetricName"], d.get("Dimensions")), d, self._points(d)) for d in data]
        for key, datum, points in entries:
            self._store.put(key, datum.get("Unit") or "None", points)

    def _points(self, datum: Params) -> list[Point]:
        now = self._clock.now().timestamp()
        at = epoch(datum["Timestamp"]) if datum.get("Timestamp") else now
        if not now - 14 * DAY <= at <= now + 2 * HOUR:
            raise _wrong("Timestamp must specify a time within two weeks before and two hours after the current time.")
        kinds = [kind for kind in ("Value", "StatisticValues", "Values") if datum.get(kind) is not None]
        if len(kinds) != 1:
            raise ServiceError(
                "InvalidParameterCombination", "Exactly one of Value, Values and StatisticValues must be given."
            )
        if kinds == ["StatisticValues"]:
            given = datum["StatisticValues"]
            return [Point(int(at), *(float(given[key]) for key in ("SampleCount", "Sum", "Minimum", "Maximum")))]
        values = datum["Values"] if kinds == ["Values"] else [datum["Value"]]
        counts = datum.get("Counts") or [1.0] * len(values)
        if len(counts) != len(values):
            raise _wrong("The parameters Values and Counts must have the same size.")
        return [Point(int(at), float(n), float(v * n), float(v), float(v)) for v, n in zip(values, counts, strict=True)]

    @operation(
        "cloudwatch",
        "ListMetrics",
        modelled="namespace, name, dimensions, RecentlyActive, pages of 500",
        source=API,
        difference="no linked accounts",
        tested=("test_metrics_are_listed_in_pages",),
    )
    def list_metrics(self, p: Params) -> dict[str, Any]:
        """Answer the metrics with data in the last two weeks."""
        since = self._clock.now().timestamp() - (3 * HOUR if p.get("RecentlyActive") else 14 * DAY)
        found = [key for key in self._store.keys(int(since)) if _wanted(key, p)]
        shown, following = page("metrics", found, p.get("NextToken"), LISTED)
        metrics = [
            {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
            }
            for namespace, name, dimensions in shown
        ]
        return {"Metrics": metrics} | ({"NextToken": following} if following else {})

    @operation(
        "cloudwatch",
        "GetMetricStatistics",
        modelled="statistics or percentiles, 1,440 points; points come in no order",
        source=API,
        difference="percentiles only, no trimmed means; periods begin at StartTime",
        tested=("test_metric_statistics",),
    )
    def get_metric_statistics(self, p: Params) -> dict[str, Any]:
        """Answer several statistics of one metric."""
        now = self._clock.now().timestamp()
        check_period(p["Period"])
        asked = span(epoch(p["StartTime"]), epoch(p["EndTime"]), p["Period"], now, aligned=False)
        _check_statistics(p, asked)
        series = self._store.get(metric_key(p["Namespace"], p["MetricName"], p.get("Dimensions")))
        if series is None or not is_kept(asked, now) or p.get("Unit") not in (None, series.unit):
            return {"Label": p["MetricName"], "Datapoints": []}
        points = []
        with self._store.lock:
            for bucket in series.buckets(asked.start, asked.end, asked.period, asked.anchor):
                point: dict[str, Any] = {"Timestamp": bucket.timestamp, "Unit": series.unit}
                point |= {name: statistic(series, bucket, name) for name in p.get("Statistics") or ()}
                extended = {name: statistic(series, bucket, name) for name in p.get("ExtendedStatistics") or ()}
                points.append(point | ({"ExtendedStatistics": extended} if extended else {}))
        points.sort(key=lambda point: hashlib.md5(str(point["Timestamp"]).encode()).digest())
        return {"Label": p["MetricName"], "Datapoints": points}


def _wanted(key: MetricKey, p: Params) -> bool:
    namespace, name, dimensions = key
    held = dict(dimensions)
    return (
        p.get("Namespace") in (None, namespace)
        and p.get("MetricName") in (None, name)
        and all(
            each["Name"] in held and each.get("Value") in (None, held[each["Name"]])
            for each in p.get("Dimensions") or ()
        )
    )


def _check_statistics(p: Params, asked: Span) -> None:
    if bool(p.get("Statistics")) == bool(p.get("ExtendedStatistics")):
        raise ServiceError("InvalidParameterCombination", "Must specify either Statistics or ExtendedStatistics")
    if asked.start >= asked.end:
        raise _wrong("The parameter StartTime must be less than the parameter EndTime.")
    for name in p.get("ExtendedStatistics") or ():
        check_statistic(name, "GetMetricStatistics")
    points = -(-(asked.end - asked.start) // asked.period)
    if points > MAX_STATISTICS_POINTS:
        message = f"You have requested up to {points:,} datapoints, which exceeds the limit of 1,440. "
        raise ServiceError(
            "InvalidParameterCombination",
            message + "You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
        )


def _wrong(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", message)
