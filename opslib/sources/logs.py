"""CloudWatch Logs: log groups, and Logs Insights queries with their completeness, scan and price."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.errors import OpsError, ParameterError, SourceError
from opslib.sources import log_cache, log_fetch, log_rows, raw_answers
from opslib.sources.log_query import ROWS_A_PAGE, ROWS_A_QUERY, Pace

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

__all__ = ["ROWS_A_PAGE", "ROWS_A_QUERY"]

USD_PER_GB = 0.0076  # Logs Insights, ap-northeast-1; us-east-1 is 0.005
GROUPS_A_QUERY = 50
INGESTION_DELAY_MINUTES = 5
KNOWN_SECONDS = 3600.0  # how long sizes and retentions are believed
CUT_FROM = 950  # GetQueryResults is said to cut a message at about a thousand characters
_known: dict[tuple[Any, ...], tuple[float, dict[str, dict[str, Any]]]] = {}


@dataclass(frozen=True)
class Answer:
    """Rows of a query, and what it took: complete or why not, events scanned, gigabytes scanned and skipped by index."""

    frame: pd.DataFrame
    complete: bool
    scanned: float
    gigabytes: float
    reason: str = ""
    skipped_gigabytes: float = 0.0
    query_ids: tuple[str, ...] = ()
    cached: bool = False

    @property
    def usd(self) -> float:
        """Return what the scan cost."""
        return self.gigabytes * USD_PER_GB

    def note(self) -> str:
        """Return what was scanned, for the source under a table."""
        said = [f"{self.scanned:,.0f} events scanned" if not self.cached else "kept from an earlier run"]
        said += [f"{self.skipped_gigabytes:.3g} GB skipped by index"] if self.skipped_gigabytes else []
        return ", ".join(said + ([self.reason] if self.reason else []))


def log_groups(environment: Environment, *, patterns: Sequence[str]) -> pd.DataFrame:
    """Return the log groups that match shell-like patterns (logs:DescribeLogGroups).

    Columns: name str, stored_bytes int64, retention_days Int64, created datetime64[ns, UTC]. Patterns that match no
    group stand in attrs["missing"].
    """
    import pandas as pd

    found = list(_all_groups(environment, fresh=True).values())
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
    asked: dict[str, Any] = {"logGroupName": group, "orderBy": "LastEventTime", "descending": True, "limit": 1}
    streams = aws.ask(environment, "logs", "describe_log_streams", **asked).get("logStreams") or []
    stamp = streams[0].get("lastEventTimestamp") if streams else None
    return datetime.fromtimestamp(stamp / 1000, UTC) if stamp is not None else None


def indexed_fields(environment: Environment, groups: Sequence[str], *, since: datetime) -> set[str]:
    """Return the fields that every one of the groups has in an index that covers its events since then (logs:DescribeFieldIndexes).

    An index covers a group that was created after `since` when it began with it. INACTIVE indexes do not count.
    """
    known = _all_groups(environment)
    covering: dict[str, set[str]] = {group: set() for group in groups}
    for begin in range(0, len(groups), 100):
        part = list(groups[begin : begin + 100])
        for index in aws.pages(environment, "logs", "describe_field_indexes", "fieldIndexes", logGroupIdentifiers=part):
            group = str(index.get("logGroupIdentifier", "")).split(":log-group:")[-1].removesuffix(":*")
            began = index.get("firstEventTime")
            reach = max(since.timestamp() * 1000, float(known.get(group, {}).get("creationTime") or 0) + 3_600_000)
            covers = index.get("indexCategory") == "DEFAULT" or (began is not None and began <= reach)
            if group in covering and covers and index.get("indexCategory") != "INACTIVE":
                covering[group].add(str(index.get("fieldIndexName", "")))
    return set.intersection(*covering.values()) if covering else set()


def estimate(environment: Environment, *, groups: Sequence[str], window: Window) -> tuple[float, float] | None:
    """Return gigabytes and US dollars that a scan would take, from what the groups store over their retention.

    None when a group's size is not known (logs:DescribeLogGroups denied).
    """
    try:
        known = _all_groups(environment, groups)
    except SourceError:
        return None
    if any(group not in known for group in groups):
        return None
    now, size = aws.now(environment), 0.0
    for group in (known[name] for name in groups):
        oldest = max(_kept_since(group, now), datetime.fromtimestamp(group.get("creationTime", 0) / 1000, UTC))
        overlap = (min(window.end, now) - max(window.start, oldest)).total_seconds()
        span = max((now - oldest).total_seconds(), 3600.0)
        size += float(group.get("storedBytes", 0)) / span * min(max(overlap, 0.0), span)
    return size / 1e9, size / 1e9 * USD_PER_GB


def query(
    environment: Environment, text: str, *, groups: Sequence[str], window: Window, limit: int | None = None,
    deadline_s: float = 60, pace: Pace | None = None,
) -> Answer:  # fmt: skip
    """Run one Logs Insights query over all groups at once and return its rows (StartQuery, GetQueryResults, paged).

    Without `limit` every row comes: a query returns 100,000, the rest is asked for in disjoint ranges of time; a
    statistic, `dedup`, `limit` or another order than time is never split, and `complete` is False when it was cut.
    Times are datetime64[ns, UTC], columns of a statistic float64 where they hold numbers, all else object. Both ends
    are inclusive seconds at the API; rows outside the half-open window are dropped here. Windows that ended 15 minutes
    ago come from the disk the second time. Queries left behind by an error or interrupt are stopped. Queries of one search
    share a `pace`.
    Raises SourceError when it fails, is cancelled, times out, is denied, or would cost more than `log_budget_usd`.
    """
    shape = log_fetch.shape(text)
    parts = [tuple(groups[begin : begin + GROUPS_A_QUERY]) for begin in range(0, len(groups), GROUPS_A_QUERY)]
    if len(parts) > 1 and not (shape.splittable and limit is None):
        raise ParameterError(
            f"one query reads at most {GROUPS_A_QUERY} log groups, not {len(groups)}",
            why="a statistic or a limit of several queries cannot be put together",
            fix="name fewer log groups",
        )
    start, end = int(window.start.timestamp()), int(-(-window.end.timestamp() // 1)) - 1
    key = log_cache.key(environment, text, groups=groups, start=start, end=max(end, start), limit=limit)
    if kept := log_cache.read(environment, key):
        return Answer(_frame(kept.columns, shape, window, in_order=limit is None), True, kept.scanned, 0.0, cached=True)
    _refuse_above_budget(environment, groups, window)

    def ask(client: Any) -> log_fetch.Fetched:
        raw_answers.read_fast(client, "cloudwatch-logs.GetQueryResults")
        ranges = [log_fetch.Range(part, start * 1000, max(end, start) * 1000 + 999) for part in parts]
        return log_fetch.fetch(client, text, ranges=ranges, limit=limit, deadline_s=deadline_s, pace=pace)

    fetched = _asked(environment, ask)
    columns = fetched.columns()
    if not fetched.reasons and window.end < aws.now(environment) - log_cache.SETTLED:
        log_cache.write(environment, key, columns, fetched.scanned)
    return Answer(
        _frame(columns, shape, window, in_order=limit is None), not fetched.reasons, fetched.scanned, fetched.bytes / 1e9, "; ".join(fetched.reasons),
        fetched.bytes_skipped / 1e9, tuple(fetched.query_ids),
    )  # fmt: skip


def query_text(name: str) -> str:
    """Return the text of queries/<name>.insights, without the comments that explain it."""
    text = resources.files("opslib.queries").joinpath(f"{name}.insights").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def with_whole_messages(environment: Environment, frame: pd.DataFrame, *, most: int = 50) -> pd.DataFrame:
    """Return rows (`@message`, `@ptr`) with messages that were cut read again whole (logs:GetLogRecord), at most `most`.

    attrs["still_cut"] counts those that stay cut.
    """
    import orjson

    def is_cut(message: Any) -> bool:
        if not isinstance(message, str) or len(message) < CUT_FROM or not message.startswith(("{", "[")):
            return False
        try:
            orjson.loads(message)
        except orjson.JSONDecodeError:
            return True
        return False

    if "@ptr" not in frame or not len(frame):
        return frame
    cut = [place for place, message in enumerate(frame["@message"]) if is_cut(message)]
    messages = list(frame["@message"])
    for place in cut[:most]:
        pointer = str(frame["@ptr"].iloc[place])
        record = _asked(environment, lambda client, ptr=pointer: client.get_log_record(logRecordPointer=ptr))
        messages[place] = (record.get("logRecord") or {}).get("@message") or messages[place]
    whole = frame.assign(**{"@message": messages})
    whole.attrs["still_cut"] = max(0, len(cut) - most)
    return whole


def _refuse_above_budget(environment: Environment, groups: Sequence[str], window: Window) -> None:
    budget = environment.log_budget_usd
    expected = estimate(environment, groups=groups, window=window) if budget else None
    if expected and expected[1] > budget:
        raise SourceError(
            f"the log query would scan about {expected[0]:,.0f} GB for US${expected[1]:,.2f}; the budget is US${budget:,.2f}",
            why=f"{len(groups)} log groups over {window.text()}",
            fix=f"narrow the window, name fewer log groups, or raise log_budget_usd of [env.{environment.name}]",
        )


def _frame(columns: log_rows.Columns, shape: log_fetch.Shape, window: Window, *, in_order: bool) -> pd.DataFrame:
    frame = log_rows.frame(columns, text=shape.texts, numbers=shape.counts)
    if "@timestamp" not in frame or shape.counts:
        return frame
    inside = (frame["@timestamp"] >= window.start) & (frame["@timestamp"] < window.end)
    frame = frame[inside]
    if shape.splittable and "@ptr" in frame:  # a row an event: the ranges are disjoint, this is the belt
        frame = frame.drop_duplicates("@ptr")
        if in_order and not frame["@timestamp"].is_monotonic_increasing:  # more than 50 groups
            frame = frame.sort_values("@timestamp", kind="stable")
    return frame.reset_index(drop=True)


def _all_groups(
    environment: Environment, needed: Sequence[str] = (), *, fresh: bool = False
) -> dict[str, dict[str, Any]]:
    """Return every log group by name, asked once an hour, or again when one that is needed is not among them."""
    key = (environment.account, environment.region, environment.profile, environment.aws_config_file)
    asked_at, known = _known.get(key, (float("-inf"), {}))
    if fresh or time.monotonic() - asked_at > KNOWN_SECONDS or any(name not in known for name in needed):
        found = aws.pages(environment, "logs", "describe_log_groups", "logGroups")
        known = {group["logGroupName"]: group for group in found}
        _known[key] = (time.monotonic(), known)
    return known


def _kept_since(group: dict[str, Any], now: datetime) -> datetime:
    days = group.get("retentionInDays")
    return now - timedelta(days=days) if days else datetime.fromtimestamp(0, UTC)


def _asked(environment: Environment, ask: Any) -> Any:
    """Call `ask(client)` and turn what boto3 raises into an error for people."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return ask(aws.client(environment, "logs"))
    except (BotoCoreError, ClientError) as error:
        explained: OpsError = aws.explain(error, environment)
        raise explained from None
