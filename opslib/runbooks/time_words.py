"""Times in people's words, Japanese and English: "昨日の11時ごろ", "since 11:20 JST", "20分前から", "Nov 5 at 2:31 PM"."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from opslib.errors import WindowError
from opslib.window import zone_named

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"({'|'.join(_MONTHS)})[a-z]*\.?"
_ENGLISH_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DATES = (
    re.compile(r"(?P<y>\d{4})[-/.年](?P<m>\d{1,2})[-/.月](?P<d>\d{1,2})日?"),
    re.compile(r"(?P<m>\d{1,2})月(?P<d>\d{1,2})日"),
    re.compile(r"(?<![\d/.:])(?P<m>\d{1,2})/(?P<d>\d{1,2})(?![\d/])"),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?P<name>{_MONTH}),?(?: (?P<y>\d{{4}}))?", re.I),
    re.compile(rf"\b(?P<name>{_MONTH}) (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b,?(?: (?P<y>\d{{4}}))?", re.I),
)
_DAYS_BACK = (
    (2, re.compile(r"一昨日|おととい|the day before yesterday", re.I)),
    (1, re.compile(r"昨日|きのう|昨夜|昨晩|ゆうべ|yesterday|last night", re.I)),
    (0, re.compile(r"今日|本日|きょう|今朝|けさ|今晩|today|this (?:morning|afternoon|evening)|tonight", re.I)),
)
_WEEKDAY = re.compile(r"([月火水木金土日])曜|\b(mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|satur|sun)day\b", re.I)
_LATE = re.compile(r"午後|夕方|夜|晩|昨夜|昨晩|last night|afternoon|evening|tonight", re.I)
_CLOCK = re.compile(
    r"(?P<half>午前|午後|朝|夕方|夜|晩)?\s*(?:の)?\s*(?:"
    r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:\.\d+)?)?(?!\d)\s*(?P<ap>[ap]\.?m\b\.?)?"
    r"|(?P<jh>\d{1,2})時(?!間)(?:(?P<jmin>\d{1,2})分|(?P<jhalf>半))?"
    r"|\b(?P<eh>\d{1,2})\s*(?P<eap>[ap]\.?m\b\.?)|(?P<noon>正午|お?昼(?=ごろ|頃|過ぎ|すぎ|から|に)|\bnoon\b)|(?P<midnight>\bmidnight\b))",
    re.I,
)
_ZONE = re.compile(r"\s*\(?(Z\b|UTC|GMT|JST|[+-]\d{2}:?\d{2}(?!\d)|日本時間|[A-Z][a-z]+/[A-Z][A-Za-z_]+)", re.ASCII)
_AGO = re.compile(
    r"(?P<n>\d{1,4}|an?|half an)\s*(?P<unit>分|時間|日|minutes?|mins?|min|hours?|hrs?|days?|[mhd])\s*(?:半)?\s*(?:ほど|くらい|ぐらい|あまり)?\s*(?P<ago>前|ago\b)?",
    re.I,
)
_BACK = re.compile(r"(?:since|for|last|past|過去|ここ|この|直近)\s*(?:about|the last|the past|the|約)?\s*$", re.I)
_NOW = re.compile(
    r"たった今|ただいま|今|いま|現在|さっき|さきほど|先ほど|先程|\bnow\b|just now|currently|\bongoing\b", re.I
)
_SINCE = re.compile(r"から|以降|以来|\bsince\b|\bstarting\b|\bfrom\b|\bstarted\b|\bbegan\b|\bonwards?\b", re.I)
_UNITS = {"分": "minutes", "m": "minutes", "時": "hours", "h": "hours", "日": "days", "d": "days"}
AROUND_BEFORE, AROUND_AFTER = timedelta(minutes=20), timedelta(minutes=40)
LONGEST = timedelta(hours=26)
LEAD = timedelta(minutes=10)  # people notice late: a little before what they say belongs to it


@dataclass(frozen=True)
class Said:
    """What a text says about time: the stretch [start, end) in UTC, and how it was read."""

    start: datetime
    end: datetime
    how: str


def read(text: str, *, now: datetime, zone: tzinfo) -> Said | None:
    """Return the stretch of time that a text speaks of, cut to now; None if it speaks of none.

    A clock time without a date is the latest that is past; without a zone it is one of `zone`. Raises WindowError
    for a time that does not exist or lies in the future.
    """
    text = unicodedata.normalize("NFKC", text)
    since = _SINCE.search(text) is not None
    if later := re.search(r"明日|あした|あす(?:の|、)|\btomorrow\b", text, re.I):
        raise WindowError(f"{later[0]} lies in the future", fix="check the date")
    moments = _moments(text, now, zone)
    if len(moments) >= 2 and timedelta() < moments[-1] - moments[0] <= timedelta(days=2) and _is_range(text):
        return _said(moments[0], moments[-1], "from the first time named to the last", now, zone)
    if moments:
        return _since(moments[0], now, zone) if since else _around(moments[0], now, zone)
    if (back := _ago(text)) is not None:
        span, ago = back
        if since or not ago or span <= AROUND_AFTER:
            return _said(now - span - LEAD, now, f"since {_words(span)} ago, and {_words(LEAD)} before", now, zone)
        return _around(now - span, now, zone)
    if (days := _days_back(text, now, zone)) is not None:
        midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
        night = re.search(r"昨夜|昨晩|ゆうべ|last night", text, re.I)
        begin, length, called = (
            (midnight + timedelta(hours=18), timedelta(hours=12), "the night")
            if night
            else (midnight, timedelta(days=1), "the whole day")
        )
        if since and begin < now:  # it lasts
            return _said(
                max(begin, now - LONGEST),
                now,
                f"since {max(begin, now - LONGEST).astimezone(zone):%m-%d %H:%M %Z}",
                now,
                zone,
            )
        return _said(begin, begin + length, called, now, zone)
    if _NOW.search(text):
        return _said(now - timedelta(minutes=30), now, "the last 30 minutes", now, zone)
    return None


def _is_range(text: str) -> bool:
    return (
        re.search(r"から.*(?:まで|に)|[~〜–—]|\bto\b|\buntil\b|\btill\b|\bbetween\b|\d\s*-\s*\d{1,2}:|まで", text)
        is not None
    )


def _since(start: datetime, now: datetime, zone: tzinfo) -> Said:
    longest = timedelta(hours=3)
    end = min(now, start + longest)
    cut = "" if end == now else f"; the first {_words(longest)} of it"
    return _said(start - LEAD, end, f"since {start.astimezone(zone):%m-%d %H:%M %Z}, and {_words(LEAD)} before{cut}", now, zone)  # fmt: skip


def _around(moment: datetime, now: datetime, zone: tzinfo) -> Said:
    how = f"around {moment.astimezone(zone):%m-%d %H:%M %Z}: {_words(AROUND_BEFORE)} before to {_words(AROUND_AFTER)} after"
    return _said(moment - AROUND_BEFORE, moment + AROUND_AFTER, how, now, zone)


def _said(start: datetime, end: datetime, how: str, now: datetime, zone: tzinfo) -> Said:
    if start >= now:
        when = f"{start.astimezone(zone):%Y-%m-%d %H:%M %Z}"
        why = f"it is {now.astimezone(zone):%Y-%m-%d %H:%M %Z} now"
        raise WindowError(f"{when} lies in the future", why=why, fix="check the date and the zone")
    return Said(start.astimezone(UTC), min(end, now).astimezone(UTC), how)


def _words(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return (
        f"{minutes} minutes"
        if minutes < 120
        else f"{minutes / 60:g} hours"
        if minutes < 2880
        else f"{minutes // 1440} days"
    )


def _ago(text: str) -> tuple[timedelta, bool] | None:
    for found in _AGO.finditer(text):
        back = bool(_BACK.search(text[: found.start()]))
        if not (found["ago"] or back):
            continue
        number = {"a": 1.0, "an": 1.0, "half an": 0.5}.get(found["n"].lower()) or float(found["n"])
        return timedelta(**{_UNITS[found["unit"][0].lower()]: number}), bool(found["ago"])
    return None


def _days_back(text: str, now: datetime, zone: tzinfo) -> int | None:
    for days, words in _DAYS_BACK:
        if words.search(text):
            return days
    if found := _WEEKDAY.search(text):
        wanted = "月火水木金土日".index(found[1]) if found[1] else _ENGLISH_DAYS.index(found[2][:3].lower())
        return (now.astimezone(zone).weekday() - wanted) % 7
    return None


def _moments(text: str, now: datetime, zone: tzinfo) -> list[datetime]:
    """Return the moments that a text names by the clock, in its order; a date holds until the next one."""
    dates = sorted((found for pattern in _DATES for found in pattern.finditer(text)), key=lambda found: found.start())
    back = _days_back(text, now, zone)
    moments: list[datetime] = []
    for clock in _CLOCK.finditer(text):
        if any(date.start() <= clock.start() < date.end() for date in dates):
            continue
        here = _zone_at(text, clock.end(), zone)
        near = [date for date in dates if date.start() < clock.start()] or [
            date for date in dates if date.start() - clock.end() < 12
        ]
        moments.append(_moment(clock, near[-1] if near else None, back, text, now, here))
    return moments


def _zone_at(text: str, place: int, zone: tzinfo) -> tzinfo:
    found = _ZONE.match(text, place)
    stamp = re.search(r"\dT\d{2}:\d{2}$|:\d{2}:\d{2}(?:\.\d+)?$", text[:place])
    if found and (stamp or not found[1].startswith("-")):  # 11:00-11:30 is a range
        return zone_named("JST" if found[1] == "日本時間" else found[1])
    later = _ZONE.search(text, place)
    named = later if later and later[1] in ("UTC", "JST", "GMT") and later.start() - place < 24 else None
    return zone_named(named[1]) if named else zone


def _moment(
    clock: re.Match[str], date: re.Match[str] | None, back: int | None, text: str, now: datetime, zone: tzinfo
) -> datetime:
    local = now.astimezone(zone)
    hour, minute, second = (
        _hour(clock, text),
        int(clock["min"] or clock["jmin"] or (30 if clock["jhalf"] else 0)),
        int(clock["s"] or 0),
    )
    try:
        day = _date(date, local) if date else local.replace(tzinfo=None)
        moment = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(
            hours=hour, minutes=minute, seconds=second
        )
        if hour > 26 or minute > 59 or second > 59:
            raise ValueError(f"{clock[0].strip()} is no time of the day")
    except ValueError as error:
        raise WindowError(
            f"{clock[0].strip()!r} is not a time", why=str(error), fix='write it as "2026-11-05 11:20 JST"'
        ) from None
    if date is None:
        if back is not None:
            small_hours = hour < 6 and re.search(r"昨夜|昨晩|last night", text, re.I)  # of the day that followed
            return moment - timedelta(days=back - 1 if small_hours else back)
        return moment if moment <= now else moment - timedelta(days=1)
    named_year = "y" in date.re.groupindex and date["y"]
    return moment if named_year or moment <= now + timedelta(days=1) else moment.replace(year=moment.year - 1)


def _hour(clock: re.Match[str], text: str) -> int:
    if clock["noon"] or clock["midnight"]:
        return 12 if clock["noon"] else 0
    hour = int(clock["h"] or clock["jh"] or clock["eh"])
    half = (clock["ap"] or clock["eap"] or "").lower()[:1]
    late = (
        half == "p"
        or (clock["half"] or "") in ("午後", "夕方", "夜", "晩")
        or (not half and not clock["half"] and bool(_LATE.search(text)) and "午前" not in text)
    )
    if half == "a" or clock["half"] == "午前":
        return hour % 12
    return (
        hour + 12
        if late and hour < 12 and not (hour < 4 and _LATE.search(text) and not half and clock["half"] != "午後")
        else hour
    )


def _date(date: re.Match[str], local: datetime) -> datetime:
    parts = date.groupdict()
    month = int(parts["m"]) if parts.get("m") else _MONTHS.index(parts["name"][:3].lower()) + 1
    return datetime(int(parts.get("y") or local.year), month, int(parts["d"]))
