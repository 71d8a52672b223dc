"""ECS state as the API tells it: JSON as it stands, times in epoch seconds."""

from typing import Any

from opslib.sandbox.apis.ecs_state import (
    CLUSTER,
    CLUSTER_ARN,
    PENDING_AFTER,
    PREFIX,
    Definition,
    Deployment,
    Service,
    Task,
    digest_of,
    hashed,
)

Shape = dict[str, Any]
FARGATE = {"launchType": "FARGATE", "platformVersion": "1.4.0", "platformFamily": "Linux"}
NETWORK = {
    "awsvpcConfiguration": {"subnets": ["subnet-0a1", "subnet-0c2"], "securityGroups": ["sg-0shop"], "assignPublicIp": "DISABLED"}
}  # fmt: skip
EVENTS = 100


def seconds(at: int) -> float:
    """Return epoch milliseconds as the API writes them."""
    return at / 1000


def _present(**members: Any) -> Shape:
    """Leave out what is not known, as the API does."""
    return {name: value for name, value in members.items() if value is not None and value != ""}


def service(of: Service, now: int) -> Shape:
    """Return one of DescribeServices."""
    alive, primary = of.living(now), of.primary
    balancers = [{"targetGroupArn": of.target_group, "containerName": of.name, "containerPort": 3000}]
    configuration = {
        "deploymentCircuitBreaker": {"enable": of.breaker, "rollback": of.breaker and of.rollback},
        "maximumPercent": of.maximum, "minimumHealthyPercent": of.minimum, "strategy": "ROLLING",
    }  # fmt: skip
    return {
        "serviceArn": of.arn, "serviceName": of.name, "clusterArn": CLUSTER_ARN, "status": "ACTIVE",
        "loadBalancers": balancers if of.target_group else [], "serviceRegistries": [],
        "desiredCount": of.desired, "runningCount": sum(task.status(now) == "RUNNING" for task in alive),
        "pendingCount": sum(task.status(now) in ("PROVISIONING", "PENDING") for task in alive),
        **FARGATE, "taskDefinition": primary.definition.arn, "deploymentConfiguration": configuration,
        "deployments": [deployment(each, of, now, primary=each is primary) for each in of.shown(now)],
        "events": [event(of, *each) for each in reversed(of.events[-EVENTS:])],
        "createdAt": 1_770_000_000.0, "currentServiceDeployment": service_deployment_arn(of, _told(of)),
        "currentServiceRevisions": [
            {"arn": revision_arn(of, each), **counts(each, of, now, "Task")} for each in of.shown(now)
        ],
        "networkConfiguration": NETWORK, "healthCheckGracePeriodSeconds": 60, "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"}, "enableECSManagedTags": True, "propagateTags": "SERVICE",
        "enableExecuteCommand": False, "placementConstraints": [], "placementStrategy": [],
    }  # fmt: skip


def _told(of: Service) -> Deployment:
    rolling = [each for each in of.deployments if each.status == "ROLLBACK_IN_PROGRESS"]
    return rolling[0] if rolling else max(of.deployments, key=lambda each: each.created)


def event(of: Service, at: int, message: str) -> Shape:
    """Return one service event."""
    return {"id": _uuid(hashed(of.name, at, message)), "createdAt": seconds(at), "message": message}


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def counts(each: Deployment, of: Service, now: int, kind: str = "") -> Shape:
    """Return how many tasks a deployment has: as members of a deployment, or of a service revision (`Task`)."""
    mine = [task for task in of.living(now) if task.deployment == each.id]
    running = sum(task.status(now) == "RUNNING" for task in mine)
    pending = sum(task.status(now) in ("PROVISIONING", "PENDING") for task in mine)
    return {f"running{kind}Count": running, f"pending{kind}Count": pending}


def deployment(each: Deployment, of: Service, now: int, *, primary: bool) -> Shape:
    """Return one deployment of a service."""
    return {
        "id": each.id, "status": "PRIMARY" if primary else "ACTIVE", "taskDefinition": each.definition.arn,
        "desiredCount": of.desired if primary else 0, **counts(each, of, now), "failedTasks": each.failed,
        "createdAt": seconds(each.created), "updatedAt": seconds(each.updated or each.created), **FARGATE,
        "networkConfiguration": NETWORK, "rolloutState": each.state, "rolloutStateReason": each.reason,
    }  # fmt: skip


def revision_arn(of: Service, each: Deployment) -> str:
    """Return the ARN of the service revision that a deployment brings."""
    return f"{PREFIX}:service-revision/{CLUSTER}/{of.name}/{int(hashed(each.id)[:15], 16) % 10**19:019d}"


def revision(of: Service, each: Deployment) -> Shape:
    """Return one service revision."""
    image = each.definition.image
    return {
        "serviceRevisionArn": revision_arn(of, each), "serviceArn": of.arn, "clusterArn": CLUSTER_ARN, **FARGATE,
        "taskDefinition": each.definition.arn, "createdAt": seconds(each.created),
        "containerImages": [{"containerName": of.name, "image": image, "imageDigest": digest_of(image)}],
    }  # fmt: skip


