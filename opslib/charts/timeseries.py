"""Lines over time, with the limit, the usual course, what happened meanwhile and the incident's window in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

from opslib.charts.drawing import BAD, CYCLE, MUTED, WARN, Chart, draw
from opslib.charts.time_axis import Marker, day, days, draw_markers, legend, number_text, thinned, time_axes
from opslib.display import visible

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

__all__ = ["Marker", "timeseries"]
USUAL = "same hours last week"


def timeseries(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str,
    threshold: float | None = None,
    baseline: pd.DataFrame | pd.Series[Any] | None = None,
    markers: Sequence[Marker] = (),
    window: Window | None = None,
    zone: tzinfo = UTC,
) -> Chart:
    """Draw one line a column; `title` is a sentence and becomes the alt text.

    frame: index aware times, columns float; NaN and missing times are gaps. baseline: a column `low` and `high` is a
    band, else each column (or the Series) a dashed line, in the colour of the line of its name. `unit` stands on the
    axis, `threshold` is in that unit, `window` is shaded. More than 400 points a series become means, and it says so.
    """
    lines, step = thinned(frame)
    usual = None if baseline is None else thinned(_as_frame(baseline), step)[0]
    empty = bool(lines.isna().to_numpy().all())

    def paint(axes: Any, narrow: bool) -> None:
        if empty:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=MUTED, fontsize=12)
        if window is not None:
            axes.axvspan(day(window.start), day(window.end), color=WARN, alpha=0.1, lw=0)
        _lines(axes, lines)
        _usual(axes, usual, list(lines.columns))
        _limit(axes, threshold)
        if not empty:
            time_axes(axes, lines, zone, unit, narrow, step)
        draw_markers(axes, markers, narrow)
        legend(axes, narrow)

    entries = len(lines.columns) + (usual is not None)
    return draw(title, paint, height=2.9, narrow_height=2.9 + 0.17 * entries * (entries > 1))


def _as_frame(baseline: Any) -> pd.DataFrame:
    return baseline.to_frame(USUAL) if baseline.ndim == 1 else baseline


def _lines(axes: Any, frame: pd.DataFrame) -> None:
    import numpy as np

    for number, column in enumerate(frame.columns):
        values = frame[column].to_numpy(dtype=float)
        known = ~np.isnan(values)
        alone = known.copy()  # a point between two gaps: no line would show it
        alone[1:] &= ~known[:-1]
        alone[:-1] &= ~known[1:]
        colour, style = CYCLE[number % len(CYCLE)], "-" if number < len(CYCLE) else (0, (4, 1.5))
        axes.plot(days(frame), values, color=colour, ls=style, label=visible(column), zorder=3)
        axes.plot(days(frame)[alone], values[alone], color=colour, ls="", marker="o", markersize=4, zorder=3)


def _usual(axes: Any, usual: pd.DataFrame | None, columns: list[Any]) -> None:
    if usual is None or not len(usual):
        return
    if {"low", "high"} <= set(usual.columns):
        low, high = usual["low"].to_numpy(dtype=float), usual["high"].to_numpy(dtype=float)
        axes.fill_between(days(usual), low, high, color=MUTED, alpha=0.22, lw=0, label=USUAL)
        return
    for number, column in enumerate(usual.columns):
        colour = CYCLE[columns.index(column) % len(CYCLE)] if column in columns and len(columns) > 1 else MUTED
        label = USUAL if number == 0 else "_hidden"
        axes.plot(days(usual), usual[column].to_numpy(dtype=float), color=colour, lw=1.2, ls=(0, (3, 2)), label=label)


def _limit(axes: Any, threshold: float | None) -> None:
    if threshold is None:
        return
    axes.axhline(threshold, color=BAD, lw=1.4, ls=(0, (5, 3)), zorder=2)
    where = axes.get_yaxis_transform()
    axes.text(0.004, threshold, f"limit {number_text(threshold)}", transform=where, color=BAD, fontsize=9, fontweight="bold", va="bottom", zorder=4)  # fmt: skip
