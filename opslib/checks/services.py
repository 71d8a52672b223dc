"""The services of ECS: which is off and why - tasks that die, memory, deployments that hang or went back, targets."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.checks import service_parts as parts
from opslib.checks import service_story as story
from opslib.checks.wording import counted, listed
from opslib.errors import ParameterError
from opslib.result import Next, Result, Sight, Verdict
from opslib.run import Fact, Run
from opslib.sources import ecs, log_lines, metrics, task_lines
from opslib.sources.ecs import STOPPED_KEPT
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME = "failing-service"
HISTORY = timedelta(days=30)  # in which an image that ran before is looked for
ASKED = 8  # failed tasks whose last words are read


def health(run: Run, *, service: str = "") -> Result:
    """Say which services are not as they should be, and why; `service` narrows to one. The window is 3 hours by default.

    Critical: no task runs, tasks end by themselves again and again, a deployment hangs while tasks are missing. Parts:
    services, stopped, words, deployments, memory, cpu, events, targets. Raises ParameterError for an unknown service.
    """
    env, window = run.environment, run.window_or("3h")
    known = list(env.services.names)
    if service and known and service not in known:
        raise ParameterError(
            f"there is no service {service!r}", why=f"{env.name} has {', '.join(known)}", fix="choose one of these"
        )
    facts = run.facts(
        deadline_s=3 * run.deadline, services=partial(ecs.services, env), deployments=partial(ecs.deployments, env, window=window),
        stopped_tasks=partial(ecs.stopped_tasks, env, window=window), service_events=partial(ecs.events, env, window=window),
        targets=partial(ecs.target_health, env), load=partial(metrics.series, env, window=window, components=tuple(known)),
    )  # fmt: skip
    if facts["services"].frame is None:
        return run.record(parts.blind(facts["services"], NAME))
    shown = {name: _narrowed(fact, service) for name, fact in facts.items()}
    words = _last_words(run, shown, window)
    return run.record(_told(run, shown, facts | {"last_words": words}, window, service))


def _narrowed(fact: Fact, service: str) -> pd.DataFrame:
    """Return a fact's rows of one service, or of all; an empty frame of the same columns when there is no answer."""
    import pandas as pd

    types = {
        "deployments": ecs.DEPLOYMENTS,
        "stopped_tasks": ecs.STOPPED,
        "service_events": ecs.EVENTS,
        "targets": ecs.TARGETS,
    }
    if fact.frame is None:
        return frames.made([], types[fact.name]) if fact.name in types else pd.DataFrame()
    if not service or "service" not in fact.frame.columns:
        return fact.frame
    return fact.frame[fact.frame["service"] == service].reset_index(drop=True)


def _last_words(run: Run, shown: dict[str, pd.DataFrame], window: Window) -> Fact:
    """Read what the newest of the tasks that ended badly wrote; without one there is nothing to ask."""
    stopped = shown["stopped_tasks"]
    bad = stopped[story.ended_badly(stopped)].groupby("service").head(ASKED)
    if not len(bad):
        return Fact("last_words")
    of = shown["services"].set_index("service")["log_group"]
    groups = sorted({group for group in of.reindex(bad["service"].unique()).dropna() if group})
    ask = partial(task_lines.lines, run, tasks=tuple(bad["task"]), groups=groups, window=window)
    return run.facts(deadline_s=3 * run.deadline, last_words=ask)["last_words"]


