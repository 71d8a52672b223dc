"""What is due, and its window: from where the last good run ended until now, and some minutes before that for what came late.

What a run could not see is looked at again, by the next one and once more when a run sees all; then it is told and left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from opslib import cron
from opslib.window import Window

if TYPE_CHECKING:
    from opslib.scheduling.agenda import Scheduled
    from opslib.scheduling.memory import Memory

SETTLED = timedelta(minutes=5)  # so late a line may come: each window begins so much before the last one ended
NEXT, WAITS, LAST = (
    1,
    2,
    3,
)  # Memory.looks: the next run looks there; none until one sees all; then the next, and no more
_LONGEST_PAUSE = timedelta(minutes=10)
_MANY = 99
_AGAIN = {
    NEXT: "looks again at {}: not all was seen", WAITS: "NOT all was seen: {}; looked at again once a run sees all",
    LAST: "looks a last time at {}: not all was seen",
}  # fmt: skip


@dataclass(frozen=True)
class Due:
    """A run that is due."""

    at: datetime  # the scheduled time that it is for
    window: Window
    missed: int  # scheduled times before it that had no good run
    lost: Window | None  # what is older than one run covers: nobody has looked there, and none will
    unseen: str = ""  # what is to be said of what earlier runs could not see
    follows: bool = False  # its window begins where, but for some minutes, the last one ended

    @property
    def covers(self) -> str:
        """Return in words what is unusual in this window; empty when nothing is."""
        said = f"covers {self.missed} missed run{'s' if self.missed > 1 else ''}, too" if self.missed else ""
        lost = f"NOT covered: {self.lost.text()}" if self.lost else ""
        return "; ".join(one for one in (said, self.unseen, lost) if one)

    def about(self, name: str) -> str:
        """Return in words, for its record, which time it is for and where its window begins."""
        late = (
            f"begins {SETTLED.seconds // 60} min before the last window ended, for what came late"
            if self.follows
            else ""
        )
        return "; ".join(filter(None, [f"{name} of {self.window.local(self.at):%Y-%m-%d %H:%M %Z}", late, self.covers]))


def due(one: Scheduled, memory: Memory, now: datetime, zone: tzinfo) -> Due | None:
    """Return the run that is due now, one for all times that were missed; None when the newest time has been covered."""
    now = now.replace(microsecond=0)  # a window is told to the second
    at = cron.latest(one.schedule.cron, now, zone)
    if memory.covered and memory.covered >= min(at, now):
        return None
    again = memory.unseen if one.follows and memory.looks in (NEXT, LAST) else None
    since = again or memory.covered or now - one.schedule.first
    start = max(since - SETTLED if memory.covered else since, now - one.schedule.most)
    lost = Window(since, start, zone) if one.follows and start > since else None
    unseen = Window(memory.unseen, memory.covered, zone).text() if one.follows and memory.unseen and memory.covered else ""  # fmt: skip
    words = _AGAIN[memory.looks].format(unseen) if unseen else ""
    return Due(at, Window(start, now, zone), _missed(one, memory, at, zone), lost, words, one.follows and bool(memory.covered))  # fmt: skip


def looked(memory: Memory, found: Due, *, blind: bool) -> Memory:
    """Return what is remembered of where good runs have looked, after one that saw all or, when `blind`, not all."""
    end, hole = found.window.end, memory.unseen
    if blind and hole and memory.looks != LAST:
        return replace(memory, covered=end, looks=WAITS)
    if blind:
        return replace(memory, covered=end, unseen=memory.covered or found.window.start, looks=NEXT)
    waits = hole and memory.looks == WAITS
    return replace(memory, covered=end, unseen=hole if waits else None, looks=LAST if waits else 0)


def pause(one: Scheduled, tries: int) -> timedelta:
    """Return how long to wait before another try, twice as long each time."""
    return min(timedelta(seconds=one.schedule.pause_s) * (1 << tries - 1), _LONGEST_PAUSE)


def has_time(one: Scheduled, found: Due, tries: int, now: datetime, zone: tzinfo) -> bool:
    """Tell whether another try would begin before the next run is due, which covers this one's window."""
    return now + pause(one, tries) < cron.following(one.schedule.cron, found.at, zone)


def _missed(one: Scheduled, memory: Memory, at: datetime, zone: tzinfo) -> int:
    """Count the times between the last good run and this one; none on a first run, and no more than people care for."""
    moment, count = memory.covered, 0
    while moment and count < _MANY and (moment := cron.following(one.schedule.cron, moment, zone)) < at:
        count += 1
    return count
