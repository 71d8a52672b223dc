"""Suspicious privileges and traces: rights that are given, used and taken back, and an audit trail with holes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opslib.checks.audit_events import INFO, Suspicion, Trail, matching
from opslib.checks.audit_story import CRITICAL, PRIVILEGE, WARN
from opslib.checks.wording import counted, listed, took

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config_detections import Detections

GRANT, USED, GAP = "privilege grant", "grant-use-revoke", "audit gap"
TAKEN = re.compile(r"revoke|remove|withdraw|demote|unassign", re.I)
OFF = re.compile(r"(?:audit|logging|log)[._-]?\w*[._-](?:off|disable|stop|purge|delete|truncate|config|update)", re.I)
ROUTINE_DAYS = 3  # days of the history on which the actor gave the same right: it is his or her work


def grants(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find rights that are given: to oneself is critical, by whom it is the daily work only a line."""
    rows = trail.events[matching(trail.events["action"], PRIVILEGE) & trail.events["good"]]
    rows = rows[~matching(rows["action"], TAKEN)]
    for (actor, action), some in rows.groupby(["actor", "action"]):
        own = some[some["target_id"] == actor]
        days = _days_of(trail, str(actor), str(action))
        severity = CRITICAL if len(own) else INFO if days >= ROUTINE_DAYS else WARN
        told = own if len(own) else some
        said = f"{action} on {_targets(told)}" + (", to oneself" if len(own) else "")
        said += "" if trail.history is None else f"; the actor did so on {counted(days, 'day')} before"
        yield Suspicion(GRANT, severity, str(actor), said, told, told["at"].iloc[0], str(action))


def used(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find rights that were given, used, and taken back within `grant_hours`: nobody would see them in the state of things."""
    import pandas as pd

    events = trail.events[trail.events["good"]]
    changes = events[matching(events["action"], PRIVILEGE) & (events["target_id"] != "")]
    back = matching(changes["action"], TAKEN)
    for who, taken in changes[back].groupby("target_id"):
        mine = changes[~back & (changes["target_id"] == who)]
        for end in taken.itertuples():
            given = mine[(mine["at"] < end.at) & (mine["at"] >= end.at - pd.Timedelta(hours=limits.grant_hours))]
            if not len(given):
                continue
            between = events["at"].between(given["at"].iloc[-1], end.at, inclusive="neither")
            acts = events[(events["actor"] == who) & between & ~events["login"]]
            if len(acts):
                rows = events.loc[[given.index[-1], *acts.index, end.Index]]
                held = took((end.at - given["at"].iloc[-1]).total_seconds())
                said = f"given {given['action'].iloc[-1]} by {given['actor'].iloc[-1]}, used for {_acts(acts)}, taken back by {end.actor} after {held}"
                yield Suspicion(USED, CRITICAL, str(who), said, rows, end.at)
                break


def gaps(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find the trail being turned off, silences far beyond the usual pauses, and ids that are missing or in one source only."""
    off = trail.events[matching(trail.events["action"], OFF)]
    for actor, some in off.groupby("actor"):
        said = f"{_acts(some)}: the audit trail itself was changed"
        yield Suspicion(GAP, CRITICAL, str(actor), said, some, some["at"].iloc[0], "changed")
    yield from _silences(trail, limits)
    if trail.missing is not None:
        yield from _missing(trail, trail.missing, limits)


def _silences(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Yield pauses, the one up to the end of the window among them."""
    import pandas as pd

    at = trail.events["at"]
    if len(at) < 2:
        return
    pauses = at.diff().dropna()
    least = max(pd.Timedelta(minutes=limits.gap_minutes), limits.gap_times * pauses.quantile(0.99))
    for place in pauses.index[pauses >= least]:
        some = trail.events.loc[[place - 1, place]]
        said = f"no operation for {took(pauses[place].total_seconds())}; the longest usual pause is {took(pauses.quantile(0.99).total_seconds())}"
        yield Suspicion(GAP, CRITICAL, "everybody", said, some, at[place - 1] + least, f"silence-{at[place - 1]:%H%M}")
    end = pd.Timestamp(trail.window.end)
    if end - at.iloc[-1] >= least:
        said = f"no operation since {took((end - at.iloc[-1]).total_seconds())} before the end of the window; the longest usual pause is {took(pauses.quantile(0.99).total_seconds())}"
        name = f"silence-{at.iloc[-1]:%H%M}"
        yield Suspicion(GAP, CRITICAL, "everybody", said, trail.events.tail(1), at.iloc[-1] + least, name, end)


def _missing(trail: Trail, missing: pd.DataFrame, limits: Detections) -> Iterator[Suspicion]:
    """Yield rows that the table or the log lacks, and ids that both lack."""
    words = {
        "table": (CRITICAL, "lines of the log have no row in audit_logs any more: rows were deleted"),
        "log": (WARN, "rows of audit_logs have no line in the log: lines were lost or never written"),
        "both": (WARN, "ids in a row are in neither audit_logs nor the log: deleted from both, or rolled back"),
    }
    for place, some in missing.groupby("lacks"):
        some = _in_a_row(some, limits.missing_ids) if place == "both" else some
        if len(some) >= limits.missing_ids:
            severity, said = words[str(place)]
            first, last = some["id"].min(), some["id"].max()
            near = trail.events[trail.events["id"].isin([*some["id"], first - 1, last + 1])]
            said = f"{len(some):,} {said} (ids {first} to {last})"
            if len(near):
                yield Suspicion(GAP, severity, "everybody", said, near, near["at"].iloc[-1], f"lacks-{place}")


def _in_a_row(missing: pd.DataFrame, least: int) -> pd.DataFrame:
    """Return the ids that lie in a row, so many at least: an insert that is rolled back leaves one alone unused."""
    row = missing["id"].diff().ne(1).cumsum()
    return missing[row.groupby(row).transform("size") >= least]


def _days_of(trail: Trail, actor: str, action: str) -> int:
    if trail.history is None:
        return 0
    before = trail.history[(trail.history["actor"] == actor) & (trail.history["action"] == action)]
    return int(before["hour"].dt.date.nunique())


def _targets(rows: pd.DataFrame) -> str:
    return listed([name for name in dict.fromkeys(rows["object"]) if name] or ["nothing named"], 3)


def _acts(rows: pd.DataFrame) -> str:
    return listed([f"{action} {count:,}" for action, count in rows["action"].value_counts().items()], 3)
