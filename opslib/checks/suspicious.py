"""Suspicious operations: what the detections find in the audit trail, read from its log group and its table at once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks import audit, audit_events, suspicious_parts
from opslib.checks.audit_events import Trail
from opslib.checks.audit_story import CRITICAL, PRIVILEGE, WARN
from opslib.checks.detections import DETECTIONS, LOOKBACK, checked, judge
from opslib.checks.wording import counted, listed
from opslib.errors import ParameterError
from opslib.result import Finding, Result, Sight, Verdict
from opslib.run import Fact, Run
from opslib.sources import audit as trail_of
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME, WHO = "suspicious-operations", "2-investigate/who-did-what"
MODES = {"all": "24h", "cheap": "15m"}  # and their window, when none is given
SETTLED = timedelta(minutes=5)  # so late a line may come: what is younger is not compared
ACTORS = 300  # whose history is read
LEAST_HISTORY = timedelta(days=14)  # a table that reaches back less far tells nothing about habits
ASKED: dict[str, Any] = {"actor": "", "action": "", "target": "", "who": ""}


def watch(run: Run, *, detections: str = "all") -> Result:
    """Say whether anything that was done needs a person, and show the rows behind it.

    `detections` is "all", over 24 hours unless told otherwise and against the actors' history, or "cheap", over 15
    minutes and two hours before them, for every quarter of an hour. Critical findings carry a key that stays the same.
    Parts: findings, rows, detections, sources. Raises ParameterError, ConfigError.
    """
    if detections not in MODES:
        raise ParameterError(f"detections cannot be {detections!r}", fix=f"choose of: {', '.join(MODES)}")
    checked(run.environment.detections)
    cheap, window = detections == "cheap", run.window_or(MODES[detections])
    look = Window(window.start - LOOKBACK[cheap], window.end, window.zone)
    near = Window(window.start - SETTLED, window.end, window.zone)  # lines are dearer: they prove the window's rows
    facts = run.facts(
        deadline_s=6 * run.deadline,
        audit_table=partial(trail_of.rows, run.environment, window=look),
        audit_lines=partial(audit.log_lines, run, near, ASKED),
    )
    if facts["audit_table"].error is not None and facts["audit_lines"].error is None:
        facts |= run.facts(deadline_s=6 * run.deadline, audit_lines=partial(audit.log_lines, run, look, ASKED))
    frames = {name: fact.frame for name, fact in facts.items() if fact.frame is not None}
    problems = [_reason(fact) for fact in facts.values() if fact.error is not None]
    problems += [problem for frame in frames.values() for problem in frame.attrs.get("problems", [])]
    if not frames:
        return run.record(suspicious_parts.blind(facts, problems))
    events, missing = _read(run, window, frames, problems)
    history = _history(run, look, events, problems, cheap)
    trail = Trail(events, window, history.frame, missing)
    found = judge(trail, run.environment.detections, cheap=cheap)
    run.keep("findings", found.drop(columns="rows"))
    return run.record(_told(run, trail, found, frames, problems, cheap))


def _read(
    run: Run, window: Window, frames: dict[str, pd.DataFrame], problems: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the events of both sources, and what one lacks of the other's when both could be read whole."""
    table, lines = frames.get("audit_table"), frames.get("audit_lines")
    if table is None or lines is None:
        problems.append("table and log could not be compared")
        return audit_events.events(table if table is not None else lines), None
    if len(lines) and not (lines["id"] > 0).any():
        problems.append("the lines carry no audit_id: table and log could not be compared")
        return audit_events.events(table if len(table) else lines), None
    late = timedelta(seconds=float(table.attrs.get("lag_s") or 0.0))
    kept = lines.attrs.get("kept_days", float("nan"))
    since = max(window.start, run.now - timedelta(days=kept) + SETTLED) if kept == kept else window.start
    every, missing = audit_events.compared(table, lines, since=since, before=window.end - SETTLED - late)
    whole = table.attrs.get("complete", True) and lines.attrs.get("complete", True)
    if not whole:
        problems.append("table and log were not compared: there is more than was read")
    return audit_events.events(every), missing if whole else None


