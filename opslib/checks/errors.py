"""Errors in the logs: which patterns are new or grew against the time before, in which service, since when."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.charts.timeseries import timeseries
from opslib.checks.error_story import FEW, GREW, NEW, USUAL, Story, read
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, local
from opslib.errors import OpsError, SourceError
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.sources import error_patterns, logs
from opslib.sources.log_lines import FAILING
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NAME, TITLE = "search-errors", "Errors in the logs"
TRACE = "2-investigate/trace-request"
MANY = 20  # requests: fewer are a warning
DAY = timedelta(days=1)
SHOWN = 5  # lines in the chart


def search(run: Run, *, log_groups: str = "") -> Result:
    """Compare the errors of the window (1 hour by default) with the same length before it and the same hours a day earlier.

    `log_groups` are shell-like patterns with commas between; empty means all of the environment's. Parts: new, grew,
    course, usual. Critical: a new or grown error of level ERROR in 20 requests and more.
    """
    window = run.window_or("1h")
    patterns = tuple(part.strip() for part in log_groups.split(",") if part.strip()) or run.environment.log_groups
    try:
        known = logs.log_groups(run.environment, patterns=patterns)
        if not len(known):
            raise SourceError("no log group matches", why=", ".join(patterns), fix="name log_groups in opslib.toml")
    except SourceError as error:
        return run.record(_blind(error, error.sight))
    groups, length = list(known["name"]), timedelta(seconds=window.seconds)
    shifts = {"before": length, "yesterday": max(DAY, timedelta(days=-(-length // DAY)))}
    asked = partial(error_patterns.totals, run, groups=groups)
    facts = run.facts(
        deadline_s=3 * run.deadline, now=partial(asked, window=window), course=partial(error_patterns.course, run, window=window, groups=groups),
        **{name: partial(asked, window=Window(window.start - by, window.end - by, window.zone)) for name, by in shifts.items()},
    )  # fmt: skip
    now = facts["now"]
    if now.frame is None:
        return run.record(_blind(now.error or OpsError("no answer"), now.sight))
    return run.record(_told(run, window, facts, [f"no log group matches {name}" for name in known.attrs["missing"]]))


def _told(run: Run, window: Window, facts: dict[str, Fact], missing: list[str]) -> Result:
    import pandas as pd

    frames = {name: fact.frame for name, fact in facts.items() if fact.frame is not None}
    course = frames.get("course", pd.DataFrame(columns=[*frames["now"].columns, "at"]))
    story = read(frames["now"], course, {name: frames[name] for name in ("before", "yesterday") if name in frames})
    reasons = missing + [f"{name}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    reasons += [problem for frame in frames.values() for problem in frame.attrs["problems"]]
    if not story.baselines:
        reasons.append("without a time to compare with, nothing can be called new")
    off, source = story.off, _source(run, frames)
    tiles = {
        "lines": f"{int(story.patterns['lines'].sum()):,}", "patterns": str(len(story.patterns)), "new": str(int((off["state"] == NEW).sum())),
        "grew": str(int((off["state"] == GREW).sum())), **{f"lines {name}": f"{int(frames[name]['lines'].sum()):,}" for name in story.baselines},
    }  # fmt: skip
    return Result(
        NAME, TITLE, verdict_of(story), sentence_of(story, window), Sight.PARTIAL if reasons else Sight.COMPLETE, "; ".join(reasons), tiles,
        sources=(source,), next=_next(off), data=tuple(f"data/{name}.csv" for name in ("now", "course") if run.folder and name in frames),
        parts=(_table(story, window, NEW, source), _table(story, window, GREW, source), _course(run, story, window, source),
               _table(story, window, USUAL, source)),
    )  # fmt: skip


def verdict_of(story: Story) -> Verdict:
    """Return critical for many requests with a new or grown error, warn for any such pattern."""
    off = story.off
    if (off["level"].isin(FAILING) & (off[["requests", "lines"]].max(axis=1) >= MANY)).any():
        return Verdict.CRITICAL
    return Verdict.WARN if len(off) else Verdict.OK


def sentence_of(story: Story, window: Window) -> str:
    """Return what is new or grew, the worst first."""
    off = story.off
    if not len(off):
        rare = int((story.patterns["state"] == FEW).sum())
        also = f"; {counted(rare, 'unseen pattern')} with fewer than 5 lines" if rare else ""
        return (
            f"No error is new or more frequent: {counted(int(story.patterns['lines'].sum()), 'line')}, as usual{also}."
        )
    return listed([_said(row, story, window) for row in off.itertuples()], most=2) + "."


def _said(row: Any, story: Story, window: Window) -> str:
    many = counted(int(row.lines), "line") + (f" in {counted(int(row.requests), 'request')}" if row.requests else "")
    usual = int(row.lines - row.more)
    change = "is new" if row.state == NEW else f"grew from {usual:,}"
    named = row.kind or f"“{shortened(row.pattern, 80)}”"
    return f"{named} in {row.service} {change} since {local(row.since, window)}: {many}"


def _table(story: Story, window: Window, state: str, source: Source) -> Result:
    titles = {NEW: "New errors", GREW: "Errors that grew", USUAL: "Usual errors"}
    chosen = story.patterns[story.patterns["state"].isin([USUAL, FEW] if state == USUAL else [state])]
    table = _shown(chosen, story, window)
    verdict = Verdict.WARN if state != USUAL and len(chosen) else Verdict.OK
    nothing = {NEW: "No pattern is new.", GREW: "No pattern grew.", USUAL: "No other error was written."}[state]
    sentence = (
        f"{counted(len(chosen), 'pattern')}, {counted(int(chosen['lines'].sum()), 'line')}." if len(chosen) else nothing
    )
    return Result(state, titles[state], verdict, sentence, table=table if len(chosen) else None, sources=(source,))


def _shown(chosen: pd.DataFrame, story: Story, window: Window) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "service": chosen["service"], "level": chosen["level"], "kind": chosen["kind"], "message": chosen["pattern"], "lines": chosen["lines"],
        **{name: chosen[name] for name in story.baselines}, "requests": chosen["requests"],
        "since" if not (chosen["state"] == USUAL).any() else "first": [local(moment, window) for moment in chosen["since"]],
        "example": chosen["example"],
    }).reset_index(drop=True)  # fmt: skip


def _course(run: Run, story: Story, window: Window, source: Source) -> Result:
    import pandas as pd

    chosen = story.off.head(SHOWN) if len(story.off) else story.patterns.head(SHOWN)
    if not len(story.bins):
        return Result("course", "When?", Verdict.OK, "No error line to draw.", sources=(source,))
    named: dict[str, Any] = {}  # patterns of one kind are one line
    for row in chosen.itertuples():
        name = f"{row.service}: {row.kind or shortened(row.pattern, 40)}"
        named[name] = named.get(name, 0) + story.bins[row.Index]
    drawn = pd.DataFrame(named)
    peak = drawn.sum(axis=1)
    sentence = f"Most lines were written at {local(peak.idxmax(), window)}: {int(peak.max()):,} of {int(peak.sum()):,} of what is drawn."
    chart = timeseries(drawn, title=sentence, unit="lines", zone=run.environment.zone)
    return Result(
        "course", "When?", Verdict.WARN if len(story.off) else Verdict.OK, sentence, chart=chart, sources=(source,)
    )


def _next(off: pd.DataFrame) -> tuple[Next, ...]:
    named = off[off["example"] != ""].drop_duplicates("example").head(2)
    return tuple(
        Next(TRACE, {"request_id": row.example}, f"an example of {row.kind or shortened(row.pattern, 60)} in {row.service}") for row in named.itertuples()
    )  # fmt: skip


def _source(run: Run, frames: dict[str, pd.DataFrame]) -> Source:
    windows = "; ".join(f"{name}: {frame.attrs['window']}" for name, frame in frames.items() if name != "course")
    usd = sum(frame.attrs["usd"] for frame in frames.values())
    return Source(
        "CloudWatch Logs Insights", run.identity.account, run.environment.region, windows, frames["now"].attrs["query"], frames["now"].attrs["note"], usd
    )  # fmt: skip


def _blind(error: OpsError, sight: str) -> Result:
    reason = " — ".join(part for part in (error.what, error.why, error.fix) if part)
    parts = tuple(
        Result(name, title, Verdict.UNKNOWN, "Nothing to show.", Sight.NO_DATA, "see the verdict")
        for name, title in (
            (NEW, "New errors"),
            (GREW, "Errors that grew"),
            ("course", "When?"),
            (USUAL, "Usual errors"),
        )
    )
    return Result(NAME, TITLE, Verdict.UNKNOWN, "The logs could not be searched.", Sight(sight), reason, parts=parts)
