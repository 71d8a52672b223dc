"""The axis of time that charts share: points thinned, round local ticks, numbers, markers and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from opslib.charts.drawing import BAD, INK, MUTED
from opslib.display import visible

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 400  # a series; more cannot be seen, and makes the record heavy
LABELLED = 6  # markers with words; more would hide each other
_STEPS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)  # seconds


@dataclass(frozen=True)
class Marker:
    """Something that happened at an instant: `kind` is change or alarm."""

    at: datetime
    label: str
    kind: str = "change"


def thinned(frame: pd.DataFrame, step: int = 0, *, most: int = MAX_POINTS) -> tuple[pd.DataFrame, int]:
    """Return the frame with a gap wherever times are missing, or as means of `step` seconds where it is too fine."""
    import numpy as np
    import pandas as pd

    if len(frame) < 2:
        return frame, 0
    between = np.diff(frame.index.as_unit("s").asi8)
    own, whole = int(np.median(between)), int(between.sum())
    if not step and whole // max(own, 1) >= most:
        step = next((each for each in _STEPS if whole // each + 2 <= most), whole // (most - 2) + 1)
    if step > own:
        return frame.resample(f"{step}s").mean(), step
    holes = frame.index[:-1][between > 1.5 * own] + pd.Timedelta(seconds=own)
    return frame.reindex(frame.index.union(holes)), 0


def time_axes(axes: Any, frame: pd.DataFrame, zone: tzinfo, unit: str, narrow: bool, step: int) -> None:
    """Draw round local ticks, the unit, the date and zone, and what the points are the means of (`step` s, 0 none)."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda value, _: number_text(value))
    low, high = axes.dataLim.intervaly
    if 0 < low < 0.75 * high:
        axes.set_ylim(bottom=0)
    if low == high == 0:
        axes.set_ylim(-0.02, 1)  # nothing happened: no axis of negative errors
    axes.set_ylim(top=max(axes.get_ylim()[1], high + 0.12 * (high - axes.get_ylim()[0])))
    axes.set_ylabel(visible(unit))
    if len(frame) == 1:
        axes.set_xlim(days(frame)[0] - 1 / 48, days(frame)[0] + 1 / 48)
    first, last = (datetime.fromtimestamp(edge * 86_400, zone) for edge in axes.get_xlim())
    ticks = _ticks(first, last, 5 if narrow else 9)
    axes.set_xticks(
        [day(tick) for tick in ticks],
        [f"{tick:%m-%d}" if tick == _midnight(tick) else f"{tick:%H:%M}" for tick in ticks],
    )
    note = f"each point the mean of {_span_text(step)}" if step else ""
    dates = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%m-%d}"
    axes.set_xlabel(" · ".join(part for part in (f"{dates} {last.tzname()}", note) if part), loc="left")


def _ticks(first: datetime, last: datetime, most: int) -> list[datetime]:
    """Return round local times, about so many; matplotlib's own choice warns for some spans, into the record."""
    seconds = (last - first).total_seconds()
    step = next((each for each in _STEPS if seconds / each <= most), 86_400 * (int(seconds / 86_400 / most) + 1))
    begin = _midnight(first)
    count = int((last - begin).total_seconds()) // step + 1
    return [tick for n in range(count) if first <= (tick := begin + timedelta(seconds=n * step)) <= last]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def draw_markers(axes: Any, markers: Sequence[Marker], narrow: bool) -> None:
    """Draw what happened, and its words in rows above the lines, so that none hides another."""
    left, right = axes.get_xlim()
    letters = (right - left) / (52 if narrow else 108)  # the width of one letter, in days
    ends: list[float] = []
    shown = [marker for marker in sorted(markers, key=lambda each: each.at) if left <= day(marker.at) <= right]
    for number, marker in enumerate(shown):
        at, colour = day(marker.at), BAD if marker.kind == "alarm" else INK
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


def legend(axes: Any, narrow: bool) -> None:
    """Put the legend beside the chart, under it on a narrow screen; one line needs none."""
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:
        place = {"loc": "outside lower left", "ncols": 1} if narrow else {"loc": "outside right upper"}
        axes.figure.legend(handles, [_cut(label, 40 if narrow else 26) for label in labels], alignment="left", **place)


def number_text(value: float) -> str:
    """Return a tick such as 0.25, 40, 1.2 k or 312 G."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (size if letter != 'k' else 1e3):.4g} {letter}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _span_text(seconds: int) -> str:
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {word}"
    return f"{seconds} s"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip(' .-')}…"


def days(frame: pd.DataFrame) -> Any:
    """Return the index as matplotlib counts time: days since 1970."""
    return frame.index.as_unit("ms").asi8 / 86_400_000


def day(moment: datetime) -> float:
    """Return a moment as matplotlib counts time."""
    return moment.timestamp() / 86_400
