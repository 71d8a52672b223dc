"""RDS: the instances of the shop, what happened to them, what waits to be done to them, their parameters."""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import state_of, token
from opslib.sandbox.rds_state import RdsState
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
KEPT = timedelta(days=14)


class RdsApi:
    """What of RDS is read and rebooted; instances are RdsState's."""

    def __init__(self, state: RegionState) -> None:
        self._state = state
        self._rds = state.part(RdsState)

    @operation(
        "rds",
        "DescribeDBInstances",
        plain=False,
        modelled="the primary and its replica; by identifier or filter db-instance-id; pages",
        source=API,
        difference="instances that others create in the sandbox are not shown",
        tested=("test_instances_are_described_in_pages",),
    )
    def describe_db_instances(self, p: Params) -> dict[str, Any]:
        """Answer one page of the instances."""
        wanted = {
            value for each in p.get("Filters") or () if each["Name"] == "db-instance-id" for value in each["Values"]
        }
        if name := p.get("DBInstanceIdentifier"):
            if name not in self._rds.instances:
                raise ServiceError("DBInstanceNotFound", f"DBInstance {name} not found.", status=404)
            wanted = {name}
        with self._state.lock:
            found = [deepcopy(each) for name, each in self._rds.settled().items() if not wanted or name in wanted]
        return _page("DBInstances", found, p)

    @operation(
        "rds",
        "DescribeEvents",
        plain=False,
        modelled="events of instances: maintenance, backups, incidents, actions; Duration, 14 days, categories, pages",
        source=API,
        difference="no events of clusters, snapshots and parameter groups",
        tested=("test_events_of_instances",),
    )
    def describe_events(self, p: Params) -> dict[str, Any]:
        """Answer one page of events, oldest first."""
        now = self._state.clock.now()
        start = p.get("StartTime") or (p.get("EndTime") or now) - timedelta(minutes=p.get("Duration") or 60)
        end = min(p.get("EndTime") or now, now)
        if start < now - KEPT - timedelta(minutes=1):
            raise _wrong("Cannot retrieve events that are more than 14 days old.")
        if p.get("SourceType") not in (None, "db-instance"):
            return {"Events": []}
        wanted = set(p.get("EventCategories") or ())
        found = []
        for each in self._rds.events():
            at = datetime.fromisoformat(each["at"])
            named = p.get("SourceIdentifier") in (None, each["instance"]) and each["instance"] in self._rds.instances
            if start <= at < end and named and (not wanted or wanted & {*each["categories"]}):
                found.append({
                    "SourceIdentifier": each["instance"], "SourceType": "db-instance", "Message": each["message"],
                    "EventCategories": each["categories"], "Date": at,
                    "SourceArn": self._rds.instances[each["instance"]]["DBInstanceArn"],
                })  # fmt: skip
        return _page("Events", found, p)

    @operation(
        "rds",
        "RebootDBInstance",
        plain=False,
        modelled="still available for 8 s, rebooting until 90 s, then available, with events; failover swaps the zones; "
        "refused without Multi-AZ for a failover, and when not available",
        source=API,
        difference="sessions are cut at the call, and new ones are taken all the time: PostgreSQL itself goes on",
        tested=("test_a_reboot_is_seen_by_its_events", "test_a_failover_needs_two_zones"),
    )
    def reboot_db_instance(self, p: Params) -> dict[str, Any]:
        """Reboot an instance."""
        name, failover = p["DBInstanceIdentifier"], bool(p.get("ForceFailover"))
        with self._state.lock:
            instance = self._rds.settled().get(name)
            if instance is None:
                raise ServiceError("DBInstanceNotFound", f"DBInstance {name} not found.", status=404)
            if instance["DBInstanceStatus"] != "available":
                raise ServiceError("InvalidDBInstanceState", f"Instance {name} is not currently available.", status=400)
            if failover and not instance["MultiAZ"]:
                raise ServiceError(
                    "InvalidParameterCombination", "Cannot force a failover: the instance is not Multi-AZ", status=400
                )
            self._rds.reboot(name, failover=failover, outcome=self._state.take("reboot", instance=name))
            return {"DBInstance": deepcopy(instance)}

    @operation(
        "rds",
        "DescribePendingMaintenanceActions",
        plain=False,
        modelled="what the life has pending for an instance",
        source=API,
        tested=("test_pending_maintenance",),
    )
    def describe_pending_maintenance_actions(self, p: Params) -> dict[str, Any]:
        """Answer one page of resources with pending actions."""
        found = [
            {
                "ResourceIdentifier": self._rds.instances[name]["DBInstanceArn"],
                "PendingMaintenanceActionDetails": [
                    {
                        "Action": "system-update", "Description": each["what"],
                        "CurrentApplyDate": datetime.fromisoformat(each["start"]),
                    }
                    for each in pending
                ],
            }
            for name, pending in self._rds.pending.items()
            if pending and p.get("ResourceIdentifier") in (None, self._rds.instances[name]["DBInstanceArn"])
        ]  # fmt: skip
        return _page("PendingMaintenanceActions", found, p)

    @operation(
        "rds",
        "DescribeDBParameters",
        plain=False,
        modelled="what the shop's parameter group sets itself",
        source=API,
        difference="none of the hundreds of defaults",
        tested=("test_parameters",),
    )
    def describe_db_parameters(self, p: Params) -> dict[str, Any]:
        """Answer one page of the parameters that were set."""
        name = p["DBParameterGroupName"]
        if name not in self._rds.parameters:
            raise ServiceError("DBParameterGroupNotFound", f"DBParameterGroup {name} not found.", status=404)
        found = [
            {"ParameterName": key, "ParameterValue": value, "Source": "user", "IsModifiable": True}
            for key, value in sorted(self._rds.parameters[name].items())
            if p.get("Source") in (None, "user")
        ]
        return _page("Parameters", found, p)


APIS = (RdsApi,)


def _page(kind: str, items: list[Any], p: Params) -> dict[str, Any]:
    size = p.get("MaxRecords") or 100
    if not 20 <= size <= 100:
        raise _wrong(f"Invalid value {size} for MaxRecords. Must be between 20 and 100")
    start = state_of(kind, p["Marker"], _wrong("Marker is not valid")) if p.get("Marker") else 0
    following = {"Marker": token(kind, start + size)} if start + size < len(items) else {}
    return {kind: items[start : start + size]} | following


def _wrong(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", message, status=400)
