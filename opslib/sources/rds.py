"""RDS: the instances, what happened to them in the last 14 days, what maintenance waits for them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

EVENTS_KEPT = timedelta(days=14)


def instances(environment: Environment) -> pd.DataFrame:
    """Return the environment's database instances, the primary first (rds:DescribeDBInstances).

    Columns: instance, resource_id, status, role (primary or replica), source, class, engine, availability, pending,
    maintenance_window, backup_window, parameter_group, insights (off, standard or advanced) str; vcpus, storage_gb,
    storage_limit_gb (0: does not grow by itself), backup_days, insights_days int64; restorable (until when it can be
    put back to any second), certificate_until (of its server certificate) datetime64[ns, UTC]. An unknown class has 0 vcpus.
    Instances that the configuration names and that do not exist stand in attrs["missing"]. Raises SourceError.
    """
    import pandas as pd

    database = environment.database
    wanted = [name for name in (database.instance, *database.replicas) if name] if database else []
    found = [each for each in aws.pages(environment, "rds", "describe_db_instances", "DBInstances")
             if not wanted or each.get("DBInstanceIdentifier") in wanted]  # fmt: skip
    rows = sorted((_instance(each) for each in found), key=lambda row: (row["role"] != "primary", row["instance"]))
    columns = list(_instance({"DBInstanceIdentifier": ""}))
    frame = pd.DataFrame(rows, columns=columns)
    for column in ("restorable", "certificate_until"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[ns, UTC]")
    named = {row["instance"] for row in rows}
    frame.attrs.update(missing=[name for name in wanted if name not in named], problems=[])
    return frame


def events(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return what RDS says happened to the instances in the window, oldest first (rds:DescribeEvents).

    Columns: at datetime64[ns, UTC], instance, category (several with commas), message str. RDS keeps 14 days: what is
    older is said in attrs["problems"]. Raises SourceError.
    """
    import pandas as pd

    oldest = aws.now(environment) - EVENTS_KEPT + timedelta(minutes=1)
    start = max(window.start, oldest)
    problems = ["RDS keeps its events 14 days: older ones are not in it"] if start > window.start else []
    asked: dict[str, Any] = {"StartTime": start, "EndTime": window.end, "SourceType": "db-instance"}
    found = aws.pages(environment, "rds", "describe_events", "Events", **asked) if start < window.end else []
    database = environment.database
    wanted = {database.instance, *database.replicas} - {""} if database else set()
    rows = [
        (each["Date"], each.get("SourceIdentifier", ""), ", ".join(each.get("EventCategories") or ()), each.get("Message", ""))
        for each in found
        if each.get("Date") and (not wanted or each.get("SourceIdentifier") in wanted)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["at", "instance", "category", "message"])
    frame["at"] = pd.to_datetime(frame["at"], utc=True).astype("datetime64[ns, UTC]")
    frame = frame.sort_values("at", ignore_index=True, kind="stable")
    frame.attrs.update(problems=problems)
    return frame


def pending_maintenance(environment: Environment) -> pd.DataFrame:
    """Return the maintenance that waits for the instances (rds:DescribePendingMaintenanceActions).

    Columns: instance, action, description str; at datetime64[ns, UTC], NaT when it is not scheduled. Raises SourceError.
    """
    import pandas as pd

    rows = [
        (each.get("ResourceIdentifier", "").rpartition(":")[2], action.get("Action", ""), action.get("Description", ""),
         action.get("CurrentApplyDate") or action.get("AutoAppliedAfterDate") or action.get("ForcedApplyDate"))
        for each in aws.pages(environment, "rds", "describe_pending_maintenance_actions", "PendingMaintenanceActions")
        for action in each.get("PendingMaintenanceActionDetails") or ()
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["instance", "action", "description", "at"])
    frame["at"] = pd.to_datetime(frame["at"], utc=True).astype("datetime64[ns, UTC]")
    return frame


def vcpus(instance_class: str) -> int:
    """Return the virtual CPUs of an instance class by its size; 0 when the size says nothing."""
    size = instance_class.rpartition(".")[2]
    if grown := re.fullmatch(r"(\d*)xlarge", size):
        return 4 * int(grown[1] or 1)
    return 2 if size in {"large", "medium", "small", "micro"} else 0


def _instance(given: dict[str, Any]) -> dict[str, Any]:
    groups = given.get("DBParameterGroups") or [{}]
    pending = given.get("PendingModifiedValues") or {}
    mode = given.get("DatabaseInsightsMode") or "standard"
    return {
        "instance": given.get("DBInstanceIdentifier", ""),
        "resource_id": given.get("DbiResourceId", ""),
        "status": given.get("DBInstanceStatus", "unknown"),
        "role": "replica" if given.get("ReadReplicaSourceDBInstanceIdentifier") else "primary",
        "source": given.get("ReadReplicaSourceDBInstanceIdentifier", ""),
        "class": given.get("DBInstanceClass", ""),
        "vcpus": vcpus(given.get("DBInstanceClass", "")),
        "engine": f"{given.get('Engine', '')} {given.get('EngineVersion', '')}".strip(),
        "storage_gb": int(given.get("AllocatedStorage") or 0),
        "storage_limit_gb": int(given.get("MaxAllocatedStorage") or 0),
        "availability": "Multi-AZ" if given.get("MultiAZ") else given.get("AvailabilityZone", ""),
        "backup_days": int(given.get("BackupRetentionPeriod") or 0),
        "restorable": given.get("LatestRestorableTime"),
        "certificate_until": (given.get("CertificateDetails") or {}).get("ValidTill"),
        "backup_window": given.get("PreferredBackupWindow", ""),
        "maintenance_window": given.get("PreferredMaintenanceWindow", ""),
        "pending": ", ".join(f"{name} {value}" for name, value in pending.items()),
        "parameter_group": groups[0].get("DBParameterGroupName", ""),
        "insights": mode if given.get("PerformanceInsightsEnabled") else "off",
        "insights_days": int(given.get("PerformanceInsightsRetentionPeriod") or 0),
    }


def primary(environment: Environment) -> str:
    """Return the identifier of the environment's primary instance; raises SourceError when the configuration names none."""
    if environment.database is None or not environment.database.instance:
        raise SourceError(
            f"environment {environment.name!r} names no database instance", fix='add `instance = "…"` to its [database]'
        )
    return environment.database.instance
