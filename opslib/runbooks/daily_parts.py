"""The evidence of the daily report: components, alarms, what raised none, jobs, builds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd

from opslib.checks import frontend_story, job_parts, jobs, over_time, service_story
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, local, took
from opslib.display import FLAG, HEADINGS
from opslib.result import Next, Result, Sight, Verdict
from opslib.runbooks.daily_due import Item, blind, labelled
from opslib.runbooks.daily_lines import Line, Look
from opslib.runbooks.next_step import INVESTIGATE

if TYPE_CHECKING:
    pass

ROUTINE = ("backup", "")  # categories of RDS events that are every day's
SHOWN_EVENTS = 12


def components(rows: pd.DataFrame, lines: list[Line]) -> Result:
    """Show every component: verdict and sentence."""
    off = [line.component for line in lines if line.verdict in (Verdict.CRITICAL, Verdict.WARN)]
    worst = next(
        (
            one
            for one in (Verdict.CRITICAL, Verdict.WARN, Verdict.UNKNOWN)
            if any(line.verdict is one for line in lines)
        ),
        Verdict.OK,
    )
    calm = sum(line.verdict is Verdict.OK for line in lines)
    sentence = f"{calm} of {counted(len(lines), 'component')} as usual" + (f"; off: {', '.join(off)}." if off else ".")
    return Result("components", HEADINGS["components"][0], worst, sentence, table=rows)


def alarm_items(look: Look, lines: list[Line]) -> list[Item]:
    """Return the alarms that are on and that no line speaks of."""
    frame = look.facts["alarms"].frame
    if frame is None:
        return []
    told = {line.component for line in lines if line.verdict in (Verdict.CRITICAL, Verdict.WARN)}
    off = {line.component for line in lines if line.verdict is Verdict.CRITICAL}
    found = []
    for row in frame[frame["state"] == "ALARM"].itertuples():
        if row.component in told or (not row.component and off):  # a composite alarm follows from the others
            continue
        verdict = Verdict.CRITICAL if row.severity == "critical" else Verdict.WARN
        where = f" ({row.region})" if row.region != look.run.environment.region else ""
        what = f"alarm {row.name}{where} is on since {local(row.since, look.window)}"
        found.append(
            Item(verdict, what, Next(INVESTIGATE + "first-look", {"report": str(row.name)}), str(row.component))
        )
    return found


def rang(look: Look) -> Result:
    """Show which alarms fired in the window, and which still are on."""
    title, now, past = HEADINGS["alarms"][0], look.facts["alarms"], look.facts["alarm_history"]
    if now.frame is None:
        return blind("alarms", now)
    history = past.frame if past.frame is not None else pd.DataFrame(columns=["at", "name", "after", "region"])
    fired = history[history["after"] == "ALARM"]
    keys = list(zip(now.frame["name"], now.frame["region"], strict=True))
    times = Counter(zip(fired["name"], fired["region"], strict=True))
    states = now.frame[(now.frame["state"] == "ALARM") | pd.Series([key in times for key in keys], dtype=bool)]
    on = states[states["state"] == "ALARM"]
    silent = int((~now.frame["enabled"]).sum())
    sentence = f"{counted(len(times), 'alarm')} fired; {len(on)} still on{': ' + listed(list(on['name']), 6) if len(on) else ''}."
    sentence += f" The actions of {counted(silent, 'alarm')} are switched off." if silent else ""
    sight, reason = (Sight.PARTIAL, past.error.what) if past.error else (Sight.COMPLETE, "")
    if not len(states):
        return Result("alarms", title, Verdict.OK, sentence, sight, reason)
    shown = pd.DataFrame({
        "alarm": states["name"], "state": states["state"], labelled("since", look): over_time.local_times(look.run, states["since"]),
        "fired": [times[one.name, one.region] for one in states.itertuples()], "component": states["component"],
        "rule": [shortened(rule, 60) for rule in states["rule"]],
        FLAG: states["state"] == "ALARM",
    })  # fmt: skip
    return Result("alarms", title, Verdict.WARN if len(on) else Verdict.OK, sentence, sight, reason, table=shown)


def unalerted(look: Look) -> Result:
    """Show what happened that has no alarm: failed builds, deployments that did not stay, tasks that ended, RDS and cache events."""
    facts, window = look.facts, look.window
    names = ("builds", "deployments", "stopped_tasks", "database_events", "cache_events", "maintenance")
    rows: list[dict[str, Any]] = []
    for name in names:
        frame = facts[name].frame
        rows += [] if frame is None else [row for row in _events(name, frame) if row["at"] is not None]
    rows = sorted((row for row in rows if row["kind"] == "maintenance waits" or window.start <= row["at"] < window.end),
                  key=lambda row: row["at"], reverse=True)  # fmt: skip
    gaps = [f"{name.replace('_', ' ')}: {error.what}" for name in names if (error := facts[name].error)]
    frame = facts["stopped_tasks"].frame
    seen = pd.Timestamp(frame.attrs["seen_from"]) if frame is not None and "seen_from" in frame.attrs else None
    note = (
        f" ECS tells of stopped tasks since {local(seen, window)} only."
        if seen is not None and seen > window.start
        else ""
    )
    sight, title = (Sight.PARTIAL if gaps else Sight.COMPLETE), HEADINGS["unalerted"][0]
    if not rows:
        return Result("unalerted", title, Verdict.OK, f"Nothing happened without an alarm.{note}", sight, listed(gaps))
    kinds = pd.Series([row["kind"] for row in rows]).value_counts(sort=False)
    told = pd.DataFrame(rows)
    told["at"] = over_time.local_times(look.run, pd.Series([row["at"] for row in rows]))
    table = told.rename(columns={"at": labelled("at", look)})
    bad = bool(told[FLAG].any())
    return Result("unalerted", title, Verdict.WARN if bad else Verdict.OK, f"{listed([f'{count} x {kind}' for kind, count in kinds.items()], 6)}.{note}",
                  sight, listed(gaps), table=table.head(SHOWN_EVENTS))  # fmt: skip


def _events(name: str, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the events of one source: at, component, kind, what, and whether it is a failure."""

    def row(at: Any, component: str, kind: str, what: str, *, bad: bool) -> dict[str, Any]:
        return {"at": None if at != at else at, "component": component, "kind": kind, "what": what, FLAG: bad}

    if name == "builds":
        return [row(one.finished, "frontend", "failed build", f"build {one.job} of {one.branch}: {one.message}", bad=True)
                for one in frame[frame["status"] == "FAILED"].itertuples()]  # fmt: skip
    if name == "deployments":
        return [row(one.started, one.service, "failed deployment", f"{service_story.tag(one.image)} {one.status}: {one.reason}", bad=True)
                for one in frame[service_story.went_back(frame)].itertuples()]  # fmt: skip
    if name == "stopped_tasks":
        ended = frame[service_story.ended_badly(frame)]
        return [row(some["stopped"].max(), str(service), "tasks that ended", f"{counted(len(some), 'task')}, most: {some['reason'].mode().iloc[0]}", bad=True)
                for service, some in ended.groupby("service")]  # fmt: skip
    if name == "maintenance":
        return [
            row(one.at, one.instance, "maintenance waits", f"{one.action}: {one.description}", bad=False)
            for one in frame.itertuples()
        ]
    if name == "cache_events":
        return [
            row(one.at, "cache", "cache event", f"{one.node}: {one.message}", bad=False) for one in frame.itertuples()
        ]
    return [row(one.at, one.instance, "database event", one.message, bad="fail" in one.category or "low storage" in one.category)
            for one in frame[~frame["category"].isin(ROUTINE)].itertuples()]  # fmt: skip


