"""slow-database: the cause of each incident is in its first sentence, and what could not be seen is said."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pandas as pd
import psycopg
import pytest

import opslib
from opslib import aws
from opslib.checks import database, database_live, database_verdict
from opslib.checks import database_disk as disk
from opslib.checks.database_story import Surge, growth, in_season, now_of, storage, surge
from opslib.run import Fact, Run
from opslib.sandbox.control import Sandbox
from opslib.sources import metric_answers
from opslib.sources import performance_insights_api as api
from opslib.window import Window

TIMES = pd.date_range("2026-11-05T00:00Z", periods=120, freq="min")


def series(*parts: tuple[int, float]) -> pd.Series:
    """Return so many minutes of each value, with a little noise."""
    values = [value + 0.05 * (place % 5 - 2) for count, value in parts for place in range(count)]
    return pd.Series(values, index=TIMES[: len(values)])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(80, 2), (40, 9)], (80, True, 2.0, 9.0)),
        ([(50, 2), (20, 9), (50, 2)], (50, False, 2.0, 9.0)),
        ([(60, 2), (20, 9), (2, 2), (38, 9)], (60, True, 2.0, 9.0)),  # a pause of two minutes does not end it
        ([(120, 2)], None),
        ([(100, 2), (2, 30), (18, 2)], None),  # a spike
        ([(80, 0.1), (40, 0.4)], None),  # less than the least that counts
    ],
)
def test_since_when_a_load_is_above_the_usual(parts: list[tuple[int, float]], expected: tuple | None) -> None:
    found = surge(series(*parts), least=0.5)
    if expected is None:
        assert found is None
        return
    place, lasts, usual, during = expected
    assert found is not None and abs((found.since - TIMES[place]).total_seconds()) <= 60
    assert (found.until is None) is lasts and found.usual == pytest.approx(usual, abs=0.2)
    assert found.during == pytest.approx(during, abs=0.5) and not found.before


def test_a_rise_that_last_week_had_at_these_hours_is_the_season() -> None:
    rise = surge(series((60, 2), (60, 4)), least=0.5)
    assert rise is not None and in_season(rise, series((60, 2), (60, 3.9)))
    assert not in_season(rise, series((120, 2))) and not in_season(rise, series().reindex(TIMES))


def test_gaps_and_too_little_say_nothing() -> None:
    holed = series((60, 2), (60, 9))
    holed.iloc[70:75] = float("nan")
    assert surge(holed, least=0.5) is not None
    assert surge(holed.iloc[:4], least=0.5) is None and surge(holed.iloc[:0], least=0.5) is None
    assert now_of(holed.iloc[:0]) != now_of(holed.iloc[:0]) and storage(holed.iloc[:2]) is None


def test_what_grew_most_comes_first_not_what_is_most() -> None:
    frame = pd.DataFrame({"time": TIMES[:4], "CPU": [5.0] * 4, "Lock:tuple": [0, 0, 3, 3], "other": 0.0, "total": 0.0})
    grown = growth(frame, Surge(TIMES[2], None, 5.0, 8.0, False))
    assert list(grown["group"]) == ["Lock:tuple", "CPU", "other"] and list(grown["more"]) == [3, 0, 0]


def test_noise_is_no_filling_and_filling_has_an_end() -> None:
    noisy = 300e9 + 40e6 * series((60, 0.0)) * 20
    calm = storage(noisy)
    assert calm is not None and calm.bytes_an_hour == 0 and calm.seconds_left == float("inf")
    falling = storage(pd.Series([300e9 - 2e9 * minute for minute in range(60)], index=TIMES[:60]))
    assert falling is not None and falling.bytes_an_hour == pytest.approx(120e9, rel=0.01)
    assert falling.seconds_left == pytest.approx(182e9 / 120e9 * 3600, rel=0.02)
    assert disk.storage_verdict(falling, 500) == "critical" and disk.storage_verdict(calm, 500) == "ok"


def _forget() -> None:
    """Ask anew what is remembered for a while: who we are and when, instances, metrics."""
    aws.identity.cache_clear()
    api.resource.cache_clear()
    metric_answers._asked.clear()


@pytest.fixture
def run(sandbox: Sandbox) -> Iterator[Run]:
    _forget()
    yield opslib.start(env="sandbox")
    sandbox.clear_faults()
    aws.identity.cache_clear()


def test_locks_are_the_cause_of_checkout_locks(run: Run) -> None:
    found = database.slow(run)
    assert (found.verdict, found.sight, found.blind) == ("critical", "complete", False)
    for said in (
        "13.2 sessions are active on 4 vCPUs since 11:0",
        "Lock:transactionid",
        "update stock",
        "4.3 s a call",
        "api was deployed",
    ):
        assert said in found.sentence, said
    assert "shop_api" in found.part("who").sentence and "api" in found.part("changes").sentence
    assert [(step.runbook, step.parameters) for step in found.next] == [
        ("3-remediate/restart-service", {"service": "api"})
    ]


@pytest.mark.parametrize(
    ("window", "verdict", "said"),
    [
        ("20m", "critical", ["13.2 sessions are active on 4 vCPUs, all through the window", "of them wait for locks", "update stock"]),
        ("2026-11-05 08:00/10:50 JST", "ok", ["as usual"]),
        ("2026-11-05 09:00/11:30 JST", "critical", ["since 11:0", "Lock:transactionid"]),
    ],
)  # fmt: skip
def test_the_cause_is_said_in_windows_of_any_kind(run: Run, window: str, verdict: str, said: list[str]) -> None:
    found = database.slow(opslib.start(env="sandbox", window=window))
    assert found.verdict == verdict and all(part in found.sentence for part in said), found.sentence


def test_what_is_over_is_said_in_the_past() -> None:
    total = series((50, 2), (30, 9), (40, 2))
    frame = pd.DataFrame(
        {"time": TIMES, "CPU": 1.9, "Lock:tuple": (total - 1.9).to_numpy(), "other": 0.0, "total": total.to_numpy()}
    )
    facts = {"waits": Fact("waits", frame), "statements": Fact("statements")}
    window = Window(TIMES[0].to_pydatetime(), TIMES[-1].to_pydatetime(), UTC)
    [(verdict, text)] = database_verdict.load_clauses(facts, surge(total, least=0.5), 4, window)
    assert verdict == "warn" and "9.0 sessions were active on 4 vCPUs from 00:50 UTC to 01:1" in text
    assert "100% of what came waited for locks" in text and "are 2.0 now" in text


def test_every_part_is_there_and_can_be_shown(run: Run) -> None:
    found = database.slow(run)
    assert [part.name for part in found.parts] == [
        "waits",
        "statements",
        "who",
        "changes",
        "connections",
        "storage",
        "replica",
    ]
    assert all(part._repr_mimebundle_()["text/html"] for part in (found, *found.parts))
    assert "monitoring" not in str(found._repr_mimebundle_()).lower() or "performance-insights" not in str(
        found._repr_mimebundle_()
    )


@pytest.mark.parametrize("kind", ["access-denied", "throttling"])
def test_without_performance_insights_the_rest_stands(run: Run, sandbox: Sandbox, kind: str) -> None:
    sandbox.fault(service="pi", kind=kind)
    found = database.slow(run)
    assert found.sight == "partial" and found.verdict == "unknown" and "GetResourceMetrics" in found.reason
    assert found.part("waits").verdict == "unknown" and found.part("waits").sight in ("denied", "error")
    assert found.part("storage").verdict == "ok" and found.part("changes").table is not None
    assert "312 GB" in found.part("storage").sentence


def test_with_performance_insights_hung_the_rest_stands(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opslib.run.DEADLINE_SECONDS", {"interactive": 4.0})
    sandbox.fault(service="pi", kind="hang")
    found = database.slow(run)
    assert found.sight == "partial" and "no answer in" in found.reason and found.part("storage").verdict == "ok"


def test_with_metrics_denied_the_load_stands(run: Run, sandbox: Sandbox) -> None:
    sandbox.fault(service="cloudwatch", kind="access-denied")
    found = database.slow(run)
    assert found.verdict == "critical" and found.sight == "partial" and "Lock:transactionid" in found.sentence
    assert found.part("storage").sight == "denied"


def test_with_everything_denied_nothing_is_said_to_be_well(run: Run, sandbox: Sandbox) -> None:
    for service in ("pi", "cloudwatch", "rds", "ecs"):
        sandbox.fault(service=service, kind="access-denied")
    found = database.slow(run)
    assert (found.verdict, found.sight) == ("unknown", "denied") and "could not be seen" in found.sentence


def test_a_database_out_of_reach_is_said(run: Run) -> None:
    assert run.environment.database
    away = run.environment.model_copy(update={"database": run.environment.database.model_copy(update={"port": 1})})
    lost = Run(away, run.identity, run.now, None)
    for found in (database_live.locks(lost), database_live.sessions(lost)):
        assert (found.verdict, found.sight) == ("unknown", "error") and "no way to the database" in found.reason
    assert database.slow(lost).verdict == "critical"  # it needs no connection


def test_no_locks_is_ok(run: Run) -> None:
    assert database_live.locks(run).verdict == "ok" and "397" in database_live.sessions(run).sentence


CAUSES = {
    "missing-index": (
        "",
        ["select * from orders where user_id", "6,400 blocks a call", "index missing", "api was deployed"],
    ),
    "connection-exhaustion": ("", ["of 400 connections are taken", "refused", "worker was deployed"]),
    "replica-lag": ("shop-db-replica-1", ["min behind since 11:1", "select u.prefecture", "IO:DataFileRead"]),
    "storage-filling": ("", ["full in 4 min", "temporary files", "order_items i, products p"]),
}


@pytest.mark.parametrize("scenario", CAUSES)
def test_the_cause_is_in_the_sentence(
    planted: Callable[[str], Sandbox], scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, said = CAUSES[scenario]
    monkeypatch.setenv("OPSLIB_SANDBOX", str(planted(scenario).directory))
    _forget()
    run = opslib.start(env="sandbox")
    found, primary = database.slow(run, instance=instance), database.slow(run)
    _forget()
    assert (found.verdict, found.sight) == ("critical", "complete"), found.sentence
    assert all(part in found.sentence for part in said), found.sentence
    assert primary.verdict == "critical"
    if instance:  # the primary's answer leads to it
        assert primary.next[0].parameters == {"instance": instance} and "reads from it are old" in primary.sentence


def test_a_quiet_day_is_ok(planted: Callable[[str], Sandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(planted("quiet-day").directory))
    _forget()
    run = opslib.start(env="sandbox")
    found = [database.slow(run), database.slow(run, instance="shop-db-replica-1")]
    found += [
        database.slow(opslib.start(env="sandbox", window=longer)) for longer in ("6h", "12h")
    ]  # the morning rises
    _forget()
    assert [str(each.verdict) for each in found] == ["ok"] * 4 and all("as usual" in each.sentence for each in found)
    assert not any(each.next for each in found)


def test_the_blocker_is_named(no_aws_variables: None) -> None:
    with Sandbox(live=True) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(running.directory))
        _forget()
        run = opslib.start(env="sandbox")
        locks, sessions = database_live.locks(run), database_live.sessions(run)
    aws.forget()
    assert locks.verdict == "critical" and locks.facts["waiting"] == "3" and "在庫更新" in locks.sentence
    assert locks.facts["blocker"].removeprefix("pid ") in locks.sentence and "idle in transaction" in locks.sentence
    assert locks.next[0].parameters == {"service": "api"} and "1 idle in a transaction" in sessions.sentence


def test_an_instance_that_is_not_available_is_said() -> None:
    frame = pd.DataFrame({"instance": ["a", "b", "c"], "status": ["available", "storage-full", "modifying"]})
    frame.attrs["missing"] = ["d"]
    said = database_verdict.status_clauses(Fact("instances", frame))
    assert [(str(verdict), text) for verdict, text in said] == [
        ("critical", "b is storage-full"),
        ("warn", "c is modifying"),
        ("critical", "d does not exist"),
    ]


def test_a_slot_that_nobody_reads_fills_the_disk(no_aws_variables: None) -> None:
    with Sandbox(replica=True) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(running.directory))
        _forget()
        run = opslib.start(env="sandbox")
        calm = database_live.replication(run)
        with psycopg.connect(**running.postgres_dsn("postgres"), autocommit=True) as connection:
            connection.execute("select pg_create_physical_replication_slot('forgotten', true)")
            connection.execute("create table churn as select repeat('x', 900) from generate_series(1, 3000)")
        patch.setattr(database_live, "SLOT_WARN", 1e6)
        kept = database_live.replication(run)
        totals = database_live.statements(run)
    _forget()
    assert (
        calm.verdict == "ok" and "shop-db-replica-1 is" in calm.sentence and "the replica itself says" in calm.sentence
    )
    assert kept.verdict == "warn" and "nobody reads slot forgotten, which keeps" in kept.sentence
    assert totals.verdict == "ok" and totals.table is not None and totals.table["share %"].iloc[0] > 10


def test_a_replay_says_the_same(run: Run, tmp_path: Path) -> None:
    whole = replace(run, folder=tmp_path)
    first = [database.slow(whole), database_live.locks(whole), database_live.replication(whole)]
    bare = run.environment.model_copy(update={"database": None})  # what a record keeps of the environment
    again = replace(run, environment=bare, replayed=tmp_path)
    then = [database.slow(again), database_live.locks(again), database_live.replication(again)]
    assert [each.as_json() for each in then] == [
        {**each.as_json(), "data": then[n].as_json()["data"]} for n, each in enumerate(first)
    ]
