"""The shop's alarms inside ministack: seeded with the state and the history that the life's metrics give them."""

import hashlib
import importlib
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np

from opslib.sandbox import alarm_rules
from opslib.sandbox.alarm_rules import Change
from opslib.sandbox.metrics_reading import statistic
from opslib.sandbox.metrics_store import MetricKey, Series
from opslib.sandbox.services import HOME, Services
from opslib.sandbox.state_files import ACCOUNT

HISTORY_SECONDS = 26 * 3600  # the hours of which the life knows every minute
CREATED = 1_782_864_000  # 2026-07-01, when the shop's alarms were made
_OPERATORS = {
    ">": "GreaterThanThreshold", ">=": "GreaterThanOrEqualToThreshold", "<": "LessThanThreshold", "<=": "LessThanOrEqualToThreshold",
}  # fmt: skip
_SIMPLE = {"Average", "Sum", "Minimum", "Maximum", "SampleCount"}


class ShopAlarms:
    """Puts the alarms in, and makes ministack decide every alarm by our metrics and CloudWatch's rules."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
        self._scope: Any = importlib.import_module("ministack.core.responses").request_scope
        self._theirs = self._cloudwatch._evaluate_alarm
        self._life_end = 0

    def install(self, now: float) -> None:
        """Make ministack ask us, and put in the shop's alarms where their metrics exist; actions are not fired for the past."""
        self._cloudwatch._evaluate_alarm, self._life_end = self._evaluate, int(now)
        history: dict[str, list[tuple[str, str, Change]]] = {}
        made: dict[str, list[dict[str, Any]]] = {}
        for region, alarm in _configured():
            series = self._series(alarm, region)
            if series is None:
                continue
            since = int(now) - HISTORY_SECONDS + alarm["Period"] * alarm["EvaluationPeriods"]
            end = (
                now
                if _may_breach(series, alarm, int(now) - HISTORY_SECONDS)
                else since + 2 * alarm["Period"] + _lag(alarm)
            )
            points = _points(series, alarm, int(now) - HISTORY_SECONDS, int(end))
            for number, change in enumerate(alarm_rules.changes(alarm, points, start=since, end=end, lag=_lag(alarm))):
                alarm_rules.apply(alarm, change)
                if number:  # the first only says in what state the history begins
                    history.setdefault(region, []).append((alarm["AlarmName"], "MetricAlarm", change))
            made.setdefault(region, []).append(alarm)
        for region, alarms in made.items():
            self._put(region, alarms, history.get(region, []))

    def _put(self, region: str, alarms: list[dict[str, Any]], history: list[tuple[str, str, Change]]) -> None:
        with self._scope(ACCOUNT, region):
            for alarm in alarms:
                self._cloudwatch._alarms[alarm["AlarmName"]] = alarm
            severe = _severe(region, alarms)
            changes = _severe_changes(alarms, history)
            for change in changes:
                alarm_rules.apply(severe, change)
            self._cloudwatch._composite_alarms[severe["AlarmName"]] = severe
            history = sorted(
                [*history, *((severe["AlarmName"], "CompositeAlarm", change) for change in changes)],
                key=lambda item: item[2].at,
            )
            self._cloudwatch._history_entries().extend(alarm_rules.history_item(*item) for item in history)

    def evaluate_all(self) -> None:
        """Decide every alarm anew, after the clock was stepped."""
        for region in list(self._services.regions()):
            with self._scope(ACCOUNT, region):
                self._cloudwatch._evaluate_all_alarms()

    def _evaluate(self, alarm: dict[str, Any]) -> None:
        """Decide an alarm whose metric was put since the life ended; what is only the life's was decided at the start."""
        region = self._cloudwatch.get_region()
        series = self._series(alarm, region)
        if series is None or alarm.get("ComparisonOperator") not in _OPERATORS.values():
            self._theirs(alarm)  # ministack's own metrics, such as those of Lambda and of metric filters
            return
        if not series.points and not alarm["StateReason"].startswith("Unchecked"):
            return
        now, period = self._services.region(region).state.clock.now().timestamp(), alarm["Period"]
        last = int(now) // period * period  # the running period counts too
        if not series.points:
            last = self._life_end // period * period - period
        points = _points(series, alarm, last - alarm["EvaluationPeriods"] * period, last + period)
        for change in alarm_rules.changes(alarm, points, start=last, end=last + period, lag=0):
            change = Change(now, change.before, change.after, change.reason, change.data)
            alarm_rules.apply(alarm, change)
            self._cloudwatch._history_entries().append(
                alarm_rules.history_item(alarm["AlarmName"], "MetricAlarm", change)
            )
            self._cloudwatch._dispatch_alarm_actions(alarm, change.before, change.after, change.reason)
            self._cloudwatch._evaluate_parent_alarms(alarm)

    def _series(self, alarm: dict[str, Any], region: str) -> Series | None:
        dimensions = tuple(sorted((each["Name"], each["Value"]) for each in alarm.get("Dimensions") or ()))
        key: MetricKey = (alarm.get("Namespace") or "", alarm.get("MetricName") or "", dimensions)
        return self._services.region(region).metrics.get(key)


