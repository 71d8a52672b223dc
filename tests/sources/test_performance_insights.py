"""Performance Insights as the notebooks read it: sliced, paged, whole, and honest about what is missing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from opslib import aws, config
from opslib.config import Environment
from opslib.errors import SourceError
from opslib.sandbox.control import Sandbox
from opslib.sources import performance_insights, rds
from opslib.sources import performance_insights_api as api
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
GOOD = datetime(2026, 11, 5, 2, 0, tzinfo=UTC)


@pytest.fixture
def environment(sandbox: Sandbox) -> Iterator[Environment]:
    aws.forget()
    api.resource.cache_clear()
    yield config.load("sandbox")
    sandbox.clear_faults()
    aws.forget()


def last(hours: float) -> Window:
    return Window(NOW - timedelta(hours=hours), NOW, UTC)


@pytest.mark.parametrize(("hours", "period", "rows"), [(3, 60, 180), (20, 300, 240), (26, 3600, 27), (100, 3600, 101)])
def test_load_is_whole_over_slices(environment: Environment, hours: float, period: int, rows: int) -> None:
    frame = performance_insights.load(environment, window=last(hours), by="wait_event")
    assert (frame.attrs["period"], len(frame), frame.attrs["problems"]) == (period, rows, [])
    assert frame["time"].is_monotonic_increasing and frame["time"].is_unique and str(frame["time"].dt.tz) == "UTC"
    parts = frame.drop(columns=["time", "total"])
    assert len(parts.columns) == 8 and (parts.sum(axis=1) - frame["total"]).abs().max() < 1e-4
    assert frame.attrs["vcpus"] == 4


def test_points_are_never_cut(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_PERIODS", ((timedelta(hours=30), 60),))  # 1,500 points: five slices
    frame = performance_insights.load(environment, window=last(25), by="user")
    assert len(frame) == 1500 and frame["total"].notna().all()
    monkeypatch.setattr(api, "POINTS", 10_000)  # what the API leaves out without a word is said
    cut = performance_insights.load(environment, window=last(25), by="user")
    assert len(cut) == 350 and cut.attrs["problems"] == ["1,150 of 1,500 periods of 60 s have no value"]


def test_locks_begin_at_the_deploy(environment: Environment) -> None:
    frame = performance_insights.load(environment, window=last(1), by="wait_event").set_index("time")
    locks = frame["Lock:transactionid"]
    assert locks[: pd.Timestamp(GOOD)].max() < 0.1 and locks.iloc[-5:].min() > 7


def test_the_top_is_ranked_and_the_rest_is_other(environment: Environment) -> None:
    frame = performance_insights.load(environment, window=last(1), by="sql", top=2)
    first, second = frame.columns[1:3]
    assert frame.attrs["labels"][first].startswith("update stock") and frame[first].sum() > frame[second].sum()
    assert list(frame.columns[3:]) == ["other", "total"] and (frame["other"] > 0).all()


def test_statements_have_statistics_and_their_whole_text(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "PAGE", 3)  # more than one page
    frame = performance_insights.top_sql(environment, window=last(0.5))
    first = frame.iloc[0]
    assert (first["wait"], round(first["latency_ms"])) == ("Lock:transactionid", 4300)
    long = frame[frame["statement"].str.len() > 500]
    assert (
        len(frame) == 10
        and len(long) == 1
        and long["statement"].iloc[0].endswith("limit 48")
        and not frame["cut"].any()
    )


def test_a_text_that_cannot_be_completed_is_said_to_be_cut(environment: Environment, sandbox: Sandbox) -> None:
    sandbox.fault(service="pi", operation="GetDimensionKeyDetails", kind="access-denied")
    frame = performance_insights.top_sql(environment, window=last(0.5))
    assert frame["cut"].sum() == 1
    assert frame.attrs["problems"] == [
        "the text of 1 statements ends after 500 bytes: GetDimensionKeyDetails was denied"
    ]


def test_counters_that_do_not_exist_are_named(environment: Environment) -> None:
    names = ["db.User.max_connections.avg", "db.User.nonsense.avg", "db.User.numbackends.avg"]
    frame = performance_insights.counters(environment, window=last(1), names=names)
    assert (len(frame), frame[names[0]].max()) == (60, 400) and frame[names[2]].iloc[-1] > 150
    assert frame.attrs["problems"] == ["shop-db has no counter db.User.nonsense.avg"]


def test_the_replica_has_its_own_load(environment: Environment) -> None:
    frame = performance_insights.load(environment, window=last(1), by="user", instance="shop-db-replica-1")
    assert frame["total"].max() < 2 and "shop_report" in frame.columns and frame.attrs["vcpus"] == 2


def test_what_is_older_than_kept_is_said(environment: Environment) -> None:
    frame = performance_insights.load(environment, window=last(24 * 9), by="wait_event")
    assert len(frame) == 168 and frame.attrs["problems"] == [
        "Performance Insights keeps 7 days of shop-db: the window's older part is not in it"
    ]
    old = Window(NOW - timedelta(days=9), NOW - timedelta(days=8), UTC)
    with pytest.raises(SourceError, match="keeps 7 days") as caught:
        performance_insights.load(environment, window=old, by="wait_event")
    assert caught.value.sight == "no_data"


@pytest.mark.parametrize(("kind", "sight"), [("access-denied", "denied"), ("throttling", "error")])
def test_a_refusal_is_an_error_with_a_sight(environment: Environment, sandbox: Sandbox, kind: str, sight: str) -> None:
    sandbox.fault(service="pi", kind=kind)
    with pytest.raises(SourceError) as caught:
        performance_insights.load(environment, window=last(1), by="wait_event")
    assert caught.value.sight == sight and caught.value.fix


def test_one_slice_that_fails_leaves_the_others(
    environment: Environment, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "WORKERS", 1)
    monkeypatch.setattr(api, "POINTS", 60)
    sandbox.fault(service="pi", operation="GetResourceMetrics", kind="access-denied", count=1)
    frame = performance_insights.load(environment, window=last(3), by="wait_event")
    assert len(frame) == 120
    assert frame.attrs["problems"] == [
        "1 of 3 slices of the window are missing: GetResourceMetrics was denied",
        "60 of 180 periods of 60 s have no value",
    ]


def test_missing_values_are_gaps_and_never_nought() -> None:
    at = datetime(2026, 11, 5, tzinfo=UTC)
    series = {"DataPoints": [{"Timestamp": at, "Value": 1.5}, {"Timestamp": at + timedelta(minutes=1)}, {"Timestamp": at + timedelta(minutes=2), "Value": float("nan")}]}  # fmt: skip
    values = list(api.points(series).values())
    assert values[0] == 1.5 and values[1] != values[1] and values[2] != values[2] and api.points({}) == {}
    total = pd.Series({0.0: 2.0, 60.0: float("nan"), 120.0: 1.0})
    frame = performance_insights._grouped(total, {"a": {0.0: 2.5}, "b": {}}, 7)
    assert frame["other"].iloc[0] == 0 and frame.iloc[1][["a", "b", "other", "total"]].isna().all()  # never below 0
    assert list(frame.iloc[2][["a", "b", "other", "total"]]) == [0, 0, 1, 1]


def test_keys_without_optional_members_are_read() -> None:
    bare = performance_insights._statement({}, [], {"latency_ms": "x"})
    assert bare["aas"] == 0 and bare["wait"] == "" and bare["latency_ms"] != bare["latency_ms"] and not bare["cut"]
    japanese = {"Dimensions": {"db.sql_tokenized.statement": "あ" * 166}}  # 498 bytes: the next did not fit
    assert performance_insights._statement(japanese, [], {})["cut"]


def test_instances_and_events(environment: Environment, sandbox: Sandbox) -> None:
    frame = rds.instances(environment)
    assert list(frame["instance"]) == ["shop-db", "shop-db-replica-1"] and frame.attrs["missing"] == []
    assert list(frame["vcpus"]) == [4, 2] and list(frame["role"]) == ["primary", "replica"]
    events = rds.events(environment, window=last(24 * 20))
    assert len(events) == 28 and events.attrs["problems"] == ["RDS keeps its events 14 days: older ones are not in it"]
    assert len(rds.events(environment, window=Window(NOW - timedelta(days=30), NOW - timedelta(days=20), UTC))) == 0
    assert list(rds.pending_maintenance(environment)["description"]) == ["OS patch"]
    sandbox.fault(service="rds", kind="access-denied")
    with pytest.raises(SourceError, match="DescribeDBInstances was denied"):
        rds.instances(environment)


def test_an_instance_with_nothing_but_a_name() -> None:
    row = rds._instance({"DBInstanceIdentifier": "x", "DBInstanceClass": "db.r9.metal"})
    assert (row["vcpus"], row["insights"], row["status"], row["role"]) == (0, "off", "unknown", "primary")
    assert [rds.vcpus(f"db.r7g.{size}") for size in ("large", "xlarge", "12xlarge")] == [2, 4, 48]


def test_a_window_without_a_value_is_no_data(environment: Environment) -> None:
    ahead = Window(NOW + timedelta(minutes=1), NOW + timedelta(minutes=30), UTC)
    with pytest.raises(SourceError, match="has no value of shop-db") as caught:
        performance_insights.load(environment, window=ahead, by="wait_event")
    assert caught.value.sight == "no_data"
    assert len(performance_insights.top_sql(environment, window=ahead)) == 0
