"""The detections by name: what each looks at, how far back, and all of them over one trail."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from opslib.checks import audit_events, detect_access, detect_habits, detect_logins, detect_privileges
from opslib.checks.audit_events import Suspicion, Trail
from opslib.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config_detections import Detections


@dataclass(frozen=True)
class Detection:
    """One detection. The cheap ones need only the last two hours of events; the others a day, or the actors' history."""

    judge: Callable[[Trail, Detections], Iterator[Suspicion]]
    looks_for: str
    cheap: bool = False
    history: bool = False


DETECTIONS: dict[str, Detection] = {
    detect_logins.BURST: Detection(detect_logins.bursts, "many failed logins on one account", cheap=True),
    detect_logins.BROKEN: Detection(detect_logins.broken, "a login that succeeds right after such a burst", cheap=True),
    detect_logins.SPRAY: Detection(detect_logins.sprays, "failed logins on many accounts from one network", cheap=True),
    detect_privileges.GRANT: Detection(detect_privileges.grants, "rights that are given, above all to oneself", cheap=True),
    detect_access.PROBE: Detection(detect_access.probing, "many refusals on different things", cheap=True),
    detect_access.DELETE: Detection(detect_access.deletes, "deletions in bulk", cheap=True),
    detect_access.EXPORTED: Detection(detect_access.exports, "exports far beyond the actor's own", cheap=True),
    detect_access.ACCESS: Detection(detect_access.accesses, "touching far more things than usual", cheap=True),
    detect_access.SEQUENCE: Detection(detect_access.sequences, "ids one after the other", cheap=True),
    detect_access.CADENCE: Detection(detect_access.cadences, "operations at equal distances", cheap=True),
    detect_access.SHARED: Detection(detect_access.shared, "one key or administrator from many addresses", cheap=True),
    detect_privileges.GAP: Detection(detect_privileges.gaps, "silence, missing rows, the trail turned off", cheap=True),
    detect_privileges.USED: Detection(detect_privileges.used, "rights given, used and taken back within a day"),
    detect_habits.ORIGIN: Detection(detect_habits.origins, "an administrator from a new network", history=True),
    detect_habits.FIRST: Detection(detect_habits.firsts, "an action new for the actor", history=True),
    detect_habits.HOURS: Detection(detect_habits.hours, "work at hours that are not the actor's", history=True),
    detect_habits.DORMANT: Detection(detect_habits.dormant, "an account that comes back after months", history=True),
}  # fmt: skip
LOOKBACK = {
    True: timedelta(hours=2),
    False: timedelta(hours=24),
}  # before the window, by whether only the cheap are asked


def judge(trail: Trail, limits: Detections, *, cheap: bool = False) -> pd.DataFrame:
    """Return what the detections find that is still on in the window (audit_events.FOUND), worst first.

    `cheap` leaves out what needs a day or a history. Raises ConfigError when `expected` names no detection.
    """
    checked(limits)
    found = [
        one
        for name, about in DETECTIONS.items()
        if about.cheap or not cheap
        for one in about.judge(trail, limits)
        if _told(name, one, limits)
    ]
    frame = audit_events.found(found, zone=str(trail.window.zone))
    return frame[frame["until"] >= trail.window.start].reset_index(drop=True)


def checked(limits: Detections) -> None:
    """Raise ConfigError when `expected` names a detection that there is not."""
    import difflib

    for name in limits.expected:
        if name not in DETECTIONS:
            near = difflib.get_close_matches(name, DETECTIONS, 1)
            fix = f"did you mean {near[0]!r}?" if near else f"choose of: {', '.join(DETECTIONS)}"
            raise ConfigError(f"detections.expected names {name!r}, which is no detection", fix=fix)


def _told(name: str, one: Suspicion, limits: Detections) -> bool:
    return not any(fnmatch.fnmatchcase(one.who, pattern) for pattern in limits.expected.get(name, ()))
