"""An incident as it is laid over the base life: log lines, metric changes, SQL, events."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opslib.sandbox.life.log_lines import LogLine
from opslib.sandbox.life.metrics import joined
from opslib.sandbox.life.rhythm import HOUR, NOW_MS
from opslib.sandbox.life.store import Events, GroupLog, Life, MetricKey, Series, utf8_bytes

Move = tuple[int, dict[str, str]]  # since when (ms) lines of an old stream stand in a new one


@dataclass(frozen=True)
class MetricChange:
    """From `since` (s) on, reached after `ramp` seconds: value x factor + add."""

    key: MetricKey
    since: int
    factor: float = 1.0
    add: float = 0.0
    ramp: int = 300


@dataclass
class Overlay:
    """What a scenario changes of the base life."""

    name: str
    title: str
    planted: dict[str, str] = field(default_factory=dict)
    sql: list[str] = field(default_factory=list)
    since: int = NOW_MS
    dropped: frozenset[str] = frozenset()
    dropped_texts: tuple[str, ...] = ()  # lines from `since` on that hold one of these are gone, too
    lines: list[LogLine] = field(default_factory=list)
    renamed: dict[str, list[Move]] = field(default_factory=dict)  # by group, oldest first
    replaced: dict[MetricKey, Series] = field(default_factory=dict)
    changes: list[MetricChange] = field(default_factory=list)
    events: Events = field(default_factory=dict)
    noise_seed: int = 0  # not 0: the noise of the last hours is drawn anew


def apply(base: Life, changes: Overlay) -> Life:
    """Return the life with the overlay laid over it; the base stays as it is."""
    added: dict[str, list[LogLine]] = {}
    for line in changes.lines:
        if line[1] < NOW_MS:
            added.setdefault(line[0], []).append(line)
    logs = {
        name: _group(log, added.get(name, []), changes, changes.renamed.get(name, []))
        for name, log in base.logs.items()
    }
    metrics = dict(base.metrics)
    if changes.noise_seed:
        rng = np.random.default_rng(changes.noise_seed)
        metrics = {key: _shuffled(series, rng) for key, series in sorted(metrics.items())}
    for key, new in changes.replaced.items():
        metrics[key] = _replaced(metrics[key], new, changes.since // 1000) if key in metrics else new
    for change in changes.changes:
        metrics[change.key] = _changed(metrics[change.key], change)
    kinds = dict.fromkeys([*base.events, *changes.events])
    events = {kind: sorted([*base.events.get(kind, []), *changes.events.get(kind, [])], key=_when) for kind in kinds}
    return Life(logs, metrics, events)


def _when(event: dict[str, Any]) -> str:
    return str(event.get("finished") or event.get("at") or event.get("start"))


def _request_id(message: str) -> str:
    at = message.find("req-")
    return message[at : at + 16] if at >= 0 else ""


def _group(log: GroupLog, added: list[LogLine], changes: Overlay, renamed: list[Move]) -> GroupLog:
    since = min(changes.since, renamed[0][0] if renamed else NOW_MS)
    first = bisect_left(log.timestamps, since)
    tail = []
    for at, message, stream in zip(log.timestamps[first:], log.messages[first:], log.stream_of[first:], strict=True):
        if _request_id(message) not in changes.dropped and not any(text in message for text in changes.dropped_texts):
            tail.append((at, message, log.streams[stream]))
    if not (added or renamed) and len(tail) == len(log.timestamps) - first:
        return log  # not to touch each of its texts
    tail += [(at, message, stream) for _, at, stream, message in added]
    for moved, names in renamed:
        tail = [(at, text, names.get(stream, stream) if at >= moved else stream) for at, text, stream in tail]
    tail.sort(key=lambda event: event[0])
    streams = list(log.streams)
    streams += sorted({stream for _, _, stream in tail} - set(streams))
    index = {stream: number for number, stream in enumerate(streams)}
    return replace(
        log,
        streams=streams,
        timestamps=log.timestamps[:first] + array("q", [event[0] for event in tail]),
        messages=log.messages[:first] + [event[1] for event in tail],
        stream_of=log.stream_of[:first] + array("H", [index[event[2]] for event in tail]),
        message_bytes=log.message_bytes - utf8_bytes(log.messages[first:]) + utf8_bytes(event[1] for event in tail),
    )


def _cut(series: Series, upto: int) -> Series:
    names = ("timestamps", "period", "count", "sum", "min", "max", "quantiles")
    return Series(series.unit, *(None if (part := getattr(series, name)) is None else part[:upto] for name in names))


def _replaced(old: Series, new: Series, since: int) -> Series:
    return joined(_cut(old, int(np.searchsorted(old.timestamps, since))), new)


def _shuffled(series: Series, rng: np.random.Generator) -> Series:
    """Return the series with what lies around its course in the last six hours in another order."""
    first = int(np.searchsorted(series.timestamps, (NOW_MS - 6 * HOUR) // 1000))
    value = series.sum[first:] / np.maximum(series.count[first:], 1)
    if len(value) < 60 or (value == value[0]).all():
        return series
    padded = np.pad(value, 7, mode="edge")
    course = np.median(np.lib.stride_tricks.sliding_window_view(padded, 15), axis=1)
    new = np.maximum(course + rng.permutation(value - course), 0.0)
    whole = (series.sum == np.rint(series.sum)).all()
    new = np.rint(new) if whole and series.unit != "Percent" else new
    moved, share = np.zeros(len(series.sum)), np.ones(len(series.sum))
    moved[first:], share[first:] = new - value, np.where(value > 0, new / np.where(value > 0, value, 1), 1.0)
    ceiling = 100.0 if series.unit == "Percent" else np.inf
    low, high = np.maximum(series.min + moved, 0.0), np.minimum(series.max + moved, ceiling)
    quantiles = None if series.quantiles is None else (series.quantiles * share[:, None]).astype(np.float32)
    return replace(series, sum=np.round(series.sum + moved * series.count, 6), min=low, max=high, quantiles=quantiles)


def _changed(series: Series, change: MetricChange) -> Series:
    share = np.clip((series.timestamps - change.since) / max(change.ramp, 1), 0.0, 1.0)
    factor, add = 1.0 + (change.factor - 1.0) * share, change.add * share
    ceiling = 100.0 if series.unit == "Percent" else np.inf
    new = replace(
        series,
        sum=np.round(np.minimum(series.sum * factor + add * series.count, ceiling * np.maximum(series.count, 1)), 6),
        min=np.round(np.minimum(series.min * factor + add, ceiling), 6),
        max=np.round(np.minimum(series.max * factor + add, ceiling), 6),
    )
    if series.quantiles is not None:
        new.quantiles = (series.quantiles * factor[:, None] + add[:, None]).astype(np.float32)
    return new
