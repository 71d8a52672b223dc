"""What CloudWatch sends when an alarm changes its state: to topics, in its own words, and to EventBridge."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opslib.sandbox import alarm_records
from opslib.sandbox.delivery.ground import Ground, Sender, ministack, region_of
from opslib.sandbox.delivery.topics import Topics
from opslib.sandbox.state_files import ACCOUNT

ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
REGIONS = {"ap-northeast-1": "Asia Pacific (Tokyo)", "us-east-1": "US East (N. Virginia)"}
_SHARED = (
    "MetricName", "Namespace", "Period", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold",
)  # fmt: skip


class AlarmActions:
    """The actions of alarms."""

    def __init__(self, ground: Ground, topics: Topics) -> None:
        self._ground, self._topics = ground, topics

    def install(self) -> None:
        """Carry out the actions of ministack's alarms."""
        ministack("cloudwatch")._dispatch_alarm_actions = self._carry_out

    def _carry_out(self, alarm: dict[str, Any], before: str, after: str, reason: str) -> None:
        region = region_of(alarm["AlarmArn"])
        self._tell_events(alarm, before, region)
        if not alarm.get("ActionsEnabled", True):
            return
        message = json.dumps(said(alarm, before, self._ground.now()))
        subject = f'{after}: "{alarm["AlarmName"]}" in {REGIONS.get(region, region)}'[:100]
        for action in alarm.get(ACTIONS[after]) or []:
            if action.split(":")[2] == "sns":
                self._publish(alarm, action, message, subject)

    def _publish(self, alarm: dict[str, Any], topic: str, message: str, subject: str) -> None:
        """Publish, and write in the alarm's history how it went: nothing else tells."""
        refusal = self._topics.publish(topic, message, subject, Sender("cloudwatch.amazonaws.com", alarm["AlarmArn"]))
        summary = f"Failed to execute action {topic}. Received error: \"{refusal.message}\"" if refusal else f"Successfully executed action {topic}"  # fmt: skip
        data = {"actionState": "Failed" if refusal else "Succeeded", "notificationResource": topic, "stateUpdateTimestamp": round(self._ground.now() * 1000)}  # fmt: skip
        ministack("cloudwatch")._history_entries().append({
            "AlarmName": alarm["AlarmName"], "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
            "Timestamp": f"{datetime.fromtimestamp(self._ground.now(), UTC):%Y-%m-%dT%H:%M:%SZ}", "HistoryItemType": "Action",
            "HistorySummary": summary, "HistoryData": json.dumps(data | ({"error": refusal.message} if refusal else {})),
        })  # fmt: skip

    def _tell_events(self, alarm: dict[str, Any], before: str, region: str) -> None:
        events = ministack("eventbridge")
        entry = {
            "Source": "aws.cloudwatch", "DetailType": "CloudWatch Alarm State Change",
            "Detail": json.dumps(self._detail(alarm, before)), "Resources": [alarm["AlarmArn"]],
        }  # fmt: skip
        with self._ground.scope(region):
            events._put_events({"Entries": [entry]}, allow_aws_source=True)

    def _detail(self, alarm: dict[str, Any], before: str) -> dict[str, Any]:
        reasons = {"reason": alarm["StateReason"], "reasonData": alarm.get("StateReasonData")}
        state = {"value": alarm["StateValue"], **reasons, "timestamp": _stamp(self._ground.now())}
        changed = [
            item for item in ministack("cloudwatch")._history_entries()
            if item["AlarmName"] == alarm["AlarmName"] and item["HistoryItemType"] == "StateUpdate"
        ]  # fmt: skip
        previous = {"value": before, **(_state_told(changed[-2]) if len(changed) > 1 else {})}
        return {
            "alarmName": alarm["AlarmName"], "state": _filled(state), "previousState": previous,
            "configuration": _configuration(alarm),
        }  # fmt: skip


