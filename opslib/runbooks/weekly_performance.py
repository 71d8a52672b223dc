"""The weekly report: how the week went against the week before, what got slower or faster, beside which deploy, what runs out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import pandas as pd

from opslib import display
from opslib.checks import changes
from opslib.checks.wording import counted, listed
from opslib.errors import WindowError
from opslib.result import Finding, Next, Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.runbooks import weekly_parts as parts
from opslib.runbooks.daily_health import as_it_was
from opslib.runbooks.daily_lines import WORST
from opslib.runbooks.next_step import INVESTIGATE, runbook_of
from opslib.runbooks.weekly_look import HOLE, Week
from opslib.sources import amplify, jobs, metrics, performance_insights, rds
from opslib.window import Window

NAME, TITLE = "weekly-performance", "How did the week go?"
DEADLINE_SECONDS = 15.0
WEEK, SHORTEST, LONGEST = timedelta(days=7), timedelta(days=2), timedelta(days=28)
HALF, TOP = timedelta(days=3), 8  # of Performance Insights, which keeps seven days by itself
CHANGES = ("deployments", "database_events", "cache_events", "distribution", "staff_settings")
AROUND = (timedelta(hours=1), timedelta(hours=3))  # what the next notebook is opened on: around the onset
MOST = 3
FELT = ("load-balancer", "cdn", "frontend")  # what customers meet is told first


def report(run: Run) -> Result:
    """Compare the last seven whole days of the environment's zone, or the window given, with the same hours a week before.

    Warn: a number moved to the worse by more than days differ, a job fails or takes longer, or a limit is reached within
    30 days; critical: within 7. Parts: components, response, services, database, statements, cache, delivery, jobs,
    capacity, deploys. Raises WindowError for a window under 2 or over 28 days.
    """
    window = window_of(run)
    facts = run.facts(deadline_s=DEADLINE_SECONDS, **fetches(run, window))
    run = as_it_was(run, facts)
    frame = facts["metrics"].frame
    run.usd += 0.0 if run.replayed or frame is None else float(frame.attrs.get("usd", 0.0))
    return run.record(told(looked(run, window, facts)))


def window_of(run: Run) -> Window:
    """Return the window given, or the seven days before the environment's today."""
    zone = run.environment.zone
    today = run.now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    start = (today.replace(tzinfo=None) - WEEK).replace(
        tzinfo=zone
    )  # seven days of the calendar, whatever summer time does
    window = run.window or Window(start.astimezone(run.now.tzinfo), today.astimezone(run.now.tzinfo), zone)
    if not SHORTEST.total_seconds() <= window.seconds <= LONGEST.total_seconds():
        raise WindowError(
            f"a window of {window.seconds / 86_400:.1f} days cannot be compared with the week before",
            why="days must be compared with days", fix="give 2 to 28 days, or leave `window` empty for the last seven",
        )  # fmt: skip
    return window


