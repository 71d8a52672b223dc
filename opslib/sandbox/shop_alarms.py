"""The shop's alarms inside ministack: seeded with the state and the history that the life's metrics give them.

shop_alarms.json holds what the product's templates make for the sandbox; `python -m tests.alerting.shop_alarms` writes it.
"""

import hashlib
import importlib
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np

from opslib.sandbox import alarm_rules
from opslib.sandbox.alarm_rules import Change
from opslib.sandbox.alarm_watch import AlarmWatch
from opslib.sandbox.metric_filters import counted
from opslib.sandbox.services import Services
from opslib.sandbox.state_files import ACCOUNT

HISTORY_SECONDS = 26 * 3600  # the hours of which the life knows every minute
CREATED = 1_782_864_000  # 2026-07-01, when the shop's alarms were made
METRIC, COMPOSITE, FILTER = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::Logs::MetricFilter"
RULE = "AWS::Events::Rule"
Told = tuple[str, str, Change]  # name, kind, what happened


class ShopAlarms:
    """Puts the alarms, metric filters and rules for events of a shop in, with what they have lived through."""

    def __init__(self, services: Services) -> None:
        self._services, self._watch = services, AlarmWatch(services)
        self._cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
        self._scope: Any = importlib.import_module("ministack.core.responses").request_scope

    def install(self, now: float) -> None:
        """Put them in; actions are not fired for the past."""
        filters = [row["properties"] for row in configured(FILTER)]
        if not {each["LogGroupName"] for each in filters} <= set(self._services.home.logs.groups):
            return  # another account than the shop's
        for number, each in enumerate(filters):
            self._count_lines(self._keep_filter(f"jobs-failed-{number}", each))
        history: dict[str, list[Told]] = {}
        made: dict[str, list[dict[str, Any]]] = {}
        for row in configured(METRIC):
            alarm, region = quiet(row), row["region"]
            history.setdefault(region, []).extend(self._past(alarm, region, int(now)))
            made.setdefault(region, []).append(alarm)
        for region, alarms in made.items():
            self._put(region, alarms, history[region])
        for row in configured(RULE):
            with self._scope(ACCOUNT, row["region"]):
                _keep_rule(row["properties"])

    def _past(self, alarm: dict[str, Any], region: str, now: int) -> Iterator[Told]:
        """Let an alarm live through the life's hours, and yield how it changed."""
        begin, period, lag = now - HISTORY_SECONDS, alarm_rules.period(alarm), _lag(alarm)
        since = begin + period * alarm["EvaluationPeriods"]
        worth = self._may_breach(alarm, region, begin)
        end = now if worth else since + 2 * period + int(lag)
        points = self._watch.points(alarm, region, begin // period * period, end)
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

    def _may_breach(self, alarm: dict[str, Any], region: str, start: int) -> bool:
        """Say whether it is worth looking at every period: not where the extreme of all entries keeps the threshold."""
        series = self._watch.series(alarm, region)
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

    def _count_lines(self, kept: dict[str, Any]) -> None:
        """Put the metric that a metric filter has made of the life's lines."""
        group = self._services.home.logs.groups[kept["logGroupName"]]
        events = list(zip(group.timestamps, group.messages, strict=True))
        for (key, unit), points in counted(kept, events).items():
            self._services.home.metrics.put(key, unit, points)

    def _keep_filter(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Put a metric filter where DescribeMetricFilters finds it, and return it."""
        told = {key[0].lower() + key[1:]: given[key] for key in ("LogGroupName", "FilterPattern")}
        about = [
            {key[0].lower() + key[1:]: value for key, value in each.items()} for each in given["MetricTransformations"]
        ]
        kept = {"filterName": name, **told, "metricTransformations": about, "creationTime": CREATED * 1000}
        with self._scope(ACCOUNT, self._services.home.state.name):
            importlib.import_module("ministack.services.cloudwatch_logs")._metric_filters[
                given["LogGroupName"], name
            ] = kept
        return kept


def _keep_rule(given: dict[str, Any]) -> None:
    """Put in a rule for events, without the queue that its targets have in a stack."""
    events: Any = importlib.import_module("ministack.services.eventbridge")
    key = events._rule_key(given["Name"], "default")
    told = {"State": given["State"], "EventPattern": json.dumps(given["EventPattern"]), "CreationTime": CREATED}
    more = dict.fromkeys(("Description", "ScheduleExpression", "RoleArn"), "")
    events._rules[key] = {"Name": given["Name"], "Arn": events._rule_arn(given["Name"], "default"), "EventBusName": "default", **more, **told}  # fmt: skip
    events._targets[key] = given["Targets"]


def rule_takes_place(name: str, given: dict[str, Any]) -> None:
    """Let a rule that a stack has made take the place of the life's own for the same events."""
    events: Any = importlib.import_module("ministack.services.eventbridge")
    for key, rule in list(events._rules.items()):
        alike = json.loads(rule.get("EventPattern") or "{}") == given.get("EventPattern")
        if alike and rule.get("CreationTime") == CREATED and rule["Name"] != name:
            events._rules.pop(key)
            events._targets.pop(key, None)


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


def _lag(alarm: dict[str, Any]) -> float:
    """Return how long after a period's end CloudWatch looks at it: its own for each alarm, the same every time."""
    return 10 + hashlib.md5(alarm["AlarmName"].encode()).digest()[0] % 40
