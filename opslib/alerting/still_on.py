"""Alarms that nobody was paged for and that are on for too long: what a tick of the schedule raises; standard library alone.

A tick looks at those that became N minutes old within the last three ticks: one that is missed loses none, all send the same
key, and what a person resolved in PagerDuty by hand does not come back every five minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.alerting.messages import LINE, Alert, clean, parse

CALM = "ops-alerts"  # the topic of what does not page by itself
EVERY, TICKS = timedelta(minutes=5), 3
RAISED = {"warning", "error"}
_KINDS = {"MetricAlarms": "MetricAlarm", "CompositeAlarms": "CompositeAlarm"}


def is_tick(event: Any) -> bool:
    """Tell whether EventBridge's schedule sent this."""
    given = event if isinstance(event, dict) else {}
    return given.get("source") == "aws.events" and given.get("detail-type") == "Scheduled Event"


def time_of(event: dict[str, Any]) -> datetime:
    """Return when a tick was due: one that comes late looks at its own time."""
    try:
        return datetime.fromisoformat(str(event["time"])).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)


def late(cloudwatch: Any, at: datetime) -> list[Alert]:
    """Return what is on since RAISE_AFTER minutes before a tick and was not paged, as alerts to page for.

    Asks cloudwatch:DescribeAlarms. Alarms whose actions are off, or that have not our line in their description, are left alone.
    """
    minutes = float(os.environ.get("RAISE_AFTER", "30"))
    newest = at - timedelta(minutes=minutes)
    found = []
    for alarm in _alarms(cloudwatch, StateValue="ALARM"):
        alert = _alert(alarm)
        paged = any(not str(action).endswith(f":{CALM}") for action in alarm.get("AlarmActions") or [])
        if newest - TICKS * EVERY < alert.at <= newest and alert.severity in RAISED and not paged and _ours(alarm):
            words = f"Still on after {(at - alert.at).total_seconds() / 60:.0f} minutes. {alert.detail}"
            found.append(replace(alert, severity="error", detail=clean(words, 2000)))
    return found


def over(cloudwatch: Any, raised: list[Alert]) -> list[Alert]:
    """Return those of the raised that are not on any more."""
    on = {_alert(alarm).key for alarm in _alarms(cloudwatch, StateValue="ALARM")} if raised else set()
    return [alert for alert in raised if alert.key not in on]


def is_off(cloudwatch: Any, name: str) -> bool:
    """Tell whether there is an alarm of a name and it is not on."""
    return any(alarm["StateValue"] != "ALARM" for alarm in _alarms(cloudwatch, AlarmNames=[name]))


def _alarms(cloudwatch: Any, **asked: Any) -> Iterable[dict[str, Any]]:
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=list(_KINDS.values()), **asked):
        for kind in _KINDS:
            yield from page.get(kind, [])


def _ours(alarm: dict[str, Any]) -> bool:
    return bool(alarm.get("ActionsEnabled") and LINE.search(alarm.get("AlarmDescription") or ""))


def _alert(alarm: dict[str, Any]) -> Alert:
    """Read an alarm as the message that CloudWatch sent when it came on, so that key, links and command are the same."""
    since = alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]
    arn = str(alarm.get("AlarmArn") or "")
    body = {
        "AlarmName": alarm["AlarmName"], "AlarmDescription": alarm.get("AlarmDescription"), "AlarmArn": arn, "NewStateValue": "ALARM",
        "NewStateReason": alarm.get("StateReason"), "StateChangeTime": since.isoformat(), "AWSAccountId": arn.split(":")[4] if arn.count(":") > 5 else "",
        "Trigger": alarm, "id": f"still-on:{arn}:{since.isoformat()}",
    }  # fmt: skip
    return parse(body)
