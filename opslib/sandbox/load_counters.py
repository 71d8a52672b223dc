"""The counters of Performance Insights: of the operating system and of PostgreSQL, mostly what CloudWatch tells too."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from opslib.sandbox.metrics_reading import metric_key
from opslib.sandbox.rds_state import RdsState
from opslib.sandbox.region_state import RegionState

# name: (unit, description, CloudWatch metric, factor); without a metric it is nought until an incident adds to it.
COUNTERS: dict[str, tuple[str, str, str, float]] = {
    "os.general.numVCPUs": ("vCPUs", "The number of virtual CPUs of the instance", "", 1.0),
    "os.cpuUtilization.total": ("Percent", "The percentage of CPU in use", "CPUUtilization", 1.0),
    "os.memory.free": ("KB", "Unassigned memory", "FreeableMemory", 1 / 1024),
    "db.User.numbackends": ("Connections", "Sessions connected", "DatabaseConnections", 1.0),
    "db.User.max_connections": ("Connections", "The parameter max_connections", "", 1.0),
    "db.Concurrency.deadlocks": ("Deadlocks per minute", "Deadlocks", "Deadlocks", 60.0),
    "db.IO.blk_read_time": ("Milliseconds", "Time reading blocks", "ReadLatency", 1000.0),
    "db.state.idle_in_transaction_count": ("Sessions", "Sessions idle in transaction", "", 1.0),
    "db.state.idle_in_transaction_max_time": ("Seconds", "The longest of them", "", 1.0),
    "db.Temp.temp_bytes": ("Bytes per second", "Written to temporary files", "", 1.0),
}
STATISTICS = ("avg", "min", "max", "sum")


def values(state: RegionState, instance: str, name: str, start: int, end: int, period: int) -> dict[int, float]:
    """Return a counter's average by the start of each period."""
    metric, factor = COUNTERS[name][2:]
    if metric:
        where = [{"Name": "DBInstanceIdentifier", "Value": instance}]
        series = state.metrics.get(metric_key("AWS/RDS", metric, where))
        with state.metrics.lock:
            found = series.buckets(start, end, max(period, 60), start) if series else []
        return {each.timestamp: each.sum / each.count * factor for each in found if each.count}
    last = min(end, int(state.clock.now().timestamp()))
    return {at: _told(state, instance, name, at + period) for at in range(start, last, period)}


def _told(state: RegionState, instance: str, name: str, at: int) -> float:
    rds = state.part(RdsState)
    if name == "os.general.numVCPUs":
        return float(rds.vcpus(instance))
    if name == "db.User.max_connections":
        return float(rds.parameter(instance, "max_connections"))
    added = (each for each in state.events.get("pi_counters", ()) if each["metric"] == name)
    return float(sum(_grown(each, at) for each in added if each.get("instance", "shop-db") == instance))


def _grown(event: Mapping[str, Any], at: int) -> float:
    """An event {"at", "metric", "add", "ramp"} adds to a counter, or `per_second` of its age."""
    age = at - datetime.fromisoformat(event["at"]).timestamp()
    if age <= 0:
        return 0.0
    return float(
        event.get("add", 0.0) * np.clip(age / max(event.get("ramp", 300), 1), 0, 1) + event.get("per_second", 0.0) * age
    )
