"""Bring a scheduled run to people: the record to S3, the words through the topics of alerts, the metric that a dead man's alarm watches.

The runner holds no secret of Slack's: it publishes, and the notifier, its queues and their alarms do the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from opslib import aws, files
from opslib.alerting.messages import REPORT
from opslib.alerting.report_alarms import NAMESPACE, SUCCESS
from opslib.errors import RecordError, SourceError
from opslib.runner import records
from opslib.scheduling import telling
from opslib.scheduling.due import WAITS

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.scheduling.agenda import Scheduled
    from opslib.scheduling.due import Due
    from opslib.scheduling.memory import Memory

_FOLDER = "opslib/reports"  # of report_bucket
LINK = timedelta(days=7)  # S3 signs for no longer
_SESSION = "or when the session that signed it ends, if that is sooner: how long it lasts is not known here"
_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json", ".ipynb": "application/x-ipynb+json"}


def deliver(environment: Environment, one: Scheduled, found: Due, record: Path, summary: dict[str, Any], memory: Memory) -> dict[str, str]:  # fmt: skip
    """Deliver a report and return its findings by key; what was critical and is new goes to `ops-critical`, each by itself.

    Raises SourceError, or RecordError when the record cannot be read: then it is not delivered, and no metric says so.
    """
    listed = telling.findings(summary)
    now = {finding["key"]: finding["text"] for finding in listed}
    link = _kept(environment, record) if "s3" in one.schedule.deliver else None
    for finding in listed:
        if finding["severity"] == "critical" and finding["key"] not in memory.findings:
            publish(environment, "ops-critical", telling.critical(environment, one, found, finding))
    blind = telling.is_blind(summary)
    changes = telling.changed(now, memory.findings, blind=blind)
    news = changes["new"] or changes["gone"] or found.covers or summary["verdict"] == "unknown"
    if "slack" in one.schedule.deliver and (news or not one.schedule.quiet):
        publish(environment, "ops-alerts", telling.report(environment, one, found, summary, changes, link))
    measure(environment, SUCCESS, one.schedule.name, 1)
    # What was not seen is neither gone nor new when it is seen again; but who stays blind would never tell it anew.
    return {**memory.findings, **now} if blind and memory.looks != WAITS else now


def publish(environment: Environment, topic: str, told: telling.Told) -> None:
    """Say something through a topic of alerts (sns:Publish); raises SourceError."""
    arn = f"arn:aws:sns:{environment.region}:{environment.account}:{topic}"
    body = {"source": REPORT, "detail-type": "report", "time": aws.now(environment).isoformat(), "detail": told}
    try:
        aws.ask(environment, "sns", "publish", TopicArn=arn, Message=json.dumps(body, ensure_ascii=False))
    except SourceError as error:
        if "NotFound" not in error.what:
            raise
        raise SourceError(f"there is no topic {topic}", why=error.why, fix=f"opslib alerts plan --env {environment.name}, then apply") from None  # fmt: skip


def measure(environment: Environment, name: str, report: str, value: float) -> None:
    """Write a metric of a report (cloudwatch:PutMetricData); raises SourceError."""
    dimensions = [{"Name": "Environment", "Value": environment.name}, {"Name": "Report", "Value": report}]
    point = {"MetricName": name, "Dimensions": dimensions, "Timestamp": aws.now(environment), "Value": value}
    aws.ask(environment, "cloudwatch", "put_metric_data", Namespace=NAMESPACE, MetricData=[point])


def kept_as(one: Scheduled, record: Path) -> dict[str, Any]:
    """Return where a delivered record lies and what is in it, for Memory; nothing when it does not go to `report_bucket`."""
    lies = {"record": _path(record), "files": _names(record)}
    return lies if "s3" in one.schedule.deliver else {"record": "", "files": ()}


def bring(environment: Environment, memory: Memory) -> None:
    """Bring the last record here where another machine made it (s3:GetObject): a run says what changed since. Raises OpsError."""
    folder = records.reports() / memory.record
    strays = any(one.startswith("/") or ".." in one for one in (memory.record, *memory.files))
    if not memory.record or folder.exists() or strays:
        return
    aside = records.reports() / ".partial" / f"{folder.name}.brought"
    try:
        for name in memory.files:
            found = aws.ask(environment, "s3", "get_object", Bucket=environment.report_bucket, Key=f"{_FOLDER}/{memory.record}/{name}")  # fmt: skip
            files.make_private((aside / name).parent, below=records.reports())
            (aside / name).write_bytes(aws.content(environment, found))
        files.make_private(folder.parent, below=records.reports())
        aside.replace(folder)
    except OSError as error:
        raise files.cannot_write(folder, error) from None
    finally:
        records.discard(aside)


def _path(record: Path) -> str:
    return record.relative_to(records.reports()).as_posix()


def _names(record: Path) -> tuple[str, ...]:
    return tuple(file.relative_to(record).as_posix() for file in sorted(record.rglob("*")) if file.is_file())


def _kept(environment: Environment, record: Path) -> tuple[str, str]:
    """Put the record into `report_bucket` (s3:PutObject), its page last, and return the link to it and its words."""
    folder = f"{_FOLDER}/{_path(record)}"
    for name in sorted(_names(record), key=lambda name: name == records.PAGE):
        try:
            body = (record / name).read_bytes()
        except OSError as error:
            raise RecordError(f"{record / name} cannot be read", why=str(error)) from None
        kind = _TYPES.get(Path(name).suffix, "text/plain; charset=utf-8")
        aws.ask(environment, "s3", "put_object", Bucket=environment.report_bucket, Key=f"{folder}/{name}", Body=body, ContentType=kind)  # fmt: skip
    return _link(environment, f"{folder}/{records.PAGE}")


def _link(environment: Environment, key: str) -> tuple[str, str]:
    """Return a link and how long it holds: by the address at which people read the bucket, else a signed one (s3:GetObject)."""
    if environment.report_base_url:
        return f"{environment.report_base_url.rstrip('/')}/{quote(key)}", "Report"
    signed = aws.client(environment, "s3").generate_presigned_url
    asked = {"Bucket": environment.report_bucket, "Key": key}
    link = signed("get_object", Params=asked, ExpiresIn=int(LINK.total_seconds()))
    return link, f"Report (link ends {_expiry(environment)})"


def _expiry(environment: Environment) -> str:
    """Return when a signed link ends: with the session that signed it, long before the seven days that were asked for."""
    credentials = aws.session(environment).get_credentials()
    now, latest = aws.now(environment), aws.now(environment) + LINK
    left: Callable[[], float] | None = getattr(
        credentials, "_seconds_remaining", None
    )  # of those that renew themselves
    if left is not None:
        return f"{_shown(min(latest, now + timedelta(seconds=left())), environment)}, with the session that signed it"
    return f"{_shown(latest, environment)}, {_SESSION}" if credentials.token else _shown(latest, environment)


def _shown(moment: datetime, environment: Environment) -> str:
    return f"{moment.astimezone(environment.zone):%Y-%m-%d %H:%M %Z}"
