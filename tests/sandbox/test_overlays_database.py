"""The overlays of the database: lines, metrics, Performance Insights, SQL and events of RDS tell one story."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opslib.sandbox import database_load, life
from opslib.sandbox.metrics_store import MetricsStore

NAMES = ("checkout-locks", "missing-index", "connection-exhaustion", "replica-lag", "storage-filling")
NOW = life.NOW_MS // 1000
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
Told = tuple[life.Overlay, life.Life]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("life")
    life.build(directory, scale=0.1)
    return directory


@pytest.fixture(scope="module")
def base(built: Path) -> life.Life:
    return life.load(built)


@pytest.fixture(scope="module")
def told(built: Path, base: life.Life) -> Callable[[str], Told]:
    known: dict[str, Told] = {}

    def of(name: str) -> Told:
        if name not in known:
            overlay = life.overlay(name, built)
            known[name] = overlay, life.apply(base, overlay)
        return known[name]

    return of


def metric(given: life.Life, name: str, instance: str = "shop-db", minutes: int = 5) -> float:
    series = given.metrics["AWS/RDS", name, (("DBInstanceIdentifier", instance),)]
    last = series.timestamps >= NOW - minutes * 60
    return float(series.sum[last].sum() / series.count[last].sum())


def lines(given: life.Life, service: str) -> list[dict[str, Any]]:
    group = given.logs[f"/shop/{service}"]
    recent = [text for at, text in zip(group.timestamps, group.messages, strict=True) if at > life.NOW_MS - 2_400_000]
    return [json.loads(text) for text in recent if text.startswith("{")]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_planted_can_be_found(built: Path, told: Callable[[str], Told], name: str) -> None:
    overlay, _ = told(name)
    assert overlay.planted["component"] in ("database", "replica")
    assert (NOTEBOOKS / f"{overlay.planted['runbook']}.ipynb").exists()
    begun = time.process_time()  # what others do on the machine is not counted
    again = life.overlay(name, built)
    assert time.process_time() - begun < 2
    assert (again.lines, again.sql, again.events) == (overlay.lines, overlay.sql, overlay.events)
    since = [datetime.fromisoformat(event["at"]).timestamp() for event in overlay.events["pi_load"]]
    assert all(600 <= NOW - at <= 2400 for at in since)


@pytest.mark.parametrize("name", NAMES)
def test_cloudwatch_and_performance_insights_count_the_same_sessions(
    base: life.Life, told: Callable[[str], Told], name: str
) -> None:
    overlay, after = told(name)
    for instance in {event["instance"] for event in overlay.events["pi_load"]}:
        added = sum(event["aas"] for event in overlay.events["pi_load"] if event["instance"] == instance)
        assert metric(after, "DBLoad", instance) - metric(base, "DBLoad", instance) == pytest.approx(added, abs=0.05)
        store = MetricsStore(lambda: 0.0)
        store.seed(after.metrics)
        load = database_load.load(store, after.events, instance, NOW - 300, NOW)
        assert np.allclose(load.values.sum(axis=1).mean(), metric(after, "DBLoad", instance), atol=1e-6)
        by_statement: dict[str, float] = {}
        for session, value in zip(load.sessions, load.values.mean(axis=0), strict=True):
            by_statement[session.statement] = by_statement.get(session.statement, 0.0) + float(value)
        told_of = {event["statement"] for event in overlay.events["pi_load"] if event["instance"] == instance}
        assert max(by_statement, key=lambda text: by_statement[text]) in told_of


def test_a_dropped_index(base: life.Life, told: Callable[[str], Told]) -> None:
    overlay, after = told("missing-index")
    assert any("drop index" in statement for statement in overlay.sql)
    assert any("drop index" in line["message"] for line in lines(after, "api"))
    slow = [line for line in lines(after, "api") if line["message"].startswith("slow query")]
    assert len(slow) == 13 and all(line["db"]["duration_ms"] > 1000 for line in slow)
    assert after.events["deploys"][-1]["service"] == "api" and metric(after, "CPUUtilization") > 85
    assert metric(after, "ReadIOPS") > 4 * metric(base, "ReadIOPS")


def test_no_connection_is_left(told: Callable[[str], Told]) -> None:
    _, after = told("connection-exhaustion")
    assert 390 < metric(after, "DatabaseConnections") < 405
    errors = [line for line in lines(after, "api") if "TooManyConnections" in str(line.get("error", {}).get("kind"))]
    assert len(errors) > 5 and all("remaining connection slots" in line["message"] for line in errors)
    assert after.events["deploys"][-1]["service"] == "worker"
    assert any("pools" in line["message"] for line in lines(after, "worker"))


def test_a_replica_that_falls_behind_fails_nobody(base: life.Life, told: Callable[[str], Told]) -> None:
    _, after = told("replica-lag")
    assert metric(after, "ReplicaLag", "shop-db-replica-1", minutes=1) > 1500
    lags = [line["replica"]["lag_s"] for line in lines(after, "api") if "stale read" in line["message"]]
    assert len(lags) == 13 and lags == sorted(lags)
    assert sum("error" in line for line in lines(after, "api")) == sum("error" in line for line in lines(base, "api"))
    assert metric(after, "DBLoad") == pytest.approx(metric(base, "DBLoad"))


def test_the_events_of_a_filling_storage_say_what_the_metric_says(told: Callable[[str], Told]) -> None:
    _, after = told("storage-filling")
    series = after.metrics["AWS/RDS", "FreeStorageSpace", (("DBInstanceIdentifier", "shop-db"),)]
    free = {
        int(at): total / count for at, total, count in zip(series.timestamps, series.sum, series.count, strict=True)
    }
    assert len(after.events["rds_events"]) == 2
    for event in after.events["rds_events"]:
        at = int(datetime.fromisoformat(event["at"]).timestamp()) // 60 * 60
        said = float(event["message"].rpartition("Free Storage: ")[2].partition(" GB")[0])
        assert free[at] / 1e9 == pytest.approx(said, abs=5) and event["categories"] == ["low storage"]
    assert 0 < metric(after, "FreeStorageSpace", minutes=1) < 40e9
    assert any("temporary files" in line["message"] for line in lines(after, "batch"))
