"""The shop's hosted zone and its health check; whether www is healthy follows from where it points."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opslib.sandbox.edge import CLOUDFRONT_ZONE, DOMAIN, SITE, at_of
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

Record = dict[str, Any]
CHECKERS = {
    "us-east-1": "15.177.2", "us-west-1": "15.177.10", "us-west-2": "15.177.14", "eu-west-1": "15.177.18", "ap-southeast-1": "15.177.22",
    "ap-southeast-2": "15.177.26", "ap-northeast-1": "15.177.30", "sa-east-1": "15.177.34",
}  # fmt: skip
GOOD = "Success: HTTP Status Code 200, OK"
TIMED_OUT = (
    "Failure: Connection timed out. The endpoint or the internet connection is down, or requests are being blocked by your firewall. "
    "See https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-router-firewall-rules.html"
)


@dataclass
class Dns:
    """The records, the changes on their way, and what the checkers see."""

    state: RegionState
    records: list[Record] = field(default_factory=list)
    changes: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start from the zone as it was and lay the life's `dns_changes` over it."""
        self.records = _records()
        for event in self.state.events.get("dns_changes", []):
            self.records = changed(self.records, [{"Action": "UPSERT", "ResourceRecordSet": event["record"]}])
            self.changes[f"C{len(self.changes) + 1:012d}"] = at_of(event)

    def submit(self, batch: list[dict[str, Any]]) -> tuple[str, datetime]:
        """Make a batch of changes, all or none; return its id and when."""
        self.records = changed(self.records, batch)
        name = f"C{len(self.changes) + 1:012d}"
        self.changes[name] = self.state.clock.now()
        return name, self.changes[name]

    def in_sync(self, name: str) -> bool:
        """Tell whether all name servers answer with a change: half a minute later."""
        return self.state.clock.now() >= self.changes[name] + timedelta(seconds=30)

    def observations(self) -> list[tuple[str, str, str]]:
        """Return (region, address, status) of every checker."""
        site = next((record for record in self.records if record["Name"] == f"{SITE}."), {})
        lost = site.get("AliasTarget", {}).get("DNSName", "").rstrip(".") != DOMAIN
        told = next(iter(self.state.events.get("health_check_failures", [])[-1:]), None)
        bad = TIMED_OUT if lost else told["status"] if told else GOOD
        where = CHECKERS if lost or not told else told.get("regions", CHECKERS)
        return [
            (region, f"{network}.{host}", bad if region in where else GOOD)
            for region, network in CHECKERS.items() for host in (67, 131)
        ]  # fmt: skip

    def failing_since(self) -> datetime:
        """Return when the checkers last failed: now, or three days ago for a healthy site."""
        now = self.state.clock.now()
        return now if any(status != GOOD for _, _, status in self.observations()) else now - timedelta(days=3, hours=7)


def changed(records: list[Record], batch: list[dict[str, Any]]) -> list[Record]:
    """Return the records after a batch; refuses what does not fit, as Route 53 does."""
    after = list(records)
    for change in batch:
        record = {**change["ResourceRecordSet"]}
        record["Name"] = record["Name"].rstrip(".") + "."
        same = [known for known in after if _key(known) == _key(record)]
        kind = change["Action"]
        said = f"record set [name='{record['Name']}', type='{record['Type']}']"
        if kind == "CREATE" and same:
            raise ServiceError(
                "InvalidChangeBatch", f"[Tried to create resource {said} but it already exists]", status=400
            )
        if kind == "DELETE" and record not in same:
            raise ServiceError(
                "InvalidChangeBatch",
                f"[Tried to delete resource {said} but the values provided do not match the current values]",
                status=400,
            )
        after = [known for known in after if _key(known) != _key(record)] + ([] if kind == "DELETE" else [record])
    return sorted(after, key=_key)


def _key(record: Record) -> tuple[str, str, str]:
    name = ".".join(reversed(record["Name"].rstrip(".").split(".")))
    return name, record["Type"], record.get("SetIdentifier", "")


def _records() -> list[Record]:
    def alias(name: str, zone: str, target: str) -> Record:
        return {
            "Name": name,
            "Type": "A",
            "AliasTarget": {"HostedZoneId": zone, "DNSName": f"{target}.", "EvaluateTargetHealth": False},
        }

    def reads(which: str, weight: int, host: str) -> Record:
        value = [{"Value": f"{host}.cexample0001.ap-northeast-1.rds.amazonaws.com"}]
        return {
            "Name": "db-read.shop.example.",
            "Type": "CNAME",
            "SetIdentifier": which,
            "Weight": weight,
            "TTL": 30,
            "ResourceRecords": value,
        }

    found = [
        alias(f"{SITE}.", CLOUDFRONT_ZONE, DOMAIN),
        alias("origin.shop.example.", "Z14GRHDCWA56QT", "shop-web-1234567890.ap-northeast-1.elb.amazonaws.com"),
        reads("primary", 100, "shop-db"), reads("replica", 0, "shop-db-replica-1"),
    ]  # fmt: skip
    return sorted(found, key=_key)
