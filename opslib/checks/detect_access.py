"""Suspicious access: refusals, deletions, exports and reads in bulk, numbers in a row, a script's regularity, a shared key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opslib.checks.audit_events import Suspicion, Trail, matching
from opslib.checks.audit_story import CRITICAL, EXPORT, REMOVAL, WARN
from opslib.checks.sliding import episodes, nanoseconds, runs
from opslib.checks.wording import counted, listed, took

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from opslib.config_detections import Detections

PROBE, DELETE, EXPORTED, ACCESS = "permission probing", "bulk delete", "bulk export", "mass access"
SEQUENCE, CADENCE, SHARED = "sequential enumeration", "scripted cadence", "many addresses for one key"
LEAST_DISTANCE_S = 0.2  # what lies nearer together was one statement, no script


def probing(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find actors who are refused often, on different things."""
    import pandas as pd

    refused = trail.events[trail.events["denied"]]
    for one, rows in _often(
        refused, refused["actor"], span=pd.Timedelta(minutes=limits.probe_minutes), least=limits.probe_denials
    ):
        things = rows["object"].nunique()
        if things >= limits.probe_objects:
            said = f"{counted(len(rows), 'refusal')} on {counted(things, 'thing')} in {_span(rows)} (told from {limits.probe_denials} on {limits.probe_objects} in {limits.probe_minutes:g} min): {_actions(rows)}"
            yield Suspicion(PROBE, WARN, str(one.group), said, rows, one.reached)


