"""The whole code of a notifier Lambda: one function a sink (SINK: slack or pagerduty), standard library and boto3 alone.

A record is read without ever failing: what is not understood is an alert, too. Each is sent within 8 s, or the function
raises, so that Lambda tries again and then keeps it in a queue that an alarm of the other path watches.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

BUDGET_S, TRY_S = 8.0, 3.0
BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=10)  # the window of links and commands, around the change
SEVERITIES = ("critical", "error", "warning", "info")
STATES = {  # words and colours as everywhere in opslib
    "critical": ("ACT NOW · 要対応", "#b3261e"), "error": ("ACT NOW · 要対応", "#b3261e"), "warning": ("CHECK · 要確認", "#a15c00"),
    "info": ("INFO · お知らせ", "#52606d"), "OK": ("OK · 正常", "#0b7a55"), "INSUFFICIENT_DATA": ("UNKNOWN · 判定不能", "#d4a106"),
}  # fmt: skip
QUERY = 'fields @timestamp, service, request_id, error.kind, message | filter level = "error" | sort @timestamp desc | limit 200'
_LINE = re.compile(
    r"(?:\A|\s)severity=(critical|error|warning|info) runbook=([\w-]+(?:/[\w-]+)?)(?: env=([\w-]+))?\s*\Z", re.ASCII
)
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_OF_RESOURCE = {"slow-database": ("instance", "DBInstanceIdentifier"), "failing-service": ("service", "ServiceName")}
_STALE = {403, 404, 410}  # a webhook or a key that was made anew


class Undelivered(Exception):
    """The sink did not take an alert; Lambda tries again, then the queue keeps it."""


@dataclass(frozen=True)
class Alert:
    """One thing to tell. `state` is ALARM, OK, INSUFFICIENT_DATA or INFO; `key` is the same for trouble and its end."""

    id: str
    kind: str  # alarm, deploy, event, heartbeat, unknown
    title: str
    key: str
    at: datetime
    state: str = "ALARM"
    severity: str = "error"
    detail: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # words, address
    command: str = ""


def handler(event: Any, context: Any = None) -> dict[str, int]:
    """Tell every record of an event (SNS, or EventBridge itself). Raises Undelivered when the only one was not taken.

    Of several, those not taken go to the queue FAILED: to raise would send the others again.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    records = records if isinstance(records, list) and records else [event]
    failed = []
    for record in records:
        try:
            _tell(parse(record))
        except Exception as error:  # whatever it was, the other records are told first, and this one is kept below
            print(json.dumps({"level": "error", "service": "notifier", "message": f"not delivered: {type(error).__name__}: {error}"}))  # fmt: skip
            failed.append((record, error))
    if failed and len(records) == 1:
        raise Undelivered(str(failed[0][1])) from failed[0][1]
    for record, why in failed:
        _client("sqs", os.environ["AWS_REGION"]).send_message(
            QueueUrl=os.environ["FAILED"], MessageBody=json.dumps({"error": str(why), "record": record})
        )
    return {"told": len(records) - len(failed), "kept": len(failed)}


# -- reading ---------------------------------------------------------------------------------------------------------
def parse(record: Any) -> Alert:
    """Return what a record says; never raises, and nothing of the record becomes anything but text."""
    wrapped = _dict(_dict(record).get("Sns"))
    raw = wrapped.get("Message") if wrapped else record
    body, text = raw, raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    if isinstance(raw, str):
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = None
    given = str(wrapped.get("MessageId") or _dict(body).get("id") or "")
    found = given or hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
    plain = Alert(
        found, "unknown", clean(wrapped.get("Subject") or "Message that cannot be read", 150), f"sns:{found}",
        _time(wrapped.get("Timestamp")), detail=clean(text, 2000), facts=(("topic", clean(wrapped.get("TopicArn") or "none", 200)),),
    )  # fmt: skip
    try:
        return _keyed(_read(_dict(body), plain))
    except Exception as error:  # a shape that nobody thought of is told as it came
        return _keyed(replace(plain, detail=clean(f"{type(error).__name__} while reading: {text}", 2000)))


def _read(body: dict[str, Any], plain: Alert) -> Alert:
    if body.get("AlarmName") and body.get("NewStateValue"):
        return _alarm(body, plain)
    if body.get("source") == "ops.drill" and body.get("detail-type") == "heartbeat":
        return replace(plain, kind="heartbeat", title="heartbeat", state="INFO", severity="info", key="ops.heartbeat")
    return _event(body, plain) if body.get("detail-type") else plain


