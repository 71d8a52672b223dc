"""One request: what failed, where, after how long, and what it waited for."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks import request_parts as parts
from opslib.checks.request_story import Story, read, seconds_text
from opslib.checks.request_verdict import sentence_of, verdict_of
from opslib.errors import OpsError
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.run import Fact, Run
from opslib.sources import audit, insights_quoting, jobs, log_lines, logs, request_neighbours, request_search, users
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK = "2-investigate/trace-request"
HALF_HOUR = timedelta(minutes=30)
_OF_DATABASE = r"(?i)\block\b|database|postgres|connection pool"


def trace(run: Run, *, request_id: str, log_groups: str = "") -> Result:
    """Trace one request through every service and say what failed.

    `log_groups` are shell-like patterns with commas between; empty means all of the environment's. Parts: timeline,
    lines, user, jobs, audit, neighbours. Raises ParameterError for what cannot be a request id, before any search.
    """
    request_id = insights_quoting.checked_id(request_id)
    patterns = tuple(part.strip() for part in log_groups.split(",") if part.strip()) or run.environment.log_groups
    found = run.facts(
        deadline_s=6 * run.deadline, lines=partial(request_search.request_lines, run, request_id, patterns=patterns)
    )["lines"]
    if found.frame is None:
        return run.record(_blind(run, request_id, found))
    if not len(found.frame):
        return run.record(_not_found(run, request_id, found.frame))
    return run.record(_told(run, request_id, found.frame))


def _told(run: Run, request_id: str, frame: pd.DataFrame) -> Result:
    lines = log_lines.parsed(frame)
    around = _around(run, request_id, lines, frame.attrs["groups"])
    story = read(lines, expected=_expected(around["usual"]))
    same = around["neighbours"].frame
    jobs_failed = parts.failed_jobs(around["jobs"])
    first = lines["time"].iloc[0].to_pydatetime()
    facts = {
        "status": f"{story.status:.0f}" if story.entry is not None else "–",
        "took": seconds_text(story.total_ms),
        "services": str(int((story.spans["lines"] > 0).sum())),
        "lines": str(len(lines)),
        f"began ({run.environment.timezone})": f"{first.astimezone(run.environment.zone):%Y-%m-%d %H:%M:%S}",
    }
    source, kept = _source(run, frame), _kept(run, "lines")
    reasons = _unseen(frame, around)
    return Result(
        name="trace-request", title=f"Request {request_id}",
        verdict=verdict_of(story, same_error=0 if same is None else int(same["request_id"].nunique()), failed_jobs=jobs_failed),
        sentence=sentence_of(story, failed_jobs=jobs_failed), sight=Sight.PARTIAL if reasons else Sight.COMPLETE, reason="; ".join(reasons),
        facts=facts, sources=(source,), next=_elsewhere(run, story) + _next(around["neighbours"], request_id) + _linked(frame), data=(kept,),
        parts=(parts.timeline(story, source), parts.lines(run, story, source, kept, longer=frame.attrs["longer"]),
               parts.user(run, around["user"]), parts.rows(run, around["jobs"], "jobs", "job_runs_of_request"),
               parts.rows(run, around["audit"], "audit", "audit_logs_of_request"), parts.neighbours(run, around["neighbours"], request_id)),
    )  # fmt: skip


def _around(run: Run, request_id: str, lines: pd.DataFrame, groups: list[str]) -> dict[str, Fact]:
    """Ask, all at once, for what stands around the request: rows, the user, neighbours, who usually answers."""
    began = lines["time"].iloc[0].to_pydatetime()
    kind, route, user_id = _first(lines["error_kind"]), _first(lines["route"]), _first(lines["user_id"])
    named = lines.loc[lines["error_kind"] != "", "time"]
    failed_at = named.iloc[0].to_pydatetime() if len(named) else began
    return run.facts(
        deadline_s=3 * run.deadline,  # two of them ask twice, one after another
        jobs=partial(jobs.rows_of_request, run.environment, request_id),
        audit=partial(audit.rows_of_request, run.environment, request_id),
        user=partial(users.user, run.environment, user_id),
        neighbours=partial(request_neighbours.same_error, run, kind, groups=groups, moment=failed_at),
        usual=partial(request_neighbours.usual_services, run, route, groups=groups, moment=began),
    )


def _unseen(frame: pd.DataFrame, around: dict[str, Fact]) -> list[str]:
    """Return what could not be seen, each with its reason."""
    reasons = [_missing_text(name) for name in frame.attrs["missing"]] + list(frame.attrs["problems"])
    reasons += [] if frame.attrs["complete"] else ["there are more lines than one query returns"]
    return reasons + [f"{name}: {fact.error.what}" for name, fact in around.items() if fact.error is not None]


def _missing_text(pattern: str) -> str:
    wild = any(sign in pattern for sign in "*?[")
    return f"no log group matches {pattern}" if wild else f"log group {pattern} does not exist"


def _next(fact: Fact, request_id: str) -> tuple[Next, ...]:
    known = [] if fact.frame is None else list(fact.frame["request_id"].drop_duplicates())
    others = [other for other in known if other and other != request_id]
    if not others:
        return ()
    why = (
        f"compare with another of {len(others)} requests with the same error"
        if len(others) > 1
        else "compare with the other request with the same error"
    )
    return (Next(NOTEBOOK, {"request_id": others[0]}, why),)


def _elsewhere(run: Run, story: Story) -> tuple[Next, ...]:
    """Lead from one failed request to what was the matter: with what it waited for, else with everything."""
    if not story.failed:
        return ()
    at = story.lines["time"].iloc[0].to_pydatetime()
    window = {"window": Window(at - HALF_HOUR, min(at + HALF_HOUR, run.now), run.environment.zone).as_parameter()}
    looks = (Next("2-investigate/first-look", window, "see what else was off at that time"),)
    waited = story.inside["wait_for"].astype(str).str.contains(_OF_DATABASE)
    if waited.any():
        return (Next("2-investigate/slow-database", window, "see who held what it waited for"), *looks)
    return looks


def _linked(frame: pd.DataFrame) -> tuple[Next, ...]:
    found = sorted(frame.attrs["linked"].items(), key=lambda item: (-item[1], item[0]))
    return tuple(Next(NOTEBOOK, {"request_id": name}, "another request of the same trace") for name, _ in found[:2])


def _not_found(run: Run, request_id: str, frame: pd.DataFrame) -> Result:
    attrs = frame.attrs
    window, usd = request_search.next_wider(run, frame)
    groups = ", ".join(attrs["groups"]) or "no log group"
    said = [
        f"searched {groups} in {'; '.join(attrs['windows']) or 'no window'}",
        *map(_missing_text, attrs["missing"]),
        *attrs["problems"],
    ]
    said += (
        [f"{parts.counted(attrs['longer'], 'line')} with a longer id that begins or ends so: was it cut when copied?"]
        if attrs["longer"]
        else []
    )
    said += [f"a line may take {logs.INGESTION_DELAY_MINUTES} minutes to be found"]
    step = Next(
        NOTEBOOK, {"request_id": request_id, "window": window.as_parameter()}, f"search {window.text()}, {_price(usd)}"
    )
    facts = {
        "log groups": str(len(attrs["groups"])),
        "events scanned": f"{attrs['scanned']:,}",
        "price": _price(attrs["usd"]),
    }
    sight = Sight.PARTIAL if attrs["missing"] or attrs["problems"] else Sight.NO_DATA
    sentence = f"No line of {request_id} was found in {parts.counted(len(attrs['groups']), 'log group')}."
    return Result("trace-request", f"Request {request_id}", Verdict.UNKNOWN, sentence, sight, "; ".join(said), facts,
                  sources=(_source(run, frame),), next=(step,), parts=_empty_parts())  # fmt: skip


def _price(usd: float) -> str:
    return f"US${usd:.4f}" if usd >= 0.0001 else "under US$0.0001"


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
    note += f", {attrs['skipped_gigabytes']:.3g} GB skipped by index" if attrs["skipped_gigabytes"] else ""
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