def deletes(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find actors who delete many rows within minutes, or many different things within an hour."""
    import pandas as pd

    gone = trail.events[matching(trail.events["action"], REMOVAL) & trail.events["good"]]
    quick = _often(gone, gone["actor"], span=pd.Timedelta(minutes=limits.delete_minutes), least=limits.delete_rows)
    hourly = _often(gone, gone["actor"], span=pd.Timedelta(hours=1), least=limits.delete_hourly, value=gone["object"])
    told = set[str]()
    for one, rows in [*quick, *hourly]:
        if one.group not in told:
            told.add(one.group)
            said = f"{counted(len(rows), 'deletion')} in {_span(rows)} (told from {limits.delete_rows} in {limits.delete_minutes:g} min or {limits.delete_hourly} an hour): {_actions(rows)}"
            yield Suspicion(DELETE, CRITICAL, str(one.group), said, rows, one.reached)


def exports(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find actors who export more in an hour than the limit, and than their own greatest hour times `times_usual`."""
    import pandas as pd

    out = trail.events[matching(trail.events["action"], EXPORT) & trail.events["good"]]
    hour, told = pd.Timedelta(hours=1), set[str]()
    many = _often(out, out["actor"], span=hour, least=limits.export_count)
    big = _often(out, out["actor"], span=hour, least=limits.export_rows, weight=out["exported"])
    for kind, column, pairs in (("rows", "exported", big), ("exports", "rows", many)):
        for one, rows in pairs:
            usual = _greatest(trail, one.group, column, EXPORT)
            if one.group not in told and one.peak > limits.times_usual * usual:
                told.add(one.group)
                severity = CRITICAL if kind == "rows" else WARN
                said = f"{one.peak:,.0f} {kind} within an hour, {_usual(trail, usual)}: {_actions(rows)}"
                yield Suspicion(EXPORTED, severity, str(one.group), said, rows, one.reached)


def accesses(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find actors who touch more different things in an hour than the limit, and than their own greatest hour."""
    import pandas as pd

    own = ~trail.events["login"] & (trail.events["actor_type"] != "system")
    seen = trail.events[(trail.events["object"] != "") & own]
    span = pd.Timedelta(hours=1)
    for one, rows in _often(seen, seen["actor"], span=span, least=limits.access_objects, value=seen["object"]):
        usual = _greatest(trail, one.group, "targets")
        if one.peak > limits.times_usual * usual:
            said = f"{one.peak:,.0f} different things within an hour, {_usual(trail, usual)}: {_actions(rows)}"
            yield Suspicion(ACCESS, WARN, str(one.group), said, rows, one.reached)


def sequences(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find actors who go through numbers one after the other."""
    import numpy as np

    number = trail.events["target_id"].str.extract(r"(\d{1,15})$", expand=False)
    rows = trail.events[number.notna() & (trail.events["actor_type"] != "system")]
    group = rows["actor"] + "\t" + rows["target_type"]
    rows = rows.loc[group.sort_values(kind="stable").index]
    group, ids = group[rows.index].to_numpy(), number[rows.index].astype("int64").to_numpy()
    step = np.r_[0, np.abs(np.diff(ids))] == 1
    for first, last in _windows(
        group, limits.sequence_ids, lambda view: view[:, 1:].mean(axis=1) >= limits.sequence_share, step
    ):
        some, which = rows.iloc[first : last + 1], ids[first : last + 1]
        said = f"{counted(len(some), 'operation')} on {some['target_type'].iloc[0]} {which.min()} to {which.max()}, {step[first + 1 : last + 1].mean():.0%} of the steps are to the next number, in {_span(some)}"
        reached = some["at"].iloc[limits.sequence_ids - 1]
        yield Suspicion(
            SEQUENCE, WARN, str(some["actor"].iloc[0]), said, some, reached, str(some["target_type"].iloc[0])
        )


def cadences(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find people whose operations come at equal distances, as those of a script do."""
    import numpy as np

    rows = trail.events[trail.events["actor_type"] != "system"]
    group = rows["actor"] + "\t" + rows["user_agent"]  # a script has its own browser while the person goes on working
    group = group.sort_values(kind="stable")
    rows = rows.loc[group.index]
    gaps = np.r_[0.0, np.diff(nanoseconds(rows["at"])) / 1e9]

    def even(view: np.ndarray) -> Any:
        mean = view[:, 1:].mean(axis=1)
        return (mean >= LEAST_DISTANCE_S) & (view[:, 1:].std(axis=1) < limits.cadence_variation * mean)

    for first, last in _windows(group.to_numpy(), limits.cadence_events, even, gaps):
        some, distance = rows.iloc[first : last + 1], gaps[first + 1 : last + 1]
        said = f"{counted(len(some), 'operation')}, one every {distance.mean():.1f} s ± {distance.std() / distance.mean():.0%}, in {_span(some)}: {_actions(some)}"
        yield Suspicion(
            CADENCE, WARN, str(some["actor"].iloc[0]), said, some, some["at"].iloc[limits.cadence_events - 1]
        )


def shared(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find keys, and administrators, that come from many addresses within an hour."""
    import pandas as pd

    own = ~trail.events["actor_type"].isin(["user", "system"])
    rows = trail.events[((trail.events["api_key"] != "") | own) & (trail.events["ip"] != "")]
    who = rows["api_key"].where(rows["api_key"] != "", rows["actor"])
    for one, some in _often(rows, who, span=pd.Timedelta(hours=1), least=limits.key_addresses, value=rows["ip"]):
        said = f"{counted(some['ip'].nunique(), 'different address').replace('addresss', 'addresses')} within {_span(some)} (told from {limits.key_addresses} an hour): {listed(list(dict.fromkeys(some['ip'])))}"
        yield Suspicion(SHARED, CRITICAL, str(one.group), said, some, one.reached)


def _often(rows: pd.DataFrame, who: pd.Series, **limit: Any) -> list[tuple[Any, pd.DataFrame]]:
    """Return each episode with its rows."""
    found = episodes(rows["at"], who, **limit)
    return [(one, rows[(who == one.group) & rows["at"].between(one.since, one.until)]) for one in found.itertuples()]


def _windows(group: np.ndarray, length: int, judged: Any, values: np.ndarray) -> list[tuple[int, int]]:
    """Return the places where windows of `length` rows of one group are judged so, overlapping ones as one."""
    import numpy as np

    if len(values) < length:
        return []
    view = np.lib.stride_tricks.sliding_window_view(values, length)
    whole = group[length - 1 :] == group[: len(group) - length + 1]
    ends = np.r_[np.zeros(length - 1, dtype=bool), whole & judged(view)]
    return runs(ends, length)


def _greatest(trail: Trail, actor: str, column: str, actions: re.Pattern[str] | None = None) -> float:
    """Return the most that an actor did in one hour of the history."""
    if trail.history is None:
        return 0.0
    mine = trail.history[trail.history["actor"] == actor]
    mine = mine[matching(mine["action"], actions)] if actions else mine
    return float(mine.groupby("hour")[column].sum().max()) if len(mine) else 0.0


def _usual(trail: Trail, usual: float) -> str:
    return (
        "without any history to compare with"
        if trail.history is None
        else f"the actor's greatest hour so far had {usual:,.0f}"
    )


def _actions(rows: pd.DataFrame) -> str:
    return listed([f"{action} {count:,}" for action, count in rows["action"].value_counts().items()], 3)


def _span(rows: pd.DataFrame) -> str:
    return took((rows["at"].max() - rows["at"].min()).total_seconds())
