"""What is due, and its window: from where the last good run ended until now, so that no minute is left out or told twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from opslib import cron
from opslib.window import Window

if TYPE_CHECKING:
    from opslib.scheduling.agenda import Scheduled
    from opslib.scheduling.memory import Memory

_MANY = 99


@dataclass(frozen=True)
class Due:
    """A run that is due."""

    at: datetime  # the scheduled time that it is for
    window: Window
    missed: int  # scheduled times before it that had no good run
    lost: Window | None  # what is older than one run covers: nobody has looked there, and none will

    @property
    def covers(self) -> str:
        """Return in words what is unusual in this window; empty when nothing is."""
        said = f"covers {self.missed} missed run{'s' if self.missed > 1 else ''}, too" if self.missed else ""
        lost = f"NOT covered: {self.lost.text()}" if self.lost else ""
        return "; ".join(one for one in (said, lost) if one)


def due(one: Scheduled, memory: Memory, now: datetime, zone: tzinfo) -> Due | None:
    """Return the run that is due now, one for all times that were missed; None when the newest time has been covered."""
    now = now.replace(microsecond=0)  # a window is told to the second
    at = cron.latest(one.schedule.cron, now, zone)
    if memory.covered and memory.covered >= min(at, now):
        return None
    since = memory.covered or now - one.schedule.first
    start = max(since, now - one.schedule.most)
    lost = Window(since, start, zone) if one.follows and start > since else None
    return Due(at, Window(start, now, zone), _missed(one, memory, at, zone), lost)


def _missed(one: Scheduled, memory: Memory, at: datetime, zone: tzinfo) -> int:
    """Count the times between the last good run and this one; none on a first run, and no more than people care for."""
    moment, count = memory.covered, 0
    while moment and count < _MANY and (moment := cron.following(one.schedule.cron, moment, zone)) < at:
        count += 1
    return count
