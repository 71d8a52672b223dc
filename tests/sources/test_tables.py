"""The application's tables: complete or said to be not, replica first, and every way in which the database says no."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from opslib import config
from opslib.config import Environment
from opslib.errors import DatabaseError, ParameterError
from opslib.sandbox.control import Sandbox
from opslib.sources import audit, jobs, table_rows
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)


@pytest.fixture
def env(sandbox: Sandbox) -> Environment:
    return config.load("sandbox")


@pytest.fixture
def denied(sandbox: Sandbox) -> Iterator[None]:
    with psycopg.connect(**sandbox.postgres_dsn("postgres"), autocommit=True) as connection:
        connection.execute("revoke select on job_runs, audit_logs from ops_reader")
        try:
            yield
        finally:
            connection.execute("grant select on job_runs, audit_logs to ops_reader")


def back(**span: float) -> Window:
    return Window(NOW - timedelta(**span), NOW, UTC)


def on(env: Environment, **changes: object) -> Environment:
    assert env.database
    return env.model_copy(update={"database": env.database.model_copy(update=changes)})


def test_pages_give_the_same_rows_as_one(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = jobs.runs(env, window=back(hours=24))
    monkeypatch.setattr(table_rows, "PAGE", 97)
    paged = jobs.runs(env, window=back(hours=24))
    assert len(whole) == 1788 and whole.equals(paged)
    assert list(paged["id"]) == list(paged.sort_values(["queued_at", "id"])["id"]) and paged["id"].is_unique
    assert (paged["queued_at"] >= NOW - timedelta(hours=24)).all() and (paged["queued_at"] < NOW).all()


@pytest.mark.parametrize("page", [7, 20, 10_000])
def test_more_rows_than_asked_for_are_said(env: Environment, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(table_rows, "PAGE", page)
    cut = audit.rows(env, window=back(hours=24), most=20)
    assert len(cut) == 20 and not cut.attrs["complete"] and "only the oldest 20" in cut.attrs["problems"][0]
    exact = audit.rows(env, window=back(hours=24), actor="yamamoto.jun", most=20)
    assert exact.attrs["complete"] and exact.attrs["problems"] == []


def test_job_and_status_are_bound(env: Environment) -> None:
    failed = jobs.runs(env, window=back(minutes=40), status="failed, error")
    assert set(failed["status"]) == {"failed"} and (failed["job_name"] == "stock-release").all() and len(failed) == 72
    assert not len(jobs.runs(env, window=back(hours=24), job="' or 1=1 --"))
    assert str(jobs.unfinished(env, window=back(hours=1))["started_at"].dtype) == "datetime64[ns, UTC]"


def test_history_tells_days_of_the_week_and_the_jobs_of_the_clock(env: Environment) -> None:
    usual = jobs.history(env, window=back(days=28), zone="Asia/Tokyo")
    newsletter = usual[usual["job_name"] == "newsletter"]
    assert list(newsletter["weekday"]) == [2, 5] and newsletter["by_clock"].all() and (newsletter["runs"] == 4).all()
    assert not usual.loc[usual["job_name"] == "order-confirm", "by_clock"].any()


def test_the_table_and_the_log_group_tell_the_same(env: Environment) -> None:
    rows = audit.rows(env, window=back(hours=24), action="session.*")
    lines = audit.lines(env, groups=["/shop/audit"], window=back(hours=24), action="session.*")
    shown = ["id", "actor", "action", "target_id", "ip", "outcome", "request_id"]
    assert len(rows) == 2118 and rows[shown].sort_values("id").to_dict("records") == lines[shown].sort_values(
        "id"
    ).to_dict("records")
    with pytest.raises(ParameterError, match="cannot be an action"):
        audit.lines(env, groups=["/shop/audit"], window=back(hours=1), action="a/ or 1=1 | #")


def test_a_pattern_is_no_like_pattern(env: Environment) -> None:
    assert table_rows.like("a_b%*\\") == "a\\_b\\%%\\\\"
    assert not len(audit.rows(env, window=back(hours=24), action="session%"))


def test_who_is_actor_or_target(env: Environment) -> None:
    rows = audit.rows(env, window=back(days=8), who="u-10482")
    assert len(rows) and ((rows["actor"] == "u-10482") | (rows["target_id"] == "u-10482")).all()


def test_a_replica_that_does_not_answer_is_said(env: Environment) -> None:
    rows = jobs.runs(on(env, replica_host="127.0.0.1", replica_port=1), window=back(hours=1))
    assert (
        len(rows) and rows.attrs["read_from"] == "primary" and "replica could not be read" in rows.attrs["problems"][0]
    )


def test_without_a_way_nothing_is_guessed(env: Environment) -> None:
    with pytest.raises(DatabaseError, match="no way to the database"):
        jobs.runs(on(env, port=1), window=back(hours=1))


def test_a_missing_grant_is_denied(env: Environment, denied: None) -> None:
    for ask in (lambda: jobs.runs(env, window=back(hours=1)), lambda: audit.rows(env, window=back(hours=1))):
        with pytest.raises(DatabaseError, match="permission denied") as caught:
            ask()
        assert caught.value.sight == "denied" and "SELECT" in caught.value.fix


def test_a_statement_timeout_is_said(env: Environment) -> None:
    with pytest.raises(DatabaseError, match="statement timeout") as caught:
        audit.rows(on(env, statement_timeout_s=0.001), window=back(days=120))
    assert "narrow the window" in caught.value.fix
