"""A notifier Lambda, with `messages` and `still_on` its whole code: one function a sink (SINK: slack or pagerduty), standard library and boto3.

A record is read without ever failing: what is not understood is an alert, too. Each is sent within 8 s, or the function
raises, so that Lambda tries again and then keeps it in a queue that an alarm of the other path watches.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from opslib.alerting import still_on
from opslib.alerting.links import utc
from opslib.alerting.messages import Alert, clean, parse

BUDGET_S, TRY_S, TICK_S = 8.0, 3.0, 25.0
LATE = timedelta(seconds=45)  # a message this old was tried before
SEVERITIES = ("critical", "error", "warning", "info")
STATES = {  # words and colours as everywhere in opslib
    "critical": ("ACT NOW · 要対応", "#b3261e"), "error": ("ACT NOW · 要対応", "#b3261e"), "warning": ("CHECK · 要確認", "#a15c00"),
    "info": ("INFO · お知らせ", "#52606d"), "OK": ("OK · 正常", "#0b7a55"), "INSUFFICIENT_DATA": ("UNKNOWN · 判定不能", "#d4a106"),
}  # fmt: skip
_ABOUT = {"state", "account", "environment", "source", "topic"}  # facts that stand in Slack's small print
_STALE = {403, 404, 410}  # a webhook or a key that was made anew


class Undelivered(Exception):
    """The sink did not take an alert; Lambda tries again, then the queue keeps it."""


def handler(event: Any, context: Any = None) -> dict[str, int]:
    """Tell every record of an event (SNS, or EventBridge itself). Raises Undelivered when the only one was not taken.

    Of several, those not taken go to the queue FAILED: to raise would send the others again. A tick of the schedule
    asks instead which warnings are still on.
    """
    if still_on.is_tick(event):
        return _raise_what_stays(still_on.time_of(event))
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


def _raise_what_stays(at: datetime) -> dict[str, int]:
    """Page for what is on for too long, and close at once what ended meanwhile: its end may have come before."""
    end, cloudwatch = time.monotonic() + TICK_S, _client("cloudwatch", os.environ["AWS_REGION"])
    found = still_on.late(cloudwatch, at)
    for number, alert in enumerate(found):
        if time.monotonic() > end:
            raise Undelivered(f"{len(found) - number} warnings that are still on were not told in {TICK_S:.0f} s")
        _tell(alert)
    for alert in still_on.over(cloudwatch, found):
        _send(os.environ["SINK"], replace(alert, state="OK"), time.monotonic() + BUDGET_S)
    _measure("Ops/Alerting", {"Sink": os.environ["SINK"], "Kind": "tick"}, "Told", 1)
    return {"told": len(found), "kept": 0}


# -- saying ----------------------------------------------------------------------------------------------------------
def slack(alert: Alert) -> dict[str, Any]:
    """Return the message for a Slack webhook: the verdict, the numbers, the links, the command; no markup of the record's."""
    words, colour = STATES[
        alert.severity if alert.state == "ALARM" else alert.state if alert.state in STATES else "info"
    ]
    mark = "[SANDBOX] " if os.environ.get("ENVIRONMENT") == "sandbox" else ""
    head = clean(f"{mark}{words}: {alert.title}", 150)
    says, _, more = (alert.detail or "no more is said").partition("\0" if alert.kind == "report" else "\n")
    says = f"Over: {says}" if alert.kind == "alarm" and alert.state == "OK" else says
    when = f"<!date^{int(alert.at.timestamp())}^{{date_short_pretty}} {{time_secs}}|{utc(alert.at)}>"
    numbers = [
        _mrkdwn(f"*{_escaped(name)}*\n{_span(value, 300)}") for name, value in alert.facts if name not in _ABOUT
    ][:8]
    about = " · ".join([utc(alert.at), alert.severity, *(value for name, value in alert.facts if name in _ABOUT)])
    blocks: list[dict[str, Any]] = [{"type": "section", "text": _plain(says or "…")}]
    blocks.append({"type": "section", "fields": [*numbers, _mrkdwn(f"*when*\n{when}")]})
    if alert.command and alert.state != "OK":
        blocks.append({"type": "section", "text": _mrkdwn(f"*Next*\n```{_escaped_in_code(alert.command, 1500)}```")})
    blocks += [{"type": "section", "text": _mrkdwn(line)} for line in _lines([f"<{_escaped(link)}|{_escaped(words)}>" for words, link in alert.links])]  # fmt: skip
    blocks += [{"type": "context", "elements": [_plain(one)]} for one in (about, more) if one]
    attachment = {"color": colour, "fallback": _escaped(head), "blocks": blocks[:50]}
    return {"text": f"*{_escaped(head)}*", "attachments": [attachment]}


def _lines(links: list[str]) -> list[str]:
    """Return links on as few lines as a text of 3,000 characters allows."""
    lines: list[str] = []
    for link in links:
        if lines and len(lines[-1]) + len(link) < 2990:
            lines[-1] += f"  ·  {link}"
        else:
            lines.append(link)
    return lines


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text[:3000], "emoji": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True} if len(text) <= 3000 else _plain(text)


