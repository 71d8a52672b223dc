"""The evidence under a trace: each part answers one question with one chart or table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib.charts.gantt import gantt
from opslib.checks.request_story import Story, seconds_text, shortened
from opslib.database import query_text
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.sources.log_lines import failing

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

TITLES = {"jobs": "Jobs of this request", "audit": "Audit log of this request"}


def timeline(story: Story, source: Source) -> Result:
    """Show which service wrote when: a lane each, first error, gaps, skew and silence said."""
    lines = story.lines
    marks = lines.assign(
        lane=lines["service"],
        ms=lines["at_ms"],
        error=failing(lines),
        first_error=lines.index == story.first_error,
    )[["lane", "ms", "error", "first_error"]]
    sentence = _timeline_sentence(story)
    chart = gantt(story.spans, marks, story.gaps, title=sentence)
    return Result(
        "timeline", "Timeline", Verdict.WARN if story.failed else Verdict.OK, sentence, chart=chart, sources=(source,)
    )


def _timeline_sentence(story: Story) -> str:
    heard = story.spans[story.spans["lines"] > 0]
    said = [f"{counted(len(heard), 'service')} in {seconds_text(float(heard['end_ms'].max()))}"]
    said += [f"{gap.label}" for gap in story.gaps.itertuples()]
    said += [f"the clock of {service} is at least {behind:.0f} ms behind" for service, behind in story.skewed.items()]
    silent = list(story.spans.loc[story.spans["lines"] == 0, "lane"])
    said += [f"silent though usual here: {', '.join(silent)}"] if silent else []
    return "; ".join(said) + "."


def lines(run: Run, story: Story, source: Source, kept: str, *, longer: int = 0) -> Result:
    """Show the lines themselves, with the time since the line before: all of few, of many those near errors and ends."""
    import pandas as pd

    local = story.lines["time"].dt.tz_convert(str(run.environment.timezone))
    clock = "%H:%M:%S.%f" if local.dt.date.nunique() == 1 else "%m-%d %H:%M:%S.%f"
    table = pd.DataFrame({
        f"time ({run.environment.timezone})": local.dt.strftime(clock).str[:-3],
        "+ms": story.lines["at_ms"].diff().fillna(0).round(0).astype(int),
        "service": story.lines["service"], "level": story.lines["level"], "line": [_line(row) for row in story.lines.itertuples()],
        FLAG: story.lines.index == story.first_error,
    })  # fmt: skip
    errors = int(failing(story.lines).sum())
    said = [f"{counted(len(table), 'line')}, {errors} of them {'an error' if errors == 1 else 'errors'}"]
    said += (
        [f"the first one is marked: {shortened(_line(story.lines.loc[story.first_error]))}"]
        if story.first_error is not None
        else []
    )
    said += [f"{counted(longer, 'line')} with a longer id left out"] if longer else []
    chosen = _telling(story)
    shown = table.loc[chosen]
    shown.attrs.update(rows=len(chosen), total=len(table))
    verdict = Verdict.WARN if errors else Verdict.OK
    return Result("lines", "Lines", verdict, "; ".join(said) + ".", table=shown, sources=(source,), data=(kept,))


def _telling(story: Story, most: int = 60) -> list[int]:
    """Return the rows to show: all of few; of many the ends, and the neighbourhood of each error while there is room."""
    count = len(story.lines)
    if count <= most:
        return list(range(count))
    rows = {*range(8), *range(count - 8, count)}
    for place in story.lines.index[failing(story.lines)]:
        near = set(range(max(0, place - 3), min(count, place + 3)))
        if len(rows | near) > most:
            break
        rows |= near
    return sorted(rows)


def _line(row: pd.Series) -> str:
    extra = [part for part in (
        f"status {row.status:.0f}" if row.status == row.status else "",
        f"took {seconds_text(row.duration_ms)}" if row.duration_ms == row.duration_ms else "",
        f"waited {seconds_text(row.wait_ms)} for {row.wait_for}" if row.wait_ms == row.wait_ms else "",
        f"{row.error_kind}: {shortened(row.error_message)}" if row.error_kind and row.error_kind not in row.message else "",
    ) if part]  # fmt: skip
    return shortened(row.message, 240) + (f" [{'; '.join(extra)}]" if extra else "")


def user(run: Run, fact: Fact) -> Result:
    """Show the user whom the lines name, without personal data, and where the admin screen shows the rest."""
    if fact.error is not None or fact.frame is None:
        return _unseen(fact, "user", "User")
    if not len(fact.frame):
        return Result(
            "user",
            "User",
            Verdict.OK,
            "The lines name no user that the table has.",
            table=None,
            sources=(_sql(run, "user_by_id"),),
        )
    user_id = str(fact.frame["id"].iloc[0])
    url = run.environment.admin_urls.get("user", "").replace("{user_id}", user_id)
    sentence = f"The request is of user {user_id}" + (f"; admin screen: {url}" if url else "") + "."
    return Result(
        "user", "User", Verdict.OK, sentence, table=_local(run, fact.frame), sources=(_sql(run, "user_by_id"),)
    )


def rows(run: Run, fact: Fact, name: str, query: str) -> Result:
    """Show the rows of a table that carry this request id."""
    if fact.error is not None or fact.frame is None:
        return _unseen(fact, name, TITLES[name])
    frame = _local(run, fact.frame.drop(columns=[column for column in ("id",) if column in fact.frame]))
    failed = len(failed_jobs(fact))
    sentence = (
        f"{counted(len(frame), 'row')} with this request id" + (f", {failed} of them failed" if failed else "") + "."
    )
    return Result(
        name,
        TITLES[name],
        Verdict.WARN if failed else Verdict.OK,
        sentence,
        table=frame if len(frame) else None,
        sources=(_sql(run, query),),
    )


def neighbours(run: Run, fact: Fact, request_id: str) -> Result:
    """Show other requests that met the same error within 15 minutes."""
    title = "Same error elsewhere"
    if fact.error is not None or fact.frame is None:
        return _unseen(fact, "neighbours", title)
    attrs = fact.frame.attrs
    source = Source(
        "CloudWatch Logs Insights",
        run.identity.account,
        run.environment.region,
        attrs["window"],
        attrs["query"],
        usd=attrs["usd"],
    )
    others = fact.frame[(fact.frame["request_id"] != request_id) & (fact.frame["request_id"] != "")].drop_duplicates(
        "request_id"
    )
    if not attrs["query"]:
        return Result("neighbours", title, Verdict.OK, "The lines name no kind of error that others could share.")
    sentence = f"{counted(len(others), 'other request')} of {counted(others['user_id'].nunique(), 'user')} met the same error within 15 minutes of it."
    table = others.assign(time=others["time"].dt.tz_convert(run.environment.timezone).dt.strftime("%H:%M:%S"))
    sight = Sight.COMPLETE if attrs["complete"] else Sight.PARTIAL
    reason = "" if attrs["complete"] else "more than 1,000 lines; the newest are counted"
    return Result(
        "neighbours",
        title,
        Verdict.WARN if len(others) else Verdict.OK,
        sentence,
        sight,
        reason,
        table=table if len(table) else None,
        sources=(source,),
    )


def failed_jobs(fact: Fact) -> list[str]:
    """Return the names of the jobs among the rows that failed."""
    if fact.frame is None or "status" not in fact.frame:
        return []
    failed = fact.frame["status"].isin(["failed", "error"])
    return [str(name) for name in fact.frame.loc[failed, "job_name"]]


def counted(count: int, noun: str) -> str:
    """Return "1 row" or "3 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _local(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with their times in the environment's zone, which each column then names."""
    shown = frame.copy()
    for column in frame.columns:
        if str(frame[column].dtype).startswith("datetime"):
            local = frame[column].dt.tz_convert(run.environment.timezone)
            shown[column] = local.dt.strftime("%Y-%m-%d %H:%M:%S").fillna("–")
            shown = shown.rename(columns={column: f"{column} ({run.environment.timezone})"})
    return shown


def _unseen(fact: Fact, name: str, title: str) -> Result:
    error = fact.error
    said = " — ".join(part for part in (error.what, error.why, error.fix) if part) if error else ""
    return Result(name, title, Verdict.UNKNOWN, f"{title}: could not be looked up.", Sight(fact.sight), said)


def _sql(run: Run, query: str) -> Source:
    return Source(
        "PostgreSQL",
        region="",
        query=query_text(query),
        note=f"database {run.environment.database.dbname}" if run.environment.database else "",
    )
