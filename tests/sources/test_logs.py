"""Logs Insights on a real sandbox: every row or the reason why not, nothing left running, nothing paid twice."""

import json
import os
import signal
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import opslib
from opslib import aws, rate_budget
from opslib.errors import IdentityError, OpsError, ParameterError, SourceError
from opslib.run import Run
from opslib.sandbox import admin_client
from opslib.sandbox.control import Sandbox
from opslib.sources import log_fetch, log_rows, logs
from opslib.window import Window

GROUP, ROWS = "/rows/app", 3500
NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
START = NOW - timedelta(hours=2)
WINDOW = Window(START, NOW, UTC)
TEXT = "fields @timestamp, @message, n"


@pytest.fixture(scope="module")
def own() -> Iterator[Sandbox]:
    """A frozen sandbox with 3,500 rows in one group: most in one busy second, one on each edge of the window."""
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        times = [int(START.timestamp() * 1000) + number * 2000 for number in range(ROWS - 2400)]
        times += [int(START.timestamp() * 1000) + 600_000 + number % 1000 for number in range(2400)]
        load(sandbox, *(({"n": number, "level": "info"}, at) for number, at in enumerate(times)))
        edges = [(WINDOW.start, -1), (WINDOW.end, 0)]
        load(sandbox, *(({"n": "outside"}, int(at.timestamp() * 1000) + ms) for at, ms in edges))
        yield sandbox


@pytest.fixture
def run(own: Sandbox) -> Iterator[Run]:
    """A run on it; faults and settings are taken back."""
    before = own.settings()
    yield opslib.start()
    own.clear_faults()
    own.settings(**before)
    aws.forget()


def load(sandbox: Sandbox, *events: tuple[Any, int], group: str = GROUP) -> None:
    lines = [
        json.dumps({"group": group, "stream": "s", "timestamp_ms": at, "message": event if isinstance(event, str) else json.dumps(event)})
        for event, at in events
    ]  # fmt: skip
    admin_client.post(sandbox.endpoint, "load-logs", "\n".join(lines).encode())


def asked(run: Run, text: str = TEXT, **more: Any) -> logs.Answer:
    return logs.query(run.environment, text, groups=[GROUP], window=WINDOW, **more)


def running(own: Sandbox) -> list[str]:
    found = own.client("logs").describe_queries()["queries"]
    return [query["queryId"] for query in found if query["status"] in ("Running", "Scheduled")]


def test_a_query_that_is_cut_is_split_until_every_row_is_there_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asked(run)
    monkeypatch.setattr(log_fetch, "ROWS_A_QUERY", 500)
    monkeypatch.setattr(log_fetch, "ROWS_A_RANGE", 300)
    split = asked(run)
    assert len(whole.query_ids) == 1 and len(split.query_ids) > 5
    for answer in (whole, split):
        assert answer.complete and len(answer.frame) == ROWS and answer.frame["@ptr"].is_unique
        assert (
            answer.frame["@timestamp"].is_monotonic_increasing
            and str(answer.frame["@timestamp"].dtype) == "datetime64[ns, UTC]"
        )
    assert sorted(whole.frame["n"].astype(int)) == sorted(split.frame["n"].astype(int)) == list(range(ROWS))


def test_more_rows_in_a_millisecond_than_a_query_returns_are_said(
    own: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_fetch, "ROWS_A_QUERY", 2)
    at = int(NOW.timestamp() * 1000) - 5000
    load(own, *(({"n": number}, at) for number in range(3)), ({"n": 3}, at + 1), group="/burst/app")
    window = Window(NOW - timedelta(seconds=8), NOW, UTC)
    answer = logs.query(run.environment, TEXT, groups=["/burst/app"], window=window)
    assert not answer.complete and "2 of 3 rows" in answer.reason and len(answer.frame) == 3


