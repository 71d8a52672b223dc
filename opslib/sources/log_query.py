"""One Logs Insights query from StartQuery to its last page; whatever ends it early stops it at AWS too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from opslib.errors import SourceError
from opslib.sources.log_rows import Columns, columns_of, joined, size
from opslib.stopping import Stop

ROWS_A_PAGE, ROWS_A_QUERY = 10_000, 100_000
A_FEW = 50  # rows in a later poll: the whole of most answers, and not megabytes of a partial one
UNKNOWN_SECONDS = 60.0
_RUNNING = {"Scheduled", "Running"}


class TimedOut(SourceError):
    """AWS gave the query up after its 60 minutes."""


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
    client: Any, stop: Stop, *, text: str, groups: Sequence[str], start_ms: int, end_ms: int, limit: int, until: float
) -> Outcome:
    """Run one query over [start_ms, end_ms], both inclusive, and return all its rows.

    `limit` 0 leaves it to the text. `until` is a time.monotonic() after which the query is stopped. Raises SourceError
    (TimedOut when AWS gave up), Stopped, or what boto3 raises.
    """
    wanted = {"limit": limit} if limit else {}
    query_id = client.start_query(
        logGroupNames=list(groups), startTime=start_ms // 1000, endTime=end_ms // 1000, queryString=text, **wanted
    )["queryId"]
    finished = False
    try:
        first, whole = _polled(client, stop, query_id, until)
        finished = True
        return _paged(client, query_id, first, whole)
    finally:
        if not finished:  # scanned bytes are billed as long as it runs; why it did not finish is what must be told
            with suppress(Exception):
                client.stop_query(queryId=query_id)


def _polled(client: Any, stop: Stop, query_id: str, until: float) -> tuple[dict[str, Any], bool]:
    """Poll until the query has ended; return its first answer, and whether that was asked for as a whole page."""
    began, pause, unknown_since = time.monotonic(), 0.25, 0.0
    for poll in range(1_000_000):
        stop.wait(min(pause, max(until - time.monotonic(), 0.0)))
        whole = poll < 2
        answer = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE if whole else A_FEW)
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
        pause = min(max(0.25, (now - began) * 0.12), 2.0)
    raise AssertionError("a query has a deadline")


_NARROW = "narrow the window, then run it again"
_FEWER = "narrow the window or name fewer log groups"


def _paged(client: Any, query_id: str, first: dict[str, Any], whole: bool) -> Outcome:
    page, pages = first, []
    if not whole and first.get("nextToken"):  # the rest of a small page may not follow a small page's token
        page = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE)
    statistics = page.get("statistics") or first.get("statistics") or {}
    while True:
        pages.append(columns_of(page.get("results") or []))
        token = page.get("nextToken")
        if not token:
            return Outcome(query_id, joined(pages), statistics)
        page = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE, nextToken=token)
