"""A query of batch without a join condition writes temporary files: from 02:05Z on the storage fills, by 8 GB a minute."""

from opslib.sandbox.life import incident_database as database
from opslib.sandbox.life.incident import Incident

TITLE = "A query of batch fills the database's storage with temporary files; it will be full in minutes."
SINCE, LASTS, TAKEN = "2026-11-05T02:05:00Z", 2100, 286e9  # seconds until now, bytes by then
STATEMENT = (
    "select o.user_id, i.product_id, sum(i.quantity) from orders o, order_items i, products p "
    "where o.placed_at >= $1 group by o.user_id, i.product_id order by sum(i.quantity) desc"
)
SLOWED = {
    "POST /checkout": 0.7,
    "POST /cart/items": 0.6,
    "POST /login": 0.35,
    "GET /account/orders": 0.4,
}  # share of requests
MEASURED = (
    ("AWS/RDS", "FreeStorageSpace", "db", {"add": -TAKEN, "ramp": LASTS}), ("AWS/RDS", "WriteIOPS", "db", {"add": 5_200.0, "ramp": 240}),
    ("AWS/RDS", "WriteLatency", "db", {"factor": 3.8, "ramp": 240}), ("AWS/RDS", "ReadLatency", "db", {"factor": 1.7, "ramp": 240}),
    ("AWS/RDS", "DiskQueueDepth", "db", {"add": 11.0, "ramp": 240}), ("AWS/RDS", "CPUUtilization", "db", {"add": 12.0, "ramp": 240}),
    ("AWS/RDS", "ReadIOPS", "db", {"add": 900.0, "ramp": 600}),
)  # fmt: skip
LOW = (("02:31:10", 20, 98), ("02:37:20", 10, 48))  # time, percent, gigabytes that are free


def unfold(incident: Incident) -> None:
    """Let the free space go, RDS warn, and requests that write be slow."""
    batch = incident.shop.tasks("batch")[0]
    started = {"statement": STATEMENT, "by": "shop_batch"}
    incident.note(
        "batch",
        "2026-11-05T02:04:12.331Z",
        "info",
        "report started: ギフト併売ランキング (一回限り)",
        batch,
        db=started,
    )
    for minute in range(9, 40, 6):
        gigabytes = (minute - 5) * 60 / LASTS * TAKEN / 1e9
        said = f"temporary files of pid 5218: {gigabytes:.0f} GB, the query goes on"
        incident.note(
            "batch",
            f"2026-11-05T02:{minute:02d}:12.331Z",
            "warn",
            said,
            batch,
            db=started | {"temp_gb": round(gigabytes)},
        )
    for route, share in SLOWED.items():
        for request in incident.requests(route, "2026-11-05T02:08:00Z"):
            if not request.failure and incident.rng.random() < share:
                incident.slow(request, int(request.total * (1.5 + 1.2 * incident.rng.random())) + 240)
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    about = {"user": "shop_batch", "ramp": 180, "latency_ms": 0.0}
    for sessions, wait in ((1.3, "IO:BufFileWrite"), (0.5, "IO:BufFileRead"), (0.9, "CPU")):
        database.load(incident, SINCE, sessions, wait, STATEMENT, **about)
    database.counter(incident, SINCE, "db.Temp.temp_bytes", add=TAKEN / LASTS, ramp=60.0)
    for at, percent, free in LOW:
        said = f"The free storage capacity for DB Instance: shop-db is low at {percent}% of the provisioned storage [Provisioned Storage: 491.15 GB, Free Storage: {free} GB]."  # fmt: skip
        database.event(incident, f"2026-11-05T{at}.000Z", said, "low storage")
    incident.out.planted = {
        "component": "database",
        "runbook": "2-investigate/slow-database",
        "since": SINCE,
        "statement": STATEMENT[:60],
    }
