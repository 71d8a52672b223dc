"""The ECS cluster as the life left it: services, revisions, deployments, running and stopped tasks, from its events."""

import math
from collections.abc import Iterator
from typing import Any

from opslib.sandbox.apis.ecs_rollout import EXITED, OUT_OF_MEMORY, Rollouts
from opslib.sandbox.apis.ecs_state import (
    CLUSTER,
    Definition,
    Deployment,
    Service,
    Task,
    digest_of,
    hashed,
)
from opslib.sandbox.clock import NOW
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

TARGET_GROUP = "arn:aws:elasticloadbalancing:ap-northeast-1:000000000000:targetgroup/shop-web/73e2d6bc24d8a067"
BALANCED = "web"
SCALED = ("api", "web")
NOW_MS = int(NOW.timestamp() * 1000)
STEADY_EVERY = 6 * 3_600_000
OLDEST_REVISION = 40


class Fleet:
    """All services of the cluster `shop`; empty where no life was lived."""

    def __init__(self, state: RegionState) -> None:
        self.state = state
        self.rollouts = Rollouts(state.logs)
        self.definitions: dict[str, list[Definition]] = {}
        self.services: dict[str, Service] = {}
        deploys = state.events.get("deploys", [])
        for name in dict.fromkeys(event["service"] for event in deploys):
            self._seed(name, [event for event in deploys if event["service"] == name])

    def settled(self) -> Iterator[Service]:
        """Yield every service as it is now."""
        now = self.state.clock.now_ms()
        for service in self.services.values():
            self.rollouts.settle(service, now)
            yield service

    def service(self, given: str) -> Service:
        """Return a service by name or ARN, as it is now."""
        found = self.services.get(given.rpartition("/")[2])
        if found is None:
            raise ServiceError("ServiceNotFoundException", "Service not found.")
        self.rollouts.settle(found, self.state.clock.now_ms())
        return found

    def check_cluster(self, given: str | None) -> None:
        """Refuse another cluster than the shop's."""
        if (given or "default").rpartition("/")[2] != CLUSTER or not self.services:
            raise ServiceError("ClusterNotFoundException", "Cluster not found.")

    def definition(self, given: str) -> Definition:
        """Return a revision by ARN, family:revision or family, which means the newest active one."""
        family, _, revision = given.rpartition("/")[2].partition(":")
        known = self.definitions.get(family, [])
        wanted = [each for each in known if (str(each.revision) == revision if revision else each.status == "ACTIVE")]
        if not wanted:
            raise ServiceError("ClientException", "Unable to describe task definition.")
        return wanted[-1]

    def register(self, given: dict[str, Any], at: int) -> Definition:
        """Add a revision."""
        known = self.definitions.setdefault(given["family"], [])
        made = Definition(given["family"], known[-1].revision + 1 if known else 1, at, given)
        known.append(made)
        return made

    def _seed(self, name: str, deploys: list[dict[str, Any]]) -> None:
        from opslib.sandbox.life.shop import shop  # only here: an account without a life needs none

        about = shop().raw["services"][name]
        service = Service(name, about["tasks"], NOW_MS, target_group=TARGET_GROUP if name == BALANCED else "")
        service.limits = (service.desired, 2 * service.desired + 2) if name in SCALED else None
        self.services[name] = service
        for number, event in enumerate(deploys, start=OLDEST_REVISION):
            given = _given(name, event["image"], about)
            definition = Definition(f"shop-{name}", number, _ms(event["started"]), given)
            self.definitions.setdefault(definition.family, []).append(definition)
            self._deployed(service, definition, event)
        self._running(service, deploys[-1])
        self._overlaid(service)
        _say_steady(service)
        service.events.sort()

    def _deployed(self, service: Service, definition: Definition, event: dict[str, Any]) -> None:
        at, ended = _ms(event["started"]), _ms(event["finished"])
        deployment = service.deploy(definition, at) if service.deployments else _first(service, definition, at)
        under_way = event["status"] == "IN_PROGRESS"
        if event.get("behaviour"):
            self.rollouts.behaviours[digest_of(definition.image)] = event["behaviour"]
        service.steady = not under_way
        if under_way:
            return
        deployment.turn(ended, "COMPLETED", f"ECS deployment {deployment.id} completed.")
        deployment.status, deployment.finished = "SUCCESSFUL", ended
        service.say(ended, f"(deployment {deployment.id}) deployment completed.")
        service.say(ended, "has reached a steady state.")

    def _running(self, service: Service, last: dict[str, Any]) -> None:
        """Put the running tasks in place, named as their log streams; an unfinished deployment left `kept` old ones."""
        unfinished = service.primary.state == "IN_PROGRESS"
        of = service.deployments[-2] if unfinished else service.primary
        generation, at = (1 if last.get("streams") and not unfinished else 0), of.created
        ordinary = [
            {"task": hashed(service.name, number, generation)[:32], "started": at + 25_000 + 700 * number}
            for number in range(last["kept"] if unfinished else service.desired)
        ]  # fmt: skip
        for given in last.get("tasks", ordinary):
            start = given["started"] if isinstance(given["started"], int) else _ms(given["started"])
            task = Task(given["task"], of.id, of.definition, start - 25_000, start, start + 30_000)
            if "dies" in given:
                task.dies, task.container_reason = _ms(given["dies"]), OUT_OF_MEMORY
            service.tasks.append(task)

    def _overlaid(self, service: Service) -> None:
        for change in self._events("ecs_services", service):
            service.breaker = change.get("circuit_breaker", service.breaker)
            service.minimum = change.get("minimum_healthy", service.minimum)
        for number, event in enumerate(self._events("ecs_stopped_tasks", service)):
            service.tasks.append(_stopped(service, event, number))
        of_primary = [task for task in service.tasks if task.stopped and task.deployment == service.primary.id]
        service.primary.failed = len(of_primary) if service.primary.state == "IN_PROGRESS" else 0
        for event in self._events("ecs_service_events", service):
            service.say(_ms(event["at"]), event["message"])

    def _events(self, kind: str, service: Service) -> list[dict[str, Any]]:
        return [event for event in self.state.events.get(kind, []) if event["service"] == service.name]


