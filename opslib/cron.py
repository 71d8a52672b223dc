"""When a schedule's time comes: five fields of cron in a time zone, days of 23 and 25 hours included.

As Debian's cron: a time that the clocks jump over comes right after the jump, one that they pass twice comes once.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from cronsim import CronSim, CronSimError

_FORM = 'minute, hour, day of month, month, day of week: "30 8 * * mon-fri"'
_ITEM = r"(?:\*|(?:[0-9]{1,2}|[A-Za-z]{3})(?:-(?:[0-9]{1,2}|[A-Za-z]{3}))?)(?:/[0-9]{1,2})?"
_FIELD = re.compile(f"{_ITEM}(?:,{_ITEM})*", re.ASCII)  # what every cron takes: no L, W, # or ?
_LONGEST = 256  # characters of Scheduler's ScheduleExpression
_SHIFT = timedelta(hours=3)  # more than clocks are ever put forward or back
_YEARS = timedelta(days=4 * 366)  # each date and weekday that a schedule is likely to mean comes in them


def checked(text: str) -> str:
    """Return the expression with single spaces; raises ValueError, "why; remedy", for what never comes or cron does not know."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} has {len(fields)} fields, not five; write {_FORM}")
    try:
        if not all(map(_FIELD.fullmatch, fields)):
            raise CronSimError("only numbers, names of three letters, and * , - / are known")
        next(CronSim(" ".join(fields), datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{text!r} is no cron expression: {error or 'it never comes'}; write {_FORM}") from None
    return " ".join(fields)


def for_scheduler(expression: str) -> str:
    """Return the expression as EventBridge Scheduler writes it; raises ValueError, "why; remedy", for what it cannot say.

    Every value is written out: a step, or a Sunday that is 0 here and 1 there, is then the same for both.
    """
    _, _, day, _, weekday = expression.split()
    if "*" not in (day, weekday):
        raise ValueError(f"EventBridge Scheduler cannot hold day of month {day!r} and day of week {weekday!r} together; write two schedules, or * for one of them")  # fmt: skip
    read = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    days = {each % 7 for each in read.weekdays if isinstance(each, int)}
    names = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
    minutes, hours, months = _listed(read.minutes, 60), _listed(read.hours, 24), _listed(read.months, 13, first=1)
    of_month = _listed(read.days, 32, first=1) if weekday == "*" else "?"
    of_week = "?" if weekday == "*" else ",".join(names[each] for each in sorted(days))
    said = f"cron({minutes} {hours} {of_month} {months} {of_week} *)"
    if len(said) > _LONGEST:
        raise ValueError(f"{expression!r} has {len(said)} characters, every value written out, and EventBridge Scheduler takes {_LONGEST}; write two schedules")  # fmt: skip
    return said


def _listed(values: set[int], end: int, *, first: int = 0) -> str:
    return "*" if len(values) == end - first else ",".join(str(each) for each in sorted(values))


def latest(expression: str, moment: datetime, zone: tzinfo) -> datetime:
    """Return the last time of the expression at or before a moment, in UTC."""
    end = moment.replace(microsecond=0) + timedelta(seconds=1)  # what comes now has come
    found = next(CronSim(expression, end.astimezone(zone), reverse=True)).astimezone(UTC)
    # In an hour that the clocks pass twice cronsim, which reads the clock on the wall, takes what has come for what will.
    for each in CronSim(expression, (found - _SHIFT).astimezone(zone)):
        if each.astimezone(UTC) > moment:
            break
        found = each.astimezone(UTC)
    return found


def following(expression: str, moment: datetime, zone: tzinfo) -> datetime:
    """Return the first time of the expression after a moment, in UTC."""
    coming = CronSim(expression, (moment - _SHIFT).astimezone(zone))
    return next(found for found in (each.astimezone(UTC) for each in coming) if found > moment)


@lru_cache(maxsize=64)
def longest_gap(expression: str, zone: tzinfo, *, since: datetime) -> timedelta:
    """Return the longest time between two times of the expression, of those of four years or the next thousand."""
    before, gap = following(expression, since, zone), timedelta()
    for number, each in enumerate(CronSim(expression, before.astimezone(zone))):
        now = each.astimezone(UTC)
        before, gap = now, max(gap, now - before)
        if now - since > _YEARS or number > 1000:
            break
    return gap
