"""The evidence under `failed-jobs`: each part answers one question with one chart or table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.checks import over_time
from opslib.checks.job_story import FAILING, Story
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, local, took
from opslib.database import query_text
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.sources.jobs import FAILED
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

LINES_OF_STACK = 14
PARTS = {"runs": "Runs over time", "jobs": "Each job", "errors": "Errors", "missing": "Overdue and hanging", "example": "An example"}  # fmt: skip


def failing_text(row: Any, story: Story, window: Window) -> str:
    """Return what is the matter with a failing job: how often, since when, with how many kinds of error, usually how."""
    kinds = story.errors[story.errors["job"] == row.job]
    common = shortened(kinds["error"].iloc[0], 110)
    same = f"all with one error: {common}" if len(kinds) == 1 else f"{len(kinds)} kinds of error, most: {common}"
    usual = (
        "it had not run in the four weeks before"
        if row.usual_share != row.usual_share
        else f"usually {row.usual_share:.1%}"
    )
    many = f"{row.failed:,} of {counted(row.runs, 'run')}" if row.runs > 1 else "its one run"
    same = same if row.failed > 1 else common
    return f"{row.job} fails since {local(row.since, window)}: {many} in the window, {same} ({usual})"


def missed_texts(story: Story, window: Window) -> list[str]:
    """Return a clause for each job that did not come."""
    said = []
    for job, rows in story.missed.groupby("job"):
        many = f"{len(rows)} times, first" if len(rows) > 1 else "when it was due"
        said.append(f"{job} did not come {many} at {local(rows['due'].min(), window)}")
    return said


def stuck_texts(story: Story, window: Window) -> list[str]:
    """Return a clause for each job with runs that do not end."""
    return [
        f"{counted(len(rows), 'run')} of {job} {'hang' if len(rows) > 1 else 'hangs'} since {local(rows['since'].min(), window)}"
        for job, rows in story.stuck.groupby("job")
    ]


def runs(run: Run, frame: pd.DataFrame, window: Window, source: Source) -> Result:
    """Show how many runs there were and how many failed, by hour or day."""
    bad = frame["status"].isin(FAILED)
    counts = over_time.counts(run, window, {"ok": frame.loc[~bad, "queued_at"], "failed": frame.loc[bad, "queued_at"]})
    sentence = f"{int(bad.sum()):,} of {counted(len(frame), 'run')} failed"
    if bad.any():
        worst, length = counts["failed"].idxmax(), "hour" if counts.index.freqstr == "h" else "day"
        sentence += f", most in the {length} from {worst:%Y-%m-%d %H:%M %Z}: {counts['failed'].max():,}"
    verdict = Verdict.WARN if bad.any() else Verdict.OK
    chart = over_time.chart(counts, title=f"{sentence}.", unit="runs")
    return Result("runs", PARTS["runs"], verdict, f"{sentence}.", chart=chart, sources=(source,))


def by_job(run: Run, story: Story, source: Source) -> Result:
    """Show each job against its own history: share of failures on these days of the week, usual duration."""
    import pandas as pd

    table = story.jobs
    zone = run.environment
    shown = pd.DataFrame({
        "job": table["job"], "state": table["state"], "runs": table["runs"], "failed": table["failed"],
        "failed %": (table["share"] * 100).round(1), "usual %": (table["usual_share"] * 100).round(2),
        f"first failure ({zone.timezone})": over_time.local_times(run, table["since"]),
        f"last success ({zone.timezone})": over_time.local_times(run, table["last_success"]),
        "took": [took(value) for value in table["took_s"]], "usually": [took(value) for value in table["usual_s"]],
        "retried": table["retried"], FLAG: table["state"] == FAILING,
    })  # fmt: skip
    odd = table[table["state"] != "as usual"]
    sentence = (
        f"{len(odd)} of {counted(len(table), 'job')} {'are' if len(odd) != 1 else 'is'} not as usual: {listed(list(odd['job']))}."
        if len(odd)
        else f"{counted(len(table), 'job')} ran, each as usual."
    )
    verdict = Verdict.CRITICAL if (table["state"] == FAILING).any() else Verdict.WARN if len(odd) else Verdict.OK
    history = Source("PostgreSQL", query=query_text("job_history"), note="the 28 days before the window")
    return Result(
        "jobs", PARTS["jobs"], verdict, sentence, table=shown if len(shown) else None, sources=(source, history)
    )


def errors(run: Run, story: Story, source: Source) -> Result:
    """Show whether it is one error or several."""
    import pandas as pd

    table = story.errors
    if not len(table):
        return Result("errors", PARTS["errors"], Verdict.OK, "No run failed.", sources=(source,))
    zone = run.environment.timezone
    shown = pd.DataFrame({
        "job": table["job"], "runs": table["runs"], f"first ({zone})": over_time.local_times(run, table["first"]),
        f"last ({zone})": over_time.local_times(run, table["last"]), "error": [shortened(text, 200) for text in table["error"]],
        "attempts": table["attempts"], "request": table["request_id"].replace("", "–"),
    })  # fmt: skip
    top = table.iloc[0]
    sentence = f"{counted(len(table), 'kind')} of error; the commonest, {counted(int(top['runs']), 'run')} of {top['job']}: {shortened(top['error'], 140)}"
    return Result("errors", PARTS["errors"], Verdict.WARN, sentence, table=shown, sources=(source,))


def missing(run: Run, story: Story, window: Window) -> Result:
    """Show runs that did not come and runs that do not end."""
    import pandas as pd

    late = pd.DataFrame({
        "job": story.missed["job"], "what": "did not come", "due or since": over_time.local_times(run, story.missed["due"]),
        "usually": [f"every {took(gap.total_seconds())}" for gap in story.missed["every"]],
    })  # fmt: skip
    hang = pd.DataFrame({
        "job": story.stuck["job"], "what": [f"{state} for {took(age)}" for state, age in zip(story.stuck["state"], story.stuck["for_s"], strict=True)],
        "due or since": over_time.local_times(run, story.stuck["since"]),
        "usually": [f"takes {took(value)}" for value in story.stuck["usual_s"]],
    })  # fmt: skip
    table = pd.concat([late, hang], ignore_index=True).rename(
        columns={"due or since": f"due or since ({run.environment.timezone})"}
    )
    said = missed_texts(story, window) + stuck_texts(story, window)
    sentence = (
        f"{listed(said)}."
        if said
        else "Every job of the clock came when its rhythm of the last two weeks said; none hangs."
    )
    rhythm = Source(
        "PostgreSQL", query=query_text("job_clock_page"), note="jobs that no request leaves, two weeks back"
    )
    hanging = Source("PostgreSQL", query=query_text("job_runs_unfinished"))
    verdict = Verdict.CRITICAL if said else Verdict.OK
    return Result(
        "missing",
        PARTS["missing"],
        verdict,
        sentence[0].upper() + sentence[1:],
        table=table if len(table) else None,
        sources=(rhythm, hanging),
    )


def example(run: Run, story: Story, fact: Fact) -> Result:
    """Show what the last run with the commonest error wrote, its stack, and the request that left it."""
    if not len(story.errors):
        return Result("example", PARTS["example"], Verdict.OK, "No run failed: there is nothing to show.")
    worst = story.errors.iloc[0]
    by = f", left by {worst['request_id']}" if worst["request_id"] else ", left by the clock"
    sentence = f"Run {worst['id']} of {worst['job']}{by}: {shortened(worst['error'], 160)}"
    if fact.frame is None or not len(fact.frame):
        why = fact.error.what if fact.error else "its lines are older than the logs, or carry no job.id"
        return Result(
            "example",
            PARTS["example"],
            Verdict.UNKNOWN,
            sentence,
            Sight(fact.sight if fact.error else "no_data"),
            f"no line of it: {why}",
        )
    source = Source(
        "CloudWatch Logs Insights",
        run.identity.account,
        run.environment.region,
        query=str(fact.frame.attrs["query"]),
        usd=float(fact.frame.attrs["usd"]),
    )
    return Result("example", PARTS["example"], Verdict.WARN, sentence, table=_lines(run, fact.frame), sources=(source,))


def _lines(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    clock = frame["time"].dt.tz_convert(run.environment.timezone).dt.strftime("%H:%M:%S.%f").str[:-3]
    rows: list[list[str]] = []
    for at, row in zip(clock, frame.itertuples(), strict=True):
        for text in _texts(str(row.message), str(row.raw)):
            if " | " not in text or text not in [shown[-1] for shown in rows]:  # attempts repeat their stack
                rows.append([at, str(row.service), str(row.level), text])
    return pd.DataFrame(rows, columns=[f"time ({run.environment.timezone})", "service", "level", "line"])


def _texts(message: str, raw: str) -> list[str]:
    """Return the message, and the top of the stack when the line carries one."""
    import orjson

    try:
        error = orjson.loads(raw).get("error")
    except (ValueError, AttributeError):
        return [shortened(message, 400)]
    stack = str(error.get("stack") or "") if isinstance(error, dict) else ""
    kept = [line.strip() for line in stack.splitlines() if line.strip()]
    more = f" … {len(kept) - LINES_OF_STACK} more" if len(kept) > LINES_OF_STACK else ""
    return [message, *([" | ".join(kept[:LINES_OF_STACK]) + more] if kept else [])]


def blind(facts: dict[str, Fact], name: str, title: str) -> Result:
    """Return the answer when a table could not be read: unknown, with every reason."""
    failed = [fact for fact in facts.values() if fact.error is not None]
    texts = dict.fromkeys(
        " — ".join(filter(None, (fact.error.what, fact.error.why, fact.error.fix))) for fact in failed if fact.error
    )
    sight = Sight(next((fact.sight for fact in failed if fact.sight == "denied"), failed[0].sight))
    empty = tuple(
        Result(part, said, Verdict.UNKNOWN, "Nothing to show: the table could not be read.", sight, "see the verdict")
        for part, said in PARTS.items()
    )
    return Result(
        name, title, Verdict.UNKNOWN, "Whether jobs failed could not be seen.", sight, "; ".join(texts), parts=empty
    )
