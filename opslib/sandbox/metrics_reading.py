"""CloudWatch: what statistic over which periods; shared by both ways to read metric data."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from opslib.sandbox.metrics_store import Bucket, MetricKey, Series
from opslib.sandbox.service_errors import NotModelled, ServiceError

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
HOUR = 3600
DAY = 86_400
# Data older than this many seconds is kept at no finer a period.
TIERS = ((63 * DAY, 3600), (15 * DAY, 300), (3 * HOUR, 60))
SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(frozen=True)
class Span:
    """A stretch of time in epoch seconds, the end exclusive, cut into periods from `anchor` on."""

    start: int
    end: int
    period: int
    anchor: int


def metric_key(namespace: str, name: str, dimensions: list[dict[str, str]] | None) -> MetricKey:
    """Return the identity of a metric; the order of dimensions does not matter."""
    return namespace, name, tuple(sorted((each["Name"], each["Value"]) for each in dimensions or ()))


def check_period(period: int, service_code: str = "InvalidParameterValue") -> None:
    """Refuse a period that CloudWatch does not know."""
    if period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60):
        raise ServiceError(service_code, "Period must be 1, 5, 10, 20, 30 or a multiple of 60")


def check_statistic(name: str, operation_name: str) -> None:
    """Refuse a statistic that nobody models."""
    if name not in SIMPLE:
        try:
            percentile_level(name)
        except ValueError as error:
            raise NotModelled("cloudwatch", operation_name, str(error)) from error


def span(start: float, end: float, period: int, now: float, *, aligned: bool) -> Span:
    """Return the periods of a question, its start rounded down as CloudWatch does by the age of the data."""
    age = now - start
    grain = next((tier for limit, tier in TIERS[:2] if age > limit), 60)
    if period < 60 and age <= 3 * HOUR:
        grain = 1
    begin = int(start) // grain * grain
    return Span(begin, int(end), period, begin // period * period if aligned else begin)


def is_kept(asked: Span, now: float) -> bool:
    """Say whether data that old is still kept in periods that short."""
    age = now - asked.start
    return all(age <= limit or asked.period % tier == 0 for limit, tier in TIERS)


def statistic(series: Series, bucket: Bucket, name: str) -> float | None:
    """Return one statistic of one period; None when there is none, ValueError when nobody models it."""
    if bucket.count == 0 and name not in ("SampleCount", "Sum"):
        return None
    match name:
        case "SampleCount":
            return bucket.count
        case "Sum":
            return bucket.sum
        case "Average":
            return bucket.sum / bucket.count
        case "Minimum":
            return bucket.min
        case "Maximum":
            return bucket.max
    return series.percentile(bucket, percentile_level(name))


def statistics(series: Series, asked: Span, name: str) -> dict[int, float]:
    """Return one statistic of each period that has it, by time; of a seeded series alone without a loop."""
    stretch = (asked.start, asked.end, asked.period, asked.anchor)
    if name not in SIMPLE or series.put_in(asked.start, asked.end):
        pairs = ((bucket.timestamp, statistic(series, bucket, name)) for bucket in series.buckets(*stretch))
        return {at: value for at, value in pairs if value is not None}
    times, count, total, least, most, *_ = series.columns(*stretch)
    known = np.full(len(times), True) if name in ("SampleCount", "Sum") else count > 0
    values = {"SampleCount": count, "Sum": total, "Average": total, "Minimum": least, "Maximum": most}[name][known]
    told = values / count[known] if name == "Average" else values
    return dict(zip(times[known].tolist(), told.tolist(), strict=True))


def percentile_level(name: str) -> float:
    """Return the level of `p99` and the like as a number from 0 to 1."""
    found = _PERCENTILE.fullmatch(name)
    if not found:
        raise ValueError(f"the statistic {name!r} is not modelled")
    return float(found[1]) / 100


def epoch(moment: Any) -> float:
    """Return a time of a request as epoch seconds, whatever protocol it came by."""
    return float(moment) if isinstance(moment, int | float) else float(moment.timestamp())
