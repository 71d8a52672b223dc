"""Every row of a Logs Insights query: one query where that suffices, else disjoint ranges of time for what did not come.

Both ends of a range are inclusive milliseconds. What a cut query returned stays, but for its last second; only the
rest is asked again. A statistic is never split: parts of it cannot be put together.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from opslib import rate_budget
from opslib.errors import SourceError
from opslib.sources import log_query
from opslib.sources.log_query import ROWS_A_QUERY, Outcome, Pace, TimedOut
from opslib.sources.log_rows import Columns, joined, size
from opslib.stopping import Stop

MOST_ROWS = 1_000_000
ROWS_A_RANGE = 60_000  # asked of the rest of a cut query: room for rows that are not spread evenly
STOPPING_SECONDS = 5.0
_SPLITTABLE = {"fields", "display", "filter", "where", "parse", "sort"}
_MASKED = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|(?<=like)\s*/(?:\\.|[^/\\])+/|(?<==~)\s*/(?:\\.|[^/\\])+/|\#[^\n]*""", re.I)  # fmt: skip

_TAKEN = re.compile(r"\b(?:earliest|latest|sortsfirst|sortslast|values|topk) ?\([^)]*\) as ([@\w.]+)", re.I)


@dataclass(frozen=True)
class Shape:
    """What a query text is made of: its commands, its own limit, which columns of a statistic are texts of the lines."""

    commands: tuple[str, ...]
    limit: int
    texts: tuple[str, ...]
    splittable: bool
    sorts: bool

    @property
    def counts(self) -> bool:
        """Tell whether it is a statistic."""
        return "stats" in self.commands


def shape(text: str) -> Shape:
    """Return what a text is made of; what is not surely one row an event, in order of time, is not splittable."""
    parts = [" ".join(part.split()) for part in _MASKED.sub(" x ", text).split("|") if part.strip()]
    commands = tuple(part.split(" ", 1)[0].lower() for part in parts)
    limits = [int(found[1]) for part in parts if (found := re.fullmatch(r"limit (\d+)", part, re.I))]
    grouped = [found[1] for part in parts if (found := re.match(r"stats .* by (.*)", part, re.I))]
    sorts = [part for part, command in zip(parts, commands, strict=True) if command == "sort"]
    whole = set(commands) <= _SPLITTABLE and not any(part.lower().endswith(" multi") for part in parts)
    in_order = all(re.fullmatch(r"sort (by )?@timestamp asc", part, re.I) for part in sorts)
    texts = re.findall(r"[@\w.]+", grouped[-1]) if grouped else []
    texts += [found[1] for part in parts for found in _TAKEN.finditer(part)]
    return Shape(commands, limits[-1] if limits else 0, tuple(texts), whole and in_order, bool(sorts))


