"""Metric data through a real boto3 client."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from opslib.sandbox import metrics_reading, metrics_store
from opslib.sandbox.metrics_reading import span
from tests.sandbox.gateway_process import Gateway

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
START = NOW - timedelta(hours=1)


def put(gateway: Gateway, name: str, *data: dict[str, Any]) -> None:
    entries = [{"MetricName": name, "Timestamp": START, "Unit": "Milliseconds", **datum} for datum in data]
    gateway.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=entries)


def query(name: str, stat: str, query_id: str = "m", period: int = 300, **metric: Any) -> dict[str, Any]:
    found = {"Namespace": "Test", "MetricName": name, **metric}
    return {"Id": query_id, "MetricStat": {"Metric": found, "Period": period, "Stat": stat}}


def read(gateway: Gateway, *queries: dict[str, Any], **asked: Any) -> list[dict[str, Any]]:
    """Return the results of all pages, one by id."""
    whole: dict[str, dict[str, Any]] = {}
    pages = gateway.client("cloudwatch").get_paginator("get_metric_data")
    for page in pages.paginate(**{"MetricDataQueries": list(queries), "StartTime": START, "EndTime": NOW, **asked}):
        for result in page["MetricDataResults"]:
            kept = whole.setdefault(result["Id"], {**result, "Timestamps": [], "Values": []})
            kept["Timestamps"] += result["Timestamps"]
            kept["Values"] += result["Values"]
            kept["StatusCode"] = result["StatusCode"]
    return list(whole.values())


@pytest.mark.parametrize(
    ("stat", "expected"), [("SampleCount", 10), ("Sum", 120), ("Average", 12), ("Minimum", 1), ("Maximum", 40)]
)
def test_metric_values_sets_and_counts(gateway: Gateway, stat: str, expected: float) -> None:
    name = f"three-{stat}"
    put(
        gateway,
        name,
        {"Value": 10},
        {"Values": [1, 3], "Counts": [2, 4]},
        {"StatisticValues": {"SampleCount": 3, "Sum": 96, "Minimum": 20, "Maximum": 40}},
    )
    [result] = read(gateway, query(name, stat))
    assert (result["Timestamps"], result["Values"], result["StatusCode"]) == ([START], [expected], "Complete")


@pytest.mark.parametrize("period", [60, 300, 3600])
def test_a_seeded_series_is_told_at_once_as_it_is_told_period_by_period(period: int) -> None:
    numbers = np.random.default_rng(7)
    at, count = np.arange(1_000_000_200, 1_000_030_200, 300), numbers.integers(0, 3, 100).astype(float)
    total = count * numbers.random(100)
    columns = (at, np.full(100, 300, np.int16), count, total, total / 3, total / 2)
    series = metrics_store.Series(
        "None", SimpleNamespace(**dict(zip(("timestamps", *metrics_store.COLUMNS), columns, strict=False)))
    )
    asked = metrics_reading.Span(1_000_001_000, 1_000_028_000, period, 1_000_001_000)
    for name in metrics_reading.SIMPLE:
        one_by_one = [
            (each.timestamp, metrics_reading.statistic(series, each, name)) for each in series.buckets(*astuple(asked))
        ]
        told = metrics_reading.statistics(series, asked, name)
        assert told == {moment: value for moment, value in one_by_one if value is not None} and len(told) > 5


def test_metric_data_percentiles(gateway: Gateway) -> None:
    put(gateway, "latency", {"Values": [float(n) for n in range(1, 101)]})
    results = read(gateway, *(query("latency", f"p{level}", f"p{level}") for level in (0, 50, 95, 100)))
    assert [result["Values"] for result in results] == [[1.0], [50.5], [pytest.approx(95.05)], [100.0]]
    put(gateway, "sets", {"StatisticValues": {"SampleCount": 3, "Sum": 96, "Minimum": 20, "Maximum": 40}})
    assert read(gateway, query("sets", "p95"))[0]["Values"] == []


def test_large_batches_come_compressed(gateway: Gateway) -> None:
    put(gateway, "many", *({"Value": 1} for _ in range(500)))
    assert read(gateway, query("many", "SampleCount"))[0]["Values"] == [500]


def test_metric_data_pages_equal_the_whole(gateway: Gateway) -> None:
    minutes = range(60)
    for name in ("a", "b"):
        put(gateway, name, *({"Value": n, "Timestamp": START + timedelta(minutes=n)} for n in minutes))
    asked = (query("a", "Sum", "a", 60), query("nothing", "Sum", "none", 60), query("b", "Maximum", "b", 60))
    whole = read(gateway, *asked, ScanBy="TimestampAscending")
    assert [(result["Id"], result["Values"]) for result in whole] == [
        ("a", [float(n) for n in minutes]),
        ("none", []),
        ("b", [float(n) for n in minutes]),
    ]
    paged = read(gateway, *asked, ScanBy="TimestampAscending", MaxDatapoints=25)
    assert sorted(paged, key=lambda result: result["Id"]) == sorted(whole, key=lambda result: result["Id"])
    newest_first = read(gateway, *asked, MaxDatapoints=25)
    assert newest_first[0]["Values"] == whole[0]["Values"][::-1]
    page = gateway.client("cloudwatch").get_metric_data(
        MetricDataQueries=list(asked), StartTime=START, EndTime=NOW, MaxDatapoints=25
    )
    assert [(result["Id"], result["StatusCode"]) for result in page["MetricDataResults"]] == [
        ("a", "PartialData"),
        ("none", "Complete"),
    ]
    with pytest.raises(ClientError, match="InvalidNextToken"):
        read(gateway, *asked, NextToken="nonsense")


def test_metric_periods(gateway: Gateway) -> None:
    put(gateway, "periods", {"Value": 1}, {"Value": 2, "Timestamp": START + timedelta(minutes=7)})
    [result] = read(gateway, query("periods", "Sum", period=300), ScanBy="TimestampAscending")
    assert result["Timestamps"] == [START, START + timedelta(minutes=5)]
    [result] = read(gateway, query("periods", "Sum", period=3600), StartTime=START - timedelta(minutes=40))
    assert (result["Timestamps"], result["Values"]) == ([START - timedelta(minutes=40)], [3.0])
    with pytest.raises(ClientError, match="Period must be"):
        read(gateway, query("periods", "Sum", period=90))
    assert read(gateway, query("periods", "Sum", period=60), StartTime=NOW - timedelta(days=16))[0]["Values"] == []
    assert read(gateway, query("periods", "Sum", period=300), StartTime=NOW - timedelta(days=16))[0]["Values"]


@pytest.mark.parametrize(("days", "grain"), [(1, 60), (16, 300), (70, 3600)])
def test_start_is_rounded_down_by_age(days: int, grain: int) -> None:
    now = int(NOW.timestamp())
    start = now - days * 86_400 + 3599
    asked = span(start, now, 3600, now, aligned=False)
    assert (asked.start, asked.anchor) == (start // grain * grain, start // grain * grain)


def test_metric_statistics(gateway: Gateway) -> None:
    minutes = range(60)
    put(gateway, "stats", *({"Value": n, "Timestamp": START + timedelta(minutes=n)} for n in minutes))
    asked = {"Namespace": "Test", "MetricName": "stats", "StartTime": START, "EndTime": NOW}
    cloudwatch = gateway.client("cloudwatch")
    points = cloudwatch.get_metric_statistics(**asked, Period=60, Statistics=["Sum", "Maximum"])["Datapoints"]
    by_time = sorted(points, key=lambda point: point["Timestamp"])
    assert [point["Sum"] for point in by_time] == [float(n) for n in minutes]
    assert points != by_time, "CloudWatch promises no order, so nobody may rely on one"
    [point] = cloudwatch.get_metric_statistics(**asked, Period=3600, ExtendedStatistics=["p50"])["Datapoints"]
    assert (point["ExtendedStatistics"], point["Unit"]) == ({"p50": 29.5}, "Milliseconds")
    with pytest.raises(ClientError, match="exceeds the limit of 1,440"):
        cloudwatch.get_metric_statistics(
            **{**asked, "StartTime": NOW - timedelta(days=2)}, Period=60, Statistics=["Sum"]
        )
    with pytest.raises(ClientError, match="Must specify either"):
        cloudwatch.get_metric_statistics(**asked, Period=60)


def test_metrics_are_listed_in_pages(gateway: Gateway) -> None:
    cloudwatch = gateway.client("cloudwatch")
    hosts = [{"Name": "Host", "Value": f"h{number:04}"} for number in range(1100)]
    for first in range(0, 1100, 550):
        data = [{"MetricName": "listed", "Value": 1, "Dimensions": [host]} for host in hosts[first : first + 550]]
        cloudwatch.put_metric_data(Namespace="Listed", MetricData=data)
    pages = list(cloudwatch.get_paginator("list_metrics").paginate(Namespace="Listed"))
    assert [len(page["Metrics"]) for page in pages] == [500, 500, 100]
    assert [metric["Dimensions"] for page in pages for metric in page["Metrics"]] == [[host] for host in hosts]
    [one] = cloudwatch.list_metrics(Namespace="Listed", Dimensions=[hosts[7]])["Metrics"]
    assert one["Dimensions"] == [hosts[7]]
    assert len(cloudwatch.list_metrics(Dimensions=[{"Name": "Host"}], RecentlyActive="PT3H")["Metrics"]) == 500


def test_metric_data_is_refused(gateway: Gateway) -> None:
    cloudwatch = gateway.client("cloudwatch")
    for datum in ({"Timestamp": NOW - timedelta(days=15)}, {"Timestamp": NOW + timedelta(hours=3)}):
        with pytest.raises(ClientError, match="within two weeks"):
            put(gateway, "refused", {"Value": 1, **datum})
    with pytest.raises(ClientError, match="parameter Namespace is invalid"):
        cloudwatch.put_metric_data(Namespace="AWS/RDS", MetricData=[{"MetricName": "x", "Value": 1}])
