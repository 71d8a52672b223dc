"""May a replica be read from: is it there, how far is it behind, has it room, and who is connected to both."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from opslib import aws
from opslib.errors import DatabaseError, OpsError
from opslib.plan import Condition
from opslib.sources import metrics, postgres, rds
from opslib.window import Window

if TYPE_CHECKING:
    from opslib.config import Environment

BEHIND_S, BEHIND_BYTES, BUSY = 10.0, 16 * 2**20, 70.0


def conditions(environment: Environment, replica: str) -> tuple[Condition, ...]:
    """Return what must hold before reads go to a replica (rds:DescribeDBInstances, GetMetricData, both log positions)."""
    frame = rds.instances(environment)
    row = next((one for one in frame.to_dict("records") if one["instance"] == replica), None)
    if row is None:
        return (Condition("the replica is there", f"RDS knows no {replica}", False),)
    source = next((one for one in frame.to_dict("records") if one["instance"] == row["source"]), row)
    size = f"{row['class']}, the primary is {source['class']}"
    return (
        Condition("the replica is available", f"{replica} {row['status']}", row["status"] == "available"),
        Condition("it is a replica of the primary", f"of {row['source'] or 'nothing'}", row["role"] == "replica"),
        _lag(environment),
        _room(environment, size),
    )


def sessions(environment: Environment) -> str:
    """Return how many sessions the primary and the replica have; what cannot be asked is said."""
    said = []
    for name, replica in (("primary", False), ("replica", True)):
        if replica and not (environment.database and environment.database.replica_host):
            said.append("replica not seen: no replica_host is configured")
            continue
        try:
            said.append(f"{name} {postgres.connections(environment, replica=replica)['used'].iloc[0]}")
        except OpsError as error:
            said.append(f"{name} not seen: {error.what}")
    return ", ".join(said)


def reading(environment: Environment) -> tuple[int | None, str]:
    """Return how many sessions of others the replica has, None when it cannot be asked, and how that is said."""
    if not (environment.database and environment.database.replica_host):
        return None, "no `replica_host` is configured: who reads there is not seen"
    try:
        found = postgres.activity(environment, replica=True)
    except OpsError as error:
        return None, f"the replica was not asked: {error.what}"
    count = int((found["user"] != environment.database.user).sum())
    return count, f"{count} sessions of others on the replica"


def _lag(environment: Environment) -> Condition:
    """By the positions in the log where both can be asked; ReplicaLag alone tells up to 5 minutes while nobody writes."""
    measured = _latest(environment, "ReplicaLag")
    told = "ReplicaLag not seen" if measured is None else f"ReplicaLag {measured:.1f} s"
    try:
        row = postgres.replica_lag(environment).iloc[0]
    except DatabaseError as error:
        holds = measured is not None and measured <= BEHIND_S and error.sight == "no_data"
        return Condition("it is hardly behind", f"positions in the log not seen: {error.what}; {told}", holds)
    near = row["lag_s"] <= BEHIND_S and row["behind_bytes"] <= BEHIND_BYTES
    said = f"{row['behind_bytes'] / 2**20:.1f} MiB and {row['lag_s']:.1f} s behind by the positions in the log; {told}"
    return Condition("it is hardly behind", said, bool(near))


def _room(environment: Environment, size: str) -> Condition:
    busy = _latest(environment, "CPUUtilization")
    told = "NOT SEEN: its CPU" if busy is None else f"its CPU is at {busy:.0f}%"
    return Condition("it has room", f"{told}; {size}", busy is None or busy < BUSY)


def _latest(environment: Environment, metric: str) -> float | None:
    """Return the highest value of the last ten minutes; None when there is none."""
    now = aws.now(environment)
    frame = metrics.series(
        environment, window=Window(now - timedelta(minutes=10), now, environment.zone), components=("replica",)
    )
    if ("replica", metric) not in frame.columns:
        return None
    values = frame["replica", metric].dropna()
    return float(values.max()) if len(values) else None
