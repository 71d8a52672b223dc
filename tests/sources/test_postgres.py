"""PostgreSQL's own statistics on a real server: a real blocker, a real replica, a role that may not look."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from opslib import aws, config
from opslib.config import Environment
from opslib.errors import DatabaseError
from opslib.sandbox.control import Sandbox
from opslib.sources import postgres


@pytest.fixture(scope="module")
def alive(no_aws_variables: None) -> Iterator[Sandbox]:
    with Sandbox(replica=True, live=True) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(running.directory))
        aws.forget()
        yield running
        aws.forget()


@pytest.fixture(scope="module")
def environment(alive: Sandbox) -> Environment:
    return config.load("sandbox")


@pytest.fixture(scope="module")
def blind(alive: Sandbox, environment: Environment) -> Environment:
    """The environment as a role that may log in and nothing more."""
    with psycopg.connect(**alive.postgres_dsn("postgres"), autocommit=True) as connection:
        connection.execute("create role blind login password 'test-only'")
    secret = Path(alive.directory, "blind.password")
    secret.write_text("test-only")
    assert environment.database
    database = environment.database.model_copy(update={"user": "blind", "password_file": str(secret)})
    return environment.model_copy(update={"database": database})


def test_the_blocker_stands_above_those_who_wait(environment: Environment) -> None:
    frame = postgres.locks(environment)
    assert list(frame["depth"]) == [0, 1, 2, 3] and list(frame["waiting"]) == [3, 2, 1, 0]
    assert frame["state"].iloc[0] == "idle in transaction" and "在庫更新" in frame["query"].iloc[0]
    assert "transactionid" in frame["waits_for"].iloc[1] and frame.attrs["problems"] == []


@pytest.mark.parametrize(
    ("blocked_by", "expected"),
    [
        ({1: [], 2: [1], 3: [1], 4: [3]}, [(1, 0, 3), (3, 1, 1), (4, 2, 0), (2, 1, 0)]),
        ({5: [6], 6: [5]}, [(5, 0, 1), (6, 1, 1)]),  # a ring
        ({1: [], 2: [], 3: [1, 2]}, [(1, 0, 1), (3, 1, 0), (2, 0, 1)]),  # each once
        ({7: [99]}, [(7, 0, 0)]),  # the blocker ended meanwhile
        ({}, []),
    ],
)
def test_trees_of_locks(blocked_by: dict[int, list[int]], expected: list[tuple[int, int, int]]) -> None:
    assert list(postgres._tree(blocked_by)) == expected


def test_sessions_and_connections(environment: Environment) -> None:
    frame = postgres.activity(environment)
    assert set(frame["application"]) == {"api"} and set(frame["wait"]) == {
        "Client:ClientRead",
        "Lock:transactionid",
        "Lock:tuple",
    }
    told = postgres.connections(environment).iloc[0]
    assert (told["most"], told["used"], told["active"], told["idle_in_transaction"]) == (397, 4, 3, 1)
    assert told["longest_idle_in_transaction_s"] > 0


def test_statements_of_the_application(environment: Environment) -> None:
    frame = postgres.statements(environment)
    assert frame["total_ms"].is_monotonic_decreasing and frame["calls"].max() >= 20
    assert frame["since"].notna().all() and frame["read_ms"].notna().all()  # the column has another name before 17


def test_the_replica_and_how_far_it_is_behind(environment: Environment) -> None:
    standby = postgres.standbys(environment).iloc[0]
    assert (standby["name"], standby["state"], standby["slot"]) == (
        "shop-db-replica-1",
        "streaming",
        "shop_db_replica_1",
    )
    lag = postgres.replica_lag(environment).iloc[0]
    assert 0 <= lag["behind_bytes"] < 1e7 and lag["lag_s"] >= 0
    assert len(postgres.activity(environment, replica=True)) == 0  # the application's sessions are on the primary


def test_a_primary_is_no_replica(environment: Environment) -> None:
    assert environment.database
    wrong = environment.database.model_copy(update={"replica_port": environment.database.port})
    with pytest.raises(DatabaseError, match="leads to a primary"):
        postgres.replica_lag(environment.model_copy(update={"database": wrong}))
    none = environment.database.model_copy(update={"replica_host": ""})
    with pytest.raises(DatabaseError) as caught:
        postgres.replica_lag(environment.model_copy(update={"database": none}))
    assert caught.value.sight == "no_data"


def test_a_role_without_statistics_says_so(blind: Environment) -> None:
    for read in (postgres.activity, postgres.locks, postgres.connections, postgres.statements):
        frame = read(blind)
        assert frame.attrs["problems"] == [f"{postgres.HIDDEN} ({postgres.GRANT})"], read
    assert len(postgres.locks(blind)) == 4  # who blocks whom is seen all the same


def test_statements_without_the_extension(alive: Sandbox, environment: Environment) -> None:
    assert environment.database
    elsewhere = environment.database.model_copy(update={"dbname": "postgres"})
    with pytest.raises(DatabaseError, match="no statistics of statements") as caught:
        postgres.statements(environment.model_copy(update={"database": elsewhere}))
    assert caught.value.sight == "no_data" and "create extension" in caught.value.fix


def test_no_way_to_the_database(environment: Environment) -> None:
    assert environment.database
    away = environment.database.model_copy(update={"port": 1})
    with pytest.raises(DatabaseError, match="no way to the database"):
        postgres.activity(environment.model_copy(update={"database": away}))
