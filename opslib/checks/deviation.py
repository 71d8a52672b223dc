"""How far one series is off in an incident, since when: robust, whatever its unit, gaps, resets and season."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

DAY = 86_400.0
OFF = 1.6  # log(1 + z) of a steady deviation of 4; severities are given in units of it
RARE = {5: 1.2, 20: 1.1}  # steps that rare events are added up over: noise of the sum, in units of sqrt(mean + 1)
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Finding:
    """How far one series is off: severity (1 is the threshold), where in the axis it began, how long it took to rise.

    `load`: callers drive it; `own`: nothing below the component can change it.
    """

    metric: str
    severity: float
    onset: int | None = None
    rise: float = 0.0
    load: bool = False
    own: bool = False


def judged(values: Floats, axis: Floats, base: Mask, during: Mask, bad: str) -> Finding:
    """Return how far the series is off in the incident, under the explanation that leaves least of it.

    Rare events are also added up over the last minutes: two errors a minute are many where there is none as a rule.
    """
    values = _rates(_filled(values, base, during), base)
    if not _rare(values, axis, base):
        return _least(values, axis, base, during, bad)
    found = Finding("", 0.0)
    for width, floor in RARE.items():
        summed = pd.Series(values).rolling(width, min_periods=1).sum().where(np.isfinite(values))
        other = _least(summed.to_numpy(dtype=float), axis, base, during, bad, floor)
        if found.severity < 1.0 and other.severity > found.severity:
            found = _sharpened(other, values, width, float(np.nanmean(values[base])))
    return found


def _sharpened(found: Finding, values: Floats, width: int, usual: float) -> Finding:
    """Put the onset where the first of the events was that were added up, if there is hardly one as a rule."""
    if found.onset is None or usual * width > 0.4:
        return found
    first = max(0, found.onset - width + 1)
    events = np.flatnonzero(values[first : found.onset + 1] > 0)
    return replace(found, onset=first + int(events[0]) if len(events) else found.onset)


def _least(values: Floats, axis: Floats, base: Mask, during: Mask, bad: str, floor: float = 0.0) -> Finding:
    known = np.isfinite(values)
    if (known & base).sum() < 3 or not (known & during).any():
        return Finding("", 0.0)
    axis, base, during, x = axis[known], base[known], during[known], values[known]
    least: Finding | None = None
    for residual, scale in _explanations(x, axis, base, during):
        expected = max(float(np.mean(x[base])), float(np.mean((x - residual)[during])), 0.0)
        least_noise = floor * float(np.sqrt(expected + 1.0))
        found = _severity(np.clip(residual / max(scale, least_noise), -200, 200), axis, base, during, bad)
        if least is None or found.severity < least.severity:
            least = found
    assert least is not None  # the level always explains something
    return replace(least, onset=None if least.onset is None else int(np.flatnonzero(known)[least.onset]))


def _filled(values: Floats, base: Mask, during: Mask) -> Floats:
    """Read the holes of a series that only speaks when something happens (errors, evictions) as zero."""
    known = np.isfinite(values)
    before, now = known[base].mean(), known[during].mean()
    if 0 < before < 0.25 and now > 2 * before and np.nanmin(values) >= 0:
        return np.where(known, values, 0.0)
    return values


def _rates(values: Floats, base: Mask) -> Floats:
    """Turn a counter that only grows, but for resets, into its growth per step; leave everything else."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 8:
        return values
    steps = np.diff(values[known])
    ours = steps[base[known][1:]]
    if len(ours) < 5 or (ours > 0).mean() < 0.6 or (steps < 0).mean() > 0.03:
        return values
    widths = np.diff(known)
    rates = np.full(len(values), np.nan)
    rates[known[1:]] = np.where(steps >= 0, steps, np.nan) / widths  # a reset says nothing
    return rates


def _rare(values: Floats, axis: Floats, base: Mask) -> bool:
    """Tell whether the series counts events by the minute that are few as a rule."""
    known = values[np.isfinite(values)]
    usual = values[base & np.isfinite(values)]
    step = _median(np.diff(axis)) if len(axis) > 1 else 0.0
    if not len(usual) or np.any(known < 0) or np.any(known != np.rint(known)) or step > 90:
        return False
    return bool(np.mean(usual) <= 2.0 and not (np.all(usual == usual[0]) and usual[0]))


def _explanations(x: Floats, axis: Floats, base: Mask, during: Mask) -> list[tuple[Floats, float]]:
    """Return (what is left of the series, its noise) for each thing that may explain it: level, trend, season."""
    seasonal = _seasons(x, axis, base, during)
    long = axis[base][-1] - axis[base][0] > 0.8 * DAY
    if seasonal and long:
        return seasonal
    level = x - _median(x[base])
    found = [(level, _noise(level[base], x[base], x))]
    if (trend := _trend(x, axis, base)) is not None:
        found.append((trend, _noise(trend[base], x[base], x)))
    return found + seasonal


def _trend(x: Floats, axis: Floats, base: Mask) -> Floats | None:
    """Return what a straight line through the baseline leaves, if that is much less than the level leaves."""
    y, t = x[base], axis[base]
    if len(y) < 9:
        return None
    third = len(y) // 3
    rise = _median(y[-third:]) - _median(y[:third])
    slope = rise / max(_median(t[-third:]) - _median(t[:third]), 1e-9)
    left = x - slope * axis
    left = left - _median(left[base])
    spread = _median(np.abs(y - _median(y)))
    return left if _median(np.abs(left[base])) < 0.5 * spread else None


