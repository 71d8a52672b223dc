"""Log events in columns: a quarter of a million of them, sorted by time, appended to while queries read."""

import base64
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from opslib.sandbox.insights import LookupTable

OVERHEAD_BYTES = 26  # what CloudWatch Logs adds to every message when it counts size
Arrived = Callable[[str, str, Sequence[tuple[int, str]]], None]  # region, group, events
INGESTION_DELAY_MS = 1200  # of seeded and loaded events, which nobody put


@dataclass(frozen=True, slots=True)
class Row:
    """One event and its place: `sequence` is unique in its group, and orders events of one millisecond."""

    timestamp: int
    sequence: int
    message: str
    stream: str
    ingestion: int


@dataclass
class Stream:
    """What DescribeLogStreams tells."""

    name: str
    created: int
    first: int | None = None
    last: int | None = None
    ingested: int | None = None


class Columns:
    """A stretch of a group's events, copied: nothing changes under a reader."""

    def __init__(self, group: "LogGroup", low: int, high: int) -> None:
        self.group = group.name
        self.timestamps = group.timestamps[low:high]
        self.sequences = group.sequences[low:high]
        self.ingestions = group.ingestions[low:high]
        self.messages = group.messages[low:high]
        self.stream_of = group.stream_of[low:high]
        self.streams = [stream.name for stream in group.streams]

    def __len__(self) -> int:
        return len(self.messages)

    def row(self, at: int) -> Row:
        """Return one event of the stretch."""
        return Row(
            self.timestamps[at],
            self.sequences[at],
            self.messages[at],
            self.streams[self.stream_of[at]],
            self.ingestions[at],
        )


class LogGroup:
    """One log group; its store holds the lock."""

    def __init__(self, name: str, created: int, retention_days: int | None = None, log_class: str = "STANDARD") -> None:
        self.name = name
        self.created = created
        self.retention_days = retention_days
        self.log_class = log_class
        self.stored_bytes = 0
        self.streams: list[Stream] = []
        self.stream_numbers: dict[str, int] = {}
        self.timestamps = array("q")
        self.ingestions = array("q")
        self.sequences = array("q")
        self.stream_of = array("I")
        self.messages: list[str] = []
        self._borrowed = False  # the messages are a life's, not to be changed
        self.index_policy: tuple[str, int] | None = None  # document, last update in ms
        self.pointer_prefix = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=") + "."

    def stream(self, name: str, created: int) -> int:
        """Return the number of a stream, made when there is none."""
        if name not in self.stream_numbers:
            self.stream_numbers[name] = len(self.streams)
            self.streams.append(Stream(name, created))
        return self.stream_numbers[name]

    def append(self, events: Sequence[tuple[int, int, int, str]]) -> None:
        """Add (timestamp, stream number, ingestion, message) in any order; equal times keep the order of arrival."""
        if not events:
            return
        if self._borrowed:
            self.messages, self._borrowed = list(self.messages), False
        added = sorted(events, key=lambda event: event[0])
        numbered = [(*event, sequence) for sequence, event in enumerate(added, start=len(self.messages))]
        self._note(added)
        keep = bisect_right(self.timestamps, added[0][0])
        columns = (self.timestamps, self.stream_of, self.ingestions, self.messages, self.sequences)
        tail = list(zip(*(column[keep:] for column in columns), strict=True))
        for column in columns:
            del column[keep:]
        merged = sorted(tail + numbered, key=lambda event: event[0])
        for column, values in zip(columns, zip(*merged, strict=True), strict=True):
            column.extend(values)

    def take_over(self, timestamps: array, stream_of: array, messages: list[str], message_bytes: int) -> None:
        """Fill an empty group with columns that are already sorted; the messages are read here, not copied.

        To touch a quarter of a million texts, be it to count a reference, costs more than all the rest.
        """
        self.messages, self._borrowed = messages, True
        self.timestamps, self.stream_of = array("q", timestamps), array("I", stream_of)
        times, numbers = np.array(timestamps, dtype=np.int64), np.array(stream_of)
        self.sequences = array("q", np.arange(len(times)).tobytes())
        self.ingestions = array("q", (times + INGESTION_DELAY_MS).tobytes())
        firsts = np.unique(numbers, return_index=True)
        lasts = np.unique(numbers[::-1], return_index=True)[1]
        for number, first, back in zip(*firsts, lasts, strict=True):
            stream, last = self.streams[number], int(times[len(times) - 1 - back])
            stream.first, stream.last, stream.ingested = int(times[first]), last, last + INGESTION_DELAY_MS
        self.stored_bytes = message_bytes + OVERHEAD_BYTES * len(messages)

    def _note(self, events: Iterable[tuple[int, int, int, str]]) -> None:
        for timestamp, number, ingestion, message in events:
            stream = self.streams[number]
            stream.first = timestamp if stream.first is None else min(stream.first, timestamp)
            stream.last = timestamp if stream.last is None else max(stream.last, timestamp)
            stream.ingested = ingestion if stream.ingested is None else max(stream.ingested, ingestion)
            self.stored_bytes += len(message.encode()) + OVERHEAD_BYTES

    def oldest_kept(self, now: int) -> int:
        """Return the time in ms before which nothing is kept."""
        return now - self.retention_days * 86_400_000 if self.retention_days else 0

    def between(self, start: int, end: int) -> tuple[int, int]:
        """Return the places of the events from `start` to `end`, both inclusive."""
        return bisect_left(self.timestamps, start), bisect_right(self.timestamps, end)

    def place_after(self, timestamp: int, sequence: int) -> int:
        """Return the place of the first event after one in the order of time and arrival."""
        at = bisect_left(self.timestamps, timestamp)
        while at < len(self.timestamps) and self.timestamps[at] == timestamp and self.sequences[at] <= sequence:
            at += 1
        return at

    def pointer(self, timestamp: int, sequence: int) -> str:
        """Return the `@ptr` of an event."""
        return f"{self.pointer_prefix}{timestamp:x}.{sequence:x}"


