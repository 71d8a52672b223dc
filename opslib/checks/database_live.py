"""A database at this very moment: who holds the locks that others wait for, and what its sessions do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, took
from opslib.database import query_text
from opslib.display import FLAG
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.sources import postgres

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

LOCKS, SESSIONS = "database-locks", "database-sessions"
QUEUE, PATIENCE, ABANDONED = 3, 10.0, 60.0  # sessions; seconds of waiting; seconds idle in a transaction
RESTART = "3-remediate/restart-service"


def locks(run: Run) -> Result:
    """Say which session holds locks that others wait for now, as a tree: blockers above those who wait.

    Critical: three wait, or one for ten seconds. What would end the blocker is said, not done.
    """
    fact = run.facts(locks=partial(postgres.locks, run.environment))["locks"]
    if fact.frame is None:
        return run.record(_unseen(fact, LOCKS, "Locks now"))
    frame = fact.frame
    sight, reason = _seen(frame)
    source = (_source(run, "pg_locks"),)
    if not len(frame):
        return run.record(Result(LOCKS, "Locks now", Verdict.OK, "No session waits for a lock.", sight, reason, sources=source))  # fmt: skip
    first, waiting = frame.iloc[0], frame[frame["depth"] > 0]
    longest = float(waiting["since_s"].max()) if len(waiting) else 0.0
    idle = f" for {took(first['since_s'])}" if first["since_s"] == first["since_s"] else ""
    sentence = (
        f"{counted(int(first['waiting']), 'session')} wait behind pid {first['pid']} "
        f"({first['application'] or first['user']}, {first['state'] or 'state hidden'}{idle}), whose last statement is "
        f"“{_text(first['query'], 110)}”; select pg_terminate_backend({first['pid']}) would end it."
    )
    critical = int(first["waiting"]) >= QUEUE or longest >= PATIENCE
    facts = {
        "blocker": f"pid {first['pid']}", "waiting": str(len(waiting)), "longest wait": took(longest),
    }  # fmt: skip
    return run.record(
        Result(LOCKS, "Locks now", Verdict.CRITICAL if critical else Verdict.WARN, sentence, sight, reason, facts,
               table=_tree(frame), sources=source, next=_next(run, str(first["application"])), data=("data/locks.csv" if run.folder else "",))
    )  # fmt: skip


def _tree(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "session": [f"{'└ ' if row.depth else ''}{row.pid}" if row.depth < 2 else f"{'· ' * (row.depth - 1)}└ {row.pid}" for row in frame.itertuples()],
        "behind it": frame["waiting"], "application": frame["application"], "state": frame["state"], "waits for": frame["waits_for"].fillna("–"), "since": [took(value) for value in frame["since_s"]],
        "statement": [_text(text, 200) for text in frame["query"]], FLAG: frame["depth"] == 0,
    })  # fmt: skip


def sessions(run: Run) -> Result:
    """Say what the sessions of the database do now: how many, in what state, the oldest transaction first."""
    facts = run.facts(
        sessions=partial(postgres.activity, run.environment), limits=partial(postgres.connections, run.environment)
    )
    frame, limits = facts["sessions"].frame, facts["limits"].frame
    if frame is None:
        return run.record(_unseen(facts["sessions"], SESSIONS, "Sessions now"))
    sight, reason = _seen(frame)
    idle = frame[frame["state"].fillna("").str.startswith("idle in transaction")]
    oldest = float(idle["transaction_s"].max()) if len(idle) else 0.0
    most = int(limits["most"].iloc[0]) if limits is not None else 0
    active = int((frame["state"] == "active").sum())
    of = f" of {most:,} that may be" if most else ""
    sentence = f"{counted(len(frame), 'session')}{of}: {active} active, {len(idle)} idle in a transaction"
    sentence += f", the oldest for {took(oldest)}." if len(idle) else "."
    crowded = bool(most) and len(frame) >= 0.8 * most
    busy = frame[frame["state"].fillna("") != "idle"]
    return run.record(
        Result(SESSIONS, "Sessions now", Verdict.WARN if crowded or oldest >= ABANDONED else Verdict.OK, sentence, sight, reason,
               table=_shown(busy) if len(busy) else None, sources=(_source(run, "pg_activity"),), data=("data/sessions.csv" if run.folder else "",))
    )  # fmt: skip


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "pid": frame["pid"].astype(str), "application": frame["application"], "user": frame["user"], "from": frame["client"], "state": frame["state"],
        "waits for": frame["wait"], "in this state": [took(value) for value in frame["state_s"]],
        "transaction": [took(value) for value in frame["transaction_s"]], "statement": [_text(text, 200) for text in frame["query"]],
        FLAG: frame["transaction_s"].fillna(0.0) >= ABANDONED,
    })  # fmt: skip


def _next(run: Run, application: str) -> tuple[Next, ...]:
    if application not in run.environment.services.names:
        return ()
    return (Next(RESTART, {"service": application}, "restarting the service ends its transactions too"),)


def _text(statement: Any, longest: int) -> str:
    return shortened(" ".join(str(statement or "").split()), longest)


def _seen(frame: pd.DataFrame) -> tuple[Sight, str]:
    problems = list(frame.attrs["problems"])
    return (Sight.PARTIAL, "; ".join(problems)) if problems else (Sight.COMPLETE, "")


def _unseen(fact: Fact, name: str, title: str) -> Result:
    error = fact.error
    said = " — ".join(part for part in (error.what, error.why, error.fix) if part) if error else "no answer"
    return Result(name, title, Verdict.UNKNOWN, f"{title}: not seen.", Sight(fact.sight), said)


def _source(run: Run, query: str) -> Source:
    database = run.environment.database
    return Source("PostgreSQL", query=query_text(query), note=f"database {database.dbname}, the primary" if database else "")  # fmt: skip
