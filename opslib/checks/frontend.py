"""A slow or broken front end: is it DNS or the certificate, the edge, the build, or the origin?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from opslib.checks import frontend_evidence as evidence
from opslib.checks import frontend_parts as parts
from opslib.checks.frontend_signals import Finding, findings, per_minute
from opslib.checks.frontend_story import SUSPECTS, Reading, blamed, number, readings, served
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.sources import amplify, certificates, cloudfront, ecs, metrics, route53
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME, TITLE = "slow-frontend", "Front end"
BEFORE, BUILDS = timedelta(hours=2), timedelta(days=30)
MINUTE_HOURS = 20  # a longer window is read in coarser steps


def slow(run: Run) -> Result:
    """Say which of DNS and certificate, edge, build or origin is to blame in the window (one hour by default).

    Parts: suspects, changes, numbers, requests, errors, hits, builds, build_log, health, certificates.
    Critical: customers meet errors, or almost nothing is cached, or a record or certificate keeps them away.
    """
    window = run.window_or("1h")
    wide = window.widened(before=BEFORE, after=timedelta())
    facts = asked(
        run,
        wide,
        _components(run),
        invalidations=partial(cloudfront.invalidations, run.environment, most=20),
        deployments=partial(ecs.deployments, run.environment, window=wide),
    )
    frames = {name: fact.frame for name, fact in facts.items() if fact.frame is not None}
    for name in {"series", "usual"} & frames.keys():
        frames[name] = per_minute(frames[name], seconds=frames[name].attrs["period"])
    log = failed_log(run, frames)
    if log is not None and log.frame is not None:
        frames["build_log"] = log.frame
    found = _findings(frames, window)
    told = readings(frames, found, window=window)
    return run.record(_told(run, facts, frames, log, found, told, window))


def asked(run: Run, wide: Window, components: Sequence[str], **more: Callable[[], pd.DataFrame]) -> dict[str, Fact]:
    """Ask about builds of 30 days, distribution, record, checkers and certificates, the metrics of components, and more."""
    env = run.environment
    month = Window(wide.end - BUILDS, wide.end, wide.zone)
    period = 60 if wide.seconds <= MINUTE_HOURS * 3600 else 0
    measured = {
        name: partial(ask, env, window=wide, components=components, period=period)
        for name, ask in (("series", metrics.series), ("usual", metrics.baseline))
        if components
    }
    record = {"record": partial(route53.records, env, name=env.cdn.domain)} if env.cdn and env.cdn.domain else {}
    return run.facts(
        deadline_s=2 * run.deadline,  # some of them ask twice, one after another
        amplify_jobs=partial(amplify.jobs, env, window=month),
        distribution=partial(cloudfront.distribution, env),
        health=partial(route53.health_checks, env),
        checkers=partial(route53.checkers, env),
        certificates=partial(certificates.certificates, env),
        **more,
        **measured,
        **record,
    )


def _components(run: Run) -> tuple[str, ...]:
    """Return the components of the metrics' table that stand before the application and are configured."""
    env = run.environment
    known = {"cdn": env.cdn, "frontend": env.frontend, "dns": env.health_checks, "load-balancer": env.load_balancer}
    return tuple(name for name, configured in known.items() if configured)


def failed_log(run: Run, frames: dict[str, pd.DataFrame]) -> Fact | None:
    """Fetch the end of the log of the newest build, if that failed."""
    jobs = frames.get("amplify_jobs")
    if jobs is None or not len(jobs) or jobs["status"].iloc[0] != "FAILED":
        return None
    newest = jobs.iloc[0]
    tail = partial(amplify.log_tail, run.environment, branch=str(newest["branch"]), job=str(newest["job"]), lines=30)
    return run.facts(deadline_s=2 * run.deadline, build_log=tail)["build_log"]


def _findings(frames: dict[str, pd.DataFrame], window: Window) -> list[Finding]:
    import pandas as pd

    series = frames.get("series")
    return [] if series is None else findings(series, frames.get("usual", pd.DataFrame()), window=window)


def _told(
    run: Run, facts: dict[str, Fact], frames: dict[str, pd.DataFrame], log: Fact | None, found: list[Finding],
    told: dict[str, Reading], window: Window,
) -> Result:  # fmt: skip
    usd = sum(float(frames[name].attrs.get("usd", 0)) for name in ("series", "usual") if name in frames)
    run.usd += 0.0 if run.replayed else usd
    source = Source(
        "CloudWatch GetMetricData",
        run.identity.account,
        f"us-east-1, {run.environment.region}",
        window.text(),
        note="compared with the same minutes of last week",
        usd=usd,
    )
    changed, markers = parts.changes(
        frames,
        window,
        Source(
            "CloudFront, Amplify, ECS",
            run.identity.account,
            run.environment.region,
            note="who changed the distribution, and when a record changed, only CloudTrail knows",
        ),
    )
    missing = facts["series"].error.what if "series" in facts and facts["series"].error else ""
    charts = [parts.chart(name, frames, found, markers, window, source, missing) for name in parts.CHARTS]
    reasons = unseen(facts, frames, log, _components(run))
    culprit = blamed(told)
    verdict, sentence = conclusion(
        told,
        culprit,
        measured="series" in frames,
        absent=[name for name, there in _configured(run).items() if not there],
    )
    return Result(
        NAME, TITLE, verdict, sentence, Sight.PARTIAL if reasons else Sight.COMPLETE, "; ".join(reasons), _facts(frames, told, culprit, window),
        sources=(source,), next=_next(frames, culprit, window), data=tuple(f"data/{name}.csv" for name in frames if run.folder),
        parts=(parts.suspects(told, source, window), changed, parts.numbers(frames, found, window, source, missing), *charts, evidence.builds(run, frames, facts["amplify_jobs"], window), evidence.build_log(run, frames, log),
               evidence.health(run, frames, facts["checkers"]), evidence.certificates(run, frames, facts["certificates"], window)),
    )  # fmt: skip