def _told(run: Run, shown: dict[str, pd.DataFrame], facts: dict[str, Fact], window: Window, service: str) -> Result:
    words = facts["last_words"].frame
    load = shown["load"] if facts["load"].error is None else None
    judged = story.read(
        shown["services"], shown["stopped_tasks"], shown["deployments"], load,
        window=window, now=run.now, said=_commonest(words),
    )  # fmt: skip
    off = judged[judged["verdict"] != story.OK] if len(judged) else judged
    verdict = Verdict(off["verdict"].iloc[0]) if len(off) else Verdict.OK if len(judged) else Verdict.UNKNOWN
    reasons = _unseen(run, facts, window) + (
        [] if len(judged) else ["no service is configured, nor does the cluster have any"]
    )
    wanted, running = int(shown["services"]["desired"].sum()), int(shown["services"]["running"].sum())
    tiles = {
        "services off": f"{len(off)} of {len(judged)}", "tasks that run": f"{running} of {wanted}",
        "tasks that failed": str(int(judged["ended_badly"].sum()) if len(judged) else 0), "killed for memory": str(int(judged["killed"].sum()) if len(judged) else 0),
        "deployments": str(len(shown["deployments"])),
    }  # fmt: skip
    unhealthy = shown["targets"][~shown["targets"]["state"].isin(["healthy", "initial", "draining"])]
    sentence = listed([f"{row.service}: {row.state}: {row.why}" for row in off.itertuples()], 3) + "."
    if not len(off):
        sentence = f"{counted(len(judged), 'service')} as wanted: {running} of {wanted} tasks run, none failed."
    if len(unhealthy):
        verdict = verdict if verdict is Verdict.CRITICAL else Verdict.WARN
        sentence = f"{sentence[:-1]}; {len(unhealthy)} of {counted(len(shown['targets']), 'target')} of the load balancer fail their check."
    return Result(
        NAME, f"Service {service}" if service else "Services", verdict, sentence, Sight.PARTIAL if reasons else Sight.COMPLETE, "; ".join(reasons), tiles,
        sources=(parts.source(run, window, "ecs:DescribeServices"),), next=_next(run, off, window, facts), data=("data/services.csv" if run.folder else "",),
        parts=(
            parts.services(run, judged, window), parts.stopped(run, shown["stopped_tasks"], facts["stopped_tasks"], window),
            parts.words(run, facts["last_words"], window), parts.deployments(run, shown["deployments"], facts["deployments"], window),
            parts.load(run, load, facts["load"], judged, shown, window, "memory"), parts.load(run, load, facts["load"], judged, shown, window, "cpu"),
            parts.events(run, shown["service_events"], facts["service_events"], window), parts.targets(run, shown["targets"], facts["targets"], window),
        ),
    )  # fmt: skip


def _commonest(words: pd.DataFrame | None) -> dict[str, str]:
    """Return for each service what its failed tasks said most."""
    if words is None or not len(words):
        return {}
    bad = words[log_lines.failing(words)]
    told = bad["error_message"].where(bad["error_message"] != "", bad["message"])
    return {str(name): str(some.mode().iloc[0]) for name, some in told.groupby(bad["service"])}


def _unseen(run: Run, facts: dict[str, Fact], window: Window) -> list[str]:
    reasons = [f"{name}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    reasons += [
        problem for fact in facts.values() if fact.frame is not None for problem in fact.frame.attrs.get("problems", [])
    ]
    if window.end < run.now - STOPPED_KEPT:
        reasons.append("tasks that stopped in the window: ECS describes them for an hour only")
    return list(dict.fromkeys(reasons))


def _next(run: Run, off: pd.DataFrame, window: Window, facts: dict[str, Fact]) -> tuple[Next, ...]:
    """Return what helps the service that is worst off."""
    if not len(off):
        return ()
    worst = off.iloc[0]
    chosen: dict[str, str] = {"service": str(worst["service"])}
    back = Next(
        "3-remediate/roll-out-image", chosen | _image_before(run, worst), "go back to the image that ran before"
    )
    restart = Next("3-remediate/restart-service", chosen, "buy time: new tasks begin with empty memory")
    wider = chosen | {"tasks": str(int(worst["desired"]) + max(int(worst["desired"]) // 2, 1))}
    steps: dict[str, tuple[Next, ...]] = {
        story.DYING: (back,), story.HANGS: (back,), story.BACK: (back,), story.MEMORY: (restart, back), story.FULL: (restart,),
        story.SHORT: (restart,), story.BUSY: (Next("3-remediate/scale-out", wider, "more tasks share the load"),),
    }  # fmt: skip
    return steps.get(str(worst["state"]), ())


def _image_before(run: Run, worst: Any) -> dict[str, str]:
    """Return the image of the last deployment that succeeded with another one; empty lets the runbook look for it."""
    before = Window(run.now - HISTORY, run.now, run.environment.zone)
    ask = partial(ecs.deployments, run.environment, window=before, service=str(worst["service"]))
    found = run.facts(deadline_s=run.deadline, earlier_deployments=ask)["earlier_deployments"].frame
    if found is None:
        return {"image": ""}
    good = found[(found["status"] == "SUCCESSFUL") & (found["image"] != worst["image"])]
    return {"image": str(good["image"].iloc[0]) if len(good) else ""}
