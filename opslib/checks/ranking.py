"""Which component is off, since when, and whose fault it is: a pure function over series, no I/O.

The method is that of the literature on root cause analysis. Each series is scored by its robust deviation from the
baseline (median and interquartile range instead of mean and deviation, as BARO and epsilon-Diagnosis do, so that an
outlier in the baseline or a wrongly guessed onset does little harm); expected values follow the level, the trend and
the same hours of other days, and the explanation that leaves least counts. Then the call graph tells the cause from
the symptom (as CIRCA and the random walks of MonitorRank do): blame moves from a caller to what it calls, if that was
off no later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from opslib.checks.deviation import Finding, Floats, Mask, judged

_TRAFFIC = re.compile(
    r"requests?$|request_?count|throughput|\b[rq]ps\b|calls|traffic|invocations|bytes|network|packets|volume", re.I
)


def rank_components(
    series: pd.DataFrame,
    *,
    incident: Any,
    baseline: Any,
    calls: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Rank components by how likely each is the cause of what happened in the incident.

    `series` is wide: one column per (component, metric), the index times (aware or naive) or numbers. `incident` and
    `baseline` are Windows, pairs or slices. `calls` names what each component calls. `series.attrs` may
    say more of the columns: "bad" which side is bad ("high" or "low"; without it both are), "load" those that callers
    drive (without it, names of traffic), "own" those that nothing below the component can change.
    Columns: component, score (float; from 1 on it is off), metric (the most telling one), since (an index value, NaT
    if not off), symptom_of (the component that explains it, or empty). attrs["off"]: (component, metric, severity, since)
    of every series that is off. Raises ValueError for a window without rows.
    """
    if series.index.inferred_type in ("datetime", "date"):
        series = series.set_axis(pd.DatetimeIndex(series.index), axis=0)
    series = series[~series.index.duplicated(keep="last")].sort_index()
    if not len(series):
        raise ValueError("the frame has no row")
    axis = _axis(series.index)
    base, during = _mask(series.index, baseline), _mask(series.index, incident)
    if not base.any() or not during.any():
        which = "baseline" if not base.any() else "incident"
        raise ValueError(f"the frame has no row in the {which}")
    numbers = series.to_numpy(dtype=float, na_value=np.nan)
    bad, load, own = series.attrs.get("bad", {}), series.attrs.get("load"), series.attrs.get("own", set())
    findings: dict[str, list[Finding]] = {}
    for place, (component, metric) in enumerate(series.columns):
        found = judged(numbers[:, place], axis, base, during, bad.get((component, metric), ""))
        driven = (component, metric) in load if load is not None else bool(_TRAFFIC.search(str(metric)))
        weight = 0.6 if driven else 1.0
        findings.setdefault(str(component), []).append(
            Finding(str(metric), found.severity * weight, found.onset, found.rise, driven, (component, metric) in own)
        )
    ranked = _ranked(findings, series.index, axis, during, calls or {})
    ranked.attrs["off"] = [
        (name, one.metric, round(one.severity, 4), series.index[one.onset])
        for name, found in findings.items() for one in found if one.severity >= 1.0 and one.onset is not None
    ]  # fmt: skip
    return ranked


def _axis(index: pd.Index[Any]) -> Floats:
    """Return the index as seconds, or as it is when it holds numbers."""
    if isinstance(index, pd.DatetimeIndex):
        return np.asarray(index.as_unit("ns").asi8 / 1e9, dtype=float)
    return np.asarray(index, dtype=float)


def _mask(index: pd.Index[Any], window: Any) -> Mask:
    """Return which rows lie in [start, end); in [start, end] if there would be none."""
    if isinstance(window, slice):
        start, end = window.start, window.stop
    else:
        start, end = (window.start, window.end) if hasattr(window, "start") else window
    if isinstance(index, pd.DatetimeIndex):
        start, end = (None if moment is None else _like(index, moment) for moment in (start, end))
    since = index >= start if start is not None else np.ones(len(index), dtype=bool)
    inside = since & (index < end) if end is not None else since
    return np.asarray(inside if inside.any() or end is None else since & (index <= end), dtype=bool)


def _like(index: pd.DatetimeIndex, moment: Any) -> pd.Timestamp:
    """Return the moment as the index has its times: naive ones are UTC."""
    stamp = pd.Timestamp(moment)
    aware = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
    return aware.tz_convert(index.tz) if index.tz is not None else aware.tz_convert("UTC").tz_localize(None)


