"""The shop's alarms inside ministack: seeded with the state and the history that the life's metrics give them.

shop_alarms.json holds what the product's templates make for the sandbox; `python -m tests.alerting.shop_alarms` writes it.
"""

import fnmatch
import hashlib
import importlib
import json
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import numpy as np

from opslib.sandbox import alarm_rules
from opslib.sandbox.alarm_rules import Change
from opslib.sandbox.apis.metric_data import MetricData
from opslib.sandbox.metrics_reading import metric_key, statistic
from opslib.sandbox.metrics_store import Point, Series
from opslib.sandbox.services import Services
from opslib.sandbox.state_files import ACCOUNT

HISTORY_SECONDS = 26 * 3600  # the hours of which the life knows every minute
CREATED = 1_782_864_000  # 2026-07-01, when the shop's alarms were made
OPERATORS = ("GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold")
METRIC, COMPOSITE, FILTER = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::Logs::MetricFilter"
Told = tuple[str, str, Change]  # name, kind, what happened


class ShopAlarms:
    """Puts the alarms in, and makes ministack decide every alarm by our metrics and CloudWatch's rules."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
        self._scope: Any = importlib.import_module("ministack.core.responses").request_scope
        self._theirs = self._cloudwatch._evaluate_alarm
        self._life_end = 0

    def install(self, now: float) -> None:
        """Make ministack ask us, and put in the alarms of a shop; actions are not fired for the past."""
        self._cloudwatch._evaluate_alarm, self._life_end = self._evaluate, int(now)
        filters = [row["properties"] for row in configured(FILTER)]
        if not {each["LogGroupName"] for each in filters} <= set(self._services.home.logs.groups):
            return  # another account than the shop's
        for number, each in enumerate(filters):
            self._count_lines(each)
            self._keep_filter(f"jobs-failed-{number}", each)
        history: dict[str, list[Told]] = {}
        made: dict[str, list[dict[str, Any]]] = {}
        for row in configured(METRIC):
            alarm, region = quiet(row), row["region"]
            history.setdefault(region, []).extend(self._past(alarm, region, int(now)))
            made.setdefault(region, []).append(alarm)
        for region, alarms in made.items():
            self._put(region, alarms, history[region])

    def _past(self, alarm: dict[str, Any], region: str, now: int) -> Iterator[Told]:
        """Let an alarm live through the life's hours, and yield how it changed."""
        begin, period, lag = now - HISTORY_SECONDS, alarm_rules.period(alarm), _lag(alarm)
        since = begin + period * alarm["EvaluationPeriods"]
        worth = self._may_breach(alarm, region, begin)
        end = now if worth else since + 2 * period + int(lag)
        points = self._points(alarm, region, begin, end)
        for number, change in enumerate(alarm_rules.changes(alarm, points, start=since, end=end, lag=lag)):
            alarm_rules.apply(alarm, change)
            if number:  # the first only says in what state the history begins
                yield alarm["AlarmName"], "MetricAlarm", change

    def _put(self, region: str, alarms: list[dict[str, Any]], history: list[Told]) -> None:
        with self._scope(ACCOUNT, region):
            for alarm in alarms:
                self._cloudwatch._alarms[alarm["AlarmName"]] = alarm
            told = list(history)
            for row in configured(COMPOSITE):
                if row["region"] == region:
                    composite = quiet(row)
                    for change in _composite_changes(composite["AlarmRule"], alarms, history):
                        alarm_rules.apply(composite, change)
                        told.append((composite["AlarmName"], "CompositeAlarm", change))
                    self._cloudwatch._composite_alarms[composite["AlarmName"]] = composite
            told.sort(key=lambda item: item[2].at)
            self._cloudwatch._history_entries().extend(alarm_rules.history_item(*item) for item in told)

    def evaluate_all(self) -> None:
        """Decide every alarm anew, after the clock was stepped."""
        for region in list(self._services.regions()):
            with self._scope(ACCOUNT, region):
                self._cloudwatch._evaluate_all_alarms()

    def _evaluate(self, alarm: dict[str, Any]) -> None:
        """Decide an alarm whose metric was put since the life ended; what is only the life's was decided at the start."""
        region = self._cloudwatch.get_region()
        series = self._series(alarm, region)
        if alarm.get("Metrics"):
            return
        if series is None or alarm.get("ComparisonOperator") not in OPERATORS:
            self._theirs(alarm)  # ministack's own metrics, such as those of Lambda and of metric filters
            return
        if not series.points and not alarm["StateReason"].startswith("Unchecked"):
            return
        now, period = self._services.region(region).state.clock.now().timestamp(), alarm["Period"]
        last = int(now) // period * period  # the running period counts too
        if not series.points:
            last = self._life_end // period * period - period
        points = self._points(alarm, region, last - alarm["EvaluationPeriods"] * period, last + period)
        for change in alarm_rules.changes(alarm, points, start=last, end=last + period, lag=0):
            change = Change(now, change.before, change.after, change.reason, change.data)
            alarm_rules.apply(alarm, change)
            self._cloudwatch._history_entries().append(
                alarm_rules.history_item(alarm["AlarmName"], "MetricAlarm", change)
            )
            self._cloudwatch._dispatch_alarm_actions(alarm, change.before, change.after, change.reason)
            self._cloudwatch._evaluate_parent_alarms(alarm)

    def _series(self, alarm: dict[str, Any], region: str) -> Series | None:
        key = metric_key(alarm.get("Namespace") or "", alarm.get("MetricName") or "", alarm.get("Dimensions"))
        return self._services.region(region).metrics.get(key)

    def _points(self, alarm: dict[str, Any], region: str, start: int, end: int) -> dict[int, float]:
        """Return what an alarm looks at, its metric or its metric math, by start of period."""
        period = alarm_rules.period(alarm)
        begin = start // period * period
        if "Metrics" in alarm:
            asked = {"MetricDataQueries": alarm["Metrics"], "StartTime": begin, "EndTime": end}
            [found] = MetricData(self._services.region(region).state).get_metric_data(asked)["MetricDataResults"]
            return dict(zip(found["Timestamps"], found["Values"], strict=True))
        series, name = self._series(alarm, region), alarm_rules.statistic(alarm)
        if series is None:
            return {}
        values = (
            (bucket.timestamp, statistic(series, bucket, name)) for bucket in series.buckets(begin, end, period, begin)
        )
        return {at: value for at, value in values if value is not None}

    def _may_breach(self, alarm: dict[str, Any], region: str, start: int) -> bool:
        """Say whether it is worth looking at every period: not where the extreme of all entries keeps the threshold."""
        series = self._series(alarm, region)
        if series is None:
            return "Metrics" in alarm  # without any point nothing changes
        seeded = series.seeded
        if seeded is None or series.points:
            return True
        low = int(np.searchsorted(seeded.timestamps, start))
        gap = np.diff(seeded.timestamps[low:]).max(initial=0) > seeded.period[low:].max(initial=0)
        if gap and alarm["TreatMissingData"] != "notBreaching":
            return True
        above = alarm["ComparisonOperator"].startswith("Greater")
        column = seeded.sum if alarm.get("Statistic") == "Sum" else seeded.max if above else seeded.min
        values = column[low:]
        extreme = values.max(initial=-np.inf) if above else values.min(initial=np.inf)
        whole = alarm["Period"] // 60 if alarm.get("Statistic") == "Sum" else 1
        return alarm_rules.breaches(alarm, float(extreme) * whole)

    def _count_lines(self, given: dict[str, Any]) -> None:
        """Put the metric that a metric filter has made of the life's lines."""
        group, matches = self._services.home.logs.groups[given["LogGroupName"]], _matcher(given["FilterPattern"])
        for about in given["MetricTransformations"]:
            key = metric_key(about["MetricNamespace"], about["MetricName"], None)
            counted = [
                (at // 1000, float(about["MetricValue"] if matches(line) else about["DefaultValue"]))
                for at, line in zip(group.timestamps, group.messages, strict=True)
            ]
            points = [Point(at, 1.0, value, value, value) for at, value in counted]
            self._services.home.metrics.put(key, about["Unit"], points)

    def _keep_filter(self, name: str, given: dict[str, Any]) -> None:
        """Put a metric filter where DescribeMetricFilters finds it."""
        told = {key[0].lower() + key[1:]: given[key] for key in ("LogGroupName", "FilterPattern")}
        about = [
            {key[0].lower() + key[1:]: value for key, value in each.items()} for each in given["MetricTransformations"]
        ]
        kept = {"filterName": name, **told, "metricTransformations": about, "creationTime": CREATED * 1000}
        with self._scope(ACCOUNT, self._services.home.state.name):
            importlib.import_module("ministack.services.cloudwatch_logs")._metric_filters[
                given["LogGroupName"], name
            ] = kept


def configured(kind: str) -> list[dict[str, Any]]:
    """Return the rows of one type: region, type and properties as CloudFormation has them."""
    text = resources.files("opslib.sandbox").joinpath("shop_alarms.json").read_text(encoding="utf-8")
    return [row for row in json.loads(text) if row["type"] == kind]


def quiet(row: dict[str, Any]) -> dict[str, Any]:
    """Return an alarm in the shape of DescribeAlarms, as it was before it looked at anything."""
    given = row["properties"]
    arn = f"arn:aws:cloudwatch:{row['region']}:{ACCOUNT}:alarm:{given['AlarmName']}"
    state, reason = "INSUFFICIENT_DATA", "Unchecked: Initial alarm creation"
    if row["type"] == COMPOSITE:
        state, reason = "OK", f"{arn} was created and its alarm rule evaluates to OK"
    threshold = {"Threshold": float(given["Threshold"])} if "Threshold" in given else {}
    return given | threshold | {
        "AlarmArn": arn, "ActionsEnabled": True, "InsufficientDataActions": [], "StateValue": state, "StateReason": reason,
        "StateUpdatedTimestamp": CREATED, "StateTransitionedTimestamp": CREATED, "AlarmConfigurationUpdatedTimestamp": CREATED,
    }  # fmt: skip


def _composite_changes(rule: str, alarms: list[dict[str, Any]], history: list[Told]) -> list[Change]:
    """Return how a composite alarm changed as those did any of which puts it on."""
    arns = {alarm["AlarmName"]: alarm["AlarmArn"] for alarm in alarms if f'ALARM("{alarm["AlarmName"]}")' in rule}
    on: set[str] = set()
    found = []
    for name, _, change in sorted(history, key=lambda item: item[2].at):
        if name not in arns:
            continue
        before = bool(on)
        (on.add if change.after == "ALARM" else on.discard)(name)
        if bool(on) != before:
            moment = alarm_rules.moment_words(change.at)
            reason = f"{arns[name]} transitioned to {change.after} at {moment}"
            states = ("ALARM", "OK") if before else ("OK", "ALARM")
            state = {"value": change.after, "timestamp": alarm_rules.stamp(change.at)}
            data = {"triggeringAlarms": [{"arn": arns[name], "state": state}]}
            found.append(Change(change.at, *states, reason, data))
    return found


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test of lines for a pattern that wants fields of JSON to be texts, `*` in them for anything."""
    wanted = re.findall(r'\$\.(\w+) = "([^"]*)"', pattern)
    firm = [text.rstrip("*") for _, text in wanted]

    def matches(line: str) -> bool:
        if not all(text in line for text in firm):
            return False
        try:
            fields = json.loads(line)
        except ValueError:
            return False
        return all(fnmatch.fnmatchcase(str(fields.get(name, "")), text) for name, text in wanted)

    return matches


def _lag(alarm: dict[str, Any]) -> float:
    """Return how long after a period's end CloudWatch looks at it: its own for each alarm, the same every time."""
    return 10 + hashlib.md5(alarm["AlarmName"].encode()).digest()[0] % 40
