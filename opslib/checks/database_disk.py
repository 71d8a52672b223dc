"""The evidence about what does not show as load: how long the storage lasts, how far the replica is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib.charts.timeseries import timeseries
from opslib.checks.database_parts import GB, TITLES, unseen
from opslib.checks.database_story import Storage, Surge, now_of
from opslib.checks.wording import local, took
from opslib.result import Result, Sight, Source, Verdict
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

HOURS, DAYS = 6 * 3600, 3 * 86_400  # storage that is full within these is critical, worth a look
LATE, FAR = 10.0, 60.0  # seconds of replica lag


def storage_verdict(left: Storage, size_gb: float) -> Verdict:
    """Return how urgent it is: full soon, or nearly full already."""
    share = left.free / GB / size_gb if size_gb else 1.0
    if left.seconds_left < HOURS or share < 0.05:
        return Verdict.CRITICAL
    return Verdict.WARN if left.seconds_left < DAYS or share < 0.1 else Verdict.OK


def storage_text(left: Storage, size_gb: float) -> str:
    """Return how much is left and for how long."""
    of = f" of {size_gb:,.0f} GB" if size_gb else ""
    said = f"{left.free / GB:,.0f} GB{of} are free"
    if not left.bytes_an_hour:
        return f"{said} and do not shrink fast"
    return f"{said} and shrink by {left.bytes_an_hour / GB:,.0f} GB an hour: full in {took(left.seconds_left)}"


def storage(
    run: Run, free: pd.Series[float], left: Storage | None, size_gb: float, fact: Fact, window: Window
) -> Result:
    """Show the free space and when there is none."""
    if left is None:
        return unseen(fact, "storage")
    sentence = storage_text(left, size_gb) + "."
    chart = timeseries((free / GB).to_frame("free storage"), title=sentence, unit="GB", zone=window.zone)
    return Result("storage", TITLES["storage"], storage_verdict(left, size_gb), sentence, chart=chart, sources=_source(run, window, "FreeStorageSpace"))  # fmt: skip


def lag_verdict(seconds: float) -> Verdict:
    """Return how far is too far."""
    return Verdict.CRITICAL if seconds >= FAR else Verdict.WARN if seconds >= LATE else Verdict.OK


def replica(run: Run, lag: pd.Series[float], rise: Surge | None, fact: Fact, window: Window) -> Result:
    """Show how far the replica is behind, and since when."""
    names = run.environment.database.replicas if run.environment.database else ()
    if not names:
        return Result("replica", TITLES["replica"], Verdict.OK, "There is no replica.")
    if not len(lag.dropna()):
        return unseen(fact, "replica")
    now = now_of(lag, 3)
    since = (
        f", more than usual since {local(rise.since, window)}" if rise and rise.until is None and now >= LATE else ""
    )
    sentence = f"{', '.join(names)} is {took(now)} behind{since}."
    chart = timeseries(lag.to_frame("replica lag"), title=sentence, unit="seconds", zone=window.zone)
    return Result("replica", TITLES["replica"], lag_verdict(now), sentence, Sight.COMPLETE, chart=chart, sources=_source(run, window, "ReplicaLag"))  # fmt: skip


def _source(run: Run, window: Window, metric: str) -> tuple[Source, ...]:
    return (Source("CloudWatch AWS/RDS", run.identity.account, run.environment.region, window.text(), metric),)
