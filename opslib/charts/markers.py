"""What happened meanwhile, as markers of a chart over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib.charts.time_axis import Marker

if TYPE_CHECKING:
    import pandas as pd


def markers(*, changes: pd.DataFrame | None = None, alarms: pd.DataFrame | None = None) -> list[Marker]:
    """Return deploys and other changes, and alarms that went on, oldest first.

    changes: as `checks.changes.as_table` gives them (at, component, kind, what). alarms: as `sources.alarms.history`
    gives them (at, name, after); an alarm that flaps is marked where it went on first.
    """
    found = []
    if changes is not None:
        found += [Marker(row.at.to_pydatetime(), f"{row.kind} {row.component}") for row in changes.itertuples()]
    if alarms is not None:
        on = alarms[alarms["after"] == "ALARM"].sort_values("at").drop_duplicates("name")
        found += [Marker(row.at.to_pydatetime(), f"alarm {row.name}", "alarm") for row in on.itertuples(index=False)]
    return sorted(found, key=lambda marker: marker.at)
