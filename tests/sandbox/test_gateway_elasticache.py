"""ElastiCache of ours."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import Gateway

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)


def test_cache_is_described(gateway: Gateway) -> None:
    cache = gateway.client("elasticache")
    group = cache.describe_replication_groups(ReplicationGroupId="shop-cache")["ReplicationGroups"][0]
    roles = {each["CacheClusterId"]: each["CurrentRole"] for each in group["NodeGroups"][0]["NodeGroupMembers"]}
    assert roles == {"shop-cache-001": "primary", "shop-cache-002": "replica"}
    nodes = cache.describe_cache_clusters(ShowCacheNodeInfo=True)["CacheClusters"]
    assert [node["CacheClusterId"] for node in nodes] == group["MemberClusters"]
    assert nodes[0]["CacheNodes"][0]["Endpoint"]["Port"] == 6379
    assert "CacheNodes" not in cache.describe_cache_clusters()["CacheClusters"][0]
    pages = list(cache.get_paginator("describe_cache_clusters").paginate(PaginationConfig={"PageSize": 1}))
    assert len(pages) == 2
    with pytest.raises(ClientError, match="CacheClusterNotFound"):
        cache.describe_cache_clusters(CacheClusterId="none")
    with pytest.raises(ClientError, match="ReplicationGroupNotFoundFault"):
        cache.describe_replication_groups(ReplicationGroupId="none")


def test_cache_events(gateway: Gateway) -> None:
    cache = gateway.client("elasticache")
    assert cache.describe_events()["Events"] == []  # the last hour
    events = cache.describe_events(Duration=14 * 24 * 60)["Events"]
    assert len(events) == 14 and events[0]["Date"] > events[-1]["Date"]
    assert cache.describe_events(SourceType="cache-cluster", StartTime=NOW - timedelta(days=14))["Events"] == []
    first = cache.describe_events(Duration=14 * 24 * 60, MaxRecords=10)
    assert len(first["Events"]) == 10 and first["Marker"]
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        cache.describe_events(StartTime=NOW - timedelta(days=15))


def test_cache_updates_wait(gateway: Gateway) -> None:
    cache = gateway.client("elasticache")
    update = cache.describe_service_updates()["ServiceUpdates"][0]
    action = cache.describe_update_actions(ReplicationGroupIds=["shop-cache"])["UpdateActions"][0]
    assert action["ServiceUpdateName"] == update["ServiceUpdateName"] and action["UpdateActionStatus"] == "not-applied"
    assert cache.describe_update_actions(UpdateActionStatus=["complete"])["UpdateActions"] == []