def service_deployment_arn(of: Service, each: Deployment) -> str:
    """Return the ARN of the service deployment."""
    return f"{PREFIX}:service-deployment/{CLUSTER}/{of.name}/{hashed(each.id)[:21]}"


def service_deployment(each: Deployment, of: Service, now: int, *, brief: bool = False) -> Shape:
    """Return one service deployment, whole or as the list tells it."""
    found = _present(
        serviceDeploymentArn=service_deployment_arn(of, each), serviceArn=of.arn, clusterArn=CLUSTER_ARN,
        createdAt=seconds(each.created), startedAt=seconds(each.created), status=each.status,
        finishedAt=None if each.finished is None else seconds(each.finished), statusReason=each.rollback.get("reason", ""),
    )  # fmt: skip
    if brief:
        return found | {"targetServiceRevisionArn": revision_arn(of, each)}
    target = {"arn": revision_arn(of, each), "requestedTaskCount": of.desired, **counts(each, of, now, "Task")}
    triggered = each.failed and each.state == "FAILED"
    watch = "TRIGGERED" if triggered else "MONITORING_COMPLETE" if each.finished else "MONITORING"
    source = next((old for old in of.deployments if old.definition is each.source), None)
    back = next((old for old in of.deployments if old.id == each.rollback.get("serviceRevisionArn")), None)
    return found | _present(
        updatedAt=seconds(each.updated), targetServiceRevision=target,
        sourceServiceRevisions=[{"arn": revision_arn(of, source)}] if source else [],
        deploymentConfiguration=service(of, now)["deploymentConfiguration"],
        deploymentCircuitBreaker={
            "status": watch if of.breaker else "DISABLED", "failureCount": each.failed, "threshold": max(3, -(-of.desired // 2))
        },
        rollback=each.rollback | {"serviceRevisionArn": revision_arn(of, back)} if back else None,
    )  # fmt: skip


def task(each: Task, of: Service, now: int) -> Shape:
    """Return one of DescribeTasks."""
    status, ended = each.status(now), each.stopped is not None and now >= each.stopped
    health = "HEALTHY" if each.healthy is not None and now >= each.healthy and not ended else "UNKNOWN"
    began = each.started if each.started is not None and now >= each.started else None
    container = _present(
        containerArn=f"{PREFIX}:container/{CLUSTER}/{each.id}/{_uuid(hashed(each.id))}", taskArn=each.arn, name=of.name,
        image=each.definition.image, imageDigest=digest_of(each.definition.image) if began else None,
        runtimeId=f"{each.id}-0" if began else None, healthStatus=health, exitCode=each.exit_code if ended else None,
        lastStatus="STOPPED" if ended else "RUNNING" if began else "PENDING",
        reason=each.container_reason if ended and began else None, cpu="0", networkInterfaces=[],
    )  # fmt: skip
    zone = "ap-northeast-1" + "ac"[int(each.id[0], 16) % 2]
    stopping = each.stopping is not None and now >= each.stopping
    return _present(
        taskArn=each.arn, clusterArn=CLUSTER_ARN, taskDefinitionArn=each.definition.arn, group=f"service:{of.name}",
        availabilityZone=zone, lastStatus=status, desiredStatus="STOPPED" if stopping else "RUNNING",
        healthStatus=health, createdAt=seconds(each.created), startedBy=each.deployment, containers=[container],
        pullStartedAt=seconds(each.created + PENDING_AFTER) if began else None,
        pullStoppedAt=seconds(each.created + 3 * PENDING_AFTER) if began else None,
        startedAt=seconds(began) if began else None, connectivity="CONNECTED" if began else None,
        stoppingAt=seconds(each.stopping or 0) if stopping else None, stopCode=each.stop_code if stopping else None,
        stoppedReason=each.reason if stopping else None, stoppedAt=seconds(each.stopped or 0) if ended else None,
        cpu=each.definition.given.get("cpu"), memory=each.definition.given.get("memory"), **FARGATE,
        attachments=[_interface(each)], tags=[], overrides={"containerOverrides": []}, version=3,
    )  # fmt: skip


def address(each: Task) -> str:
    """Return the private address of a task."""
    return f"10.0.{int(each.id[:2], 16)}.{int(each.id[2:4], 16) or 1}"


def _interface(each: Task) -> Shape:
    details = [{"name": "privateIPv4Address", "value": address(each)}]
    return {
        "id": _uuid(hashed("eni", each.id)),
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": details,
    }


def definition(each: Definition) -> Shape:
    """Return one task definition."""
    return each.given | {
        "taskDefinitionArn": each.arn, "revision": each.revision, "status": each.status,
        "registeredAt": seconds(each.registered), "compatibilities": ["EC2", "FARGATE"], "volumes": [],
        "placementConstraints": [],
    }  # fmt: skip
