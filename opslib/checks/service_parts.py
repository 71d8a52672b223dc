"""The evidence under `failing-service`: each part answers one question with one chart or table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opslib.charts.timeseries import Marker, timeseries
from opslib.checks import service_story as story
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, local, took
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run
    from opslib.window import Window

PARTS = {
    "services": "Each service", "stopped": "Tasks that stopped", "words": "Last words", "deployments": "Deployments",
    "memory": "Memory", "cpu": "CPU", "events": "What ECS says", "targets": "Targets of the load balancer",
}  # fmt: skip
ROUTINE = ("has reached a steady state", "registered", "deregistered", "has begun draining")
_TASK = re.compile(r"\(task ([0-9a-f]{12})[0-9a-f]+\)")
_LIMIT = {"memory": story.FULL_FROM, "cpu": story.BUSY_FROM}
_METRIC = {"memory": "MemoryUtilization", "cpu": "CPUUtilization"}


def _part(
    name: str, verdict: Verdict, sentence: str, sight: Sight = Sight.COMPLETE, reason: str = "", **more: Any
) -> Result:
    return Result(name, PARTS[name], verdict, sentence, sight, reason, **more)


def blind(fact: Fact, name: str) -> Result:
    """Return the answer when the services themselves could not be seen."""
    error = fact.error
    reason = " — ".join(filter(None, (error.what, error.why, error.fix))) if error else "no answer"
    empty = tuple(
        Result(
            part,
            title,
            Verdict.UNKNOWN,
            "Nothing to show: the services could not be seen.",
            Sight(fact.sight),
            "see the verdict",
        )
        for part, title in PARTS.items()
    )
    return Result(
        name, "Services", Verdict.UNKNOWN, "The services could not be seen.", Sight(fact.sight), reason, parts=empty
    )


def source(run: Run, window: Window, api: str, note: str = "") -> Source:
    """Return where an answer is from."""
    return Source(api, run.identity.account, run.environment.region, window.text(), note=note)


def services(run: Run, judged: pd.DataFrame, window: Window) -> Result:
    """Show each service: state, tasks, memory, CPU, image."""
    import pandas as pd

    name = "services"
    if not len(judged):
        return _part(name, Verdict.UNKNOWN, "There is no service.", Sight.NO_DATA, "nothing is configured")
    shown = pd.DataFrame({
        "service": judged["service"], "state": judged["state"], "tasks": [f"{row.running} of {row.desired}" for row in judged.itertuples()],
        "failed": judged["ended_badly"], "memory %": judged["memory"].round(0), "CPU %": judged["cpu"].round(0),
        "image": judged["image"].map(story.tag), f"since ({run.environment.timezone})": times(run, judged["since"]),
        "deployment": judged["rollout_state"], FLAG: judged["verdict"] == story.CRITICAL,
    })  # fmt: skip
    off = judged[judged["verdict"] != story.OK]
    sentence = (
        f"Off: {listed([f'{row.service} ({row.state})' for row in off.itertuples()])}."
        if len(off)
        else "Every service is as wanted."
    )
    verdict = Verdict(off["verdict"].iloc[0]) if len(off) else Verdict.OK
    return _part(
        name, verdict, sentence, table=shown, sources=(source(run, window, "ecs:DescribeServices, CloudWatch"),)
    )


def stopped(run: Run, frame: pd.DataFrame, fact: Fact, window: Window) -> Result:
    """Show tasks that stopped: how long they lived, and why they ended."""
    import pandas as pd

    name, note = "stopped", "ECS describes a stopped task for about an hour"
    if fact.error is not None:
        return unseen(name, fact)
    bad = story.ended_badly(frame)
    lived = (frame["stopped"] - frame["started"]).dt.total_seconds()
    shown = pd.DataFrame({
        f"stopped ({run.environment.timezone})": times(run, frame["stopped"], seconds=True), "service": frame["service"], "task": frame["task"].str[:12],
        "lived": [took(value) for value in lived], "exit": [f"{code:.0f}" if code == code else "–" for code in frame["exit_code"]],
        "why": frame["reason"].where(frame["reason"] != "", frame["stop_code"]), "image": frame["image"].map(story.tag), FLAG: bad,
    })  # fmt: skip
    sentence = (
        f"{counted(len(frame), 'task')} stopped, {int(bad.sum())} by themselves" if len(frame) else "No task stopped"
    )
    by = [f"{count} of {each}" for each, count in frame.loc[bad, "service"].value_counts().items()]
    sentence += f": {listed(by)}." if by else "."
    verdict = Verdict.CRITICAL if bad.sum() > 1 else Verdict.WARN if bad.any() else Verdict.OK
    table = shown if len(shown) else None
    return _part(
        name, verdict, sentence, table=table, sources=(source(run, window, "ecs:ListTasks, DescribeTasks", note),)
    )


def words(run: Run, fact: Fact, window: Window) -> Result:
    """Show what failed tasks wrote last, the commonest first."""
    import pandas as pd

    from opslib.sources import log_lines

    name = "words"
    if fact.error is not None:
        return unseen(name, fact)
    if fact.frame is None:
        return _part(name, Verdict.OK, "No task failed: there is nothing to read.")
    where = Source("CloudWatch Logs Insights", run.identity.account, run.environment.region, window.text(),
                   str(fact.frame.attrs["query"]), usd=float(fact.frame.attrs["usd"]))  # fmt: skip
    if not len(fact.frame):
        return _part(name, Verdict.UNKNOWN, "The failed tasks wrote nothing.", Sight.NO_DATA,
                      "no line in their log streams: look whether the image could be pulled", sources=(where,))  # fmt: skip
    last = fact.frame.groupby("task", sort=False).head(3)
    last = last.assign(said=last["error_message"].where(last["error_message"] != "", last["message"]))
    grouped = last.groupby(["service", "level", "said"], sort=False).agg(
        tasks=("task", "nunique"), last=("time", "max")
    )
    grouped = grouped.reset_index().sort_values(["tasks", "last"], ascending=False, kind="stable")
    shown = pd.DataFrame({
        "tasks": grouped["tasks"], "service": grouped["service"], "level": grouped["level"],
        f"last ({run.environment.timezone})": times(run, grouped["last"], seconds=True), "line": [shortened(text, 300) for text in grouped["said"]],
        FLAG: grouped["level"].isin(log_lines.FAILING),
    })  # fmt: skip
    bad = grouped[grouped["level"].isin(log_lines.FAILING)]
    most = (bad if len(bad) else grouped).iloc[0]
    sentence = (
        f"{most['tasks']} of {counted(last['task'].nunique(), 'task')} ended with: {shortened(most['said'], 140)}"
    )
    return _part(name, Verdict.WARN, sentence, table=shown, sources=(where,))


def deployments(run: Run, frame: pd.DataFrame, fact: Fact, window: Window) -> Result:
    """Show what was deployed in the window, and how it ended."""
    import pandas as pd

    name = "deployments"
    if fact.error is not None:
        return unseen(name, fact)
    back = story.went_back(frame) | (frame["status"] == "IN_PROGRESS")
    shown = pd.DataFrame({
        f"began ({run.environment.timezone})": times(run, frame["started"]), f"ended ({run.environment.timezone})": times(run, frame["finished"]),
        "service": frame["service"], "image": frame["image"].map(story.tag), "status": frame["status"].str.lower().str.replace("_", " "),
        "reason": frame["reason"].where(frame["reason"] != "", "–"), FLAG: back,
    })  # fmt: skip
    told = [
        f"{row.service} {story.tag(row.image)} at {local(row.at, window)} ({row.status.lower().replace('_', ' ')})"
        for row in frame.itertuples()
    ]
    sentence = (
        f"{counted(len(frame), 'deployment')}: {listed(told)}." if len(frame) else "Nothing was deployed in the window."
    )
    api = "ecs:ListServiceDeployments, DescribeServiceRevisions"
    return _part(name, Verdict.WARN if back.any() else Verdict.OK, sentence, table=shown if len(shown) else None,
                  sources=(source(run, window, api),))  # fmt: skip


def load(
    run: Run, series: pd.DataFrame | None, fact: Fact, judged: pd.DataFrame, frames: dict[str, pd.DataFrame], window: Window, name: str
) -> Result:  # fmt: skip
    """Show memory or CPU of the services that are off, else of all, with deployments and kills as markers."""
    if series is None:
        return unseen(name, fact)
    off = list(judged.loc[judged["verdict"] != story.OK, "service"]) if len(judged) else []
    chosen = [each for each in (off or list(judged["service"])) if (each, _METRIC[name]) in series.columns]
    if not chosen:
        return _part(
            name, Verdict.UNKNOWN, f"There is no {PARTS[name]} to show.", Sight.NO_DATA, "CloudWatch has no point"
        )
    lines = series[[(each, _METRIC[name]) for each in chosen]].set_axis(chosen, axis=1)
    latest = lines.tail(story.LATEST).mean()
    first = lines.head(max(story.LATEST, len(lines) // 6)).mean()
    told = [f"{each} {first[each]:.0f} % → {latest[each]:.0f} %" for each in latest.sort_values(ascending=False).index]
    sentence = f"{PARTS[name]}, from the window's begin to its last ten minutes: {listed(told)}."
    high = bool((latest >= _LIMIT[name]).any())
    chart = timeseries(
        lines,
        title=sentence,
        unit="percent",
        threshold=_LIMIT[name],
        markers=_markers(frames, chosen),
        zone=run.environment.zone,
    )
    api = f"AWS/ECS {_METRIC[name]}, mean of the tasks"
    return _part(name, Verdict.WARN if high else Verdict.OK, sentence, chart=chart, sources=(source(run, window, api),))


def _markers(frames: dict[str, pd.DataFrame], chosen: list[str]) -> list[Marker]:
    deployed, ended = frames["deployments"], frames["stopped_tasks"]
    deployed = deployed[deployed["service"].isin(chosen)]
    bad = (
        ended[story.ended_badly(ended) & ended["service"].isin(chosen)]
        .sort_values("stopped")
        .drop_duplicates("service")
    )
    found = [Marker(row.at.to_pydatetime(), f"deploy {row.service}") for row in deployed.itertuples()]
    return found + [
        Marker(row.stopped.to_pydatetime(), f"{row.service}: first task ended", "alarm") for row in bad.itertuples()
    ]


def events(run: Run, frame: pd.DataFrame, fact: Fact, window: Window) -> Result:
    """Show what ECS said, without what it says of every deployment and every six hours."""
    import pandas as pd

    name = "events"
    if fact.error is not None:
        return unseen(name, fact)
    telling = frame[~frame["message"].str.startswith(ROUTINE)]
    unable = telling["message"].str.contains("unable to|failed|rolling back", case=False)
    shown = pd.DataFrame({
        f"at ({run.environment.timezone})": times(run, telling["at"], seconds=True), "service": telling["service"],
        "message": [shortened(_TASK.sub(r"(task \1)", text), 220) for text in telling["message"]], FLAG: unable,
    })  # fmt: skip
    sentence = f"{counted(len(frame), 'event')}, {len(telling)} of them more than routine" + (
        f"; the gravest: {telling.loc[unable, 'service'].iloc[0]} {shortened(telling.loc[unable, 'message'].iloc[0], 90)}" if unable.any() else "."
    )  # fmt: skip
    return _part(name, Verdict.WARN if unable.any() else Verdict.OK, sentence, table=shown if len(shown) else None,
                  sources=(source(run, window, "ecs:DescribeServices", "100 events a service"),))  # fmt: skip


def targets(run: Run, frame: pd.DataFrame, fact: Fact, window: Window) -> Result:
    """Show whether the load balancer reaches the tasks behind it."""
    name = "targets"
    if fact.error is not None:
        return unseen(name, fact)
    if not len(frame):
        return _part(name, Verdict.OK, "No target group is configured, or it has no target.")
    bad = ~frame["state"].isin(["healthy", "initial", "draining"])
    counts = [f"{count} {state}" for state, count in frame["state"].value_counts().items()]
    sentence = f"{counted(len(frame), 'target')} of the load balancer: {listed(counts)}."
    shown = frame.assign(**{FLAG: bad}) if bad.any() else None
    return _part(name, Verdict.WARN if bad.any() else Verdict.OK, sentence, table=shown,
                  sources=(source(run, window, "elasticloadbalancing:DescribeTargetHealth"),))  # fmt: skip


def unseen(name: str, fact: Fact) -> Result:
    """Return a part whose source did not answer."""
    error = fact.error
    why = f"{error.what}: {error.why}" if error and error.why else error.what if error else "no answer"
    return _part(name, Verdict.UNKNOWN, "This could not be seen.", Sight(fact.sight), why)


def times(run: Run, column: Any, *, seconds: bool = False) -> list[str]:
    """Return moments in the environment's zone, – where there is none."""
    shape = "%m-%d %H:%M:%S" if seconds else "%m-%d %H:%M"
    return [
        "–" if moment != moment else moment.tz_convert(run.environment.timezone).strftime(shape) for moment in column
    ]
