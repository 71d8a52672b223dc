"""What tests of runbooks share."""

from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from opslib.run import DEADLINE_SECONDS, Fact, Run
from opslib.runbooks import daily_health, daily_steps, first_look, weekly_performance

TOLD = {"DEADLINE_SECONDS": (daily_health, first_look, weekly_performance), "LOGS_SECONDS": (daily_steps,)}
REAL = {(owner, name): getattr(owner, name) for name, owners in TOLD.items() for owner in owners}


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """Let sources take their time: a busy machine is not blind. Tests that ask about `deadlines` keep them."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in REAL:
            patch.setattr(owner, name, 120.0)
        patch.setitem(DEADLINE_SECONDS, "interactive", 120.0)
        yield


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The deadlines that sources are asked with, one a round: together what a runbook waits at most, on any machine."""
    for (owner, name), seconds in REAL.items():
        monkeypatch.setattr(owner, name, seconds)
    monkeypatch.setitem(DEADLINE_SECONDS, "interactive", 10.0)
    asked: list[float] = []
    facts = Run.facts

    def noted(self: Run, *, deadline_s: float | None = None, **fetches: Callable[[], pd.DataFrame]) -> dict[str, Fact]:
        asked.append(deadline_s or self.deadline)
        return facts(self, deadline_s=deadline_s, **fetches)

    monkeypatch.setattr(Run, "facts", noted)
    return asked
