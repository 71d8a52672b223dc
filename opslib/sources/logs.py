"""CloudWatch Logs: log groups, and Logs Insights queries with their completeness, scan and price."""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.errors import OpsError, SourceError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

USD_PER_GB = 0.0076  # Logs Insights, ap-northeast-1; us-east-1 is 0.005
GROUPS_A_QUERY, ROWS_A_PAGE, ROWS_A_QUERY = 50, 10_000, 100_000
INGESTION_DELAY_MINUTES = 5
_DONE = {"Complete", "Failed", "Cancelled", "Timeout"}


@dataclass(frozen=True)
class Answer:
    """Rows of one query, and what it took: complete or not, events scanned, bytes, US dollars."""

    frame: pd.DataFrame
    complete: bool
    scanned: float
    gigabytes: float

    @property
    def usd(self) -> float:
        """Return what the scan cost."""
        return self.gigabytes * USD_PER_GB


def log_groups(environment: Environment, *, patterns: Sequence[str]) -> pd.DataFrame:
    """Return the log groups that match shell-like patterns (logs:DescribeLogGroups).

    Columns: name str, stored_bytes int64, retention_days Int64, created datetime64[ns, UTC]. Patterns that match no
    group stand in attrs["missing"].
    """
    import pandas as pd

    found = _asked(environment, lambda client: _pages(client, "describe_log_groups", "logGroups"))
    chosen = [
        group for group in found if any(fnmatch.fnmatchcase(group["logGroupName"], pattern) for pattern in patterns)
    ]
    frame = pd.DataFrame(
        {
            "name": pd.Series([group["logGroupName"] for group in chosen], dtype="object"),
            "stored_bytes": pd.Series([group.get("storedBytes", 0) for group in chosen], dtype="int64"),
            "retention_days": pd.Series([group.get("retentionInDays") for group in chosen], dtype="float64"),
            "created": pd.to_datetime(
                pd.Series([group.get("creationTime", 0) for group in chosen], dtype="int64"), unit="ms", utc=True
            ),
        }
    )
    names = [group["logGroupName"] for group in found]
    frame.attrs["missing"] = [pattern for pattern in patterns if not fnmatch.filter(names, pattern)]
    return frame


def last_event(environment: Environment, group: str) -> datetime | None:
    """Return the time of the newest event of a group, as its streams tell it (logs:DescribeLogStreams); AWS may lag an hour."""

    def ask(client: Any) -> Any:
        return client.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)

    streams = _asked(environment, ask)["logStreams"]
    stamp = streams[0].get("lastEventTimestamp") if streams else None
    return datetime.fromtimestamp(stamp / 1000, UTC) if stamp is not None else None


def query(
    environment: Environment,
    text: str,
    *,
    groups: Sequence[str],
    window: Window,
    limit: int = ROWS_A_PAGE,
    deadline_s: float = 60,
) -> Answer:
    """Run one Logs Insights query over all groups at once and return every row (StartQuery, GetQueryResults, paged).

    All columns are str but @timestamp (datetime64[ns, UTC]). Both ends are inclusive in seconds at the API; rows
    outside the half-open window are dropped here. A query left behind by an error or interrupt is stopped.
    Raises SourceError when it fails, is cancelled, times out or is denied.
    """
    start, end = int(window.start.timestamp()), int(-(-window.end.timestamp() // 1)) - 1

    def ask(client: Any) -> Answer:
        started = client.start_query(
            logGroupNames=list(groups), startTime=start, endTime=max(end, start), queryString=text, limit=limit
        )
        return _followed(client, started["queryId"], window, limit=limit, deadline_s=deadline_s)

    return _asked(environment, ask)  # type: ignore[no-any-return]


def _followed(client: Any, query_id: str, window: Window, *, limit: int, deadline_s: float) -> Answer:
    began, pause, finished = time.monotonic(), 0.1, False
    try:
        while True:
            answer = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE)
            if answer["status"] in _DONE:
                finished = True
                break
            if time.monotonic() - began > deadline_s:
                raise SourceError(
                    f"the log query gave no answer in {deadline_s:g} s",
                    fix="narrow the window or name fewer log groups",
                )
            threading.Event().wait(pause)
            pause = min(max(0.25, (time.monotonic() - began) * 0.12), 2.0)
        if answer["status"] != "Complete":
            raise SourceError(
                f"the log query ended as {answer['status']}",
                why=f"query id {query_id}",
                fix="narrow the window, then run it again",
            )
        return _collected(client, query_id, answer, window, limit)
    finally:
        if not finished:  # scanned bytes are billed as long as it runs; why it did not finish is what must be told
            with suppress(Exception):
                client.stop_query(queryId=query_id)


def _collected(client: Any, query_id: str, first: dict[str, Any], window: Window, limit: int) -> Answer:
    rows, page = list(first["results"]), first
    while token := page.get("nextToken"):
        page = client.get_query_results(queryId=query_id, maxItems=ROWS_A_PAGE, nextToken=token)
        rows += page["results"]
    statistics = first.get("statistics", {})
    expected = statistics.get("resultCount", len(rows))
    complete = len(rows) >= expected and len(rows) < limit
    return Answer(
        _frame(rows, window), complete, statistics.get("recordsScanned", 0.0), statistics.get("bytesScanned", 0.0) / 1e9
    )


def _frame(rows: list[list[dict[str, str]]], window: Window) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame([{cell["field"]: cell.get("value") for cell in row} for row in rows], dtype="object")
    if "@timestamp" in frame:
        frame["@timestamp"] = pd.to_datetime(frame["@timestamp"], utc=True, format="%Y-%m-%d %H:%M:%S.%f").astype(
            "datetime64[ns, UTC]"
        )
        inside = (frame["@timestamp"] >= window.start) & (frame["@timestamp"] < window.end)
        frame = frame[inside].drop_duplicates("@ptr" if "@ptr" in frame else None).reset_index(drop=True)
    return frame


def _pages(client: Any, operation: str, key: str) -> list[dict[str, Any]]:
    return [item for page in client.get_paginator(operation).paginate() for item in page[key]]


def _asked(environment: Environment, ask: Any) -> Any:
    """Call `ask(client)` and turn what boto3 raises into an error for people."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return ask(aws.client(environment, "logs"))
    except (BotoCoreError, ClientError) as error:
        explained: OpsError = aws.explain(error, environment)
        raise explained from None
