"""What the sandbox's metrics come to in a frame: against its own numbers read one by one, and with parts of AWS failing."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opslib import aws, config, frames
from opslib.errors import ParameterError, SourceError
from opslib.sandbox.control import Sandbox, add_fault, clear_faults
from opslib.sources import metric_answers, metric_queries, metrics, regions
from opslib.window import Window, parse

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
HOURS = parse("3h", now=NOW, zone=UTC)


@pytest.fixture
def environment(sandbox: Sandbox) -> Iterator[config.Environment]:
    """The shared sandbox, with nothing remembered from an earlier test."""
    metric_answers._asked.clear()
    yield config.load("sandbox")
    clear_faults(sandbox.directory)
    metric_answers._asked.clear()


def window(back: timedelta, length: timedelta) -> Window:
    return Window(NOW - back, NOW - back + length, UTC)


def plainly(environment: config.Environment, name: str, dimensions: dict[str, str], namespace: str) -> pd.Series:
    """Read one sum by the minute with GetMetricStatistics, another operation."""
    given = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    answer = aws.ask(
        environment, "cloudwatch", "get_metric_statistics", Namespace=namespace, MetricName=name, Dimensions=given,
        StartTime=HOURS.start, EndTime=HOURS.end, Period=60, Statistics=["Sum"],
    )  # fmt: skip
    return pd.Series({pd.Timestamp(point["Timestamp"]): point["Sum"] for point in answer["Datapoints"]}).sort_index()


class Answers:
    """A CloudWatch client that answers from a list of pages, and keeps what it was asked."""

    meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None))

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages, self.asked = list(pages), []

    def get_metric_data(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return self.pages.pop(0)


def result(name: str, *values: float, status: str = "Complete", minute: int = 0) -> dict[str, Any]:
    times = [HOURS.start + timedelta(minutes=minute + n) for n in range(len(values))]
    return {"Id": name, "Label": name, "Timestamps": times, "Values": list(values), "StatusCode": status}


def answered(
    monkeypatch: pytest.MonkeyPatch, environment: config.Environment, *pages: dict[str, Any]
) -> tuple[pd.DataFrame, Answers]:
    """Read the frontend's four metrics (s0 to s3) from hand-made pages."""
    client = Answers(*pages)
    monkeypatch.setattr(aws, "client", lambda *_, **__: client)
    return metrics.series(environment, window=HOURS, components=("frontend",)), client


def test_every_metric_in_two_calls(environment: config.Environment) -> None:
    before = aws.calls().get("cloudwatch:GetMetricData", 0)
    frame = metrics.series(environment, window=HOURS)
    assert aws.calls()["cloudwatch:GetMetricData"] - before == 2 == frame.attrs["calls"]
    assert frame.attrs["usd"] == pytest.approx(frame.attrs["metrics"] * 1e-5)
    assert (frame.attrs["period"], frame.attrs["problems"], frame.attrs["no_data"]) == (
        60,
        [],
        ["database BurstBalance"],
    )
    assert len(frame) == 180 and frame.index[0] == HOURS.start and str(frame.index.tz) == "UTC"
    assert set(frame.columns.get_level_values("component")) == {
        "load-balancer", "web", "api", "worker", "batch", "auth", "notifier", "database", "replica", "cache", "cdn", "frontend", "dns", "jobs",
    }  # fmt: skip
    requests = plainly(environment, "RequestCount", {
        "LoadBalancer": environment.load_balancer.name, "TargetGroup": environment.load_balancer.target_group,
    }, "AWS/ApplicationELB")  # fmt: skip
    assert frame["load-balancer", "RequestCount"].to_list() == requests.to_list()


def test_nothing_is_asked_twice(environment: config.Environment) -> None:
    first = metrics.series(environment, window=HOURS, components=("cache", "database"))
    again = metrics.series(environment, window=HOURS, components=("database",))
    assert (again.attrs["calls"], again.attrs["usd"]) == (0, 0)
    pd.testing.assert_frame_equal(again, first[["database"]], check_names=False)
    assert metrics.series(environment, window=HOURS, components=("database", "web")).attrs["metrics"] == 9


