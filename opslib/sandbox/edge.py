"""The edge of the shop: its distribution, its certificates and its DNS as they stood after every change up to now."""

import hashlib
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.sandbox.region_state import RegionState
from opslib.sandbox.state_files import ACCOUNT

DISTRIBUTION, DOMAIN, SITE = "E2SHOPEXAMPLE1", "d111111abcdef8.cloudfront.net", "www.shop.example"
CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/5a1c6c1e-0b1f-4f0e-9a54-5e0000000001"
OPTIMIZED, DISABLED = (
    "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
)  # AWS's managed policies
ZONE, HEALTH_CHECK = "Z0SHOPEXAMPLE1", "7a1c6c1e-5b1f-4f0e-9a54-shopexample1"
CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"


def at_of(event: dict[str, Any]) -> datetime:
    """Return when an event of the life happened."""
    return datetime.fromisoformat(event["at"]).astimezone(UTC)


@dataclass
class Invalidation:
    """One invalidation; it is through after a minute."""

    id: str
    created: datetime
    paths: list[str]
    reference: str
    takes: timedelta = timedelta(seconds=60)


@dataclass
class Edge:
    """What us-east-1 holds of the shop; the life's `cdn_changes`, `dns_changes` and `certificates` are laid over it."""

    state: RegionState
    config: dict[str, Any] = field(default_factory=dict)
    modified: datetime = datetime.min
    invalidations: list[Invalidation] = field(default_factory=list)
    version: int = 1

    def __post_init__(self) -> None:
        """Start from the distribution as it was, nine days ago."""
        self.config, self.modified = _config(), self.state.clock.now() - timedelta(days=9, hours=3)
        for event in self.state.events.get("cdn_changes", []):
            self.change(_merged(self.config, event["config"]), at_of(event))
        self.invalidations = [
            Invalidation(_name(event["at"]), at_of(event), list(event["paths"]), f"release-{number}")
            for number, event in enumerate(self.state.events.get("invalidations", []), start=1)
        ]  # fmt: skip

    @property
    def etag(self) -> str:
        """Return the version of the configuration, as UpdateDistribution wants it back."""
        return "E" + hashlib.sha256(f"config {self.version}".encode()).hexdigest()[:13].upper()

    @property
    def deployed(self) -> bool:
        """Tell whether the last change has reached every edge: five minutes later."""
        return self.state.clock.now() >= self.modified + timedelta(minutes=5)

    def change(self, config: dict[str, Any], at: datetime) -> None:
        """Take a new configuration."""
        self.config, self.modified, self.version = config, at, self.version + 1

    def open_invalidations(self) -> list[Invalidation]:
        """Return those that are not through."""
        return [each for each in self.invalidations if self.status(each) == "InProgress"]

    def status(self, invalidation: Invalidation) -> str:
        """Return how far one is."""
        return "Completed" if self.state.clock.now() >= invalidation.created + invalidation.takes else "InProgress"

    def invalidate(self, paths: list[str], reference: str) -> Invalidation:
        """Begin an invalidation."""
        made = Invalidation(_name(f"{reference} {len(self.invalidations)}"), self.state.clock.now(), paths, reference)
        self.invalidations.append(made)
        return made

    def certificates(self) -> list[dict[str, Any]]:
        """Return the certificates of us-east-1; an event of the life may say otherwise of the one in front of the site."""
        now = self.state.clock.now()
        shown = {
            "CertificateArn": CERTIFICATE, "DomainName": SITE, "SubjectAlternativeNames": [SITE, "shop.example"], "Type": "AMAZON_ISSUED",
            "KeyAlgorithm": "EC_prime256v1", "NotBefore": now - timedelta(days=200), "NotAfter": now + timedelta(days=195),
            "RenewalEligibility": "ELIGIBLE", "InUseBy": [f"arn:aws:cloudfront::{ACCOUNT}:distribution/{DISTRIBUTION}"],
        }  # fmt: skip
        for event in self.state.events.get("certificates", []):
            shown |= {"NotAfter": at_of(event), "Type": event["type"], "RenewalEligibility": event["renewal"]}
        return [shown]


def _name(text: str) -> str:
    return "I" + hashlib.sha256(text.encode()).hexdigest()[:13].upper()


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the old configuration with the members of the new one, deep down."""
    merged = deepcopy(old)
    for key, value in new.items():
        merged[key] = (
            _merged(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
        )
    return merged


def _config() -> dict[str, Any]:
    def behaviour(origin: str, policy: str) -> dict[str, Any]:
        return {
            "TargetOriginId": origin, "ViewerProtocolPolicy": "redirect-to-https", "CachePolicyId": policy, "Compress": True, "SmoothStreaming": False,
            "AllowedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"], "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]}},
        }  # fmt: skip

    def origin(name: str, domain: str) -> dict[str, Any]:
        custom = {
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "https-only",
            "OriginReadTimeout": 30,
            "OriginKeepaliveTimeout": 5,
        }
        return {
            "Id": name,
            "DomainName": domain,
            "OriginPath": "",
            "CustomHeaders": {"Quantity": 0},
            "CustomOriginConfig": custom,
        }

    origins = [origin("amplify", "main.d2shopexample.amplifyapp.com"), origin("load-balancer", "origin.shop.example")]
    paths = [
        {"PathPattern": "/api/*", **behaviour("load-balancer", DISABLED)},
        {"PathPattern": "/_next/static/*", **behaviour("amplify", OPTIMIZED)},
    ]
    return {
        "CallerReference": "shop-2025", "Aliases": {"Quantity": 1, "Items": [SITE]}, "DefaultRootObject": "", "Comment": "shop", "Enabled": True,
        "Origins": {"Quantity": 2, "Items": origins}, "DefaultCacheBehavior": behaviour("load-balancer", OPTIMIZED),
        "CacheBehaviors": {"Quantity": 2, "Items": paths}, "PriceClass": "PriceClass_200", "HttpVersion": "http2and3", "IsIPV6Enabled": True,
        "ViewerCertificate": {"ACMCertificateArn": CERTIFICATE, "SSLSupportMethod": "sni-only", "MinimumProtocolVersion": "TLSv1.2_2021"},
    }  # fmt: skip
