"""One running sandbox of a quiet day for all actions, a run of its own for each test, and time that is stepped."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from opslib import aws, rate_budget
from opslib import run as runs
from opslib.applying import carry_out
from opslib.plan import Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.stepping import Work


@pytest.fixture(scope="package")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock="running", scenario="quiet-day", replica=True) as running:
        yield running


@pytest.fixture
def run(live: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(live.directory))
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    live.advance("30m")  # whatever an earlier test began has come to its end
    aws.identity.cache_clear()  # its clock stands where it was asked
    rate_budget._budgets.clear()
    yield runs.start()
    live.clear_faults()


@pytest.fixture
def applied(live: Sandbox) -> Callable[..., Result]:
    """Carry a plan out; each wait steps the sandbox's clock, and `meanwhile` is done once, at the first wait."""

    def apply(plan: Plan, meanwhile: Callable[[], object] | None = None) -> Result:
        waiting = [meanwhile] if meanwhile else []

        def pause(seconds: float) -> None:
            live.advance(seconds)
            for budget in rate_budget._budgets.values():
                budget._filled -= seconds  # they fill while time goes by, stepped or not
            if waiting:
                waiting.pop()()

        assert plan.run is not None
        with redirect_stdout(io.StringIO()):
            return carry_out(Work(plan, plan.run.environment, "a test", pause=pause))

    return apply
