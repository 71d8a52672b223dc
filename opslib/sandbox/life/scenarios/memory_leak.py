"""A deploy of api at 01:42Z keeps search results for ever: memory climbs, and from 02:05Z on its tasks are killed."""

from dataclasses import replace

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.incident_tasks import OUT_OF_MEMORY, Tasks
from opslib.sandbox.life.rhythm import NOW_MS, iso, milliseconds
from opslib.sandbox.life.traffic import Request

TITLE = "A deploy of api leaks memory; its tasks are killed one after another, requests in them are lost."
DEPLOY, SINCE = "2026-11-05T01:42:00Z", "2026-11-05T02:05:00Z"
VERSION, NOTE = "2026.11.05-1", "検索結果をプロセス内に保持 (search results are kept in the process)"
PLANTED, CUSTOMER = "req-b60f2d48a17e", "u-10935"
LIFE, APART = 1_300_000, 165_000  # ms until a task is killed, and how far apart the first of them are
MEASURED = (
    ("AWS/ECS", "MemoryUtilization", "api", {"add": 38.0, "ramp": 1300}), ("AWS/ECS", "CPUUtilization", "api", {"factor": 1.35, "ramp": 1300}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let tasks grow and die, requests wait for garbage collection, and those in a killed task fail."""
    kills = _lives(incident)
    incident.failure(
        "UpstreamReset", by="web", after=0.5, status=502, level="error",
        message="api closed the connection before it answered: ECONNRESET",
        shown="通信が途切れました。もう一度お試しください",
    )  # fmt: skip
    rng = incident.rng
    for route in incident.shop.routes.values():
        if "/admin" in route.key or not any(line.by == "api" for line in route.lines):
            continue
        for request in incident.requests(route.key, SINCE):
            hit = any(kill - 6_000 <= request.start < kill + 40_000 for kill in kills)
            if rng.random() < (0.42 if hit else 0.02):
                incident.fail(request, "UpstreamReset", 240 + int(rng.random() * 2_600))
            elif not request.failure:
                incident.slow(request, int(request.total * (1.3 + 1.5 * rng.random())))
    start = kills[-2] - 900
    incident.fail(replace(Request(start, "GET /search", CUSTOMER, PLANTED, 0), status=502), "UpstreamReset", 902)
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, DEPLOY, **change)
    about = {"component": "api", "runbook": "2-investigate/failing-service", "service": "api"}
    incident.out.planted = about | {"request_id": PLANTED, "user_id": CUSTOMER}


def _lives(incident: Incident) -> list[int]:
    """Deploy, and let each of the six tasks live, be killed and be replaced; return when one was killed."""
    begun, tasks, now = milliseconds(DEPLOY), Tasks(incident, "api", VERSION), []
    incident.deploy("api", DEPLOY, VERSION, "nakamura.sho", NOTE)
    moves, kills = [], []
    for slot, stream in enumerate(incident.shop.tasks("api")):
        task, started = tasks.start(begun - 60_000 + 700 * slot)
        moves.append((begun, {stream: tasks.stream(task)}))
        dies = started + LIFE + APART * slot
        while dies < NOW_MS:
            tasks.say(
                task,
                dies - 2_300,
                "warn",
                "memory 2031 MB of 2048 MB in use",
                memory={"used_mb": 2031, "limit_mb": 2048},
            )
            tasks.stop(task, started, dies, 137, OUT_OF_MEMORY)
            kills.append(dies)
            before, (task, started) = task, tasks.start(dies + 4_000)
            tasks.started_event(dies + 4_000, [task])
            moves.append((dies, {tasks.stream(before): tasks.stream(task)}))
            dies = started + LIFE + 31_000 * slot
        now.append({"task": task, "started": iso(started), "dies": iso(dies)})
    incident.out.renamed["/shop/api"] = sorted(moves, key=lambda move: move[0])
    incident.out.events["deploys"][-1] |= {"behaviour": "leak", "tasks": now}
    tasks.measure(SINCE, missing=0)
    for kill in kills:
        for at, add in ((kill, -1.0), (kill + 60_000, 1.0)):
            incident.metric("ECS/ContainerInsights", "RunningTaskCount", "api", iso(at), add=add, ramp=1)
    return sorted(kills)
