"""What goes wrong with a scheduled run, through the real command line: exit code, record and notification are right in each."""

from __future__ import annotations

import select
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from opslib.runner import cells, records
from tests.alerting.alert_path import AlertPath
from tests.scheduling.conftest import Scheduled, scheduled, window_of
from tests.scheduling.test_delivery import slack

__all__ = ["scheduled"]
LOOKS = 'name = "looks"\nnotebook = "2-try/looks"\ncron = "*/30 * * * *"\nwindow = "2h"\nretries = 0\n'
DAILY = 'name = "looks"\nnotebook = "1-monitor/daily-health"\ncron = "*/30 * * * *"\nretries = 0\n'


def acts(act: str, more: str = "") -> str:
    return f'{LOOKS}parameters = {{ act = "{act}" }}\n{more}'


@dataclass
class Seen:
    """What one call left: its exit code, what it said, the statuses of its records, and what Slack took."""

    code: int
    said: str
    statuses: list[str]
    slack: list[str]


@pytest.fixture(scope="module")
def path(scheduled: Scheduled) -> AlertPath:
    scheduled.write(LOOKS)
    return AlertPath(scheduled.sandbox)


@pytest.fixture
def seen(scheduled: Scheduled, path: AlertPath) -> Iterator[Callable[..., Seen]]:
    """Call what is due, and see what comes of it."""
    scheduled.sandbox.clear_messages()

    def call(**environ: str) -> Seen:
        code, said, left = scheduled.due(**environ)
        return Seen(code, said, [one["status"] for one in left], slack(path))

    yield call
    scheduled.sandbox.clear_faults()


def until_asleep(scheduled: Scheduled) -> subprocess.Popen[str]:
    """Start a run and wait until its kernel is in its long cell."""
    process = scheduled.start("run", "--due")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if list((records.reports() / ".partial").glob("*/sleeping")):
            return process
        assert process.poll() is None, process.communicate()
        select.select([], [], [], 0.05)
    raise AssertionError("the run did not get to its long cell")


@pytest.mark.parametrize(
    ("schedule", "status", "says"),
    [
        (acts("die"), "killed", "killed: its process ended in code cell 3 of 4"),
        (acts("sleep", "timeout_s = 10\n"), "timeout", "timeout: "),
        (acts("raise"), "failed", "failed: ValueError: broken"),
    ],
    ids=["kernel killed", "timeout", "cell error"],
)
def test_a_run_that_breaks(scheduled: Scheduled, seen: Callable[..., Seen], schedule: str, status: str, says: str) -> None:  # fmt: skip
    scheduled.write(schedule)
    found = seen()
    assert (found.code, found.statuses, len(found.slack)) == (3, [status], 1)
    assert "ACT NOW · 要対応: looks: NO REPORT" in found.slack[0] and says in found.slack[0]
    assert scheduled.memory("looks")["covered"] is None and not scheduled.sandbox.incidents()


def test_sigterm(scheduled: Scheduled, path: AlertPath, seen: Callable[..., Seen]) -> None:
    scheduled.write(acts("sleep").replace("retries = 0", "retries = 1"))
    before = set(records.folders())
    process = until_asleep(scheduled)
    process.terminate()
    said = "".join(process.communicate(timeout=60))
    (record,) = set(records.folders()) - before
    assert process.returncode == 3 and records.summary_of(record)["status"] == "interrupted", said
    assert "interrupted: ended by SIGTERM" in slack(path)[0]
    file = scheduled.root / "opslib.toml"
    file.write_text(file.read_text().replace('"sleep"', '"none"'))
    assert (again := seen()).code == 0 and again.statuses == ["finished"]  # the try that is left, at the next call


def test_a_runner_that_is_killed_is_told_by_the_next_call(scheduled: Scheduled, seen: Callable[..., Seen]) -> None:
    scheduled.write(acts("sleep", "timeout_s = 60\n"))
    process = until_asleep(scheduled)
    process.kill()
    process.communicate(timeout=60)
    found = seen()
    assert (found.code, found.statuses, found.slack) == (75, ["killed"], [])  # its lock in S3 ends by itself
    scheduled.sandbox.advance("7m")
    found = seen()
    assert (found.code, found.statuses) == (3, []) and "its last try ended without a word" in found.slack[0]
    assert seen().slack == found.slack


