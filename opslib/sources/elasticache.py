"""ElastiCache: the nodes of the cache with their roles, and what ElastiCache says happened to them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from opslib import aws, frames

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

KEPT = timedelta(days=14)
NODES = {"node": "str", "role": "str", "status": "str", "type": "str", "engine": "str", "version": "str", "zone": "str",
         "maintenance": "str"}  # fmt: skip
EVENTS = {"at": "time", "node": "str", "message": "str"}


def nodes(environment: Environment) -> pd.DataFrame:
    """Return the configured nodes (elasticache:DescribeCacheClusters, DescribeReplicationGroups).

    Columns: node, role (primary or replica, empty where AWS does not tell it), status, type, engine, version, zone,
    maintenance (the weekly window, UTC) str. Nodes that are configured but do not exist stand in attrs["problems"].
    Raises SourceError.
    """
    named, rows = environment.cache, []
    if not named.nodes and not named.replication_group:
        return frames.made([], NODES)
    roles = _roles(environment, named.replication_group) if named.replication_group else {}
    for each in aws.pages(environment, "elasticache", "describe_cache_clusters", "CacheClusters"):
        if each["CacheClusterId"] in (named.nodes or roles):
            rows.append({
                "node": each["CacheClusterId"], "role": roles.get(each["CacheClusterId"], ""), "status": each.get("CacheClusterStatus", ""),
                "type": each.get("CacheNodeType", ""), "engine": each.get("Engine", ""), "version": each.get("EngineVersion", ""),
                "zone": each.get("PreferredAvailabilityZone", ""), "maintenance": each.get("PreferredMaintenanceWindow", ""),
            })  # fmt: skip
    frame = frames.made(rows, NODES)
    frame.attrs["problems"] = [f"node {name} does not exist" for name in named.nodes if name not in set(frame["node"])]
    return frame


def events(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return what happened to the configured nodes and their group in the window, newest first (elasticache:DescribeEvents).

    Columns: at datetime64[ns, UTC]; node (or replication group), message str. ElastiCache keeps 14 days; where the
    window begins earlier attrs["problems"] says so. Raises SourceError.
    """
    named = environment.cache
    ours = {*named.nodes, named.replication_group} - {""}
    oldest = aws.now(environment) - KEPT
    problems = [f"ElastiCache keeps {KEPT.days} days of events"] if window.start < oldest else []
    rows = []
    if ours and window.end > oldest:
        span = (max(window.start, oldest), window.end)
        for each in aws.pages(
            environment, "elasticache", "describe_events", "Events", StartTime=span[0], EndTime=span[1]
        ):
            if each.get("SourceIdentifier") in ours and window.start <= each["Date"] < window.end:
                rows.append({"at": each["Date"], "node": each["SourceIdentifier"], "message": each.get("Message", "")})
    frame = frames.made(sorted(rows, key=lambda row: row["at"], reverse=True), EVENTS)
    frame.attrs["problems"] = problems
    return frame


def _roles(environment: Environment, group: str) -> dict[str, str]:
    told = aws.ask(environment, "elasticache", "describe_replication_groups", ReplicationGroupId=group)[
        "ReplicationGroups"
    ]
    members = [
        member for each in told for shard in each.get("NodeGroups", []) for member in shard.get("NodeGroupMembers", [])
    ]
    known = {member["CacheClusterId"]: member.get("CurrentRole", "") for member in members}
    return dict.fromkeys((name for each in told for name in each.get("MemberClusters", [])), "") | known
