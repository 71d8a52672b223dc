"""The search for one id: no line of it is missed, and no more is scanned than that takes."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import opslib
from opslib.run import Run
from opslib.sandbox import admin_client
from opslib.sandbox.control import Sandbox
from opslib.sources import request_search, request_times
from opslib.sources.request_search import request_lines

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
HOUR = 3600.0
GROUPS = ("/far/web", "/far/api")
ANSWER = {"level": "info", "route": "/cart", "status": 200, "message": "answered"}


@pytest.fixture(scope="module")
def own() -> Iterator[Sandbox]:
    """A frozen sandbox with two groups that are eight days old."""
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        for group in GROUPS:
            load(sandbox, (8 * 24 * HOUR, {"message": "first"}), group=group)
        yield sandbox


@pytest.fixture
def run(own: Sandbox) -> Run:
    own.clear_calls()
    return opslib.start()


def load(sandbox: Sandbox, *events: tuple[float, Any], group: str = GROUPS[1]) -> None:
    """Load events, each with its age in seconds."""
    lines = [
        {"group": group, "stream": "s", "timestamp_ms": int((NOW.timestamp() - age) * 1000),
         "message": event if isinstance(event, str) else json.dumps(event)}
        for age, event in events
    ]  # fmt: skip
    admin_client.post(sandbox.endpoint, "load-logs", "\n".join(map(json.dumps, lines)).encode())


def searched_hours(own: Sandbox, needle: str) -> float:
    """Return how many hours the queries for an id covered in all, also those that were stopped."""
    found = [query for query in own.client("logs").describe_queries()["queries"] if needle in query["queryString"]]
    spans = [query["queryString"].split("|")[0].split("START=")[1].split(" END=") for query in found]
    return sum(int(end) - int(start) + 1 for start, end in spans) / 3_600_000


def messages(frame: Any) -> list[str]:
    return [json.loads(line)["message"] if line.startswith("{") else line for line in frame["@message"]]


def test_a_request_of_the_last_hour_costs_one_hour(own: Sandbox, run: Run) -> None:
    load(
        own, (1200, ANSWER | {"request_id": "req-recent-1"}), (1201, {"request_id": "req-recent-1", "message": "asked"})
    )
    frame = request_lines(run, "req-recent-1", patterns=("/far/*",))
    assert messages(frame) == ["asked", "answered"] and not frame.attrs["problems"]
    assert searched_hours(own, "req-recent-1") == pytest.approx(1, abs=0.01)


def test_a_job_of_the_last_hour_leads_back_to_its_request_hours_before(own: Sandbox, run: Run) -> None:
    load(own, (600, {"request_id": "req-late-job", "message": "job retried"}))
    load(own, (9 * HOUR, ANSWER | {"request_id": "req-late-job"}), group=GROUPS[0])
    assert messages(request_lines(run, "req-late-job", patterns=("/far/*",))) == ["answered", "job retried"]


def test_an_old_request_is_found_with_what_lies_around_it(own: Sandbox, run: Run) -> None:
    at = 4 * 24 * HOUR
    load(own, (at, ANSWER | {"request_id": "req-old-4d"}), (at - 1000, {"request_id": "req-old-4d", "message": "job"}))
    load(own, (at + 500, "plain text of req-old-4d"), (at, "req-old-4d-longer"), group=GROUPS[0])
    frame = request_lines(run, "req-old-4d", patterns=("/far/*",))
    assert messages(frame) == ["plain text of req-old-4d", "answered", "job"]
    assert frame.attrs["longer"] == 1 and searched_hours(own, "req-old-4d") <= 7 * 24 + 1


def test_a_miss_scans_no_more_than_one_query_would(own: Sandbox, run: Run) -> None:
    frame = request_lines(run, "req-no-such-1", patterns=("/far/*",))
    assert not len(frame) and frame.attrs["windows"] == [
        request_search.Window(NOW - timedelta(days=7), NOW, run.environment.zone).text()
    ]
    assert searched_hours(own, "req-no-such-1") == pytest.approx(7 * 24, abs=0.1)


def test_the_time_inside_an_id_is_where_it_is_searched(own: Sandbox, run: Run) -> None:
    at = NOW - timedelta(days=5)
    trace = f"1-{int(at.timestamp()):08x}-0123456789abcdef01234567"
    load(
        own,
        (5 * 24 * HOUR - 2, ANSWER | {"trace": trace}),
        (5 * 24 * HOUR - 3, {"message": "w3c", "t": trace[2:].replace("-", "")}),
    )
    frame = request_lines(run, trace, patterns=("/far/*",))
    assert messages(frame) == ["answered", "w3c"] and searched_hours(own, trace) < 1


def test_an_index_in_every_group_is_asked_first(own: Sandbox, run: Run) -> None:
    groups = ("/indexed/a", "/indexed/b")
    logs, old, ms = own.client("logs"), 6.9 * 24 * HOUR, NOW.timestamp() * 1000
    for group in groups:
        load(own, (old, {"message": "first"}), group=group)
        logs.put_index_policy(logGroupIdentifier=group, policyDocument=json.dumps({"Fields": ["request_id"]}))
        early = {"timestamp": int(ms - old * 1000) + 60_000, "message": json.dumps({"request_id": "req-other"})}
        wanted = {"timestamp": int(ms - 3 * 86_400_000), "message": json.dumps(ANSWER | {"request_id": "req-indexed"})}
        logs.create_log_stream(logGroupName=group, logStreamName="new")
        for event in (early, wanted):
            logs.put_log_events(logGroupName=group, logStreamName="new", logEvents=[event])
    frame = request_lines(run, "req-indexed", patterns=("/indexed/*",))
    assert messages(frame) == ["answered"] * 2 and not frame.attrs["problems"]
    texts = [
        query["queryString"] for query in logs.describe_queries()["queries"] if "req-indexed" in query["queryString"]
    ]
    assert sum('request_id in ["req-indexed"]' in text for text in texts) == 1
    assert searched_hours(own, '@message like "req-indexed"') < 2  # the last hour, and around the hit


def test_the_trace_of_a_request_is_followed(own: Sandbox, run: Run) -> None:
    trace = uuid.UUID(int=7).hex
    load(
        own,
        (900, ANSWER | {"request_id": "req-traced-1", "trace_id": trace, "parent_request_id": "req-parent-1"}),
        (901, {"trace_id": trace, "message": "of no request"}),
        (902, {"trace_id": trace, "request_id": "req-sibling-1", "message": "of another"}),
    )
    frame = request_lines(run, "req-traced-1", patterns=("/far/*",))
    assert messages(frame) == ["of no request", "answered"]
    assert frame.attrs["linked"] == {"req-parent-1": 0, "req-sibling-1": 1}


def test_a_failing_slice_is_said_and_the_rest_stands(own: Sandbox, run: Run) -> None:
    load(own, (300, {"request_id": "req-half-1", "message": "job"}))
    own.fault(service="logs", operation="StartQuery", kind="access-denied", probability=0.5)
    frame = request_lines(run, "req-half-1", patterns=("/far/*",))
    own.clear_faults()
    assert frame.attrs["problems"] and all("denied" in problem for problem in frame.attrs["problems"])


@pytest.mark.parametrize(
    ("request_id", "expected"),
    [
        ("1-5759e988-bd862e3fe1be46a994272793", datetime(2016, 6, 9, 22, 11, 20, tzinfo=UTC)),
        ("Root=1-5759e988-bd862e3fe1be46a994272793", datetime(2016, 6, 9, 22, 11, 20, tzinfo=UTC)),
        ("5759e988bd862e3fe1be46a994272793", datetime(2016, 6, 9, 22, 11, 20, tzinfo=UTC)),
        ("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)),  # RFC 9562, A.6
        ("req_01ARZ3NDEKTSV4RRFFQ69G5FAV", datetime(2016, 7, 30, 23, 54, 10, 259000, tzinfo=UTC)),
        ("req-5f0c2e9ab714", None),
        ("550e8400-e29b-41d4-a716-446655440000", None),  # UUIDv4
        ("ffffffffbd862e3fe1be46a994272793", None),
    ],
)
def test_times_inside_ids(request_id: str, expected: datetime | None) -> None:
    now = datetime(2023, 1, 1, tzinfo=UTC)
    assert request_times.moment_in(request_id, now=now, reach=timedelta(days=3000)) == expected
    assert request_times.moment_in(request_id, now=now, reach=timedelta(days=7)) is None
