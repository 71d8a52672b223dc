"""An ECS service as a plan needs to see it: exact, small, and with what must not have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib import console as addresses
from opslib.errors import ParameterError, SourceError

if TYPE_CHECKING:
    from opslib.config import Environment

WELL = {"HEALTHY", "NOT CHECKED"}


@dataclass(frozen=True)
class Service:
    """One service; `tasks` only when they were asked for."""

    cluster: str
    name: str
    status: str
    controller: str
    desired: int
    running: int
    definition: str
    image: str
    breaker: bool
    rolls_back: bool
    minimum: int
    maximum: int
    deployments: tuple[dict[str, Any], ...]
    target_groups: tuple[str, ...]
    tasks: tuple[dict[str, str], ...] = ()
    digests: tuple[str, ...] = field(default=())

    def identity(self) -> dict[str, Any]:
        """Return what must be the same when a plan is applied; how many tasks run this second is not in it."""
        return {
            "status": self.status, "desired": self.desired, "definition": self.definition, "image": self.image,
            "circuit breaker": self.breaker, "minimum": self.minimum, "maximum": self.maximum,
            "deployments": [[one["id"], one["rollout"]] for one in self.deployments],
        }  # fmt: skip

    def now(self) -> str:
        """Return the state in one line."""
        rollout = ", ".join(str(one["rollout"]) for one in self.deployments)
        return f"{self.running} of {self.desired} tasks run {self.definition} ({self.image.rpartition('/')[2]}); deployment {rollout}"


def read(environment: Environment, name: str, *, tasks: bool = False) -> Service:
    """Return a service (ecs:DescribeServices, ecs:DescribeTaskDefinition, with `tasks` ecs:ListTasks, ecs:DescribeTasks).

    Raises ParameterError when the cluster has none of that name, SourceError when AWS does not answer.
    """
    cluster = environment.services.cluster
    answer = aws.ask(environment, "ecs", "describe_services", cluster=cluster, services=[name])
    if not answer["services"]:
        raise ParameterError(
            f"there is no service {name!r} in cluster {cluster!r}", why=str(answer.get("failures", ""))
        )
    told = answer["services"][0]
    definition = aws.ask(environment, "ecs", "describe_task_definition", taskDefinition=told["taskDefinition"])[
        "taskDefinition"
    ]
    containers = definition["containerDefinitions"]
    checked = any(container.get("healthCheck") for container in containers)
    rules = told.get("deploymentConfiguration", {})
    breaker = rules.get("deploymentCircuitBreaker", {})
    alive = _tasks(environment, cluster, name, checked=checked) if tasks else []
    return Service(
        cluster, name, told["status"], told.get("deploymentController", {}).get("type", "ECS"), told["desiredCount"], told["runningCount"],
        told["taskDefinition"].rpartition("/")[2], str(containers[0].get("image", "")), bool(breaker.get("enable")), bool(breaker.get("rollback")),
        rules.get("minimumHealthyPercent", 100), rules.get("maximumPercent", 200), tuple(map(_deployment, told["deployments"])),
        tuple(one["targetGroupArn"] for one in told.get("loadBalancers", []) if one.get("targetGroupArn")), tuple(alive),
        tuple(sorted({task["digest"] for task in alive if task["digest"]})),
    )  # fmt: skip


def ended(environment: Environment, cluster: str, service: str, arn: str) -> str:
    """Return status and reason of a service deployment (ecs:ListServiceDeployments, ecs:DescribeServiceDeployments)."""
    if not arn:
        found = aws.ask(environment, "ecs", "list_service_deployments", cluster=cluster, service=service)
        arn = found["serviceDeployments"][0]["serviceDeploymentArn"] if found["serviceDeployments"] else ""
    answer = aws.ask(environment, "ecs", "describe_service_deployments", serviceDeploymentArns=[arn])
    if not answer["serviceDeployments"]:
        return "not found"
    told = answer["serviceDeployments"][0]
    reason = told.get("statusReason") or told.get("rollback", {}).get("reason", "")
    return f"{told['status']}{f' ({reason})' if reason else ''}"


def healthy_targets(environment: Environment, service: Service) -> int | None:
    """Return how many targets are healthy (elasticloadbalancing:DescribeTargetHealth); None without a load balancer."""
    if not service.target_groups:
        return None
    found: list[int] = [
        sum(target["TargetHealth"]["State"] == "healthy" for target in answer["TargetHealthDescriptions"])
        for group in service.target_groups
        for answer in [aws.ask(environment, "elbv2", "describe_target_health", TargetGroupArn=group)]
    ]
    return min(found)


def alarm(environment: Environment, name: str) -> str:
    """Return an alarm's state (cloudwatch:DescribeAlarms), empty without a name; raises ParameterError for none of that name."""
    if not name:
        return ""
    kinds = ["MetricAlarm", "CompositeAlarm"]
    answer = aws.ask(environment, "cloudwatch", "describe_alarms", AlarmNames=[name], AlarmTypes=kinds)
    found = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    if not found:
        raise ParameterError(
            f"there is no alarm {name!r} in {environment.region}", fix="leave alarm empty, or name one"
        )
    return str(found[0]["StateValue"])


def tagged(environment: Environment, image: str) -> str:
    """Return the digest at which a tag of ECR points now (ecr:DescribeImages); empty when it could not be read."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    if ".dkr.ecr." not in registry or not repository:
        return ""
    try:
        answer = aws.ask(environment, "ecr", "describe_images", repositoryName=repository, imageIds=[{"imageTag": tag}])
    except SourceError:
        return ""  # the condition says that it was not seen
    return str(answer["imageDetails"][0]["imageDigest"]) if answer["imageDetails"] else ""


def console(environment: Environment, name: str) -> str:
    """Return the address of a service's deployments in the console."""
    return addresses.ecs(environment.region, environment.services.cluster, name)


def _deployment(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": told["id"], "status": told["status"], "rollout": told.get("rolloutState", "UNKNOWN"),
        "running": told["runningCount"], "failed": told.get("failedTasks", 0),
    }  # fmt: skip


def _tasks(environment: Environment, cluster: str, service: str, *, checked: bool) -> list[dict[str, str]]:
    arns = list(aws.pages(environment, "ecs", "list_tasks", "taskArns", cluster=cluster, serviceName=service))
    found = []
    for start in range(0, len(arns), 100):
        answer = aws.ask(environment, "ecs", "describe_tasks", cluster=cluster, tasks=arns[start : start + 100])
        found += [_task(told, checked) for told in answer["tasks"]]
    return found


def _task(told: dict[str, Any], checked: bool) -> dict[str, str]:
    containers = told.get("containers") or [{}]
    health = str(told.get("healthStatus", "UNKNOWN"))
    return {
        "id": told["taskArn"].rpartition("/")[2], "status": told.get("lastStatus", ""), "digest": str(containers[0].get("imageDigest", "")),
        "health": "NOT CHECKED" if health == "UNKNOWN" and not checked else health,
    }  # fmt: skip
