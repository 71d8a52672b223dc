"""What an incident does to the databases: sessions that Performance Insights and CloudWatch both count, events of RDS."""

from typing import Any

from opslib.sandbox.life.incident import Incident

INSTANCES = {"db": "shop-db", "replica": "shop-db-replica-1"}


def load(
    incident: Incident, since: str, aas: float, wait: str, statement: str, *, user: str = "shop_api", where: str = "db",
    ramp: int = 480, **about: Any,
) -> None:  # fmt: skip
    """Add average active sessions from an instant on: about is latency_ms, rows, blocks, hosts of the statement."""
    event = {"at": since, "aas": aas, "wait": wait, "statement": statement, "user": user, "ramp": ramp}
    incident.out.events.setdefault("pi_load", []).append({**event, "instance": INSTANCES[where], **about})
    split = {"db": "DBLoadCPU" if wait == "CPU" else "DBLoadNonCPU"}  # the life does not split the replica's load
    for name in filter(None, ("DBLoad", split.get(where))):
        incident.metric("AWS/RDS", name, where, since, add=aas, ramp=ramp)


def counter(incident: Incident, since: str, metric: str, *, where: str = "db", **change: float) -> None:
    """Let a counter of Performance Insights rise: by `add` within `ramp` seconds, or `per_second`."""
    event = {"at": since, "metric": metric, "instance": INSTANCES[where], **change}
    incident.out.events.setdefault("pi_counters", []).append(event)


def event(incident: Incident, at: str, message: str, *categories: str, where: str = "db") -> None:
    """Add an event of an RDS instance."""
    about = {"at": at, "instance": INSTANCES[where], "message": message, "categories": [*categories]}
    incident.out.events.setdefault("rds_events", []).append(about)
