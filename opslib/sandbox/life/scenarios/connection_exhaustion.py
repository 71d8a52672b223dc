"""A deploy of worker opens a pool for each job and never closes it: from 02:17Z on no connection is left."""

from opslib.sandbox.life import incident_database as database
from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS

TITLE = "A deploy of worker leaks connections; the database has none left and requests fail at once."
DEPLOY, SINCE, FULL, VERSION = "2026-11-05T02:08:00Z", "2026-11-05T02:09:00Z", "2026-11-05T02:18:00Z", "2026.11.05-1"
NOTE = "ジョブごとに接続プールを作る (a connection pool for each job)"
KIND, AT_CHECKOUT = "TooManyConnections", "TooManyConnectionsAtCheckout"
SAID = (
    "connection to server failed: FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute"
)
SHARES = {
    "GET /": 0.12, "GET /products": 0.18, "GET /products/[sku]": 0.2, "GET /search": 0.4, "GET /cart": 0.5, "POST /cart/items": 0.5,
    "POST /login": 0.45, "GET /account/orders": 0.55, "POST /checkout": 0.6,
}  # fmt: skip
INQUIRIES = ("ログインできません", "エラーになって買い物ができません", "サイトに入れたり入れなかったりします")
MEASURED = (
    ("AWS/RDS", "DatabaseConnections", "db", {"add": 322.0, "ramp": 540}), ("AWS/RDS", "CPUUtilization", "db", {"factor": 0.8, "ramp": 540}),
    ("AWS/RDS", "FreeableMemory", "db", {"add": -3.1e9, "ramp": 540}), ("AWS/ECS", "MemoryUtilization", "worker", {"add": 9.0, "ramp": 1500}),
    ("AWS/ECS", "CPUUtilization", "api", {"factor": 0.85}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let connections grow until none is left; then a share of all requests fails within a moment."""
    tasks = incident.deploy("worker", DEPLOY, VERSION, "kobayashi.rei", NOTE)
    about = {"by": "api", "after": 0.3, "status": 500, "level": "error", "message": SAID}
    incident.failure(KIND, **about, shown="ただいまアクセスが集中しています。")
    incident.failure(AT_CHECKOUT, **about, shown="ご注文を確定できませんでした。", order_status="failed")
    for route, share in SHARES.items():
        for request in incident.requests(route, FULL):
            if not request.failure and incident.rng.random() < share:
                kind = AT_CHECKOUT if route == "POST /checkout" else KIND
                failed = incident.fail(request, kind, 180 + int(incident.rng.random() * 240))
                start = failed.end + MINUTE
                if kind == AT_CHECKOUT and incident.rng.random() < 0.35 and start < NOW_MS - 8_000:
                    incident.ask(failed, start, INQUIRIES[int(incident.rng.random() * len(INQUIRIES))])
    for number, minute in enumerate(range(9, 40, 2)):
        pools = 4 + number * 6
        said = f"HikariPool-{pools} - Start completed: {pools} pools, {min(pools * 4, 330)} connections open"
        about = {"pools": pools, "open": min(pools * 4, 330)}
        incident.note(
            "worker", f"2026-11-05T02:{minute:02d}:41.006Z", "info", said, tasks[number % len(tasks)], pool=about
        )
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    idle = "select count(*) from job_runs where status = $1"
    database.load(
        incident, SINCE, 1.1, "Client:ClientRead", idle, user="shop_worker", latency_ms=1.2, rows=1.0, blocks=4.0
    )
    incident.out.planted = {
        "component": "database",
        "runbook": "2-investigate/slow-database",
        "since": FULL,
        "service": "worker",
    }
