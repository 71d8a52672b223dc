"""What can be done to a running sandbox from outside: its clock, faults, calls, settings, and logs of others."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import botocore.exceptions
import pytest

from opslib.sandbox import control
from opslib.sandbox.control import Sandbox, SandboxError, seconds

PATTERN = r"(?P<group>nova-\w+)\.log (?P<time>\S+ \S+) (?P<message>.*)"
LINES = """\
nova-api.log 2017-05-16 00:00:00.008 INFO [req-38101a0b] GET /v2
nova-compute.log 2017-05-16 00:00:04.500 INFO [req-3ea4052c] Started
nova-api.log 2017-05-16 00:00:05.121 ERROR [req-9bc36dd9] failed
Traceback (most recent call last):
"""


@pytest.fixture
def own(running_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return running_sandbox(clock="frozen", scenario="quiet-day")


def test_steering_a_sandbox(own: Sandbox) -> None:
    before = datetime.fromisoformat(own.status()["now"])
    after = datetime.fromisoformat(own.advance("10m"))
    assert (after - before).total_seconds() == 600

    sts = own.client("sts")
    own.fault(service="sts", operation="GetCallerIdentity", kind="throttling", count=1)
    with pytest.raises(botocore.exceptions.ClientError, match="Throttling"):
        sts.get_caller_identity()
    assert sts.get_caller_identity()["Account"] == "000000000000"
    own.fault(service="sts", kind="access-denied")
    assert [fault["kind"] for fault in own.status()["faults"]][-1] == "access-denied"
    assert own.clear_faults() >= 1
    assert own.status()["faults"] == []
    assert [(call["service"], call["operation"]) for call in own.calls()] == [("sts", "GetCallerIdentity")] * 2
    own.clear_calls()
    assert own.calls() == []
    with pytest.raises(SandboxError, match="kind"):
        own.fault(service="sts", kind="earthquake")
    assert own.settings(latency_ms=1)["latency_ms"] == 1


def test_loaded_logs_are_read_in_groups_of_their_own(own: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "openstack.log"
    file.write_text(LINES)
    loaded = control.load_logs(own.directory, file, pattern=PATTERN, zone="UTC")
    assert loaded == {"nova-api": 2, "nova-compute": 1}
    groups = own.status()["log_groups"]
    assert {name: groups[name] for name in loaded} == loaded
    begun = int(datetime.fromisoformat("2017-05-16T00:00:00+00:00").timestamp() * 1000)
    events = own.client("logs").filter_log_events(logGroupName="nova-api", startTime=begun, endTime=begun + 60_000)
    assert [event["timestamp"] - begun for event in events["events"]] == [8, 5121]
    assert events["events"][1]["message"] == "ERROR [req-9bc36dd9] failed\nTraceback (most recent call last):"


def test_environ_names_this_sandbox_and_no_account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    environ = sandbox.environ
    assert environ["OPSLIB_SANDBOX"] == str(sandbox.directory)
    assert not [name for name in environ if name.startswith("AWS_")]


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86400), (7, 7)])
def test_durations(text: str | int, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "10", "10 minutes", "-5m", "m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(SandboxError, match="is no duration"):
        seconds(text)
