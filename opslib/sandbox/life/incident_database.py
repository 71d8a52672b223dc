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


def row_locks(incident: Incident, since: str, statement: str) -> None:
    """Let checkouts queue for rows of stock and orders that abandoned transactions of api hold."""
    for name, change in (
        ("CPUUtilization", {"add": 6.0, "ramp": 480}), ("DatabaseConnections", {"add": 96.0, "ramp": 480}),
        ("WriteLatency", {"factor": 1.5}), ("DiskQueueDepth", {"factor": 1.4}),
    ):  # fmt: skip
        incident.metric("AWS/RDS", name, "db", since, **change)
    orders = "update orders set status = $1, updated_at = $2 where id = $3"
    for aas, wait, waiting in (
        (6.6, "Lock:transactionid", statement), (2.4, "Lock:tuple", statement), (0.3, "CPU", statement), (1.2, "Lock:transactionid", orders),
    ):  # fmt: skip
        load(incident, since, aas, wait, waiting, latency_ms=4300.0, rows=1.0, blocks=8.0)
    abandoned(
        incident, since, "api", "update stock set quantity = quantity - 1 where sku = 'CF-1001' -- 在庫更新", waiting=3
    )


def abandoned(incident: Incident, since: str, application: str, statement: str, *, waiting: int) -> None:
    """Let a transaction stay open for ever: counters of it, and real sessions, one that holds its locks and some that wait."""
    for number in range(1 + waiting):
        session = {"at": since, "application": application, "statement": statement, "waits": number > 0}
        incident.out.events.setdefault("live_sessions", []).append(session)
    counter(incident, since, "db.state.idle_in_transaction_count", add=3.0)
    counter(incident, since, "db.state.idle_in_transaction_max_time", per_second=1.0)


def event(incident: Incident, at: str, message: str, *categories: str, where: str = "db") -> None:
    """Add an event of an RDS instance."""
    about = {"at": at, "instance": INSTANCES[where], "message": message, "categories": [*categories]}
    incident.out.events.setdefault("rds_events", []).append(about)