def _history(run: Run, look: Window, events: pd.DataFrame, problems: list[str], cheap: bool) -> Fact:
    """Ask the table for the habits of those who are no customers, and of whoever did so much that it matters.

    The cheap detections need only those of who gives rights or does much: mostly nobody, and nothing is asked.
    """
    limits = run.environment.detections
    counts = events.loc[events["actor_type"] != "system", "actor"].value_counts()
    busy = counts.index[counts >= min(limits.access_objects, limits.export_count * 4)]
    exported = events.loc[events["exported"] >= limits.export_rows, "actor"]
    granting = events.loc[audit_events.matching(events["action"], PRIVILEGE), "actor"]
    own = granting if cheap else events.loc[~events["actor_type"].isin(["user", "system"]), "actor"]
    actors = sorted({*own, *busy, *exported})
    if not actors:
        return Fact("audit_history")
    if len(actors) > ACTORS:
        problems.append(f"the history of {ACTORS} of {len(actors)} actors was read")
    before = Window(look.start - timedelta(days=limits.history_days), look.start, look.zone)
    ask = partial(trail_of.history, run.environment, window=before, actors=actors[:ACTORS])
    fact = run.facts(deadline_s=3 * run.deadline, audit_history=ask)["audit_history"]
    named = listed([name for name, about in DETECTIONS.items() if about.history], 9)
    if fact.frame is None:
        lost = (
            "grants, exports and accesses were not compared with habits"
            if cheap
            else f"these were not looked for: {named}"
        )
        problems.append(f"the table's history could not be read, so {lost}")
    elif not cheap and (not len(fact.frame) or look.start - fact.frame["hour"].min() < LEAST_HISTORY):
        problems.append(
            f"the table reaches back less than {LEAST_HISTORY.days} days, so these were not looked for: {named}"
        )
        return Fact("audit_history")
    return fact


def _told(run: Run, trail: Trail, found: pd.DataFrame, frames: dict[str, pd.DataFrame], problems: list[str], cheap: bool) -> Result:  # fmt: skip
    events = trail.events
    loud = found[found["severity"].isin([CRITICAL, WARN])]
    verdict = Verdict.CRITICAL if (found["severity"] == CRITICAL).any() else Verdict.WARN if len(loud) else Verdict.OK
    sight = Sight.PARTIAL if problems else Sight.COMPLETE if len(events) else Sight.NO_DATA
    reason = "; ".join(dict.fromkeys(problems)) or (
        "" if len(events) else "neither table nor log has an operation in the window"
    )
    inside = events[events["at"] >= trail.window.start]
    tiles = {
        "findings": str(len(loud)), "critical": str(int((found["severity"] == CRITICAL).sum())), "operations": f"{len(inside):,}",
        "actors": f"{inside['actor'].nunique():,}", "detections": f"{len(suspicious_parts.asked(trail, cheap))} of {len(DETECTIONS)}",
    }  # fmt: skip
    parts = (
        suspicious_parts.findings(run, trail, found, frames), suspicious_parts.behind(run, trail, found, frames),
        suspicious_parts.looked(trail, found, frames, run, cheap), suspicious_parts.compared(run, trail, found, frames),
    )  # fmt: skip
    steps = tuple(suspicious_parts.step(trail, one) for one in loud.head(6).itertuples())
    return Result(
        NAME, "Suspicious operations", verdict, _sentence(trail, loud, cheap), sight, reason, tiles, sources=suspicious_parts.sources(run, trail, frames),
        next=steps, data=("data/findings.csv" if run.folder else "",), parts=parts, findings=tuple(_finding(trail, one) for one in loud.itertuples()),
    )  # fmt: skip


def _sentence(trail: Trail, loud: pd.DataFrame, cheap: bool) -> str:
    if not len(trail.events):
        return "Nothing was done: there is no such row."
    looked = len(suspicious_parts.asked(trail, cheap))
    if not len(loud):
        inside = int((trail.events["at"] >= trail.window.start).sum())
        return (
            f"Nothing needs a person: {counted(looked, 'detection')} found nothing in {counted(inside, 'operation')}."
        )
    worst = loud[loud["severity"] == loud["severity"].iloc[0]]
    critical = f", {len(worst)} critical" if worst["severity"].iloc[0] == CRITICAL else ", none critical"
    said = [f"{one.detection} ({one.who})" for one in worst.itertuples()]
    return f"{counted(len(loud), 'finding')}{critical}: {listed(said, 3)}."


def _finding(trail: Trail, one: Any) -> Finding:
    severity = "critical" if one.severity == CRITICAL else "warning"
    return Finding(
        one.key, severity, f"{one.detection} ({one.who}): {one.explanation}", suspicious_parts.step(trail, one)
    )


def _reason(fact: Fact) -> str:
    error = fact.error
    assert error is not None
    name = {"audit_table": "the table audit_logs", "audit_lines": "the audit log group"}[fact.name]
    return f"{name} could not be read ({error.what}{': ' + error.why if error.why else ''}; {error.fix})"