def test_the_hit_rate_is_of_sums_not_the_mean_of_ratios(environment: config.Environment) -> None:
    sums = {}
    for node in environment.cache.nodes:
        for name in ("CacheHits", "CacheMisses"):
            sums[node, name] = plainly(
                environment, name, {"CacheClusterId": node, "CacheNodeId": "0001"}, "AWS/ElastiCache"
            )
    hits, misses = (sum(sums[node, name] for node in environment.cache.nodes) for name in ("CacheHits", "CacheMisses"))
    ratios = [
        100 * sums[n, "CacheHits"] / (sums[n, "CacheHits"] + sums[n, "CacheMisses"]) for n in environment.cache.nodes
    ]
    frame = metrics.series(environment, window=HOURS, components=("cache",))
    found = frame["cache", "CacheHitRate"].to_numpy()
    assert np.allclose(found, (100 * hits / (hits + misses)).to_numpy())
    assert np.abs(found - (sum(ratios) / 2).to_numpy()).max() > 0.01, (
        "the nodes are unlike, so the mean of ratios differs"
    )
    assert np.allclose(frame["cache", "CacheMisses"].to_numpy(), misses.to_numpy())


def test_counters_are_zero_where_nothing_happened(environment: config.Environment) -> None:
    frame = metrics.series(environment, window=HOURS, components=("load-balancer", "jobs"))
    errors = frame["load-balancer", "HTTPCode_Target_5XX_Count"]
    assert errors.notna().all() and (errors == 0).any() and errors.max() > 0
    share = frame["load-balancer", "5XX share"]
    assert np.allclose(share, 100 * errors / frame["load-balancer", "RequestCount"])
    assert frame["jobs", "JobDuration p90"].isna().any(), "a duration of no job is no zero"


def test_last_week_stands_under_the_same_times(environment: config.Environment) -> None:
    now = metrics.series(environment, window=HOURS, components=("database", "load-balancer"))
    usual = metrics.baseline(environment, window=HOURS, components=("database", "load-balancer"))
    assert usual.index.equals(now.index) and usual.attrs["weeks"] == 1 and usual.notna().all().all()
    last_hours = slice(NOW - timedelta(minutes=30), None)
    assert usual["database", "DBLoad"][last_hours].max() < 4 < now["database", "DBLoad"][last_hours].mean()
    requests = ("load-balancer", "RequestCount")
    assert 0.5 < usual[requests].sum() / now[requests].sum() < 2, "five minutes of last week are not told as one"


