"""How builds of the front end go: how long they take against their own past, what failed and why, how far a deploy came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.charts.timeseries import timeseries
from opslib.checks.frontend_story import Reading, error_of
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, local
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact
    from opslib.window import Window

WEEK = timedelta(days=7)
FEWEST = 5  # builds, of which a median says something
SLOWER, SLOWEST = 1.3, 2.0  # times the usual: a week of builds, a single one
ROOM_S = 60.0  # a difference that nobody minds
FAILING = 0.3  # share of failed builds in the window from which it is no accident


@dataclass(frozen=True)
class Times:
    """How long builds took, in seconds: usually (three weeks before), in the last seven days, the slowest of the window."""

    usual: float
    week: float
    slowest: float
    slowest_job: str
    builds: int

    @property
    def slower(self) -> bool:
        """Tell whether the last week's builds are slower than those before."""
        return self.week > max(SLOWER * self.usual, self.usual + ROOM_S)

    @property
    def outlier(self) -> bool:
        """Tell whether one of the window took far longer than is usual."""
        return self.slowest > max(SLOWEST * self.usual, self.usual + 2 * ROOM_S)


def times(jobs: pd.DataFrame, window: Window) -> Times | None:
    """Return how long builds that succeeded took, or None when there are too few to say what is usual."""
    good = _timed(jobs[jobs["status"] == "SUCCEED"])
    before = good[good["finished"] < window.end - WEEK]
    week, now = good[good["finished"] >= window.end - WEEK], good[good["finished"] >= window.start]
    if len(before) < FEWEST:
        return None
    slowest = now.loc[now["seconds"].idxmax()] if len(now) else None
    recent = float(week["seconds"].median()) if len(week) >= FEWEST else float("nan")
    return Times(
        float(before["seconds"].median()), recent, float(slowest["seconds"]) if slowest is not None else float("nan"),
        str(slowest["job"]) if slowest is not None else "", len(good),
    )  # fmt: skip


def judge(told: Reading, jobs: pd.DataFrame | None, window: Window) -> None:
    """Add to the reading of the builds what speaks against them beside a newest one that failed."""
    if jobs is None or not len(jobs):
        return
    inside = ended_in(jobs, window)
    failed = inside[inside["status"] == "FAILED"]
    if len(failed) > 1 and len(failed) >= FAILING * len(inside):
        told.add(Verdict.WARN, f"{len(failed)} of {counted(len(inside), 'build')} failed")
    measured = times(jobs, window)
    if measured and measured.slower:
        told.add(Verdict.WARN, f"builds take {minutes(measured.week)} since a week, before {minutes(measured.usual)}")
    elif measured and measured.outlier:
        told.add(Verdict.WARN, f"build {measured.slowest_job} took {minutes(measured.slowest)}, usually {minutes(measured.usual)}")  # fmt: skip


