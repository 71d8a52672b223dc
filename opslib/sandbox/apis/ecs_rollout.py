"""What ECS does by itself, five seconds at a time: it starts and stops tasks, and ends deployments well or badly."""

import json
import math
from datetime import UTC, datetime

from opslib.sandbox.apis.ecs_state import (
    CLUSTER,
    DRAINS,
    GETS_HEALTHY,
    STARTS,
    STARTS_SLOWLY,
    Definition,
    Deployment,
    Service,
    Task,
    digest_of,
    hashed,
)
from opslib.sandbox.log_store import LogStore

TICK = 5_000
LEAKS_FOR = 1_260_000  # ms until a task that leaks has eaten its memory
BACK_OFF = 10_000  # ms longer after each task that failed
COOL_DOWN = 900_000
EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
BREAKER = "ECS deployment circuit breaker: tasks failed to start."


class Rollouts:
    """Moves the services of one region on; `behaviours` says by digest which images crash, leak or cannot be pulled."""

    def __init__(self, logs: LogStore) -> None:
        self.logs = logs
        self.behaviours: dict[str, str] = {}

    def settle(self, service: Service, now: int) -> None:
        """Work out what happened to a service until now."""
        while service.at + TICK <= now:
            if service.steady:  # skip to the next instant at which something happens by itself
                ends = [task.dies for task in service.wanted() if task.dies is not None]
                coming = min([*ends, *([service.idle_since + COOL_DOWN] if service.idle_since else [])], default=now)
                service.at += max(0, min(now, coming) - service.at - 1) // TICK * TICK
                if service.at + TICK > now:
                    break
            service.at += TICK
            self._tick(service, service.at)

    def _tick(self, service: Service, at: int) -> None:
        self._scale_in(service, at)
        self._deaths(service, at)
        self._births(service, at)
        if service.primary.state != "FAILED":
            self._launch(service, at)
            self._drain(service, at)
        self._conclude(service, at)

    def _scale_in(self, service: Service, at: int) -> None:
        """What was set by hand above the minimum does not outlive the next quiet alarm of a scaling policy."""
        if service.idle_since is None or at - service.idle_since < COOL_DOWN:
            return
        service.idle_since = None
        if service.limits and service.desired > service.limits[0]:
            alarm = f"TargetTracking-service/{CLUSTER}/{service.name}-AlarmLow"
            cause = f"monitor alarm {alarm} in state ALARM triggered policy {service.name}-cpu"
            service.scale(service.limits[0], at, cause)

    def _deaths(self, service: Service, at: int) -> None:
        ended = [task for task in service.wanted() if task.dies is not None and task.dies <= at]
        for task in ended:
            assert task.dies is not None
            pulled, leaks = task.started is not None, task.container_reason == OUT_OF_MEMORY
            code = "EssentialContainerExited" if pulled else "TaskFailedToStart"
            reason = EXITED if pulled else f"CannotPullContainerError: {task.container_reason}"
            task.stop(task.dies, code, reason, exit_code=(137 if leaks else 1) if pulled else None, drains=0)
            self._note(service, task, at)
            if service.primary.state == "IN_PROGRESS" and task.deployment == service.primary.id:
                service.primary.failed += 1
                service.launch_after = at + min(300_000, BACK_OFF * service.primary.failed)
                if service.primary.failed == 3:
                    service.say(at, "is unable to consistently start tasks successfully. For more information, "
                                    "see the Troubleshooting section of the Amazon ECS Developer Guide.")  # fmt: skip
        service.steady = service.steady and not ended

    def _births(self, service: Service, at: int) -> None:
        for task in service.wanted():
            if task.started is not None and at - TICK < task.started <= at:
                self._log(service, task, task.started, "info", "server started: version " + _version(task.definition))
        healthy = [task for task in service.wanted() if task.healthy is not None and at - TICK < task.healthy <= at]
        if healthy and service.target_group:
            service.say(at, f"registered {len(healthy)} targets in (target-group {service.target_group})")

    def _launch(self, service: Service, at: int) -> None:
        primary, wanted = service.primary, service.wanted()
        missing = service.desired - sum(task.deployment == primary.id for task in wanted)
        room = max(service.desired * service.maximum // 100, 1) - len(wanted)
        count = min(missing, room)
        if count <= 0 or at < service.launch_after:
            return
        made = [self._task(service, primary, at + 700 * number) for number in range(count)]
        service.tasks += made
        service.steady = False
        service.say(at, f"has started {count} tasks: {' '.join(f'(task {task.id})' for task in made)}.")

    def _task(self, service: Service, deployment: Deployment, at: int) -> Task:
        service.launched += 1
        identity = hashed(service.name, "launched", service.launched)[:32]
        task = Task(identity, deployment.id, deployment.definition, at)
        behaviour = self.behaviours.get(digest_of(deployment.definition.image), "")
        if behaviour == "pull":
            task.dies = at + 12_000
            task.container_reason = f"pull image manifest has been retried 7 time(s): failed to resolve ref {deployment.definition.image}: not found"
            return task
        task.started = at + (STARTS_SLOWLY if deployment.outcome == "slow" else STARTS)
        if behaviour == "crash" or deployment.outcome == "circuit-breaker":
            task.dies = task.started + 8_000
            return task
        if deployment.outcome != "stuck":
            task.healthy = task.started + GETS_HEALTHY
        if behaviour == "leak":
            task.dies, task.container_reason = task.started + LEAKS_FOR + at % 90_000, OUT_OF_MEMORY
        return task

    def _drain(self, service: Service, at: int) -> None:
        """Stop tasks of earlier deployments as new ones become healthy, and those that are too many."""
        primary, wanted = service.primary, service.wanted()
        new = [task for task in wanted if task.deployment == primary.id]
        old = [task for task in wanted if task.deployment != primary.id]
        stuck = {each.id for each in service.deployments if each.outcome == "stuck"}

        def is_good(task: Task) -> bool:  # stuck ones count as up, yet their health is never told
            return task.is_healthy(at) or (task.deployment in stuck and task.status(at) == "RUNNING")

        spare = sum(map(is_good, wanted)) - math.ceil(service.desired * service.minimum / 100)
        leaving = [task for task in old if not is_good(task)] or old[: max(spare, 0)]
        surplus = sorted(new, key=lambda task: (task.is_healthy(at), -task.created))
        leaving += [] if old else surplus[: max(0, len(new) - service.desired)]
        for task in leaving:
            task.stop(at, "ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {primary.id})")
        if leaving:
            service.steady = False
            if service.target_group:
                service.say(at, f"deregistered {len(leaving)} targets in (target-group {service.target_group})")
            service.say(at, f"has begun draining connections on {len(leaving)} tasks.")
            service.say(at, f"has stopped {len(leaving)} running tasks: {' '.join(f'(task {task.id})' for task in leaving)}.")  # fmt: skip

    def _conclude(self, service: Service, at: int) -> None:
        primary, living = service.primary, service.living(at)
        calm = len(living) == service.desired and all(
            task.deployment == primary.id and task.is_healthy(at) for task in living
        )
        if primary.state == "IN_PROGRESS" and calm:
            back = primary.reason if "rolling back" in primary.reason else f"ECS deployment {primary.id} completed."
            primary.turn(at, "COMPLETED", back)
            _end_service_deployment(service, at)
            service.say(at, f"(deployment {primary.id}) deployment completed.")
        elif primary.state == "IN_PROGRESS" and service.breaker and primary.failed >= _threshold(service):
            service.say(at, f"(deployment {primary.id}) deployment failed: tasks failed to start.")
            fail(service, at, BREAKER)
        if calm and not service.steady:
            service.steady = True
            service.say(at, "has reached a steady state.")

    def _note(self, service: Service, task: Task, at: int) -> None:
        if task.started is None:
            return
        leaks = task.container_reason == OUT_OF_MEMORY
        said = "memory limit reached" if leaks else "cannot start: configuration is invalid"
        self._log(service, task, task.stopped or at, "error", said)

    def _log(self, service: Service, task: Task, at: int, level: str, message: str) -> None:
        stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
        line = {"time": stamp, "level": level, "service": service.name, "version": _version(task.definition)}
        text = json.dumps(line | {"message": message}, ensure_ascii=False)
        self.logs.add(f"/shop/{service.name}", f"{service.name}/{task.id[:12]}", [(at, text)])


def fail(service: Service, at: int, reason: str, *, back: bool | None = None) -> None:
    """End a deployment badly; with rollback the last completed one becomes the primary one again."""
    failed = service.primary
    failed.turn(at, "FAILED", reason)
    failed.status, failed.finished = "STOPPED", at
    for task in service.wanted():
        if task.deployment == failed.id:
            task.stop(
                at,
                "ServiceSchedulerInitiated",
                f"Scaling activity initiated by (deployment {failed.id})",
                drains=DRAINS,
            )
    last = next((each for each in reversed(service.deployments[:-1]) if each.state == "COMPLETED"), None)
    if last is None or not (service.rollback if back is None else back):
        return
    failed.status, failed.finished = "ROLLBACK_IN_PROGRESS", None
    failed.rollback = {"reason": reason, "startedAt": at / 1000, "serviceRevisionArn": last.id}
    service.say(at, f"rolling back to deployment {last.id}.")
    service.deployments.remove(last)
    service.deployments.append(last)
    last.turn(at, "IN_PROGRESS", f"ECS deployment circuit breaker: rolling back to deploymentId {last.id}.")
    service.steady, service.launch_after = False, at


def _end_service_deployment(service: Service, at: int) -> None:
    for each in service.deployments:
        if each.status == "ROLLBACK_IN_PROGRESS":
            each.status, each.finished = "ROLLBACK_SUCCESSFUL", at
        elif each is service.primary and each.status == "IN_PROGRESS":
            each.status, each.finished = "SUCCESSFUL", at


def _threshold(service: Service) -> int:
    return min(200, max(3, math.ceil(service.desired / 2)))


def _version(definition: Definition) -> str:
    return definition.image.rpartition(":")[2][:20]
