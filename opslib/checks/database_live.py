"""A database at this very moment: locks, sessions, replication, and the statements since the last reset."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks.database_parts import seen, unseen
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, took
from opslib.database import query_text
from opslib.display import FLAG
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.sources import postgres

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

LOCKS, SESSIONS = "database-locks", "database-sessions"
STATEMENTS, REPLICATION = "database-statements", "database-replication"
SLOT_WARN, SLOT_CRITICAL = 1e9, 1e10  # bytes of the log that a slot keeps and nobody reads
QUEUE, PATIENCE, ABANDONED = 3, 10.0, 60.0  # sessions; seconds of waiting; seconds idle in a transaction
RESTART = "3-remediate/restart-service"


def locks(run: Run) -> Result:
    """Say which session holds locks that others wait for now, as a tree: blockers above those who wait.

    Critical: three wait, or one for ten seconds. What would end the blocker is said, not done.
    """
    fact = run.facts(locks=partial(postgres.locks, run.environment))["locks"]
    if fact.frame is None:
        return run.record(unseen(fact, LOCKS, "Locks now"))
    frame = fact.frame
    sight, reason = seen(frame)
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
        return run.record(unseen(facts["sessions"], SESSIONS, "Sessions now"))
    sight, reason = seen(frame)
    idle = frame[frame["state"].fillna("").str.startswith("idle in transaction")]
    oldest = float(idle["transaction_s"].max()) if len(idle) else 0.0
    most = int(limits["most"].iloc[0]) if limits is not None else 0
    active = int((frame["state"] == "active").sum())
    of = f" of {most:,} that may be" if most else ""
    sentence = f"{counted(len(frame), 'session')}{of}: {active} active, {len(idle)} idle in a transaction"
    sentence += f", the oldest for {took(oldest)}" if len(idle) else ""
    named = frame[["user", "application"]].fillna("")
    owners = named.groupby(["user", "application"]).size().sort_values(ascending=False, kind="stable")
    if len(owners):
        sentence += f"; most are of {owners.index[0][0] or 'the server itself'} ({owners.index[0][1] or 'no application name'}): {owners.iloc[0]:,}"
    sentence += "."
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


def _source(run: Run, query: str) -> Source:
    database = run.environment.database
    return Source("PostgreSQL", query=query_text(query), note=f"database {database.dbname}, the primary" if database else "")  # fmt: skip


def statements(run: Run) -> Result:
    """Say which statements took the most time since the statistics were last reset: what is left without Performance Insights."""
    fact = run.facts(statement_totals=partial(postgres.statements, run.environment))["statement_totals"]
    if fact.frame is None:
        return run.record(unseen(fact, STATEMENTS, "Statements in total"))
    import pandas as pd

    frame = fact.frame
    sight, reason = seen(frame)
    source = (_source(run, "pg_statements"),)
    if not len(frame):
        return run.record(Result(STATEMENTS, "Statements in total", Verdict.OK, "No statement was counted.", sight, reason, sources=source))  # fmt: skip
    total, first = float(frame["total_ms"].sum()), frame.iloc[0]
    shown = pd.DataFrame({
        "statement": [_text(text, 300) for text in frame["query"]], "user": frame["user"], "share %": (100 * frame["total_ms"] / total).round(1),
        "calls": frame["calls"], "ms a call": frame["mean_ms"].round(2), "at most ms": frame["max_ms"].round(1),
        "rows a call": (frame["rows"] / frame["calls"]).round(1), "blocks a call": ((frame["hit"] + frame["read"]) / frame["calls"]).round(0),
    })  # fmt: skip
    share = first["total_ms"] / total if total else 0.0
    sentence = f"Since {first['since']:%Y-%m-%d %H:%M} UTC {share:.0%} of the time of the {len(frame)} busiest statements went to “{_text(first['query'], 90)}”."
    return run.record(Result(STATEMENTS, "Statements in total", Verdict.OK, sentence, sight, reason, table=shown, sources=source, data=("data/statement_totals.csv" if run.folder else "",)))  # fmt: skip


def replication(run: Run) -> Result:
    """Say which standbys follow, how far they are behind in bytes, and how much of the log each slot keeps on the disk.

    Critical: a slot that nobody reads keeps more than 10 GB, or has lost what its reader needs; warn: more than 1 GB.
    """
    facts = run.facts(
        standbys=partial(postgres.standbys, run.environment), replica_lag=partial(postgres.replica_lag, run.environment)
    )
    frame, lag = facts["standbys"].frame, facts["replica_lag"]
    if frame is None:
        return run.record(unseen(facts["standbys"], REPLICATION, "Replication"))
    unseen_lag = lag.error and lag.sight != "no_data"  # without a configured replica nothing is missing
    problems = list(frame.attrs["problems"]) + ([f"the replica: {lag.error.what}"] if lag.error and unseen_lag else [])
    idle = frame[frame["state"] == "inactive"]
    kept = float(idle["kept_bytes"].max()) if len(idle) else 0.0
    lost = frame[frame["wal_status"].isin(["unreserved", "lost"])]
    verdict = (
        Verdict.CRITICAL if kept > SLOT_CRITICAL or len(lost) else Verdict.WARN if kept > SLOT_WARN else Verdict.OK
    )
    said = [
        f"{row.name} is {_size(row.behind_bytes)} behind"
        for row in frame[frame["state"] != "inactive"].itertuples(index=False)
    ]
    said += [
        f"nobody reads slot {row.slot}, which keeps {_size(row.kept_bytes)} of the log on the disk"
        for row in idle.itertuples()
    ]
    said += [f"slot {row.slot} is {row.wal_status}: its reader must be made anew" for row in lost.itertuples()]
    if lag.frame is not None:
        said += [f"the replica itself says it is {_size(float(lag.frame['behind_bytes'].iloc[0]))}, {took(float(lag.frame['lag_s'].iloc[0]))} behind"]  # fmt: skip
    sentence = ("; ".join(said) or "Nobody follows this server, and no slot keeps its log") + "."
    return run.record(
        Result(REPLICATION, "Replication", verdict, sentence, Sight.PARTIAL if problems else Sight.COMPLETE,
               "; ".join(problems), table=_slots(frame) if len(frame) else None, sources=(_source(run, "pg_standbys"),))
    )  # fmt: skip


def _slots(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({
        "standby": frame["name"], "state": frame["state"], "behind": [_size(value) for value in frame["behind_bytes"]],
        "replay": [took(value) for value in frame["replay_lag_s"]], "slot": frame["slot"],
        "keeps": [_size(value) for value in frame["kept_bytes"]], "log": frame["wal_status"],
    })  # fmt: skip


def _size(count: float) -> str:
    """Return bytes as 264 bytes, 12 MB or 3.1 GB."""
    if count != count:
        return "–"
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"
