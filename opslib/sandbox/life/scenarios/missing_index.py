"""A deploy of api drops the index of the order history: from 02:12Z on each look at it reads the whole table."""

from opslib.sandbox.life import incident_database as database
from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS
from opslib.sandbox.life.traffic import Request

TITLE = "A deploy of api drops an index; the order history reads the whole table and the database's CPUs are taken."
DEPLOY, SINCE, VERSION = "2026-11-05T02:11:00Z", "2026-11-05T02:12:00Z", "2026.11.05-2"
NOTE = "注文履歴の索引を作り直す移行 (migration 0142: the index of the order history is made anew)"
INDEX = "orders_user_id_placed_at_idx"
STATEMENT = "select * from orders where user_id = $1 order by placed_at desc limit 20"
INQUIRIES = ("注文履歴がなかなか開きません", "購入履歴を見ようとするとエラーになります", "サイト全体がとても遅いです")
SLOWED = {"GET /products/[sku]": 0.5, "GET /search": 0.7, "GET /cart": 0.5, "POST /checkout": 0.6}  # share of requests
MEASURED = (
    ("AWS/RDS", "CPUUtilization", "db", {"add": 62.0, "ramp": 420}), ("AWS/RDS", "ReadIOPS", "db", {"factor": 7.0, "ramp": 420}),
    ("AWS/RDS", "ReadLatency", "db", {"factor": 3.4, "ramp": 420}), ("AWS/RDS", "DiskQueueDepth", "db", {"factor": 14.0, "ramp": 420}),
    ("AWS/RDS", "DatabaseConnections", "db", {"add": 44.0, "ramp": 420}), ("AWS/RDS", "FreeableMemory", "db", {"factor": 0.93}),
    ("AWS/ECS", "MemoryUtilization", "api", {"add": 2.5, "ramp": 900}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Deploy, drop the index for real, and let the order history and what shares the CPUs with it be slow."""
    tasks = incident.deploy("api", DEPLOY, VERSION, "nakamura.sho", NOTE)
    incident.note("api", "2026-11-05T02:10:41.310Z", "info", f"migration 0142 applied: drop index {INDEX}", tasks[0], version=VERSION)  # fmt: skip
    incident.out.sql.append(f"drop index if exists {INDEX}")
    for request in incident.requests("GET /account/orders", SINCE):
        _history(incident, request)
    for route, share in SLOWED.items():
        for request in incident.requests(route, SINCE):
            if not request.failure and incident.rng.random() < share:
                incident.slow(request, int(request.total * (1.6 + 1.8 * incident.rng.random())) + 120)
    for number, minute in enumerate(range(14, 40, 2)):
        took = 1480 + int(incident.rng.random() * 1900)
        about = {"statement": STATEMENT, "duration_ms": took, "rows": 20}
        at = f"2026-11-05T02:{minute}:07.120Z"
        incident.note("api", at, "warn", f"slow query {took} ms: {STATEMENT}", tasks[number % len(tasks)], db=about)
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    scan = {"latency_ms": 340.0, "rows": 12.0, "blocks": 6_400.0, "ramp": 420, "replaces": True}
    database.load(incident, SINCE, 3.6, "CPU", STATEMENT, **scan)
    database.load(incident, SINCE, 3.1, "IO:DataFileRead", STATEMENT, **scan)
    incident.out.planted = {"component": "database", "runbook": "2-investigate/slow-database", "since": SINCE, "index": INDEX, "statement": STATEMENT}  # fmt: skip


def _history(incident: Incident, request: Request) -> None:
    """Let a look at the order history take seconds; one in seven meets the statement timeout, and some customers write."""
    if request.failure:
        return
    if incident.rng.random() < 0.14:
        failed = incident.fail(request, "QueryCanceled", 5060 + int(incident.rng.random() * 300))
        start = failed.end + MINUTE
        if incident.rng.random() < 0.4 and start < NOW_MS - 8_000:
            incident.ask(failed, start, INQUIRIES[int(incident.rng.random() * len(INQUIRIES))])
        return
    incident.slow(request, 1500 + int(incident.rng.random() * 2600))
