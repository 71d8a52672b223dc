"""The first look at an incident: what is off, since when, what changed just before, the likeliest cause, where to go on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from opslib.checks import changes, incident_series
from opslib.checks.ranking import rank_components
from opslib.checks.wording import listed, local
from opslib.result import Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.runbooks import first_look_parts as parts
from opslib.runbooks import starting_point
from opslib.runbooks.first_look_story import Story
from opslib.runbooks.next_step import steps
from opslib.runbooks.starting_point import StartingPoint
from opslib.sources import alarms, ecs
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME, TITLE = "first-look", "First look"
DEADLINE_SECONDS = 10.0  # a source that hangs must not take the minute in which somebody waits
# What customers feel: when one of these is off, it is critical.
FELT = {
    ("load-balancer", "HTTPCode_Target_5XX_Count"), ("load-balancer", "5XX share"), ("load-balancer", "HTTPCode_ELB_5XX_Count"),
    ("load-balancer", "TargetResponseTime p50"), ("load-balancer", "TargetResponseTime p90"), ("load-balancer", "UnHealthyHostCount"),
    ("cdn", "5xxErrorRate"), ("cdn", "4xxErrorRate"), ("frontend", "5XXErrors"), ("dns", "HealthCheckStatus"), ("dns", "HealthCheckPercentageHealthy"),
}  # fmt: skip


def look(run: Run, *, report: str = "") -> Result:
    """Say what is off, since when, what changed just before, the likeliest cause, and what is only a symptom.

    `report` is what there is to go by: an alarm's name, a pasted page or Slack text, a user's words with a time, or a
    window; empty means the run's window, else the last hour. Parts: components, evidence, changes, errors, alarms. Raises
    ParameterError or WindowError for a text in which no time can be read.
    """
    point = _starting_point(run, report)
    incident = point.window
    facts = run.facts(
        deadline_s=DEADLINE_SECONDS,
        **incident_series.fetches(run, incident),
        **changes.fetches(run, incident),
        stopped_tasks=partial(ecs.stopped_tasks, run.environment, window=incident_series.span(incident)),
        alarm_history=partial(alarms.history, run.environment, window=incident),
    )
    run.usd += sum(float(fact.frame.attrs.get("usd", 0.0)) for name, fact in facts.items()
                   if name.startswith("metrics") and fact.frame is not None)  # fmt: skip
    series = incident_series.assembled(run, facts, incident)
    if not len(series.columns) or not (series.index >= incident.start).any():
        return run.record(_blind(run, point, facts))
    calls = run.environment.services.calls
    ranked = rank_components(series, incident=incident, baseline=incident_series.baseline(incident), calls=calls)
    changed = changes.as_table(run.environment, facts, incident)
    series.attrs = {}  # pandas copies them with every column that is read
    return run.record(_told(run, point, facts, series, ranked, changed))


def _starting_point(run: Run, report: str) -> StartingPoint:
    zone = run.environment.zone
    if not report.strip() and run.window is not None:
        return StartingPoint(run.window, "the window that was given")
    if not starting_point.needs_alarms(report, now=run.now, zone=zone):
        return starting_point.read(report, now=run.now, zone=zone)
    known = run.facts(alarms=partial(alarms.alarms, run.environment), deadline_s=DEADLINE_SECONDS / 2)["alarms"].frame
    return starting_point.read(report, now=run.now, zone=zone, alarms=known)


def _told(
    run: Run,
    point: StartingPoint,
    facts: Mapping[str, Fact],
    series: pd.DataFrame,
    ranked: pd.DataFrame,
    changed: pd.DataFrame,
) -> Result:
    incident = point.window
    off = ranked[ranked["since"].notna()]
    errors = facts["errors"].frame
    reasons = _unseen(facts)
    story = Story(run, incident, series, ranked, changed, errors)
    verdict, sentence = _conclusion(story, complete=not reasons)
    return Result(
        NAME, f"{TITLE}: {incident.text()}", verdict, sentence, Sight.PARTIAL if reasons else Sight.COMPLETE, listed(reasons, 6),
        _facts(story, point), sources=_sources(run, facts, incident), next=steps(story, point) if len(off) else parts.trace(point),
        data=tuple(f"data/{name}.csv" for name, fact in facts.items() if fact.frame is not None and run.folder),
        parts=(parts.components(story), parts.evidence(story), parts.changes(story, facts), parts.errors(story, facts["errors"]), parts.rang(story, facts["alarm_history"])),
    )  # fmt: skip


def _conclusion(story: Story, *, complete: bool) -> tuple[Verdict, str]:
    """Return the verdict and the one sentence."""
    top = story.cause
    if top is None:
        seen = story.series.columns.get_level_values(0).nunique()
        calm = (
            f"Nothing is off: {seen} components are as in the four hours before, yesterday and last week at this time"
        )
        return (Verdict.OK if complete else Verdict.UNKNOWN), calm + ("." if complete else ", as far as could be seen.")
    felt = any((component, metric) in FELT for component, metric, *_ in story.ranked.attrs["off"])
    return (Verdict.CRITICAL if felt else Verdict.WARN), " ".join(story.said())


def _facts(story: Story, point: StartingPoint) -> dict[str, str]:
    top, window = story.cause, story.incident
    shown = {"likeliest cause": "–", "off since": "–"}
    if top is not None:
        shown = {"likeliest cause": str(top["component"]), "off since": local(top["since"], window)}
        shown["only symptoms"] = ", ".join(story.symptoms) or "none"
        shown["changed before"] = story.suspect_text(short=True) or "nothing known"
    return shown | {"read as": point.how}


def _unseen(facts: Mapping[str, Fact]) -> list[str]:
    """Return what could not be seen, each with its reason."""
    reasons = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    for name, fact in facts.items():
        if fact.frame is not None:
            reasons += [f"{name.replace('_', ' ')}: {problem}" for problem in fact.frame.attrs.get("problems", [])]
            reasons += (
                ["errors: more lines or log groups than one query takes"]
                if fact.frame.attrs.get("complete") is False
                else []
            )
    return reasons


def _blind(run: Run, point: StartingPoint, facts: Mapping[str, Fact]) -> Result:
    """Say that neither metrics nor logs could be seen."""
    sentence = "Neither metrics nor logs could be seen: nothing can be said."
    sights = {fact.sight for fact in facts.values() if fact.error is not None}
    sight = Sight(sights.pop()) if len(sights) == 1 else Sight.ERROR if sights else Sight.NO_DATA
    return Result(
        NAME, f"{TITLE}: {point.window.text()}", Verdict.UNKNOWN, sentence, sight, listed(_unseen(facts), 6), {"read as": point.how},
        parts=parts.empty(),
    )  # fmt: skip


def _sources(run: Run, facts: Mapping[str, Fact], incident: Window) -> tuple[Source, ...]:
    account, region = run.identity.account, run.environment.region
    whole = incident_series.span(incident)
    asked = [fact.frame.attrs for name, fact in facts.items() if name.startswith("metrics") and fact.frame is not None]
    price = sum(float(attrs.get("usd", 0.0)) for attrs in asked)
    note = "also the same hours of yesterday and of last week"
    found = [Source("CloudWatch GetMetricData", account, region, whole.text(), note=note, usd=price)]
    if (errors := facts["errors"].frame) is not None:
        attrs = errors.attrs
        found.append(
            Source("CloudWatch Logs Insights", account, region, attrs["window"], attrs["query"], usd=attrs["usd"])
        )
    others = "ECS, Application Auto Scaling, Amplify, RDS, ElastiCache, CloudFront, CloudWatch alarms"
    return (
        *found,
        Source(others, account, region, whole.text(), note="deployments, builds, scaling, events, configuration"),
    )
