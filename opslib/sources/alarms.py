"""CloudWatch alarms: which there are, in what state and why, and how they changed; us-east-1 beside the own region."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.errors import OpsError
from opslib.sources import regions
from opslib.sources.metric_queries import table

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

ALARMS = {
    "name": "str", "state": "str", "since": "time", "component": "str", "metric": "str", "threshold": "float64", "rule": "str",
    "severity": "str", "runbook": "str", "reason": "str", "enabled": "bool", "region": "str", "watches": "str", "actions": "int64",
    "updated": "time", "acts_on": "str", "ends_on": "str",
}  # fmt: skip
HISTORY = {"at": "time", "name": "str", "before": "str", "after": "str", "reason": "str", "region": "str"}
_KINDS = ["MetricAlarm", "CompositeAlarm"]
_SIGNS = {
    "GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": ">=", "LessThanThreshold": "<", "LessThanOrEqualToThreshold": "<=",
}  # fmt: skip
_OURS = {"Ops/Jobs": "jobs", "Ops/Frontend": "frontend"}  # what alerting's metric filters and builds tell
_NAMED = re.compile(r"\b(severity|runbook)=([\w./-]*\w)")
_UPDATED = re.compile(r"from (\w+) to (\w+)")


def alarms(environment: Environment, *, also: Collection[str] = ()) -> pd.DataFrame:
    """Return every alarm, those in ALARM first, the latest change first (cloudwatch:DescribeAlarms).

    Columns: name, state, component, metric, rule (in words; of a composite alarm its AlarmRule), severity, runbook
    (both from `severity=… runbook=…` of the description, else empty), reason, region, watches (as `watched`) str;
    since, updated (when it was made or last edited) datetime64[ns, UTC]; threshold float64, NaN for a composite one;
    enabled bool (whether its actions are); actions int64 (what it does when it goes on); acts_on, ends_on (names of the
    topics that hear of its beginning and its end, parted by spaces) str. `also` are more regions to ask. attrs: problems
    (list of str, a region that did not answer). Raises SourceError when none did.
    """

    def ask(region: str) -> Iterator[dict[str, Any]]:
        for key, read in (("MetricAlarms", _metric_alarm), ("CompositeAlarms", _composite)):
            kinds = ["MetricAlarm"] if key == "MetricAlarms" else ["CompositeAlarm"]
            for alarm in aws.pages(environment, "cloudwatch", "describe_alarms", key, region=region, AlarmTypes=kinds):
                yield {**_common(alarm), **read(alarm, owners), "region": region or environment.region}

    owners = _owners(environment)
    rows, problems = _everywhere(environment, ask, also)
    rows.sort(key=lambda row: (row["state"] != "ALARM", -row["since"].timestamp(), row["name"]))
    frame = frames.made(rows, ALARMS)
    frame.attrs["problems"] = problems
    return frame


def history(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return how alarms changed their state in a window, oldest first (cloudwatch:DescribeAlarmHistory, kept 30 days).

    Columns: at datetime64[ns, UTC]; name, before, after, reason, region str. attrs and errors as of `alarms`.
    """
    asked = {"HistoryItemType": "StateUpdate", "StartDate": window.start, "EndDate": window.end, "AlarmTypes": _KINDS}

    def ask(region: str) -> Iterator[dict[str, Any]]:
        for item in aws.pages(
            environment, "cloudwatch", "describe_alarm_history", "AlarmHistoryItems", region=region, **asked
        ):
            if window.start <= item["Timestamp"] < window.end:  # AWS includes both ends
                yield {
                    "at": item["Timestamp"],
                    "name": item.get("AlarmName", ""),
                    **_changed(item),
                    "region": region or environment.region,
                }

    rows, problems = _everywhere(environment, ask)
    frame = frames.made(sorted(rows, key=lambda row: (row["at"], row["name"])), HISTORY)
    frame.attrs["problems"] = problems
    return frame


def watched(alarm: Mapping[str, Any]) -> str:
    """Return what an alarm looks at, "Namespace Metric Name=value,…", several with " | "; empty for a composite one."""
    stats = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics") or () if query.get("MetricStat")]
    return " | ".join(sorted(map(_place, stats or ([alarm] if alarm.get("MetricName") else []))))


def rule(alarm: Mapping[str, Any]) -> str:
    """Return in words when an alarm goes on, for an answer of AWS as for the properties of a template."""
    if "AlarmRule" in alarm:
        return str(alarm["AlarmRule"])
    stats = [query["MetricStat"] for query in alarm.get("Metrics") or () if query.get("MetricStat")]
    named = _expression(alarm) or alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    statistic = named or (stats[0]["Stat"] if stats else "")
    count, limit = alarm.get("EvaluationPeriods", 1), alarm.get("Threshold", float("nan"))
    period = alarm.get("Period") or (stats[0]["Period"] if stats else 60)
    sign = _SIGNS.get(alarm.get("ComparisonOperator", ""), alarm.get("ComparisonOperator", ""))
    return f"{statistic} {sign} {limit:.12g}, {alarm.get('DatapointsToAlarm') or count} of {count} x {period} s"


