"""Route 53: what the health checkers see, and where a name points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib import aws, frames

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

REGION = "us-east-1"
HEALTHY_SHARE = 0.18  # Route 53 takes an endpoint for healthy when more of its checkers than this say so
ENDPOINTS = {"HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP"}
CHECKS = {
    "name": "str",
    "id": "str",
    "type": "str",
    "target": "str",
    "healthy": "boolean",
    "checkers": "int64",
    "failing": "int64",
    "reason": "str",
}
OBSERVED = {"name": "str", "region": "str", "address": "str", "healthy": "bool", "status": "str", "checked": "time"}
RECORDS = {
    "name": "str",
    "type": "str",
    "target": "str",
    "set_identifier": "str",
    "weight": "float64",
    "ttl": "float64",
}


def checkers(environment: Environment) -> pd.DataFrame:
    """Return what each checker of each configured health check saw last (route53:GetHealthCheckStatus).

    Columns: name, region, address, status str; healthy bool; checked datetime64[ns, UTC]. Raises SourceError.
    """
    return frames.made(
        [row for name, id in environment.health_checks.items() for row in _observed(environment, name, id)], OBSERVED
    )


def _observed(environment: Environment, name: str, id: str) -> list[dict[str, Any]]:
    told = aws.ask(environment, "route53", "get_health_check_status", region=REGION, HealthCheckId=id)
    found = []
    for seen in told.get("HealthCheckObservations", []):
        report = seen.get("StatusReport", {})
        status = report.get("Status", "")
        found.append(
            {"name": name, "region": seen.get("Region", ""), "address": seen.get("IPAddress", ""), "healthy": status.startswith("Success"),
             "status": status, "checked": report.get("CheckedTime")}
        )  # fmt: skip
    return found


def health_checks(environment: Environment) -> pd.DataFrame:
    """Return the configured health checks and whether Route 53 takes them for healthy (route53:GetHealthCheck, GetHealthCheckStatus).

    Columns: name, id, type, target, reason str; healthy boolean, NA where no checker looks (calculated checks, those
    of an alarm); checkers, failing int64. A certificate is not validated by the checkers. Raises SourceError.
    """
    return frames.made([_check(environment, name, id) for name, id in environment.health_checks.items()], CHECKS)


def _check(environment: Environment, name: str, id: str) -> dict[str, Any]:
    config = aws.ask(environment, "route53", "get_health_check", region=REGION, HealthCheckId=id)["HealthCheck"][
        "HealthCheckConfig"
    ]
    kind = config.get("Type", "")
    host = config.get("FullyQualifiedDomainName") or config.get("IPAddress", "")
    seen = _observed(environment, name, id) if kind in ENDPOINTS else []
    bad = [each for each in seen if not each["healthy"]]
    healthy = None if not seen else (len(seen) - len(bad)) / len(seen) > HEALTHY_SHARE
    if healthy is not None and config.get("Inverted"):
        healthy = not healthy
    return {
        "name": name, "id": id, "type": kind, "target": f"{kind.split('_')[0].lower()}://{host}:{config.get('Port', '')}{config.get('ResourcePath', '')}",
        "healthy": True if config.get("Disabled") else healthy, "checkers": len(seen), "failing": len(bad),
        "reason": "disabled: always healthy" if config.get("Disabled") else _commonest([each["status"] for each in bad or seen]),
    }  # fmt: skip


def _commonest(texts: list[str]) -> str:
    return max(sorted(set(texts)), key=texts.count, default="no checker looks")


def records(environment: Environment, *, name: str) -> pd.DataFrame:
    """Return the records of a name in the hosted zone that is closest to it (route53:ListHostedZones, ListResourceRecordSets).

    Columns: name, type, target, set_identifier str; weight, ttl float64. No row: the name, or its zone, is not in this
    account, and attrs["zone"] says which. Raises SourceError.
    """
    wanted = name.rstrip(".") + "."
    zones = [
        zone
        for zone in aws.pages(environment, "route53", "list_hosted_zones", "HostedZones", region=REGION)
        if f".{wanted}".endswith(f".{zone['Name']}")
    ]
    zone = max(zones, key=lambda each: (len(each["Name"]), not each.get("Config", {}).get("PrivateZone")), default=None)
    rows = _records_of(environment, zone["Id"], wanted) if zone else []
    frame = frames.made(rows, RECORDS)
    frame.attrs["zone"] = zone["Name"] if zone else ""
    return frame


def _records_of(environment: Environment, zone: str, wanted: str) -> list[dict[str, Any]]:
    found = aws.pages(
        environment,
        "route53",
        "list_resource_record_sets",
        "ResourceRecordSets",
        region=REGION,
        HostedZoneId=zone,
        StartRecordName=wanted,
    )
    rows = []
    for record in found:
        if record["Name"] != wanted:
            break  # in the order of names
        values = [each["Value"] for each in record.get("ResourceRecords", [])]
        target = record.get("AliasTarget", {}).get("DNSName", "").rstrip(".") or ", ".join(values)
        rows.append(
            {"name": wanted.rstrip("."), "type": record["Type"], "target": target, "set_identifier": record.get("SetIdentifier", ""),
             "weight": record.get("Weight"), "ttl": record.get("TTL")}
        )  # fmt: skip
    return rows
