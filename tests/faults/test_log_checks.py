"""What the runbooks over logs say on a bad day: the same when calls are throttled; never less without saying so."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

import opslib
from opslib import aws, rate_budget
from opslib.checks import errors, requests
from opslib.result import Sight, Verdict
from opslib.run import Run
from opslib.sandbox.control import Sandbox

PLANTED = "req-5f0c2e9ab714"


@pytest.fixture(scope="module")
def own() -> Iterator[Sandbox]:
    with Sandbox(clock="frozen") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        yield sandbox


@pytest.fixture
def run(own: Sandbox) -> Iterator[Run]:
    started = opslib.start()
    started.mode = "headless"  # under load ten seconds are short
    yield started
    own.clear_faults()
    own.settings(scan_seconds_constant=0)
    aws.forget()


def test_throttling_changes_nothing_that_is_said(own: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_budget, "LEAST", 8.0)
    calm = [requests.trace(run, request_id=PLANTED).as_json(), errors.search(run).as_json()]
    own.fault(service="*", kind="throttling", probability=0.3)
    assert [requests.trace(run, request_id=PLANTED).as_json(), errors.search(run).as_json()] == calm


@pytest.mark.parametrize("operation", ["DescribeFieldIndexes", "DescribeLogStreams"])
def test_what_only_makes_it_cheaper_may_be_denied(own: Sandbox, run: Run, operation: str) -> None:
    own.fault(service="logs", operation=operation, kind="access-denied")
    assert requests.trace(run, request_id=PLANTED).sight is Sight.COMPLETE


def test_a_denied_query_is_no_answer_in_both(own: Sandbox, run: Run) -> None:
    own.fault(service="logs", operation="GetQueryResults", kind="access-denied")
    for result in (requests.trace(run, request_id=PLANTED), errors.search(run)):
        assert result.verdict is Verdict.UNKNOWN and result.blind and "denied" in result.reason
        assert result.sight is Sight.DENIED


def test_a_denied_trace_says_which_action_to_allow(own: Sandbox, run: Run) -> None:
    own.fault(service="logs", operation="StartQuery", kind="access-denied")
    result = requests.trace(run, request_id=PLANTED)
    assert result.sight is Sight.DENIED and "allow the action of StartQuery" in result.reason


def test_interrupting_a_trace_leaves_nothing_running(own: Sandbox, run: Run) -> None:
    own.settings(scan_seconds_constant=60)

    def states() -> set[str]:
        return {query["status"] for query in own.client("logs").describe_queries()["queries"]}

    def interrupt() -> None:
        while not states() & {"Running", "Scheduled"}:
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        requests.trace(run, request_id="req-no-such-id")
    assert not states() & {"Running", "Scheduled"}
