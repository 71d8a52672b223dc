"""One request: what failed, where, after how long, and what it waited for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks import request_parts as parts
from opslib.checks.request_story import SLOW_MS, Story, read, seconds_text, shortened
from opslib.errors import OpsError
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.sources import audit, insights_quoting, jobs, log_lines, logs, request_neighbours, request_search, users

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK = "2-investigate/trace-request"
SEARCH_SECONDS = 120.0
MANY = 5


def trace(run: Run, *, request_id: str, log_groups: str = "") -> Result:
    """Trace one request through every service and say what failed.

    `log_groups` are shell-like patterns with commas between; empty means all of the environment's. Parts: timeline,
    lines, user, jobs, audit, neighbours. Raises ParameterError for what cannot be a request id, before any search.
    """
    request_id = insights_quoting.checked_id(request_id)
    patterns = tuple(part.strip() for part in log_groups.split(",") if part.strip()) or run.environment.log_groups
    found = run.facts(
        deadline_s=SEARCH_SECONDS, lines=partial(request_search.request_lines, run, request_id, patterns=patterns)
    )["lines"]
    if found.frame is None:
        return run.record(_blind(run, request_id, found))
    if not len(found.frame):
        return run.record(_not_found(run, request_id, found.frame))
    return run.record(_told(run, request_id, found.frame))


def _told(run: Run, request_id: str, frame: pd.DataFrame) -> Result:
    lines = log_lines.parsed(frame)
    around = _around(run, request_id, lines)
    story = read(lines, expected=_expected(around["usual"]))
    verdict, sight, reason = _judged(story, frame, around)
    first = lines["time"].iloc[0].to_pydatetime()
    facts = {
        "status": f"{story.lines['status'].max():.0f}" if story.lines["status"].notna().any() else "–",
        "took": seconds_text(story.total_ms),
        "services": str(int((story.spans["lines"] > 0).sum())),
        "lines": str(len(lines)),
        "at": f"{first.astimezone(run.environment.zone):%H:%M:%S %Z}",
    }
    return Result(
        name="trace-request", title=f"Request {request_id}", verdict=verdict, sentence=_sentence(story), sight=sight, reason=reason, facts=facts,
        sources=(_source(run, frame),), next=_next(around["neighbours"], request_id, first, run), data=(_kept(run, "lines"),),
        parts=(parts.timeline(story, _source(run, frame)), parts.lines(run, story, _source(run, frame), _kept(run, "lines")),
               parts.user(run, around["user"]), parts.rows(run, around["jobs"], "jobs", "job_runs_of_request"),
               parts.rows(run, around["audit"], "audit", "audit_logs_of_request"), parts.neighbours(run, around["neighbours"], request_id)),
    )  # fmt: skip


def _around(run: Run, request_id: str, lines: pd.DataFrame) -> dict[str, Fact]:
    """Ask, all at once, for what stands around the request: rows, the user, neighbours, who usually answers."""
    moment = lines["time"].iloc[0].to_pydatetime()
    groups = sorted(set(lines["log"].map(lambda log: log.split(":", 1)[-1])))
    kind, route, user_id = _first(lines["error_kind"]), _first(lines["route"]), _first(lines["user_id"])
    return run.facts(
        deadline_s=30.0,
        jobs=partial(jobs.rows_of_request, run.environment, request_id),
        audit=partial(audit.rows_of_request, run.environment, request_id),
        user=partial(users.user, run.environment, user_id),
        neighbours=partial(request_neighbours.same_error, run, kind, groups=groups, moment=moment),
        usual=partial(request_neighbours.usual_services, run, route, moment=moment),
    )


def _judged(story: Story, frame: pd.DataFrame, around: dict[str, Fact]) -> tuple[Verdict, Sight, str]:
    same = around["neighbours"].frame
    many = same is not None and same["request_id"].nunique() >= MANY
    if story.failed:
        verdict = Verdict.CRITICAL if many else Verdict.WARN
    else:
        verdict = Verdict.WARN if story.total_ms > SLOW_MS or story.lines["status"].max() >= 400 else Verdict.OK
    reasons = [f"log group {name} does not exist" for name in frame.attrs["missing"]]
    reasons += [] if frame.attrs["complete"] else ["there are more lines than one query returns"]
    reasons += [f"{name}: {fact.error.what}" for name, fact in around.items() if fact.error is not None]
    return verdict, Sight.PARTIAL if reasons else Sight.COMPLETE, "; ".join(reasons)


def _sentence(story: Story) -> str:
    status = story.lines["status"].max()
    code = f" with {status:.0f}" if status == status else ""
    cause = story.cause()
    if story.failed:
        head = f"{story.what} failed{code} after {seconds_text(story.total_ms)}"
    elif len(story.lines) == 1:
        return f"One line of {story.what}, no error: {shortened(story.lines['message'].iloc[0])}"
    else:
        head = f"{story.what} ended{code} after {seconds_text(story.total_ms)}, no error in {len(story.lines)} lines"
    return f"{head}: {cause}." if cause else f"{head}."


def _next(fact: Fact, request_id: str, moment: Any, run: Run) -> tuple[Next, ...]:
    others = (
        []
        if fact.frame is None
        else [other for other in fact.frame["request_id"].drop_duplicates() if other and other != request_id]
    )
    if not others:
        return ()
    return (
        Next(
            NOTEBOOK, {"request_id": others[0]}, f"compare with another of {len(others)} requests with the same error"
        ),
    )


def _not_found(run: Run, request_id: str, frame: pd.DataFrame) -> Result:
    attrs = frame.attrs
    window, usd = request_search.next_wider(run, frame)
    groups = ", ".join(attrs["groups"]) or "none"
    missing = f" Not there: {', '.join(attrs['missing'])}." if attrs["missing"] else ""
    reason = f"searched {groups} in {'; '.join(attrs['windows']) or 'no window'}.{missing} A line may take {logs.INGESTION_DELAY_MINUTES} minutes to be found"
    step = Next(
        NOTEBOOK,
        {"request_id": request_id, "window": window.as_parameter()},
        f"search back to {window.local(window.start):%Y-%m-%d}, about US${usd:.4f}",
    )
    facts = {
        "log groups": str(len(attrs["groups"])),
        "events scanned": f"{attrs['scanned']:,}",
        "price": f"US${attrs['usd']:.4f}",
    }
    return Result("trace-request", f"Request {request_id}", Verdict.UNKNOWN, f"No line of {request_id} was found in {len(attrs['groups'])} log groups.",
                  Sight.PARTIAL if attrs["missing"] else Sight.NO_DATA, reason, facts, sources=(_source(run, frame),), next=(step,), parts=_empty_parts())  # fmt: skip


def _blind(run: Run, request_id: str, fact: Fact) -> Result:
    error = fact.error or OpsError("no answer")
    reason = " — ".join(part for part in (error.what, error.why, error.fix) if part)
    return Result(
        "trace-request",
        f"Request {request_id}",
        Verdict.UNKNOWN,
        "The logs could not be searched.",
        Sight(fact.sight),
        reason,
        parts=_empty_parts(),
    )


def _empty_parts() -> tuple[Result, ...]:
    titles = {
        "timeline": "Timeline",
        "lines": "Lines",
        "user": "User",
        "jobs": "Jobs",
        "audit": "Audit log",
        "neighbours": "Same error elsewhere",
    }
    return tuple(
        Result(name, title, Verdict.UNKNOWN, "Nothing to show: no line was found.", Sight.NO_DATA, "see the verdict")
        for name, title in titles.items()
    )


def _source(run: Run, frame: pd.DataFrame) -> Source:
    attrs = frame.attrs
    note = f"{len(attrs['groups'])} log groups, {attrs['scanned']:,} events scanned"
    windows = "; ".join(attrs["windows"])
    return Source(
        "CloudWatch Logs Insights",
        run.identity.account,
        run.environment.region,
        windows,
        attrs["query"],
        note,
        attrs["usd"],
    )


def _kept(run: Run, name: str) -> str:
    return f"data/{name}.csv" if run.folder else ""


def _expected(fact: Fact) -> tuple[str, ...]:
    return () if fact.frame is None else tuple(fact.frame["service"])


def _first(column: Any) -> str:
    said = column[column != ""]
    return str(said.iloc[0]) if len(said) else ""