def _seasons(x: Floats, axis: Floats, base: Mask, during: Mask) -> list[tuple[Floats, float]]:
    """Return what the same hours of each earlier day leave, for the days that the series holds."""
    if axis[-1] - axis[0] < 0.9 * DAY:
        return []
    step = _median(np.diff(axis))
    near = max(900.0, 2.5 * step)
    smooth = pd.Series(x).rolling(_odd(near / step), center=True, min_periods=1).median().to_numpy()
    past = axis < axis[during][0]
    earlier, usual = axis[past], smooth[past]
    found = []
    for days in range(1, int((axis[-1] - axis[0]) / DAY) + 2):
        then = axis - days * DAY
        spot = np.clip(np.searchsorted(earlier, then), 1, max(len(earlier) - 1, 1))
        if len(earlier) < 3:
            break
        gap = np.minimum(np.abs(earlier[spot] - then), np.abs(earlier[spot - 1] - then))
        usable = gap <= near
        if usable[during].mean() < 0.6:
            continue
        left = np.where(usable, x - np.interp(then, earlier, usual), np.nan)
        ours = base & usable
        if ours.sum() >= 5:
            left = left - _median(left[ours])
            scale = _noise(left[ours], x[base], x)
        else:
            scale = 1.2 * _noise((x - smooth)[base], x[base], x)
        found.append((np.nan_to_num(left), scale))
    return found


def _odd(count: float) -> int:
    return max(3, int(count) // 2 * 2 + 1)


def _noise(residual: Floats, y: Floats, whole: Floats) -> float:
    """Return the noise of a residual in the baseline, never less than is plausible for its scale and kind."""
    ordered = np.sort(residual)
    spread = 1.4826 * _median(np.abs(residual - _quantile(ordered, 0.5)))
    quartiles = (_quantile(ordered, 0.75) - _quantile(ordered, 0.25)) / 1.349
    wander = _quantile(np.sort(np.abs(_steady(residual))), 0.95) / 2.0  # what comes and goes in the baseline is no news
    level = _median(np.abs(y))
    floor = 0.01 * level
    if level and np.all(y == y[0]):
        floor = 0.15 * level  # a state: how many hosts are healthy
    elif np.all(whole == np.rint(whole)):
        floor = max(floor, 0.7 * float(np.sqrt(level + 1.0)) if level < 100 else floor)
    elif not level:
        floor = max(floor, 0.1 * float(np.max(np.abs(whole))))
    return max(spread, quartiles, wander, floor, 1e-12 * float(np.max(np.abs(whole))), 1e-300)


def _median(values: Floats) -> float:
    return _quantile(np.sort(values), 0.5)


def _quantile(ordered: Floats, share: float) -> float:
    """Return a quantile of sorted values: numpy's own asks so much of its input that it takes ten times as long."""
    place = share * (len(ordered) - 1)
    low = int(place)
    below, above = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return below + (above - below) * (place - low)


def _steady(z: Floats) -> Floats:
    """Return the running median of three: one odd point is no finding."""
    if len(z) < 3:
        return z
    padded = np.concatenate([z[:1], z, z[-1:]])
    before, after = padded[:-2], padded[2:]
    return np.asarray(np.maximum(np.minimum(before, z), np.minimum(np.maximum(before, z), after)), dtype=float)


def _severity(z: Floats, axis: Floats, base: Mask, during: Mask, bad: str) -> Finding:
    """Return severity, onset and rise: how far, and for how much of the time since it began."""
    if bad:
        z = np.maximum(z, 0.0) if bad == "high" else np.minimum(z, 0.0)
    after = np.flatnonzero(base)[-1] + 1 if np.flatnonzero(base)[-1] < np.flatnonzero(during)[0] else 0
    steady = _steady(z[during])
    peak = float(np.max(np.abs(steady)))
    sign = float(np.sign(steady[np.argmax(np.abs(steady))]))
    places = np.flatnonzero(during)
    threshold = max(3.0, 0.1 * peak)
    onset = _onset(sign * z, after, int(places[0]), int(places[-1]), threshold) if peak >= 3.0 else None
    since = sign * z[max(onset, int(places[0])) if onset is not None else int(places[0]) : int(places[-1]) + 1]
    share = float((since > 2.0).sum()) / max(len(since), min(len(places), 6))
    rise = 0.0
    if onset is not None:
        high = np.flatnonzero(sign * z[onset:] >= 0.5 * peak)
        rise = float(axis[onset + (high[0] if len(high) else 0)] - axis[onset])
    return Finding("", float(np.log1p(peak)) * (0.5 + 0.5 * share) / OFF, onset, rise)


def _onset(z: Floats, after: int, first: int, last: int, threshold: float) -> int:
    """Return where the deviation began that led to the peak: back from there, over gaps of a few points.

    It may lie before the incident's window when the series was off since then.
    """
    over = z[: last + 1] > threshold
    place = first + int(np.argmax(_steady(z[first : last + 1])))
    longest = max(3, min(8, (last - first) // 10))
    begin = place
    while place > after and begin - place <= longest:
        place -= 1
        if over[place] and (over[place - 1] or over[place + 1]):
            begin = place
    return begin
