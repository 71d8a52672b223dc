"""What happened to a database, read from numbers alone: since when it is not as usual, and what grew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LASTING = 3  # periods: shorter is a spike, and a shorter pause does not end it
RECENT = 10  # periods that are "now"
FILLING = 30  # periods over which the storage's fall is measured


@dataclass(frozen=True)
class Surge:
    """A stretch in which a series stood above what is usual for it in the window."""

    since: pd.Timestamp
    until: pd.Timestamp | None  # None: it lasts
    usual: float
    during: float
    before: bool  # it began before the window does


@dataclass(frozen=True)
class Storage:
    """Free bytes, how fast they go, and the seconds until none are left (infinite: they do not)."""

    free: float
    bytes_an_hour: float
    seconds_left: float


def surge(values: pd.Series[float], *, least: float) -> Surge | None:
    """Return the latest lasting stretch above the usual, which is what the calmest quarter of the window shows.

    values: index aware times, NaN where nothing is known. Above means half as much again, and at least `least` more.
    """
    import pandas as pd

    smooth = values.dropna().rolling(3, center=True, min_periods=1).median()
    if len(smooth) < 2 * LASTING:
        return None
    usual = float(smooth.quantile(0.25))
    above = (smooth > usual + max(0.5 * abs(usual), least)).to_numpy()
    runs = _runs(above)
    if not runs:
        return None
    first, last = runs[-1]
    lasts = len(above) - 1 - last <= LASTING
    during = values.dropna().iloc[first : last + 1]
    settled = during.iloc[len(during) // 3 :]  # past the rise
    began = pd.Timestamp(smooth.index[first])
    return Surge(began, None if lasts else smooth.index[last], usual, float(settled.mean()), first == 0)


def in_season(rise: Surge, usual: pd.Series[float]) -> bool:
    """Tell whether the same hours of last week were as high as the rise is: then the day rose, and nothing happened.

    usual: last week's values under this week's aware times; without any, nothing is known to be usual.
    """
    then = usual[(usual.index >= rise.since) & (usual.index <= (rise.until or usual.index.max()))].dropna()
    return len(then) >= LASTING and rise.during <= 1.5 * float(then.median())


def _runs(above: Any) -> list[tuple[int, int]]:
    """Return the first and last place of each lasting stretch; short pauses do not part it."""
    runs: list[list[int]] = []
    for place in (place for place, is_above in enumerate(above) if is_above):
        if runs and place - runs[-1][1] <= LASTING:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return [(first, last) for first, last in runs if last - first + 1 >= LASTING]


def growth(frame: pd.DataFrame, rise: Surge | None) -> pd.DataFrame:
    """Return what each group of a load had before and has since: group str, before, since, more float64, most first.

    frame: time and one column a group, as performance_insights.load returns it. Without a rise before is NaN, and
    since is the mean of the window.
    """
    import pandas as pd

    parts = frame.drop(columns=["time", "total"])
    after, before = pd.Series(True, index=frame.index), pd.Series(False, index=frame.index)
    if rise is not None:
        before = frame["time"] < rise.since
        after = ~before if rise.until is None else ~before & (frame["time"] <= rise.until)
    usual, now = parts[before].mean(), parts[after].mean()
    table = pd.DataFrame({"group": list(parts.columns), "before": usual.to_numpy(), "since": now.to_numpy()})
    table["more"] = table["since"] - table["before"].fillna(0.0)
    return table.sort_values("more", ascending=False, ignore_index=True, kind="stable")


def now_of(values: pd.Series[float], periods: int = RECENT) -> float:
    """Return the median of the last known values; NaN when there are none. Fewer periods follow what grows."""
    known = values.dropna().iloc[-periods:]
    return float(known.median()) if len(known) else float("nan")


def storage(free: pd.Series[float]) -> Storage | None:
    """Return how fast the free space goes; noise does not count as falling. free: index aware times, bytes."""
    known = free.dropna()
    if len(known) < 2 * LASTING:
        return None
    part = known.iloc[-FILLING:]
    third = max(len(part) // 3, 1)
    first, last = float(part.iloc[:third].median()), float(part.iloc[-third:].median())
    hours = (part.index[-third:].mean() - part.index[:third].mean()).total_seconds() / 3600
    noise = float((part.diff().dropna() - part.diff().median()).abs().median())
    falls = first - last > max(4 * noise, 0.002 * first)
    rate = (first - last) / hours if falls and hours else 0.0
    left = float(part.iloc[-1]) / rate * 3600 if rate else float("inf")
    return Storage(float(part.iloc[-1]), rate, left)
