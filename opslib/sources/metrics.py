"""CloudWatch metrics: every series of the table in few calls, what is missing said, and the same hours of last week."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.errors import ParameterError
from opslib.sources.metric_answers import Reading, readings
from opslib.sources.metric_queries import Metric, table

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

PERIODS = (60, 300, 900, 3600, 21_600, 86_400)
MOST_POINTS = 1440
DAY, WEEK = 86_400, 7 * 86_400
_KEPT = ((63 * DAY, 3600), (15 * DAY, 300))  # (older than, kept no finer than), in seconds
_SUMS = {"Sum", "SampleCount"}


@dataclass(frozen=True)
class Grid:
    """Whole periods, as epoch seconds."""

    start: int
    end: int
    period: int

    @property
    def points(self) -> int:
        """Return how many periods there are."""
        return (self.end - self.start) // self.period

    def index(self) -> pd.DatetimeIndex:
        """Return the start of each period."""
        import pandas as pd

        return pd.to_datetime(range(self.start, self.end, self.period), unit="s", utc=True)


def series(
    environment: Environment, *, window: Window, components: Sequence[str] = (), period: int = 0, apart: bool = False
) -> pd.DataFrame:
    """Return every metric of the table over a window (cloudwatch:GetMetricData, us-east-1 beside the own region).

    Index: start of each period, UTC; columns: MultiIndex (component, metric), float64, NaN where there is no point.
    `period` 0 chooses the finest that is kept since the window's start and gives at most 1,440 points; the last period
    is a whole one; `apart` gives each node and replica its own columns. Columns without a point are left out. attrs: period (s), problems and no_data (list of str; a
    problem is an answer that is partly missing, refused or failed, never an empty one), calls, metrics, usd.
    Raises SourceError when nothing was answered, ParameterError for an unknown component.
    """
    grid = grid_for(window, now=aws.now(environment), period=period)
    return _frame(environment, table(environment, components, apart=apart), grid)


def baseline(
    environment: Environment, *, window: Window, components: Sequence[str] = (), period: int = 0
) -> pd.DataFrame:
    """Return the same hours of last week under the index of `series`, so that both compare line by line.

    Where that far back only longer periods are kept, sums are scaled down to the period of `series`. Columns and
    attrs as there, with weeks (how far back).
    """
    now, weeks = aws.now(environment), math.ceil(window.seconds / WEEK)
    grid = grid_for(window, now=now, period=period)
    back = timedelta(weeks=weeks)
    then = grid_for(_moved(window, back), now=now, period=grid.period)
    metrics = table(environment, components)
    frame = _frame(environment, metrics, then)
    if then.period > grid.period:
        for metric in metrics:
            if is_sum(metric) and (metric.component, metric.metric) in frame.columns:
                frame[metric.component, metric.metric] *= grid.period / then.period
    attrs = frame.attrs
    frame.index = frame.index + back
    frame = (
        frame.reindex(grid.index(), method="ffill", limit=max(1, then.period // grid.period - 1))
        if then.period > grid.period
        else frame.reindex(grid.index())
    )
    frame.attrs = {**attrs, "period": grid.period, "weeks": weeks}
    return frame


def band(usual: pd.Series[Any], *, minutes: int = 60) -> pd.DataFrame:
    """Return low and high of what is usual: the median of an hour around each point, and three robust deviations.

    `usual` is a column of `baseline`; the band is never narrower than 2 % of the median, as a constant has no deviation.
    """
    import pandas as pd

    step = (usual.index[1] - usual.index[0]).total_seconds() if len(usual) > 1 else 60
    around = {"window": max(3, int(minutes * 60 / step)), "center": True, "min_periods": 1}
    middle = usual.rolling(**around).median()
    deviation = 1.4826 * (usual - middle).abs().rolling(**around).median()
    wide = (3 * deviation).clip(lower=0.02 * middle.abs())
    return pd.DataFrame({"low": middle - wide, "high": middle + wide})


def by_dimension(
    environment: Environment,
    *,
    window: Window,
    namespace: str,
    name: str,
    dimension: str,
    statistic: str,
    period: int = 0,
) -> pd.DataFrame:
    """Return one metric for every value of a dimension, found by SEARCH (at most 500): one column a value.

    Index and attrs as of `series`. Namespace, name and dimension are the program's own words, never a user's.
    """
    import pandas as pd

    grid = grid_for(window, now=aws.now(environment), period=period)
    search = f"SEARCH('{{{namespace},{dimension}}} MetricName=\"{name}\"', '{statistic}', {grid.period})"
    metric = Metric(namespace, name, "", "", "", (), expression=search, label=f"${{PROP('Dim.{dimension}')}}")
    found, usage = readings(environment, [metric], grid)
    reading = found[metric]
    columns = {label: _column(points, grid) for label, points in sorted(reading.points.items())}
    frame = pd.DataFrame(columns, index=grid.index(), dtype="float64")
    problems = [f"{name} by {dimension}: {reading.problem}"] if reading.problem else []
    frame.attrs = {"period": grid.period, "problems": problems, "no_data": [] if columns else [name], **usage}
    return frame


def grid_for(window: Window, *, now: datetime, period: int = 0) -> Grid:
    """Return the whole periods of a window: as fine as CloudWatch keeps since its start, at most 1,440 of them.

    A given period that is finer than what is kept becomes what is kept. Raises ParameterError for one that is no
    multiple of 60.
    """
    if period < 0 or period % 60:
        raise ParameterError(f"a period of {period} s cannot be asked for", fix="use 0, or a multiple of 60")
    for chosen in (period,) if period else PERIODS:
        kept = max(chosen, _finest(now.timestamp() - _down(window.start.timestamp(), chosen)))
        start, end = _down(window.start.timestamp(), kept), _down(window.end.timestamp(), kept)
        grid = Grid(start, max(end, start + kept), kept)
        if grid.points <= MOST_POINTS:
            break
    return grid


def _finest(age: float) -> int:
    return next((tier for older, tier in _KEPT if age >= older), 60)


def _down(moment: float, period: int) -> int:
    return int(moment // period) * period


def _moved(window: Window, back: timedelta) -> Window:
    from dataclasses import replace

    return replace(window, start=window.start - back, end=window.end - back)


def is_sum(metric: Metric) -> bool:
    """Tell whether a value of the metric grows with its period."""
    return "/" not in metric.expression and {stat.statistic for stat in metric.stats} <= _SUMS


def _frame(environment: Environment, metrics: Sequence[Metric], grid: Grid) -> pd.DataFrame:
    import pandas as pd

    found, usage = readings(environment, metrics, grid)
    columns = {(metric.component, metric.metric): _column(found[metric].only(), grid) for metric in metrics}
    frame = pd.DataFrame(columns, index=grid.index(), dtype="float64")
    frame.columns = pd.MultiIndex.from_tuples(columns, names=["component", "metric"])
    frame = _filled(frame, metrics, found)
    empty = frame.isna().all()
    named = {metric: f"{metric.component} {metric.metric}" for metric in metrics}
    frame = frame.loc[:, ~empty]
    frame.attrs = {
        "period": grid.period,
        "problems": [f"{named[metric]}: {found[metric].problem}" for metric in metrics if found[metric].problem],
        "no_data": [named[metric] for metric in metrics if empty[metric.component, metric.metric] and not found[metric].problem],
        **usage,
    }  # fmt: skip
    return frame


def _column(points: dict[int, float], grid: Grid) -> Any:
    import numpy as np

    column = np.full(grid.points, np.nan)
    for at, value in points.items():
        if grid.start <= at < grid.end:
            column[(at - grid.start) // grid.period] = value
    return column


def _filled(frame: pd.DataFrame, metrics: Sequence[Metric], found: dict[Metric, Reading]) -> pd.DataFrame:
    """Put the value of "nothing happened" where no point means that: while the component is heard of, and no problem known."""
    heard = frame.notna().T.groupby(level="component").any().T
    for metric in metrics:
        if metric.empty is not None and not found[metric].problem:
            at = heard.index[heard[metric.component]]
            if len(at):
                place = (metric.component, metric.metric)
                frame.loc[at[0] : at[-1], place] = frame.loc[at[0] : at[-1], place].fillna(metric.empty)
    return frame
