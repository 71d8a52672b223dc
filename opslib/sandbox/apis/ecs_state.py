"""The shop's ECS services: what was deployed, and tasks that carry the times of their lives."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CLUSTER = "shop"
PREFIX = "arn:aws:ecs:ap-northeast-1:000000000000"
CLUSTER_ARN = f"{PREFIX}:cluster/{CLUSTER}"
KEPT_MS = 3_600_000  # a stopped task can be described for about an hour
PENDING_AFTER = 5_000
STARTS, STARTS_SLOWLY, GETS_HEALTHY, DRAINS = 25_000, 720_000, 30_000, 20_000  # ms that a task of ours takes


def hashed(*parts: object) -> str:
    """Return 64 hexadecimal digits that follow from the parts, the same in every sandbox."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def digest_of(image: str) -> str:
    """Return the digest that the registry has for an image's name; of one that is fixed by digest, that one."""
    _, fixed, digest = image.partition("@")
    return digest if fixed else f"sha256:{hashed('image', image)}"


@dataclass
class Definition:
    """One revision of a task definition."""

    family: str
    revision: int
    registered: int
    given: dict[str, Any]  # as RegisterTaskDefinition takes it
    status: str = "ACTIVE"

    @property
    def name(self) -> str:
        """Return family:revision."""
        return f"{self.family}:{self.revision}"

    @property
    def arn(self) -> str:
        """Return its ARN."""
        return f"{PREFIX}:task-definition/{self.name}"

    @property
    def image(self) -> str:
        """Return the image of the first container."""
        return str(self.given["containerDefinitions"][0].get("image", ""))


@dataclass
class Task:
    """One task; what it is at an instant follows from its times, all in epoch milliseconds."""

    id: str
    deployment: str
    definition: Definition
    created: int
    started: int | None = None  # None: it never starts
    healthy: int | None = None
    dies: int | None = None  # when it will stop by itself
    stopping: int | None = None
    stopped: int | None = None
    stop_code: str = ""
    reason: str = ""
    exit_code: int | None = None
    container_reason: str = ""

    @property
    def arn(self) -> str:
        """Return its ARN."""
        return f"{PREFIX}:task/{CLUSTER}/{self.id}"

    def status(self, now: int) -> str:
        """Return lastStatus."""
        for since, status in ((self.stopped, "STOPPED"), (self.stopping, "DEACTIVATING"), (self.started, "RUNNING")):
            if since is not None and now >= since:
                return status
        return "PENDING" if now >= self.created + PENDING_AFTER else "PROVISIONING"

    def is_wanted(self) -> bool:
        """Tell whether nobody stops it and it has not ended."""
        return self.stopping is None and self.stopped is None

    def is_healthy(self, now: int) -> bool:
        """Tell whether it runs and its health check passes."""
        return self.is_wanted() and self.healthy is not None and now >= self.healthy

    def stop(self, at: int, code: str, reason: str, *, exit_code: int | None = 0, drains: int = DRAINS) -> None:
        """Stop it; behind it the load balancer drains for a while."""
        self.stopping, self.stopped, self.dies = at, at + drains, None
        self.stop_code, self.reason, self.exit_code = code, reason, exit_code


@dataclass
class Deployment:
    """One deployment of a service."""

    id: str
    definition: Definition
    created: int
    source: Definition | None = None
    state: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    outcome: str = ""  # what a test planned: circuit-breaker, stuck, slow
    updated: int = 0
    finished: int | None = None
    status: str = "IN_PROGRESS"  # of the service deployment
    rollback: dict[str, Any] = field(default_factory=dict)

    def turn(self, at: int, state: str, reason: str) -> None:
        """Move on to another rollout state."""
        self.state, self.reason, self.updated = state, reason, at


@dataclass
class Service:
    """One service with everything that happened to it."""

    name: str
    desired: int
    at: int  # up to when its life has been worked out
    deployments: list[Deployment] = field(default_factory=list)  # the primary one last
    tasks: list[Task] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)  # oldest first
    minimum: int = 100
    maximum: int = 200
    breaker: bool = True
    rollback: bool = True
    steady: bool = True
    launched: int = 0
    launch_after: int = 0
    target_group: str = ""
    limits: tuple[int, int] | None = None  # of its scalable target: minimum and maximum capacity
    idle_since: int | None = None  # since when it may have more tasks than its load asks for
    scaled: list[tuple[int, int, str]] = field(default_factory=list)  # when, to what and why scaling set the count

    @property
    def arn(self) -> str:
        """Return its ARN."""
        return f"{PREFIX}:service/{CLUSTER}/{self.name}"

    @property
    def primary(self) -> Deployment:
        """Return the deployment that is wanted."""
        return self.deployments[-1]

    def say(self, at: int, message: str) -> None:
        """Add an event."""
        self.events.append((at, f"(service {self.name}) {message}"))

    def scale(self, count: int, at: int, cause: str = "") -> None:
        """Want another number of tasks, which is no deployment; without a cause it was somebody by hand."""
        self.idle_since = None if cause else at
        if cause:
            self.scaled.append((at, count, cause))
            self.say(
                at,
                f"Message: Successfully set desired count to {count}. Change successfully fulfilled by ecs. Cause: {cause}",
            )
        if count != self.desired:
            self.desired, self.steady = count, False

    def wanted(self) -> list[Task]:
        """Return the tasks that nobody stops."""
        return [task for task in self.tasks if task.is_wanted()]

    def living(self, now: int) -> list[Task]:
        """Return the tasks that have not stopped yet."""
        return [task for task in self.tasks if task.status(now) != "STOPPED"]

    def shown(self, now: int) -> Iterator[Deployment]:
        """Yield the deployments that DescribeServices tells: the primary one, then those that still have tasks."""
        yield self.primary
        alive = {task.deployment for task in self.living(now)}
        yield from (each for each in reversed(self.deployments[:-1]) if each.id in alive)

    def deploy(self, definition: Definition, at: int, outcome: str = "") -> Deployment:
        """Begin a deployment; one that is under way is given up."""
        before = self.primary
        if before.status == "IN_PROGRESS":
            before.status, before.finished = "STOPPED", at
        number = int(hashed(self.name, len(self.deployments), at)[:15], 16) % 10**19
        made = Deployment(f"ecs-svc/{number:019d}", definition, at, before.definition, outcome=outcome, updated=at)
        made.reason = f"ECS deployment {made.id} in progress."
        self.deployments.append(made)
        self.steady, self.launch_after = False, at
        return made
