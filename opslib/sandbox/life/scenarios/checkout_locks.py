"""A deploy of api holds row locks on stock and orders too long: from 02:02Z on, most checkouts fail."""

from dataclasses import replace

from opslib.sandbox.life import incident_database as database
from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import NOW_MS, milliseconds
from opslib.sandbox.life.traffic import Request

TITLE = "A deploy of api makes transactions hold row locks on stock and orders; checkout fails."
DEPLOY, SINCE, VERSION = "2026-11-05T02:01:00Z", "2026-11-05T02:02:00Z", "2026.11.05-1"
PLANTED, CUSTOMER, HOLDER = "req-5f0c2e9ab714", "u-10482", 4127
HOLDERS = (4127, 4127, 4127, 4127, 4188, 4190)
INQUIRIES = (
    "注文ボタンを押してもエラーになります", "注文が確定できません。二重に請求されませんか", "カートの商品が買えません。急いでいます",
    "「しばらくしてから」と出て30分たちました", "注文履歴に失敗と出ています。取り置きはできますか",
)  # fmt: skip
RELATIONS = ("stock", "stock", "stock", "orders")
NOTE = "在庫更新を注文の取引の中へ移動 (stock update inside the order's transaction)"
STATEMENT = "update stock set quantity = quantity - $1 where sku = $2 -- 在庫更新"
MEASURED = (
    ("AWS/ApplicationELB", "ActiveConnectionCount", "alb", {"factor": 1.25}),
    ("AWS/ECS", "CPUUtilization", "api", {"factor": 0.9}), ("AWS/ECS", "MemoryUtilization", "api", {"add": 7.0, "ramp": 1200}),
    ("AWS/CloudFront", "OriginLatency", "cdn", {"factor": 1.3}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let checkouts wait for row locks from 02:02Z until now."""
    _deploy(incident)
    for request in incident.requests("POST /checkout", SINCE):
        if incident.rng.random() < 0.84:
            _locked(incident, request)
        elif not request.failure:
            incident.slow(request, request.total + int(900 + 2600 * incident.rng.random()))
    _plant(incident)
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    database.row_locks(incident, SINCE, STATEMENT)


def _deploy(incident: Incident) -> None:
    tasks = incident.deploy("api", DEPLOY, VERSION, "kato.haruka", NOTE)
    for number, task in enumerate(tasks):
        at, said = f"2026-11-05T02:01:0{number}.240Z", f"server started: version {VERSION}"
        incident.note("api", at, "info", said, task, version=VERSION)
    held = {"pid": HOLDER, "state": "idle in transaction", "statement": STATEMENT}
    for minute in range(4, 40, 5):
        said = f"transaction open for {(minute - 2) * 60} s: pid {HOLDER} idle in transaction (在庫更新)"
        incident.note("api", f"2026-11-05T02:{minute:02d}:30.000Z", "warn", said, tasks[1], database=held)


def _locked(incident: Incident, request: Request, tries: int = 1) -> None:
    """Let a checkout fail on a lock; most customers try again, some three times."""
    rng = incident.rng
    waited = 4000 + int(rng.random() * 600)
    total = waited + 290 + int(rng.random() * 350)
    relation, blocker = RELATIONS[int(rng.random() * 4)], HOLDERS[int(rng.random() * 6)]
    failed = _lock(incident, request, total, waited, relation, blocker)
    _release(incident, failed, blocker)
    start = failed.end + 9_000 + int(rng.random() * 70_000)
    if tries < 3 and rng.random() < 0.6 and start < NOW_MS - 8_000:
        _locked(incident, incident.again(request, start), tries + 1)
    elif rng.random() < 0.2 and start < NOW_MS - 8_000:
        incident.ask(failed, start, INQUIRIES[int(rng.random() * len(INQUIRIES))])


def _lock(incident: Incident, request: Request, total: int, waited: int, relation: str, blocker: int) -> Request:
    # The clock of one auth task runs 120 ms late.
    skew = {"auth": -120} if (request.number >> 4) % 2 == 0 else {}
    pid = 4200 + request.number % 90
    return incident.fail(
        request, "LockTimeout", total, relation=relation, blocker=blocker, waited=waited, pid=pid, skew=skew,
        failed_at=request.start + 196 + waited,
    )  # fmt: skip


def _release(incident: Incident, request: Request, blocker: int) -> None:
    """Enqueue the job that gives the goods back; it meets the same lock, and fails after three attempts."""
    queued = request.start + 196 + request.extra["waited"] + 34
    started = queued + 30 + request.number % 30
    span = 1900 + request.number % 900
    error = f"org.postgresql.util.PSQLException: row lock on orders not granted (held by pid {blocker})"
    good = request.number % 11 == 0 and request.id != PLANTED
    outcome = {} if good else {"status": "failed", "attempt": 3, "error": error}
    request.extra["job_wait"] = {"for": "row lock on orders", "ms": span // 5, "pid": blocker}
    run = incident.job(request, "stock-release", queued, started, started + span, **outcome)
    incident.say(request, "api", queued, "info", "job enqueued: stock-release", job={"id": run.id, "name": run.job})


def _plant(incident: Incident) -> None:
    start = milliseconds("2026-11-05T02:31:20.113Z")
    request = replace(Request(start, "POST /checkout", CUSTOMER, PLANTED, 0), status=500)
    failed = _lock(incident, request, 4812, 4300, "stock", HOLDER)
    failed.extra["skew"] = {"auth": -120}
    _release(incident, failed, HOLDER)
    incident.out.planted = {"request_id": PLANTED, "user_id": CUSTOMER, "order_id": str(failed.order)}
    incident.out.planted |= {"component": "database", "runbook": "2-investigate/slow-database"}