def _first(service: Service, definition: Definition, at: int) -> Deployment:
    made = Deployment(f"ecs-svc/{int(hashed(service.name, 0)[:15], 16) % 10**19:019d}", definition, at)
    service.deployments.append(made)
    return made


def _stopped(service: Service, event: dict[str, Any], number: int) -> Task:
    """Return a task that an incident stopped; it belongs to the last deployment begun before it was started."""
    at, started = _ms(event["at"]), event.get("started")
    created = _ms(started) - 25_000 if started else at - 12_000
    deployment = next(
        (each for each in reversed(service.deployments) if each.created <= created), service.deployments[0]
    )
    return Task(
        event.get("task") or hashed(service.name, "stopped", number)[:32], deployment.id, deployment.definition, created,
        started=_ms(started) if started else None, stopping=at, stopped=at,
        stop_code=event.get("code", "EssentialContainerExited"), reason=event.get("reason", EXITED),
        exit_code=event.get("exit_code"), container_reason=event.get("container_reason", ""),
    )  # fmt: skip


def _say_steady(service: Service) -> None:
    """ECS says so every six hours as long as nothing changes."""
    last = max(at for at, _ in service.events) if service.events else NOW_MS
    first = math.ceil((NOW_MS - 25 * 24 * 3_600_000) / STEADY_EVERY) * STEADY_EVERY
    for at in range(first, last if not service.steady else NOW_MS, STEADY_EVERY):
        service.say(at + int(hashed(service.name)[:4], 16) * 60, "has reached a steady state.")


def _given(name: str, image: str, about: dict[str, Any]) -> dict[str, Any]:
    """Return what RegisterTaskDefinition was told."""
    options = {"awslogs-group": f"/shop/{name}", "awslogs-region": "ap-northeast-1", "awslogs-stream-prefix": name}
    container: dict[str, Any] = {
        "name": name, "image": image, "essential": True, "cpu": 0,
        "portMappings": [{"containerPort": 3000 if name == "web" else 8080, "protocol": "tcp"}],
        "environment": [{"name": "SHOP_SERVICE", "value": name}],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
        "healthCheck": {"command": ["CMD-SHELL", "/health"], "interval": 10, "timeout": 5, "retries": 3},
    }  # fmt: skip
    role = f"arn:aws:iam::000000000000:role/shop-{name}"
    return {
        "family": f"shop-{name}", "taskRoleArn": role, "executionRoleArn": "arn:aws:iam::000000000000:role/shop-execution",
        "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "1024", "memory": "2048",
        "containerDefinitions": [container],
    }  # fmt: skip


def _ms(text: str) -> int:
    from opslib.sandbox.life.rhythm import milliseconds

    return milliseconds(text)
