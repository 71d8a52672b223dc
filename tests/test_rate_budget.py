"""The rate budget: shared, halved by throttling, given back; and the flag that ends work in threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opslib import rate_budget
from opslib.rate_budget import Budget, budget
from opslib.stopping import Stop, Stopped


def test_a_burst_is_free_and_then_the_rate_holds() -> None:
    made = Budget(20)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: made.take(), range(30)))
    assert 0.4 < time.monotonic() - began < 2  # twenty at once, ten at twenty a second


def test_throttling_halves_once_a_second_and_answers_give_back() -> None:
    made = Budget(8)
    for _ in range(5):
        made.throttled()
    assert made.rate == 4
    for _ in range(20):
        made.answered()
    assert made.rate == 8


def test_who_waited_in_vain_learns_which_operation_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_budget, "_budgets", {})
    budget("1", "a", "Calm").answered()
    assert rate_budget.refusals() == ""
    budget("1", "a", "Busy").throttled()
    assert rate_budget.refusals() == "AWS throttled Busy"
    budget("1", "a", "Busy").answered()
    assert rate_budget.refusals() == ""


def test_one_budget_an_account_region_and_operation() -> None:
    assert budget("1", "a", "X") is budget("1", "a", "X")
    assert len({id(budget(*key)) for key in (("1", "a", "X"), ("2", "a", "X"), ("1", "b", "X"), ("1", "a", "Y"))}) == 4
    assert budget("1", "a", "GetMetricData").rate == rate_budget.RATES["GetMetricData"]


def test_what_was_begun_below_ends_too() -> None:
    outer, below = Stop(), []
    ended = threading.Event()

    def work() -> None:
        below.append(Stop())
        ended.set()
        below[0].wait(60)

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(outer.run, work)
        ended.wait(10)
        outer.set()
        with pytest.raises(Stopped):
            job.result(timeout=10)
    assert below[0].is_set() and not Stop().is_set()
    assert outer.run(Stop).is_set()  # begun after the end: over at once
