"""The database side: is there a way to it, may this role read what runbooks read, do their queries have indexes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opslib import database
from opslib.config import Environment
from opslib.config_sections import Database
from opslib.doctor.findings import BROKEN, WEAK, Finding
from opslib.errors import ConfigError, DatabaseError

# table: columns with which an index has to begin, so that a window, an actor or a request is found without reading all
INDEXES = {"audit_logs": ("at", "actor", "request_id"), "job_runs": ("job_name", "request_id"), "users": ("id",)}
_TABLE = re.compile(r"\b(?:from|join)\s+([a-z_]+)\b(?!\s*\()", re.I)
LOCAL_PORT = 15432


def tables_of(queries: Iterable[str]) -> dict[str, set[str]]:
    """Return the application's tables that queries read, each with the names of those queries."""
    found: dict[str, set[str]] = {}
    for query in queries:
        text = re.sub(r"--.*", "", database.query_text(query))
        for table in _TABLE.findall(text):
            if not table.startswith("pg_") and table in INDEXES:
                found.setdefault(table, set()).add(query)
    return found


def findings(environment: Environment, tables: Iterable[str]) -> list[Finding]:
    """Try the database and its replica; say what is missing for these tables and for PostgreSQL's own statistics."""
    if environment.database is None:
        line = f"opslib init writes [env.{environment.name}.database]; or add it with host, dbname and user"
        return [Finding(WEAK, "no database is configured", mend=line, about="database")]
    try:
        with database.connect(environment) as connection:
            found = _role(database.ask(connection, "doctor_role", {}).iloc[0], environment.database)
            rows = database.ask(connection, "doctor_tables", {"tables": sorted(tables)})
            found += [one for row in rows.itertuples() for one in _table(row, environment.database.user)]
    except (ConfigError, DatabaseError) as error:
        return [_no_way(error, environment, environment.database)]
    return found + _replica(environment)


def _role(row: object, named: Database) -> list[Finding]:
    found = []
    if not getattr(row, "sees_statistics", False):
        why = "without pg_monitor (or pg_read_all_stats) PostgreSQL hides others' statements and waits"
        found.append(
            Finding(
                WEAK,
                f"role {named.user} does not see others' sessions",
                why,
                f"grant pg_monitor to {named.user};",
                "statistics",
            )
        )
    if not getattr(row, "has_statements", False):
        mend = "create extension pg_stat_statements;  -- with pg_stat_statements in shared_preload_libraries of the parameter group"
        found.append(
            Finding(
                WEAK, "pg_stat_statements is not installed", "statements have no history without it", mend, "statistics"
            )
        )
    return found


def _table(row: object, user: str) -> list[Finding]:
    table = str(getattr(row, "table_name", ""))
    if not getattr(row, "present", False):
        why = "no table of that name is in this role's search_path"
        return [
            Finding(
                BROKEN,
                f"table {table} is not there",
                why,
                f"alter role {user} set search_path = ...; or a view of that name",
                f"table {table}",
            )
        ]
    denied = f"role {user} may not read {table}"
    found = [] if getattr(row, "readable", False) else [
        Finding(BROKEN, denied, "permission denied", f"grant select on {table} to {user};", f"table {table}")
    ]  # fmt: skip
    indexed = set(getattr(row, "indexed", None) or ())
    why = f"{getattr(row, 'rows', 0):,.0f} rows are read for each question"
    return found + [
        Finding(WEAK, f"no index of {table} begins with {column}", why, f"create index concurrently on {table} ({_key(table, column)});")
        for column in INDEXES.get(table, ()) if column not in indexed
    ]  # fmt: skip


def _key(table: str, column: str) -> str:
    return {("audit_logs", "actor"): "actor, at", ("job_runs", "job_name"): "job_name, queued_at"}.get(
        (table, column), column
    )


def _replica(environment: Environment) -> list[Finding]:
    named = environment.database
    if named is None or not named.replica_host:
        return []
    try:
        with database.connect(environment, replica=True) as connection:
            row = database.ask(connection, "replica_lag", {}).iloc[0]
    except DatabaseError as error:
        mend = (
            _forward(environment, named.replica_host, named.replica_port, LOCAL_PORT + 1)
            + "; then replica_hostaddr, replica_port"
        )
        return [Finding(WEAK, "the replica does not answer: its rows are read from the primary", error.why, mend)]
    if not row["replica"]:
        return [Finding(WEAK, f"{named.replica_host} is no replica", "it is not in recovery", "correct `replica_host`")]
    return []


def _no_way(error: ConfigError | DatabaseError, environment: Environment, named: Database) -> Finding:
    reachable = isinstance(error, ConfigError) or any(
        word in error.why for word in ("authentication", "certificate", "SSL", "database", "role")
    )
    if reachable:
        return Finding(BROKEN, error.what, error.why, error.fix, "database")
    mend = (
        _forward(environment, named.host, 5432, LOCAL_PORT) + f'; then hostaddr = "127.0.0.1" and port = {LOCAL_PORT}'
    )
    return Finding(BROKEN, f"no way to the database at {named.host}:{named.port}", error.why, mend, "database")


def _forward(environment: Environment, host: str, port: int, local: int) -> str:
    """Return the command that forwards a local port to the database by Systems Manager: no open port, no bastion key."""
    asked = f'{{"host":["{host}"],"portNumber":["{port}"],"localPortNumber":["{local}"]}}'
    profile = f" --profile {environment.profile}" if environment.profile else ""
    return (
        f"aws ssm start-session --target INSTANCE_ID --document-name AWS-StartPortForwardingSessionToRemoteHost "
        f"--parameters '{asked}' --region {environment.region}{profile}"
    )
