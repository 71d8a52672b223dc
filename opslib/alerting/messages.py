"""What a record of SNS or EventBridge says, for the notifier: read without ever failing; standard library alone.

What is not understood is an alert, too, and nothing of a record becomes anything but text.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.alerting.links import AFTER, BEFORE, as_dict, console, drawn, utc, watched

NEW = timedelta(minutes=30)  # so long after it was made an alarm's first OK is no news
LINE = re.compile(
    r"(?:\A|\s)severity=(critical|error|warning|info) runbook=([\w-]+(?:/[\w-]+)?)(?: env=([\w-]+))?\s*\Z", re.ASCII
)
NEWEST = re.compile(
    r"datapoints? \[(-?[0-9.]+(?:[eE][+-]?[0-9]+)?)[ ,\]]", re.ASCII
)  # CloudWatch names the newest first
SIGNS = {
    "GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": "≥", "LessThanThreshold": "<", "LessThanOrEqualToThreshold": "≤",
}  # fmt: skip
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_DRILL = re.compile(r"\bDRILL-[0-9a-f]{8}\b")
REPORT = "ops.report"  # the source under which scheduled runs tell theirs
_VERDICTS = {"ok": ("OK", "info"), "warn": ("ALARM", "warning"), "critical": ("ALARM", "critical"), "unknown": ("INSUFFICIENT_DATA", "info")}  # fmt: skip
_LINK = re.compile(r"(https://|http://127\.0\.0\.1:\d+/)[^\s<>|]+", re.ASCII)
_OF_EVENTS = {
    "Amplify": "slow-frontend",
    "ECS": "failing-service",
    "RDS": "slow-database",
}  # by the first word of their kind
_OF_RESOURCE = {"slow-database": ("instance", "DBInstanceIdentifier"), "failing-service": ("service", "ServiceName")}


@dataclass(frozen=True)
class Alert:
    """One thing to tell. `state` is ALARM, OK, INSUFFICIENT_DATA or INFO; `key` is the same for trouble and its end."""

    id: str
    kind: str  # alarm, deploy, event, finding, heartbeat, report, unknown
    title: str
    key: str
    at: datetime
    state: str = "ALARM"
    severity: str = "error"
    detail: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # words, address
    command: str = ""
    build: tuple[str, str, str] | None = None  # app, branch and job of an Amplify build that ended
    topic: str = ""  # the topic that brought it; empty: a rule did
    drill: str = ""  # which drill it is part of
    first: bool = (
        False  # an alarm that was just made says that it is OK: with a new stack a hundred do, and nobody asked
    )


def parse(record: Any) -> Alert:
    """Return what a record says; never raises, and nothing of the record becomes anything but text."""
    wrapped = as_dict(as_dict(record).get("Sns"))
    raw = wrapped.get("Message") if wrapped else record
    body, text = raw, raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    if isinstance(raw, str):
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = None
    given = str(wrapped.get("MessageId") or as_dict(body).get("id") or "")
    found = given or hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
    plain = Alert(
        found, "unknown", clean(wrapped.get("Subject") or "Message that cannot be read", 150), f"sns:{found}",
        _time(wrapped.get("Timestamp")), detail=clean(text, 2000), facts=(("topic", clean(wrapped.get("TopicArn") or "none", 200)),),
        topic=clean(wrapped.get("TopicArn"), 200).rpartition(":")[2], drill="".join(_DRILL.findall(text)[:1]),
    )  # fmt: skip
    try:
        return _keyed(_read(as_dict(body), plain))
    except Exception as error:  # a shape that nobody thought of is told as it came
        return _keyed(replace(plain, detail=clean(f"{type(error).__name__} while reading: {text}", 2000)))


def _read(body: dict[str, Any], plain: Alert) -> Alert:
    if body.get("AlarmName") and body.get("NewStateValue"):
        return _alarm(body, plain)
    if body.get("source") == "ops.drill" and body.get("detail-type") == "heartbeat":
        return replace(plain, kind="heartbeat", title=f"heartbeat {plain.topic or 'none'}", state="INFO", severity="info", key="ops.heartbeat")  # fmt: skip
    if body.get("source") == REPORT:
        return _report(as_dict(body.get("detail")), replace(plain, at=_time(body.get("time"), plain.at)))
    return _event(body, plain) if body.get("detail-type") else plain


def _alarm(body: dict[str, Any], plain: Alert) -> Alert:
    name, trigger = str(body["AlarmName"]), as_dict(body.get("Trigger"))
    arn = str(body.get("AlarmArn") or "")
    region = arn.split(":")[3] if arn.count(":") > 5 else os.environ.get("AWS_REGION", "")
    line = LINE.search(str(body.get("AlarmDescription") or ""))
    severity, runbook, env = line.groups() if line else ("error", "2-investigate/first-look", None)
    says = str(body.get("AlarmDescription") or "")[: line.start()] if line else str(body.get("AlarmDescription") or "")
    state = body["NewStateValue"] if body["NewStateValue"] in {"OK", "ALARM", "INSUFFICIENT_DATA"} else "ALARM"
    at = _time(body.get("StateChangeTime"), plain.at)
    made = _time(body.get("AlarmConfigurationUpdatedTimestamp"), at - NEW)
    env = env or os.environ.get("ENVIRONMENT", "")
    dimensions = watched(trigger)
    newest, on = NEWEST.search(str(body.get("NewStateReason") or "")), body.get("TriggeringChildren") or []
    facts = {
        "value": f"{float(newest[1]):.4g}" if newest else "", "limit": _limit(trigger),
        "metric": " ".join([str(trigger.get("MetricName") or _label(trigger)), *dimensions.values()]).strip(),
        "alarms": " ".join(str(as_dict(one).get("Arn")).rpartition(":")[2] for one in on if as_dict(as_dict(one).get("State")).get("Value") == "ALARM"),
        "state": f"{body.get('OldStateValue') or '?'} → {state}", "account": f"{body.get('AWSAccountId', '')} {region}", "environment": env,
    }  # fmt: skip
    return replace(
        plain, kind="alarm", title=clean(name, 255), state=state, severity=severity, at=at, key=f"cw:{arn or name}",
        first=state == "OK" and body.get("OldStateValue") == "INSUFFICIENT_DATA" and at - made < NEW,
        detail=clean(f"{says.strip()}\n{body.get('NewStateReason') or ''}".strip(), 2000),
        facts=tuple((key, clean(value, 300)) for key, value in facts.items() if value.strip()),
        links=console(region, at, env, alarm=name, graph=drawn(trigger)), command=_command(runbook, name, dimensions, at, env),
    )  # fmt: skip


def _limit(trigger: Mapping[str, Any]) -> str:
    """Return what an alarm takes for too much, as people write it: > 4 in 3 of 5 × 1 min."""
    sign, limit = SIGNS.get(str(trigger.get("ComparisonOperator")), ""), trigger.get("Threshold")
    if not sign or not isinstance(limit, int | float):
        return f"{trigger['ComparisonOperator']} {limit}" if trigger.get("ComparisonOperator") else ""
    count, period = trigger.get("EvaluationPeriods"), trigger.get("Period")
    span = "" if not isinstance(period, int | float) else f"{period / 60:g} min" if period >= 60 else f"{period:g} s"
    most = f"{trigger.get('DatapointsToAlarm') or count} of {count}" if count and count != 1 else ""
    within = " × ".join(one for one in (most, span) if one)
    return f"{sign} {limit:g}" + (f" in {within}" if within else "")


def _label(trigger: Mapping[str, Any]) -> str:
    """Return what metric math calls its result."""
    queries = [as_dict(one) for one in trigger.get("Metrics") or []]
    return next((str(one["Label"]) for one in queries if one.get("ReturnData") and one.get("Label")), "")


def _event(body: dict[str, Any], plain: Alert) -> Alert:
    """Read an event of EventBridge: a deploy says how it went, Health says when it is over, a drill is never an alert."""
    detail, kind = as_dict(body.get("detail")), str(body["detail-type"])
    drill = "DRILL " if body.get("source") == "ops.drill" else ""
    resource = next((str(one) for one in body.get("resources") or []), "")
    status = str(
        detail.get("jobStatus") or detail.get("eventName") or detail.get("EventID") or detail.get("eventTypeCode") or ""
    )
    about = " ".join(
        str(detail[name]) for name in ("appId", "branchName", "jobId", "SourceIdentifier") if detail.get(name)
    )
    title = clean(f"{drill}{kind}: {about or resource.rpartition('/')[2]} {status}", 255)
    says = (
        detail.get("reason") or detail.get("Message") or detail.get("eventDescription") or detail.get("stoppedReason")
    )
    at, env = _time(body.get("time"), plain.at), os.environ.get("ENVIRONMENT", "")
    named = {"ServiceName": resource.rpartition(":service/")[2].rpartition("/")[2], "DBInstanceIdentifier": str(detail.get("SourceIdentifier") or "")}  # fmt: skip
    alert = replace(
        plain, kind="event", title=title, severity="warning", at=at, key=f"event:{plain.id}", links=console(str(body.get("region")), at, env),
        command=_command(f"2-investigate/{_OF_EVENTS.get(kind.partition(' ')[0], 'first-look')}", f"{title} {utc(at)}", named, at, env),
        detail=clean(says if isinstance(says, str) else json.dumps(says or detail, ensure_ascii=False), 2000),
        facts=(("source", clean(body.get("source"), 100)), ("account", clean(f"{body.get('account', '')} {body.get('region', '')}", 40))),
    )  # fmt: skip
    if kind in {"Amplify Deployment Status Change", "ECS Deployment State Change"}:
        names = [str(detail.get(name) or "") for name in ("appId", "branchName", "jobId")]
        built = body.get("source") == "aws.amplify" and status in {"SUCCEED", "FAILED"} and all(names)
        calm_states = {"SUCCEED", "STARTED", "SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_DEPLOYMENT_IN_PROGRESS"}
        calm: dict[str, Any] = (
            {"state": "INFO", "severity": "info"} if drill or status in calm_states else {"severity": "error"}
        )
        return replace(alert, kind="deploy", build=(names[0], names[1], names[2]) if built else None, **calm)
    if drill:
        return replace(alert, state="INFO", severity="info", command="", links=())
    if kind == "AWS Health Event":
        over = "OK" if detail.get("statusCode") == "closed" else "ALARM"
        return replace(alert, state=over, key=f"health:{detail.get('eventArn') or plain.id}")
    return alert


def _report(told: dict[str, Any], plain: Alert) -> Alert:
    """Read what a scheduled run tells: its report, that there is none, or, under a key of its own, what cannot wait."""
    state, severity = _VERDICTS.get(str(told.get("verdict")), ("ALARM", "error"))
    links = [(clean(words, 200), str(link)) for words, link in as_dict(told.get("links")).items()]
    return replace(
        plain, kind="finding" if told.get("key") else "report", title=clean(told.get("title"), 255), state=state, severity=severity,
        key=str(told.get("key") or plain.key), detail=clean(told.get("says"), 2900), command=clean(told.get("command"), 1400),
        facts=tuple((clean(name, 60), clean(value, 300)) for name, value in as_dict(told.get("facts")).items()),
        links=tuple((words, link) for words, link in links if _LINK.fullmatch(link)),
    )  # fmt: skip


def clean(value: Any, most: int) -> str:
    """Return text of at most `most` characters in which control, bidi and broken characters are shown, not obeyed."""
    text = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value or ""))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _keyed(alert: Alert) -> Alert:
    long = len(alert.key) > 255
    return (
        replace(alert, key=f"sha256:{hashlib.sha256(alert.key.encode(errors='backslashreplace')).hexdigest()}")
        if long
        else alert
    )


def _time(text: Any, other: datetime | None = None) -> datetime:
    try:
        found = datetime.fromisoformat(str(text).replace("+0000", "+00:00"))
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if not 2000 < found.year < 2100:  # a window around it must be a time, too
            raise ValueError
        return found
    except ValueError:
        return other or datetime.now(UTC)


def _command(runbook: str, alarm: str, dimensions: Mapping[str, str], at: datetime, env: str) -> str:
    name = runbook.rpartition("/")[2]
    given = {"report": alarm} if name == "first-look" else {"window": f"{utc(at - BEFORE)}/{utc(at + AFTER)}"}
    parameter, dimension = _OF_RESOURCE.get(name, ("", ""))
    given |= {parameter: dimensions[dimension]} if dimensions.get(dimension) else {}
    given |= {"env": env} if env else {}
    return f"opslib open {runbook}" + "".join(f" -p {shlex.quote(clean(f'{k}={v}', 400))}" for k, v in given.items())
