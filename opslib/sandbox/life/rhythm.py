"""The instant of the sandbox, its spans, and when things happen in a Japanese week.

Only sums, products and comparisons of seeded numbers are used, rounded early: the same bytes on any machine.
"""

import math
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LOGS_START = NOW_MS - 26 * HOUR
AUDIT_LOG_START = NOW_MS - 8 * DAY
METRICS_START = NOW_MS - 15 * DAY
HISTORY_START = NOW_MS - 120 * DAY
JAPAN = 9 * HOUR
STEP = 10 * MINUTE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_QUANTILE_LEVELS = np.array([0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998, 1.0])


def generator(purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose, so that a change in one module leaves the others as they were."""
    return np.random.Generator(np.random.PCG64([20261105, *purpose.encode()]))


def weekday(at_ms: Ints) -> Ints:
    """Return the Japanese day of the week, Monday 0."""
    return ((at_ms + JAPAN) // DAY + 3) % 7  # the epoch was a Thursday


def intensity(at_ms: Ints, rhythm: dict[str, list[float]]) -> Floats:
    """Return how busy the shop is at these instants; an ordinary evening is about 100."""
    day = weekday(at_ms)
    hour = ((at_ms + JAPAN) % DAY) / HOUR
    clock = np.arange(25)
    workdays = np.interp(hour, clock, [*rhythm["weekday"], rhythm["weekday"][0]])
    weekends = np.interp(hour, clock, [*rhythm["weekend"], rhythm["weekend"][0]])
    return np.where(day >= 5, weekends, workdays) * np.array(rhythm["day"])[day]


def instants(rng: np.random.Generator, count: int, start: int, end: int, rhythm: dict[str, list[float]]) -> Ints:
    """Return sorted instants of [start, end) that follow the rhythm of the week."""
    edges = np.arange(start, end + STEP, STEP, dtype=np.int64)
    edges[-1] = end
    grown = np.concatenate([[0.0], np.cumsum(intensity(edges[:-1] + STEP // 2, rhythm) * np.diff(edges))])
    where = np.sort(rng.random(count)) * grown[-1]
    return np.clip(np.interp(where, grown, edges.astype(float)).astype(np.int64), start, end - 1)


def durations(share: Floats, median: float, p99: float) -> Ints:
    """Return durations with this median and 99th percentile for uniform shares: log-normal by a table."""
    sigma = math.log(p99 / median) / 2.326
    inner = [NormalDist().inv_cdf(min(max(level, 0.002), 0.9996)) for level in _QUANTILE_LEVELS]
    table = np.array([round(median * math.exp(sigma * z), 3) for z in inner])
    return np.maximum(1, np.rint(np.interp(share, _QUANTILE_LEVELS, table))).astype(np.int64)


def noise(rng: np.random.Generator, count: int) -> Floats:
    """Return bell-shaped noise with deviation 1, in thousandths."""
    return np.rint((rng.random((4, count)).sum(axis=0) - 2.0) * 1732.0) / 1000.0


_seconds: dict[int, str] = {}


def iso(at_ms: int) -> str:
    """Return an instant as the services write it: 2026-11-05T02:31:20.113Z."""
    second, rest = divmod(at_ms, 1000)
    text = _seconds.get(second)
    if text is None:
        text = _seconds[second] = (datetime(1970, 1, 1) + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z"


def sql_times(at_ms: Ints) -> list[str]:
    """Return instants as COPY reads them."""
    return [text + "+00" for text in np.datetime_as_string(at_ms.astype("datetime64[ms]")).tolist()]


def milliseconds(text: str) -> int:
    """Return the instant that an ISO text names, in epoch milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
