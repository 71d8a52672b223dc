"""The links of an alert into AWS's console: the alarm, what it looks at, and the logs of that time; standard library alone."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=10)  # the window of links and commands, around the change
MOST = 2500  # characters of a link: Slack takes 3,000, and 13,000 for a whole message
QUERY = 'fields @timestamp, service, request_id, error.kind, message | filter level = "error" | sort @timestamp desc | limit 200'
_STATS = {"AVERAGE": "Average", "SUM": "Sum", "MINIMUM": "Minimum", "MAXIMUM": "Maximum", "SAMPLECOUNT": "SampleCount"}  # of SNS  # fmt: skip


def watched(trigger: Mapping[str, Any]) -> dict[str, str]:
    """Return the dimensions of an alarm's metric, or of all that its metric math is over; SNS and API write them differently."""
    stats = [as_dict(as_dict(one).get("MetricStat")) for one in trigger.get("Metrics") or []]
    held = [trigger, *(as_dict(stat.get("Metric")) for stat in stats)]
    pairs = [as_dict(one) for metric in held for one in metric.get("Dimensions") or []]
    return {str(one.get("name") or one.get("Name")): str(one.get("value") or one.get("Value")) for one in pairs}


def drawn(trigger: Mapping[str, Any]) -> list[Any]:
    """Return the graph of an alarm: each metric by the alarm's own statistic and period, which the console would not guess."""
    own = {"MetricStat": {**trigger, "Metric": trigger}, "ReturnData": True}
    return [line for one in trigger.get("Metrics") or [own] if (line := _line(as_dict(one)))]


def _line(query: Mapping[str, Any]) -> list[Any]:
    about = {"id": str(query.get("Id") or "m1"), "visible": bool(query.get("ReturnData"))}
    if query.get("Expression"):
        return [{"expression": str(query["Expression"]), "label": str(query.get("Label") or "result"), **about}]
    held = as_dict(query.get("MetricStat"))
    metric, period = as_dict(held.get("Metric")), held.get("Period")
    if not (metric.get("Namespace") and metric.get("MetricName")):
        return []
    stat = str(held.get("Stat") or held.get("ExtendedStatistic") or held.get("Statistic") or "Average")
    about |= {"stat": _STATS.get(stat, stat), "period": period if isinstance(period, int) else 60}
    return [metric["Namespace"], metric["MetricName"], *(text for pair in watched(metric).items() for text in pair), about]  # fmt: skip


def console(region: str, at: datetime, env: str, *, alarm: str = "", graph: Iterable[Any] = ()) -> tuple[tuple[str, str], ...]:  # fmt: skip
    """Return words and addresses of the console, in the absolute window around a change."""
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        return ()
    home = "https://{0}.console.aws.amazon.com/cloudwatch/home?region={0}#"
    start, end = utc(at - BEFORE, ".000Z"), utc(at + AFTER, ".000Z")
    found = []
    if alarm:
        found.append(("Alarm", f"{home.format(region)}alarmsV2:alarm/{urllib.parse.quote(alarm, safe='', errors='replace')}"))  # fmt: skip
    if lines := list(graph):
        shown = {"metrics": lines, "view": "timeSeries", "region": region, "start": start, "end": end}
        found.append(("Metric", f"{home.format(region)}metricsV2:graph={jsurl(shown)}"))
    groups = os.environ.get("LOG_GROUPS", "").split(",") if env == os.environ.get("ENVIRONMENT", "") else []
    if any(groups):
        asked = {"end": end, "start": start, "timeType": "ABSOLUTE", "tz": "UTC", "editorString": QUERY, "source": groups}  # fmt: skip
        inner = _quoted(jsurl(asked).replace("*", "\0")).replace("%00", "*")  # escaped once; the hex escapes stay
        address = _quoted(f"?queryDetail={inner}").replace("%2A", "*").replace("%", "$")
        where = os.environ.get("LOG_REGION", region)  # us-east-1 has the CDN's metrics, and none of these logs
        found.append((f"Logs {start[11:16]}–{end[11:16]} UTC", f"{home.format(where)}logsV2:logs-insights{address}"))
    return tuple((words, link) for words, link in found if len(link) <= MOST)


def jsurl(value: Any) -> str:
    """Return a value as the CloudWatch console writes it into its links."""
    if isinstance(value, dict):
        return "~(" + "~".join(key + jsurl(one) for key, one in value.items()) + ")"
    if isinstance(value, list):
        return "~(" + ("".join(map(jsurl, value)) or "~") + ")"
    if isinstance(value, bool | int):
        return f"~{json.dumps(value)}"
    return "~'" + _quoted(str(value)).replace("%", "*")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.!", errors="replace").replace("~", "%7E")


def utc(moment: datetime, end: str = "Z") -> str:
    """Return a moment in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{end}"


def as_dict(value: Any) -> dict[str, Any]:
    """Return a dict as it is, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}
