"""Is the front end well: its builds and deploys, what CloudFront delivers, who reaches it, and how long certificates last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from opslib.checks import frontend, frontend_builds, frontend_evidence, frontend_parts
from opslib.checks.frontend_signals import findings, per_minute
from opslib.checks.frontend_story import SUSPECTS, Reading, number, readings, served
from opslib.checks.wording import ended
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.sources import amplify

if TYPE_CHECKING:
    import pandas as pd

    from opslib.checks.frontend_signals import Finding
    from opslib.run import Fact, Run
    from opslib.window import Window

NAME, TITLE = "frontend-health", "Front end: builds and delivery"
LOOKED = ("build", "edge", "dns")  # in the order of telling; the origin is another notebook's
FINE_SECONDS = 6 * 3600
CHARTS = ("errors", "hits")


def health(run: Run) -> Result:
    """Say whether builds, deploys and delivery of the front end are well in the window (one day by default).

    Parts: builds, build_time, deploys, failures, build_log, numbers, errors, hits, health, certificates.
    Critical: customers meet errors, or a record or certificate keeps them away; warn: the newest build or a third of them
    failed, builds or pages are slower than they were.
    """
    window = run.window_or("24h")
    components = [name for name in ("cdn", "frontend", "dns") if _configured(run)[name]]
    facts = frontend.asked(run, window, components)
    frames = {name: fact.frame for name, fact in facts.items() if fact.frame is not None}
    for name in {"series", "usual"} & frames.keys():
        frames[name] = per_minute(frames[name], seconds=frames[name].attrs["period"])
    log = frontend.failed_log(run, frames)
    facts |= _looked_into(run, frames, window)
    more = {name: facts.get(name) for name in ("steps", "reasons")} | {"build_log": log}
    frames |= {name: fact.frame for name, fact in more.items() if fact is not None and fact.frame is not None}
    found = findings(frames["series"], frames.get("usual", frames["series"].iloc[:0]), window=window) if "series" in frames else []  # fmt: skip
    told = readings(frames, found, window=window)
    frontend_builds.judge(told["build"], frames.get("amplify_jobs"), window)
    return run.record(_told(run, facts, frames, log, found, told, window))


def _configured(run: Run) -> dict[str, bool]:
    env = run.environment
    return {"cdn": env.cdn is not None, "frontend": env.frontend is not None, "dns": bool(env.health_checks)}


def _looked_into(run: Run, frames: dict[str, pd.DataFrame], window: Window) -> dict[str, Fact]:
    """Ask how far the jobs of the window came, the newest of all and those that failed in 30 days, and why they did."""
    jobs = frames.get("amplify_jobs")
    if jobs is None or not len(jobs):
        return {}
    failed = jobs["status"] == "FAILED"
    wanted = jobs[(jobs.index == jobs.index[0]) | (jobs["started"] >= window.start) | failed]
    asked: dict[str, Callable[[], pd.DataFrame]] = {"steps": partial(amplify.steps_of, run.environment, jobs=wanted)}
    if failed.any():
        asked["reasons"] = partial(amplify.failed_logs, run.environment, jobs=jobs[failed])
    return run.facts(deadline_s=2 * run.deadline, **asked)


def _told(
    run: Run, facts: dict[str, Fact], frames: dict[str, pd.DataFrame], log: Fact | None, found: list[Finding],
    told: dict[str, Reading], window: Window,
) -> Result:  # fmt: skip
    account, region = run.identity.account, run.environment.region
    usd = sum(float(frames[name].attrs.get("usd", 0)) for name in ("series", "usual") if name in frames)
    run.usd += 0.0 if run.replayed else usd
    measured = Source("CloudWatch GetMetricData", account, f"us-east-1, {region}", window.text(), note="compared with the same minutes of last week", usd=usd)  # fmt: skip
    amplified = Source("Amplify ListJobs, GetJob", account, region, "30 days")
    jobs, steps, blind = frames.get("amplify_jobs"), facts.get("steps"), facts.get("series")
    missing = blind.error.what if blind and blind.error else ""
    drawn = _drawn(frames, window)
    charts = [frontend_parts.chart(name, drawn, found, [], window, measured, missing, shaded=False) for name in CHARTS]
    components = [name for name, there in _configured(run).items() if there]
    reasons = frontend.unseen(facts, frames, log, components)
    verdict, sentence = conclusion(told, absent=_absent(run), seen=bool(jobs is not None or "series" in frames))
    return Result(
        NAME, TITLE, verdict, sentence, Sight.PARTIAL if reasons else Sight.COMPLETE, "; ".join(reasons), _facts(frames, window),
        sources=(measured, amplified), next=_next(told, frames, window), data=tuple(f"data/{name}.csv" for name in frames if run.folder),
        parts=(
            frontend_evidence.builds(run, frames, facts["amplify_jobs"], window), frontend_builds.build_time(jobs, window, amplified),
            frontend_builds.deploys(jobs, steps, window, amplified), frontend_builds.failures(jobs, steps, frames.get("reasons"), window, amplified),
            frontend_evidence.build_log(run, frames, log), frontend_parts.numbers(frames, found, window, measured, missing, without="load-balancer"), *charts,
            frontend_evidence.health(run, frames, facts["checkers"]), frontend_evidence.certificates(run, frames, facts["certificates"], window),
        ),
    )  # fmt: skip


def _drawn(frames: dict[str, pd.DataFrame], window: Window) -> dict[str, pd.DataFrame]:
    """Return the metrics as they are drawn: means of a quarter of an hour over a long window, or nobody sees the lines."""
    if window.seconds <= FINE_SECONDS:
        return frames
    return {name: frames[name].resample("15min").mean() for name in ("series", "usual") if name in frames}


def conclusion(told: dict[str, Reading], *, absent: list[str], seen: bool) -> tuple[Verdict, str]:
    """Return the worst verdict and one sentence: what is off, part by part, then what is well, then what was not looked at."""
    order = [Verdict.OK, Verdict.WARN, Verdict.CRITICAL]
    off = sorted((told[name] for name in LOOKED if told[name].verdict is not Verdict.OK), key=lambda one: -order.index(one.verdict))  # fmt: skip
    well = [SUSPECTS[name] for name in LOOKED if told[name].verdict is Verdict.OK and name not in absent]
    unasked = f" Not configured, so not looked at: {', '.join(SUSPECTS[name] for name in absent)}." if absent else ""
    if not off and not (seen and well):
        return Verdict.UNKNOWN, f"Neither builds nor delivery could be seen.{unasked}"
    if not off:
        return Verdict.OK, f"Well: {', '.join(well)}.{unasked}"
    said = " ".join(ended(f"{_capital(SUSPECTS[one.suspect])}: {'; '.join(one.said[:3])}") for one in off)
    calm = f" Well: {', '.join(well)}." if well else ""
    return off[0].verdict, f"{said}{calm}{unasked}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _absent(run: Run) -> list[str]:
    there = _configured(run)
    return [
        name for name, component in (("build", "frontend"), ("edge", "cdn"), ("dns", "dns")) if not there[component]
    ]


def _facts(frames: dict[str, pd.DataFrame], window: Window) -> dict[str, str]:
    jobs, series, shown = frames.get("amplify_jobs"), frames.get("series"), {}
    if jobs is not None:
        inside = frontend_builds.ended_in(jobs, window)
        shown["builds"] = f"{len(inside)}, {int((inside['status'] == 'FAILED').sum())} failed"
        times = frontend_builds.times(jobs, window)
        if times:
            shown["a build takes"] = frontend_builds.minutes(times.week if times.week == times.week else times.usual)
    for name, metric in (("5xx at the edge", "5xxErrorRate"), ("cache hit rate", "CacheHitRate")):
        if series is not None and ("cdn", metric) in series.columns:
            shown[name] = f"{number(float(series.loc[series.index >= window.start, ('cdn', metric)].mean()))} %"
    used = served(frames)
    return shown | ({"certificate": f"{min(one.days_left for one in used):.0f} days"} if used else {})


def _next(told: dict[str, Reading], frames: dict[str, pd.DataFrame], window: Window) -> tuple[Next, ...]:
    steps: list[Next] = []
    if told["edge"].verdict is not Verdict.OK or told["dns"].verdict is not Verdict.OK:
        steps.append(Next("2-investigate/slow-frontend", {}, "find which of DNS, edge, build and origin is to blame"))
    jobs = frames.get("amplify_jobs")
    if told["build"].verdict is not Verdict.OK and jobs is not None:
        steps.append(frontend.build_again(frames) if jobs["status"].iloc[0] == "FAILED" else Next("2-investigate/who-did-what", {"window": window.as_parameter()}, "see what was changed before builds became slow or failed"))  # fmt: skip
    return tuple(steps)
