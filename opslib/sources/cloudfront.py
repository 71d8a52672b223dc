"""CloudFront: the distribution as it is configured and since when, and its invalidations."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from opslib import aws, frames

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

REGION = "us-east-1"
POLICIES = {  # AWS's own, the same in every account
    "658327ea-f89d-4fab-a63d-7e88639e58f6": "CachingOptimized",
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": "CachingOptimizedForUncompressedObjects",
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": "CachingDisabled",
    "08627262-05a9-4f76-9ded-b50ca2e3a84f": "Elemental-MediaPackage",
    "2e54312d-136d-493c-8eb9-b001f22f67d2": "Amplify",
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": "UseOriginCacheControlHeaders",
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": "UseOriginCacheControlHeaders-QueryStrings",
}  # fmt: skip
DISTRIBUTION = {"distribution": "str", "domain": "str", "aliases": "str", "status": "str", "enabled": "bool", "last_modified": "time",
                "cache_policy": "str", "uncached": "str", "origins": "str", "certificate": "str", "tls": "str", "open_invalidations": "float64"}  # fmt: skip
INVALIDATIONS = {"id": "str", "created": "time", "status": "str"}


def distribution(environment: Environment) -> pd.DataFrame:
    """Return the distribution in one row, or none when the configuration names no `cdn` (cloudfront:GetDistribution).

    Columns: distribution, domain, aliases, status, cache_policy (of the default behaviour), uncached (paths without
    caching), origins, certificate (ARN), tls str; enabled bool; last_modified datetime64[ns, UTC]; open_invalidations
    float64. Who changed it only CloudTrail knows. Raises SourceError.
    """
    if environment.cdn is None:
        return frames.made([], DISTRIBUTION)
    told = aws.ask(environment, "cloudfront", "get_distribution", region=REGION, Id=environment.cdn.distribution)[
        "Distribution"
    ]
    config = told.get("DistributionConfig", {})
    default, others = config.get("DefaultCacheBehavior", {}), config.get("CacheBehaviors", {}).get("Items", [])
    seen = config.get("ViewerCertificate", {})
    paths = [("*", default), *((other["PathPattern"], other) for other in others)]
    row = {
        "distribution": told["Id"], "domain": told.get("DomainName", ""), "aliases": ", ".join(config.get("Aliases", {}).get("Items", [])),
        "status": told.get("Status", ""), "enabled": bool(config.get("Enabled", True)), "last_modified": told.get("LastModifiedTime"),
        "cache_policy": _policy(default), "uncached": ", ".join(path for path, each in paths if _policy(each) == "CachingDisabled"),
        "origins": ", ".join(each["DomainName"] for each in config.get("Origins", {}).get("Items", [])),
        "certificate": seen.get("ACMCertificateArn", ""), "tls": seen.get("MinimumProtocolVersion", ""),
        "open_invalidations": told.get("InProgressInvalidationBatches"),
    }  # fmt: skip
    return frames.made([row], DISTRIBUTION)


def _policy(behaviour: dict[str, Any]) -> str:
    name = behaviour.get("CachePolicyId", "")
    return POLICIES.get(name, name) or "legacy settings"


def invalidations(environment: Environment, *, most: int = 100) -> pd.DataFrame:
    """Return the newest invalidations, newest first (cloudfront:ListInvalidations).

    Columns: id, status str; created datetime64[ns, UTC]. Raises SourceError.
    """
    if environment.cdn is None:
        return frames.made([], INVALIDATIONS)
    found = aws.pages(
        environment,
        "cloudfront",
        "list_invalidations",
        "InvalidationList.Items",
        region=REGION,
        DistributionId=environment.cdn.distribution,
    )
    rows = [
        {"id": each["Id"], "created": each.get("CreateTime"), "status": each.get("Status", "")}
        for each in islice(found, most)
    ]
    return frames.made(rows, INVALIDATIONS)
