"""A report holds the replica's replay up: from 02:12Z on what it shows grows older every second."""

from opslib.sandbox.life import incident_database as database
from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS

TITLE = "A long report on the replica stops its replay; customers do not see what they have just done."
SINCE, LASTS = "2026-11-05T02:12:00Z", 1680  # seconds until now
REPLICA = "shop-db-replica-1"
REPORT = """
select u.prefecture, date_trunc($1, a.at) as day, a.action, count(distinct a.actor), percentile_cont($2) within group (order by o.total_yen) \
from audit_logs a join users u on u.id = a.actor left join orders o on o.user_id = u.id and o.placed_at between a.at - $3 and a.at + $3 group by 1, 2, 3""".strip()
INQUIRIES = (
    "注文したのに注文履歴に出てきません", "カートに入れた商品が消えました", "住所を変更しても元のままです",
    "お気に入りに登録しても表示されません", "さきほどの注文は通っていますか",
)  # fmt: skip
WRITES = ("POST /cart/items", "POST /checkout", "POST /account/address", "POST /favorites")
MEASURED = (
    ("AWS/RDS", "ReplicaLag", "replica", {"add": float(LASTS), "ramp": LASTS}), ("AWS/RDS", "CPUUtilization", "replica", {"add": 31.0, "ramp": 240}),
    ("AWS/RDS", "ReadLatency", "replica", {"factor": 2.6}), ("AWS/RDS", "DatabaseConnections", "replica", {"add": 3.0}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let the replica fall behind, api say so, and customers wonder; no request fails."""
    tasks = incident.shop.tasks("api")
    for number, minute in enumerate(range(14, 40, 2)):
        lag = (minute - 12) * 60 + int(incident.rng.random() * 9)
        said = f"stale read: {REPLICA} is {lag} s behind; reads stay on it"
        incident.note("api", f"2026-11-05T02:{minute}:33.450Z", "warn", said, tasks[number % len(tasks)], replica={"name": REPLICA, "lag_s": lag})  # fmt: skip
    batch = incident.shop.tasks("batch")[0]
    started = {"statement": REPORT, "on": REPLICA, "by": "shop_report"}
    incident.note(
        "batch", "2026-11-05T02:11:48.902Z", "info", "report started: 都道府県別の行動分析", batch, db=started
    )
    for route in WRITES:
        for request in incident.requests(route, "2026-11-05T02:16:00Z"):
            start = request.end + 2 * MINUTE
            if not request.failure and incident.rng.random() < 0.16 and start < NOW_MS - 8_000:
                incident.ask(request, start, INQUIRIES[int(incident.rng.random() * len(INQUIRIES))])
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    about = {"user": "shop_report", "where": "replica", "ramp": 120, "latency_ms": 0.0}
    database.load(incident, SINCE, 0.9, "IO:DataFileRead", REPORT, **about)
    database.load(incident, SINCE, 0.5, "CPU", REPORT, **about)
    database.event(incident, "2026-11-05T02:31:12.000Z", "Replication lag of the read replica is high", "read replica", where="replica")  # fmt: skip
    incident.out.planted = {
        "component": "replica",
        "runbook": "2-investigate/slow-database",
        "since": SINCE,
        "statement": REPORT[:60],
    }
