"""A Gantt chart: a lane a service, a bar from its first to its last line, ticks for lines, gaps shaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.charts.drawing import BAD, CYCLE, INK, MUTED, WARN, Chart, draw
from opslib.display import visible

if TYPE_CHECKING:
    import pandas as pd


def gantt(
    spans: pd.DataFrame,
    marks: pd.DataFrame,
    gaps: pd.DataFrame,
    *,
    title: str,
    unit: str = "milliseconds since the first line",
) -> Chart:
    """Draw lanes in the order of `spans`.

    spans: lane str, start_ms float, end_ms float, lines int, error bool, note str; a lane without lines has NaN times.
    marks: lane str, ms float, error bool, first_error bool. gaps: start_ms float, end_ms float, label str.
    """
    spans = spans.reset_index(drop=True)
    lanes = {lane: row for row, lane in enumerate(spans["lane"])}
    total = max(float(spans["end_ms"].max(skipna=True) or 0), 1.0)

    def paint(axes: Any, narrow: bool) -> None:
        _gaps(axes, gaps, total, len(lanes))
        for row, span in enumerate(spans.itertuples()):
            _lane(axes, row, span, total, narrow)
        _ticks(axes, marks, lanes)
        _frame(axes, spans, total, unit, narrow)

    return draw(title, paint, height=0.42 * len(lanes) + 1.1, narrow_height=0.42 * len(lanes) + 1.1)


def _lane(axes: Any, row: int, span: Any, total: float, narrow: bool) -> None:
    if span.start_ms != span.start_ms:  # NaN: the service was expected and is silent
        axes.text(total * 0.008, row, visible(span.note), va="center", fontsize=9, color=MUTED, style="italic")
        return
    length = max(span.end_ms - span.start_ms, total * 0.004)
    axes.barh(row, length, left=span.start_ms, height=0.58, color=BAD if span.error else CYCLE[0], alpha=0.92)
    label = f"{span.end_ms - span.start_ms:,.0f} ms"
    if span.note and not narrow:
        label += f"  {visible(span.note)}"
    inside = length > total * 0.45
    axes.text(span.start_ms + (total * 0.01 if inside else length + total * 0.01), row, label, va="center", fontsize=9,
              color="white" if inside else (BAD if span.error else MUTED), fontweight="bold" if span.error else "normal")  # fmt: skip


def _ticks(axes: Any, marks: pd.DataFrame, lanes: dict[str, int]) -> None:
    for mark in marks.itertuples():
        row = lanes[mark.lane]
        axes.plot([mark.ms, mark.ms], [row - 0.29, row + 0.29], color="white" if not mark.error else "#ffd2cc", lw=1.1)
        if mark.first_error:
            axes.plot([mark.ms], [row - 0.42], marker="v", color=BAD, markersize=7, clip_on=False)
            axes.annotate(
                "first error",
                (mark.ms, row - 0.42),
                xytext=(-6, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=9,
                color=BAD,
            )


def _gaps(axes: Any, gaps: pd.DataFrame, total: float, count: int) -> None:
    for gap in gaps.itertuples():
        axes.axvspan(gap.start_ms, gap.end_ms, color=WARN, alpha=0.12, lw=0)
        axes.text(
            (gap.start_ms + gap.end_ms) / 2,
            count - 0.42,
            visible(gap.label),
            ha="center",
            va="top",
            fontsize=9,
            color=WARN,
            fontweight="bold",
        )


def _frame(axes: Any, spans: pd.DataFrame, total: float, unit: str, narrow: bool) -> None:
    axes.set_yticks(range(len(spans)), [_named(lane, 14 if narrow else 24) for lane in spans["lane"]], color=INK)
    axes.set_ylim(len(spans) - 0.05, -0.75)
    axes.set_xlim(min(0.0, float(spans["start_ms"].min(skipna=True))), total * (1.3 if narrow else 1.16))
    axes.grid(axis="x")
    axes.grid(False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel(unit)
    if narrow:
        axes.locator_params(axis="x", nbins=4)


def _named(lane: str, longest: int) -> str:
    """Return a lane's name, its middle cut out when the drawing would have no room left."""
    shown = visible(lane)
    return shown if len(shown) <= longest else f"{shown[: longest // 2]}…{shown[-longest // 2 + 1 :]}"
