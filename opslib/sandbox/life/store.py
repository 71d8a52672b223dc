"""The built life in memory and on disk: simple structures that load fast."""

import json
import pickle
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opslib.sandbox.life.log_lines import LogLine
from opslib.sandbox.life.rhythm import HISTORY_START

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
RETENTION = {"/shop/audit": 400, "/shop/batch": 90}
MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]
Events = dict[str, list[dict[str, Any]]]


@dataclass
class GroupLog:
    """All events of one log group, sorted by time."""

    created: int
    retention_days: int | None
    streams: list[str]
    timestamps: "array[int]"
    messages: list[str]
    stream_of: "array[int]"
    message_bytes: int  # of all messages in UTF-8


@dataclass
class Series:
    """One metric; a point covers `period` seconds from its timestamp."""

    unit: str
    timestamps: NDArray[np.int64]
    period: NDArray[np.int32]
    count: NDArray[np.float64]
    sum: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    quantiles: NDArray[np.float32] | None = None

    def percentile(self, first: int, last: int, p: float) -> float:
        """Return a percentile (0..1) over the points [first:last), each weighted by its count."""
        weight = self.count[first:last]
        if not weight.sum():
            return float("nan")
        if self.quantiles is None:
            levels = np.array([0.0, 0.5, 1.0])
            middle = self.sum[first:last] / np.maximum(weight, 1)
            known = np.column_stack([self.min[first:last], middle, self.max[first:last]])
        else:
            levels, known = np.array(QUANTILES), self.quantiles[first:last].astype(float)
        if last - first == 1:
            return float(np.interp(p, levels, known[0]))
        share = (np.arange(50) + 0.5) / 50
        values = np.array([np.interp(share, levels, row) for row in known]).ravel()
        order = np.argsort(values, kind="stable")
        grown = np.cumsum(np.repeat(weight / 50, 50)[order])
        return float(values[order][min(np.searchsorted(grown, p * grown[-1]), len(values) - 1)])


@dataclass
class Life:
    """What the sandbox shows: logs, metrics and events."""

    logs: dict[str, GroupLog]
    metrics: dict[MetricKey, Series]
    events: Events = field(default_factory=dict)


def group_log(name: str, lines: Iterable[LogLine]) -> GroupLog:
    """Return the group that these lines make, in the order of time."""
    lines = list(lines)
    at = np.array([line[1] for line in lines], dtype=np.int64)
    order = np.argsort(at, kind="stable").tolist()
    streams = sorted({line[2] for line in lines})
    index = {stream: number for number, stream in enumerate(streams)}
    return GroupLog(
        HISTORY_START,
        RETENTION.get(name, 30),
        streams,
        array("q", at[order].tobytes() if order else b""),
        [lines[i][3] for i in order],
        array("H", [index[lines[i][2]] for i in order]),
        utf8_bytes(line[3] for line in lines),
    )


def utf8_bytes(messages: Iterable[str]) -> int:
    """Return how many bytes messages have in UTF-8."""
    return len("".join(messages).encode())


def save(directory: Path, life: Life, facts: dict[str, Any]) -> None:
    """Write the life into the directory."""
    logs = {
        name: (
            log.created,
            log.retention_days,
            log.streams,
            log.timestamps.tobytes(),
            "\0".join(log.messages),
            log.stream_of.tobytes(),
            log.message_bytes,
        )
        for name, log in life.logs.items()
    }
    metrics = {
        key: (
            series.unit,
            [None if part is None else (part.dtype.str, part.shape, part.tobytes()) for part in _parts(series)],
        )
        for key, series in life.metrics.items()
    }
    for name, content in (("logs", logs), ("metrics", metrics), ("facts", facts)):
        (directory / f"{name}.pkl").write_bytes(pickle.dumps(content, protocol=5))
    text = json.dumps(life.events, ensure_ascii=False, indent=1)
    (directory / "events.json").write_text(text + "\n", encoding="utf-8")


def _parts(series: Series) -> list[Any]:
    names = ("timestamps", "period", "count", "sum", "min", "max", "quantiles")
    return [getattr(series, name) for name in names]


def _array(part: tuple[str, tuple[int, ...], bytes] | None) -> Any:
    return None if part is None else np.frombuffer(part[2], dtype=part[0]).reshape(part[1])


def load(directory: Path) -> Life:
    """Return the life that `build` wrote there."""
    logs: dict[str, GroupLog] = {}
    for name, (created, kept, streams, at, text, stream_of, size) in _unpickled(directory, "logs").items():
        messages = text.split("\0") if text else []
        logs[name] = GroupLog(created, kept, streams, array("q", at), messages, array("H", stream_of), size)
    metrics = {
        key: Series(unit, *map(_array, parts)) for key, (unit, parts) in _unpickled(directory, "metrics").items()
    }
    return Life(logs, metrics, json.loads((directory / "events.json").read_text(encoding="utf-8")))


def _unpickled(directory: Path, name: str) -> Any:
    return pickle.loads((directory / f"{name}.pkl").read_bytes())


def load_facts(directory: Path) -> dict[str, Any]:
    """Return what overlays need to know of the base."""
    return dict(_unpickled(directory, "facts"))