@pytest.mark.parametrize("text", ["stats count(*) as lines by n", "fields n | sort n desc", "fields n | dedup n", "fields n | sort @timestamp desc"])  # fmt: skip
def test_what_cannot_be_put_together_is_not_split(run: Run, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(log_fetch, "ROWS_A_QUERY", 400)
    answer = asked(run, text)
    assert len(answer.query_ids) == 1 and len(answer.frame) == 400
    assert not answer.complete and "there are more" in answer.reason


def test_a_statistic_has_types_and_ids_stay_texts(run: Run) -> None:
    text = "filter n < 1000 | stats count(*) as lines, latest(n) as newest by bin(1h) as at, level | sort at asc"
    frame = asked(run, text).frame
    assert (
        str(frame["at"].dtype) == "datetime64[ns, UTC]"
        and frame["lines"].dtype == "float64"
        and frame["lines"].sum() == 1000
    )
    assert frame["level"].dtype == frame["newest"].dtype == object


def test_a_limit_that_is_reached_is_said(run: Run) -> None:
    assert not asked(run, limit=10).complete and not asked(run, f"{TEXT} | limit 10").complete
    assert asked(run, "filter n = 5 | fields n", limit=1).complete  # one row matched, and one came


def test_a_statistic_over_many_groups_is_refused(run: Run) -> None:
    with pytest.raises(ParameterError, match="at most 50 log groups"):
        logs.query(run.environment, "stats count(*)", groups=[f"/g/{n}" for n in range(51)], window=WINDOW)


@pytest.mark.parametrize(
    ("text", "splittable"),
    [
        ("fields @timestamp, a / b as share | filter share > 1 / 2", True),
        ("filter @message like /a|stats b/ | sort @timestamp asc", True),
        ('filter a = "x | stats count(*)"', True),
        ("fields a # | stats count(*)\n| filter b = 1", True),
        ("fields a/b | STATS count(*) by c/d", False),
        ("fields a | limit 5", False),
        ("parse @message /(\\d)/ as d multi", False),
        ("fields jsonParse(@message) as j | unnest j.a into e", False),
        ("pattern @message", False),
    ],
)
def test_only_one_row_an_event_in_order_of_time_is_splittable(text: str, splittable: bool) -> None:
    assert log_fetch.shape(text).splittable is splittable


def test_throttling_changes_no_row(own: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_budget, "LEAST", 8.0)  # as slow as needed, but not in a test
    expected = asked(run).frame
    own.fault(service="logs", kind="throttling", probability=0.3)
    for _ in range(4):
        assert asked(run).frame.equals(expected)
    assert sum(fault["fired"] for fault in own.status()["faults"]) > 0


def test_throttling_without_end_denial_and_a_hang_are_said(
    own: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_budget, "LEAST", 8.0)
    own.fault(service="logs", operation="StartQuery", kind="access-denied")
    with pytest.raises(SourceError, match="StartQuery was denied") as denied:
        asked(run)
    assert denied.value.sight == "denied"
    own.clear_faults()
    own.fault(service="logs", operation="StartQuery", kind="throttling")
    with pytest.raises(SourceError, match="throttled 8 times"):
        asked(run)
    own.clear_faults()
    own.fault(service="logs", operation="GetQueryResults", kind="hang", count=1)
    with pytest.raises(SourceError, match="gave no answer in 1 s"):
        asked(run, deadline_s=1)


@pytest.mark.parametrize(("kind", "raised"), [("expired-token", IdentityError), ("drop", OpsError)])
def test_expired_credentials_and_a_dead_line_are_said(
    own: Sandbox, run: Run, kind: str, raised: type[Exception]
) -> None:
    own.fault(service="logs", operation="GetQueryResults", kind=kind)
    with pytest.raises(raised):
        asked(run)
    own.clear_faults()
    assert not running(own)


@pytest.mark.parametrize("through_facts", [True, False])
def test_an_interrupt_leaves_no_query_running(own: Sandbox, run: Run, through_facts: bool) -> None:
    own.settings(scan_seconds_constant=60)

    def interrupt() -> None:
        while not running(own):
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        if through_facts:
            run.facts(rows=lambda: asked(run).frame, deadline_s=50)
        else:
            asked(run)
    assert not running(own)


def test_a_query_past_its_deadline_is_stopped(own: Sandbox, run: Run) -> None:
    own.settings(scan_seconds_constant=60)
    with pytest.raises(SourceError, match="no answer"):
        asked(run, deadline_s=1)
    assert not running(own)


@pytest.mark.parametrize(
    ("status", "said"),
    [("Failed", "ended as Failed"), ("Cancelled", "ended as Cancelled"), ("Archived", "ended as Archived")],
)
def test_a_bad_end_is_told_with_the_query_id(run: Run, status: str, said: str) -> None:
    with (
        answers_changed(run, lambda answer: answer | {"status": status, "results": []}),
        pytest.raises(SourceError, match=said) as raised,
    ):
        asked(run)
    assert "query id" in (raised.value.why or "")


def test_an_unknown_status_is_polled_on_and_a_timeout_is_halved(run: Run) -> None:
    told = iter(["Unknown", "Timeout"])
    with answers_changed(run, lambda answer: answer | {"status": next(told, answer["status"])}):
        answer = asked(run)
    assert answer.complete and len(answer.frame) == ROWS and len(answer.query_ids) == 2


def test_absent_members_and_no_rows_are_read(run: Run) -> None:
    with answers_changed(run, lambda answer: {"status": answer["status"]}):
        empty = asked(run, 'filter n = "no such"')
    assert empty.complete and not len(empty.frame) and (empty.scanned, empty.usd) == (0, 0)
    rows = [[{"field": "a", "value": "1"}], [{"field": "b", "value": "2"}, {"field": "a"}]]
    assert log_rows.columns_of(rows) == {"a": ["1", None], "b": [None, "2"]}
    assert log_rows.joined([{"a": ["1"]}, {}, {"b": ["2"]}]) == {"a": ["1", None], "b": [None, "2"]}


def test_the_token_of_the_next_page_is_not_taken_from_a_row() -> None:
    row = [{"field": "nextToken", "value": '"nextToken":"of a line"'}]
    raw = json.dumps({"results": [row], "nextToken": 'a"b/='}).encode()
    assert log_rows.next_token({"raw": raw}) == 'a"b/='
    assert log_rows.next_token({"raw": json.dumps({"results": [row]}).encode()}) == ""


def test_a_cut_line_is_read_again_whole(own: Sandbox, run: Run) -> None:
    text = json.dumps({"request_id": "req-long", "message": "x" * 2000})
    load(own, (text, int(NOW.timestamp() * 1000) - 9000), group="/long/app")
    own.settings(message_cut_chars=1000)
    frame = logs.query(run.environment, "fields @timestamp, @message", groups=["/long/app"], window=WINDOW).frame
    assert len(frame["@message"][0]) == 1000
    assert list(logs.with_whole_messages(run.environment, frame)["@message"]) == [text]
    assert logs.with_whole_messages(run.environment, frame, most=0).attrs["still_cut"] == 1


def test_a_scan_above_the_budget_is_refused_before_it_runs(own: Sandbox, run: Run) -> None:
    gigabytes, usd = logs.estimate(run.environment, groups=[GROUP], window=WINDOW) or (0, 0)
    stored = logs.log_groups(run.environment, patterns=[GROUP])["stored_bytes"][0] / 1e9
    assert 0 < gigabytes <= stored and usd == gigabytes * logs.USD_PER_GB
    own.clear_calls()
    poor = run.environment.model_copy(update={"log_budget_usd": usd / 2})
    with pytest.raises(SourceError, match="the budget is"):
        logs.query(poor, TEXT, groups=[GROUP], window=WINDOW)
    assert not [call for call in own.calls() if call["operation"] == "StartQuery"]


def test_a_closed_window_is_scanned_once(
    own: Sandbox, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("OPSLIB_LOG_CACHE", "1")
    closed = Window(START, NOW - timedelta(minutes=20), UTC)
    answers = [logs.query(run.environment, TEXT, groups=[GROUP], window=closed) for _ in range(2)]
    assert [answer.cached for answer in answers] == [False, True] and answers[1].usd == 0
    assert answers[0].frame.equals(answers[1].frame) and "earlier run" in answers[1].note()
    files = list((tmp_path / "opslib" / "logs").iterdir())
    assert len(files) == 1 and stat.S_IMODE(files[0].stat().st_mode) == 0o600
    assert not asked(run).cached and len(list((tmp_path / "opslib" / "logs").iterdir())) == 1  # still open: not kept
    files[0].write_bytes(b"torn")
    assert not logs.query(run.environment, TEXT, groups=[GROUP], window=closed).cached
    monkeypatch.delenv("OPSLIB_LOG_CACHE")
    assert not logs.query(
        run.environment, TEXT, groups=[GROUP], window=closed
    ).cached  # the sandbox is not cached unasked


class answers_changed:
    """Change what AWS answers to GetQueryResults, on the wire."""

    def __init__(self, run: Run, change: Any) -> None:
        self._events = aws.client(run.environment, "logs").meta.events
        self._change = change

    def _hook(self, response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] == 200:
            response_dict["body"] = json.dumps(self._change(json.loads(response_dict["body"]))).encode()

    def __enter__(self) -> None:
        self._events.register_first("before-parse.cloudwatch-logs.GetQueryResults", self._hook)

    def __exit__(self, *_: Any) -> None:
        self._events.unregister("before-parse.cloudwatch-logs.GetQueryResults", self._hook)