def test_a_full_disk(scheduled: Scheduled, seen: Callable[..., Seen], tmp_path: Path) -> None:
    scheduled.write(LOOKS)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], capture_output=True, text=True)  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"a 16 kB disk needs root: {mounted.stderr.strip()}")
    try:
        found = seen(OPSLIB_REPORTS=str(tmp_path))
        assert found.code == 3 and "cannot be written" in found.said and not list(tmp_path.rglob("summary.json"))
        assert "There is no report" in found.slack[0] and "cannot be written" in found.slack[0]
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    scheduled.sandbox.advance("30m")
    assert (after := seen()).code == 0 and after.statuses == ["finished"]


def test_two_runs_at_once(scheduled: Scheduled, path: AlertPath, seen: Callable[..., Seen]) -> None:
    scheduled.write(acts("sleep"))
    process = until_asleep(scheduled)
    second = seen()
    assert (second.code, second.statuses, second.slack) == (75, [], [])
    assert "another run of looks is under way" in second.said
    process.terminate()
    process.communicate(timeout=60)


def test_a_missed_day(scheduled: Scheduled, seen: Callable[..., Seen]) -> None:
    scheduled.write(LOOKS)
    assert seen().code == 0
    before = set(records.folders())
    scheduled.sandbox.advance("1d")
    found = seen()
    (record,) = set(records.folders()) - before
    start, end = window_of(records.summary_of(record))
    assert (found.code, found.statuses) == (0, ["finished"]) and (end - start).total_seconds() == 86_700
    assert "covers 47 missed runs, too" in found.slack[-1]
    assert seen().statuses == []


def test_a_denied_api(scheduled: Scheduled, seen: Callable[..., Seen]) -> None:
    scheduled.write(DAILY)
    scheduled.sandbox.fault(service="elasticache", kind="access-denied")
    found = seen()
    assert found.code in (1, 2) and found.statuses == ["finished"], found.said
    assert "Not all was seen: " in found.slack[0] and "denied" in found.slack[0] and "NO REPORT" not in found.slack[0]


ONCE = LOOKS.replace("*/30 * * * *", "0 0 1 1 *")  # on no clock does its next time come while a test runs


def test_expired_credentials(scheduled: Scheduled, path: AlertPath, seen: Callable[..., Seen]) -> None:
    scheduled.write(LOOKS, ONCE.replace('"looks"', '"expired"'))
    scheduled.sandbox.advance("5m")
    assert scheduled.due("looks")[0] == 0
    scheduled.sandbox.clear_messages()
    scheduled.sandbox.fault(service="*", kind="expired-token")
    code, said, (record,) = scheduled.due("expired")
    assert code == 3 and slack(path) == [] and "nobody was told: the credentials" in said
    assert "the alarm sandbox-report-expired will tell" in said
    assert (record["status"], record["exit_code"], record["results"]) == ("failed", 3, []) and "have expired" in record[
        "error"
    ]
    assert {cell["status"] for cell in record["cells"]} == {cells.NOT_RUN}
    page = (records.find(record["run_id"]) / records.PAGE).read_text(encoding="utf-8")
    assert "it failed before a cell could<br>the credentials of profile" in page
    code, said, left = scheduled.due("expired")
    assert code == 3 and "have expired" in said and left == []  # a record for each time, not for each call
    scheduled.sandbox.clear_faults()
    scheduled.sandbox.advance("2h")
    assert "No report looks for" in slack(path, "nobody looks")[-1]  # so the alarm of a report's silence does


def test_a_memory_that_cannot_be_read(scheduled: Scheduled, seen: Callable[..., Seen]) -> None:
    scheduled.write(ONCE.replace('"looks"', '"looks-denied"'))
    scheduled.sandbox.fault(service="s3", operation="GetObject", kind="access-denied")
    found = seen()
    assert (found.code, found.statuses) == (3, ["failed"]) and "looks-denied: NO REPORT" in found.slack[0]
    assert "GetObject was denied" in found.slack[0]
