"""PostgreSQL's own statistics at this moment: sessions, locks, statements, replication. Versions 15 to 18."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opslib import database
from opslib.errors import DatabaseError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

HIDDEN = "the role may not read others' sessions: their statements are hidden"
GRANT = "grant pg_monitor to the reader role"


def activity(environment: Environment, *, replica: bool = False) -> pd.DataFrame:
    """Return the client sessions, those at work first, then by the age of their transaction (queries/pg_activity.sql).

    Columns: pid int64; user, database, application, client, state, wait, query str; state_s, transaction_s, query_s
    float64 (NaN without a transaction). attrs: problems. At most 1,000. Raises DatabaseError.
    """
    frame = _seen(environment, "pg_activity", replica=replica)
    if len(frame) >= 1000:
        frame.attrs["problems"] += ["more than 1,000 sessions: the first 1,000 are seen"]
    return frame


def connections(environment: Environment, *, replica: bool = False) -> pd.DataFrame:
    """Return one row: most (connections that may be), used, active, idle, idle_in_transaction int64,
    longest_idle_in_transaction_s float64 (queries/pg_connections.sql). Raises DatabaseError."""
    return _seen(environment, "pg_connections", replica=replica)


def locks(environment: Environment) -> pd.DataFrame:
    """Return who waits for a lock below who holds it, a tree from each session that waits for nobody (queries/pg_locks.sql).

    Columns: depth int64 (0: waits for nobody), waiting int64 (sessions behind it, directly or not), pid int64, user,
    application, client, state, waits_for, query str; transaction_s, since_s (waiting, or idle since) float64. A ring,
    which PostgreSQL breaks as a deadlock within a second, begins at its lowest pid. attrs: problems. Raises DatabaseError.
    """
    import pandas as pd

    frame = _seen(environment, "pg_locks")
    blocked_by = {int(row.pid): [int(pid) for pid in row.blocked_by] for row in frame.itertuples()}
    rows = {int(row["pid"]): row for row in frame.drop(columns="blocked_by").to_dict("records")}
    tree = [{"depth": depth, "waiting": behind, **rows[pid]} for pid, depth, behind in _tree(blocked_by)]
    columns = ["depth", "waiting", *frame.columns.drop("blocked_by")]
    ordered = pd.DataFrame(tree, columns=columns)
    ordered.attrs.update(frame.attrs)
    return ordered


def statements(environment: Environment, *, replica: bool = False) -> pd.DataFrame:
    """Return the 50 statements that took the most time since `since` (queries/pg_statements.sql).

    Columns: id, user, database, query str; calls, rows, hit, read, temp_written int64 (blocks); total_ms, mean_ms,
    max_ms, read_ms float64; since datetime64[ns, UTC]. attrs: problems. Raises DatabaseError.
    """
    import pandas as pd

    try:
        frame = _seen(environment, "pg_statements", replica=replica)
    except DatabaseError as error:
        if "pg_stat_statements" in error.why and "does not exist" in error.why:
            fix = "add it to shared_preload_libraries, then: create extension pg_stat_statements"
            raise DatabaseError(
                "there are no statistics of statements", why=error.why, fix=fix, sight="no_data"
            ) from None
        raise
    frame["since"] = pd.to_datetime(frame["since"], utc=True).astype("datetime64[ns, UTC]")
    return frame


def standbys(environment: Environment) -> pd.DataFrame:
    """Return standbys and replication slots as the primary sees them (queries/pg_standbys.sql).

    Columns: name, state, slot, wal_status str; behind_bytes, replay_lag_s, kept_bytes float64 (NaN: not told).
    attrs: problems. Raises DatabaseError.
    """
    return _seen(environment, "pg_standbys")


def role_ends(environment: Environment) -> pd.DataFrame:
    """Return the roles whose password ends some day, the first to end first (queries/pg_role_ends.sql).

    Columns: role str; ends datetime64[ns, UTC]. attrs: problems. Raises DatabaseError.
    """
    import pandas as pd

    frame = _seen(environment, "pg_role_ends")
    frame["ends"] = pd.to_datetime(frame["ends"], utc=True).astype("datetime64[ns, UTC]")
    return frame


def replica_lag(environment: Environment) -> pd.DataFrame:
    """Return how far the replica is behind, by the positions of both in the log (queries/pg_position.sql).

    One row: behind_bytes, lag_s float64 (since the last replayed commit; 0 when all received is replayed). The replica
    is asked first, so that bytes are never too few. Raises DatabaseError, with no_data when no replica is configured.
    """
    import pandas as pd

    if environment.database is None or not environment.database.replica_host:
        raise DatabaseError(
            "no replica can be asked", why="`replica_host` is not configured", fix="add `replica_host` to [database]", sight="no_data"
        )  # fmt: skip
    with database.connect(environment, replica=True) as connection:
        there = database.ask(connection, "pg_position", {}).iloc[0]
    with database.connect(environment) as connection:
        here = database.ask(connection, "pg_position", {}).iloc[0]
    if not there["replica"]:
        fix = "correct `replica_host`: that server is no replica"
        raise DatabaseError("the replica's address leads to a primary", fix=fix)
    behind = max(float(here["position"]) - float(there["position"]), 0.0)
    return pd.DataFrame({"behind_bytes": [behind], "lag_s": [float(there["lag_s"] or 0.0)]})


def _seen(environment: Environment, query: str, *, replica: bool = False) -> pd.DataFrame:
    """Run a query on statistics; say so when this role is not shown everything."""
    with database.connect(environment, replica=replica) as connection:
        frame = database.ask(connection, query, {})
    hidden = bool(len(frame)) and not bool(frame["sees_all"].all())
    frame = frame.drop(columns="sees_all")
    for column in frame.columns:
        if column.endswith("_s") or column.endswith("_bytes"):
            frame[column] = frame[column].astype("float64")
    frame.attrs.update(problems=[f"{HIDDEN} ({GRANT})"] if hidden else [])
    return frame


def _tree(blocked_by: dict[int, list[int]]) -> Iterator[tuple[int, int, int]]:
    """Yield (pid, depth, sessions behind it), each once; the longest queue first."""
    behind: dict[int, set[int]] = {pid: set() for pid in blocked_by}
    for pid, blockers in blocked_by.items():
        for blocker in blockers:
            behind.setdefault(blocker, set()).add(pid)
    seen: set[int] = set()

    sizes = {pid: len(_behind(pid, behind)) for pid in blocked_by}

    def walk(pid: int, depth: int) -> Iterator[tuple[int, int, int]]:
        if pid in seen or pid not in blocked_by:
            return
        seen.add(pid)
        yield pid, depth, sizes[pid]
        for each in sorted(behind.get(pid, ()), key=lambda one: (-sizes.get(one, 0), one)):
            yield from walk(each, depth + 1)

    for pid in sorted(blocked_by, key=lambda one: (bool(blocked_by[one]), -sizes[one], one)):
        yield from walk(pid, 0)


def _behind(pid: int, behind: dict[int, set[int]]) -> set[int]:
    """Return all sessions that wait for this one, directly or not."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        fresh = behind.get(waiting.pop(), set()) - found - {pid}
        found |= fresh
        waiting += fresh
    return found
