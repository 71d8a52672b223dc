"""At 02:12Z www is pointed at a load balancer of last year that is gone: customers and health checkers find nobody."""

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import milliseconds

TITLE = "The record of www points at a load balancer that is gone; the health check fails and customers stay away."
CHANGE, SINCE, FAILED = "2026-11-05T02:12:20Z", "2026-11-05T02:13:00Z", "2026-11-05T02:14:00Z"
OLD = {
    "HostedZoneId": "Z14GRHDCWA56QT",
    "DNSName": "shop-web-2025-987654321.ap-northeast-1.elb.amazonaws.com.",
    "EvaluateTargetHealth": False,
}
NOTE = "旧環境の片付け (tidying up last year's environment)"
SPREAD = 240_000  # ms until the last resolver has forgotten the old answer
STAY = 0.12  # of the requests still come: from resolvers that keep answers too long
CALMER = (
    ("AWS/AmplifyHosting", "Requests", "amplify", 0.14), ("AWS/AmplifyHosting", "BytesDownloaded", "amplify", 0.14),
    ("AWS/AmplifyHosting", "4XXErrors", "amplify", 0.14), ("AWS/CloudFront", "BytesDownloaded", "cdn", 0.13),
    ("AWS/ApplicationELB", "ActiveConnectionCount", "alb", 0.25), ("AWS/ECS", "CPUUtilization", "web", 0.45),
    ("AWS/ECS", "CPUUtilization", "api", 0.5), ("AWS/RDS", "CPUUtilization", "db", 0.6), ("AWS/RDS", "DBLoad", "db", 0.35),
    ("AWS/ElastiCache", "CacheHits", "cache1", 0.2), ("AWS/ElastiCache", "CacheMisses", "cache1", 0.2),
    ("AWS/ElastiCache", "CacheHits", "cache2", 0.2), ("AWS/ElastiCache", "CacheMisses", "cache2", 0.2),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Lose the requests of customers whose resolvers have learnt of the new record."""
    record = {"Name": "www.shop.example.", "Type": "A", "AliasTarget": OLD}
    incident.out.events.setdefault("dns_changes", []).append(
        {"at": CHANGE, "by": "kobayashi.rei", "what": NOTE, "record": record}
    )
    since = milliseconds(SINCE)
    for route in incident.shop.routes:
        for request in incident.requests(route, SINCE):
            learnt = min((request.start - since) / SPREAD, 1.0)
            if incident.rng.random() < (1 - STAY) * learnt:
                incident.lose(request)
    for namespace, name, where, factor in CALMER:
        incident.metric(namespace, name, where, SINCE, factor=factor, ramp=240)
    incident.metric("AWS/Route53", "HealthCheckStatus", "health", FAILED, add=-1.0, ramp=1)
    incident.metric("AWS/Route53", "HealthCheckPercentageHealthy", "health", CHANGE, add=-100.0, ramp=90)
    incident.out.planted = {"component": "dns", "runbook": "2-investigate/slow-frontend"}