@dataclass(frozen=True)
class Range:
    """Some log groups between two milliseconds, both inclusive."""

    groups: tuple[str, ...]
    start_ms: int
    end_ms: int

    def pieces(self, count: int) -> list[Range]:
        """Return disjoint ranges that cover this one: of whole seconds, or of milliseconds within one second."""
        width = -(-(self.end_ms - self.start_ms + 1) // max(count, 2))
        if self.end_ms // 1000 > self.start_ms // 1000:
            width = -(-width // 1000) * 1000
        return [
            Range(self.groups, start, min(start + width - 1, self.end_ms))
            for start in range(self.start_ms, self.end_ms + 1, width)
        ]

    def asked(self, text: str) -> str:
        """Return the text for this range: the API knows seconds, a part of one is filtered."""
        if self.start_ms % 1000 == 0 and self.end_ms % 1000 == 999:
            return text
        return f"filter toMillis(@timestamp) >= {self.start_ms} and toMillis(@timestamp) <= {self.end_ms} | {text}"


@dataclass
class Fetched:
    """Rows of several queries, and what all of them took together."""

    parts: list[tuple[Range, Columns]] = field(default_factory=list)
    query_ids: list[str] = field(default_factory=list)
    expected: int = 0
    scanned: float = 0.0
    bytes: float = 0.0
    bytes_skipped: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def columns(self) -> Columns:
        """Return all rows, by range and time."""
        return joined(columns for _, columns in sorted(self.parts, key=lambda part: part[0].start_ms))

    def note(self, outcome: Outcome) -> None:
        """Add what a query took."""
        self.query_ids += [outcome.query_id] if outcome.query_id else []
        self.scanned += outcome.counted("recordsScanned")
        self.bytes += outcome.counted("bytesScanned")
        self.bytes_skipped += outcome.counted("estimatedBytesSkipped")

    def keep(self, range_: Range, columns: Columns) -> None:
        """Keep the rows of a range."""
        self.parts.append((range_, columns))

    def check(self) -> None:
        """Say so when fewer rows are here than AWS counted in the queries that were split."""
        rows = sum(size(columns) for _, columns in self.parts)
        if rows < self.expected and not self.reasons:
            self.reasons.append(f"{rows:,} of {self.expected:,} rows came")


def fetch(
    client: Any, text: str, *, ranges: Sequence[Range], limit: int | None, deadline_s: float, pace: Pace | None = None
) -> Fetched:
    """Run the text over all ranges at once; limit None: every row, else at most so many, and a reason when there are more.

    Raises SourceError or what boto3 raises when any part fails: rows that are not whole are never returned silently.
    Threads do the calls, so that an interrupt cannot fall between StartQuery and its id.
    """
    job = _Job(client, text, shape(text), limit, time.monotonic() + deadline_s, pace or Pace())
    stop, fetched = Stop(), Fetched()
    pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="logs")
    waiting: dict[Future[Outcome | None], Range] = {}
    try:
        waiting = {pool.submit(stop.run, job.asking(stop, range_, ranges)): range_ for range_ in ranges}
        while waiting:
            done, _ = wait(waiting, timeout=job.until + 1 - time.monotonic(), return_when=FIRST_COMPLETED)
            if not done:
                late = f"the log query gave no answer in {deadline_s:g} s"
                raise SourceError(late, why=rate_budget.refusals(), fix="run this cell again")
            for future in done:
                for more in job.judge(fetched, waiting.pop(future), future.result()):
                    waiting[pool.submit(stop.run, job.asking(stop, more, ranges))] = more
        fetched.check()
    except BaseException:
        stop.set()
        wait(waiting, timeout=min(STOPPING_SECONDS, deadline_s))  # what runs at AWS is stopped before the cell ends
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return fetched


@dataclass(frozen=True)
class _Job:
    client: Any
    text: str
    shape: Shape
    limit: int | None
    until: float
    pace: Pace

    @property
    def whole(self) -> bool:
        """Tell whether every row is wanted and the text allows several queries for them."""
        return self.limit is None and self.shape.splittable

    def asking(self, stop: Stop, range_: Range, ranges: Sequence[Range]) -> Any:
        limit = self.limit or (0 if self.shape.limit else ROWS_A_QUERY)
        text = f"{self.text} | sort @timestamp asc" if self.whole and not self.shape.sorts else self.text

        def ask() -> Outcome | None:
            from botocore.exceptions import ClientError

            try:
                return log_query.run(
                    self.client, stop, text=range_.asked(text), groups=range_.groups, start_ms=range_.start_ms, end_ms=range_.end_ms,
                    limit=limit, until=self.until, pace=self.pace,
                )  # fmt: skip
            except TimedOut:
                if self.whole and range_.end_ms - range_.start_ms >= 2000:
                    return None  # AWS could not do it in an hour: two halves may
                raise
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code")
                if range_ in ranges or code != "MalformedQueryException" or range_.asked(text) != text:
                    raise
                return Outcome("", {}, {})  # the text was taken before: this part ends before all groups began

        return ask

    def judge(self, fetched: Fetched, range_: Range, outcome: Outcome | None) -> list[Range]:
        """Keep what came of a range, and return the ranges that must be asked again."""
        if outcome is None:
            return range_.pieces(2)
        fetched.note(outcome)
        matched = int(outcome.counted("resultCount" if self.shape.counts else "recordsMatched")) or outcome.rows
        if not self._cut(outcome, matched):
            fetched.keep(range_, outcome.columns)
            return []
        if not self.whole:
            fetched.keep(range_, outcome.columns)
            fetched.reasons.append(f"{outcome.rows:,} rows came and there are more")
            return []
        fetched.expected = max(fetched.expected, matched)  # the first one to be split covers the most
        if matched > MOST_ROWS or range_.start_ms == range_.end_ms:
            fetched.keep(range_, outcome.columns)
            fetched.reasons.append(f"{outcome.rows:,} of {matched:,} rows were read: narrow the window")
            return []
        return _rest(fetched, range_, outcome, matched)

    def _cut(self, outcome: Outcome, matched: int) -> bool:
        asked = self.limit or self.shape.limit or ROWS_A_QUERY
        one_row_an_event = set(self.shape.commands) <= _SPLITTABLE | {"limit"}
        if outcome.rows < min(int(outcome.counted("resultCount")), asked):
            return True  # pages were lost
        return outcome.rows >= asked and (matched > outcome.rows or not one_row_an_event)


def _rest(fetched: Fetched, range_: Range, outcome: Outcome, matched: int) -> list[Range]:
    """Keep the rows before the last second that came: later ones may be missing, also within that second."""
    stamps = outcome.columns.get("@timestamp") or []
    last = _second_ms(stamps[-1]) if stamps else range_.start_ms
    kept = next((place for place, stamp in enumerate(stamps) if stamp[:19] == stamps[-1][:19]), 0)
    if last <= range_.start_ms or not kept:
        return range_.pieces(-(-matched // ROWS_A_RANGE))
    columns = {name: values[:kept] for name, values in outcome.columns.items()}
    fetched.keep(Range(range_.groups, range_.start_ms, last - 1), columns)
    rest, count = Range(range_.groups, last, range_.end_ms), -(-(matched - kept) // ROWS_A_RANGE)
    return rest.pieces(count) if count > 1 else [rest]


def _second_ms(stamp: str) -> int:
    from calendar import timegm

    return timegm(time.strptime(stamp[:19], "%Y-%m-%d %H:%M:%S")) * 1000
