"""ECS: the services of the cluster, their deployments, tasks that run and that stopped, events; the load balancer's targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from opslib import aws, frames

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

SERVICES_A_CALL, TASKS_A_CALL, REVISIONS_A_CALL, EVENTS_KEPT = 10, 100, 20, 100
STOPPED_KEPT = timedelta(hours=1)  # how long ECS can still describe a stopped task
LONGEST = timedelta(hours=3)  # a deployment that began earlier does not reach into the window
SERVICES = {
    "service": "str", "status": "str", "desired": "int64", "running": "int64", "pending": "int64", "task_definition": "str",
    "image": "str", "deployment": "str", "deployments": "int64", "rollout_state": "str", "rollout_reason": "str",
    "failed_tasks": "int64", "since": "time", "circuit_breaker": "bool", "minimum_healthy": "int64", "log_group": "str",
}  # fmt: skip
DEPLOYMENTS = {"service": "str", "id": "str", "status": "str", "started": "time", "finished": "time", "task_definition": "str",
               "image": "str", "reason": "str", "at": "time"}  # fmt: skip
TASKS = {"service": "str", "task": "str", "status": "str", "health": "str", "started": "time", "image": "str", "digest": "str",
         "task_definition": "str", "deployment": "str"}  # fmt: skip
STOPPED = {"service": "str", "task": "str", "stopped": "time", "stop_code": "str", "reason": "str", "exit_code": "float64",
           "started": "time", "image": "str"}  # fmt: skip
EVENTS = {"at": "time", "service": "str", "message": "str"}
TARGETS = {"target": "str", "state": "str", "reason": "str", "description": "str"}


def services(environment: Environment) -> pd.DataFrame:
    """Return the configured services, or all of the cluster, as they are now (ecs:DescribeServices, DescribeTaskDefinition).

    Columns: service, status, task_definition (family:revision), image, log_group, deployment (id of the primary one),
    rollout_state, rollout_reason str; desired, running, pending, deployments, failed_tasks, minimum_healthy (percent)
    int64; since (the primary deployment's begin) datetime64[ns, UTC]; circuit_breaker bool. Services that ECS does
    not know stand in attrs["problems"]. Raises SourceError.
    """
    told, problems = _described(environment)
    frame = frames.made([_service(environment, each) for each in told], SERVICES)
    frame.attrs["problems"] = problems
    return frame


def deployments(environment: Environment, *, window: Window, service: str = "") -> pd.DataFrame:
    """Return the deployments, of one service or of all, that were under way in the window, newest first (ecs:ListServiceDeployments, DescribeServiceRevisions).

    Columns: service, id, status, task_definition, image, reason str; started, finished datetime64[ns, UTC], finished
    NaT while it is under way. AWS keeps them for 90 days. Raises SourceError.
    """
    found = []
    for name in [service] if service else _names(environment):
        asked = {"cluster": environment.services.cluster, "service": name}
        span = {"after": window.start - LONGEST, "before": window.end}
        for each in aws.pages(
            environment, "ecs", "list_service_deployments", "serviceDeployments", **asked, createdAt=span
        ):
            if each["createdAt"] < window.end and (each.get("finishedAt") or window.end) >= window.start:
                found.append({"service": name, **each})
    revisions = _revisions(environment, sorted({each.get("targetServiceRevisionArn", "") for each in found} - {""}))
    rows = [{
        "service": each["service"], "id": _last(each.get("serviceDeploymentArn", "")), "status": each.get("status", "UNKNOWN"),
        "started": each.get("startedAt") or each["createdAt"], "finished": each.get("finishedAt"),
        "reason": each.get("statusReason", ""), **revisions.get(each.get("targetServiceRevisionArn", ""), {"task_definition": "", "image": ""}),
    } for each in found]  # fmt: skip
    for row in rows:
        row["at"] = row["finished"] if row["status"] == "SUCCESSFUL" and row["finished"] else row["started"]
    return frames.made(sorted(rows, key=lambda row: row["started"], reverse=True), DEPLOYMENTS)


def tasks(environment: Environment, *, service: str = "") -> pd.DataFrame:
    """Return the tasks that are wanted, of one service or of all (ecs:ListTasks, DescribeTasks).

    Columns: service, task, status, health, image, digest, task_definition, deployment str; started
    datetime64[ns, UTC], NaT before it runs. Raises SourceError.
    """
    return frames.made([_task(each) for each in _tasks(environment, "RUNNING", service)], TASKS)


def stopped_tasks(environment: Environment, *, window: Window, service: str = "") -> pd.DataFrame:
    """Return the tasks that stopped in the window, newest first (ecs:ListTasks, DescribeTasks).

    Columns: service, task, stop_code, reason (the task's and its container's), image str; stopped, started
    datetime64[ns, UTC]; exit_code float64 of the first container that failed, NaN without one. ECS describes a stopped
    task for about an hour only: attrs["seen_from"] says from when on this is whole. Raises SourceError.
    """
    rows = [_stopped(each) for each in _tasks(environment, "STOPPED", service)]
    inside = [row for row in rows if row["stopped"] is not None and window.start <= row["stopped"] < window.end]
    frame = frames.made(sorted(inside, key=lambda row: row["stopped"], reverse=True), STOPPED)
    frame.attrs["seen_from"] = max(window.start, aws.now(environment) - STOPPED_KEPT).isoformat()
    return frame


def events(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return what the services said in the window, newest first (ecs:DescribeServices).

    Columns: at datetime64[ns, UTC]; service, message str, without the "(service x)" in front. ECS keeps 100 a service:
    where they do not reach back to the window's begin attrs["problems"] says so. Raises SourceError.
    """
    told, problems = _described(environment)
    rows = []
    for each in told:
        said = each.get("events", [])
        if len(said) >= EVENTS_KEPT and min(event["createdAt"] for event in said) > window.start:
            problems.append(f"{each['serviceName']}: the {EVENTS_KEPT} events that ECS keeps begin inside the window")
        rows += [
            {"at": event["createdAt"], "service": each["serviceName"],
             "message": event.get("message", "").removeprefix(f"(service {each['serviceName']}) ")}
            for event in said if window.start <= event["createdAt"] < window.end
        ]  # fmt: skip
    frame = frames.made(sorted(rows, key=lambda row: row["at"], reverse=True), EVENTS)
    frame.attrs["problems"] = problems
    return frame


def target_health(environment: Environment) -> pd.DataFrame:
    """Return the targets of the load balancer's target group (elasticloadbalancing:DescribeTargetHealth).

    Columns: target (address:port), state, reason, description str. Without `load_balancer.target_group` there are
    none. Raises SourceError.
    """
    named = environment.load_balancer
    if named is None or not named.target_group:
        return frames.made([], TARGETS)
    arn = f"arn:aws:elasticloadbalancing:{environment.region}:{environment.account}:{named.target_group}"
    told = aws.ask(environment, "elbv2", "describe_target_health", TargetGroupArn=arn)["TargetHealthDescriptions"]
    rows = [{
        "target": f"{each['Target']['Id']}:{each['Target'].get('Port', '')}".rstrip(":"),
        "state": each.get("TargetHealth", {}).get("State", "unknown"), "reason": each.get("TargetHealth", {}).get("Reason", ""),
        "description": each.get("TargetHealth", {}).get("Description", ""),
    } for each in told]  # fmt: skip
    return frames.made(sorted(rows, key=lambda row: row["target"]), TARGETS)


def _names(environment: Environment) -> Sequence[str]:
    if not environment.services.cluster:
        return ()
    return environment.services.names or [
        _last(arn)
        for arn in aws.pages(environment, "ecs", "list_services", "serviceArns", cluster=environment.services.cluster)
    ]


def _described(environment: Environment) -> tuple[list[dict[str, Any]], list[str]]:
    found: list[dict[str, Any]] = []
    problems = []
    for names in _batches(_names(environment), SERVICES_A_CALL):
        answer = aws.ask(environment, "ecs", "describe_services", cluster=environment.services.cluster, services=names)
        found += answer.get("services", [])
        problems += [
            f"service {_last(each.get('arn', '?'))}: {each.get('reason', '?')}" for each in answer.get("failures", [])
        ]
    return found, problems


def _service(environment: Environment, told: dict[str, Any]) -> dict[str, Any]:
    running = told.get("deployments", [])
    primary: dict[str, Any] = next((each for each in running if each.get("status") == "PRIMARY"), {})
    about, container = told.get("deploymentConfiguration", {}), _container(environment, told.get("taskDefinition", ""))
    return {
        "service": told["serviceName"], "status": told.get("status", "UNKNOWN"), "desired": told.get("desiredCount", 0),
        "running": told.get("runningCount", 0), "pending": told.get("pendingCount", 0),
        "task_definition": _last(told.get("taskDefinition", "")), "image": container.get("image", ""),
        "deployment": primary.get("id", ""), "deployments": len(running), "rollout_state": primary.get("rolloutState", ""),
        "rollout_reason": primary.get("rolloutStateReason", ""), "since": primary.get("createdAt"),
        "failed_tasks": sum(each.get("failedTasks", 0) for each in running),
        "circuit_breaker": bool(about.get("deploymentCircuitBreaker", {}).get("enable", False)),
        "minimum_healthy": about.get("minimumHealthyPercent", 100),
        "log_group": container.get("logConfiguration", {}).get("options", {}).get("awslogs-group", ""),
    }  # fmt: skip


@lru_cache(maxsize=256)
def _container(environment: Environment, definition: str) -> dict[str, Any]:
    """Return a task definition's first essential container; a revision never changes."""
    if not definition:
        return {}
    told = aws.ask(environment, "ecs", "describe_task_definition", taskDefinition=definition)["taskDefinition"]
    containers = told.get("containerDefinitions", [])
    return next((each for each in containers if each.get("essential", True)), {})


def _revisions(environment: Environment, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    found = {}
    for some in _batches(arns, REVISIONS_A_CALL):
        answer = aws.ask(environment, "ecs", "describe_service_revisions", serviceRevisionArns=some)
        for each in answer.get("serviceRevisions", []):
            images = each.get("containerImages", [])
            found[each["serviceRevisionArn"]] = {
                "task_definition": _last(each.get("taskDefinition", "")), "image": images[0].get("image", "") if images else ""
            }  # fmt: skip
    return found


def _tasks(environment: Environment, status: str, service: str) -> Iterator[dict[str, Any]]:
    """Yield tasks of services; those that somebody ran by hand belong to none."""
    if not environment.services.cluster:
        return
    asked = {"cluster": environment.services.cluster, "desiredStatus": status} | (
        {"serviceName": service} if service else {}
    )
    arns = list(aws.pages(environment, "ecs", "list_tasks", "taskArns", **asked))
    for some in _batches(arns, TASKS_A_CALL):
        answer = aws.ask(environment, "ecs", "describe_tasks", cluster=environment.services.cluster, tasks=some)
        yield from (each for each in answer.get("tasks", []) if each.get("group", "").startswith("service:"))


def _task(told: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = next(iter(told.get("containers", [])), {})
    return {
        "service": told["group"].removeprefix("service:"), "task": _last(told["taskArn"]), "status": told.get("lastStatus", "UNKNOWN"),
        "health": told.get("healthStatus", "UNKNOWN"), "started": told.get("startedAt"), "image": container.get("image", ""),
        "digest": container.get("imageDigest", ""), "task_definition": _last(told.get("taskDefinitionArn", "")),
        "deployment": told.get("startedBy", ""),
    }  # fmt: skip


def _stopped(told: dict[str, Any]) -> dict[str, Any]:
    containers = told.get("containers", [])
    failed: dict[str, Any] = next(
        (each for each in containers if each.get("exitCode") or each.get("reason")), next(iter(containers), {})
    )
    reasons = [told.get("stoppedReason", ""), failed.get("reason", "")]
    return {
        "service": told["group"].removeprefix("service:"), "task": _last(told["taskArn"]),
        "stopped": told.get("stoppedAt") or told.get("stoppingAt"), "stop_code": told.get("stopCode", ""),
        "reason": ": ".join(reason for reason in reasons if reason), "exit_code": failed.get("exitCode"),
        "started": told.get("startedAt"), "image": failed.get("image", ""),
    }  # fmt: skip


def _batches(items: Sequence[str], size: int) -> Iterator[list[str]]:
    yield from (list(items[first : first + size]) for first in range(0, len(items), size))


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]