def _state_told(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return reason and time of a change in an alarm's history, the last but one: the state that ends now."""
    new = json.loads(item["HistoryData"])["newState"]
    data = new.get("stateReasonData")
    at = datetime.fromisoformat(item["Timestamp"]).timestamp()
    return _filled({"reason": new["stateReason"], "reasonData": json.dumps(data) if data else None, "timestamp": _stamp(at)})  # fmt: skip


def _configuration(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """Return what EventBridge is told of what an alarm watches."""
    told = {"description": alarm.get("AlarmDescription")}
    if "AlarmRule" in alarm:
        suppressor = {name[0].lower() + name[1:]: alarm.get(name) for name in alarm_records.SUPPRESSOR}
        return _filled(told | {"alarmRule": alarm["AlarmRule"]} | suppressor)
    return _filled(told) | {"metrics": [_metric(query) for query in alarm_records.queries(alarm)]}


def _metric(query: Mapping[str, Any]) -> dict[str, Any]:
    told = {"id": query["Id"], "expression": query.get("Expression"), "label": query.get("Label")}
    told["returnData"] = query.get("ReturnData") is not False
    if stat := query.get("MetricStat"):
        metric = stat["Metric"]
        place = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}
        named = {"namespace": metric["Namespace"], "name": metric["MetricName"], "dimensions": place}
        told["metricStat"] = _filled({"metric": named, "period": stat["Period"], "stat": stat["Stat"], "unit": stat.get("Unit")})  # fmt: skip
    return _filled(told)


def _filled(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def said(alarm: Mapping[str, Any], before: str, now: float) -> dict[str, Any]:
    """Return the message of an alarm that has changed to its present state."""
    told = {
        "AlarmName": alarm["AlarmName"], "AlarmDescription": alarm.get("AlarmDescription"), "AWSAccountId": ACCOUNT,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.get("AlarmConfigurationUpdatedTimestamp") or now),
        "NewStateValue": alarm["StateValue"], "NewStateReason": alarm["StateReason"], "StateChangeTime": _stamp(now),
        "Region": REGIONS.get(region_of(alarm["AlarmArn"]), region_of(alarm["AlarmArn"])), "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before, **{name: alarm.get(name) or [] for name in ACTIONS.values()},
    }  # fmt: skip
    if "AlarmRule" in alarm:
        children = json.loads(alarm.get("StateReasonData") or "{}").get("triggeringAlarms", [])
        named = [{"Arn": one["arn"], "State": {"Value": one["state"]["value"], "Timestamp": one["state"]["timestamp"]}} for one in children]  # fmt: skip
        return told | {"AlarmRule": alarm["AlarmRule"], "TriggeringChildren": named}
    return told | {"Trigger": _trigger(alarm)}


def _trigger(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an alarm watches; one on metric math has its queries and no metric of its own."""
    trigger = {name: alarm[name] for name in _SHARED if alarm.get(name) is not None}
    trigger["TreatMissingData"] = alarm.get("TreatMissingData") or "missing"
    if alarm.get("Metrics"):
        return trigger | {"Metrics": [_query(one) for one in alarm["Metrics"]]}
    kind = "ExtendedStatistic" if alarm.get("ExtendedStatistic") else "Statistic"
    value = alarm.get(kind)
    trigger |= {"StatisticType": kind, kind: value if kind == "ExtendedStatistic" else str(value).upper()}
    return trigger | {"Unit": alarm.get("Unit"), "Dimensions": _pairs(alarm.get("Dimensions"))}


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in query.items() if name != "MetricStat"}
    if stat := query.get("MetricStat"):
        metric = stat["Metric"]
        told["MetricStat"] = {**stat, "Metric": {**metric, "Dimensions": _pairs(metric.get("Dimensions"))}}
    return told


def _pairs(dimensions: Any) -> list[dict[str, str]]:
    return [{"value": one["Value"], "name": one["Name"]} for one in dimensions or []]


def _stamp(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