def _everywhere(
    environment: Environment, ask: Callable[[str], Iterator[dict[str, Any]]], also: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """Ask every region that metrics come from, at once; a region that fails is a problem, all of them an error."""
    places = sorted({metric.region for metric in table(environment)} | ({""} | set(also)) - {environment.region})
    rows: list[dict[str, Any]] = []
    errors: dict[str, OpsError] = {}
    answers = regions.at_once({place: lambda place=place: list(ask(place)) for place in places}, needed=[""])  # type: ignore[misc]
    for place, answer in answers.items():
        if isinstance(answer, OpsError):
            errors[place or environment.region] = answer
        else:
            rows += answer
    if len(errors) == len(places):
        raise next(iter(errors.values()))
    return rows, [f"alarms of {region}: {error.what}" for region, error in errors.items()]


def _common(alarm: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(_NAMED.findall(alarm.get("AlarmDescription") or ""))
    return {
        "name": alarm["AlarmName"], "state": alarm.get("StateValue", ""), "reason": alarm.get("StateReason", ""),
        "since": alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
        "severity": named.get("severity", ""), "runbook": named.get("runbook", ""), "enabled": bool(alarm.get("ActionsEnabled", True)),
        "watches": watched(alarm), "actions": len(alarm.get("AlarmActions") or ()), "updated": alarm.get("AlarmConfigurationUpdatedTimestamp"),
        "acts_on": _topics(alarm.get("AlarmActions")), "ends_on": _topics(alarm.get("OKActions")),
    }  # fmt: skip


def _topics(actions: Sequence[str] | None) -> str:
    return " ".join(sorted(arn.rpartition(":")[2] for arn in actions or () if arn.split(":")[2] == "sns"))


def _composite(alarm: Mapping[str, Any], _: Mapping[Any, str]) -> dict[str, Any]:
    return {"component": "", "metric": "", "threshold": float("nan"), "rule": rule(alarm)}


def _metric_alarm(alarm: Mapping[str, Any], owners: Mapping[Any, str]) -> dict[str, Any]:
    stats = [query["MetricStat"] for query in alarm.get("Metrics") or () if query.get("MetricStat")]
    metrics = [stat["Metric"] for stat in stats] or [alarm]
    keys = [key for metric in metrics for key in (_key(metric), metric.get("Namespace", ""))]
    component = next((owners[key] for key in keys if key in owners), "")
    name = _expression(alarm) or metrics[0].get("MetricName", "")
    return {
        "component": component,
        "metric": name,
        "threshold": alarm.get("Threshold", float("nan")),
        "rule": rule(alarm),
    }


def _expression(alarm: Mapping[str, Any]) -> str:
    queries = alarm.get("Metrics") or ()
    return next((query.get("Label") or query["Expression"] for query in queries if query.get("Expression")), "")


def _place(metric: Mapping[str, Any]) -> str:
    pairs = ",".join(sorted(f"{each['Name']}={each['Value']}" for each in metric.get("Dimensions") or ()))
    return f"{metric.get('Namespace', '')} {metric.get('MetricName', '')} {pairs}".rstrip()


def _owners(environment: Environment) -> dict[Any, str]:
    """Return which component a metric tells about: by namespace and dimensions, else by a namespace that only one has."""
    found: dict[Any, str] = dict(_OURS)
    several = set()
    for metric in table(environment):
        for stat in metric.stats:
            found.setdefault((stat.namespace, frozenset(stat.dimensions)), metric.component)
            if found.setdefault(stat.namespace, metric.component) != metric.component:
                several.add(stat.namespace)
    return {key: component for key, component in found.items() if key not in several}


def _key(metric: Mapping[str, Any]) -> Any:
    dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions") or ())
    return metric.get("Namespace", ""), dimensions


def _changed(item: Mapping[str, Any]) -> dict[str, str]:
    """Read HistoryData; what is no JSON leaves the summary's two words."""
    summary = _UPDATED.search(item.get("HistorySummary") or "")
    before, after = (summary[1], summary[2]) if summary else ("", "")
    try:
        data = json.loads(item.get("HistoryData") or "{}")
    except ValueError:
        data = {}
    old, new = data.get("oldState") or {}, data.get("newState") or {}
    return {
        "before": old.get("stateValue", before),
        "after": new.get("stateValue", after),
        "reason": new.get("stateReason", ""),
    }
