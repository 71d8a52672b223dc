"""Suspicious changes of habit: who is no customer comes from elsewhere, does something new, at other hours, or again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opslib.checks.audit_events import Suspicion, Trail
from opslib.checks.audit_story import CRITICAL, PRIVILEGE, WARN
from opslib.checks.detect_privileges import TAKEN
from opslib.checks.wording import counted, listed

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config_detections import Detections

ORIGIN, FIRST, HOURS, DORMANT = "new origin", "first-time action", "off-hours", "dormant account"
COLD_HOURS, COLD_DAYS = range(7, 21), range(5)  # without a history: 07:00 to 21:00, Monday to Friday
LEAST_EVENTS = 20  # operations from which on hours of work are habits


def origins(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find administrators who come from a network that was not theirs for `new_days`."""
    for actor, rows, before in _known(trail, limits):
        usual = before[before["hour"] >= trail.events["at"].max() - _days(limits.new_days)]
        strange = rows[(rows["network"] != "") & ~rows["network"].isin(usual["network"])]
        for network, some in strange.groupby("network"):
            said = f"{counted(len(some), 'operation')} from {network}, not in {limits.new_days} days before; usually {listed(sorted(set(before['network'].dropna())), 3)}"
            yield Suspicion(ORIGIN, WARN, actor, said, some, some["at"].iloc[0], str(network))


def firsts(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find what an actor does for the first time in `new_days`; of privileges it is critical."""
    for actor, rows, before in _known(trail, limits):
        usual = before[before["hour"] >= trail.events["at"].max() - _days(limits.new_days)]
        for action, some in rows[~rows["action"].isin(usual["action"])].groupby("action"):
            ever = before.loc[before["action"] == action, "hour"]
            last = f"last {ever.max():%Y-%m-%d}" if len(ever) else "never in the history"
            severity = CRITICAL if PRIVILEGE.search(str(action)) and not TAKEN.search(str(action)) else WARN
            said = f"{action} {counted(len(some), 'time')}, on {_some(some)}; {last}"
            yield Suspicion(FIRST, severity, actor, said, some, some["at"].iloc[0], str(action))


def hours(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find administrators at work at an hour of the week, give or take one hour, that is not theirs."""
    if trail.history is None:
        return
    zone = str(trail.window.zone)
    staff = trail.events[trail.events["actor_type"] == "staff"]
    local = staff["at"].dt.tz_convert(zone)
    for actor, rows in staff.groupby("actor"):
        before = trail.history[trail.history["actor"] == actor]
        slots = _usual_slots(before, zone, limits) if before["rows"].sum() >= LEAST_EVENTS else _cold_slots()
        mine = local[rows.index]
        slot = mine.dt.day_of_week * 24 + mine.dt.hour
        odd = rows[~slot.isin(slots)]
        for day, some in odd.groupby(mine[odd.index].dt.date):
            clock = ", ".join(dict.fromkeys(mine[some.index].dt.strftime("%a %H:00")))
            kind = (
                "hours at which there was no habit of work"
                if len(before)
                else "outside 07–21 on weekdays, without a history"
            )
            said = f"{counted(len(some), 'operation')} at {clock}: {kind}; {_acts(some)}"
            yield Suspicion(HOURS, WARN, str(actor), said, some, some["at"].iloc[0], str(day))


def dormant(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find accounts, not of customers, that do something after `dormant_days` or more of nothing."""
    if trail.history is None:
        return
    last = trail.history.groupby("actor")["hour"].max()
    rows = trail.events[~trail.events["actor_type"].isin(["user", "system"])]
    for actor, some in rows.groupby("actor"):
        before = last.get(actor)
        if before is not None and some["at"].iloc[0] - before < _days(limits.dormant_days):
            continue
        gone = (
            f"nothing for {(some['at'].iloc[0] - before).days} days"
            if before is not None
            else f"nothing in the {limits.history_days} days of history: new, or away for longer"
        )
        yield Suspicion(
            DORMANT,
            WARN,
            str(actor),
            f"{counted(len(some), 'operation')} after {gone}; {_acts(some)}",
            some,
            some["at"].iloc[0],
        )


def _known(trail: Trail, limits: Detections) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield who is neither customer nor system and has a history: the actor, the events, the history."""
    if trail.history is None:
        return
    rows = trail.events[~trail.events["actor_type"].isin(["user", "system"])]
    for actor, some in rows.groupby("actor"):
        before = trail.history[trail.history["actor"] == actor]
        if before["rows"].sum() >= limits.known_events:
            yield str(actor), some, before


def _usual_slots(before: pd.DataFrame, zone: str, limits: Detections) -> list[int]:
    """Return the hours of the week, Monday 0 to Sunday 167, around which the actor worked on `usual_days` days."""
    import pandas as pd

    local = before["hour"].dt.tz_convert(zone)
    slot, day = local.dt.day_of_week * 24 + local.dt.hour, local.dt.floor("D", ambiguous="NaT", nonexistent="NaT")
    near = pd.concat([pd.DataFrame({"slot": (slot + step) % 168, "day": day}) for step in (-1, 0, 1)])
    days = near.drop_duplicates().groupby("slot").size()
    return [int(found) for found in days.index[days >= limits.usual_days]]


def _cold_slots() -> list[int]:
    return [day * 24 + hour for day in COLD_DAYS for hour in COLD_HOURS]


def _some(rows: pd.DataFrame) -> str:
    return listed([name for name in dict.fromkeys(rows["object"]) if name] or ["nothing named"], 3)


def _acts(rows: pd.DataFrame) -> str:
    return listed([f"{action} {count:,}" for action, count in rows["action"].value_counts().items()], 3)


def _days(days: float) -> pd.Timedelta:
    import pandas as pd

    return pd.Timedelta(days=days)
