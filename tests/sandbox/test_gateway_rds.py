"""A reboot of RDS through a real boto3 client: what its status says, and when its events come."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from opslib.sandbox.clock import NOW
from tests.sandbox.gateway_process import running

PRIMARY = "shop-db"


def test_a_reboot_is_seen_by_its_events() -> None:
    with running() as gateway:
        rds = gateway.client("rds")

        def seen(seconds: float) -> tuple[str, list[str]]:
            gateway.admin("POST", "advance", {"seconds": seconds})
            told = rds.describe_db_instances(DBInstanceIdentifier=PRIMARY)["DBInstances"][0]
            events = rds.describe_events(StartTime=NOW, EndTime=NOW + timedelta(hours=1))["Events"]
            return told["DBInstanceStatus"], [event["Message"] for event in events]

        assert rds.reboot_db_instance(DBInstanceIdentifier=PRIMARY)["DBInstance"]["DBInstanceStatus"] == "available"
        assert seen(1) == ("available", [])  # what a waiter would take for its end
        assert seen(20) == ("rebooting", ["DB instance shutdown"])
        with pytest.raises(ClientError, match="InvalidDBInstanceState"):
            rds.reboot_db_instance(DBInstanceIdentifier=PRIMARY)
        assert seen(80) == ("available", ["DB instance shutdown", "DB instance restarted"])


def test_a_failover_needs_two_zones() -> None:
    with running() as gateway:
        rds = gateway.client("rds")
        zone = lambda: rds.describe_db_instances(DBInstanceIdentifier=PRIMARY)["DBInstances"][0]["AvailabilityZone"]  # noqa: E731
        before = zone()
        rds.reboot_db_instance(DBInstanceIdentifier=PRIMARY, ForceFailover=True)
        gateway.admin("POST", "advance", {"seconds": 120})
        assert zone() != before and zone() != before  # once, not at each look
        with pytest.raises(ClientError, match="InvalidParameterCombination"):
            rds.reboot_db_instance(DBInstanceIdentifier="shop-db-replica-1", ForceFailover=True)
        with pytest.raises(ClientError, match="DBInstanceNotFound"):
            rds.reboot_db_instance(DBInstanceIdentifier="other")