def background(look: Look) -> Result:
    """Show the jobs of the window against their own history."""
    if look.run.environment.database is None:
        return Result("jobs", HEADINGS["jobs"][0], Verdict.OK, "No database with jobs is configured.")
    runs = look.facts["job_runs"].frame
    if look.jobs is None or runs is None:
        broken = [
            look.facts[name]
            for name in ("job_runs", "unfinished_runs", "job_history", "clock_runs")
            if look.facts[name].error
        ]
        return blind("jobs", broken[0])
    verdict, sentence = jobs.conclusion(look.jobs, runs=len(runs), window=look.window)
    source = over_time.source(look.run, look.window, "job_runs_page", runs)
    table = job_parts.by_job(look.run, look.jobs, source).table
    return Result("jobs", HEADINGS["jobs"][0], verdict, sentence, table=table, sources=(source,))


def delivery(look: Look) -> Result:
    """Show the builds of the front end of the window, how long they took, and what speaks against the delivery."""
    title, fact = HEADINGS["delivery"][0], look.facts["builds"]
    said = [(name, reading) for name, reading in look.readings.items() if reading.said and name != "origin"]
    worst = (
        Verdict.CRITICAL
        if any(one.verdict is Verdict.CRITICAL for _, one in said)
        else Verdict.WARN
        if said
        else Verdict.OK
    )
    against = (
        listed([f"{frontend_story.SUSPECTS[name]}: {listed(one.said, 2)}" for name, one in said]) or "delivery as usual"
    )
    if fact.frame is None:
        return blind("delivery", fact)
    every = fact.frame
    every = every.assign(seconds=(every["finished"] - every["started"]).dt.total_seconds())
    today = every[every["started"] >= look.window.start]
    usual = every.loc[every["status"] == "SUCCEED", "seconds"].median()
    failed = int((today["status"] == "FAILED").sum())
    sentence = (
        f"{counted(len(today), 'build')}, {failed} failed; a build usually takes {took(float(usual))}; {against}."
    )
    if not len(today):
        return Result("delivery", title, worst, sentence)
    shown = pd.DataFrame({
        labelled("started", look): over_time.local_times(look.run, today["started"]), "branch": today["branch"], "build": today["job"], "status": today["status"],
        "took": [took(value) for value in today["seconds"]], "commit": today["message"], FLAG: today["status"] == "FAILED",
    })  # fmt: skip
    return Result("delivery", title, worst, sentence, table=shown.head(10))
