"""A change of the distribution at 02:15Z turns caching off for pages: the origin has to answer what the edge did."""

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import NOW_MS

TITLE = "A change of CloudFront's cache policy sends every page to the origin; the hit rate falls, pages get slow."
CHANGE, SINCE = "2026-11-05T02:15:00Z", "2026-11-05T02:16:00Z"
DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS's managed policy CachingDisabled
NOTE = "セール価格がすぐ出るように (prices of the sale must show at once)"
PAGES = ("GET /", "GET /products", "GET /products/[sku]")
MEASURED = (
    ("AWS/CloudFront", "CacheHitRate", "cdn", 0.42), ("AWS/CloudFront", "OriginLatency", "cdn", 1.7),
    ("AWS/AmplifyHosting", "Requests", "amplify", 1.3), ("AWS/ApplicationELB", "ActiveConnectionCount", "alb", 1.5),
    ("AWS/ECS", "CPUUtilization", "web", 1.35), ("AWS/ECS", "CPUUtilization", "api", 1.3), ("AWS/RDS", "CPUUtilization", "db", 1.15),
    ("AWS/ElastiCache", "CacheHits", "cache1", 1.8), ("AWS/ElastiCache", "CacheMisses", "cache1", 1.8),
    ("AWS/ElastiCache", "CacheHits", "cache2", 1.8), ("AWS/ElastiCache", "CacheMisses", "cache2", 1.8),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let pages come from the origin that came from the edge before, each a little slower."""
    config = {"DefaultCacheBehavior": {"CachePolicyId": DISABLED}}
    incident.out.events.setdefault("cdn_changes", []).append(
        {"at": CHANGE, "by": "nakamura.sho", "what": NOTE, "config": config}
    )
    calm = sum(len(incident.requests(route, SINCE)) for route in incident.shop.routes)
    added = 0
    for route in PAGES:
        for request in incident.requests(route, SINCE):
            pace = 1.4 + 1.1 * incident.rng.random()
            for _ in range(1 + (incident.rng.random() < 0.7)):
                start = request.start + int(40_000 * incident.rng.random())
                if request.status == 200 and start + 3 * request.total < NOW_MS - 1000:
                    more = incident.more(request, start)
                    incident.slow(more, int(more.total * pace))
                    added += 1
            incident.slow(request, int(request.total * pace))
    for namespace, name, where, factor in MEASURED:
        incident.metric(namespace, name, where, SINCE, factor=factor)
    # As many customers as ever stand before the edge: only what reaches the origin has grown.
    incident.metric("AWS/CloudFront", "Requests", "cdn", SINCE, factor=calm / (calm + added), ramp=1)
    incident.out.planted = {"component": "cdn", "runbook": "2-investigate/slow-frontend"}
