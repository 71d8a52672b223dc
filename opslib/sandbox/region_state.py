"""What the services of one region share: the clock, the stores, and what happened to the application."""

import threading
from dataclasses import dataclass, field
from typing import Any, TypeVar

from opslib.sandbox.clock import Clock
from opslib.sandbox.log_store import LogStore
from opslib.sandbox.metrics_store import MetricsStore
from opslib.sandbox.settings import Settings

Kind = TypeVar("Kind")


@dataclass
class RegionState:
    """Handed to every class of opslib.sandbox.apis; `events` is the life's, by kind, oldest first."""

    name: str
    clock: Clock
    settings: Settings
    logs: LogStore
    metrics: MetricsStore
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)
    outcomes: list[dict[str, Any]] = field(default_factory=list)  # what is planned to happen to coming changes
    _parts: dict[type, Any] = field(default_factory=dict)

    def part(self, kind: type[Kind]) -> Kind:
        """Return the one object of a kind that several services share, made with this state when first asked for."""
        with self.lock:
            if kind not in self._parts:
                self._parts[kind] = kind(self)  # type: ignore[call-arg]
            return self._parts[kind]  # type: ignore[no-any-return]

    def take(self, kind: str, **about: Any) -> str:
        """Return the outcome planned for a change of this kind to this thing, once; empty when none is."""
        with self.lock:
            for planned in self.outcomes:
                if kind in planned and all(planned.get(name) == value for name, value in about.items()):
                    self.outcomes.remove(planned)
                    return str(planned[kind])
        return ""
