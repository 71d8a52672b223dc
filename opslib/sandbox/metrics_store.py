"""Metric data in columns: the seeded series, which go on with the clock, and what was put since."""

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]  # namespace, name, sorted dimensions
_NONE = np.zeros(0, dtype=int)
AGAIN_SECONDS = 300  # of which the seeded series go on
AHEAD_SECONDS = 6 * 3600  # by which they are laid out before they are told
COLUMNS = ("period", "count", "sum", "min", "max", "quantiles")


class SeededSeries(Protocol):
    """A series of the base life: one entry per period, at its start."""

    unit: str
    timestamps: np.ndarray
    period: np.ndarray
    count: np.ndarray
    sum: np.ndarray
    min: np.ndarray
    max: np.ndarray
    quantiles: np.ndarray | None

    def percentile(self, first: int, last: int, p: float) -> float:
        """Return a percentile (0 to 1) over some entries."""
        ...


@dataclass(order=True, frozen=True)
class Point:
    """One value seen `count` times, or a statistic set."""

    timestamp: int
    count: float = field(compare=False)
    sum: float = field(compare=False)
    min: float = field(compare=False)
    max: float = field(compare=False)

    @property
    def is_sample(self) -> bool:
        """Say whether a percentile may use it: a single value, however often."""
        return self.min == self.max and self.sum == self.min * self.count


@dataclass
class Bucket:
    """The statistics of one period."""

    timestamp: int
    count: float
    sum: float
    min: float
    max: float
    seeded: tuple[int, int] = (0, 0)  # places in the seeded series
    points: tuple[Point, ...] = ()