def _alarm(body: dict[str, Any], plain: Alert) -> Alert:
    name, trigger = str(body["AlarmName"]), _dict(body.get("Trigger"))
    arn = str(body.get("AlarmArn") or "")
    region = arn.split(":")[3] if arn.count(":") > 5 else os.environ.get("AWS_REGION", "")
    line = _LINE.search(str(body.get("AlarmDescription") or ""))
    severity, runbook, env = line.groups() if line else ("error", "2-investigate/first-look", None)
    says = str(body.get("AlarmDescription") or "")[: line.start()] if line else str(body.get("AlarmDescription") or "")
    state = body["NewStateValue"] if body["NewStateValue"] in {"OK", "ALARM", "INSUFFICIENT_DATA"} else "ALARM"
    at = _time(body.get("StateChangeTime"), plain.at)
    env = env or os.environ.get("ENVIRONMENT", "")
    dimensions = {str(_dict(one).get("name")): str(_dict(one).get("value")) for one in trigger.get("Dimensions") or []}
    limit = f"{trigger['ComparisonOperator']} {trigger.get('Threshold')}" if trigger.get("ComparisonOperator") else ""
    facts = {
        "state": f"{body.get('OldStateValue') or '?'} → {state}", "account": f"{body.get('AWSAccountId', '')} {region}", "environment": env,
        "metric": " ".join([str(trigger.get("MetricName") or ""), *dimensions.values()]).strip(), "limit": limit,
    }  # fmt: skip
    return replace(
        plain, kind="alarm", title=clean(name, 255), state=state, severity=severity, at=at, key=f"cw:{arn or name}",
        detail=clean(f"{says.strip()}\n{body.get('NewStateReason') or ''}".strip(), 2000),
        facts=tuple((key, clean(value, 300)) for key, value in facts.items() if value.strip()),
        links=_links(name, region, trigger, dimensions, at, env), command=_command(runbook, name, dimensions, at, env),
    )  # fmt: skip


def _event(body: dict[str, Any], plain: Alert) -> Alert:
    """Read an event of EventBridge: a deploy says how it went, Health says when it is over; all else is an alert."""
    detail, kind = _dict(body.get("detail")), str(body["detail-type"])
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
    alert = replace(
        plain, kind="event", title=title, severity="warning", at=_time(body.get("time"), plain.at), key=f"event:{plain.id}",
        detail=clean(says if isinstance(says, str) else json.dumps(says or detail, ensure_ascii=False), 2000),
        facts=(("source", clean(body.get("source"), 100)), ("account", clean(f"{body.get('account', '')} {body.get('region', '')}", 40))),
    )  # fmt: skip
    if kind in {"Amplify Deployment Status Change", "ECS Deployment State Change"}:
        ended = {"SUCCEED", "STARTED", "SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_DEPLOYMENT_IN_PROGRESS"}
        calm: dict[str, Any] = {"state": "INFO", "severity": "info"} if status in ended else {"severity": "error"}
        runbook = "slow-frontend" if kind.startswith("Amplify") else "failing-service"
        return replace(alert, kind="deploy", command=_command(f"2-investigate/{runbook}", "", {}, alert.at, os.environ.get("ENVIRONMENT", "")), **calm)  # fmt: skip
    if kind == "AWS Health Event":
        over = "OK" if detail.get("statusCode") == "closed" else "ALARM"
        return replace(alert, state=over, key=f"health:{detail.get('eventArn') or plain.id}")
    return alert