def fetches(run: Run, window: Window) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what to ask for, each under the name that it is kept by."""
    env, back = run.environment, _back(window)
    whole = Window(window.start - back, window.end, window.zone)
    then = Window(window.start - back, window.end - back, window.zone)
    told = changes.fetches(run, window)
    late = Window(max(window.start, window.end - HALF), window.end, window.zone)
    early = Window(late.start - HALF, late.start, window.zone)
    top = partial(performance_insights.top_sql, env, top=TOP)
    asked = {"statements": partial(top, window=late), "statements_before": partial(top, window=early),
             "jobs": partial(jobs.history, env, window=window, zone=env.timezone), "jobs_before": partial(jobs.history, env, window=then, zone=env.timezone)}  # fmt: skip
    return {
        "metrics": partial(metrics.series, env, window=whole, period=3600),
        "builds": partial(amplify.jobs, env, window=whole),
        "instances": partial(rds.instances, env),
        **{name: told[name] for name in CHANGES if name in told},
        **(asked if env.database is not None or _kept(run, "jobs") else {}),
    }


def _kept(run: Run, name: str) -> bool:
    return run.replayed is not None and any((run.replayed / "data").glob(f"{name}.*"))


def _back(window: Window) -> timedelta:
    return WEEK * math.ceil(window.seconds / WEEK.total_seconds())


def looked(run: Run, window: Window, facts: Mapping[str, Fact]) -> Week:
    """Put the hours of the window and those a week before under the same times."""
    frame, back = facts["metrics"].frame, _back(window)
    if frame is None:
        none = pd.DataFrame(columns=pd.MultiIndex.from_tuples([], names=["component", "metric"]), index=pd.DatetimeIndex([], tz="UTC"))  # fmt: skip
        return Week(run, window, back, facts, none, none)
    plain = frame.copy()
    plain.attrs = {}
    now = plain[plain.index >= pd.Timestamp(window.start).floor("h")]
    before = plain.set_axis(plain.index + back).reindex(now.index)
    return Week(run, window, back, facts, now, before)


def told(week: Week) -> Result:
    every = (
        parts.numbers(week, "response", ("load-balancer",), ("load-balancer", "TargetResponseTime p90")),
        parts.numbers(week, "services", week.run.environment.services.names),
        parts.numbers(week, "database", ("database", "replica"), ("database", "DBLoad")),
        parts.statements(week), parts.numbers(week, "cache", ("cache",), ("cache", "CacheHitRate")),
        parts.delivery(week), parts.jobs(week), parts.capacity(week), parts.deploys(week),
    )  # fmt: skip
    worse = [name for name in week.components() if week.moved(name, worse=True)]
    worse.sort(key=lambda name: (name not in FELT, -week.moved(name, worse=True)[0].size))
    reasons, lines = _unseen(week), _lines(week)
    found = [_finding(week, name) for name in worse] + [
        Finding(f"weekly:{part.name}", "warning", part.sentence, Next(*_STEPS[part.name]))
        for part in every if part.name in _STEPS and part.verdict in (Verdict.WARN, Verdict.CRITICAL)
    ]  # fmt: skip
    critical = any(part.verdict is Verdict.CRITICAL for part in every)
    verdict = Verdict.CRITICAL if critical else Verdict.WARN if found else Verdict.UNKNOWN if reasons else Verdict.OK
    shown = tuple(one.step for one in found if one.step)[: 2 * MOST]
    return Result(
        NAME, TITLE, verdict, _sentence(week, worse, found, reasons), Sight.PARTIAL if reasons else Sight.COMPLETE, listed(reasons, 5), _tiles(week),
        sources=_sources(week), next=shown, data=tuple(f"data/{name}.csv" for name, fact in week.facts.items() if fact.frame is not None and week.run.folder),
        parts=(_components(lines), *every), findings=tuple(found),
    )  # fmt: skip


_STEPS: dict[str, tuple[str, dict[str, str], str]] = {
    "statements": (f"{INVESTIGATE}slow-database", {}, "see the statements and their waits"),
    "jobs": (f"{INVESTIGATE}failed-jobs", {"window": "7d"}, "see the errors of the jobs"),
    "capacity": (f"{INVESTIGATE}slow-database", {}, "see what fills"),
}


def _finding(week: Week, component: str) -> Finding:
    """Return what got worse in a component, with the notebook that shows the hours around its onset."""
    names, rows = set(week.run.environment.services.names), week.moved(component, worse=True)
    since = rows[0].move.since if rows[0].move else None
    metrics_ = [row.of.metric for row in rows]
    runbook = "first-look" if component == "load-balancer" else runbook_of(component, metrics_[0], metrics_, names)
    begin = week.window.end - timedelta(days=1) if since is None else since.to_pydatetime() - AROUND[0]
    end = week.window.end if since is None else min(since.to_pydatetime() + AROUND[1], week.window.end)
    parameters = {"window": Window(begin, end, week.window.zone).as_parameter()}
    if runbook == "failing-service":
        parameters = {"service": component, **parameters}
    database = week.run.environment.database
    if component == "replica" and database and database.replicas:
        parameters = {"instance": database.replicas[0], **parameters}
    step = Next(INVESTIGATE + runbook, parameters, f"see what {component} did then")
    return Finding(f"weekly:{component}", "warning", f"{component}: {week.told(rows)}", step)


def _sentence(week: Week, worse: list[str], found: list[Finding], reasons: list[str]) -> str:
    calm = sum(bool(week.of(name)) and not any(row.move for row in week.of(name)) for name in week.components())
    rest = f"{calm} of {counted(len(week.components()), 'component')} went as the week before"
    better = [
        f"{name} {week.told(rows, beside=False)}"
        for name in week.components()
        if (rows := week.moved(name, worse=False))
    ]
    good = f" Better: {listed(better, MOST)}." if better else ""
    if found:  # what lies beside is said once: it is mostly the same
        short = [f"{name}: {week.told(week.moved(name, worse=True), beside=False)}" for name in worse[1:]]
        told = [found[0].text, *short, *(one.text for one in found[1 + len(short) :])]
        return f"{listed([text.rstrip('.') for text in told], MOST)}.{good} {rest[0].upper()}{rest[1:]}."
    seen = "that could be seen needs a person, but not all could be seen" if reasons else "needs a person"
    return f"Nothing {seen}: {rest}.{good}"


def _lines(week: Week) -> list[tuple[str, Verdict, str]]:
    """Return a row a component: how it went, and what is said of it; the worst first."""
    found = []
    for name in week.components():
        rows = week.of(name)
        worse, better = week.moved(name, worse=True), week.moved(name, worse=False)
        if not rows or not week.before[[(name, row.of.metric) for row in rows]].notna().to_numpy().any():
            found.append((name, Verdict.UNKNOWN, "not seen" if not rows else "the week before is not known"))
        elif worse or better:
            said = [text for text in (week.told(worse) if worse else "", week.told(better) if better else "") if text]
            found.append((name, Verdict.WARN if worse else Verdict.OK, listed(said)))
        else:
            told = [f"{row.of.metric} {row.figures()[1]} ({row.figures()[0]})" for row in rows if row.of.bad][:2]
            found.append((name, Verdict.OK, f"as before: {listed(told)}"))
    return sorted(found, key=lambda line: WORST.index(line[1]))


def _components(lines: list[tuple[str, Verdict, str]]) -> Result:
    worst = lines[0][1] if lines else Verdict.UNKNOWN
    calm = sum(verdict is Verdict.OK for _, verdict, _ in lines)
    rows = pd.DataFrame({
        "component": [name for name, _, _ in lines], "verdict": [display.status_text(str(verdict)) for _, verdict, _ in lines],
        "sentence": [said for _, _, said in lines],
    })  # fmt: skip
    sentence = f"{calm} of {counted(len(lines), 'component')} no worse than the week before."
    return Result("components", parts.TITLES["components"], worst, sentence, table=rows)


def _tiles(week: Week) -> dict[str, str]:
    """Return which days they are, and the week in four numbers, each with its change."""
    first, last = (week.window.local(moment) for moment in (week.window.start, week.window.end - timedelta(seconds=1)))
    tiles = {f"days, {week.run.environment.timezone}": f"{first:%m-%d}–{last:%m-%d}"}
    named = {"requests": "RequestCount", "response time p90": "TargetResponseTime p90", "share of 5XX": "5XX share"}
    for name, metric in named.items():
        row = week.rows.get(("load-balancer", metric))
        if row is not None:
            tiles[f"{name}, {row.change()}"] = f"{row.now / 1e6:,.1f} M" if row.now >= 1e6 else row.figures()[1]
    made = (week.changed["kind"] == "deploy") & (week.changed["at"] >= week.window.start)
    return {**tiles, "deploys": str(int(made.sum()))}


def _unseen(week: Week) -> list[str]:
    """Return what could not be seen, each with its reason: sources, and hours without a point."""
    reasons = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in week.facts.items() if fact.error]
    for name, fact in week.facts.items():
        problems = [] if fact.frame is None else fact.frame.attrs.get("problems", [])
        reasons += [f"{name.replace('_', ' ')}: {problem}" for problem in problems]
    if week.facts["metrics"].frame is not None:
        for when, frame in (("this week", week.now), ("the week before", week.before)):
            holes = {name: week.hole(name, frame) for name in week.components()}
            for hours in sorted({hole for hole in holes.values() if hole > HOLE}, reverse=True):
                of = [name for name, hole in holes.items() if hole == hours]
                reasons.append(f"no data for {hours} of {len(frame)} hours of {when}: {listed(of, MOST)}")
    return list(dict.fromkeys(reasons))


def _sources(week: Week) -> tuple[Source, ...]:
    account, region = week.run.identity.account, week.run.environment.region
    others = "Performance Insights, ECS, Amplify, RDS, ElastiCache, CloudFront, PostgreSQL (job_runs)"
    return (*parts.source(week), Source(others, account, region, week.window.text()))