def conclusion(
    told: dict[str, Reading], culprit: Reading | None, *, measured: bool, absent: Sequence[str] = ()
) -> tuple[Verdict, str]:
    """Return the verdict and the one sentence: who is to blame, by which evidence, who is not, who was not looked at."""
    calm = [SUSPECTS[name] for name, reading in told.items() if reading.verdict is Verdict.OK and name not in absent]
    unasked = f" Not configured, so not looked at: {', '.join(SUSPECTS[name] for name in absent)}." if absent else ""
    if culprit is None and not (measured and calm):
        return Verdict.UNKNOWN, f"Nothing that could be seen is off, but the metrics could not be seen.{unasked}"
    if culprit is None:
        return (
            Verdict.OK,
            f"As usual: {', '.join(calm)}; if a customer still waits, it is between them and the edge.{unasked}",
        )
    also = [
        SUSPECTS[name] for name, reading in told.items() if reading.verdict is not Verdict.OK and reading is not culprit
    ]
    after = f" Off as well, and likely its consequence: {', '.join(also)}." if also else ""
    others = f" Not off: {', '.join(calm)}." if calm else ""
    return (
        culprit.verdict,
        f"Look at {SUSPECTS[culprit.suspect]}: {'; '.join(culprit.said[:3])}.{after}{others}{unasked}",
    )


def _configured(run: Run) -> dict[str, bool]:
    """Return which suspects there is anything to ask about."""
    env = run.environment
    return {
        "dns": bool(env.health_checks),
        "edge": env.cdn is not None,
        "build": env.frontend is not None,
        "origin": env.load_balancer is not None,
    }


def unseen(
    facts: dict[str, Fact], frames: dict[str, pd.DataFrame], log: Fact | None, components: Sequence[str]
) -> list[str]:
    """Return what could not be seen, each with its reason; what AWS sells and nobody bought is said in its part."""
    every = {**facts, **({"build_log": log} if log is not None else {})}
    reasons = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in every.items() if fact.error is not None]
    series = frames.get("series")
    known = set() if series is None else set(series.columns.get_level_values(0))
    silent = [] if series is None else [name for name in components if name not in known]
    reasons += [f"CloudWatch has no point of {name} at all: is its id right?" for name in silent]
    return reasons + sorted({problem for frame in frames.values() for problem in frame.attrs.get("problems", [])})


def _facts(
    frames: dict[str, pd.DataFrame], told: dict[str, Reading], culprit: Reading | None, window: Window
) -> dict[str, str]:
    series, shown = (
        frames.get("series"),
        {"to blame": SUSPECTS[culprit.suspect].removeprefix("the ") if culprit else "nobody"},
    )
    for name, component, metric, unit in (
        ("requests a minute", "cdn", "Requests", ""), ("cache hit rate", "cdn", "CacheHitRate", " %"), ("5xx at the edge", "cdn", "5xxErrorRate", " %"),
    ):  # fmt: skip
        if series is not None and (component, metric) in series.columns:
            recent = series.loc[series.index >= window.end - timedelta(minutes=10), (component, metric)].mean()
            shown[name] = f"{number(float(recent))}{unit}" if recent == recent else "–"
    used = served(frames)
    return shown | ({"certificate": f"{min(one.days_left for one in used):.0f} days"} if used else {})


def _next(frames: dict[str, pd.DataFrame], culprit: Reading | None, window: Window) -> tuple[Next, ...]:
    if culprit is None:
        return ()
    around = {"window": window.as_parameter()}
    who = Next("2-investigate/who-did-what", around, "see who changed what just before")
    anew = Next("3-remediate/invalidate-cdn", {}, "when it keeps an error or an old file: name the paths")
    steps = {
        "origin": (Next("2-investigate/first-look", around, "find the component behind the load balancer"),),
        "build": (build_again(frames),), "dns": (who,),
        "edge": (who,) if any("hit rate" in text for text in culprit.said) else (who, anew),  # what misses already is not to be emptied
    }  # fmt: skip
    return steps[culprit.suspect]


def build_again(frames: dict[str, pd.DataFrame]) -> Next:
    """A failed build has changed nothing: it may be tried again; a bad one is undone by the good one before it."""
    jobs = frames.get("amplify_jobs")
    good = [] if jobs is None else list(jobs.loc[jobs["status"] == "SUCCEED", "job"])
    if jobs is not None and len(jobs) and jobs["status"].iloc[0] == "FAILED":
        job, why = str(jobs["job"].iloc[0]), "build the same commit again, if the fault was not the commit's"
    else:
        job, why = (good[1] if len(good) > 1 else ""), "return to the build before the one that customers see"
    return Next("3-remediate/redeploy-frontend", {"way": "retry", **({"job": job} if job else {})}, why)