def _configured() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield region and alarm, in the shape of DescribeAlarms, quiet to begin with."""
    from opslib.sandbox.life.shop import SERVICES, shop

    places = shop().raw["dimensions"]
    given = tomllib.loads(resources.files("opslib.sandbox").joinpath("shop_alarms.toml").read_text(encoding="utf-8"))
    for row in given["alarm"]:
        for service in SERVICES if row.get("each") else [""]:
            place = {"ClusterName": "shop", "ServiceName": service} if service else places.get(row.get("dim", ""), {})
            yield row.get("region", HOME), _alarm(row, row["name"].replace("{each}", service), place)


def _alarm(row: dict[str, Any], name: str, place: dict[str, str]) -> dict[str, Any]:
    region = row.get("region", HOME)
    kind = "Statistic" if row["stat"] in _SIMPLE else "ExtendedStatistic"
    return _quiet(name, region, row["say"], row["severity"], row["runbook"]) | {
        "MetricName": row["metric"], "Namespace": row["ns"], kind: row["stat"], "Period": row.get("period", 60),
        "Dimensions": [{"Name": key, "Value": value} for key, value in place.items()],
        "EvaluationPeriods": row["n"], "DatapointsToAlarm": row["m"], "Threshold": row["threshold"],
        "ComparisonOperator": _OPERATORS[row["op"]], "TreatMissingData": row.get("missing", "missing"),
    }  # fmt: skip


def _quiet(name: str, region: str, say: str, severity: str, runbook: str) -> dict[str, Any]:
    topic = f"arn:aws:sns:{region}:{ACCOUNT}:{'ops-critical' if severity == 'critical' else 'ops-alerts'}"
    return {
        "AlarmName": name, "AlarmArn": f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{name}",
        "AlarmDescription": f"{say} severity={severity} runbook={runbook}", "ActionsEnabled": True,
        "AlarmActions": [topic], "OKActions": [topic], "InsufficientDataActions": [],
        "StateValue": "INSUFFICIENT_DATA", "StateReason": "Unchecked: Initial alarm creation", "StateUpdatedTimestamp": CREATED,
        "StateTransitionedTimestamp": CREATED, "AlarmConfigurationUpdatedTimestamp": CREATED,
    }  # fmt: skip


def _severe(region: str, alarms: list[dict[str, Any]]) -> dict[str, Any]:
    text = resources.files("opslib.sandbox").joinpath("shop_alarms.toml").read_text(encoding="utf-8")
    about = tomllib.loads(text)["composite"]
    rule = " OR ".join(f'ALARM("{alarm["AlarmName"]}")' for alarm in alarms if _is_critical(alarm))
    quiet = _quiet(about["name"], region, about["say"], "critical", about["runbook"])
    reason = f"{quiet['AlarmArn']} was created and its alarm rule evaluates to OK"
    return quiet | {"AlarmRule": rule, "StateValue": "OK", "StateReason": reason}


def _severe_changes(alarms: list[dict[str, Any]], history: list[tuple[str, str, Change]]) -> list[Change]:
    """Return how the composite alarm changed as the critical ones did."""
    arns = {alarm["AlarmName"]: alarm["AlarmArn"] for alarm in alarms if _is_critical(alarm)}
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
            data = {
                "triggeringAlarms": [
                    {"arn": arns[name], "state": {"value": change.after, "timestamp": alarm_rules.stamp(change.at)}}
                ]
            }
            found.append(Change(change.at, *states, reason, data))
    return found


def _is_critical(alarm: dict[str, Any]) -> bool:
    return "severity=critical" in alarm["AlarmDescription"]


def _points(series: Series, alarm: dict[str, Any], start: int, end: int) -> dict[int, float]:
    name, period = alarm.get("ExtendedStatistic") or alarm["Statistic"], alarm["Period"]
    begin = start // period * period
    values = (
        (bucket.timestamp, statistic(series, bucket, name)) for bucket in series.buckets(begin, end, period, begin)
    )
    return {at: value for at, value in values if value is not None}


def _may_breach(series: Series, alarm: dict[str, Any], start: int) -> bool:
    """Say whether it is worth looking at every period: not where the extreme of all entries keeps the threshold."""
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


def _lag(alarm: dict[str, Any]) -> float:
    """Return how long after a period's end CloudWatch looks at it: its own for each alarm, the same every time."""
    return 10 + hashlib.md5(alarm["AlarmName"].encode()).digest()[0] % 40