def _span(text: str, most: int) -> str:
    """Return text in a code span, where nothing is a mention or a link; escapes make it longer, so it is cut after them."""
    shown = _escaped_in_code(text, most)
    return f"```{shown}```" if "\n" in shown else f"`{shown}`"


def _escaped_in_code(text: str, most: int) -> str:
    shown = _escaped(clean(text, most).replace("`", "ˋ"))
    return shown if len(shown) <= most else re.sub(r"&[a-z]*\Z", "", shown[: most - 1]) + "…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(alert: Alert, key: str) -> tuple[str, dict[str, Any]] | None:
    """Return path and body for Events API v2: trigger, resolve, or the change event of a deploy; None: nobody is told."""
    if alert.kind == "report" or (alert.topic == still_on.CALM and alert.kind != "heartbeat" and alert.state != "OK"):
        return None  # it is here for the ends of what was raised because it stayed on; a report is for who reads it
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
    sent = _send(sink, alert, end)
    if alert.state == "OK":
        _over[alert.key] = max(alert.at, _over.get(alert.key, alert.at))
    elif sink == "pagerduty" and alert.state == "ALARM" and (_over.get(alert.key, alert.at) > alert.at or _is_over(alert)):  # fmt: skip
        _send(sink, replace(alert, state="OK"), end + BUDGET_S)  # its end was told before it: nothing is left open
    _told[alert.id] = True
    for kept in (_told, _over):
        while len(kept) > 1000:
            kept.pop(next(iter(kept)))
    about = {name: getattr(alert, name) for name in ("kind", "title", "state", "severity", "key", "topic", "drill")}
    kind = alert.title if alert.kind == "heartbeat" else "alert"
    _measure("Ops/Alerting", {"Sink": sink, "Kind": kind}, "Told", 1, at=utc(alert.at), sent=sent, **about)
    if sink == "pagerduty" and alert.build and not alert.topic:  # the rule for every build, not the one for failed ones
        _measure_build(*alert.build)


def _is_over(alert: Alert) -> bool:
    """Tell whether an alarm that comes late is off again: another container may have told its end, and it comes but once."""
    if alert.kind != "alarm" or not alert.topic or datetime.now(UTC) - alert.at < LATE:
        return False
    try:
        return still_on.is_off(_client("cloudwatch", os.environ["AWS_REGION"]), alert.title)
    except Exception as error:  # told it is; at worst a person closes it
        print(json.dumps({"level": "warn", "service": "notifier", "message": f"not known whether it is over: {type(error).__name__}: {error}"}))  # fmt: skip
        return False


def _measure(namespace: str, dimensions: dict[str, str], name: str, value: float, **more: Any) -> None:
    """Write a log line that CloudWatch reads as a metric, and people by what more it says."""
    said = {"Namespace": namespace, "Dimensions": [list(dimensions)], "Metrics": [{"Name": name}]}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [said]}
    print(json.dumps({"_aws": about, **dimensions, name: value, **more}))


def _measure_build(app: str, branch: str, job: str) -> None:
    """Say how long a build took, which neither the event nor a metric of Amplify tells; the alert itself is out already."""
    try:
        asked = _client("amplify", os.environ["AWS_REGION"]).get_job(appId=app, branchName=branch, jobId=job)
        about = asked["job"]["summary"]
        seconds = (about["endTime"] - about["startTime"]).total_seconds()
        _measure("Ops/Frontend", {"App": app, "Branch": branch}, "BuildSeconds", seconds)
    except Exception as error:  # a measurement must not bring the alert again
        print(json.dumps({"level": "warn", "service": "notifier", "message": f"build not measured: {type(error).__name__}: {error}"}))  # fmt: skip


def _send(sink: str, alert: Alert, end: float) -> bool:
    """Send one alert, and tell whether the sink takes any of its kind; a refused address or key is read anew once."""
    for again in (False, True):
        if again:
            _secret.cache_clear()
        secret = _secret(os.environ["SECRET"], sink)
        if sink == "slack":
            url, body = secret, None if alert.kind == "heartbeat" or alert.first else slack(alert)
        else:
            path, body = pagerduty(alert, secret) or ("", None)
            url = os.environ.get("PAGERDUTY", "https://events.pagerduty.com") + path
        status = _post(url, body, end) if body else 200
        if status < 300:
            return body is not None
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
            if error.code not in {408, 429} and error.code < 500:
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
    """Return the seconds that a sink asks us to wait, by number or date, never fewer than we would; nonsense says nothing."""
    try:
        return max(other, float(text or ""))
    except ValueError:
        pass
    try:
        return max(other, (parsedate_to_datetime(text or "") - datetime.now(UTC)).total_seconds())
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
    if service == "ssm":  # which takes an ARN for a name
        text = str(_client("ssm", region).get_parameter(Name=arn, WithDecryption=True)["Parameter"]["Value"])
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
