"""One aware time window, parsed once: half-open, UTC inside, shown in the environment's time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opslib.errors import WindowError

SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FIXED_ZONES = {"UTC": UTC, "GMT": UTC, "Z": UTC, "JST": timezone(timedelta(hours=9), "JST")}
_FORMS = 'use a span such as "3h", or two times with a zone such as "2026-11-02 10:00/11:30 JST"'
_TIME = re.compile(r"(?:(\d{4})-(\d{2})-(\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?", re.ASCII)
_ZONE = re.compile(r"\s*(Z|[+-]\d{2}:?\d{2}|[A-Za-z]+(?:/[A-Za-z_+-]+\d*)*)\s*$", re.ASCII)


@dataclass(frozen=True)
class Window:
    """A half-open stretch of time [start, end), both aware and in UTC; `zone` is how it is shown."""

    start: datetime
    end: datetime
    zone: tzinfo
    note: str = ""

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return (self.end - self.start).total_seconds()

    def local(self, moment: datetime) -> datetime:
        """Return the moment in the zone in which the window is shown."""
        return moment.astimezone(self.zone)

    def widened(self, *, before: timedelta, after: timedelta) -> Window:
        """Return the window made longer at both ends."""
        return Window(self.start - before, self.end + after, self.zone)

    def text(self) -> str:
        """Return the window for people: local times with the zone, then UTC."""
        return f"{span_text(self.local(self.start), self.local(self.end))} ({span_text(self.start, self.end)})"

    def as_parameter(self) -> str:
        """Return the window in a form that `parse` reads back to the second."""
        start, end = self.start.astimezone(UTC), self.end.astimezone(UTC)
        return f"{start:%Y-%m-%dT%H:%M:%SZ}/{end + timedelta(microseconds=999_999):%Y-%m-%dT%H:%M:%SZ}"


def span_text(start: datetime, end: datetime) -> str:
    """Return two moments of one zone as "2026-11-05 10:40–11:40 JST", with the second date only if it differs."""
    seconds = ":%S" if start.second or end.second else ""
    last = f"{end:%H:%M{seconds}}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M{seconds}}"
    return f"{start:%Y-%m-%d %H:%M{seconds}}–{last} {end.tzname()}"


def zone_named(name: str) -> tzinfo:
    """Return the time zone of an IANA name, an offset, UTC or JST; other abbreviations are ambiguous and refused."""
    if name.upper() in _FIXED_ZONES:
        return _FIXED_ZONES[name.upper()]
    if offset := re.fullmatch(r"([+-])(\d{2}):?(\d{2})", name, re.ASCII):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fix = "write UTC, JST, an offset such as +09:00, or a name such as Asia/Tokyo"
        raise WindowError(
            f"time zone {name!r} is not known", why="abbreviations other than UTC and JST are ambiguous", fix=fix
        ) from None


def parse(text: str, *, now: datetime, zone: tzinfo) -> Window:
    """Read a window: a span back from now ("3h"), or two times with a zone ("2026-11-02 10:00/11:30 JST").

    Raises WindowError when it names no zone, ends before it starts or lies in the future; an end that is not
    over yet is cut to now, and `note` says so.
    """
    text = text.strip()
    if span := re.fullmatch(r"(\d{1,4})\s*([mhdw])", text, re.ASCII):
        back = timedelta(**{SPANS[span[2]]: int(span[1])})
        if not back:
            raise WindowError(f"window {text!r} is empty", fix=_FORMS)
        return Window(now - back, now, zone)
    if text.count("/") < 1 or not (found := _split(text)):
        raise WindowError(f"window {text!r} cannot be read", fix=_FORMS)
    start, end = found
    return _checked(text, start, end, now=now, zone=zone)


def moment(text: str, *, now: datetime, zone: tzinfo) -> datetime:
    """Read one moment with its zone: "2026-11-05 11:31 JST", "02:31 UTC" (of that zone's today), or ISO 8601.

    Raises WindowError when it names no zone or lies in the future.
    """
    named = _ZONE.search(text)
    if not named:
        raise WindowError(f"{text!r} names no time zone", fix='for example "11:31 JST" or "2026-11-05T02:31:00Z"')
    theirs = zone_named(named[1])
    found = _moment(text[: named.start()], theirs, now.astimezone(theirs))
    if found is None:
        raise WindowError(f"{text!r} is not a time", fix='for example "11:31 JST" or "2026-11-05T02:31:00Z"')
    if found > now:
        raise WindowError(f"{text!r} lies in the future", why=f"it is {now.astimezone(zone):%Y-%m-%d %H:%M %Z} now")
    return found.astimezone(UTC)


def _split(text: str) -> tuple[datetime, datetime] | None:
    """Read "A/B ZONE" or "A ZONE/B ZONE"; B may leave out its date."""
    head = re.match(rf"\s*{_TIME.pattern}", text, re.ASCII)
    if not head:
        return None
    first, rest = text[: head.end()].strip(), text[head.end() :]
    slash = re.match(r"\s*([^/\s]+(?:/[A-Za-z_]+)?)?\s*/\s*", rest, re.ASCII)
    if not slash:
        return None
    second = rest[slash.end() :]
    zone_end = _ZONE.search(second)
    name_end = zone_end[1] if zone_end else ""
    name_start = slash[1] or name_end
    if not name_start or not (name_end or slash[1]):
        why = "a time without a zone means different moments to different people"
        raise WindowError(f"window {text!r} names no time zone", why=why, fix='add one: "… JST", "… UTC" or "… +09:00"')
    start = _moment(first, zone_named(name_start), None)
    end = _moment(second[: zone_end.start()] if zone_end else second, zone_named(name_end or name_start), start)
    return (start, end) if start and end else None


def _moment(text: str, zone: tzinfo, day_of: datetime | None) -> datetime | None:
    found = _TIME.fullmatch(text.strip())
    if not found or not (found[1] or day_of):
        return None
    date = [int(found[i]) for i in (1, 2, 3)] if found[1] else [day_of.year, day_of.month, day_of.day] if day_of else []
    clock = [int(found[4]), int(found[5]), int(found[6] or 0), int((found[7] or "0").ljust(6, "0"))]
    try:
        return datetime(*date, *clock, tzinfo=zone)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise WindowError(f"{text.strip()!r} is not a time", why=str(error), fix=_FORMS) from None


def _checked(text: str, start: datetime, end: datetime, *, now: datetime, zone: tzinfo) -> Window:
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if end <= start:
        raise WindowError(
            f"window {text!r} ends before it starts",
            fix="put the earlier time first; give the second date if it passes midnight",
        )
    if start >= now:
        raise WindowError(
            f"window {text!r} lies in the future",
            why=f"it is {now.astimezone(zone):%Y-%m-%d %H:%M %Z} now",
            fix="check the date and the zone",
        )
    note = "its end is not over yet: cut to now" if end > now else ""
    return Window(start, min(end, now), zone, note)