@dataclass
class Series:
    """All data of one metric."""

    unit: str
    seeded: SeededSeries | None = None
    points: list[Point] = field(default_factory=list)
    lived: int = 0  # until when the seeded part may be told
    laid_out: int = 0  # until when it is there

    def go_on(self, life_end: int, now: float) -> None:
        """Let the seeded part go on minute by minute as it went in the last minutes of the life, over and over.

        What was well stays well, and an incident stays one until somebody ends it: an alarm on 5, 10 or 15 minutes sees the
        same values in every window. What has no entry a minute, and what is counted from log lines, does not go on.
        """
        seeded = self.seeded
        self.lived = max(self.lived, life_end, int(now) // 60 * 60)
        self.laid_out = max(self.laid_out, life_end)
        if seeded is None or self.lived <= self.laid_out:
            return
        until = self.lived + AHEAD_SECONDS
        low, high = np.searchsorted(seeded.timestamps, [life_end - AGAIN_SECONDS, life_end])
        model = np.arange(low, high)[np.asarray(seeded.period)[low:high] == 60]
        rounds = np.arange((self.laid_out - life_end) // AGAIN_SECONDS, (until - life_end) // AGAIN_SECONDS + 1)
        times = (seeded.timestamps[model][None, :] + (rounds[:, None] + 1) * AGAIN_SECONDS).ravel()
        new = (times >= self.laid_out) & (times < until)
        again = np.tile(model, len(rounds))[new]
        held = {name: getattr(seeded, name) for name in COLUMNS}
        longer = {name: np.concatenate([kept, kept[again]]) for name, kept in held.items() if kept is not None}
        longer["timestamps"] = np.concatenate([seeded.timestamps, times[new]])
        self.seeded, self.laid_out = replace(seeded, **longer), until  # type: ignore[type-var]

    def repeats(self, life_end: int, start: int, end: int) -> bool:
        """Say whether a span holds only what goes on over and over."""
        return life_end <= start and end <= self.lived and not self.put_in(start, end)

    @property
    def latest(self) -> int:
        """Return the time of the last entry, in seconds."""
        times = self.seeded.timestamps if self.seeded is not None else _NONE
        told = times[: np.searchsorted(times, self.lived)] if self.lived else times
        seeded = int(told[-1]) if len(told) else 0
        return max(seeded, self.points[-1].timestamp if self.points else 0)

    def buckets(self, start: int, end: int, period: int, anchor: int) -> list[Bucket]:
        """Return the periods that have data from `start` until before `end`, oldest first; they begin at `anchor`."""
        times, *columns, firsts, lasts = self.columns(start, end, period, anchor)
        rows = zip(
            *(column.tolist() for column in (times, *columns)),
            zip(firsts.tolist(), lasts.tolist(), strict=True),
            strict=True,
        )
        found = {row[0]: Bucket(*row) for row in rows}
        for point in self.put_in(start, end):
            at = anchor + (point.timestamp - anchor) // period * period
            found[at] = _with_point(found.get(at), at, point)
        return [found[at] for at in sorted(found)]

    def percentile(self, bucket: Bucket, p: float) -> float | None:
        """Return a percentile (0 to 1) of a bucket, or None where AWS would have none."""
        if any(not point.is_sample or point.min < 0 for point in bucket.points):
            return None
        parts = []
        first, last = bucket.seeded
        if self.seeded is not None and last > first:
            parts.append((self.seeded.percentile(first, last, p), float(self.seeded.count[first:last].sum())))
        if bucket.points:
            parts.append((_weighted_percentile(bucket.points, p), sum(point.count for point in bucket.points)))
        total = sum(weight for _, weight in parts)
        return sum(value * weight for value, weight in parts) / total if total else None

    def put_in(self, start: int, end: int) -> list[Point]:
        """Return what was put from `start` until before `end`."""
        first, last = (bisect_left(self.points, at, key=lambda point: point.timestamp) for at in (start, end))
        return self.points[first:last]

    def columns(self, start: int, end: int, period: int, anchor: int) -> tuple[np.ndarray, ...]:
        """Return time, count, sum, min, max, and first and end place in the seeded series, of its periods with data."""
        seeded, end = self.seeded, min(end, self.lived or end)  # what is laid out ahead is not told
        at, place, share = _entries(seeded, start, end, period) if seeded is not None else (_NONE, _NONE, _NONE)
        if seeded is None or not len(at):
            return (_NONE,) * 7
        slots = (at - anchor) // period
        firsts = np.flatnonzero(np.diff(slots, prepend=slots[0] - 1))
        lasts = np.append(firsts[1:], len(at)) - 1
        return (
            anchor + slots[firsts] * period,
            np.add.reduceat(seeded.count[place] * share, firsts).astype(float),
            np.add.reduceat(seeded.sum[place] * share, firsts).astype(float),
            np.minimum.reduceat(seeded.min[place], firsts).astype(float),
            np.maximum.reduceat(seeded.max[place], firsts).astype(float),
            place[firsts],
            place[lasts] + 1,
        )


def _entries(seeded: SeededSeries, start: int, end: int, period: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (time, place, share) of the entries in a span.

    The life keeps its older days at five minutes and CloudWatch at one: an entry longer than the period asked for is
    told as so many equal parts, since its sum in one minute of five would be five times too much.
    """
    times, length = seeded.timestamps, np.asarray(seeded.period)
    low = int(np.searchsorted(times, start - int(length.max(initial=0)), side="right"))
    high = int(np.searchsorted(times, end))
    parts = np.maximum(length[low:high] // period, 1)
    place = np.repeat(np.arange(low, high), parts)
    first = np.repeat(np.cumsum(parts) - parts, parts)
    at = times[place] + (np.arange(len(place)) - first) * period
    inside = (at >= start) & (at < end)
    return at[inside], place[inside], 1.0 / parts[place[inside] - low]


class MetricsStore:
    """All metrics of one region."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._series: dict[MetricKey, Series] = {}
        self._now = now  # epoch seconds
        self._life_end = 0
        self.lock = threading.RLock()

    def seed(self, metrics: Mapping[MetricKey, Any]) -> None:
        """Take over the series of a life, which go on where it ends."""
        ends = [
            int(each.timestamps[-1]) + 60 for each in metrics.values() if len(each.period) and each.period[-1] == 60
        ]
        self._life_end = max(ends, default=0)
        for key, series in metrics.items():
            self._series[key] = Series(series.unit, series)

    def put(self, key: MetricKey, unit: str, points: Sequence[Point]) -> None:
        """Add entries to a metric, which comes to be with the first."""
        with self.lock:
            series = self._series.setdefault(key, Series(unit))
            for point in points:
                insort(series.points, point)

    def get(self, key: MetricKey) -> Series | None:
        """Return the data of a metric, until now."""
        with self.lock:
            series = self._series.get(key)
            if series is not None:
                series.go_on(self._life_end, self._now())
            return series

    def repeats(self, series: Series, start: int, end: int) -> bool:
        """Say whether a span of a metric holds only what comes again every AGAIN_SECONDS."""
        return series.repeats(self._life_end, start, end)

    def keys(self, active_since: int) -> list[MetricKey]:
        """Return the metrics with an entry since a time in seconds, sorted."""
        with self.lock:
            return sorted(key for key, series in self._series.items() if self._last(series) >= active_since)

    def _last(self, series: Series) -> int:
        """Return the time of the last entry, as if all had gone on: whether a metric is active is asked in hours."""
        fresh = series.seeded is not None and series.latest >= self._life_end - AGAIN_SECONDS
        return int(self._now()) if fresh else series.latest

    def count(self) -> int:
        """Return how many metrics there are."""
        return len(self._series)


def _with_point(bucket: Bucket | None, at: int, point: Point) -> Bucket:
    if bucket is None:
        return Bucket(at, point.count, point.sum, point.min, point.max, points=(point,))
    bucket.count += point.count
    bucket.sum += point.sum
    bucket.min = min(bucket.min, point.min)
    bucket.max = max(bucket.max, point.max)
    bucket.points = (*bucket.points, point)
    return bucket


def _weighted_percentile(points: Sequence[Point], p: float) -> float:
    """Return the percentile as if each value stood there `count` times, between the two nearest ranks."""
    ordered = sorted(points, key=lambda point: point.min)
    ends = np.cumsum([point.count for point in ordered])
    rank = p * max(float(ends[-1]) - 1, 0)
    low, high = (int(np.searchsorted(ends, at, side="right")) for at in (int(rank), int(rank) + 1))
    last = len(ordered) - 1
    lower, upper = ordered[min(low, last)].min, ordered[min(high, last)].min
    return lower + (upper - lower) * (rank - int(rank))
