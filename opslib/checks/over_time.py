"""Rows of the application's tables over time, and where they are from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib.charts.bars import bars
from opslib.charts.drawing import Chart
from opslib.database import query_text
from opslib.result import Source

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run
    from opslib.window import Window

HOURLY_UP_TO = 3 * 86_400


def counts(run: Run, window: Window, moments: dict[str, pd.Series]) -> pd.DataFrame:
    """Return how many moments of each name fall into each hour of the window, or each day when it is over three days.

    The index holds the begin of each, in the environment's zone, and has its length as `freq`.
    """
    import numpy as np
    import pandas as pd

    zone, hourly = run.environment.timezone, window.seconds <= HOURLY_UP_TO
    start, end = (pd.Timestamp(moment).tz_convert(zone) for moment in (window.start, window.end))
    first = start.floor("h") if hourly else start.normalize()
    edges = pd.date_range(first, end, freq="h" if hourly else "D", inclusive="left")
    places = {name: edges.searchsorted(at.dt.tz_convert(zone), side="right") - 1 for name, at in moments.items()}
    tallies = {name: np.bincount(place[place >= 0], minlength=len(edges)) for name, place in places.items()}
    return pd.DataFrame(tallies, index=edges)


def chart(frame: pd.DataFrame, *, title: str, unit: str) -> Chart:
    """Draw what `counts` returned as stacked bars."""
    import pandas as pd

    return bars(frame, title=title, unit=unit, step=pd.Timedelta(hours=1 if frame.index.freqstr == "h" else 24))


def source(run: Run, window: Window, query: str, frame: pd.DataFrame) -> Source:
    """Return where the pages of a table are from, queries/<table>_page.sql: replica or primary, and how late."""
    late = float(frame.attrs.get("lag_s", 0.0))
    note = f"table {query.removesuffix('_page')}, {frame.attrs.get('read_from', 'primary')}" + (
        f", {late:.0f} s behind" if late >= 1 else ""
    )
    return Source("PostgreSQL", run.identity.account, run.environment.region, window.text(), query_text(query), note)


def local_times(run: Run, moments: pd.Series) -> pd.Series:
    """Return moments as 11-05 11:02 in the environment's zone; – where there is none."""
    import pandas as pd

    aware = pd.to_datetime(moments, utc=True)  # a column without any moment has no type
    return aware.dt.tz_convert(run.environment.timezone).dt.strftime("%m-%d %H:%M").fillna("–")
