"""Average active sessions as a stacked area: CPU green at the bottom, reads and writes blue, locks red, the rest grey on top."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from opslib.charts.drawing import CYCLE, INK, MUTED, WARN, Chart, draw
from opslib.charts.time_axis import Marker, day, days, draw_markers, legend, thinned, time_axes
from opslib.display import visible

if TYPE_CHECKING:
    import pandas as pd

OTHER = "other"
POINTS, NARROW_POINTS = 96, 48  # an area has two edges, and a chart eight areas: more points make a record heavy
# kind of wait event: its shades, from the one with the most load on; in the order in which they are stacked
_SHADES = {
    "CPU": ["#0b7a55"],
    "IO": ["#0072B2", "#56B4E9", "#9fd0ee", "#cfe6f5"],
    "LWLock": ["#8a5fb0", "#b99bd1", "#d9c9e6"],
    "Client": ["#b08b2e", "#d8c084"],
    "Lock": ["#b3261e", "#e0766f", "#f0b3ae"],
}
_GREY = "#aab4c0"


def stacked(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str = "average active sessions",
    line: float = 0.0,
    line_label: str = "",
    since: datetime | None = None,
    markers: Sequence[Marker] = (),
    zone: tzinfo = UTC,
) -> Chart:
    """Draw the columns on one another; `title` is a sentence and becomes the alt text.

    frame: index aware times, columns float64 (wait events such as CPU or Lock:tuple have the colours of their kind, and
    their order; others keep theirs; `other` is last), NaN is a gap. `line` is dashed, such as the number of vCPUs; from
    `since` on the background is shaded. More than 96 points become means, and it says so.
    """
    whole = frame[ordered(list(frame.columns))]
    colours = _colours(list(whole.columns))

    def paint(axes: Any, narrow: bool) -> None:
        parts, step = thinned(whole, most=NARROW_POINTS if narrow else POINTS)
        if parts.isna().to_numpy().all():  # also for an empty frame
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=MUTED, fontsize=12)
            return
        if since is not None:
            axes.axvspan(day(since), days(parts)[-1], color=WARN, alpha=0.1, lw=0, zorder=0)
        _areas(axes, parts, colours)
        time_axes(axes, parts, zone, unit, narrow, step)
        _line(axes, line, line_label, float(parts.sum(axis=1).max()))
        axes.set_ylim(bottom=0)
        draw_markers(axes, markers, narrow)
        legend(axes, narrow)

    return draw(title, paint, height=3.1, narrow_height=3.0 + 0.17 * len(whole.columns))


def ordered(columns: list[str]) -> list[str]:
    """Return the columns from the bottom up: CPU, then kind by kind, locks near the top, other last."""
    kinds = [*_SHADES]
    rank = {name: kinds.index(_kind(name)) if _kind(name) in kinds else kinds.index("Lock") - 0.5 for name in columns}
    return sorted(columns, key=lambda name: (name == OTHER, rank[name], columns.index(name)))


def _kind(name: str) -> str:
    return str(name).partition(":")[0]


def _colours(columns: list[str]) -> list[str]:
    used: dict[str, int] = {}
    found = []
    spare = iter(CYCLE * (len(columns) // len(CYCLE) + 1))
    events = any(_kind(name) in _SHADES for name in columns)
    for name in columns:
        kind = _kind(name)
        shades = _SHADES.get(kind, [_GREY])
        place = used[kind] = used.get(kind, -1) + 1
        found.append(_GREY if name == OTHER else shades[min(place, len(shades) - 1)] if events else next(spare))
    return found


def _areas(axes: Any, parts: pd.DataFrame, colours: list[str]) -> None:
    """Stack the areas; where one has no value the whole is a gap, never a dip."""
    import numpy as np

    values = parts.to_numpy(dtype=float)
    known = ~np.isnan(values).any(axis=1)
    tops = np.cumsum(np.nan_to_num(values), axis=1)
    for number in reversed(range(len(parts.columns))):  # from the top, as the legend reads
        bottom = tops[:, number - 1] if number else np.zeros(len(parts))
        label = visible(parts.columns[number])
        axes.fill_between(days(parts), bottom, tops[:, number], where=known, color=colours[number], lw=0, label=label, zorder=2)  # fmt: skip


def _line(axes: Any, line: float, label: str, most: float) -> None:
    if not line:
        return
    axes.axhline(line, color=INK, lw=1.4, ls=(0, (5, 3)), zorder=4)
    axes.set_ylim(top=max(axes.get_ylim()[1], line * 1.15, most * 1.12))
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0}
    where = axes.get_yaxis_transform()
    axes.text(0.004, line, label, transform=where, color=INK, fontsize=9, fontweight="bold", va="bottom", zorder=5, bbox=box)  # fmt: skip
