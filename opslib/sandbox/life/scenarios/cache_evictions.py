"""The cache's node type is halved at 02:06Z to save money: it evicts, hits turn into misses, the database has to answer."""

from dataclasses import replace

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import MINUTE, iso, milliseconds
from opslib.sandbox.life.traffic import Request

TITLE = "The cache was made smaller: it evicts what it needs, the hit rate falls, pages wait for the database."
CHANGE, SINCE, FULL = "2026-11-05T02:06:00Z", "2026-11-05T02:08:00Z", "2026-11-05T02:10:00Z"
PLANTED, CUSTOMER = "req-71c9e0d3f582", "u-11204"
HIT_SHARE = 0.34  # of what used to be 0.8 and more
SMALLER = "cache.r7g.medium"
COUNTED = (("cache1", 0.38, 5.2, 4_100.0), ("cache2", 0.4, 4.9, 1_700.0))  # hits x, misses x, evictions a minute
GAUGES = (
    ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "cache1", SINCE, {"add": 42.0, "ramp": 100}),
    ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "cache2", SINCE, {"add": 42.0, "ramp": 100}),
    ("AWS/ElastiCache", "EngineCPUUtilization", "cache1", SINCE, {"factor": 2.1}),
    ("AWS/ElastiCache", "CPUUtilization", "cache1", SINCE, {"factor": 1.8}),
    ("AWS/ElastiCache", "SuccessfulReadRequestLatency", "cache1", SINCE, {"factor": 1.9}),
    ("AWS/RDS", "ReadIOPS", "db", FULL, {"factor": 2.6}), ("AWS/RDS", "CPUUtilization", "db", FULL, {"factor": 1.6}),
    ("AWS/RDS", "DBLoad", "db", FULL, {"add": 2.4}), ("AWS/RDS", "DBLoadCPU", "db", FULL, {"add": 1.6}),
    ("AWS/RDS", "DBLoadNonCPU", "db", FULL, {"add": 0.8}), ("AWS/RDS", "ReadLatency", "db", FULL, {"factor": 1.5}),
    ("AWS/RDS", "DatabaseConnections", "db", FULL, {"add": 16.0}), ("AWS/ECS", "CPUUtilization", "api", FULL, {"factor": 1.15}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Turn most hits into misses that wait for the database."""
    rng, shop = incident.rng, incident.shop
    cached = {key: route for key, route in shop.routes.items() if route.cached < 1.0}
    poor = {key: replace(route, cached=HIT_SHARE) for key, route in cached.items()}
    incident.shop = incident.scribe.shop = replace(shop, routes={**shop.routes, **poor})
    for key, route in cached.items():
        for request in incident.requests(key, FULL):
            share = (request.number >> 20 & 1023) / 1024  # what decides whether its lines say hit or miss
            if HIT_SHARE <= share < route.cached and not request.failure:
                incident.slow(request, int(request.total * (2.0 + 2.5 * rng.random())) + 240 + int(420 * rng.random()))
    start = milliseconds("2026-11-05T02:30:44.318Z")
    incident.slow(Request(start, "GET /products", CUSTOMER, PLANTED, 0), 2140)
    _measure(incident)
    message = f"Succeeded applying modification to cache node type to {SMALLER}."
    events = incident.out.events.setdefault("elasticache_events", [])
    for number, node in enumerate(("shop-cache-001", "shop-cache-002")):
        events.append({"at": iso(milliseconds(CHANGE) + number * 41_000), "node": node, "message": message})
    events.append(
        {
            "at": CHANGE,
            "node": "shop-cache",
            "type": "replication-group",
            "message": "Replication group modified by kato.haruka",
        }
    )
    for node in ("shop-cache-001", "shop-cache-002"):
        incident.out.events.setdefault("cache_nodes", []).append({"at": CHANGE, "node": node, "node_type": SMALLER})
    tasks = incident.shop.tasks("api")
    for minute in range(11, 40, 4):
        at = milliseconds("2026-11-05T02:00:20.700Z") + minute * MINUTE
        about = {"hit_rate": round(0.36 + 0.04 * rng.random(), 3), "keys": 412_000 + int(9_000 * rng.random())}
        said = f"cache hit rate {about['hit_rate']:.0%} in the last 4 min, usually 93 %"
        incident.note("api", iso(at), "warn", said, tasks[minute % len(tasks)], cache=about)
    about = {"component": "cache", "runbook": "2-investigate/slow-cache"}
    incident.out.planted = about | {"request_id": PLANTED, "user_id": CUSTOMER}


def _measure(incident: Incident) -> None:
    for where, hits, misses, evictions in COUNTED:
        incident.metric("AWS/ElastiCache", "CacheHits", where, FULL, factor=hits, ramp=120)
        incident.metric("AWS/ElastiCache", "CacheMisses", where, FULL, factor=misses, ramp=120)
        incident.metric("AWS/ElastiCache", "Evictions", where, FULL, add=evictions, ramp=90)
    for namespace, name, where, since, change in GAUGES:
        incident.metric(namespace, name, where, since, **change)
