"""Work that runs in threads ends when its cell is interrupted, or when nobody waits for it any more."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
_above: ContextVar[Stop | None] = ContextVar("stop", default=None)


class Stopped(Exception):
    """This work was given up; whoever gave it up no longer waits for its answer."""


class Stop:
    """A flag over some work and all work begun below it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._below: weakref.WeakSet[Stop] = weakref.WeakSet()
        above = _above.get()
        if above is not None:
            above._below.add(self)
            if above.is_set():
                self.set()

    def is_set(self) -> bool:
        """Tell whether the work was given up."""
        return self._event.is_set()

    def set(self) -> None:
        """Give the work up; it ends at its next wait."""
        self._event.set()
        for stop in list(self._below):
            stop.set()

    def wait(self, seconds: float) -> None:
        """Pause; raises Stopped at once when the work is given up."""
        if self._event.wait(seconds):
            raise Stopped

    def run(self, work: Callable[[], T]) -> T:
        """Do the work under this flag: what it begins in threads of its own stands below."""
        token = _above.set(self)
        try:
            return work()
        finally:
            _above.reset(token)
