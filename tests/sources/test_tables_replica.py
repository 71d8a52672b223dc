"""Rows come from the read replica when there is one, and how late it is is said."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from opslib import config
from opslib.sandbox.control import Sandbox
from opslib.sources import audit, jobs, table_rows
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW, UTC)


@pytest.fixture(scope="module")
def env(no_aws_variables: None) -> Iterator[config.Environment]:
    with Sandbox(replica=True) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(running.directory))
        yield config.load("sandbox")


def superuser(env: config.Environment, port: int) -> "psycopg.Connection[tuple[object, ...]]":
    folder = config.sandbox_folder()
    return psycopg.connect(
        host="127.0.0.1", port=port, dbname="shop", user="postgres", autocommit=True, sslmode="disable",
        password=(folder / "aws" / "postgres.password").read_text(),
    )  # fmt: skip


def test_the_replica_is_read_and_gives_the_same_rows(env: config.Environment) -> None:
    assert env.database
    alone = env.model_copy(update={"database": env.database.model_copy(update={"replica_host": ""})})
    for ask in (lambda where: jobs.runs(where, window=HOUR), lambda where: audit.rows(where, window=HOUR)):
        here, there = ask(env), ask(alone)
        assert (here.attrs["read_from"], there.attrs["read_from"]) == ("replica", "primary")
        assert len(here) and here.equals(there) and here.attrs["problems"] == []


def test_a_late_replica_is_said(env: config.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "LATE_SECONDS", 0.0)
    assert env.database
    with superuser(env, env.database.replica_port) as replica, superuser(env, env.database.port) as primary:
        replica.execute("select pg_wal_replay_pause()")
        try:
            primary.execute("update stock set quantity = quantity")
            received = "select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
            assert any(replica.execute(received).fetchone() == (True,) for _ in range(10_000))
            rows = jobs.runs(env, window=HOUR)
        finally:
            replica.execute("select pg_wal_replay_resume()")
    assert not rows.attrs["lag_s"] <= 0 and "behind: newer rows are not in it yet" in rows.attrs["problems"][0]


def test_a_replica_that_receives_nothing_is_not_up_to_date(
    env: config.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "LATE_SECONDS", 0.0)
    assert env.database
    with superuser(env, env.database.replica_port) as replica:
        kept = replica.execute("show primary_conninfo").fetchone()
        assert kept
        replica.execute("alter system set primary_conninfo = ''")
        replica.execute("select pg_reload_conf()")
        try:
            alone = "select not exists (select 1 from pg_stat_wal_receiver)"
            assert any(replica.execute(alone).fetchone() == (True,) for _ in range(100_000))
            rows = jobs.runs(env, window=HOUR)
        finally:
            replica.execute(sql.SQL("alter system set primary_conninfo = {}").format(sql.Literal(kept[0])))
            replica.execute("select pg_reload_conf()")
    assert "behind: newer rows are not in it yet" in rows.attrs["problems"][0]
