"""The story of a request, on lines made by hand: what is expected was worked out on paper."""

import orjson
import pandas as pd
import pytest

from opslib.checks.request_story import Story, read, seconds_text
from opslib.checks.request_verdict import sentence_of, verdict_of
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
    (
        4500,
        "api",
        {
            "level": "ERROR",
            "message": "checkout failed",
            "error": {"kind": "LockTimeout", "message": "canceling statement"},
            "wait": {"for": "row lock on stock", "ms": 4300},
        },
    ),
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
    assert [(gap.start_ms, gap.end_ms, gap.before, gap.after) for gap in gaps.itertuples()] == [
        (200, 4500, "api", "api")
    ]


def test_a_clock_behind_is_flagged_and_jitter_is_not() -> None:
    skewed = story(*FAILED, (-120, "worker", {"level": "INFO", "message": "stock reserved"})).skewed
    assert skewed == {"worker": 120}
    assert story(*FAILED, (-5, "worker", {"level": "INFO", "message": "stock reserved"})).skewed == {}


def test_a_good_request_has_no_error() -> None:
    told = story(
        (0, "web", {"level": "INFO", "message": "in"}),
        (90, "web", {"level": "INFO", "status": 200, "duration_ms": 90, "message": "out"}),
    )
    assert not told.failed and told.first_error is None and told.cause() == ""


def test_plain_text_is_read_too() -> None:
    told = story(
        (0, "nova-api", 'INFO nova.wsgi [req-38101a0b] "GET /v2/servers" status: 200'),
        (900, "nova-compute", "ERROR nova.compute [req-38101a0b] Instance failed to spawn: no host"),
    )
    assert told.status == 200 and told.first_error == 1
    assert (
        "answered 200" in sentence(told)
        and "afterwards nova-compute says" in sentence(told)
        and "no host" in sentence(told)
    )


def test_an_access_line_in_plain_text_says_how_long_it_took() -> None:
    access = 'nova.wsgi [req-38101a0b] "POST /v2/servers HTTP/1.1" status: 202 len: 733 time: 0.5169401'
    told = story(
        (517, "nova-api", access),
        (900, "nova-compute", "INFO claim"),
        (20_517, "nova-compute", "INFO Took 19.71 seconds"),
    )
    assert told.total_ms == pytest.approx(516.9401) and told.skewed == {}
    assert sentence(told) == (
        "The request was answered 202 after 517 ms, no error in 3 lines; nova-compute went on for 20.0 s after the answer."
    )
    assert "answered 202, no error in 2 lines." in sentence(
        story((0, "api", "status: 202 time: 12 ms"), (0, "api", "INFO x"))
    )


def test_one_line_has_no_gap() -> None:
    assert len(story((0, "web", "INFO hello")).gaps) == 0


def sentence(told: Story, *jobs: str) -> str:
    return sentence_of(told, failed_jobs=jobs)


def verdict(told: Story, *, same: int = 0, jobs: tuple[str, ...] = ()) -> str:
    return str(verdict_of(told, same_error=same, failed_jobs=jobs))


RECEIVED = (0, "web", {"level": "INFO", "message": "request received", "method": "POST", "route": "/checkout"})


def answered(at: float, status: int) -> tuple[float, str, dict[str, object]]:
    return (at, "web", {"level": "INFO", "message": "request completed", "status": status, "duration_ms": at})


def test_a_retried_inner_error_is_not_a_failure() -> None:
    inner = (
        100,
        "api",
        {"level": "ERROR", "message": "upstream", "status": 502, "duration_ms": 50, "error": {"kind": "BadGateway"}},
    )
    told = story(RECEIVED, inner, answered(300, 200))
    assert verdict(told) == "warn" and not told.failed
    assert sentence(told).startswith("POST /checkout was answered 200 after 300 ms, 1 error on the way: api says")


def test_what_fails_afterwards_is_no_cause() -> None:
    late = (
        70_000,
        "mail",
        {
            "level": "ERROR",
            "message": "gave up",
            "error": {"kind": "Smtp"},
            "wait": {"for": "smtp relay", "ms": 60_000},
        },
    )
    told = story(RECEIVED, answered(300, 200), late)
    assert verdict(told) == "warn" and not told.failed
    assert "was answered 200 after 300 ms, no error in 2 lines" in sentence(
        told
    ) and "afterwards mail says gave up" in sentence(told)


def test_a_wait_after_the_answer_is_not_what_it_waited_for() -> None:
    declined = (
        90,
        "api",
        {"level": "WARN", "message": "declined", "error": {"kind": "CardDeclined", "message": "card declined"}},
    )
    late = (61_000, "batch", {"level": "INFO", "message": "cleaned", "wait": {"for": "row lock", "ms": 60_000}})
    told = story(RECEIVED, declined, answered(100, 402), late)
    assert "answered 402 after 100 ms" in sentence(told) and "api says card declined (CardDeclined)" in sentence(told)
    assert "row lock" not in sentence(told) and verdict(told) == "warn"


def test_a_failed_job_is_never_ok() -> None:
    told = story(RECEIVED, answered(90, 200))
    assert verdict(told) == "ok" and verdict(told, jobs=("order-confirm",)) == "warn"
    assert sentence(told, "order-confirm").endswith("; its job order-confirm failed.")


def test_critical_when_others_meet_it_too() -> None:
    assert (verdict(story(*FAILED), same=1), verdict(story(*FAILED), same=5)) == ("warn", "critical")


@pytest.mark.parametrize(
    "line",
    [
        {"severity": "ERROR"},
        {"level": 50},
        {"lvl": "err"},
        {"status": "failed"},
        {"error": "boom"},
        {"err": {"type": "X", "message": "boom"}},
    ],
)
def test_errors_of_other_log_libraries_are_seen(line: dict[str, object]) -> None:
    told = story((0, "h", {"msg": "working"}), (10, "h", {"msg": "it", **line}))
    assert told.failed and verdict(told) == "warn" and "h says" in sentence(told) and "says ." not in sentence(told)


def test_lines_that_say_nothing_are_unknown() -> None:
    told = story((0, "h", {"msg": "one"}), (10, "h", {"msg": "two"}))
    assert verdict(told) == "unknown" and "nothing in them says whether it failed" in sentence(told)


@pytest.mark.parametrize("nonsense", [1e300, -5, "abc", float("1e18"), True, {"a": 1}, [1]])
def test_nonsense_numbers_are_left_out(nonsense: object) -> None:
    told = story(
        RECEIVED,
        (
            90,
            "web",
            {
                "level": "INFO",
                "message": "done",
                "status": 200,
                "duration_ms": nonsense,
                "wait": {"for": "x", "ms": nonsense},
            },
        ),
    )
    assert told.status == 200 and told.total_ms <= 90


@pytest.mark.parametrize(("ms", "text"), [(38.2, "38 ms"), (4300, "4.3 s"), (125_000, "2 min 5 s")])
def test_times_for_people(ms: float, text: str) -> None:
    assert seconds_text(ms) == text


@pytest.mark.parametrize(
    ("log", "service"), [("000000000000:/shop/api", "api"), ("/ecs/shop/web/", "web"), ("nova-api", "nova-api")]
)
def test_a_group_names_its_service(log: str, service: str) -> None:
    assert service_of(log) == service
