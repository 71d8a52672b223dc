"""Route 53: the health check of the site, and the hosted zone with its weighted records."""

from datetime import timedelta
from typing import Any

from opslib.sandbox.dns import Dns
from opslib.sandbox.edge import HEALTH_CHECK, SITE, ZONE
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
GUIDE = "developer guide, “How Route 53 determines whether a health check is healthy”"


class Route53Api:
    """One zone, one health check; others are not made here."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @property
    def _dns(self) -> Dns:
        return self._state.part(Dns)

    def _checked(self, p: Params) -> Dns:
        if p["HealthCheckId"] != HEALTH_CHECK:
            raise ServiceError(
                "NoSuchHealthCheck", f"A health check with id {p['HealthCheckId']} does not exist.", status=404
            )
        return self._dns

    def _zone(self, p: Params, name: str = "HostedZoneId") -> Dns:
        if p[name].removeprefix("/hostedzone/") != ZONE:
            raise ServiceError("NoSuchHostedZone", f"No hosted zone found with ID: {p[name]}", status=404)
        return self._dns

    @operation("route53", "ListHealthChecks", modelled="the one health check", source=API, difference="those of ministack's CreateHealthCheck are not listed",
               tested=("test_health_is_seen_by_every_checker",))  # fmt: skip
    def list_health_checks(self, p: Params) -> dict[str, Any]:
        """Answer the health checks."""
        return {"HealthChecks": [_check()], "Marker": p.get("Marker") or "", "IsTruncated": False, "MaxItems": 100}

    @operation(
        "route53",
        "GetHealthCheck",
        modelled="its configuration",
        source=API,
        tested=("test_health_is_seen_by_every_checker",),
    )
    def get_health_check(self, p: Params) -> dict[str, Any]:
        """Answer one health check."""
        self._checked(p)
        return {"HealthCheck": _check()}

    @operation("route53", "GetHealthCheckStatus", modelled="16 checkers in eight regions; healthy while www points at the distribution", source=GUIDE,
               difference="certificates are not looked at, as on AWS", tested=("test_health_is_seen_by_every_checker", "test_health_follows_the_record"))  # fmt: skip
    def get_health_check_status(self, p: Params) -> dict[str, Any]:
        """Answer what each checker saw last."""
        dns, now = self._checked(p), self._state.clock.now()
        seen = dns.observations()
        return {
            "HealthCheckObservations": [
                _observation(each, now - timedelta(seconds=3 + n)) for n, each in enumerate(seen)
            ]
        }

    @operation("route53", "GetHealthCheckLastFailureReason", modelled="what each checker saw when it last failed", source=API,
               tested=("test_health_follows_the_record",))  # fmt: skip
    def get_health_check_last_failure_reason(self, p: Params) -> dict[str, Any]:
        """Answer the last failures."""
        dns = self._checked(p)
        seen = [each for each in dns.observations() if each[2].startswith("Failure")]
        return {"HealthCheckObservations": [_observation(each, dns.failing_since()) for each in seen]}

    @operation("route53", "ListHostedZones", modelled="the one zone", source=API, tested=("test_records_in_pages",))
    def list_hosted_zones(self, p: Params) -> dict[str, Any]:
        """Answer the zones."""
        zone = {
            "Id": f"/hostedzone/{ZONE}", "Name": "shop.example.", "CallerReference": "shop", "Config": {"PrivateZone": False},
            "ResourceRecordSetCount": len(self._dns.records),
        }  # fmt: skip
        return {"HostedZones": [zone], "Marker": p.get("Marker") or "", "IsTruncated": False, "MaxItems": 100}

    @operation("route53", "ListResourceRecordSets", modelled="in the order of reversed names, pages by name, type and identifier", source=API,
               tested=("test_records_in_pages",))  # fmt: skip
    def list_resource_record_sets(self, p: Params) -> dict[str, Any]:
        """Answer the records of the zone."""
        records, many = self._zone(p).records, min(int(p.get("MaxItems") or 300), 300)
        first = 0
        if p.get("StartRecordName"):
            start = [p.get("StartRecordName"), p.get("StartRecordType"), p.get("StartRecordIdentifier")]
            first = next((n for n, each in enumerate(records) if _fits(each, start)), len(records))
        shown, rest = records[first : first + many], records[first + many :]
        answer: dict[str, Any] = {"ResourceRecordSets": shown, "IsTruncated": bool(rest), "MaxItems": many}
        if rest:
            answer |= {"NextRecordName": rest[0]["Name"], "NextRecordType": rest[0]["Type"]}
            answer |= {"NextRecordIdentifier": rest[0]["SetIdentifier"]} if "SetIdentifier" in rest[0] else {}
        return answer

    @operation("route53", "ChangeResourceRecordSets", modelled="CREATE, UPSERT and DELETE, all or none; PENDING for half a minute", source=API,
               difference="values are not validated", tested=("test_a_weight_is_changed",))  # fmt: skip
    def change_resource_record_sets(self, p: Params) -> dict[str, Any]:
        """Change records."""
        with self._state.lock:
            name, at = self._zone(p).submit(p["ChangeBatch"]["Changes"])
        return {
            "ChangeInfo": {
                "Id": f"/change/{name}",
                "Status": "PENDING",
                "SubmittedAt": at,
                "Comment": p["ChangeBatch"].get("Comment", ""),
            }
        }

    @operation(
        "route53", "GetChange", modelled="PENDING, then INSYNC", source=API, tested=("test_a_weight_is_changed",)
    )
    def get_change(self, p: Params) -> dict[str, Any]:
        """Answer how far a change is."""
        dns, name = self._dns, p["Id"].removeprefix("/change/")
        if name not in dns.changes:
            raise ServiceError("NoSuchChange", f"A change with id {p['Id']} does not exist.", status=404)
        return {
            "ChangeInfo": {
                "Id": f"/change/{name}",
                "Status": "INSYNC" if dns.in_sync(name) else "PENDING",
                "SubmittedAt": dns.changes[name],
            }
        }


def _fits(record: dict[str, Any], start: list[Any]) -> bool:
    return all(
        not wanted or record.get(name) == wanted
        for name, wanted in zip(("Name", "Type", "SetIdentifier"), start, strict=True)
    )


def _check() -> dict[str, Any]:
    config = {
        "Type": "HTTPS", "FullyQualifiedDomainName": SITE, "Port": 443, "ResourcePath": "/", "RequestInterval": 30, "FailureThreshold": 3,
        "MeasureLatency": True, "EnableSNI": True, "Inverted": False, "Disabled": False,
    }  # fmt: skip
    return {"Id": HEALTH_CHECK, "CallerReference": "shop-www", "HealthCheckConfig": config, "HealthCheckVersion": 1}


def _observation(seen: tuple[str, str, str], at: Any) -> dict[str, Any]:
    region, address, status = seen
    return {"Region": region, "IPAddress": address, "StatusReport": {"Status": status, "CheckedTime": at}}


APIS = (Route53Api,)
