"""What happens later in the sandbox: in the order of its clock, whole before time goes on, and the same every time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from opslib.sandbox.agenda import Agenda

START = datetime(2026, 11, 5, 2, 40, 30, tzinfo=UTC)


class Steps:
    """A clock that only steps."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant

    def advance(self, seconds: float) -> datetime:
        self.instant += timedelta(seconds=seconds)
        return self.instant

    def passed(self) -> float:
        return (self.instant - START).total_seconds()


@pytest.fixture
def clock() -> Steps:
    return Steps()


def test_things_happen_at_their_time_with_what_comes_of_them(clock: Steps) -> None:
    agenda, seen = Agenda(clock), []
    begun = START.timestamp()

    def retried(left: int) -> None:
        seen.append(("try", clock.passed()))
        if left:
            agenda.at(clock.now().timestamp() + 60 * (3 - left), lambda _: retried(left - 1), what="a retry")

    agenda.at(begun + 90, lambda at: seen.append(("late", at - begun)))
    agenda.soon(lambda _: retried(2), lane="function")
    assert seen == []
    agenda.settle()
    assert seen == [("try", 0)] and agenda.pending() == [{"at": "2026-11-05T02:41:30Z", "what": "a retry"}]
    agenda.advance(59)
    assert len(seen) == 1
    agenda.advance(3600)
    assert seen == [("try", 0), ("try", 60), ("late", 90), ("try", 180)]
    assert clock.passed() == 3659 and agenda.pending() == []


def test_what_comes_again_comes_on_the_minute_in_the_order_of_asking(clock: Steps) -> None:
    agenda, seen = Agenda(clock), []
    agenda.every(60, lambda at: seen.append(("first", at % 3600)))
    agenda.every(60, lambda at: seen.append(("second", at % 3600)))
    agenda.advance(100)
    assert seen == [("first", 2460), ("second", 2460), ("first", 2520), ("second", 2520)]


def test_a_lane_is_in_order_and_holds_up_no_other(clock: Steps) -> None:
    agenda, seen, gate = Agenda(clock), [], threading.Event()
    agenda.soon(lambda _: (gate.wait(5), seen.append("slow 1")), lane="slow")
    agenda.soon(lambda _: seen.append("slow 2"), lane="slow")
    agenda.soon(lambda _: (seen.append("quick"), gate.set()), lane="quick")
    agenda.advance(0)
    assert seen == ["quick", "slow 1", "slow 2"]


def test_what_fails_holds_up_nothing(clock: Steps) -> None:
    agenda, seen = Agenda(clock), []
    agenda.every(60, lambda _: 1 / 0)
    agenda.soon(lambda _: 1 / 0, lane="function")
    agenda.soon(lambda _: seen.append("after"), lane="function")
    agenda.every(60, lambda _: seen.append("minute"))
    agenda.advance(120)
    assert seen == ["after", "minute", "minute"]


def test_time_goes_only_forward_and_a_circle_is_told(clock: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    agenda = Agenda(clock)
    with pytest.raises(ValueError, match="only goes forward"):
        agenda.advance(-1)
    monkeypatch.setattr("opslib.sandbox.agenda.SETTLE_SECONDS", 0.05)
    agenda.soon(lambda _: time.sleep(0.3), what="a function that hangs", lane="function")
    with pytest.raises(ValueError, match="a function that hangs"):
        agenda.settle()


def test_started_it_needs_nobody(clock: Steps) -> None:
    agenda, seen = Agenda(clock), threading.Event()
    agenda.start()
    agenda.soon(lambda _: seen.set())
    assert seen.wait(5)