def clean(value: Any, most: int) -> str:
    """Return text of at most `most` characters in which control, bidi and broken characters are shown, not obeyed."""
    text = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value or ""))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _keyed(alert: Alert) -> Alert:
    long = len(alert.key) > 255
    return replace(alert, key=f"sha256:{hashlib.sha256(alert.key.encode()).hexdigest()}") if long else alert


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _time(text: Any, other: datetime | None = None) -> datetime:
    try:
        found = datetime.fromisoformat(str(text).replace("+0000", "+00:00"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        return other or datetime.now(UTC)


# -- links and the command -------------------------------------------------------------------------------------------
def _command(runbook: str, alarm: str, dimensions: Mapping[str, str], at: datetime, env: str) -> str:
    name = runbook.rpartition("/")[2]
    given = {"report": alarm} if name == "first-look" else {"window": f"{_utc(at - BEFORE)}/{_utc(at + AFTER)}"}
    parameter, dimension = _OF_RESOURCE.get(name, ("", ""))
    given |= {parameter: dimensions[dimension]} if dimension in dimensions else {}
    given |= {"env": env} if env else {}
    return f"opslib open {runbook}" + "".join(f" -p {shlex.quote(clean(f'{k}={v}', 400))}" for k, v in given.items())


def _links(name: str, region: str, trigger: Mapping[str, Any], dimensions: Mapping[str, str], at: datetime, env: str) -> tuple[tuple[str, str], ...]:  # fmt: skip
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        return ()
    home = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#"
    start, end = _utc(at - BEFORE, ".000Z"), _utc(at + AFTER, ".000Z")
    found = [("Alarm", f"{home}alarmsV2:alarm/{urllib.parse.quote(name, safe='', errors='replace')}")]
    if trigger.get("Namespace") and trigger.get("MetricName"):
        pairs = [text for pair in dimensions.items() for text in pair]
        graph = {
            "metrics": [[trigger["Namespace"], trigger["MetricName"], *pairs]],
            "view": "timeSeries",
            "region": region,
            "start": start,
            "end": end,
        }
        found.append(("Metric", f"{home}metricsV2:graph={jsurl(graph)}"))
    groups = os.environ.get("LOG_GROUPS", "").split(",") if env == os.environ.get("ENVIRONMENT", "") else []
    if any(groups):
        asked = {
            "end": end,
            "start": start,
            "timeType": "ABSOLUTE",
            "tz": "UTC",
            "editorString": QUERY,
            "source": groups,
        }
        inner = _quoted(jsurl(asked).replace("*", "\0")).replace("%00", "*")  # escaped once; the hex escapes stay
        found.append(("Logs", f"{home}logsV2:logs-insights" + _quoted(f"?queryDetail={inner}").replace("%2A", "*").replace("%", "$")))  # fmt: skip
    return tuple((words, link) for words, link in found if len(link) <= 3000)  # a longer one would not open


def jsurl(value: Any) -> str:
    """Return a value as the CloudWatch console writes it into its links."""
    if isinstance(value, dict):
        return "~(" + "~".join(key + jsurl(one) for key, one in value.items()) + ")"
    if isinstance(value, list):
        return "~(" + ("".join(map(jsurl, value)) or "~") + ")"
    return "~'" + _quoted(str(value)).replace("%", "*")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.!", errors="replace").replace("~", "%7E")


def _utc(moment: datetime, end: str = "Z") -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{end}"


# -- saying ----------------------------------------------------------------------------------------------------------
def slack(alert: Alert) -> dict[str, Any]:
    """Return the message for a Slack webhook: the verdict, the numbers, the links, the command; no markup of the record's."""
    words, colour = STATES[
        alert.severity if alert.state == "ALARM" else alert.state if alert.state in STATES else "info"
    ]
    mark = "[SANDBOX] " if os.environ.get("ENVIRONMENT") == "sandbox" else ""
    head = clean(f"{mark}{words}: {alert.title}", 150)
    when = f"<!date^{int(alert.at.timestamp())}^{{date_short_pretty}} {{time_secs}}|{_utc(alert.at)}>"
    fields = [_mrkdwn(f"*{name}*\n{_span(value, 300)}") for name, value in alert.facts[:9]]
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": head, "emoji": False}}]
    blocks += [{"type": "section", "text": _mrkdwn(f"*{alert.severity}* · {when} · {_utc(alert.at)}\n{_span(alert.detail or 'no more is said', 2000)}")}]  # fmt: skip
    blocks += [{"type": "section", "fields": fields}] if fields else []
    blocks += [{"type": "section", "text": _mrkdwn(f"Next {_span(alert.command, 1500)}")}] if alert.command else []
    for words, link in alert.links:  # a section each: together they may be longer than 3,000 characters
        blocks.append({"type": "section", "text": _mrkdwn(f"<{link}|{words}>")})
    return {
        "text": _escaped(head),
        "attachments": [{"color": colour, "fallback": _escaped(head), "blocks": blocks[:50]}],
    }


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True} if len(text) <= 3000 else {"type": "plain_text", "text": text[:3000]}  # fmt: skip


def _span(text: str, most: int) -> str:
    """Return text in a code span, where nothing is a mention or a link; escapes make it longer, so it is cut after them."""
    shown = _escaped(clean(text, most).replace("`", "ˋ"))
    if len(shown) > most:
        shown = re.sub(r"&[a-z]*\Z", "", shown[: most - 1]) + "…"
    return f"```{shown}```" if "\n" in shown else f"`{shown}`"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(alert: Alert, key: str) -> tuple[str, dict[str, Any]] | None:
    """Return path and body for Events API v2: trigger, resolve, or the change event of a deploy; None: nobody is told."""
    details = {"detail": alert.detail, "open": alert.command, **dict(alert.facts)}
    links = [{"href": link, "text": words} for words, link in alert.links]
    source = os.environ.get("ENVIRONMENT") or "opslib"
    summary = clean(f"{alert.title}: {alert.detail}" if alert.detail else alert.title, 1024)
    if alert.kind == "deploy":
        change = {"summary": summary, "source": source, "timestamp": alert.at.isoformat(), "custom_details": details}
        return "/v2/change/enqueue", {"routing_key": key, "payload": change, "links": links}
    if alert.kind == "heartbeat" or alert.state == "OK":  # to resolve what was never on is dropped there: the key works
        return "/v2/enqueue", {"routing_key": key, "event_action": "resolve", "dedup_key": alert.key}
    if alert.state != "ALARM":
        return None
    payload = {
        "summary": summary, "source": source, "severity": alert.severity, "timestamp": alert.at.isoformat(),
        "class": alert.kind, "custom_details": details,
    }  # fmt: skip
    return "/v2/enqueue", {"routing_key": key, "event_action": "trigger", "dedup_key": alert.key, "payload": payload, "links": links, "client": "opslib"}  # fmt: skip


# -- sending ---------------------------------------------------------------------------------------------------------
_told: dict[str, bool] = {}  # what this container told: SNS may bring a message twice
_over: dict[str, datetime] = {}  # when a key was last said to be over: SNS may bring the end before the beginning


def _tell(alert: Alert) -> None:
    if alert.id in _told:
        return
    sink, end = os.environ["SINK"], time.monotonic() + BUDGET_S
    _send(sink, alert, end)
    if alert.state == "OK":
        _over[alert.key] = max(alert.at, _over.get(alert.key, alert.at))
    elif sink == "pagerduty" and alert.state == "ALARM" and _over.get(alert.key, alert.at) > alert.at:
        _send(sink, replace(alert, state="OK"), end + BUDGET_S)  # its end was told before it: nothing is left open
    _told[alert.id] = True
    for kept in (_told, _over):
        while len(kept) > 1000:
            kept.pop(next(iter(kept)))
    count = {
        "Namespace": "Ops/Alerting",
        "Dimensions": [["Sink", "Kind"]],
        "Metrics": [{"Name": "Told", "Unit": "Count"}],
    }
    kind = "heartbeat" if alert.kind == "heartbeat" else "alert"
    print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [count]}, "Sink": sink, "Kind": kind, "Told": 1}))  # fmt: skip


