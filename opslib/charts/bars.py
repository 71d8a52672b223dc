"""Counts over time as stacked bars: ok below, failed on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.charts.drawing import BAD, CYCLE, MUTED, WARN, Chart, draw
from opslib.display import visible

if TYPE_CHECKING:
    import pandas as pd

_KNOWN = {
    "ok": CYCLE[0],
    "succeeded": CYCLE[0],
    "success": CYCLE[0],
    "retried": WARN,
    "failed": BAD,
    "failure": BAD,
    "critical": BAD,
    "other": WARN,
}
_WIDTH = 0.86  # of a bucket


def bars(counts: pd.DataFrame, *, title: str, unit: str, step: pd.Timedelta) -> Chart:
    """Draw one stacked bar a row.

    counts: index the begin of each bucket, aware and in the zone of the reader; columns the series from the bottom up,
    numbers. Series named ok, retried or failed have their own colour. `step` is the bucket's length, `unit` the
    label of the vertical axis.
    """

    def paint(axes: Any, narrow: bool) -> None:
        _stacks(axes, counts, step)
        _frame(axes, counts, unit, step, narrow)

    return draw(title, paint, height=2.7, narrow_height=2.5)


def _stacks(axes: Any, counts: pd.DataFrame, step: pd.Timedelta) -> None:
    import numpy as np

    begin = counts.index.tz_localize(None).to_numpy()  # local times as they stand: matplotlib would show UTC
    bottom = np.zeros(len(counts))
    spare = iter(CYCLE[1:])
    for name in counts.columns:
        height = counts[name].to_numpy(dtype=float)
        colour = _KNOWN.get(str(name)) or next(spare)
        width = (step * _WIDTH).to_numpy()
        axes.bar(begin, height, width, bottom, align="edge", color=colour, label=visible(name))
        bottom += height


def _frame(axes: Any, counts: pd.DataFrame, unit: str, step: pd.Timedelta, narrow: bool) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    locator = AutoDateLocator(minticks=2, maxticks=5 if narrow else 9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(0, max(1.0, float(counts.sum(axis=1).max() or 0)) * 1.08)
    axes.set_ylabel(unit)
    if len(counts):
        begin = counts.index.tz_localize(None)
        axes.set_xlim(begin[0], begin[-1] + step)
        axes.set_xlabel(f"{counts.index.tz}, bars of {_length(step)}", color=MUTED)
    if len(counts.columns) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(counts.columns), borderaxespad=0.2)


def _length(step: pd.Timedelta) -> str:
    hours = step.total_seconds() / 3600
    if hours >= 24:
        return "1 day" if hours == 24 else f"{hours / 24:g} days"
    return "1 hour" if hours == 1 else f"{hours:g} hours" if hours > 1 else f"{hours * 60:g} minutes"
