"""The story of a request, on lines made by hand: what is expected was worked out on paper."""

import orjson
import pandas as pd
import pytest

from opslib.checks.request_story import Story, read, seconds_text
from opslib.sources.log_lines import parsed, service_of

ZERO = pd.Timestamp("2026-11-05T02:31:20Z")


def story(*lines: tuple[float, str, dict[str, object] | str], expected: tuple[str, ...] = ()) -> Story:
    frame = pd.DataFrame(
        {
            "@timestamp": [ZERO + pd.Timedelta(ms, "ms") for ms, _, _ in lines],
            "@message": [line if isinstance(line, str) else orjson.dumps(line).decode() for _, _, line in lines],
            "@log": [f"000000000000:/shop/{service}" for _, service, _ in lines],
        }
    )
    return read(parsed(frame), expected=expected)


FAILED = (
    (0, "web", {"level": "INFO", "message": "request received", "method": "POST", "route": "/checkout"}),
    (40, "auth", {"level": "INFO", "message": "session verified", "duration_ms": 30}),
    (200, "api", {"level": "INFO", "message": "cart loaded"}),
    (4500, "api", {"level": "ERROR", "message": "checkout failed", "error": {"kind": "LockTimeout", "message": "canceling statement"}, "wait": {"for": "row lock on stock", "ms": 4300}}),
    (4600, "web", {"level": "ERROR", "message": "response", "status": 500, "duration_ms": 4600}),
)


def test_it_says_what_failed_where_and_for_what_it_waited() -> None:
    told = story(*FAILED, expected=("web", "auth", "api", "notifier"))
    assert told.failed and told.what == "POST /checkout" and told.total_ms == 4600
    assert told.cause() == "api waited 4.3 s for row lock on stock (LockTimeout)"
    assert told.first_error == 3
    assert list(told.spans["lane"]) == ["web", "auth", "api", "notifier"]
    assert list(told.spans["lines"]) == [2, 1, 2, 0]


def test_the_gap_is_named_with_its_neighbours() -> None:
    gaps = story(*FAILED).gaps
    assert [(gap.start_ms, gap.end_ms, gap.before, gap.after) for gap in gaps.itertuples()] == [(200, 4500, "api", "api")]


def test_a_clock_behind_is_flagged_and_jitter_is_not() -> None:
    skewed = story(*FAILED, (-120, "worker", {"level": "INFO", "message": "stock reserved"})).skewed
    assert skewed == {"worker": 120}
    assert story(*FAILED, (-5, "worker", {"level": "INFO", "message": "stock reserved"})).skewed == {}


def test_a_good_request_has_no_error() -> None:
    told = story((0, "web", {"level": "INFO", "message": "in"}), (90, "web", {"level": "INFO", "status": 200, "duration_ms": 90, "message": "out"}))
    assert not told.failed and told.first_error is None and told.cause() == ""


def test_plain_text_is_read_too() -> None:
    told = story(
        (0, "nova-api", 'INFO nova.wsgi [req-38101a0b] "GET /v2/servers" status: 200'),
        (900, "nova-compute", "ERROR nova.compute [req-38101a0b] Instance failed to spawn: no host"),
    )
    assert told.failed and told.first_error == 1 and "no host" in told.cause()


def test_one_line_has_no_gap() -> None:
    assert len(story((0, "web", "INFO hello")).gaps) == 0


@pytest.mark.parametrize(("ms", "text"), [(38.2, "38 ms"), (4300, "4.3 s"), (125_000, "2 min 5 s")])
def test_times_for_people(ms: float, text: str) -> None:
    assert seconds_text(ms) == text


@pytest.mark.parametrize(("log", "service"), [("000000000000:/shop/api", "api"), ("/ecs/shop/web/", "web"), ("nova-api", "nova-api")])
def test_a_group_names_its_service(log: str, service: str) -> None:
    assert service_of(log) == service
