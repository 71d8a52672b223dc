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
_SHOWN = [
    "instance",
    "role",
    "status",
    "class",
    "engine",
    "storage_gb",
    "availability",
    "maintenance_window",
    "pending",
]


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
    run: Run, free: pd.Series[float], left: Storage | None, facts: dict[str, Fact], name: str, window: Window
) -> Result:
    """Show the instances, and of one whose space goes the free space over time."""
    instances = facts["instances"].frame
    if left is None:
        return unseen(facts["metrics"], "storage")
    size = size_of(facts["instances"], name)
    sentence, verdict = storage_text(left, size) + ".", storage_verdict(left, size)
    goes = verdict is not Verdict.OK
    chart = (
        timeseries((free / GB).to_frame("free storage"), title=sentence, unit="GB", zone=window.zone) if goes else None
    )
    shown = None if instances is None else instances[_SHOWN].rename(columns=lambda column: column.replace("_", " "))
    reason, sight = ("", Sight.COMPLETE) if size else ("how large the storage is could not be seen", Sight.PARTIAL)
    return Result("storage", TITLES["storage"], verdict, sentence, sight, reason, table=shown, chart=chart, sources=_source(run, window, "FreeStorageSpace"))  # fmt: skip


def size_of(fact: Fact, name: str) -> float:
    """Return the storage of an instance in GB, 0 when it is not known."""
    rows = [] if fact.frame is None else list(fact.frame.loc[fact.frame["instance"] == name, "storage_gb"])
    return float(rows[0]) if rows else 0.0


def lag_verdict(seconds: float) -> Verdict:
    """Return how far is too far."""
    return Verdict.CRITICAL if seconds >= FAR else Verdict.WARN if seconds >= LATE else Verdict.OK


def replica(
    run: Run, names: tuple[str, ...], lag: pd.Series[float], rise: Surge | None, fact: Fact, window: Window
) -> Result:
    """Show how far the replica is behind, and since when."""
    if not names:
        return Result("replica", TITLES["replica"], Verdict.OK, "There is no replica.")
    if not len(lag.dropna()):
        return unseen(fact, "replica")
    now = now_of(lag, 3)
    since = (
        f", more than usual since {local(rise.since, window)}" if rise and rise.until is None and now >= LATE else ""
    )
    sentence = f"{', '.join(names)} is {took(now)} behind{since}."
    late = lag_verdict(now) is not Verdict.OK
    chart = timeseries(lag.to_frame("replica lag"), title=sentence, unit="seconds", zone=window.zone) if late else None
    return Result("replica", TITLES["replica"], lag_verdict(now), sentence, Sight.COMPLETE, chart=chart, sources=_source(run, window, "ReplicaLag"))  # fmt: skip


def _source(run: Run, window: Window, metric: str) -> tuple[Source, ...]:
    return (Source("CloudWatch AWS/RDS", run.identity.account, run.environment.region, window.text(), metric),)
