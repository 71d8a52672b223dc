"""The daily report: does anything need a person, what, and which notebook to open; then every component in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pandas as pd

from opslib import display
from opslib.checks import changes, incident_series, jobs
from opslib.checks.ranking import rank_components
from opslib.checks.wording import counted, ended, listed
from opslib.config_sections import Database
from opslib.result import Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.runbooks import daily_due as due
from opslib.runbooks import daily_parts as parts
from opslib.runbooks import daily_steps, last_run
from opslib.runbooks.daily_due import Item
from opslib.runbooks.daily_lines import WORST, Line, Look
from opslib.runbooks.first_look_story import Story
from opslib.sources import alarms, amplify, certificates, cloudfront, ecs, elasticache, metrics, postgres, rds, route53
from opslib.sources.metric_queries import table
from opslib.window import Window

NAME = "daily-health"
DEADLINE_SECONDS = 12.0  # all at once; with the logs of a service that is off the whole report has 20 s
PERIOD = 300
MOST_DAYS = 5  # points of five minutes that one metric may have
RECENT, BEFORE, BUILDS = timedelta(hours=1), timedelta(hours=2), timedelta(days=30)
WEEK = incident_series.SEASONS["last_week"]


def report(run: Run) -> Result:
    """Say whether a person has to do anything, and what; over the last 24 hours, or the window that was given.

    Critical: somebody must act now; warn: today. What is over by itself needs nobody, and is listed. Parts: components,
    alarms, unalerted, jobs, delivery, backups, expiry.
    """
    window = run.window_or("24h")
    earlier = {"last_run": partial(last_run.answer, run, NAME)} if run.folder or run.replayed else {}
    facts = run.facts(deadline_s=DEADLINE_SECONDS, **fetches(run, window), **earlier)
    run = as_it_was(run, facts)
    run.usd += 0.0 if run.replayed else sum(
        float(fact.frame.attrs.get("usd", 0.0)) for name, fact in facts.items() if name.startswith("metrics") and fact.frame is not None
    )  # fmt: skip
    look = looked(run, window, facts)
    lines = sorted(look.lines(), key=lambda line: WORST.index(line.verdict))
    look = daily_steps.with_logs(look, lines)
    items = sorted(
        [
            *_of_components(look, lines),
            *parts.alarm_items(look, lines),
            *due.backup_items(look),
            *due.expiry_items(look),
        ],
        key=lambda item: WORST.index(item.verdict),
    )
    return run.record(_told(look, lines, items))


def fetches(run: Run, window: Window) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what to ask for, each under the name that it is kept by."""
    env = run.environment
    whole = Window(window.start - BEFORE, window.end, window.zone)
    then = Window(whole.start - WEEK, whole.end - WEEK, window.zone)
    month = Window(window.end - BUILDS, window.end, window.zone)
    kept = run.replayed / "data" / "job_runs.json" if run.replayed else None
    asked = env.database is not None or (kept is not None and kept.is_file())
    period = PERIOD if window.seconds <= MOST_DAYS * 86_400 else 0
    return {
        "metrics": partial(metrics.series, env, window=whole, period=period),
        "metrics_last_week": partial(metrics.series, env, window=then, period=period),
        "alarms": partial(alarms.alarms, env),
        "alarm_history": partial(alarms.history, env, window=window),
        "services": partial(ecs.services, env),
        "deployments": partial(ecs.deployments, env, window=window),
        "stopped_tasks": partial(ecs.stopped_tasks, env, window=window),
        "builds": partial(amplify.jobs, env, window=month),
        "instances": partial(rds.instances, env),
        "database_events": partial(rds.events, env, window=window),
        "maintenance": partial(rds.pending_maintenance, env),
        "cache_events": partial(elasticache.events, env, window=window),
        "distribution": partial(cloudfront.distribution, env),
        "health": partial(route53.health_checks, env),
        "certificates": partial(certificates.certificates, env),
        **({**jobs.fetches(run, window), "role_ends": partial(postgres.role_ends, env)} if asked else {}),
    }


def as_it_was(run: Run, facts: Mapping[str, Fact]) -> Run:
    """Return the run with the names of its databases: a record does not keep how to reach them."""
    told = facts["instances"].frame
    if not run.replayed or run.environment.database or told is None or not len(told):
        return run
    names = {role: tuple(told.loc[told["role"] == role, "instance"]) for role in ("primary", "replica")}
    known = Database.model_validate(
        {
            "host": "",
            "dbname": "",
            "user": "",
            "instance": next(iter(names["primary"]), ""),
            "replicas": names["replica"],
        }
    )
    return replace(run, environment=run.environment.model_copy(update={"database": known}))


def looked(run: Run, window: Window, facts: Mapping[str, Fact]) -> Look:
    """Rank what is off in the last hour as a first look does, over the one frame that was fetched."""
    recent = Window(max(window.start, window.end - RECENT), window.end, window.zone)
    known = {"metrics_yesterday": Fact("metrics_yesterday"), "errors": Fact("errors"), **facts}
    raw = incident_series.assembled(run, known, recent)
    measured, usual = (_by_minute(run, facts[name].frame) for name in ("metrics", "metrics_last_week"))
    usual.index = usual.index + WEEK
    story = None
    if len(raw.columns) and (raw.index >= recent.start).any():
        base = incident_series.baseline(recent)
        ranked = rank_components(raw, incident=recent, baseline=base, calls=run.environment.services.calls)
        changed = changes.as_table(run.environment, facts, recent)
        raw.attrs = {}
        story = Story(run, recent, _by_minute(run, raw), ranked, changed, None)
    judged = jobs.story_of(run, facts, window) if run.environment.database else None
    return Look(run, window, recent, facts, measured, usual, story, judged)