def _send(sink: str, alert: Alert, end: float) -> None:
    """Send one alert; when the address or the key is refused, read the secret anew and try once more."""
    for again in (False, True):
        if again:
            _secret.cache_clear()
        secret = _secret(os.environ["SECRET"], sink)
        if sink == "slack":
            url, body = secret, None if alert.kind == "heartbeat" else slack(alert)
        else:
            path, body = pagerduty(alert, secret) or ("", None)
            url = os.environ.get("PAGERDUTY", "https://events.pagerduty.com") + path
        status = _post(url, body, end) if body else 200
        if status < 300:
            return
        if status not in _STALE:
            break
    raise Undelivered(f"{sink} refuses it for good: HTTP {status}")


def _post(url: str, body: dict[str, Any], end: float) -> int:
    """Post JSON until it is taken or refused (2xx, 3xx, 4xx: returned); raises Undelivered when time is out."""
    if not re.match(r"https://|http://127\.0\.0\.1:\d+/", url):
        raise Undelivered("the secret holds no https address")
    data, number, why = json.dumps(body).encode(), 0, "no time was left"
    while (left := end - time.monotonic()) > 0.05:
        asked = urllib.request.Request(url, data, {"Content-Type": "application/json; charset=utf-8"})
        wait = min(0.3 * 2**number, 2.0)
        try:
            with _opener.open(asked, timeout=min(TRY_S, left)) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            if error.code != 429 and error.code < 500:
                return error.code
            why, wait = f"HTTP {error.code}", _retry_after(error.headers.get("Retry-After"), wait)
        except OSError as error:  # refused, dropped, hung; the words never hold the address
            why = type(getattr(error, "reason", error)).__name__
        except Exception as error:  # an answer that is no HTTP
            why = type(error).__name__
        number += 1
        if time.monotonic() + wait >= end:
            break
        time.sleep(wait)
    raise Undelivered(f"no answer within {BUDGET_S:.0f} s: {why} after {number} tries")


def _retry_after(text: str | None, other: float) -> float:
    """Return the seconds that a sink asks us to wait: it says seconds or a date; nonsense is as if it said nothing."""
    try:
        return max(0.0, float(text or ""))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text or "") - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return other


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the message would be dropped on the way, and its answer look like success."""


_opener = urllib.request.build_opener(_NoRedirect)


@lru_cache(maxsize=2)
def _secret(arn: str, sink: str) -> str:
    """Return a secret by its ARN (Secrets Manager, or an SSM parameter): the text, or the sink's key of a JSON object."""
    service, region = arn.split(":")[2:4]
    if service == "ssm":
        name = "/" + arn.partition(":parameter/")[2]
        text = str(_client("ssm", region).get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
    else:
        text = str(_client("secretsmanager", region).get_secret_value(SecretId=arn)["SecretString"])
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    return str(held[sink] if isinstance(held, dict) else text).strip()


def _client(service: str, region: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 3})
    return boto3.client(service, region_name=region, config=config)
