"""Where an investigation starts: a window, an alarm's name, a pasted page or Slack text, or a user's words with a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from urllib.parse import unquote

from opslib import redact
from opslib.errors import ParameterError, WindowError
from opslib.runbooks import time_words
from opslib.runbooks.time_words import LONGEST
from opslib.window import Window, parse

if TYPE_CHECKING:
    import pandas as pd

REQUEST_ID = re.compile(r"\breq-[0-9a-f]{8,32}\b")
_URL = re.compile(r"https?://\S+")
_STAMP = re.compile(r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:Z\b|UTC|JST|[+-]\d{2}:?\d{2})?")
_DATAPOINT = re.compile(r"\((\d{2})/(\d{2})/(\d{2}) (\d{2}:\d{2}:\d{2})\)")  # CloudWatch's reasons: day first, UTC
_EPOCH = re.compile(r"\bdate\^(\d{10})\b")
_NOTICE = re.compile(r"alarm|アラーム|pagerduty|triggered|cloudwatch", re.I)
_EXAMPLE = 'give a window ("1h"), an alarm\'s name, the text of a page, or words with a time: "checkout is slow since 11:20 JST", "昨日の11時ごろ注文できない"'
BEFORE_ALARM, AFTER_ALARM = timedelta(minutes=25), timedelta(minutes=35)


@dataclass(frozen=True)
class StartingPoint:
    """The incident's window, how it was read, and what else the text named."""

    window: Window
    how: str
    alarm: str = ""
    request_id: str = ""


def needs_alarms(text: str, *, now: datetime, zone: tzinfo) -> bool:
    """Tell whether alarms must be asked before the text can be read: it is no window and not empty."""
    try:
        return bool(text.strip()) and parse(text, now=now, zone=zone) is None
    except WindowError:
        return True


def read(text: str, *, now: datetime, zone: tzinfo, alarms: pd.DataFrame | None = None) -> StartingPoint:
    """Return the incident's window that a text means, and how it was read; empty text is the last hour.

    `alarms` (columns name, state, since) are those there are. Raises ParameterError that gives examples when the
    text names neither a time nor a known alarm, and WindowError for a time that does not exist or has not come yet.
    """
    if not text.strip():
        return StartingPoint(Window(now - timedelta(hours=1), now, zone), "nothing was given: the last hour")
    try:
        return _bounded(StartingPoint(parse(text, now=now, zone=zone), "the window that was given"))
    except WindowError:
        if re.fullmatch(
            r"[\d:TZ. +-]+/[\d:TZ. +-]+[A-Za-z/_]*", text.strip()
        ):  # meant as a window: its own error helps
            raise
    plain = _DATAPOINT.sub(r"(20\3-\2-\1 \4 UTC)", _URL.sub(" ", text))
    request = REQUEST_ID.search(plain)
    alarm = _alarm_named(text, alarms)
    if alarm is not None:
        return _of_alarm(alarm, plain, now, zone, request[0] if request else "")
    said = time_words.read(_without_ids(plain), now=now, zone=zone)
    if said is None:
        raise ParameterError(f"no time can be read in {_short(text)!r}", why=_why(text, alarms), fix=_EXAMPLE)
    window = Window(said.start, said.end, zone)
    return _bounded(StartingPoint(window, f"words: {said.how}", request_id=request[0] if request else ""))


def _bounded(point: StartingPoint) -> StartingPoint:
    if point.window.seconds > LONGEST.total_seconds():
        why = "more than a day hides the beginning of an incident"
        raise ParameterError(
            f"{point.window.text()} is too long for a first look", why=why, fix="give at most 26 hours"
        )
    return point


def _of_alarm(alarm: pd.Series, plain: str, now: datetime, zone: tzinfo, request_id: str) -> StartingPoint:
    """Take the time that the text gives the alarm, else when the alarm last changed."""
    stamp = _stamp(plain, zone)
    said = (
        None
        if stamp
        else time_words.read(plain.replace(alarm["name"], " "), now=now, zone=zone)
        if plain.strip() != alarm["name"]
        else None
    )
    if said is not None:
        window, how = Window(said.start, said.end, zone), f"alarm {alarm['name']}, {said.how}"
    else:
        moment = min(stamp or alarm["since"].to_pydatetime(), now)
        over = stamp is None and alarm["state"] == "OK"
        before, after = (timedelta(hours=1), timedelta(minutes=5)) if over else (BEFORE_ALARM, AFTER_ALARM)
        window = Window(moment - before, min(moment + after, now), zone)
        by = "the text says" if stamp else f"it has been {alarm['state']} since"
        how = f"alarm {alarm['name']}: {by} {moment.astimezone(zone):%m-%d %H:%M %Z}; {before.seconds // 60} minutes before to {after.seconds // 60} after"
    return StartingPoint(window, how, str(alarm["name"]), request_id)


def _alarm_named(text: str, alarms: pd.DataFrame | None) -> pd.Series | None:
    """Return the alarm whose name stands in the text, also inside a console link; the longest name wins."""
    if alarms is None or not len(alarms):
        return None
    where = unquote(unquote(text.replace("$", "%"))).lower() + " " + text.lower()
    notice = bool(_NOTICE.search(where))
    named = [
        name for name in map(str, alarms["name"])
        if (notice or "-" in name or "_" in name or text.strip().lower() == name.lower())  # "severe" is a word, too
        and re.search(rf"(?<![\w-]){re.escape(name.lower())}(?![\w-])", where)
    ]  # fmt: skip
    return alarms[alarms["name"] == max(named, key=len)].iloc[0] if named else None


def _stamp(plain: str, zone: tzinfo) -> datetime | None:
    """Return the first full time stamp of the text."""
    if epoch := _EPOCH.search(plain):
        return datetime.fromtimestamp(int(epoch[1]), UTC)
    if not (found := _STAMP.search(plain)):
        return None
    text = re.sub(r"\s*(UTC|Z)$", "+00:00", re.sub(r"\s*JST$", "+09:00", found[0].strip()))
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _without_ids(text: str) -> str:
    return REQUEST_ID.sub(" ", text)


def _why(text: str, alarms: pd.DataFrame | None) -> str:
    if REQUEST_ID.search(text):
        return "it names a request: trace-request shows that one"
    known = "the alarms could not be asked" if alarms is None else f"it is none of {len(alarms)} alarms"
    return f"it names neither a time nor an alarm ({known})"


def _short(text: str) -> str:
    return redact.cut(" ".join(text.split()), 80)