def _by_minute(run: Run, frame: pd.DataFrame | None) -> pd.DataFrame:
    """Return the frame with what is counted as a number a minute: limits and people speak of minutes."""
    if frame is None or len(frame) < 2:
        return pd.DataFrame(
            columns=pd.MultiIndex.from_tuples([], names=["component", "metric"]), index=pd.DatetimeIndex([], tz="UTC")
        )
    step = (frame.index[1] - frame.index[0]).total_seconds() / 60
    summed = [(one.component, one.metric) for one in table(run.environment) if metrics.is_sum(one)]
    columns = [name for name in summed if name in frame.columns]
    scaled = frame.copy()
    scaled.attrs = {}
    scaled[columns] = scaled[columns] / step
    return scaled


def _of_components(look: Look, lines: list[Line]) -> list[Item]:
    """Return what needs a person because of a component, the likeliest cause first.

    What another component explains needs nobody of its own.
    """
    order = [] if look.story is None else list(look.story.ranked["component"])
    found = []
    for line in sorted(lines, key=lambda line: order.index(line.component) if line.component in order else len(order)):
        if line.verdict in (Verdict.CRITICAL, Verdict.WARN) and not line.symptom_of:
            step = daily_steps.step(look, line)
            logs = f"; the logs: {step.why}" if step.why else ""
            found.append(Item(line.verdict, f"{line.component}: {line.sentence}{logs}", step, line.component))
    return found


def _told(look: Look, lines: list[Line], items: list[Item]) -> Result:
    run, facts = look.run, look.facts
    reasons = _unseen(facts)
    sight = Sight.PARTIAL if reasons else Sight.COMPLETE
    if items:
        verdict = items[0].verdict
    else:
        verdict = Verdict.UNKNOWN if reasons or any(line.verdict is Verdict.UNKNOWN for line in lines) else Verdict.OK
    rows = pd.DataFrame({
        "component": [line.component for line in lines], "verdict": [display.status_text(str(line.verdict)) for line in lines],
        "sentence": [line.sentence for line in lines], display.FLAG: [line.verdict is Verdict.CRITICAL for line in lines],
    })  # fmt: skip
    run.keep("components", rows)
    shown = tuple(replace(item.step, why=item.text) for item in items[:6])
    every = (
        parts.components(rows, lines), parts.rang(look), parts.unalerted(look), parts.background(look), parts.delivery(look),
        due.backups(look), due.expiry(look),
    )  # fmt: skip
    return Result(
        NAME, display.heading(NAME), verdict, _sentence(verdict, lines, items), sight, listed(reasons, 5), _tiles(look, items, rows),
        sources=_sources(look), next=shown, data=tuple(f"data/{name}.csv" for name, fact in facts.items() if fact.frame is not None and run.folder),
        parts=every, findings=tuple(item.finding() for item in items),
    )  # fmt: skip


def _sentence(verdict: Verdict, lines: list[Line], items: list[Item]) -> str:
    """Return the answer: yes or no in both languages, and what first."""
    answer = " · ".join(display.ANSWERS[str(verdict)])
    calm = sum(line.verdict is Verdict.OK for line in lines)
    rest = f"{calm} of {counted(len(lines), 'component')} as usual"
    if not items:
        seen = (
            "needs a person"
            if verdict is Verdict.OK
            else "that could be seen needs a person, but not all could be seen"
        )
        return f"{answer}: nothing {seen}; {rest}."
    urgent = [item for item in items if item.verdict is verdict]
    more = f"; {counted(len(items) - len(urgent), 'thing')} more for today" if len(items) > len(urgent) else ""
    symptoms = [line.component for line in lines if line.symptom_of]
    only = f" Only symptoms: {', '.join(symptoms)}." if symptoms else ""
    return f"{answer}: {ended(listed([item.short() for item in urgent], 3) + more)}{only} {rest[0].upper()}{rest[1:]}."


def _tiles(look: Look, items: list[Item], rows: pd.DataFrame) -> dict[str, str]:
    alarms_ = look.facts["alarms"].frame
    on = "–" if alarms_ is None else str(int((alarms_["state"] == "ALARM").sum()))
    failed = "–" if look.jobs is None else f"{int(look.jobs.jobs['failed'].sum()):,}"
    shown = {
        display.heading("to-do"): str(len(items)),
        display.heading("alarms-on"): on,
        display.heading("failed-runs"): failed,
    }
    if "last_run" in look.facts:
        since, said = last_run.changed(look.facts["last_run"], rows, look.window)
        shown[f"{since} · {display.HEADINGS['last-run'][1]}"] = said
    return shown


def _unseen(facts: Mapping[str, Fact]) -> list[str]:
    """Return what could not be seen, each with its reason."""
    reasons = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    for name, fact in facts.items():
        problems = [] if fact.frame is None else fact.frame.attrs.get("problems", [])
        reasons += [f"{name.replace('_', ' ')}: {problem}" for problem in problems]
    return list(dict.fromkeys(reasons))


def _sources(look: Look) -> tuple[Source, ...]:
    account, region = look.run.identity.account, look.run.environment.region
    logs = look.story.errors if look.story else None
    others = "CloudWatch alarms, ECS, Amplify, RDS, ElastiCache, CloudFront, Route 53, ACM, PostgreSQL (job_runs)"
    return (
        Source(
            "CloudWatch GetMetricData", account, region, look.window.text(), note="also the same hours of last week"
        ),
        Source(others, account, region, look.window.text()),
        *([] if logs is None else [Source("CloudWatch Logs Insights", account, region, logs.attrs["window"], logs.attrs["query"], "why a service is off", logs.attrs["usd"])]),
    )  # fmt: skip
