"""Every AWS call that reached the sandbox: what tests count and `sandbox status` shows."""

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 50_000


@dataclass(frozen=True)
class CallRecord:
    """One call and how it was answered; status 0 is a connection that got no answer."""

    service: str
    operation: str
    status: int
    code: str
    fault: str
    started: str  # the sandbox's clock
    seconds: float  # real ones


class Recording:
    """The last calls, and counts of all."""

    def __init__(self) -> None:
        self._calls: deque[CallRecord] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()
        self._not_modelled: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, record: CallRecord) -> None:
        """Keep one call."""
        name = f"{record.service}:{record.operation}"
        with self._lock:
            self._calls.append(record)
            self._counts[name] += 1
            if record.code == "SandboxNotModelled":
                self._not_modelled[name] += 1

    def clear(self) -> int:
        """Forget the calls, not what was found to be missing; return how many there were."""
        with self._lock:
            removed = self._counts.total()
            self._calls.clear()
            self._counts.clear()
        return removed

    def calls(self) -> dict[str, Any]:
        """Return the calls in the order in which they ended, and counts by name."""
        with self._lock:
            return {"calls": [asdict(call) for call in self._calls], "counts": dict(sorted(self._counts.items()))}

    @property
    def total(self) -> int:
        """Return how many calls there were since the last `clear`."""
        return self._counts.total()

    @property
    def not_modelled(self) -> list[str]:
        """Return the operations that somebody asked for and nobody models."""
        return sorted(self._not_modelled)
