"""Logs Insights queries that run on while their client polls."""

import logging
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from opslib.sandbox.clock import Clock
from opslib.sandbox.insights import Answer, Batch, Failed, Query
from opslib.sandbox.log_store import Columns, LogStore
from opslib.sandbox.logs_api import ACCOUNT
from opslib.sandbox.service_errors import ServiceError

logger = logging.getLogger(__name__)
MAX_CONCURRENT = 100
KEPT_ROWS = 1_000_000  # over all results; the oldest results go first
BATCH = 8192  # events between two looks at whether the query was stopped
_IDS = uuid.UUID("6f70736c-6962-4000-8000-73616e64626f")


class Stopped(Exception):
    """The query was stopped while it ran."""


@dataclass(frozen=True)
class Asked:
    """What StartQuery asked; both ends inclusive, in ms."""

    text: str
    query: Query
    groups: tuple[str, ...]
    start_ms: int
    end_ms: int
    limit: int


@dataclass
class Run:
    """One query from StartQuery on."""

    id: str
    asked: Asked
    created_ms: int
    ready_at: float  # on the monotonic clock: when its modelled scan ends
    stopped: threading.Event = field(default_factory=threading.Event)
    future: "Future[Answer]" = field(default_factory=Future)

    @property
    def status(self) -> str:
        """Return the status as GetQueryResults tells it."""
        if self.stopped.is_set():
            return "Cancelled"
        if self.future.done() and time.monotonic() >= self.ready_at:
            return "Failed" if self.future.exception() else "Complete"
        return "Running" if self.future.running() or self.future.done() else "Scheduled"

    def look(self) -> tuple[str, Answer | None]:
        """Return status and result as of one instant; the result only of a complete query."""
        status = self.status
        return status, self.future.result() if status == "Complete" else None

    @property
    def active(self) -> bool:
        """Say whether it counts against the limit of concurrent queries."""
        return self.status in ("Scheduled", "Running")


class QueryRuns:
    """Every query of this account, newest last."""

    def __init__(self, store: LogStore, clock: Clock, scan_seconds: Callable[[int, float], float]) -> None:
        self._store = store
        self._clock = clock
        self._scan_seconds = scan_seconds
        self.failures: deque[dict[str, str]] = deque(maxlen=20)  # AWS tells nobody why a query failed; we do, elsewhere
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._started = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="insights")

    def start(self, asked: Asked) -> Run:
        """Start a query; LimitExceededException when a hundred run already."""
        hours = (asked.end_ms - asked.start_ms + 1) / 3_600_000
        with self._lock:
            if sum(run.active for run in self._runs.values()) >= MAX_CONCURRENT:
                raise ServiceError(
                    "LimitExceededException", "Account maximum query concurrency limit of [100] reached."
                )
            self._started += 1
            ready_at = time.monotonic() + self._scan_seconds(len(asked.groups), hours)
            run = Run(str(uuid.uuid5(_IDS, str(self._started))), asked, self._clock.now_ms(), ready_at)
            self._runs[run.id] = run
            self._forget_old()
        run.future = self._threads.submit(self._work, run)
        return run

    def get(self, query_id: str) -> Run | None:
        """Return a query by its id."""
        return self._runs.get(query_id)

    def newest_first(self) -> list[Run]:
        """Return all queries still known."""
        with self._lock:
            return list(reversed(self._runs.values()))

    def _forget_old(self) -> None:
        rows = 0
        for run in reversed(list(self._runs.values())):
            if not run.active:
                answer = run.look()[1]
                rows += len(answer.rows) + 1 if answer else 1
                if rows > KEPT_ROWS:
                    del self._runs[run.id]

    def _work(self, run: Run) -> Answer:
        try:
            return self._answered(run)
        except Failed as error:
            self.failures.append({"query": run.asked.text, "reason": str(error)})
            raise
        except Stopped:
            raise
        except Exception as error:
            logger.exception("the sandbox failed on the query %s", run.asked.text)
            self.failures.append({"query": run.asked.text, "reason": f"a mistake of the sandbox: {error!r}"})
            raise

    def _answered(self, run: Run) -> Answer:
        asked = run.asked
        return asked.query.run(
            self._events(run, asked.groups),
            limit=asked.limit,
            start_ms=asked.start_ms,
            end_ms=asked.end_ms,
            now_ms=self._clock.now_ms(),
            source=lambda groups: self._known_events(run, groups),
        )

    def _known_events(self, run: Run, groups: Iterable[str]) -> Iterator[Batch]:
        wanted = list(groups)
        for group in wanted:
            if group not in self._store.groups:
                raise Failed(f"Log group '{group}' does not exist for account ID '{ACCOUNT}'")
        return self._events(run, wanted)

    def _events(self, run: Run, groups: Iterable[str]) -> Iterator[Batch]:
        now = self._clock.now_ms()
        for name in groups:
            columns = self._store.copy(name, run.asked.start_ms, run.asked.end_ms, now)
            prefix = self._store.groups[name].pointer_prefix
            for low in range(0, len(columns), BATCH):
                if run.stopped.is_set():
                    raise Stopped
                yield _batch(columns, prefix, low)


def _batch(columns: Columns, prefix: str, low: int) -> Batch:
    """Return some events as columns; a pointer is only made for a row that is shown."""
    high = low + BATCH
    return Batch(
        columns.group,
        columns.timestamps[low:high],
        columns.messages[low:high],
        [columns.streams[number] for number in columns.stream_of[low:high]],
        columns.ingestions[low:high],
        lambda place: f"{prefix}{columns.timestamps[low + place]:x}.{columns.sequences[low + place]:x}",
    )
