"""Logs Insights queries through a real boto3 client: asynchronous, paged and limited as AWS does it."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import HOUR_MS, NOW_MS, ORDERS, Gateway

NOW = NOW_MS // 1000
WINDOW = {"logGroupNames": ["/tiny/api"], "startTime": NOW - 3600, "endTime": NOW}


@pytest.fixture
def logs(gateway: Gateway) -> Any:
    """Return a client that is not held to ten calls a second."""
    gateway.admin("POST", "settings", {"query_calls_per_second": 100_000})
    return gateway.client("logs")


def finished(logs: Any, **asked: Any) -> dict[str, Any]:
    """Start a query and return the first page of its result."""
    return ended(logs, logs.start_query(**{**WINDOW, **asked})["queryId"])


def ended(logs: Any, query_id: str, **asked: Any) -> dict[str, Any]:
    """Poll until a query has ended."""
    deadline = time.monotonic() + 20
    while (answer := logs.get_query_results(queryId=query_id, **asked))["status"] in ("Scheduled", "Running"):
        assert time.monotonic() < deadline, f"still {answer['status']}"
    return answer


def rows(answer: dict[str, Any]) -> list[dict[str, str]]:
    return [{cell["field"]: cell["value"] for cell in row} for row in answer["results"]]


def test_query_answers_with_statistics(logs: Any) -> None:
    answer = finished(logs, queryString='filter level = "ERROR" | fields n | sort n asc')
    assert [row["n"] for row in rows(answer)] == [str(n) for n in range(0, ORDERS, 50)]
    statistics = answer["statistics"]
    assert (answer["status"], answer["queryLanguage"]) == ("Complete", "CWLI")
    assert (statistics["recordsMatched"], statistics["recordsScanned"]) == (10.0, float(ORDERS))
    assert (statistics["resultCount"], statistics["logGroupsScanned"]) == (10.0, 1.0)
    assert statistics["bytesScanned"] > 0


def test_query_window_is_inclusive(gateway: Gateway, logs: Any) -> None:
    answer = finished(logs, startTime=NOW - 10, endTime=NOW - 8, queryString="fields n | sort n asc")
    assert [row["n"] for row in rows(answer)] == [str(ORDERS - 10), str(ORDERS - 9), str(ORDERS - 8)]
    events = [(NOW_MS - HOUR_MS, "first"), *((NOW_MS - at, f"m{at}") for at in (1001, 1000, 1))]
    gateway.load("/edge", events)
    answer = finished(logs, logGroupNames=["/edge"], startTime=NOW - 1, endTime=NOW - 1, queryString="fields @message")
    assert sorted(row["@message"] for row in rows(answer)) == ["m1", "m1000"], "the end covers .999 of its second"


def test_query_over_several_groups_says_where_from(logs: Any) -> None:
    arn = "arn:aws:logs:ap-northeast-1:000000000000:log-group:/tiny/api:*"
    asked = {"startTime": NOW - 1, "endTime": NOW, "queryString": "fields @log, @logStream"}
    started = logs.start_query(logGroupIdentifiers=[arn, "/tiny/quiet"], **asked)
    answer = ended(logs, started["queryId"])
    [row] = rows(answer)
    assert (row["@log"], row["@logStream"]) == ("000000000000:/tiny/api", "api/2")
    assert answer["statistics"]["logGroupsScanned"] == 2.0


def test_source_selects_groups(logs: Any) -> None:
    asked = {"startTime": NOW - 1, "endTime": NOW}
    chosen = "SOURCE logGroups(namePrefix: ['/tiny/']) | fields @log | limit 5"
    answer = ended(logs, logs.start_query(**asked, queryString=chosen)["queryId"])
    assert [row["@log"] for row in rows(answer)] == ["000000000000:/tiny/api"]
    assert answer["statistics"]["logGroupsScanned"] == 2.0
    for text, more in ((chosen, {"logGroupName": "/tiny/api"}), (chosen.replace("/tiny/", "/no/"), {})):
        with pytest.raises(logs.exceptions.InvalidParameterException):
            logs.start_query(**asked, **more, queryString=text)


def test_lookup_tables(logs: Any) -> None:
    arn = logs.create_lookup_table(lookupTableName="numbers", tableBody='n,said\n7,"seven, so"\n')["lookupTableArn"]
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_lookup_table(lookupTableName="numbers", tableBody="n\n")
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.create_lookup_table(lookupTableName="uneven", tableBody="n,said\n1\n")
    [about] = logs.describe_lookup_tables(lookupTableNamePrefix="num")["lookupTables"]
    assert (about["tableFields"], about["recordsCount"]) == (["n", "said"], 1) and "tableBody" not in about
    query = "filter n in [7, 8] | fields n | lookup numbers n OUTPUT said | sort n asc"
    found = [(row["n"], row.get("said")) for row in rows(finished(logs, queryString=query))]
    assert found == [("7", "seven, so"), ("8", None)]
    logs.update_lookup_table(lookupTableArn=arn, tableBody="n,said\n8,eight\n")
    assert rows(finished(logs, queryString=query))[1]["said"] == "eight"
    assert logs.get_lookup_table(lookupTableArn=arn)["tableBody"] == "n,said\n8,eight\n"
    logs.delete_lookup_table(lookupTableArn=arn)
    with pytest.raises(logs.exceptions.MalformedQueryException):
        finished(logs, queryString=query)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_lookup_table(lookupTableArn=arn)


def test_query_pages_equal_the_whole(gateway: Gateway, logs: Any) -> None:
    count = 25_000
    gateway.load("/big", [(NOW_MS - count + n, f"m{n}") for n in range(count)])
    asked = {"logGroupNames": ["/big"], "queryString": "fields @message | sort @timestamp asc"}
    query_id = logs.start_query(**{**WINDOW, **asked}, limit=100_000)["queryId"]
    pages = [ended(logs, query_id)]
    while "nextToken" in pages[-1]:
        pages.append(logs.get_query_results(queryId=query_id, nextToken=pages[-1]["nextToken"]))
    assert [len(page["results"]) for page in pages] == [10_000, 10_000, 5_000]
    assert [row["@message"] for page in pages for row in rows(page)] == [f"m{n}" for n in range(count)]
    assert pages[0]["statistics"]["resultCount"] == float(count)
    assert len(logs.get_query_results(queryId=query_id, maxItems=7)["results"]) == 7
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken"):
        logs.get_query_results(queryId=query_id, nextToken="nonsense")
    by_default = finished(logs, **asked)
    assert (by_default["statistics"]["resultCount"], "nextToken" in by_default) == (10_000.0, False)


def test_query_runs_on_while_polled(gateway: Gateway, logs: Any) -> None:
    gateway.admin("POST", "settings", {"scan_seconds_constant": 1.5, "scan_seconds_per_group_hour": 0.1})
    began = time.monotonic()
    query_id = logs.start_query(**WINDOW, queryString="stats count(*) as n")["queryId"]
    early = logs.get_query_results(queryId=query_id)
    assert early["status"] in ("Scheduled", "Running")
    assert early["results"] == [] and set(early["statistics"].values()) == {0.0}
    assert rows(ended(logs, query_id)) == [{"n": str(ORDERS)}]
    assert time.monotonic() - began >= 1.5


def test_query_is_stopped(gateway: Gateway, logs: Any) -> None:
    gateway.admin("POST", "settings", {"scan_seconds_constant": 60})
    query_id = logs.start_query(**WINDOW, queryString="fields n")["queryId"]
    assert logs.stop_query(queryId=query_id)["success"] is True
    assert logs.get_query_results(queryId=query_id)["status"] == "Cancelled"
    with pytest.raises(logs.exceptions.InvalidParameterException, match="already ended"):
        logs.stop_query(queryId=query_id)


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ({"queryString": "fields @timestamp | nonsense"}, "MalformedQueryException", "nonsense"),
        ({"startTime": NOW_MS, "endTime": NOW_MS}, "InvalidParameterException", "looks like milliseconds"),
        ({"startTime": NOW, "endTime": NOW - 1}, "InvalidParameterException", "startTime is after endTime"),
        ({"limit": 100_001}, "InvalidParameterException", "limit must be between 1 and 100000"),
        ({"limit": 5, "queryString": "fields n | limit 6"}, "InvalidParameterException", "differ"),
        ({"queryString": "x" * 10_001}, "InvalidParameterException", "10000 characters"),
        ({"logGroupName": "/tiny/api"}, "InvalidParameterException", "Exactly one of"),
        (
            {"logGroupNames": ["/tiny/api", "/none"]},
            "ResourceNotFoundException",
            r"Log group '/none' does not exist for account ID '000000000000' \(Service: AWSLogs; Status Code: 400",
        ),
        (
            {"startTime": NOW - 90 * 86_400, "endTime": NOW - 89 * 86_400},
            "MalformedQueryException",
            "end date and time is either before the log groups creation time",
        ),
        ({"queryLanguage": "SQL"}, "InvalidParameterException", "only the query language CWLI"),
    ],
)
def test_start_query_refusals(gateway: Gateway, logs: Any, asked: dict[str, Any], code: str, message: str) -> None:
    unchecked = gateway.client("logs", parameter_validation=False)
    with pytest.raises(ClientError, match=message) as error:
        unchecked.start_query(**{**WINDOW, "queryString": "fields n", **asked})
    assert error.value.response["Error"]["Code"] == code
    if "nonsense" in asked.get("queryString", ""):
        place = error.value.response["queryCompileError"]["location"]
        assert 0 <= place["startCharOffset"] < place["endCharOffset"]


def test_query_fails_on_what_the_data_leave_open(gateway: Gateway, logs: Any) -> None:
    text = 'fields n / (n - n) as x | filter level = "ERROR"'
    answer = finished(logs, queryString=text)
    assert (answer["status"], answer["results"]) == ("Failed", [])
    failure = gateway.admin("GET", "status")["failed_queries"][-1]
    assert failure["query"] == text and failure["reason"].startswith("stand-in: ")


def test_queries_are_described(logs: Any) -> None:
    logs.create_log_group(logGroupName="/described")
    ids = [
        logs.start_query(**{**WINDOW, "logGroupNames": ["/described"]}, queryString="fields a")["queryId"]
        for _ in "abc"
    ]
    for each in ids:
        ended(logs, each)
    first = logs.describe_queries(logGroupName="/described", maxResults=2)
    second = logs.describe_queries(logGroupName="/described", nextToken=first["nextToken"])
    found = first["queries"] + second["queries"]
    assert [query["queryId"] for query in found] == ids[::-1]
    assert (found[0]["status"], found[0]["createTime"]) == ("Complete", NOW_MS)
    assert found[0]["queryString"] == f'SOURCE "/described" START={NOW_MS - HOUR_MS} END={NOW_MS + 999} | fields a'
    assert logs.describe_queries(logGroupName="/described", status="Failed")["queries"] == []
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_query_results(queryId="none")


def test_record_by_pointer(logs: Any) -> None:
    answer = finished(logs, startTime=NOW - 3, endTime=NOW - 3, queryString="fields n")
    [row] = rows(answer)
    record = logs.get_log_record(logRecordPointer=row["@ptr"])["logRecord"]
    assert (record["n"], record["user.id"], record["tags.0"]) == (row["n"], f"u-{int(row['n']) % 7}", "a")
    assert record["@log"] == "000000000000:/tiny/api"
    assert int(record["@timestamp"]) == NOW_MS - 3000
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.get_log_record(logRecordPointer="nonsense")


def test_query_rate_limits(gateway: Gateway) -> None:
    impatient = gateway.client("logs", attempts=1)

    def start(_: int) -> str:
        try:
            return impatient.start_query(**WINDOW, queryString="limit 1")["queryId"]
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(start, range(40)))
    assert 10 <= sum(answer != "ThrottlingException" for answer in answers) < 30
    query_id = next(answer for answer in answers if answer != "ThrottlingException")
    with pytest.raises(ClientError, match="Rate exceeded"):
        for _ in range(100):
            impatient.get_query_results(queryId=query_id)


def test_a_hundred_queries_at_once(gateway: Gateway, logs: Any) -> None:
    gateway.admin("POST", "settings", {"scan_seconds_constant": 120})
    started = []
    with pytest.raises(logs.exceptions.LimitExceededException, match=r"concurrency limit of \[100\]"):
        while len(started) < 110:
            started.append(logs.start_query(**WINDOW, queryString="limit 1")["queryId"])
    assert len(started) == 100
    for query_id in started:
        logs.stop_query(queryId=query_id)
    gateway.admin("POST", "settings", {"scan_seconds_constant": 0})
    assert finished(logs, queryString="limit 1")["status"] == "Complete"


def test_other_calls_are_answered_meanwhile(gateway: Gateway, logs: Any) -> None:
    gateway.load("/busy", [(NOW_MS - n, f"m{n}") for n in range(20_000)])
    asked = {**WINDOW, "logGroupNames": ["/busy"], "queryString": "stats count(*) by @message"}
    gateway.client("sts").get_caller_identity()
    started = [logs.start_query(**asked)["queryId"] for _ in range(12)]
    gateway.client("sts").get_caller_identity()
    assert logs.get_query_results(queryId=started[-1])["status"] in ("Scheduled", "Running")
    for query_id in started[:-1]:
        if logs.get_query_results(queryId=query_id)["status"] != "Complete":
            with contextlib.suppress(logs.exceptions.InvalidParameterException):  # it may end just then
                logs.stop_query(queryId=query_id)
    assert ended(logs, started[-1])["status"] == "Complete"