def _ranked(
    findings: dict[str, list[Finding]],
    index: pd.Index[Any],
    axis: Floats,
    during: Mask,
    calls: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    step = float(np.median(np.diff(axis))) if len(axis) > 1 else 1.0
    span = max(float(axis[during][-1] - axis[during][0]), 8 * step)
    tops = {name: max(found, key=lambda one: one.severity) for name, found in findings.items()}
    severity, onset = _of_components(findings, axis)
    loud = 0.4 * max(severity.values(), default=0.0)
    earliest = min((moment for name, moment in onset.items() if severity[name] >= loud), default=0.0)
    score = dict(severity)
    for name, moment in onset.items():  # who was off first is likelier the cause; one step is no difference
        score[name] = max(1.0, severity[name] / (1.0 + 8.0 * max(0.0, moment - earliest - step) / span))
    doubt = {name: 1.5 * step + min(0.8 * tops[name].rise, 0.5 * span) for name in onset}
    kinds = {name: _kinds(found) for name, found in findings.items()}
    blamed = _blame(score, onset, calls, doubt, kinds)
    names = sorted(findings, key=lambda name: (-blamed[name][0], name))
    since = [index[int(np.searchsorted(axis, onset[name]))] if name in onset else None for name in names]
    kind = index.dtype if isinstance(index, pd.DatetimeIndex) else "float64"
    return pd.DataFrame({
        "component": names, "score": [round(blamed[name][0], 4) for name in names],
        "metric": [tops[name].metric for name in names], "since": pd.Series(since, dtype=kind),
        "symptom_of": [blamed[name][1] for name in names],
    })  # fmt: skip


def _of_components(findings: dict[str, list[Finding]], axis: Floats) -> tuple[dict[str, float], dict[str, float]]:
    """Return severity and, of those that are off, the onset per component: the worst series, and a little of the next."""
    severity, onset = {}, {}
    for name, found in findings.items():
        ordered = sorted(found, key=lambda one: -one.severity)
        off = [one for one in ordered if one.severity >= 1.0 and one.onset is not None]
        more = sum(one.severity * share for one, share in zip(off[1:4], (0.15, 0.1, 0.05), strict=False))
        severity[name] = ordered[0].severity + more
        if off:
            telling = [one.onset for one in off if one.severity >= 0.5 * off[0].severity and one.onset is not None]
            onset[name] = float(axis[min(telling)])
    return severity, onset


def _kinds(findings: list[Finding]) -> tuple[bool, bool]:
    """Tell of a component whether only load is off, and whether something of its own is."""
    off = [one for one in findings if one.severity >= 1.0]
    return bool(off) and all(one.load for one in off), any(one.own for one in off)


def _blame(
    score: dict[str, float],
    onset: dict[str, float],
    calls: Mapping[str, Sequence[str]],
    doubt: dict[str, float],
    kinds: dict[str, tuple[bool, bool]],
) -> dict[str, tuple[float, str]]:
    """Move blame from each component to what explains it: (score, what explains it or nothing).

    Errors and latency come from below, load from above; the cause was off no later. Something of its own that is off
    makes a component no mere symptom.
    """
    below = {name: _below(name, calls) & set(onset) for name in onset}
    explained: dict[str, str] = {}
    for name in onset:
        only_load, own = kinds[name]
        causes = {other for other in below[name] if not own and not kinds[other][0] and name not in below[other]}
        if only_load:
            causes |= {other for other in onset if name in below[other] and not kinds[other][0]}
        causes = {other for other in causes if onset[other] <= onset[name] + doubt[other]}
        if causes:
            explained[name] = max(sorted(causes), key=lambda other: score[other])
    final = {}
    for name, own_score in score.items():
        if name in explained:
            final[name] = (1.0 + 0.2 * (own_score - 1.0) if own_score > 1.0 else own_score, _root(name, explained))
        else:
            brought = sum(score[other] for other in explained if _root(other, explained) == name)
            final[name] = (own_score + 0.5 * brought, "")
    return final


def _root(component: str, explained: dict[str, str]) -> str:
    """Follow the explanations to their end."""
    seen = {component}
    while component in explained and explained[component] not in seen:
        component = explained[component]
        seen.add(component)
    return component


def _below(component: str, calls: Mapping[str, Sequence[str]]) -> set[str]:
    """Return everything that a component calls, through others too."""
    found: set[str] = set()
    waiting = list(calls.get(component, ()))
    while waiting:
        name = waiting.pop()
        if name not in found and name != component:
            found.add(name)
            waiting += calls.get(name, ())
    return found
