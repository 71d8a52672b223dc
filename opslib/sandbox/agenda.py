"""What is to happen in the sandbox later: retries, schedules, evaluations, in the order of the sandbox's own clock.

A running clock lets things happen as their time comes. `advance` steps from one to the next, so that an hour of retries
is the same hour every time and takes no waiting. On a frozen clock only what is due at once happens.
"""

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

logger = logging.getLogger(__name__)
SETTLE_SECONDS = 300.0  # real ones: more than any function may take; what goes on beyond is a circle


class Time(Protocol):
    """What the agenda needs of a clock."""

    def now(self) -> datetime:
        """Return the instant."""
        ...

    def advance(self, seconds: float) -> datetime:
        """Step forward."""
        ...


@dataclass(order=True)
class _Item:
    at: float
    number: int
    do: Callable[[float], None] = field(compare=False)
    what: str = field(compare=False)  # for people; empty: goes without saying
    lane: str = field(compare=False)


class Agenda:
    """Things with a time. What may wait for others has a lane: of one lane one after the other, of several side by side."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self._items: list[_Item] = []
        self._lanes: dict[str, deque[_Item]] = {}  # a lane is there while something in it runs
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stepping = threading.RLock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Let things happen by themselves as their time comes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="sandbox-agenda")
            self._thread.start()

    def at(self, when: float, do: Callable[[float], None], *, what: str = "", lane: str = "") -> None:
        """Let something happen at an instant in epoch seconds, at once when that is over; it is told the instant."""
        with self._changed:
            heapq.heappush(self._items, _Item(when, next(self._numbers), do, what, lane))
            self._changed.notify_all()

    def soon(self, do: Callable[[float], None], *, what: str = "", lane: str = "") -> None:
        """Let something happen now, but not before the caller goes on."""
        self.at(self._now(), do, what=what, lane=lane)

    def every(self, seconds: int, do: Callable[[float], None]) -> None:
        """Let something happen again and again, on the round multiples of a period; of one instant, in the order of asking."""

        def again(when: float) -> None:
            try:
                do(when)
            finally:
                self.at(when + seconds, again)

        self.at((self._now() // seconds + 1) * seconds, again)

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits or goes on and has a name: at (ISO, UTC), what."""
        with self._changed:
            waiting = [*self._items, *itertools.chain(*self._lanes.values())]
        told = sorted(item for item in waiting if item.what)
        return [{"at": f"{datetime.fromtimestamp(item.at, UTC):%Y-%m-%dT%H:%M:%SZ}", "what": item.what} for item in told]  # fmt: skip

    def advance(self, seconds: float) -> datetime:
        """Step the clock, stopping at each thing's time until it has happened; return the new instant."""
        if seconds < 0:
            raise ValueError("time in the sandbox only goes forward")
        with self._stepping:
            end = self._now() + seconds
            self.settle()
            while (due := self._next()) is not None and due <= end:
                self._step_to(due)
                self.settle()
            self._step_to(end)
            self.settle()
        return self._clock.now()

    def settle(self) -> None:
        """Return when all that is due has happened, and all that came of it."""
        until = time.monotonic() + SETTLE_SECONDS
        with self._stepping:
            while True:
                self._start_due()
                with self._changed:
                    if not self._lanes and not self._due():
                        return
                    if not self._due() and not self._changed.wait(until - time.monotonic()):
                        raise ValueError(f"this does not come to an end: {self.pending()[:5]}")

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _step_to(self, instant: float) -> None:
        self._clock.advance(max(instant - self._now(), 0))

    def _next(self) -> float | None:
        with self._changed:
            return self._items[0].at if self._items else None

    def _due(self) -> bool:
        return bool(self._items) and self._items[0].at <= self._now()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._due():
                    self._changed.wait(min(max(self._items[0].at - self._now(), 0.01), 3600) if self._items else None)
            with self._stepping:
                self._start_due()

    def _start_due(self) -> None:
        while True:
            with self._changed:
                if not self._due():
                    return
                item = heapq.heappop(self._items)
                if item.lane in self._lanes:
                    self._lanes[item.lane].append(item)
                    continue
                self._lanes[item.lane] = deque([item])
            if item.lane:
                threading.Thread(target=self._run_lane, args=(item.lane,), daemon=True, name=item.lane).start()
            else:
                self._run_lane("")

    def _run_lane(self, lane: str) -> None:
        """Do what is in a lane until it is empty; the first stays in it while it is done."""
        while True:
            with self._changed:
                waiting = self._lanes[lane]
                if not waiting:
                    del self._lanes[lane]
                    self._changed.notify_all()
                    return
                item = waiting[0]
            try:
                item.do(item.at)
            except Exception:
                logger.exception("the sandbox failed on %s", item.what or item.do)
            with self._changed:
                waiting.popleft()
