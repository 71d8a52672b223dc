"""The shop's cache: one replication group of two Redis nodes, its events, and updates that wait for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.sandbox.clock import NOW
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
STILL = "no call changes it"
GROUP, NODES = "shop-cache", ("shop-cache-001", "shop-cache-002")
NODE_TYPE, ENGINE, VERSION = "cache.r7g.large", "redis", "7.1"
MADE = datetime(2026, 2, 2, 3, 0, tzinfo=UTC)
UPDATE = {
    "ServiceUpdateName": "elasticache-20261020-redis-security", "ServiceUpdateSeverity": "important",
    "ServiceUpdateStatus": "available", "ServiceUpdateType": "security-update",
    "ServiceUpdateReleaseDate": datetime(2026, 10, 20, tzinfo=UTC),
    "ServiceUpdateRecommendedApplyByDate": datetime(2026, 11, 20, tzinfo=UTC),
}  # fmt: skip
Shape = dict[str, Any]


class Cache:
    """What is asked of the cache."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation("elasticache", "DescribeReplicationGroups", plain=False, modelled="the group with its nodes and roles",
               source=API, difference=STILL, tested=("test_cache_is_described",))  # fmt: skip
    def describe_replication_groups(self, p: Params) -> Shape:
        """Answer the group."""
        if p.get("ReplicationGroupId") not in (None, GROUP):
            raise ServiceError(
                "ReplicationGroupNotFoundFault", f"ReplicationGroup {p['ReplicationGroupId']} not found."
            )
        primary = self._primary()
        members = [{
            "CacheClusterId": node, "CacheNodeId": "0001", "PreferredAvailabilityZone": _zone(node),
            "CurrentRole": "primary" if node == primary else "replica", "ReadEndpoint": _endpoint(node),
        } for node in NODES]  # fmt: skip
        shard = {"NodeGroupId": "0001", "Status": "available", "PrimaryEndpoint": _endpoint("master"),
                 "ReaderEndpoint": _endpoint("replica"), "NodeGroupMembers": members}  # fmt: skip
        group = {
            "ReplicationGroupId": GROUP, "Description": "sessions, products, lists", "Status": "available",
            "MemberClusters": list(NODES), "NodeGroups": [shard], "AutomaticFailover": "enabled", "MultiAZ": "enabled",
            "SnapshotRetentionLimit": 1, "SnapshotWindow": "17:00-18:00", "ClusterEnabled": False, "CacheNodeType": NODE_TYPE,
            "TransitEncryptionEnabled": True, "AtRestEncryptionEnabled": True, "AutoMinorVersionUpgrade": True, "Engine": ENGINE,
            "ReplicationGroupCreateTime": MADE, "ARN": f"arn:aws:elasticache:ap-northeast-1:000000000000:replicationgroup:{GROUP}",
        }  # fmt: skip
        return {"ReplicationGroups": [group] if self._state.events else []}

    @operation("elasticache", "DescribeCacheClusters", plain=False, modelled="the nodes, with ShowCacheNodeInfo their "
               "endpoints; pages", source=API, difference=STILL, tested=("test_cache_is_described",))  # fmt: skip
    def describe_cache_clusters(self, p: Params) -> Shape:
        """Answer the nodes."""
        asked = p.get("CacheClusterId")
        if asked is not None and asked not in NODES:
            raise ServiceError("CacheClusterNotFound", f"CacheCluster not found: {asked}", status=404)
        types = dict.fromkeys(NODES, NODE_TYPE)
        types |= {each["node"]: each["node_type"] for each in self._state.events.get("cache_nodes", [])}
        whole = bool(p.get("ShowCacheNodeInfo"))
        found = [_cluster(node, whole) | {"CacheNodeType": types[node]} for node in NODES if asked in (None, node)]
        return _paged("CacheClusters", found if self._state.events else [], p)

    @operation("elasticache", "DescribeEvents", plain=False, modelled="14 days by source, span or duration (an hour unless "
               "told), newest first, pages", source=API, difference="what an incident brings, and a snapshot a day",
               tested=("test_cache_events",))  # fmt: skip
    def describe_events(self, p: Params) -> Shape:
        """Answer what happened to the cache."""
        now = self._state.clock.now()
        since = p.get("StartTime") or (p.get("EndTime") or now) - timedelta(minutes=p.get("Duration") or 60)
        until = p.get("EndTime") or (
            since + timedelta(minutes=p["Duration"]) if p.get("Duration") and p.get("StartTime") else now
        )
        if since < now - timedelta(days=14, minutes=1):
            raise ServiceError("InvalidParameterValue", "The start time may not be more than 14 days ago.")
        lived = [{"SourceIdentifier": each["node"], "SourceType": each.get("type", "cache-cluster"),
                  "Message": each["message"], "Date": datetime.fromisoformat(each["at"])}
                 for each in self._state.events.get("elasticache_events", [])]  # fmt: skip
        lived += [{"SourceIdentifier": GROUP, "SourceType": "replication-group", "Date": NOW.replace(hour=17) - timedelta(days=day),
                   "Message": f"Snapshot succeeded for snapshot with ID 'automatic.{GROUP}-{NOW - timedelta(days=day):%Y-%m-%d}-17-00'"}
                  for day in range(1, 15)]  # fmt: skip
        wanted = [each for each in lived if since <= each["Date"] < until
                  and p.get("SourceType") in (None, each["SourceType"])
                  and p.get("SourceIdentifier") in (None, each["SourceIdentifier"])]  # fmt: skip
        return _paged("Events", sorted(wanted, key=lambda each: each["Date"], reverse=True), p)

    @operation("elasticache", "DescribeServiceUpdates", plain=False, modelled="one security update that waits", source=API,
               difference=STILL, tested=("test_cache_updates_wait",))  # fmt: skip
    def describe_service_updates(self, p: Params) -> Shape:
        """Answer the update."""
        told = UPDATE | {
            "ServiceUpdateDescription": "Security update for Redis 7.1", "Engine": ENGINE, "EngineVersion": VERSION,
            "AutoUpdateAfterRecommendedApplyByDate": False, "EstimatedUpdateTime": "30 minutes per node",
        }  # fmt: skip
        wanted = not p.get("ServiceUpdateStatus") or "available" in p["ServiceUpdateStatus"]
        named = p.get("ServiceUpdateName") in (None, UPDATE["ServiceUpdateName"])
        return _paged("ServiceUpdates", [told] if wanted and named else [], p)

    @operation("elasticache", "DescribeUpdateActions", plain=False, modelled="the update that waits for the group",
               source=API, difference=STILL, tested=("test_cache_updates_wait",))  # fmt: skip
    def describe_update_actions(self, p: Params) -> Shape:
        """Answer what the update would do."""
        told = UPDATE | {
            "ReplicationGroupId": GROUP, "UpdateActionAvailableDate": UPDATE["ServiceUpdateReleaseDate"],
            "UpdateActionStatus": "not-applied", "NodesUpdated": f"0/{len(NODES)}", "SlaMet": "n/a", "Engine": ENGINE,
            "EstimatedUpdateTime": "30 minutes per node",
        }  # fmt: skip
        here = not p.get("CacheClusterIds") and GROUP in (p.get("ReplicationGroupIds") or [GROUP])
        waits = not p.get("UpdateActionStatus") or "not-applied" in p["UpdateActionStatus"]
        return _paged("UpdateActions", [told] if here and waits else [], p)

    def _primary(self) -> str:
        over = [each["node"] for each in self._state.events.get("elasticache_events", []) if each.get("promoted")]
        return over[-1] if over else NODES[0]


