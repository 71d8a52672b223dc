"""Background jobs: which failed, since when, whether that is usual, which never came, which do not end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from opslib.checks import job_parts as parts
from opslib.checks import over_time
from opslib.checks.job_story import FAILING, HISTORY, RECOVERED, SLOW, Story, read
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, took
from opslib.result import Next, Result, Sight, Verdict
from opslib.run import Fact, Run
from opslib.sources import job_lines, jobs
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME, TITLE = "failed-jobs", "Background jobs"
LOOK, NOTHING = "Look when there is time: ", "Nothing to do: "


def failed(run: Run, *, job: str = "") -> Result:
    """Say which jobs failed in the window (24 hours by default) and whether anybody must do anything.

    `job` narrows to one job. Parts: runs, jobs, errors, missed, example. Critical: a job fails still, did not come, or
    does not end; warn: it failed and has succeeded since, or became slow.
    """
    window = run.window_or("24h")
    facts = run.facts(deadline_s=3 * run.deadline, **fetches(run, window, job))
    story = story_of(run, facts, window)
    if story is None:
        return run.record(parts.blind(facts, NAME, TITLE))
    frames = {name: fact.frame for name, fact in facts.items() if fact.frame is not None}
    return run.record(_told(run, story, frames, window, job))


def fetches(run: Run, window: Window, job: str = "") -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what to ask for, each under the name that it is kept by."""
    env = run.environment
    before = Window(window.start - HISTORY, window.start, window.zone)
    two_weeks = Window(window.start - timedelta(days=14), window.end, window.zone)
    return {
        "job_runs": partial(jobs.runs, env, window=window, job=job),
        "unfinished_runs": partial(jobs.unfinished, env, window=window, job=job),
        "job_history": partial(jobs.history, env, window=before, zone=env.timezone, job=job),
        "clock_runs": partial(jobs.clock_times, env, window=two_weeks, job=job),
    }


def story_of(run: Run, facts: Mapping[str, Fact], window: Window) -> Story | None:
    """Return what the answers of `fetches` say; None when one of them is missing."""
    found = [facts[name].frame for name in ("job_runs", "unfinished_runs", "job_history", "clock_runs")]
    runs, unfinished, history, clock = found
    if runs is None or unfinished is None or history is None or clock is None:
        return None
    return read(runs, unfinished, history, clock, window=window, zone=run.environment.timezone)


def _told(run: Run, story: Story, frames: dict[str, pd.DataFrame], window: Window, job: str) -> Result:
    runs = frames["job_runs"]
    example = _example(run, story, window)
    reasons = sorted({problem for frame in frames.values() for problem in frame.attrs.get("problems", [])})
    reasons += [f"the example's lines: {example.error.what}"] if example.error else []
    verdict, sentence = conclusion(story, runs=len(runs), window=window)
    if not len(runs) and not len(frames["job_history"]):
        verdict, sentence = (
            Verdict.UNKNOWN,
            f"No run of {shortened(job, 60) if job else 'any job'} is known: nothing can be said.",
        )
        reasons = [*reasons, "job_runs has no row in the window, nor in the 28 days before"]
    source = over_time.source(run, window, "job_runs_page", frames["job_runs"])
    facts = {
        "runs": f"{len(runs):,}", "failed": f"{int(story.jobs['failed'].sum()):,}", "jobs failing": str(int((story.jobs["state"] == FAILING).sum())),
        "did not come": str(len(story.missed)), "do not end": str(len(story.stuck)), "retried": f"{int(story.jobs['retried'].sum()):,}",
    }  # fmt: skip
    return Result(
        NAME, TITLE if not job else f"Background job {job}", verdict, sentence, Sight.PARTIAL if reasons else Sight.COMPLETE,
        "; ".join(reasons), facts, sources=(source,), next=_next(story, window), data=("data/job_runs.csv" if run.folder else "",),
        parts=(parts.runs(run, runs, window, source), parts.by_job(run, story, source), parts.errors(run, story, source),
               parts.missing(run, story, window), parts.example(run, story, example)),
    )  # fmt: skip


def conclusion(story: Story, *, runs: int, window: Window) -> tuple[Verdict, str]:
    """Return the verdict and the one sentence: must somebody do something, and what."""
    table = story.jobs
    urgent = [parts.failing_text(row, story, window) for row in table[table["state"] == FAILING].itertuples()]
    urgent += parts.missed_texts(story, window) + parts.stuck_texts(story, window)
    if urgent:
        return Verdict.CRITICAL, listed(urgent) + "."
    later = [
        f"{row.job} failed {counted(row.failed, 'time')} and has succeeded since"
        for row in table[table["state"] == RECOVERED].itertuples()
    ]
    later += [
        f"{row.job} takes {took(row.took_s)}, usually {took(row.usual_s)}"
        for row in table[table["state"] == SLOW].itertuples()
    ]
    if later:
        return Verdict.WARN, LOOK + listed(later) + "."
    failed_runs = int(table["failed"].sum())
    said = (
        f"{failed_runs} of {runs:,} runs failed for good, as usual"
        if failed_runs
        else f"all of {runs:,} runs went well"
    )
    return Verdict.OK, f"{NOTHING}{said}; no job is overdue, none hangs."


def _example(run: Run, story: Story, window: Window) -> Fact:
    """Fetch what the last run with the commonest error wrote; without a failed run there is nothing to ask."""
    if not len(story.errors):
        return Fact("example_lines")
    worst = story.errors.iloc[0]
    end = min(worst["last"] + timedelta(minutes=5), window.end)
    ask = partial(
        job_lines.lines,
        run,
        run_id=int(worst["id"]),
        window=Window(worst["last"] - timedelta(hours=2), end, window.zone),
    )
    return run.facts(deadline_s=run.deadline, example_lines=ask)["example_lines"]


def _next(story: Story, window: Window) -> tuple[Next, ...]:
    if not len(story.errors):
        return ()
    worst = story.errors.iloc[0]
    steps = []
    if worst["request_id"]:
        steps.append(
            Next(
                "2-investigate/trace-request",
                {"request_id": worst["request_id"]},
                f"trace the request that left the last failed run of {worst['job']}",
            )
        )
    first = worst["first"].to_pydatetime()
    around = Window(max(window.start, first - timedelta(minutes=10)), window.end, window.zone)
    before = Window(first - timedelta(minutes=30), first, window.zone)
    why = "see which other errors began at the same time"
    steps.append(Next("2-investigate/search-errors", {"window": around.as_parameter()}, why))
    why = "see what administrators did, such as imports, in the half hour before"
    steps.append(Next("2-investigate/who-did-what", {"window": before.as_parameter()}, why))
    return tuple(steps)
