"""A deploy of auth at 02:12Z brings an image that cannot start: its tasks exit again and again, one old task is left."""

from dataclasses import replace

from opslib.sandbox.life.deploys import deploy
from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.incident_tasks import STARTING, Tasks
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS, milliseconds
from opslib.sandbox.life.traffic import Request

TITLE = "A deploy of auth brings an image that cannot start; one task of two is left, logins and carts fail."
BEGUN, SINCE = "2026-11-05T02:12:00Z", "2026-11-05T02:12:10Z"
VERSION, NOTE = "2026.11.05-1", "署名鍵の読み込み元を変更 (signing keys come from another place)"
PLANTED, CUSTOMER = "req-3e7ab05d91c4", "u-12067"
CRASH = "panic: SIGNING_KEY_ID is not set: config/keys.go:41"
UNABLE = (
    "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the "
    "Amazon ECS Developer Guide."
)
LIVES, BACK_OFF = 8_000, 10_000  # ms
MEASURED = (
    ("AWS/ECS", "CPUUtilization", "auth", {"factor": 2.6, "ramp": 60}), ("AWS/ECS", "MemoryUtilization", "auth", {"add": 9.0}),
    ("AWS/ECS", "CPUUtilization", "web", {"factor": 1.05}), ("AWS/ApplicationELB", "ActiveConnectionCount", "alb", {"factor": 1.15}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let the deployment go round in circles, and what needs auth fail in part."""
    _deploy(incident)
    incident.failure(
        "AuthUnavailable", by="api", after=0.1, status=503, level="error",
        message="auth: connection refused by 1 of 2 tasks, the other answered too late",
        shown="ただいま混み合っています。しばらくしてからもう一度お試しください",
    )  # fmt: skip
    needing = [
        key
        for key, route in incident.shop.routes.items()
        if "/admin" not in key and any(line.by == "auth" for line in route.lines)
    ]
    rng = incident.rng
    for route in needing:
        for request in incident.requests(route, SINCE):
            if rng.random() < 0.44:
                incident.fail(request, "AuthUnavailable", 900 + int(rng.random() * 1_400))
            elif not request.failure:
                incident.slow(request, int(request.total * (1.5 + 1.5 * rng.random())))
    start = milliseconds("2026-11-05T02:29:14.206Z")
    request = Request(start, "GET /cart", CUSTOMER, PLANTED, 0)
    incident.fail(replace(request, status=503), "AuthUnavailable", 1710)
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change)
    about = {"component": "auth", "runbook": "2-investigate/failing-service", "service": "auth"}
    incident.out.planted = about | {"request_id": PLANTED, "user_id": CUSTOMER}


def _deploy(incident: Incident) -> None:
    """Begin a deployment that does not end: no circuit breaker stops it, and half of the tasks may be missing."""
    begun = milliseconds(BEGUN)
    event = deploy("auth", begun + 3 * MINUTE, VERSION, "kobayashi.rei", NOTE)
    unfinished = {"status": "IN_PROGRESS", "behaviour": "crash", "kept": 1, "finished": event["started"]}
    incident.out.events.setdefault("deploys", []).append(event | unfinished)
    change = {"service": "auth", "at": BEGUN, "circuit_breaker": False, "minimum_healthy": 50}
    incident.out.events["ecs_services"] = [change]
    old = incident.shop.tasks("auth")
    incident.out.renamed["/shop/auth"] = [(begun + 10_000, {old[1]: old[0]})]
    tasks, at, failed = Tasks(incident, "auth", VERSION), begun + 5_000, 0
    tasks.event(begun + 10_000, "has begun draining connections on 1 tasks.")
    while at < NOW_MS:
        made = [tasks.start(at + 700 * number) for number in range(2)]
        tasks.started_event(at, [task for task, _ in made])
        for task, running in made:
            if running + LIVES < NOW_MS:
                tasks.say(task, running + LIVES - 40, "error", CRASH, error={"kind": "ConfigError", "message": CRASH})
                tasks.stop(task, running, running + LIVES, 1)
                failed += 1
        if failed in (4, 14):
            tasks.event(at + STARTING + LIVES + 2_000, UNABLE)
        at += STARTING + LIVES + min(300_000, BACK_OFF * failed)
    tasks.measure(SINCE, missing=1)