def ended_in(jobs: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Return the jobs that ended within the window."""
    return jobs[(jobs["finished"] >= window.start) & (jobs["finished"] < window.end)]


def build_time(jobs: pd.DataFrame | None, window: Window, source: Source) -> Result:
    """Show how long the typical build of each day took, drawn through days without any; the limit is for a single one."""
    import pandas as pd

    title = "Build time"
    good = None if jobs is None else _timed(jobs[jobs["status"] == "SUCCEED"]).sort_values("finished")
    if good is None or not len(good):
        why = "the builds could not be seen" if good is None else "no build of 30 days succeeded"
        return Result("build_time", title, Verdict.UNKNOWN, "Build times: not known.", Sight.NO_DATA, why)
    measured = times(jobs, window) if jobs is not None else None
    line = pd.DataFrame({"build": good["seconds"].to_numpy() / 60}, index=pd.DatetimeIndex(good["finished"]))
    line = line.resample("D").median().interpolate(limit_area="inside")
    sentence, verdict = _time_said(good, measured)
    limit = round(max(SLOWEST * measured.usual, measured.usual + 2 * ROOM_S) / 60, 1) if measured else None
    drawn = timeseries(line, title=sentence, unit="minutes a build", threshold=limit, zone=window.zone)
    return Result("build_time", title, verdict, sentence, chart=drawn, sources=(source,))


def _time_said(good: pd.DataFrame, measured: Times | None) -> tuple[str, Verdict]:
    if measured is None:
        typical = minutes(float(good["seconds"].median()))
        return (
            f"{counted(len(good), 'build')} in 30 days, typically {typical}: too few to say what is usual.",
            Verdict.OK,
        )
    week = (
        f"in the last seven days {minutes(measured.week)}"
        if measured.week == measured.week
        else "too few in the last seven days to compare"
    )
    off = measured.slower or measured.outlier
    slow = f"; build {measured.slowest_job} took {minutes(measured.slowest)}" if measured.outlier else ""
    return (
        f"A build took {minutes(measured.usual)} until a week ago, {week}{slow}{'' if off else ': as usual'}.",
        Verdict.WARN if off else Verdict.OK,
    )


def deploys(jobs: pd.DataFrame | None, fact: Fact | None, window: Window, source: Source) -> Result:
    """Show how far each job of the window came, the newest first; when there was none, the newest of all."""
    import pandas as pd

    title, steps = "Deploys", fact.frame if fact else None
    if jobs is None or steps is None:
        error = fact.error if fact else None
        why = f"{error.what} — {error.why}" if error else "the builds could not be seen"
        return Result("deploys", title, Verdict.UNKNOWN, "How far deploys came could not be seen.", Sight.DENIED if fact and fact.sight == "denied" else Sight.ERROR, why)  # fmt: skip
    if not len(steps):
        return Result("deploys", title, Verdict.OK, "There was nothing to deploy in 30 days.", sources=(source,))
    by_job = dict(list(steps.groupby("job", sort=False)))
    shown = [job for job in jobs.itertuples() if job.job in by_job and job.started >= window.start]
    shown = shown or [job for job in jobs.itertuples() if job.job in by_job][:1]
    rows = [
        {"started": local(job.started, window), "build": job.job, "status": job.status, **_step_times(by_job[job.job]), "commit": shortened(job.message, 60), FLAG: job.status == "FAILED"}
        for job in shown
    ]  # fmt: skip
    inside = ended_in(jobs, window)
    reached = int((inside["status"] == "SUCCEED").sum())
    left_out = int(steps.attrs.get("left_out", 0))
    more = f" {counted(left_out, 'job')} more not looked into." if left_out else ""
    newest = "" if len(inside) else " The newest before it:"
    sentence = f"{reached} of {counted(len(inside), 'build')} of the window reached the customers.{newest}{more}"
    return Result("deploys", title, Verdict.OK, sentence, table=pd.DataFrame(rows), sources=(source,))


def _step_times(steps: pd.DataFrame) -> dict[str, str]:
    """Return what became of the steps: how long, or how it ended."""
    known = {step.step: step for step in steps.itertuples()}
    return {f"step {name}": "–" if name not in known else _step_said(known[name]) for name in ("BUILD", "DEPLOY")}


def _step_said(step: Any) -> str:
    took = minutes(step.seconds) if step.seconds == step.seconds else ""
    return took or step.status.lower() if step.status == "SUCCEED" else f"{step.status.lower()} {took}".strip()


def failures(
    jobs: pd.DataFrame | None, fact: Fact | None, logs: pd.DataFrame | None, window: Window, source: Source
) -> Result:
    """Show which builds of 30 days failed, at which step and why; logs: job and line of the newest of them."""
    import pandas as pd

    title, steps = "Failed builds", fact.frame if fact else None
    if jobs is None:
        return Result("failures", title, Verdict.UNKNOWN, "Failed builds could not be seen.", Sight.ERROR, "the builds could not be seen")  # fmt: skip
    failed = jobs[jobs["status"] == "FAILED"]
    if not len(failed):
        return Result("failures", title, Verdict.OK, f"None of {counted(len(jobs), 'build')} in 30 days failed.", sources=(source,))  # fmt: skip
    newest = jobs["job"].iloc[0]
    rows = []
    for job in failed.itertuples():
        where, why = _failed_step(steps, job.job)
        why = error_of(None if logs is None else logs[logs["job"] == job.job]) or why
        rows.append({"ended": local(job.finished, window), "build": job.job, "step": where, "why": shortened(why, 120) or "–", "commit": shortened(job.message, 60), FLAG: job.job == newest})  # fmt: skip
    inside = ended_in(failed, window)
    steps_said = listed([f"{count} at {name}" for name, count in pd.Series([row["step"] for row in rows]).value_counts().items() if name != "–"])  # fmt: skip
    sentence = f"{len(failed)} of {counted(len(jobs), 'build')} in 30 days failed{f' ({steps_said})' if steps_said else ''}, {len(inside)} of them in the window."
    return Result("failures", title, Verdict.WARN if len(inside) else Verdict.OK, sentence, table=pd.DataFrame(rows), sources=(source,))  # fmt: skip


def _failed_step(steps: pd.DataFrame | None, job: str) -> tuple[str, str]:
    found = None if steps is None else steps[(steps["job"] == job) & (steps["status"] == "FAILED")]
    return ("–", "") if found is None or not len(found) else (str(found["step"].iloc[0]), str(found["reason"].iloc[0]))


def minutes(seconds: float) -> str:
    """Return seconds as 45 s or 4.2 min."""
    return "–" if seconds != seconds else f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _timed(jobs: pd.DataFrame) -> pd.DataFrame:
    return jobs.assign(seconds=(jobs["finished"] - jobs["started"]).dt.total_seconds()).dropna(subset="seconds")
