"""The sandbox's PostgreSQL: real data and statistics, roles that cannot do more than they should, any installation."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opslib.sandbox import cache, postgres_binaries
from opslib.sandbox.control import Sandbox, SandboxError
from opslib.sandbox.postgres import Postgres, run_as_owner


def ask(sandbox: Sandbox, query: str, role: str = "ops_reader") -> list[tuple[Any, ...]]:
    with psycopg.connect(**sandbox.postgres_dsn(role)) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def test_the_tables_of_the_shop_are_there(sandbox: Sandbox) -> None:
    counted = {
        name: ask(sandbox, f"SELECT count(*) FROM {name}")[0][0]
        for name in ("users", "orders", "order_items", "payments", "job_runs", "audit_logs")
    }
    assert all(counted.values())
    assert counted["audit_logs"] >= 1_000_000


def test_statistics_are_real(sandbox: Sandbox) -> None:
    (estimate, analyzed), *_ = ask(
        sandbox,
        "SELECT c.reltuples, s.last_analyze IS NOT NULL FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid "
        "WHERE c.relname = 'audit_logs'",
    )
    assert estimate > 900_000
    assert analyzed
    assert ask(sandbox, "SHOW track_io_timing") == [("on",)]
    plan = ask(sandbox, "EXPLAIN SELECT * FROM audit_logs WHERE request_id = 'req-000000000000'")
    assert "Index" in plan[0][0] or "Bitmap" in plan[0][0]


def test_pg_stat_statements_has_a_workload_and_no_password(sandbox: Sandbox) -> None:
    statements = ask(sandbox, "SELECT query, calls FROM pg_stat_statements")
    assert max(calls for query, calls in statements if "FROM orders" in query) >= 20
    assert not [query for query, _ in statements if "PASSWORD" in query.upper()]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders SET status = 'x'",
        "DELETE FROM audit_logs",
        "CREATE TABLE t (a int)",
        "CREATE TEMP TABLE t (a int)",
        "COPY orders TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_the_reader_cannot_write(sandbox: Sandbox, statement: str) -> None:
    with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)):
        ask(sandbox, statement)


@pytest.mark.parametrize("statement", ["UPDATE orders SET status = 'x'", "DELETE FROM audit_logs", "DROP TABLE orders"])
def test_the_reader_cannot_write_by_lifting_read_only(sandbox: Sandbox, statement: str) -> None:
    with psycopg.connect(**sandbox.postgres_dsn()) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)  # type: ignore[arg-type]
        connection.rollback()


def test_the_writer_changes_rows_but_not_tables(sandbox: Sandbox) -> None:
    with psycopg.connect(**sandbox.postgres_dsn("ops_writer")) as connection:
        changed = connection.execute("UPDATE users SET email = email WHERE id = (SELECT min(id) FROM users)")
        assert changed.rowcount == 1
        connection.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE orders")
        connection.rollback()


def test_the_reader_sees_the_sessions_of_others(sandbox: Sandbox) -> None:
    with psycopg.connect(**sandbox.postgres_dsn("shop_owner")) as other:
        other.execute("SELECT 'somebody else'")
        seen = ask(sandbox, "SELECT query FROM pg_stat_activity WHERE usename = 'shop_owner'")
    assert ("SELECT 'somebody else'",) in seen


def test_a_wrong_password_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**sandbox.postgres_dsn() | {"password": "guess"})


def test_an_unknown_role_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="no database role admin"):
        sandbox.postgres_dsn("admin")


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache and work folder that the unprivileged user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="opslib-postgres-")).resolve()
    folder.chmod(0o755)
    monkeypatch.setenv("OPSLIB_CACHE_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def started(folder: Path) -> Postgres:
    server = Postgres(folder / "data", folder / "log")
    server.init("secret")
    server.start(superuser_password="secret")
    return server


def test_a_package_below_a_closed_home_is_copied_to_where_postgresql_can_run(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPSLIB_POSTGRES_BIN", raising=False)
    real = cache.reachable
    monkeypatch.setattr(cache, "reachable", lambda path: real(path) and "site-packages" not in str(path))
    if os.geteuid() != 0:  # nobody else's home is closed to the user himself
        assert "site-packages" in str(postgres_binaries.find().folder)
        return
    found = postgres_binaries.find()
    assert found.folder.is_relative_to(open_folder)
    assert stat.S_IMODE(found.folder.stat().st_mode) & 0o055 == 0o055
    server = started(open_folder)
    try:
        assert server.connect("postgres", "secret", dbname="postgres").info.parameter_status("is_superuser") == "on"
    finally:
        server.stop()
    assert postgres_binaries.find().folder == found.folder


def test_no_server_runs_as_root(open_folder: Path) -> None:
    server = started(open_folder)
    try:
        assert server.process is not None
        owner = subprocess.run(
            ["ps", "-o", "uid=", "-p", str(server.process.pid)], capture_output=True, text=True
        ).stdout.strip()
        assert int(owner) == postgres_binaries.run_ids()[0] != 0
        assert (open_folder / "data").stat().st_mode & 0o077 == 0
    finally:
        server.stop()


def test_rows_of_a_scenario_come_in_one_transaction(open_folder: Path) -> None:
    server = started(open_folder)
    try:
        with server.connect("postgres", "secret", dbname="postgres") as connection:
            connection.execute("CREATE ROLE shop_owner")
            connection.execute("CREATE DATABASE shop OWNER shop_owner")
        with server.connect("postgres", "secret") as connection:
            connection.execute("CREATE TABLE t (a int)")
            connection.execute("GRANT ALL ON t TO shop_owner")
        with pytest.raises(psycopg.errors.DivisionByZero):
            run_as_owner(server, "secret", ["INSERT INTO t VALUES (1)", "SELECT 1/0"])
        with server.connect("postgres", "secret") as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    finally:
        server.stop()


def test_a_folder_that_postgresql_cannot_enter_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = Postgres(closed / "data", tmp_path / "log")
    if os.geteuid() == 0:
        with pytest.raises(SandboxError, match=r"cannot enter .*OPSLIB_CACHE_DIR"):
            server.init("secret")
    else:
        server.init("secret")
        assert (closed / "data" / "PG_VERSION").exists()


def test_a_bin_folder_may_be_named(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_POSTGRES_BIN", str(open_folder))
    with pytest.raises(SandboxError, match=f"PostgreSQL in {open_folder} cannot be run"):
        postgres_binaries.find()
    program = open_folder / "postgres"
    for version, refused in (("14.9", True), ("16.4", False)):
        program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n")
        program.chmod(0o755)
        if refused:
            with pytest.raises(SandboxError, match=r"is 14\.9; the sandbox needs 15"):
                postgres_binaries.find()
        else:
            assert postgres_binaries.find() == postgres_binaries.Binaries(open_folder, "16.4")


def test_the_settings_of_the_user_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/somewhere/else")
    assert not [name for name in postgres_binaries.clean_environment() if name.startswith("PG")]
