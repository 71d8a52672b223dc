"""Windows of scheduled runs: whatever is missed, tried again or called twice, no minute is left out, and what came late or was not seen is looked at again."""

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
from opslib.scheduling.due import LAST, NEXT, SETTLED, WAITS, Due, due, has_time, looked, pause
from opslib.scheduling.memory import Memory, recalled, remember
from opslib.window import Window

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
    assert found and found.window.start == covered - SETTLED and found.missed == 2
    assert found.covers == "covers 2 missed runs, too" and "5 min before the last window ended" in found.about(
        "morning"
    )
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
def test_the_windows_of_good_runs_leave_nothing_between_them(calls: list[tuple[int, bool]], expression: str) -> None:
    schedule = Schedule(name="any", notebook="daily", cron=expression, longest="3d")
    one, memory, now, last = Scheduled(schedule, "daily", {}, True), Memory(), NOW, None
    for seconds, good in calls:
        now += timedelta(seconds=seconds)
        found = due(one, memory, now, TOKYO)
        if found and good:
            begins = found.lost.start if found.lost else found.window.start
            assert last is None or begins == last - (
                timedelta() if found.lost else min(SETTLED, found.window.end - found.window.start)
            )
            assert found.window.end <= now and found.window.seconds <= 3 * 86_400
            last = found.window.end
            memory = looked(memory, found, blind=False)
            assert due(one, memory, now, TOKYO) is None


def runs(one: Scheduled, *blind: bool) -> list[Due]:
    """Return what was due on so many mornings, of which some did not see all, and then on one more."""
    memory, listed = Memory(NOW - timedelta(days=1)), []
    for day, each in enumerate([*blind, False]):
        found = due(one, memory, NOW + timedelta(days=day), TOKYO)
        assert found
        listed.append(found)
        memory = looked(memory, found, blind=each)
    return listed


def test_what_was_not_seen_is_looked_at_again_by_the_next_run() -> None:
    first, again = runs(morning(), True)
    assert again.window.start == first.window.start and again.window.end == first.window.end + timedelta(days=1)
    assert again.covers == f"looks again at {Window(NOW - timedelta(days=1), NOW, TOKYO).text()}: not all was seen"
    assert again.missed == 0
    assert runs(morning(), True, False)[-1].covers == ""


def test_who_stays_blind_looks_at_no_more_than_ever_until_a_run_sees_all() -> None:
    *blind, sees, last = runs(morning(), *[True] * 5, False)
    assert [round(found.window.seconds / 86_400) for found in [*blind, sees, last]] == [1, 2, 1, 1, 1, 1, 7]
    assert "NOT all was seen: " in sees.covers and "looks a last time at " in last.covers
    assert "NOT covered" not in last.covers
    assert "NOT covered: " in runs(morning(longest="3d"), *[True] * 5, False)[-1].covers  # nobody looks so far back


def test_a_last_look_is_the_last() -> None:
    """Whatever is blind and whatever sees: no window is longer than what was not seen, and none is looked at for ever."""
    memory, states = Memory(NOW - timedelta(days=1), unseen=NOW - timedelta(days=5), looks=LAST), []
    for day in range(12):
        found = due(morning(), memory, NOW + timedelta(days=day), TOKYO)
        assert found and found.window.seconds <= (6 if day == 0 else 2) * 86_400 + 300
        memory = looked(memory, found, blind=True)
        states.append(memory.looks)
    assert states == [NEXT] + [WAITS] * 11


def test_a_pause_before_each_try_is_twice_as_long_and_none_reaches_into_the_next_time() -> None:
    often = Scheduled(Schedule(name="often", notebook="daily", cron="*/15 * * * *", retries=5, pause_s=60), "daily", {}, True)  # fmt: skip
    assert [pause(often, tries).total_seconds() for tries in range(1, 6)] == [60, 120, 240, 480, 600]
    found = due(often, Memory(), NOW, TOKYO)
    assert found and has_time(often, found, 4, NOW, TOKYO)  # 08:30:20 and 8 minutes
    assert not has_time(often, found, 1, NOW + timedelta(minutes=14), TOKYO)
    assert not has_time(often, found, 5, NOW + timedelta(minutes=5), TOKYO)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Environment:
    """An environment of one machine: no lock_bucket."""
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    return config.Environment(name="prod", account="012345678901", region="ap-northeast-1")


def test_one_machine_remembers_in_a_file(alone: config.Environment, tmp_path: Path) -> None:
    assert recalled(alone, "morning") == Memory()
    kept = Memory(
        NOW,
        NOW - timedelta(minutes=1),
        2,
        True,
        "",
        {"daily:worker": "worker: queue grows · 遅延"},
        NOW - timedelta(days=1),
        2,
        "prod/2026/11/06/x",
        ("summary.json",),
    )
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
