"""CloudWatch Logs: events put into a stream."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from opslib.sandbox.clock import Clock
from opslib.sandbox.log_store import OVERHEAD_BYTES, LogStore
from opslib.sandbox.logs_api import API, DAY_MS, named_group, named_stream
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.service_errors import invalid

MAX_BATCH_BYTES = 1_048_576


class LogsWriting:
    """PutLogEvents."""

    def __init__(self, store: LogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @operation(
        "logs",
        "PutLogEvents",
        modelled="batch limits, order, rejected events; what is put is counted by metric filters",
        source=API,
        difference="entities are ignored; no sequence token is checked (nor does AWS since 2023)",
        tested=(
            "test_put_log_events_takes_late_ones_in_order",
            "test_put_log_events_rejects_by_age",
            "test_metric_filters_count_what_is_put",
        ),
    )
    def put_log_events(self, p: Params) -> dict[str, Any]:
        """Add events to a stream."""
        events = p["logEvents"]
        _check_batch(events)
        now = self._clock.now_ms()
        with self._store.lock:
            group = named_group(self._store, p)
            number = named_stream(group, p["logStreamName"])
            too_old, expired, too_new = _bounds(events, now, group.oldest_kept(now))
            kept = events[max(too_old, expired) : too_new]
            group.append([(event["timestamp"], number, now, event["message"]) for event in kept])
        self._store.tell(group.name, [(event["timestamp"], event["message"]) for event in kept])
        return {"nextSequenceToken": str(now)} | _rejected(too_old, expired, too_new, len(events))


def _check_batch(events: Sequence[Params]) -> None:
    if not 1 <= len(events) <= 10_000:
        raise invalid("1 validation error detected: logEvents must have 1 to 10000 members")
    times = [event["timestamp"] for event in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > DAY_MS:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    size = sum(len(event["message"].encode()) + OVERHEAD_BYTES for event in events)
    if size > MAX_BATCH_BYTES:
        raise invalid(f"Upload too large: {size} bytes exceeds limit of {MAX_BATCH_BYTES}")


def _bounds(events: Sequence[Params], now: int, oldest_kept: int) -> tuple[int, int, int]:
    too_old = sum(event["timestamp"] < now - 14 * DAY_MS for event in events)
    expired = sum(event["timestamp"] < oldest_kept for event in events)
    too_new = sum(event["timestamp"] <= now + 2 * 3_600_000 for event in events)
    return too_old, expired, too_new


def _rejected(too_old: int, expired: int, too_new: int, total: int) -> dict[str, Any]:
    info = {}
    if too_old:
        info["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        info["expiredLogEventEndIndex"] = expired
    if too_new < total:
        info["tooNewLogEventStartIndex"] = too_new
    return {"rejectedLogEventsInfo": info} if info else {}