def test_sums_of_longer_periods_are_scaled_down(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine days ago minutes are kept, sixteen days ago five: a sum of five minutes is five times one of a minute."""
    old = window(timedelta(days=9), timedelta(minutes=10))
    times = [old.start - timedelta(days=7) + timedelta(minutes=n) for n in (0, 5)]
    found = [{"Id": name, "Label": name, "Timestamps": times, "Values": [50.0, 20.0]} for name in ("s0", "s3")]
    client = Answers({"MetricDataResults": found})
    monkeypatch.setattr(aws, "client", lambda *_, **__: client)
    usual = metrics.baseline(environment, window=old, components=("frontend",))
    assert client.asked[0]["MetricDataQueries"][0]["MetricStat"]["Period"] == 300
    assert usual.index[0] == old.start and usual["frontend", "Requests"].to_list() == [10.0] * 5 + [4.0] * 5
    assert usual["frontend", "Latency p90"].to_list() == [50.0] * 5 + [20.0] * 5, "a percentile is no sum"


def test_the_band_follows_what_is_usual() -> None:
    index = pd.date_range(HOURS.start, periods=180, freq="60s")
    usual = pd.Series(50 + 10 * np.sin(np.arange(180) / 30) + np.tile([1.0, -1.0, 0.5], 60), index=index)
    usual.iloc[90] = 500.0
    band = metrics.band(usual)
    inside = (usual > band["low"]) & (usual < band["high"])
    assert not inside.iloc[90] and inside.mean() > 0.95 and (band["high"] < 100).all()
    flat = metrics.band(pd.Series(7.0, index=index))
    assert (flat["low"] < 7).all() and (flat["high"] > 7).all()


def test_jobs_are_found_by_search(environment: config.Environment) -> None:
    given = {"namespace": "Shop/Jobs", "name": "JobsFailed", "dimension": "JobName", "statistic": "Sum"}
    frame = metrics.by_dimension(environment, window=HOURS, **given)
    whole = metrics.series(environment, window=HOURS, components=("jobs",))
    assert "stock-release" in frame and frame.sum().idxmax() == "stock-release"
    assert frame.sum().sum() == whole["jobs", "JobsFailed"].sum()
    assert metrics.by_dimension(environment, window=HOURS, **{**given, "name": "Nothing"}).attrs["no_data"] == [
        "Nothing"
    ]


@pytest.mark.parametrize(
    ("back", "length", "period", "points"),
    [
        (timedelta(hours=3), timedelta(hours=3), 60, 180),
        (timedelta(hours=24), timedelta(hours=24), 60, 1440),
        (timedelta(hours=26), timedelta(hours=26), 300, 312),
        (timedelta(days=14), timedelta(hours=1), 60, 60),
        (timedelta(days=15), timedelta(hours=1), 300, 12),  # kept no finer from here on
        (timedelta(days=64), timedelta(hours=1), 3600, 1),
        (timedelta(days=15), timedelta(days=15), 900, 1440),
        (timedelta(days=400), timedelta(days=400), 86_400, 400),
        (timedelta(seconds=30), timedelta(seconds=20), 60, 1),
    ],
)
def test_the_period_fits_the_window(back: timedelta, length: timedelta, period: int, points: int) -> None:
    grid = metrics.grid_for(window(back, length), now=NOW)
    assert (grid.period, grid.points) == (period, points)
    assert grid.start % period == grid.end % period == 0


def test_a_finer_period_than_is_kept_is_not_asked_for() -> None:
    old = window(timedelta(days=20), timedelta(hours=1))
    assert metrics.grid_for(old, now=NOW, period=60).period == 300
    with pytest.raises(ParameterError, match="90 s"):
        metrics.grid_for(old, now=NOW, period=90)


def test_calls_stay_under_both_limits() -> None:
    def made(number: int, of: int = 1) -> metric_queries.Metric:
        stats = tuple(metric_queries.Stat("N", f"m{number}", (), f"p{n}") for n in range(of))
        return metric_queries.Metric("c", f"m{number}", "", "", "", (("x", stats),), "x" if of > 1 else "")

    many = [made(n) for n in range(1200)]
    assert [len(batch) for batch in metric_queries.batches(many, points=10)] == [500, 500, 200]
    assert [len(batch) for batch in metric_queries.batches(many[:150], points=1440)] == [70, 70, 10]
    assert [len(batch) for batch in metric_queries.batches([made(n, of=3) for n in range(130)], points=10)] == [125, 5]


def test_pages_are_one_answer_and_their_partial_data_no_problem(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, client = answered(
        monkeypatch, environment,
        {"MetricDataResults": [result("s0", 1, 2), result("s1", 5, status="PartialData")], "NextToken": "next", "Messages": []},
        {"MetricDataResults": [result("s1", 6, minute=1), result("s3", 0.5)], "Messages": []},
    )  # fmt: skip
    assert client.asked[1]["NextToken"] == "next" and frame.attrs["calls"] == 2 and frame.attrs["metrics"] == 8
    assert frame["frontend", "4XXErrors"].to_list()[:3] == [5, 6, pytest.approx(np.nan, nan_ok=True)]
    assert frame.attrs["problems"] == []
    assert frame["frontend", "5XXErrors"].to_list()[:2] == [0, 0], "no point means zero while the component is heard of"


@pytest.mark.parametrize(
    ("status", "said"), [("PartialData", "only a part"), ("Forbidden", "forbids"), ("Unheard", "ended as Unheard")]
)
def test_what_is_missing_is_said_and_never_no_data(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch, status: str, said: str
) -> None:
    page = {"MetricDataResults": [result("s0", 1, 2), result("s2", status=status)]}
    frame, _ = answered(monkeypatch, environment, page)
    [problem] = frame.attrs["problems"]
    assert problem.startswith("frontend 5XXErrors: ") and said in problem
    assert ("frontend", "5XXErrors") not in frame, "and not a row of zeros either"
    assert "frontend 5XXErrors" not in frame.attrs["no_data"] and "frontend Latency p90" in frame.attrs["no_data"]


def test_an_internal_error_is_asked_again_once(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = {"MetricDataResults": [result("s0", 1), result("s3", status="InternalError")]}
    frame, client = answered(monkeypatch, environment, failed, {"MetricDataResults": [result("s0", 0.25)]})
    assert frame["frontend", "Latency p90"].iloc[0] == 0.25 and not frame.attrs["problems"]
    assert [query["MetricStat"]["Metric"]["MetricName"] for query in client.asked[1]["MetricDataQueries"]] == [
        "Latency"
    ]
    metric_answers._asked.clear()
    frame, _ = answered(monkeypatch, environment, failed, {"MetricDataResults": [result("s0", status="InternalError")]})
    assert "InternalError" in frame.attrs["problems"][0]


def test_messages_are_told(environment: config.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"MetricDataResults": [result("s0", 1)], "Messages": [{"Code": "ArithmeticError", "Value": "one or more"}]}
    frame, _ = answered(monkeypatch, environment, page)
    assert "ArithmeticError: one or more" in frame.attrs["problems"][0]


def test_one_region_denied_leaves_the_other(environment: config.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    real = aws.client

    def client(given: Any, service: str, *, region: str = "") -> Any:
        if region == "us-east-1":
            raise SourceError("GetMetricData was denied", sight="denied")
        return real(given, service, region=region)

    monkeypatch.setattr(aws, "client", client)
    frame = metrics.series(environment, window=HOURS, components=("database", "cdn"))
    assert ("database", "DBLoad") in frame and "cdn" not in frame.columns.get_level_values(0)
    assert "cdn Requests: us-east-1: GetMetricData was denied" in frame.attrs["problems"]
    with pytest.raises(SourceError, match="denied") as error:
        metrics.series(environment, window=HOURS, components=("cdn",))
    assert error.value.sight == "denied"


def test_one_region_that_hangs_leaves_the_other(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, over = aws.client, threading.Event()

    def client(given: Any, service: str, *, region: str = "") -> Any:
        if region == "us-east-1":
            over.wait(60)
        return real(given, service, region=region)

    monkeypatch.setattr(aws, "client", client)
    monkeypatch.setattr(regions, "LATE_SECONDS", 2.0)
    try:
        frame = metrics.series(environment, window=HOURS, components=("database", "cdn"))
        assert ("database", "DBLoad") in frame
        assert "cdn Requests: us-east-1: no answer in 2 s" in frame.attrs["problems"]
    finally:
        over.set()


def test_what_breaks_in_a_call_is_said() -> None:
    def broken() -> int:
        raise ZeroDivisionError("by hand")

    answers = regions.at_once({"a": lambda: 1, "b": broken}, needed=["a"])
    assert answers["a"] == 1 and "ZeroDivisionError: by hand" in answers["b"].why
    assert regions.at_once({}, needed=[]) == {}


def test_a_denied_call_is_asked_anew_when_it_is_allowed(sandbox: Sandbox, environment: config.Environment) -> None:
    add_fault(sandbox.directory, service="cloudwatch", operation="GetMetricData", kind="access-denied")
    with pytest.raises(SourceError, match="GetMetricData was denied"):
        metrics.series(environment, window=HOURS, components=("database",))
    clear_faults(sandbox.directory)
    assert len(metrics.series(environment, window=HOURS, components=("database",)).columns) > 10


def test_throttling_changes_nothing(sandbox: Sandbox, environment: config.Environment) -> None:
    calm = metrics.series(environment, window=HOURS, components=("web",))
    metric_answers._asked.clear()
    add_fault(sandbox.directory, service="cloudwatch", kind="throttling", count=2)
    pd.testing.assert_frame_equal(metrics.series(environment, window=HOURS, components=("web",)), calm)


def test_a_component_that_is_not_there_is_refused(environment: config.Environment) -> None:
    with pytest.raises(ParameterError, match="'databse' has no metrics"):
        metrics.series(environment, window=HOURS, components=("databse",))
    less = environment.model_copy(update={"load_balancer": None, "cdn": None})
    with pytest.raises(ParameterError):
        metric_queries.table(less, ("cdn",))
    lone = environment.load_balancer.model_copy(update={"target_group": ""})
    [requests, *_] = metric_queries.table(environment.model_copy(update={"load_balancer": lone}), ("load-balancer",))
    assert requests.stats[0].dimensions == (("LoadBalancer", lone.name),)


def test_the_table_is_sound(environment: config.Environment) -> None:
    found = metric_queries.table(environment)
    assert len({(metric.component, metric.metric) for metric in found}) == len(found)
    assert all(metric.bad in ("high", "low", "") and metric.unit for metric in found)
    for metric in found:
        if metric.warn is not None and metric.critical is not None:
            assert (metric.warn < metric.critical) == (metric.bad == "high"), metric.metric


def test_a_record_keeps_it(environment: config.Environment, tmp_path: Any) -> None:
    frame = metrics.series(environment, window=HOURS, components=("cache", "jobs"))
    frames.write(tmp_path / "series.csv", frame)
    back = frames.read(tmp_path / "series.csv")
    assert isinstance(back, pd.DataFrame) and back.attrs == frame.attrs
    pd.testing.assert_frame_equal(back, frame, check_freq=False, check_index_type=False)
