"""One Logs Insights query from StartQuery to its last page; whatever ends it early stops it at AWS too."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from opslib.errors import SourceError
from opslib.sources.log_rows import Columns, columns_of, joined, next_token, no_collection, size
from opslib.sources.raw_answers import content
from opslib.stopping import Stop

ROWS_A_PAGE, ROWS_A_QUERY = 10_000, 100_000
A_FEW = 50  # rows in a later poll: the whole of most answers, and not megabytes of a partial one
UNKNOWN_SECONDS, SLOWEST_POLL_SECONDS = 60.0, 2.0
_RUNNING = {"Scheduled", "Running"}


class TimedOut(SourceError):
    """AWS gave the query up after its 60 minutes."""


class Pace:
    """When the queries of one search are polled: the oldest often, the others once one of them took as long, or every 2 s.

    Ten polls a second is all that an account has: a dozen queries that each poll on their own would wait for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._took: float | None = None

    def begin(self, query_id: str) -> None:
        """Add a query."""
        with self._lock:
            self._running.append(query_id)

    def end(self, query_id: str, took: float) -> None:
        """Remove one that ended after so many seconds."""
        with self._lock:
            if query_id in self._running:
                self._running.remove(query_id)
                self._took = took

    def wait(self, stop: Stop, query_id: str, *, pause: float, began: float, until: float) -> None:
        """Wait until the query is to be polled; raises Stopped."""
        asked = time.monotonic()
        stop.wait(max(min(pause, until - asked), 0.0))
        while time.monotonic() < min(asked + SLOWEST_POLL_SECONDS, until):
            took = self._took
            if self._running[0] == query_id or (took is not None and time.monotonic() - began >= took):
                return
            stop.wait(0.02)


@dataclass(frozen=True)
class Outcome:
    """The rows of one query that ran to its end, and what AWS counted."""

    query_id: str
    columns: Columns
    statistics: dict[str, float]

    @property
    def rows(self) -> int:
        """Return how many rows came."""
        return size(self.columns)

    def counted(self, name: str) -> float:
        """Return a statistic, 0 where AWS did not say."""
        return float(self.statistics.get(name) or 0.0)


def run(
    client: Any,
    stop: Stop,
    *,
    text: str,
    groups: Sequence[str],
    start_ms: int,
    end_ms: int,
    limit: int,
    until: float,
    pace: Pace,
) -> Outcome:
    """Run one query over [start_ms, end_ms], both inclusive, and return all its rows.

    `limit` 0 leaves it to the text. `until` is a time.monotonic() after which the query is stopped. Raises SourceError
    (TimedOut when AWS gave up), Stopped, or what boto3 raises.
    """
    stop.wait(0)
    wanted = {"limit": limit} if limit else {}
    query_id = client.start_query(
        logGroupNames=list(groups), startTime=start_ms // 1000, endTime=end_ms // 1000, queryString=text, **wanted
    )["queryId"]
    began, finished = time.monotonic(), False
    pace.begin(query_id)
    try:
        first, whole = _polled(client, stop, query_id, until, pace)
        finished = True
        pace.end(query_id, time.monotonic() - began)
        return _paged(client, query_id, first, whole)
    finally:
        pace.end(query_id, time.monotonic() - began)
        if not finished:  # scanned bytes are billed as long as it runs; why it did not finish is what must be told
            with suppress(Exception):
                client.stop_query(queryId=query_id)


def _polled(client: Any, stop: Stop, query_id: str, until: float, pace: Pace) -> tuple[dict[str, Any], bool]:
    """Poll until the query has ended; return its first answer, and whether that was asked for as a whole page."""
    began, pause, unknown_since = time.monotonic(), 0.25, 0.0
    for poll in range(1_000_000):
        pace.wait(stop, query_id, pause=pause, began=began, until=until)
        whole = poll < 2
        answer = content(client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE if whole else A_FEW))
        status, now = str(answer.get("status") or "Unknown"), time.monotonic()
        unknown_since = (unknown_since or now) if status == "Unknown" else 0.0
        if status == "Complete":
            return answer, whole
        if status == "Timeout":
            raise TimedOut("AWS gave the log query up after 60 minutes", why=f"query id {query_id}", fix=_NARROW)
        if status not in _RUNNING and (status != "Unknown" or now - unknown_since > UNKNOWN_SECONDS):
            raise SourceError(f"the log query ended as {status}", why=f"query id {query_id}", fix=_NARROW)
        if now > until:
            raise SourceError(
                f"the log query gave no answer in {now - began:.0f} s", why=f"query id {query_id}", fix=_FEWER
            )
        pause = 0.25 if poll == 0 else min(max(0.1, (now - began) * 0.12), 2.0)
    raise AssertionError("a query has a deadline")


_NARROW = "narrow the window, then run it again"
_FEWER = "narrow the window or name fewer log groups"


def _paged(client: Any, query_id: str, first: dict[str, Any], whole: bool) -> Outcome:
    """Return all pages; one is read while the next one is on its way."""
    token, pages = str(first.get("nextToken") or ""), []
    with ThreadPoolExecutor(max_workers=1) as reader:
        if token and not whole:  # a small page's token may not lead to whole pages
            answer = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE)
            pages, token = [reader.submit(_columns, answer)], next_token(answer)
        else:
            pages.append(reader.submit(_columns, first))
        while token:
            answer = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE, nextToken=token)
            pages.append(reader.submit(_columns, answer))
            token = next_token(answer)
    return Outcome(query_id, joined(page.result() for page in pages), first.get("statistics") or {})


def _columns(answer: dict[str, Any]) -> Columns:
    with no_collection():
        return columns_of(content(answer).get("results") or [])
