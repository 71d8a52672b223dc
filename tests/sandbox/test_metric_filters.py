"""Metric filters through a real boto3 client: what is put after one was made is its metric, at the time of each line."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.sandbox.filter_pattern import compile_pattern
from opslib.sandbox.service_errors import ServiceError
from tests.sandbox.gateway_process import NOW_MS, Gateway, running
from tests.sandbox.test_gateway_logs import code_of, put

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
FAILED = '{ $.level = "error" && $.message = "job failed*" }'


@pytest.fixture(scope="module")
def own() -> Iterator[Gateway]:
    with running() as gateway:
        yield gateway


def made(gateway: Gateway, group: str, pattern: str, **about: Any) -> str:
    """Make a group with one filter, whose metric is named as the group is."""
    name = group.strip("/")
    put(gateway.client("logs"), group, (NOW_MS, "job failed before there was a filter"))
    told = {"metricNamespace": "Own", "metricName": name, "metricValue": "1", **about}
    gateway.client("logs").put_metric_filter(
        logGroupName=group, filterName="f", filterPattern=pattern, metricTransformations=[told]
    )
    return name


def points(gateway: Gateway, name: str, **dimensions: str) -> list[tuple[int, float, float, str]]:
    """Return (minute from now, sum, samples, unit) of a metric."""
    asked: dict[str, Any] = {"Namespace": "Own", "MetricName": name, "Period": 60}
    asked["Dimensions"] = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    asked |= {"StartTime": NOW - timedelta(minutes=10), "EndTime": NOW + timedelta(minutes=10)}
    found = gateway.client("cloudwatch").get_metric_statistics(**asked, Statistics=["Sum", "SampleCount"])["Datapoints"]
    minutes = [(int((one["Timestamp"] - NOW).total_seconds()) // 60, one) for one in found]
    return sorted((at, one["Sum"], one["SampleCount"], one["Unit"]) for at, one in minutes)


def line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False)


def test_metric_filters_count_what_is_put(own: Gateway) -> None:
    name = made(own, "/counted", FAILED, defaultValue=0, unit="Count")
    plain = made(own, "/plain", '"job failed" -retry', metricValue="2.5")
    failed, other = line(level="error", message="job failed for good: 請求"), line(level="info", message="job failed?")
    logs = own.client("logs")
    put(logs, "/counted", (NOW_MS - 61_000, failed), (NOW_MS, failed), (NOW_MS + 1, other), (NOW_MS + 59_999, failed))
    put(logs, "/counted", (NOW_MS + 2, "no JSON: job failed"))
    put(logs, "/plain", (NOW_MS, "a job failed"), (NOW_MS, "job failed, retry"), (NOW_MS, "job done"))
    assert points(own, name) == [(-2, 1, 1, "Count"), (0, 2, 4, "Count")]
    assert points(own, plain) == [(0, 2.5, 1, "None")]
    logs.delete_metric_filter(logGroupName="/counted", filterName="f")
    put(logs, "/counted", (NOW_MS + 3, failed))
    assert points(own, name) == [(-2, 1, 1, "Count"), (0, 2, 4, "Count")]


def test_what_is_rejected_or_belongs_to_another_region_is_not_counted(own: Gateway) -> None:
    name = made(own, "/late", "failed")
    put(own.client("logs"), "/late", (NOW_MS, "failed"), (NOW_MS + 7_200_001, "failed too far ahead"))
    put(own.client("logs", region="us-east-1"), "/late", (NOW_MS, "failed elsewhere"))
    assert points(own, name) == [(0, 1, 1, "None")]


def test_a_metric_filter_takes_value_and_dimensions_of_the_line(own: Gateway) -> None:
    where = {"Job": "$.job.name", "Code": "$.code"}
    name = made(own, "/taken", '{ $.["took.ms"] > 100 }', metricValue='$.["took.ms"]', dimensions=where, unit="Milliseconds")  # fmt: skip
    lines = [
        line(**{"took.ms": 150}, job={"name": "mail"}, code=7),
        line(**{"took.ms": 250.5}, job={"name": "mail"}, code=7),
        line(**{"took.ms": 900}, job={"name": "bill"}, code=7),
        line(**{"took.ms": 99}, job={"name": "bill"}, code=7),  # does not match
        line(**{"took.ms": 500}, job={"name": "mail"}),  # has not all dimensions
    ]
    put(own.client("logs"), "/taken", *((NOW_MS, each) for each in lines))
    assert points(own, name, Job="mail", Code="7") == [(0, 400.5, 2, "Milliseconds")]
    assert points(own, name, Job="bill", Code="7") == [(0, 900, 1, "Milliseconds")]
    assert len(own.client("cloudwatch").list_metrics(Namespace="Own", MetricName=name)["Metrics"]) == 2


@pytest.mark.parametrize(
    ("pattern", "about", "words"),
    [
        ("failed", {"dimensions": {"Job": "$.job"}}, "JSON patterns only"),
        (FAILED, {"dimensions": {"Job": "$.job"}, "defaultValue": 0}, "default value cannot be used with dimensions"),
        (FAILED, {"dimensions": dict.fromkeys("abcd", "$.job")}, "at most 3 dimensions"),
        (FAILED, {"dimensions": {"Job": "job"}}, "no property selector"),
        (FAILED, {"metricValue": "one"}, "neither a number nor a field"),
        ("failed", {"metricValue": "$.ms"}, "JSON patterns only"),
        ('{ $.level = "error" ', {}, "no closing brace"),
        ('{ $.level > "error" }', {}, "cannot be compared"),
        ('{ level = "error" }', {}, "no property selector"),
        ("{ $.a = 1 && }", {}, "'the end' is no property selector"),
        ("{ ($.a = 1 }", {}, "'the end' was not expected"),
        ("{ $.a = 1 } }", {}, "was not expected"),
        ("{ $.a IS 1 }", {}, "'1' was not expected"),
    ],
)
def test_wrong_metric_filters_are_refused(own: Gateway, pattern: str, about: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as error:
        made(own, "/wrong", pattern, **about)
    assert code_of(error) == "InvalidParameterException"
    assert own.client("logs").describe_metric_filters(logGroupName="/wrong")["metricFilters"] == []


def test_what_is_not_modelled_of_filters_is_said(own: Gateway) -> None:
    with pytest.raises(ClientError, match="logs:PutMetricFilter filter patterns on columns are not modelled"):
        made(own, "/columns", "[ip, user]")
    with pytest.raises(own.client("logs").exceptions.ResourceNotFoundException):
        own.client("logs").put_metric_filter(
            logGroupName="/none", filterName="f", filterPattern="a",
            metricTransformations=[{"metricNamespace": "a", "metricName": "b", "metricValue": "1"}],
        )  # fmt: skip


LINE = line(
    level="error", ms=120, ok=False, none=None, user={"ids": ["u-1", "u-2"], "is-admin": True}, code="404",
    text='say "hi" [now]?', jp="失敗しました",
)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.level = "error" }', True), ("{ $.level = error }", True), ('{ $.level = "err" }', False), ('{ $.level = "Error" }', False),
        ('{ $.level = "e*r" }', True), ("{ $.level = *rror }", True), ('{ $.level = "*" }', True), ("{ $.missing = * }", False), ("{ $.user = * }", False),
        ('{ $.level != "info" }', True), ('{ $.missing != "info" }', False), ('{ $.level != "err*" }', False),
        ("{ $.ms = 120 }", True), ("{ $.ms = 1.2e2 }", True), ("{ $.ms >= 120 }", True), ("{ $.ms > 120 }", False), ("{ $.ms != 120 }", False),
        ("{ $.code = 404 }", False), ('{ $.code = "404" }', True), ("{ $.ok < 1 }", False),
        ("{ $.ok IS FALSE }", True), ("{ $.ok IS TRUE }", False), ("{ $.none IS NULL }", True), ("{ $.missing IS NULL }", False),
        ("{ $.missing NOT EXISTS }", True), ("{ $.none NOT EXISTS }", False),
        ('{ $.user.ids[1] = "u-2" }', True), ('{ $.user.ids[2] = "u-2" }', False), ("{ $.user.is-admin IS TRUE }", True),
        (r'{ $.text = "say \"hi\" [now]?" }', True), (r'{ $.text = "say*[now]?" }', True), ('{ $.text = "say*[now]!" }', False), ('{ $.jp = "失敗*" }', True),
        ("{ $.ms > 100 && $.level = error }", True), ("{ $.ms > 200 || $.level = error }", True), ("{ $.ms > 200 && $.level = error }", False),
        ("{ $.level = info && $.ms > 1 || $.ok IS FALSE }", True), ("{ $.level = info && ($.ms > 1 || $.ok IS FALSE) }", False),
    ],
)  # fmt: skip
def test_json_patterns(pattern: str, expected: bool) -> None:
    assert compile_pattern(pattern)(LINE) is expected
    assert compile_pattern(pattern)(json.dumps(json.loads(LINE))) is expected  # with \\u for what is not ASCII
    assert not compile_pattern(pattern)(LINE[:-1]) and not compile_pattern(pattern)(f"[{LINE}]")


def test_a_pattern_that_never_ends_is_refused_and_not_searched_for() -> None:
    with pytest.raises(ServiceError, match="Invalid filter pattern"):
        compile_pattern("{ $." + "a" * 50_000 + " ! }")
