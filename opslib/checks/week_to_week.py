"""One series against the same hours a week before: how much it moved, since when, whether that is more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

DAY = 24  # hours: every series here has a point an hour
LASTING = DAY  # a move that began later may be one bad evening
TOLD, TIMES = 0.10, 4.0  # a move is told from 10 % on, and from four times what days differ by
LEAST_SPREAD = 0.02
KNOWN = 0.5  # of the hours of both weeks must be known
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Move:
    """How far a series stands from the week before since `since` (None: the whole window): levels, and share (0.12: 12 % more)."""

    since: pd.Timestamp | None
    before: float
    now: float
    share: float
    spread: float  # by what share days differ from each other


@dataclass(frozen=True)
class Runway:
    """How fast a series nears its limit, by the day, and how many days are left."""

    now: float
    limit: float
    a_day: float
    days: float


def move(now: pd.Series[float], before: pd.Series[float], *, least: float) -> Move | None:
    """Return the lasting move of a series against the week before; None when it is noise, small, or not known well enough.

    Both have a point an hour under the same index (before: moved on by whole weeks). A move is at least 10 %, `least` in
    the series' own unit, and four times what the days differ by; it must last to the end, for most of a day or longer.
    """
    known = now.notna() & before.notna()
    if known.mean() < KNOWN or known.sum() < 2 * DAY:
        return None
    ours, theirs = now[known].to_numpy(dtype=float), before[known].to_numpy(dtype=float)
    left = _logs(ours, theirs, least)
    place = _place(left)
    for start in dict.fromkeys((place, 0)):
        fitted = np.where(
            np.arange(len(left)) < start, np.median(left[:start]) if start else 0.0, np.median(left[start:])
        )
        spread = _spread(left - fitted)
        step = abs(fitted[-1] - fitted[0]) if start else np.inf
        was, is_ = float(np.median(theirs[start:])), float(np.median(ours[start:]))
        enough = max(np.log1p(TOLD), TIMES * spread * _doubt(start, len(left)))
        if min(step, abs(fitted[-1])) > enough and abs(is_ - was) >= least:
            since = now.index[known][start] if start else None
            return Move(since, was, is_, is_ / was - 1 if was else float("inf"), float(spread))
    return None


def _logs(ours: Floats, theirs: Floats, least: float) -> Floats:
    """Return the logarithm of now over before by the hour; what is small in the series' own unit counts little."""
    low = max(0.05 * float(np.median(np.abs(theirs))), 0.5 * least, 1e-12)
    return np.asarray(np.log((np.maximum(ours, 0.0) + low) / (np.maximum(theirs, 0.0) + low)), dtype=float)


def _place(left: Floats) -> int:
    """Return the hour from which on another level fits best, outliers held back; 0 where none can be."""
    if len(left) < 2 * LASTING:
        return 0
    middle = np.median(left)
    reach = 5 * 1.4826 * max(float(np.median(np.abs(left - middle))), 0.01)
    held = np.clip(left, middle - reach, middle + reach)
    counts = np.arange(1, len(held) + 1)
    sums = np.cumsum(held)
    first, second = sums[:-1] / counts[:-1], (sums[-1] - sums[:-1]) / (len(held) - counts[:-1])
    gain = counts[:-1] * (len(held) - counts[:-1]) / len(held) * (first - second) ** 2
    gain[: LASTING // 2 - 1] = gain[len(held) - LASTING :] = -1.0
    return int(np.argmax(gain)) + 1


def _doubt(start: int, whole: int) -> float:
    """Return how much more a level must differ that few days stand for: 1 for half the days, 1.4 for one of seven."""
    return float(np.sqrt((1 / start + 1 / (whole - start)) * whole / 4)) if start else 1.0


def _spread(residual: Floats) -> float:
    """Return by how much one day differs from another, never less than the hours' own noise allows."""
    days = [float(np.median(residual[at : at + DAY])) for at in range(0, len(residual) - DAY // 2, DAY)]
    hours = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    between = float(np.sqrt(np.sum(np.square(days)) / max(len(days) - 2, 1)))
    return max(between, hours / float(np.sqrt(DAY / 4)), LEAST_SPREAD)


def runway(values: pd.Series[float], *, limit: float) -> Runway | None:
    """Return how long a series takes to its limit at the pace of its days; None when it does not go there.

    The pace is the median of all pairs of days; both halves must go the same way, by more than the days differ by.
    """
    daily = values.dropna().resample("D").median().dropna()
    if len(daily) < 6:
        return None
    level, at = daily.to_numpy(dtype=float), np.arange(len(daily), dtype=float)
    pairs = [(level[j] - level[i]) / (at[j] - at[i]) for i in range(len(level)) for j in range(i + 1, len(level))]
    pace, half = float(np.median(pairs)), len(level) // 2
    halves = [float(np.median(np.diff(part))) for part in (level[:half], level[half:])]
    noise = 1.4826 * float(np.median(np.abs(level - pace * at - np.median(level - pace * at))))
    now = float(values.dropna().iloc[-3:].median())
    goes = np.sign(limit - now) == np.sign(pace) and all(np.sign(one) == np.sign(pace) for one in halves)
    if not goes or abs(pace) * len(level) < TIMES * noise:
        return None
    return Runway(now, limit, pace, (limit - now) / pace)


def weighted(values: pd.Series[float], weights: pd.Series[float] | None) -> float:
    """Return the mean of shares by what they are shares of, so that a quiet hour counts little; NaN when nothing is known."""
    if weights is None:
        return float(values.mean())
    known = values.notna() & weights.notna() & (weights > 0)
    return float((values[known] * weights[known]).sum() / weights[known].sum()) if known.any() else float("nan")


def rarely(now: pd.Series[float], before: pd.Series[float], *, least: float) -> Move | None:
    """Return how many more (or fewer) events there were than the week before, where most hours have none; None when that is chance."""
    known = now.notna() & before.notna()
    ours, theirs = float(now[known].sum()), float(before[known].sum())
    chance = TIMES * float(np.sqrt(ours + theirs + 1.0))
    if known.mean() < KNOWN or abs(ours - theirs) <= max(chance, least):
        return None
    return Move(None, theirs, ours, ours / theirs - 1 if theirs else float("inf"), chance)
