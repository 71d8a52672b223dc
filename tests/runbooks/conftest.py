"""What tests of runbooks share."""

from collections.abc import Callable

import pandas as pd
import pytest

from opslib.run import Fact, Run


@pytest.fixture
def deadlines(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The deadlines that sources are asked with, one a round: together what a runbook waits at most, on any machine."""
    asked: list[float] = []
    facts = Run.facts

    def noted(self: Run, *, deadline_s: float | None = None, **fetches: Callable[[], pd.DataFrame]) -> dict[str, Fact]:
        asked.append(deadline_s or self.deadline)
        return facts(self, deadline_s=deadline_s, **fetches)

    monkeypatch.setattr(Run, "facts", noted)
    return asked
