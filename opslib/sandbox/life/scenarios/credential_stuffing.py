"""Somebody tries leaked passwords: from 02:12Z on, logins fail from hundreds of addresses of one network."""

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import NOW_MS, durations, milliseconds
from opslib.sandbox.life.traffic import Request, pick_users, request_ids

TITLE = "Leaked passwords are tried against many accounts from one network; some of them open."
SINCE = "2026-11-05T02:12:00Z"
ATTEMPTS, ENTERED, ADDRESSES = 960, 0.024, 240
NETWORK, ASN = "198.18", 64496  # the ranges that documentation and benchmarks may use
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36",
)
MEASURED = (
    ("AWS/ECS", "CPUUtilization", "auth", {"factor": 3.4, "ramp": 240}),
    ("AWS/ECS", "MemoryUtilization", "auth", {"add": 4.0, "ramp": 600}),
    ("AWS/RDS", "ReadIOPS", "db", {"factor": 1.04}),
)


def unfold(incident: Incident) -> None:
    """Try many accounts once each, ever faster in the first minutes; what opens is looked into at once."""
    rng, start = incident.rng, milliseconds(SINCE)
    share = rng.random(ATTEMPTS)
    at = start + (share**0.8 * (NOW_MS - 8_000 - start)).astype(int)
    users, names = pick_users(rng, ATTEMPTS, incident.shop).tolist(), request_ids(rng, ATTEMPTS)
    luck, totals = rng.random(ATTEMPTS).tolist(), durations(rng.random(ATTEMPTS), 190.0, 700.0).tolist()
    entered = []
    for when, user, name, chance, total in zip(sorted(at.tolist()), users, names, luck, totals, strict=True):
        request = Request(when, "POST /login", f"u-{user}", name, total, extra=_where(user))
        if chance >= ENTERED:
            incident.fail(request, "InvalidCredentials", total, **_where(user))
        elif when < NOW_MS - 120_000:
            incident.changed[name] = request
            entered.append(request)
    for request in entered:
        _look_around(incident, request)
    for namespace, metric, where, change in MEASURED:
        incident.metric(namespace, metric, where, SINCE, **change)
    incident.out.planted = {
        "component": "auth", "runbook": "2-investigate/who-did-what", "network": f"{NETWORK}.0.0/16", "since": SINCE,
        "user_id": entered[0].user, "entered": str(len(entered)), "request_id": entered[0].id,
    }  # fmt: skip


def _where(user: int) -> dict[str, str]:
    """Return where an attempt comes from: the addresses take turns, whatever the account."""
    place = user * 7919 % ADDRESSES
    ip = f"{NETWORK}.{64 + place % 8}.{1 + place}"
    detail = f'{{"method": "password", "asn": {ASN}}}'
    return {"ip": ip, "agent": AGENTS[place % 2], "detail": detail}


def _look_around(incident: Incident, request: Request) -> None:
    """Let whoever got in read the orders, and now and then change the address to deliver to."""
    for route, pause in (("GET /account/orders", 1_900), ("POST /account/address", 4_300)):
        if route.startswith("POST") and request.number % 3:
            return
        about = incident.shop.routes[route]
        again = incident.again(request, request.end + pause + request.number % 900)
        again.route, again.total, again.extra = about.key, int(about.median_ms), request.extra | {"detail": "{}"}
        incident.changed[again.id] = again
