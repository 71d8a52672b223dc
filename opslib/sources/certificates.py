"""ACM: the certificates in use, and how many days they have left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib import aws, frames

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

EDGE_REGION = "us-east-1"  # where CloudFront takes its certificates from
KEY_TYPES = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
CERTIFICATES = {"region": "str", "domain": "str", "arn": "str", "status": "str", "type": "str", "not_after": "time", "days_left": "float64",
                "renewal": "str", "reason": "str", "names": "str", "in_use": "bool"}  # fmt: skip


def certificates(environment: Environment) -> pd.DataFrame:
    """Return the certificates of CloudFront's region and of the environment's, the first to expire first (acm:ListCertificates, DescribeCertificate).

    Columns: region, domain, arn, status, type, renewal, reason, names str; not_after datetime64[ns, UTC]; days_left
    float64, negative once expired; in_use bool. AWS lists RSA keys up to 2048 bits only, unless all are asked for.
    Raises SourceError.
    """
    now, rows = aws.now(environment), []
    for region in dict.fromkeys([EDGE_REGION, environment.region]):
        for listed in aws.pages(
            environment,
            "acm",
            "list_certificates",
            "CertificateSummaryList",
            region=region,
            Includes={"keyTypes": KEY_TYPES},
        ):
            told = aws.ask(
                environment, "acm", "describe_certificate", region=region, CertificateArn=listed["CertificateArn"]
            )["Certificate"]
            ends, renewal = told.get("NotAfter"), told.get("RenewalSummary", {})
            rows.append(
                {"region": region, "domain": told.get("DomainName", ""), "arn": listed["CertificateArn"], "status": told.get("Status", ""),
                 "type": told.get("Type", ""), "not_after": ends, "days_left": (ends - now).total_seconds() / 86_400 if ends else None,
                 "renewal": renewal.get("RenewalStatus") or told.get("RenewalEligibility", ""), "reason": renewal.get("RenewalStatusReason", ""),
                 "names": ", ".join(told.get("SubjectAlternativeNames", [])), "in_use": bool(told.get("InUseBy"))}
            )  # fmt: skip
    return frames.made(
        sorted(rows, key=lambda row: float("inf") if row["days_left"] is None else row["days_left"]), CERTIFICATES
    )