class LogStore:
    """All log groups of one region."""

    def __init__(self, region: str, arrived: Arrived = lambda region, group, events: None) -> None:
        self.region = region
        self._arrived = arrived
        self.groups: dict[str, LogGroup] = {}
        self.lookup_tables: dict[str, LookupTable] = {}
        self.lock = threading.RLock()

    def seed(self, logs: Mapping[str, Any]) -> None:
        """Take over the groups of a life; its columns are already sorted."""
        for name, seeded in logs.items():
            group = LogGroup(name, seeded.created, seeded.retention_days)
            for stream in seeded.streams:
                group.stream(stream, seeded.created)
            group.take_over(seeded.timestamps, seeded.stream_of, seeded.messages, seeded.message_bytes)
            self.groups[name] = group

    def add(self, name: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Add seeded events (time in ms, message), with group and stream made as needed."""
        if not events:
            return
        oldest = min(timestamp for timestamp, _ in events)
        with self.lock:
            group = self.groups.get(name) or self.groups.setdefault(name, LogGroup(name, oldest))
            group.created = min(group.created, oldest)
            number = group.stream(stream, oldest)
            group.append([(at, number, at + INGESTION_DELAY_MS, message) for at, message in events])

    def tell(self, group: str, events: Sequence[tuple[int, str]]) -> None:
        """Tell metric filters of events (time in ms, message) that somebody has put."""
        self._arrived(self.region, group, events)

    def load_lines(self, lines: Iterable[bytes]) -> dict[str, int]:
        """Add JSON lines {group, stream, timestamp_ms, message}, all or none; return how many per group."""
        batches: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for number, line in enumerate(lines, start=1):
            if line.strip():
                group, stream, timestamp, message = _loaded(number, line)
                batches.setdefault((group, stream), []).append((timestamp, message))
        counts: dict[str, int] = {}
        for (group, stream), events in batches.items():
            self.add(group, stream, events)
            counts[group] = counts.get(group, 0) + len(events)
        return counts

    def counts(self) -> dict[str, int]:
        """Return the number of events by group."""
        with self.lock:
            return {name: len(group.messages) for name, group in sorted(self.groups.items())}

    def copy(self, name: str, start: int, end: int, now: int) -> Columns:
        """Return the kept events of a group from `start` to `end` ms, both inclusive."""
        with self.lock:
            group = self.groups[name]
            return Columns(group, *group.between(max(start, group.oldest_kept(now)), end))

    def find(self, pointer: str) -> tuple[LogGroup, Row] | None:
        """Return the event that a `@ptr` names."""
        head, _, rest = pointer.partition(".")
        timestamp, _, sequence = rest.partition(".")
        with self.lock:
            for group in self.groups.values():
                if group.pointer_prefix == head + ".":
                    return _row_at(group, timestamp, sequence)
        return None


def _row_at(group: LogGroup, timestamp: str, sequence: str) -> tuple[LogGroup, Row] | None:
    try:
        wanted, number = int(timestamp, 16), int(sequence, 16)
    except ValueError:
        return None
    at = group.place_after(wanted, number) - 1
    if at < 0 or (group.timestamps[at], group.sequences[at]) != (wanted, number):
        return None
    return group, Columns(group, at, at + 1).row(0)


def _loaded(number: int, line: bytes) -> tuple[str, str, int, str]:
    try:
        event = orjson.loads(line)
        group, stream, timestamp, message = (event[key] for key in ("group", "stream", "timestamp_ms", "message"))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"line {number} is not a JSON object with group, stream, timestamp_ms and message") from error
    texts = all(isinstance(value, str) and value for value in (group, stream, message))
    if not texts or isinstance(timestamp, bool) or not isinstance(timestamp, int) or timestamp < 0:
        raise ValueError(f"line {number}: group, stream and message must be text, timestamp_ms a whole number")
    return group, stream, timestamp, message
