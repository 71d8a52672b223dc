"""A supplier's price list is imported with a broken row: from 02:03Z on stock-sync fails on it, again and again."""

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS, milliseconds
from opslib.sandbox.life.staff import ROUTE, StaffAction
from opslib.sandbox.life.traffic import Request, request_ids

TITLE = "A supplier's list is imported with a broken row; the stock synchronisation fails on it each time."
IMPORTED, SINCE = "2026-11-05T02:01:12.480Z", "2026-11-05T02:02:00Z"
JOB, WHO, FILE = "stock-sync", "tanaka.yui", "suppliers/hokuto-2026-11-05.csv"
ERROR = (
    "decimal.InvalidOperation: 在庫同期: hokuto-2026-11-05.csv row {row}: quantity '1O2' of SKU KT-2004 is no number"
)
ROW, RETRY_AFTER, ATTEMPTS = 1187, 4 * MINUTE, 3


def unfold(incident: Incident) -> None:
    """Import the list at 02:01Z; each run of the quarter hour fails, and so do its two repetitions."""
    request = _import(incident)
    due, runs = milliseconds("2026-11-05T02:03:00Z"), []
    while due < NOW_MS:
        for attempt in range(1, ATTEMPTS + 1):
            queued = due + (attempt - 1) * RETRY_AFTER
            if queued + 30_000 < NOW_MS:
                took = 11_000 + int(incident.rng.random() * 3_000)
                runs.append({
                    "queued": queued, "took": took, "status": "failed", "attempt": attempt, "done": ROW - 1,
                    "error": ERROR.format(row=ROW),
                })  # fmt: skip
        due += 15 * MINUTE
    incident.clock_job(JOB, SINCE, runs)
    _warn(incident, len(runs))
    incident.out.planted = {
        "component": "jobs", "runbook": "2-investigate/failed-jobs", "job": JOB, "request_id": request.id,
        "actor": WHO, "since": SINCE,
    }  # fmt: skip


def _import(incident: Incident) -> Request:
    """Let a merchandiser upload the list on the admin screen."""
    person = next(person for person in incident.shop.raw["staff"] if person["id"] == WHO)
    ip = f"{incident.shop.raw['networks'][person['network']]}{20 + sum(WHO.encode()) % 200}"
    agent = incident.shop.raw["agents"]["staff"][person["agent"]]
    start, name, total = milliseconds(IMPORTED), request_ids(incident.rng, 1)[0], 2140
    act = StaffAction(start, WHO, "product.import", "file", FILE, ip, agent, name, total)
    detail = f'{{"file": "{FILE}", "rows": 2310}}'
    request = Request(start, ROUTE, WHO, name, total, extra={"action": "product.import", "act": act, "detail": detail})
    incident.changed[name] = request
    incident.say(request, "api", start + 1900, "info", f"取り込みました: {FILE} 2,310行", rows=2310, file=FILE)
    return request


def _warn(incident: Incident, failures: int) -> None:
    """Stock grows stale: the api says so, once it is older than half an hour."""
    stream = incident.shop.tasks("api")[0]
    for minute in (34, 37):
        age = 60 * (minute + 12)
        said = f"stock is {age} s old: last synchronised at 01:48 ({failures} failed runs)"
        incident.note("api", f"2026-11-05T02:{minute}:10.000Z", "warn", said, stream, stock={"age_s": age})
