"""The sandbox's time: one instant for committed outputs, or a clock that starts there and goes on."""

import random
import sys
import uuid
from datetime import UTC, datetime, timedelta

_PYTEST = sys.modules.setdefault("pytest", None)  # type: ignore[arg-type]
import time_machine  # noqa: E402  # it looks for pytest, and would read that for nothing

if _PYTEST is None:
    del sys.modules["pytest"]

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
SEED = 20261105


class Clock:
    """The time of this process, as the sandbox tells it; `time.monotonic` stays real."""

    def __init__(self, frozen: bool, travel: time_machine.travel) -> None:
        self.frozen = frozen
        self._travel = travel
        self._traveller = travel.start()

    @classmethod
    def start(cls, frozen: bool, at: datetime = NOW) -> "Clock":
        """Move this process to `at` and seed the ids it will hand out.

        Call it before ministack is imported: its modules note the time and take ids while they load.
        """
        _seed_ids()
        return cls(frozen, time_machine.travel(at, tick=not frozen))

    def now(self) -> datetime:
        """Return the sandbox's instant, aware and in UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Return the sandbox's instant as epoch milliseconds."""
        return round(self.now().timestamp() * 1000)

    def advance(self, seconds: float) -> datetime:
        """Step the clock, frozen or running, and return the new instant."""
        if seconds < 0:
            raise ValueError("time in the sandbox only goes forward")
        self._traveller.shift(timedelta(seconds=seconds))
        return self.now()

    def stop(self) -> None:
        """Give the process its real time back."""
        self._travel.stop()


def _seed_ids() -> None:
    random.seed(SEED)
    source = random.Random(SEED)
    uuid.uuid4 = lambda: uuid.UUID(int=source.getrandbits(128), version=4)
