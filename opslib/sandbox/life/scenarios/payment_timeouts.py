"""The payment provider stops answering at 02:08Z: most checkouts fail after three seconds, nothing of ours is off."""

from dataclasses import replace

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import NOW_MS, iso, milliseconds
from opslib.sandbox.life.traffic import Request

TITLE = "The payment provider does not answer; most checkouts fail after three seconds."
SINCE, PLANTED, CUSTOMER = "2026-11-05T02:08:00Z", "req-9b41d7c03e58", "u-11873"
HOST = "api.pay-bridge.example"
INQUIRIES = (
    "決済画面でエラーになります",
    "カードの請求だけされていないか心配です",
    "「決済サービスが混み合っています」と出て買えません",
)
MEASURED = (
    ("AWS/ECS", "CPUUtilization", "api", {"factor": 0.95}), ("AWS/ECS", "MemoryUtilization", "api", {"add": 3.0, "ramp": 900}),
    ("AWS/ApplicationELB", "ActiveConnectionCount", "alb", {"factor": 1.1}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let payments time out, customers try again, and api say whom it waits for."""
    for request in incident.requests("POST /checkout", SINCE):
        if incident.rng.random() < 0.82:
            _timed_out(incident, request)
        elif not request.failure:
            incident.slow(request, request.total + int(1200 + 1100 * incident.rng.random()))
    start = milliseconds("2026-11-05T02:27:41.350Z")
    request = replace(Request(start, "POST /checkout", CUSTOMER, PLANTED, 0), status=502)
    incident.fail(request, "PaymentGatewayTimeout", 3342)
    tasks = incident.shop.tasks("api")
    for minute in range(10, 40, 3):
        slow = 9 + int(incident.rng.random() * 5)
        upstream = {"name": "payment-provider", "host": HOST, "timeouts": slow, "calls": slow + 2, "p50_ms": 3000}
        said = f"upstream {HOST} (payment-provider): {slow} of {slow + 2} calls timed out in 3 min"
        incident.note(
            "api",
            iso(milliseconds(SINCE) + (minute - 8) * 60_000),
            "warn",
            said,
            tasks[minute % len(tasks)],
            upstream=upstream,
        )
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    about = {"component": "payment-provider", "runbook": "2-investigate/search-errors"}
    incident.out.planted = about | {"request_id": PLANTED, "user_id": CUSTOMER}


def _timed_out(incident: Incident, request: Request, tries: int = 1) -> None:
    """Let a checkout fail at the provider; half of the customers try again, some write to the shop."""
    rng = incident.rng
    failed = incident.fail(request, "PaymentGatewayTimeout", 3180 + int(rng.random() * 620))
    start = failed.end + 8_000 + int(rng.random() * 60_000)
    if start > NOW_MS - 8_000:
        return
    if tries < 3 and rng.random() < 0.55:
        _timed_out(incident, incident.again(request, start), tries + 1)
    elif rng.random() < 0.25:
        incident.ask(failed, start, INQUIRIES[int(rng.random() * len(INQUIRIES))])
