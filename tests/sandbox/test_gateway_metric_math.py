"""Metric math and SEARCH through a real boto3 client: each case worked by hand from three short series."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import Gateway
from tests.sandbox.test_gateway_metrics import NOW, START, put, query, read

# minute:     0   1   2   3
SERIES = {"a": (1, 2, None, 4), "b": (10, 0, 30, 40), "lone": (None, None, 7, None), "none": ()}
CASES = [
    ("a + b", {0: 11, 1: 2, 3: 44}),
    ("b - a * 2", {0: 8, 1: -4, 3: 32}),
    ("(b - a) * 2", {0: 18, 1: -4, 3: 72}),
    ("a / b", {0: 0.1, 3: 0.1}),  # minute 1 divides by zero
    ("100 * a / (a + b)", {0: 100 / 11, 1: 100, 3: 400 / 44}),
    ("2 ^ a", {0: 2, 1: 4, 3: 16}),
    ("-a", {0: -1, 1: -2, 3: -4}),
    ("ABS(a - b)", {0: 9, 1: 2, 3: 36}),
    ("b >= 30", {0: 0, 1: 0, 2: 1, 3: 1}),
    ("b == 0 || b > 30", {0: 0, 1: 1, 2: 0, 3: 1}),
    ("a > 1 && b > 1", {0: 0, 1: 0, 3: 1}),
    ("FILL(a, 0)", {0: 1, 1: 2, 2: 0, 3: 4, 4: 0}),
    ("FILL(a, REPEAT)", {0: 1, 1: 2, 2: 2, 3: 4, 4: 4}),
    ("FILL(lone, REPEAT)", {2: 7, 3: 7, 4: 7}),
    ("FILL(none, 0)", {}),
    ("IF(b > 20, b, 5)", {0: 5, 1: 5, 2: 30, 3: 40}),
    ("IF(b, a)", {0: 1, 3: 4}),
    ("IF(1 > 2, a, b)", {0: 10, 1: 0, 2: 30, 3: 40}),
    ("SUM([a, b])", {0: 11, 1: 2, 2: 30, 3: 44}),
    ("AVG([a, b])", {0: 5.5, 1: 1, 2: 30, 3: 22}),
    ("MAX(METRICS())", {0: 10, 1: 2, 2: 30, 3: 40}),
    ('MIN(METRICS("a"))', {0: 1, 1: 2, 3: 4}),
    ("b / MAX(b)", {0: 0.25, 1: 0, 2: 0.75, 3: 1}),
    ("b - AVG(b)", {0: -10, 1: -20, 2: 10, 3: 20}),
    ("RATE(a)", {1: 1 / 60, 3: 2 / 120}),
    ("RATE(b) * PERIOD(b)", {1: -10, 2: 30, 3: 10}),
    ("e0 * 2", {0: 22, 1: 4, 3: 88}),
    ("SUM([none, a])", {0: 1, 1: 2, 3: 4}),
]
WRONG = [
    "a +",
    "a b",
    "(a",
    "nobody + 1",
    "SUM(a)",
    "a ? b",
    "SUM(3)",
    "e1 + 1",
    "[a, b] + [a, b]",
    "a, b",
    "5",
    "SUM(none) + a",
]
UNKNOWN = [
    "ANOMALY_DETECTION_BAND(a, 2)", "DB_PERF_INSIGHTS('RDS', 'db-1', 'os.cpuUtilization.user.avg')", "STDDEV(a)", "FILL(a, LINEAR)",
    "SEARCH('errors', 'Sum', 60)", "SEARCH('{Test} errors', 'Sum', 60)", 'SELECT AVG(x) FROM "Test"', "SEARCH('{Test} MetricName=\"a\"', 'tm99', 60)",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def data(shared_gateway: Gateway) -> None:
    for name, values in SERIES.items():
        entries = [
            {"Value": value, "Timestamp": START + timedelta(minutes=minute)}
            for minute, value in enumerate(values)
            if value is not None
        ]
        put(shared_gateway, name, *entries)


def asked(expression: str, **more: Any) -> list[dict[str, Any]]:
    metrics = [query(name, "Sum", name, 60) | {"ReturnData": False} for name in SERIES]
    first = {"Id": "e0", "Expression": "a + b", "ReturnData": False}
    return [*metrics, first, {"Id": "e1", "Expression": expression, **more}]


def worked_out(gateway: Gateway, expression: str, **more: Any) -> list[dict[str, Any]]:
    return read(gateway, *asked(expression, **more), ScanBy="TimestampAscending", EndTime=START + timedelta(minutes=5))


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[case[0] for case in CASES])
def test_metric_math(gateway: Gateway, expression: str, expected: dict[int, float]) -> None:
    [result] = worked_out(gateway, expression)
    minutes = [int((at - START).total_seconds()) // 60 for at in result["Timestamps"]]
    assert dict(zip(minutes, result["Values"], strict=True)) == {at: pytest.approx(x) for at, x in expected.items()}
    assert (result["Id"], result["Label"], result["StatusCode"]) == ("e1", "e1", "Complete")


@pytest.mark.parametrize("expression", WRONG)
def test_wrong_metric_math_is_refused(gateway: Gateway, expression: str) -> None:
    with pytest.raises(ClientError, match="Error in expression 'e1'") as error:
        worked_out(gateway, expression)
    assert error.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize("expression", UNKNOWN)
def test_unknown_metric_math_is_refused(gateway: Gateway, expression: str) -> None:
    with pytest.raises(ClientError) as error:
        worked_out(gateway, expression)
    assert error.value.response["Error"]["Code"] == "SandboxNotModelled"


def test_unknown_statistics_are_refused(gateway: Gateway) -> None:
    with pytest.raises(ClientError, match="'tm99' is not modelled"):
        read(gateway, query("a", "tm99"))


def test_an_array_is_several_results_and_pages_equal_the_whole(gateway: Gateway) -> None:
    end = START + timedelta(minutes=5)
    cloudwatch = gateway.client("cloudwatch")
    given = {
        "MetricDataQueries": asked("[a, b, none] * 10"),
        "StartTime": START,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    whole = cloudwatch.get_metric_data(**given)["MetricDataResults"]
    assert [(result["Label"], result["Values"]) for result in whole] == [
        ("a", [10, 20, 40]), ("b", [100, 0, 300, 400]), ("none", []),
    ]  # fmt: skip
    pages = list(cloudwatch.get_paginator("get_metric_data").paginate(**given, MaxDatapoints=2))
    parts = [
        (result["Label"], result["StatusCode"], result["Values"])
        for page in pages
        for result in page["MetricDataResults"]
        if result["Label"] != "none"
    ]
    assert parts[:3] == [("a", "PartialData", [10, 20]), ("a", "Complete", [40]), ("b", "PartialData", [100])]
    assert [value for label, _, values in parts if label == "b" for value in values] == [100, 0, 300, 400]


def test_search_finds_metrics(gateway: Gateway) -> None:
    for job, failed in (("report", 2), ("stock", 5)):
        put(gateway, "failed", {"Value": failed, "Dimensions": [{"Name": "JobName", "Value": job}]})
    put(gateway, "other", {"Value": 1, "Dimensions": [{"Name": "JobName", "Value": "report"}]})
    put(
        gateway,
        "failed",
        {"Value": 9, "Dimensions": [{"Name": "JobName", "Value": "x"}, {"Name": "Host", "Value": "h"}]},
    )

    def found(expression: str, **more: Any) -> list[tuple[str, list[float]]]:
        given = [{"Id": "s", "Expression": expression, **more}]
        answer = gateway.client("cloudwatch").get_metric_data(MetricDataQueries=given, StartTime=START, EndTime=NOW)
        return [(result["Label"], result["Values"]) for result in answer["MetricDataResults"]]

    failed = "SEARCH('{Test,JobName} MetricName=\"failed\"', 'Sum', 60)"
    assert found(failed) == [("report", [2]), ("stock", [5])]
    assert found(failed, Label="${PROP('Dim.JobName')} of ${PROP('Namespace')}: ${MAX}") == [
        ("report of Test: 2", [2]), ("stock of Test: 5", [5]),
    ]  # fmt: skip
    assert found(f"SUM({failed})") == [("s", [7])]
    assert found("SEARCH('{Test,JobName} JobName=report', 'Sum', 60)") == [("failed", [2]), ("other", [1])]
    assert found("SEARCH('{Test,JobName} MetricName=failed AND JobName=stock', 'Maximum', 300)") == [("failed", [5])]
    assert found("SEARCH('{Test,JobName} MetricName=nothing', 'Sum', 60)") == []
    with pytest.raises(ClientError, match=r"unknown property Dim\.Host"):
        found(failed, Label="${PROP('Dim.Host')}")


def test_metrics_have_labels_and_may_be_hidden(gateway: Gateway) -> None:
    given = [query("a", "Sum", "a", 60), query("b", "Sum", "b", 60) | {"Label": "${PROP('MetricName')}: ${LAST}"}]
    assert [result["Label"] for result in read(gateway, *given)] == ["a", "b: 40"]
    assert read(gateway, *[each | {"ReturnData": False} for each in given]) == []
