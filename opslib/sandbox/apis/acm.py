"""ACM: the certificate in front of the shop, in us-east-1, where CloudFront wants it."""

from typing import Any

from opslib.sandbox.edge import Edge
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError
from opslib.sandbox.state_files import GLOBAL

API = "API reference"
BY_DEFAULT = ("RSA_1024", "RSA_2048")


class AcmApi:
    """Certificates; an elliptic one is listed only when asked for, as on AWS."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    def _all(self) -> list[dict[str, Any]]:
        now = self._state.clock.now()
        known = self._state.part(Edge).certificates() if self._state.name == GLOBAL else []
        return [{**each, "Status": "EXPIRED" if each["NotAfter"] <= now else "ISSUED"} for each in known]

    @operation("acm", "ListCertificates", modelled="by status and key type; without Includes only RSA up to 2048", source=API, difference="no pages",
               tested=("test_a_certificate_and_its_days",))  # fmt: skip
    def list_certificates(self, p: Params) -> dict[str, Any]:
        """Answer the certificates of the region."""
        kinds, states = (p.get("Includes") or {}).get("keyTypes") or BY_DEFAULT, p.get("CertificateStatuses")
        found = [
            each for each in self._all() if each["KeyAlgorithm"] in kinds and (not states or each["Status"] in states)
        ]
        named = (
            "CertificateArn",
            "DomainName",
            "Status",
            "Type",
            "KeyAlgorithm",
            "NotBefore",
            "NotAfter",
            "RenewalEligibility",
        )
        return {
            "CertificateSummaryList": [
                {**{key: each[key] for key in named}, "InUse": bool(each["InUseBy"])} for each in found
            ]
        }

    @operation("acm", "DescribeCertificate", modelled="validity, use, renewal", source=API, difference="no validation options, no serial number",
               tested=("test_a_certificate_and_its_days",))  # fmt: skip
    def describe_certificate(self, p: Params) -> dict[str, Any]:
        """Answer one certificate."""
        for each in self._all():
            if each["CertificateArn"] == p["CertificateArn"]:
                return {"Certificate": each}
        raise ServiceError(
            "ResourceNotFoundException", f"Could not find certificate {p['CertificateArn']}.", status=400
        )


APIS = (AcmApi,)