def _cluster(node: str, whole: bool) -> Shape:
    cache_node = {
        "CacheNodeId": "0001", "CacheNodeStatus": "available", "CacheNodeCreateTime": MADE, "Endpoint": _endpoint(node),
        "ParameterGroupStatus": "in-sync", "CustomerAvailabilityZone": _zone(node),
    }  # fmt: skip
    return {
        "CacheClusterId": node, "CacheNodeType": NODE_TYPE, "Engine": ENGINE, "EngineVersion": VERSION,
        "CacheClusterStatus": "available", "NumCacheNodes": 1, "PreferredAvailabilityZone": _zone(node),
        "CacheClusterCreateTime": MADE, "PreferredMaintenanceWindow": "sat:18:00-sat:19:00", "ReplicationGroupId": GROUP,
        "CacheParameterGroup": {"CacheParameterGroupName": "shop-redis7", "ParameterApplyStatus": "in-sync"},
        "CacheSubnetGroupName": GROUP, "AutoMinorVersionUpgrade": True, "SnapshotRetentionLimit": 0,
        "ARN": f"arn:aws:elasticache:ap-northeast-1:000000000000:cluster:{node}",
    } | ({"CacheNodes": [cache_node]} if whole else {})  # fmt: skip


def _endpoint(name: str) -> Shape:
    return {"Address": f"{name}.shop-cache.abc123.apne1.cache.amazonaws.com", "Port": 6379}


def _zone(node: str) -> str:
    return "ap-northeast-1" + "ac"[NODES.index(node)]


def _paged(member: str, items: list[Shape], p: Params) -> Shape:
    shown, following = page(member, items, p.get("Marker"), p.get("MaxRecords") or 100)
    return {member: shown} | ({"Marker": following} if following else {})


APIS = (Cache,)
