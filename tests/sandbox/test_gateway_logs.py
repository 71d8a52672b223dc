"""Log groups, streams and events through a real boto3 client."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import HOUR_MS, NOW_MS, ORDERS, Gateway

DAY_MS = 24 * HOUR_MS


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def put(logs: Any, group: str, *events: tuple[int, str], stream: str = "s") -> dict[str, Any]:
    """Put events into a group and stream that are made as needed."""
    for make, names in ((logs.create_log_group, {}), (logs.create_log_stream, {"logStreamName": stream})):
        try:
            make(logGroupName=group, **names)
        except logs.exceptions.ResourceAlreadyExistsException:
            continue
    batch = [{"timestamp": at, "message": message} for at, message in events]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)


def filtered(logs: Any, **asked: Any) -> list[dict[str, Any]]:
    """Return the events of all pages."""
    return [event for page in logs.get_paginator("filter_log_events").paginate(**asked) for event in page["events"]]


def test_groups_are_created_listed_and_deleted(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    logs.create_log_group(logGroupName="/made")
    [made] = logs.describe_log_groups(logGroupNamePrefix="/made")["logGroups"]
    assert made["arn"] == "arn:aws:logs:ap-northeast-1:000000000000:log-group:/made:*"
    assert made["creationTime"] == NOW_MS
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName="/made")
    logs.delete_log_group(logGroupName="/made")
    assert logs.describe_log_groups(logGroupNamePrefix="/made")["logGroups"] == []
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="The specified log group does not exist"):
        logs.delete_log_group(logGroupName="/made")


def test_groups_are_paged(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    names = [f"/paged/{number:02}" for number in range(7)]
    for name in names:
        logs.create_log_group(logGroupName=name)
    pages = list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/paged/", limit=3))
    assert [len(page["logGroups"]) for page in pages] == [3, 3, 1]
    assert [group["logGroupName"] for page in pages for group in page["logGroups"]] == names
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.describe_log_groups(nextToken="nonsense")


def test_groups_of_another_region_are_others(gateway: Gateway) -> None:
    assert gateway.client("logs", region="us-east-1").describe_log_groups()["logGroups"] == []


def test_streams_by_last_event(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    put(logs, "/streams", (NOW_MS - 1000, "old"), stream="a")
    put(logs, "/streams", (NOW_MS, "new"), stream="b")
    logs.create_log_stream(logGroupName="/streams", logStreamName="c")
    asked = {"logGroupName": "/streams", "orderBy": "LastEventTime", "descending": True, "limit": 2}
    pages = list(logs.get_paginator("describe_log_streams").paginate(**asked))
    assert [[stream["logStreamName"] for stream in page["logStreams"]] for page in pages] == [["b", "a"], ["c"]]
    assert pages[0]["logStreams"][0]["lastEventTimestamp"] == NOW_MS
    assert "lastEventTimestamp" not in pages[1]["logStreams"][0]


def test_retention_hides_what_is_older(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    put(logs, "/kept", (NOW_MS - 3 * DAY_MS, "old"))
    put(logs, "/kept", (NOW_MS, "new"))
    logs.put_retention_policy(logGroupName="/kept", retentionInDays=1)
    assert [event["message"] for event in filtered(logs, logGroupName="/kept")] == ["new"]
    logs.delete_retention_policy(logGroupName="/kept")
    assert [event["message"] for event in filtered(logs, logGroupName="/kept")] == ["old", "new"]
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_retention_policy(logGroupName="/kept", retentionInDays=2)


def test_put_log_events_takes_late_ones_in_order(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    put(logs, "/late", (NOW_MS - 10, "first"), (NOW_MS, "last"))
    put(logs, "/late", (NOW_MS - 20, "earliest"), (NOW_MS - 10, "second"), (NOW_MS - 5, "third"))
    expected = ["earliest", "first", "second", "third", "last"]
    assert [event["message"] for event in filtered(logs, logGroupName="/late")] == expected


def test_put_log_events_rejects_by_age(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    assert "rejectedLogEventsInfo" not in put(logs, "/ages", (NOW_MS, "now"))
    old = NOW_MS - 14 * DAY_MS
    assert put(logs, "/ages", (old - 1, "too old"), (old, "in time"))["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 1
    }
    new = NOW_MS + 2 * HOUR_MS
    assert put(logs, "/ages", (new, "in time"), (new + 1, "too new"))["rejectedLogEventsInfo"] == {
        "tooNewLogEventStartIndex": 1
    }
    logs.put_retention_policy(logGroupName="/ages", retentionInDays=7)
    expired = put(logs, "/ages", (NOW_MS - 8 * DAY_MS, "expired"))
    assert expired["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    logs.delete_retention_policy(logGroupName="/ages")
    kept = [event["message"] for event in filtered(logs, logGroupName="/ages")]
    assert kept == ["in time", "now", "in time"]


def test_put_log_events_checks_the_batch(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="chronological order"):
        put(logs, "/batch", (NOW_MS, "b"), (NOW_MS - 1, "a"))
    with pytest.raises(logs.exceptions.InvalidParameterException, match="24 hours"):
        put(logs, "/batch", (NOW_MS - DAY_MS - 1, "a"), (NOW_MS, "b"))
    with pytest.raises(logs.exceptions.InvalidParameterException, match="Upload too large"):
        put(logs, "/batch", (NOW_MS, "x" * 600_000), (NOW_MS, "x" * 600_000))
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.put_log_events(
            logGroupName="/batch", logStreamName="none", logEvents=[{"timestamp": NOW_MS, "message": "m"}]
        )


def test_filter_pages_equal_the_whole(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    whole = logs.filter_log_events(logGroupName="/tiny/api")["events"]
    assert [json.loads(event["message"])["n"] for event in whole] == list(range(ORDERS))
    assert filtered(logs, logGroupName="/tiny/api", limit=33) == whole
    assert filtered(logs, logGroupName="/tiny/api", limit=33, startFromHead=False) == whole[::-1]
    assert len({event["eventId"] for event in whole}) == ORDERS
    first = logs.filter_log_events(logGroupName="/tiny/api", limit=33)
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken"):
        logs.filter_log_events(logGroupName="/tiny/quiet", nextToken=first["nextToken"])


def test_filter_window_is_inclusive(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    asked = {"logGroupName": "/tiny/api", "startTime": NOW_MS - 10_000, "endTime": NOW_MS - 8_000}
    assert [event["timestamp"] - NOW_MS for event in filtered(logs, **asked)] == [-10_000, -9_000, -8_000]
    assert len(filtered(logs, **asked, logStreamNames=["api/1"])) == 2
    assert len(filtered(logs, **asked, logStreamNamePrefix="api/2")) == 1
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        filtered(logs, **asked, logStreamNames=["api/9"])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["big red apple", "red pear", 'say "hi" to Red', "a-b apple"]),
        ("red", ["big red apple", "red pear"]),
        ("red apple", ["big red apple"]),
        ("apple red", ["big red apple"]),
        ("?pear ?hi", ["red pear", 'say "hi" to Red']),
        ("apple -red", ["a-b apple"]),
        ("-apple", ["red pear", 'say "hi" to Red']),
        ('"red apple"', ["big red apple"]),
        ('"apple red"', []),
        ('"a-b"', ["a-b apple"]),
        (r'"\"hi\""', ['say "hi" to Red']),
    ],
)
def test_filter_patterns(gateway: Gateway, pattern: str, expected: list[str]) -> None:
    logs = gateway.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix="/patterns")["logGroups"]:
        texts = ["big red apple", "red pear", 'say "hi" to Red', "a-b apple"]
        put(logs, "/patterns", *((NOW_MS + number, text) for number, text in enumerate(texts)))
    assert [event["message"] for event in filtered(logs, logGroupName="/patterns", filterPattern=pattern)] == expected


def test_filter_on_json_fields(gateway: Gateway) -> None:
    found = filtered(
        gateway.client("logs"), logGroupName="/tiny/api", filterPattern='{ $.level = "ERROR" && $.n < 200 }'
    )
    assert [json.loads(event["message"])["n"] for event in found] == [0, 50, 100, 150]


@pytest.mark.parametrize("pattern", ["[ip, user]", "%err.r%", "?a b"])
def test_filter_refuses_what_nobody_models(gateway: Gateway, pattern: str) -> None:
    with pytest.raises(ClientError, match=r"logs:FilterLogEvents filter patterns .* not modelled") as error:
        gateway.client("logs").filter_log_events(logGroupName="/tiny/api", filterPattern=pattern)
    assert code_of(error) == "SandboxNotModelled"


def test_filter_refuses_bare_punctuation(gateway: Gateway) -> None:
    with pytest.raises(ClientError, match=r"Invalid character\(s\) in term 'a-b'"):
        gateway.client("logs").filter_log_events(logGroupName="/tiny/api", filterPattern="a-b")


def test_stream_read_forward_and_backward(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    asked = {"logGroupName": "/tiny/api", "logStreamName": "api/1", "limit": 60}
    forward, token = [], None
    while True:
        page = logs.get_log_events(**asked, **({"nextToken": token} if token else {"startFromHead": True}))
        if page["nextForwardToken"] == token:
            break
        forward += page["events"]
        token = page["nextForwardToken"]
    assert [json.loads(event["message"])["n"] for event in forward] == list(range(0, ORDERS, 2))
    backward, token = [], None
    while True:
        page = logs.get_log_events(**asked, **({"nextToken": token} if token else {}))
        if page["nextBackwardToken"] == token:
            break
        backward = page["events"] + backward
        token = page["nextBackwardToken"]
    assert backward == forward


def test_stream_window_excludes_its_end(gateway: Gateway) -> None:
    asked = {"logGroupName": "/tiny/api", "logStreamName": "api/1", "startFromHead": True}
    page = gateway.client("logs").get_log_events(**asked, startTime=NOW_MS - 10_000, endTime=NOW_MS - 6_000)
    assert [event["timestamp"] - NOW_MS for event in page["events"]] == [-10_000, -8_000]


def test_stream_token_finds_what_comes_later(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    put(logs, "/tail", (NOW_MS, "one"))
    token = logs.get_log_events(logGroupName="/tail", logStreamName="s")["nextForwardToken"]
    put(logs, "/tail", (NOW_MS, "two"))
    page = logs.get_log_events(logGroupName="/tail", logStreamName="s", nextToken=token)
    assert [event["message"] for event in page["events"]] == ["two"]


def test_group_fields(gateway: Gateway) -> None:
    fields = gateway.client("logs").get_log_group_fields(logGroupName="/tiny/api")["logGroupFields"]
    percent = {field["name"]: field["percent"] for field in fields}
    assert percent["user.id"] == percent["tags.1"] == percent["@message"] == 100


def test_field_indexes(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    put(logs, "/indexed", (NOW_MS - 5, "x"))
    document = json.dumps({"Fields": ["request_id"]})
    logs.put_index_policy(logGroupIdentifier="/indexed", policyDocument=document)
    [policy] = logs.describe_index_policies(logGroupIdentifiers=["/indexed"])["indexPolicies"]
    assert (policy["policyDocument"], policy["lastUpdateTime"]) == (document, NOW_MS)
    asked = {"logGroupIdentifiers": ["/indexed"], "indexCategories": ["CUSTOM"]}
    [index] = logs.describe_field_indexes(**asked)["fieldIndexes"]
    assert (index["fieldIndexName"], index["firstEventTime"]) == ("request_id", NOW_MS - 5)
    logs.delete_index_policy(logGroupIdentifier="/indexed")
    assert logs.describe_field_indexes(**asked)["fieldIndexes"] == []
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_index_policy(logGroupIdentifier="/indexed", policyDocument="{}")


def test_query_definitions(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    ids = [logs.put_query_definition(name=f"q/{n}", queryString="limit 5")["queryDefinitionId"] for n in range(3)]
    logs.put_query_definition(name="q/1b", queryString="limit 6", queryDefinitionId=ids[1])
    first = logs.describe_query_definitions(queryDefinitionNamePrefix="q/", maxResults=2)
    second = logs.describe_query_definitions(queryDefinitionNamePrefix="q/", nextToken=first["nextToken"])
    names = [saved["name"] for page in (first, second) for saved in page["queryDefinitions"]]
    assert names == ["q/0", "q/1b", "q/2"]
    assert all(logs.delete_query_definition(queryDefinitionId=each)["success"] for each in ids)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.delete_query_definition(queryDefinitionId=ids[0])


def test_loaded_logs_keep_their_times(gateway: Gateway) -> None:
    logs = gateway.client("logs")
    lines = [{"group": "/old", "stream": "f", "timestamp_ms": at, "message": f"m{at}"} for at in (3000, 1000, 2000)]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    assert gateway.admin("POST", "load-logs", body) == {"events": {"/old": 3}, "total": 3}
    assert [event["timestamp"] for event in filtered(logs, logGroupName="/old")] == [1000, 2000, 3000]
    assert logs.describe_log_groups(logGroupNamePrefix="/old")["logGroups"][0]["creationTime"] == 1000
