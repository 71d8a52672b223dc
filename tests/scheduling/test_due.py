"""Windows of scheduled runs: whatever is missed, tried again or called twice, no minute is left out or told twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opslib import config
from opslib.config_sections import Schedule
from opslib.errors import RecordError
from opslib.scheduling.agenda import Scheduled
from opslib.scheduling.due import due
from opslib.scheduling.memory import Memory, recalled, remember

TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2026, 11, 6, 8, 30, 20, 500, tzinfo=TOKYO).astimezone(UTC)


def morning(**more: object) -> Scheduled:
    return Scheduled(Schedule(name="morning", notebook="daily", cron="30 8 * * *", **more), "1-monitor/daily", {}, True)


def test_a_first_run_looks_back_as_far_as_the_schedule_says() -> None:
    found = due(morning(window="12h"), Memory(), NOW, TOKYO)
    assert found and found.window.end == NOW.replace(microsecond=0) and found.window.seconds == 12 * 3600
    assert (found.missed, found.lost, found.covers) == (0, None, "")


def test_what_was_missed_is_covered_by_one_run_and_what_is_too_old_is_told() -> None:
    covered = NOW - timedelta(days=3, seconds=20)
    found = due(morning(), Memory(covered), NOW, TOKYO)
    assert found and found.window.start == covered and found.missed == 2 and found.covers == "covers 2 missed runs, too"
    found = due(morning(longest="1d"), Memory(covered), NOW, TOKYO)
    assert found and found.window.seconds == 86_400 and found.lost
    assert (found.lost.start, found.lost.end) == (covered, found.window.start)
    assert "NOT covered: 2026-11-03 08:30" in found.covers


def test_not_before_its_time_and_not_twice() -> None:
    one, at = morning(), NOW.replace(second=0, microsecond=0)
    assert due(one, Memory(at - timedelta(days=1)), at - timedelta(seconds=1), TOKYO) is None
    assert due(one, Memory(at - timedelta(days=1)), at, TOKYO) is not None
    assert due(one, Memory(at), at, TOKYO) is None and due(one, Memory(at), NOW, TOKYO) is None


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(1, 200_000), st.booleans()), max_size=25), st.sampled_from(["30 8 * * *", "*/15 * * * *", "0 9 * * mon"]))  # fmt: skip
def test_the_windows_of_good_runs_lie_end_to_end(calls: list[tuple[int, bool]], expression: str) -> None:
    schedule = Schedule(name="any", notebook="daily", cron=expression, longest="3d")
    one, memory, now, last = Scheduled(schedule, "daily", {}, True), Memory(), NOW, None
    for seconds, good in calls:
        now += timedelta(seconds=seconds)
        found = due(one, memory, now, TOKYO)
        if found and good:
            begins = found.lost.start if found.lost else found.window.start
            assert last is None or begins == last
            assert found.window.end <= now and found.window.seconds <= 3 * 86_400
            last = found.window.end
            memory = Memory(last)
            assert due(one, memory, now, TOKYO) is None


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Environment:
    """An environment of one machine: no lock_bucket."""
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    return config.Environment(name="prod", account="012345678901", region="ap-northeast-1")


def test_one_machine_remembers_in_a_file(alone: config.Environment, tmp_path: Path) -> None:
    assert recalled(alone, "morning") == Memory()
    kept = Memory(NOW, NOW - timedelta(minutes=1), 2, True, "", {"daily:worker": "worker: queue grows · 遅延"})
    remember(alone, "morning", kept)
    assert recalled(alone, "morning") == kept
    (file,) = (tmp_path / ".schedules").rglob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"covered": "yesterday", "at": null}', "null"])
def test_a_memory_that_nobody_can_read_is_told_with_the_remedy(alone: config.Environment, tmp_path: Path, text: str) -> None:  # fmt: skip
    remember(alone, "morning", Memory())
    (file,) = (tmp_path / ".schedules").rglob("*.json")
    file.write_text(text)
    with pytest.raises(RecordError, match="looks back as the first one did") as caught:
        recalled(alone, "morning")
    assert str(file) in caught.value.text()
