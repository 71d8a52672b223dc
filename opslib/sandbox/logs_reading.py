"""CloudWatch Logs: events read back, filtered, one stream at a time, or one record by its pointer."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from opslib.sandbox.clock import Clock
from opslib.sandbox.filter_pattern import compile_pattern
from opslib.sandbox.log_fields import discovered
from opslib.sandbox.log_store import Columns, LogGroup, LogStore, Row
from opslib.sandbox.logs_api import ACCOUNT, API, DAY_MS, named_group, named_stream
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import state_of, token
from opslib.sandbox.service_errors import invalid

PAGE_EVENTS = 10_000
PAGE_BYTES = 1_048_576
SCANNED_PER_CALL = 50_000  # AWS does not say its own; a page may be short or empty and still have a next one
FOREVER_MS = 1 << 60
QUARTER_MS = DAY_MS // 96


class LogsReading:
    """FilterLogEvents, GetLogEvents, GetLogRecord and GetLogGroupFields."""

    def __init__(self, store: LogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @operation(
        "logs",
        "FilterLogEvents",
        modelled="time (both ends inclusive), streams, prefix, plain terms, JSON patterns, paging, newest first",
        source=API + "; filter pattern syntax",
        difference="terms match anywhere in the text, not whole tokens; column and regular expression patterns "
        "answer SandboxNotModelled; a call searches 50,000 events",
        tested=(
            "test_filter_pages_equal_the_whole",
            "test_filter_patterns",
            "test_filter_on_json_fields",
            "test_filter_refuses_what_nobody_models",
        ),
    )
    def filter_log_events(self, p: Params) -> dict[str, Any]:
        """Answer one page of matching events."""
        matches = compile_pattern(p.get("filterPattern") or "")
        columns, waiting = self._stretch(p)
        streams = _wanted_streams(self._store.groups[columns.group], p)
        events, size, row = [], 0, None
        for row in _rows(columns, p):
            waiting -= 1
            if row.stream in streams and matches(row.message):
                events.append(_filtered(self._store.groups[columns.group], row))
                size += len(row.message)
                if len(events) >= (p.get("limit") or PAGE_EVENTS) or size >= PAGE_BYTES:
                    break
        body = {"events": events, "searchedLogStreams": []}
        if row is not None and waiting:
            body["nextToken"] = token("filter", [_question(p), row.timestamp, row.sequence])
        return body

    def _stretch(self, p: Params) -> tuple[Columns, int]:
        """Return the events this call searches, and how many wait in all, those included."""
        with self._store.lock:
            group = named_group(self._store, p)
            start = max(p.get("startTime") or 0, group.oldest_kept(self._clock.now_ms()))
            low, high = group.between(start, FOREVER_MS if p.get("endTime") is None else p["endTime"])
            if p.get("nextToken"):
                question, timestamp, sequence = state_of("filter", p["nextToken"])
                if question != _question(p):
                    raise invalid("The specified nextToken is invalid.")
                after = group.place_after(timestamp, sequence)
                low, high = (low, min(high, after - 1)) if _newest_first(p) else (max(low, after), high)
            waiting = max(0, high - low)
            if _newest_first(p):
                return Columns(group, max(low, high - SCANNED_PER_CALL), high), waiting
            return Columns(group, low, min(high, low + SCANNED_PER_CALL)), waiting

    @operation(
        "logs",
        "GetLogEvents",
        modelled="time (end exclusive), limit, both directions; the same token again at either end",
        source=API,
        tested=("test_stream_read_forward_and_backward",),
    )
    def get_log_events(self, p: Params) -> dict[str, Any]:
        """Answer one page of one stream, oldest first within the page."""
        forward, edge = _direction(p)
        with self._store.lock:
            group = named_group(self._store, p)
            number = named_stream(group, p["logStreamName"])
            start = max(p.get("startTime") or 0, group.oldest_kept(self._clock.now_ms()))
            low, high = group.between(start, (p.get("endTime") or FOREVER_MS) - 1)
            at = min(max(group.place_after(edge[0], edge[1] - 1), low), high)
            columns = Columns(group, at, high) if forward else Columns(group, low, at)
        places = range(len(columns)) if forward else range(len(columns) - 1, -1, -1)
        rows = _take((columns.row(at) for at in places if columns.stream_of[at] == number), p.get("limit"))
        rows.sort(key=lambda row: (row.timestamp, row.sequence))
        # Where nothing was, both tokens stay where they are; without one, new events must be found later on.
        first = last = edge if p.get("nextToken") else (0, 0)
        if rows:
            first, last = (rows[0].timestamp, rows[0].sequence), (rows[-1].timestamp, rows[-1].sequence + 1)
        return {
            "events": [{"timestamp": r.timestamp, "message": r.message, "ingestionTime": r.ingestion} for r in rows],
            "nextBackwardToken": "b/" + token("stream", first),
            "nextForwardToken": "f/" + token("stream", last),
        }

    @operation(
        "logs",
        "GetLogRecord",
        modelled="by @ptr of Logs Insights",
        source=API,
        difference="@ptr has our own format; JSON null is no field",
        tested=("test_record_by_pointer",),
    )
    def get_log_record(self, p: Params) -> dict[str, Any]:
        """Answer all fields of one event."""
        found = self._store.find(p["logRecordPointer"])
        if found is None:
            raise invalid("The specified logRecordPointer is invalid.")
        group, row = found
        system = {
            "@timestamp": str(row.timestamp),
            "@message": row.message,
            "@ingestionTime": str(row.ingestion),
            "@logStream": row.stream,
            "@log": f"{ACCOUNT}:{group.name}",
            "@ptr": p["logRecordPointer"],
        }
        return {"logRecord": discovered(row.message) | system}

    @operation(
        "logs",
        "GetLogGroupFields",
        modelled="percentages over 15 minutes before now, or 8 minutes either side of `time`",
        source=API,
        tested=("test_group_fields",),
    )
    def get_log_group_fields(self, p: Params) -> dict[str, Any]:
        """Answer the fields of recent events and how many of them have each."""
        group = named_group(self._store, p)
        now = self._clock.now_ms()
        middle = p["time"] * 1000 if p.get("time") else None
        start, end = (middle - 480_000, middle + 480_000) if middle else (now - QUARTER_MS, now)
        messages = self._store.copy(group.name, start, end, now).messages
        seen = Counter(name for message in messages for name in discovered(message))
        for name in ("@timestamp", "@message", "@ingestionTime", "@logStream", "@log", "@ptr"):
            seen[name] = len(messages)
        fields = [
            {"name": name, "percent": 100 * count // len(messages)} for name, count in sorted(seen.items()) if count
        ]
        return {"logGroupFields": fields}


def _newest_first(p: Params) -> bool:
    return p.get("startFromHead") is False


def _question(p: Params) -> list[Any]:
    """Return what must not change between the pages of one question."""
    names = ("logGroupName", "logGroupIdentifier", "startTime", "endTime", "filterPattern", "startFromHead")
    return [p.get(name) for name in (*names, "logStreamNames", "logStreamNamePrefix")]


def _rows(columns: Columns, p: Params) -> Iterable[Row]:
    places = range(len(columns))
    return (columns.row(at) for at in (reversed(places) if _newest_first(p) else places))


def _wanted_streams(group: LogGroup, p: Params) -> set[str]:
    names, prefix = p.get("logStreamNames"), p.get("logStreamNamePrefix")
    if names and prefix:
        raise invalid("logStreamNames and logStreamNamePrefix are mutually exclusive.")
    if names:
        for name in names:
            named_stream(group, name)
        return set(names)
    return {name for name in group.stream_numbers if name.startswith(prefix or "")}


def _filtered(group: LogGroup, row: Row) -> dict[str, Any]:
    return {
        "logStreamName": row.stream,
        "timestamp": row.timestamp,
        "message": row.message,
        "ingestionTime": row.ingestion,
        "eventId": f"{row.timestamp:017d}{group.created % 10**9:09d}{row.sequence:030d}",
    }


def _direction(p: Params) -> tuple[bool, tuple[int, int]]:
    """Return whether to read forward, and the edge (time, sequence) to read from."""
    given = p.get("nextToken")
    if given is None:
        forward = bool(p.get("startFromHead"))
        return forward, (0, 0) if forward else (FOREVER_MS, 0)
    side, _, rest = given.partition("/")
    if side not in ("f", "b"):
        raise invalid("The specified nextToken is invalid.")
    timestamp, sequence = state_of("stream", rest)
    return side == "f", (timestamp, sequence)


def _take(rows: Iterable[Row], limit: int | None) -> list[Row]:
    taken: list[Row] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += len(row.message)
        if len(taken) >= (limit or PAGE_EVENTS) or size >= PAGE_BYTES:
            break
    return taken
