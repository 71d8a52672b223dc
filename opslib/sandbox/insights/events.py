"""Log events as they come in, and the rows that a query makes of them."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, NamedTuple

import orjson

from opslib.sandbox.insights.refusals import Failed

CHUNK = 4096  # events that are gathered into one batch
MAX_FIELDS = 200  # that AWS discovers in one event; which 200 of more is not documented
_NOTHING: dict[str, Any] = {}


class Event(NamedTuple):
    """One log event; times in epoch milliseconds."""

    timestamp: int
    message: str
    stream: str
    group: str
    ingestion: int
    ptr: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one group as columns; `ptrs` is called only for rows that are shown or tie."""

    group: str
    timestamps: Sequence[int]
    messages: Sequence[str]
    streams: Sequence[str]
    ingestion: Sequence[int]
    ptrs: Callable[[int], str]


def batches(events: Iterable[Batch] | Iterable[Event]) -> Iterator[Batch]:
    """Return events as batches; batches pass as they are."""
    flow: Iterator[Any] = iter(events)
    while chunk := list(islice(flow, 1)):
        if isinstance(chunk[0], Batch):
            yield chunk[0]
            continue
        chunk += islice(flow, CHUNK - 1)
        for group, members in groupby(chunk, key=lambda event: event.group):
            yield _gathered(group, list(members))


def _gathered(group: str, events: list[Event]) -> Batch:
    timestamps, messages, streams, _, ingestion, pointers = zip(*events, strict=True)
    return Batch(group, timestamps, messages, streams, ingestion, pointers.__getitem__)


class Row:
    """One event or one line of a `stats`: what commands gave it, and JSON that is read only when a field asks."""

    __slots__ = ("batch", "given", "index", "message", "tree")

    def __init__(
        self, batch: Batch | None, index: int = 0, message: str = "", given: dict[str, Any] | None = None
    ) -> None:
        self.batch, self.index, self.message = batch, index, message
        self.given = _NOTHING if given is None else given
        self.tree: dict[str, Any] | None = None

    def give(self, name: str, value: Any) -> None:
        """Set a field that a command defines."""
        if self.given is _NOTHING:
            self.given = {}
        self.given[name] = value

    def with_given(self, name: str, value: Any) -> "Row":
        """Return a copy that has one more field."""
        copy = Row(self.batch, self.index, self.message, {**self.given, name: value})
        copy.tree = self.tree
        return copy

    def forget(self) -> None:
        """Drop the JSON that was read: rows that wait for a sort are many."""
        self.tree = None

    def __repr__(self) -> str:
        return f"Row({self.ptr!r}, {list(self.given.values())})"

    @property
    def ptr(self) -> str:
        """Return the pointer of the event; empty for a line of a `stats`."""
        return self.batch.ptrs(self.index) if self.batch else ""

    def shuffle_key(self) -> int:
        """Return a place that is always the same and means nothing, so that nobody relies on the order of ties."""
        return zlib.crc32((self.ptr or repr(self)).encode())


def parsed(message: str) -> dict[str, Any]:
    """Return the JSON object that a message is; empty when it is none."""
    if not message.startswith("{"):
        return {}
    try:
        found: dict[str, Any] = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    if len(message) > MAX_FIELDS * 2 and message.count(",") >= MAX_FIELDS and _leaves(found) > MAX_FIELDS:
        raise Failed(f"an event has more than {MAX_FIELDS} fields; which ones AWS discovers is not documented")
    return found


def _leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_leaves, value.values()))
    return sum(map(_leaves, value)) if isinstance(value, list) else 1
