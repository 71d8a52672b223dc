"""Lines over time, with the limit, the usual course, what happened meanwhile and the incident's window in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from opslib.charts.drawing import BAD, CYCLE, INK, MUTED, WARN, Chart, draw
from opslib.display import visible

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

MAX_POINTS = 400  # a series; more cannot be seen, and makes the record heavy
LABELLED = 6  # markers with words; more would hide each other
USUAL = "same hours last week"
_STEPS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)  # seconds


@dataclass(frozen=True)
class Marker:
    """Something that happened at an instant: `kind` is change or alarm."""

    at: datetime
    label: str
    kind: str = "change"


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
    lines, step = _thinned(frame)
    usual = None if baseline is None else _thinned(_as_frame(baseline), step)[0]

    def paint(axes: Any, narrow: bool) -> None:
        if lines.isna().to_numpy().all():  # also for an empty frame
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=MUTED, fontsize=12)
        if window is not None:
            axes.axvspan(_at(window.start), _at(window.end), color=WARN, alpha=0.1, lw=0)
        _lines(axes, lines)
        _usual(axes, usual, list(lines.columns))
        _limit(axes, threshold)
        if len(lines):
            _axes(axes, lines, zone, unit, narrow, f"each point the mean of {_span(step)}" if step else "")
        _markers(axes, markers, narrow)
        _legend(axes, narrow)

    entries = len(lines.columns) + (usual is not None)
    return draw(title, paint, height=2.9, narrow_height=2.9 + 0.17 * entries * (entries > 1))


def _as_frame(baseline: Any) -> pd.DataFrame:
    return baseline.to_frame(USUAL) if baseline.ndim == 1 else baseline


def _thinned(frame: pd.DataFrame, step: int = 0) -> tuple[pd.DataFrame, int]:
    """Return the frame with a gap wherever times are missing, or as means of `step` seconds where it is too fine."""
    import numpy as np
    import pandas as pd

    if len(frame) < 2:
        return frame, 0
    between = np.diff(frame.index.as_unit("s").asi8)
    own, whole = int(np.median(between)), int(between.sum())
    if not step and whole // max(own, 1) >= MAX_POINTS:
        step = next((each for each in _STEPS if whole // each + 2 <= MAX_POINTS), whole // (MAX_POINTS - 2) + 1)
    if step > own:
        return frame.resample(f"{step}s").mean(), step
    holes = frame.index[:-1][between > 1.5 * own] + pd.Timedelta(seconds=own)
    return frame.reindex(frame.index.union(holes)), 0


def _lines(axes: Any, frame: pd.DataFrame) -> None:
    import numpy as np

    for number, column in enumerate(frame.columns):
        values = frame[column].to_numpy(dtype=float)
        known = ~np.isnan(values)
        alone = known.copy()  # a point between two gaps: no line would show it
        alone[1:] &= ~known[:-1]
        alone[:-1] &= ~known[1:]
        colour, style = CYCLE[number % len(CYCLE)], "-" if number < len(CYCLE) else (0, (4, 1.5))
        axes.plot(_times(frame), values, color=colour, ls=style, label=visible(column), zorder=3)
        axes.plot(_times(frame)[alone], values[alone], color=colour, ls="", marker="o", markersize=4, zorder=3)


def _usual(axes: Any, usual: pd.DataFrame | None, columns: list[Any]) -> None:
    if usual is None or not len(usual):
        return
    if {"low", "high"} <= set(usual.columns):
        low, high = usual["low"].to_numpy(dtype=float), usual["high"].to_numpy(dtype=float)
        axes.fill_between(_times(usual), low, high, color=MUTED, alpha=0.22, lw=0, label=USUAL)
        return
    for number, column in enumerate(usual.columns):
        colour = CYCLE[columns.index(column) % len(CYCLE)] if column in columns and len(columns) > 1 else MUTED
        label = USUAL if number == 0 else "_hidden"
        axes.plot(_times(usual), usual[column].to_numpy(dtype=float), color=colour, lw=1.2, ls=(0, (3, 2)), label=label)


def _limit(axes: Any, threshold: float | None) -> None:
    if threshold is None:
        return
    axes.axhline(threshold, color=BAD, lw=1.4, ls=(0, (5, 3)), zorder=2)
    where = axes.get_yaxis_transform()
    axes.text(0.004, threshold, f"limit {_number(threshold)}", transform=where, color=BAD, fontsize=9, fontweight="bold", va="bottom", zorder=4)  # fmt: skip


def _axes(axes: Any, frame: pd.DataFrame, zone: tzinfo, unit: str, narrow: bool, note: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda value, _: _number(value))
    low, high = axes.dataLim.intervaly
    if 0 < low < 0.75 * high:
        axes.set_ylim(bottom=0)
    axes.set_ylim(top=max(axes.get_ylim()[1], high + 0.12 * (high - axes.get_ylim()[0])))
    axes.set_ylabel(visible(unit))
    if len(frame) == 1:
        axes.set_xlim(_times(frame)[0] - 1 / 48, _times(frame)[0] + 1 / 48)
    first, last = (datetime.fromtimestamp(edge * 86_400, zone) for edge in axes.get_xlim())
    ticks = _ticks(first, last, 5 if narrow else 9)
    axes.set_xticks(
        [_at(tick) for tick in ticks],
        [f"{tick:%m-%d}" if tick == _midnight(tick) else f"{tick:%H:%M}" for tick in ticks],
    )
    days = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%m-%d}"
    axes.set_xlabel(" · ".join(part for part in (f"{days} {last.tzname()}", note) if part), loc="left")


def _ticks(first: datetime, last: datetime, most: int) -> list[datetime]:
    """Return round local times, about so many; matplotlib's own choice warns for some spans, into the record."""
    seconds = (last - first).total_seconds()
    step = next((each for each in _STEPS if seconds / each <= most), 86_400 * (int(seconds / 86_400 / most) + 1))
    begin = _midnight(first)
    count = int((last - begin).total_seconds()) // step + 1
    return [tick for n in range(count) if first <= (tick := begin + timedelta(seconds=n * step)) <= last]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _markers(axes: Any, markers: Sequence[Marker], narrow: bool) -> None:
    """Draw what happened, and its words in rows above the lines, so that none hides another."""
    left, right = axes.get_xlim()
    letters = (right - left) / (52 if narrow else 108)  # the width of one letter, in days
    ends: list[float] = []
    shown = [marker for marker in sorted(markers, key=lambda each: each.at) if left <= _at(marker.at) <= right]
    for number, marker in enumerate(shown):
        at, colour = _at(marker.at), BAD if marker.kind == "alarm" else INK
        axes.axvline(at, color=colour, lw=1.1, ls=":", zorder=2)
        if number < LABELLED:
            words = _cut(visible(marker.label), 20 if narrow else 34)
            width = letters * sum(2 if ord(letter) > 0x2E7F else 1 for letter in words)
            flip = at + width > right  # no room on its right
            start = at - width if flip else at
            row = next((n for n, end in enumerate(ends) if end < start), len(ends))
            ends[row : row + 1] = [start + width + 2 * letters]
            axes.annotate(words, (at, 1), xycoords=("data", "axes fraction"), xytext=(-4 if flip else 4, 3 + 11 * row),
                          textcoords="offset points", ha="right" if flip else "left", fontsize=9, color=colour)  # fmt: skip
    if len(shown) > LABELLED:
        axes.annotate(f"and {len(shown) - LABELLED} more", (1, 1), xycoords="axes fraction", xytext=(0, 3 + 11 * len(ends)),
                      textcoords="offset points", ha="right", fontsize=9, color=MUTED)  # fmt: skip


def _legend(axes: Any, narrow: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        place = {"loc": "outside lower left", "ncols": 1} if narrow else {"loc": "outside right upper"}
        axes.figure.legend(handles, [_cut(label, 40 if narrow else 26) for label in labels], alignment="left", **place)


def _number(value: float) -> str:
    """Return a tick such as 0.25, 40, 1.2 k or 312 G."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (size if letter != 'k' else 1e3):.4g} {letter}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _span(seconds: int) -> str:
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {word}"
    return f"{seconds} s"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip(' .-')}…"


def _times(frame: pd.DataFrame) -> Any:
    return frame.index.as_unit("ms").asi8 / 86_400_000  # days since 1970: what matplotlib counts in


def _at(moment: datetime) -> float:
    return moment.timestamp() / 86_400
