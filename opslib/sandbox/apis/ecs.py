"""ECS as it is read: cluster, services, tasks, task definitions, service deployments."""

from typing import Any

from opslib.sandbox.apis import ecs_shapes as shapes
from opslib.sandbox.apis.ecs_fleet import Fleet
from opslib.sandbox.apis.ecs_state import CLUSTER, CLUSTER_ARN, KEPT_MS, Deployment, Task
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
REVISED = "tags are not modelled"


def refused(message: str) -> ServiceError:
    """Return ECS's error for a wrong parameter."""
    return ServiceError("InvalidParameterException", message)


class EcsReading:
    """What asks and changes nothing."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @property
    def fleet(self) -> Fleet:
        """Return the cluster that all operations share."""
        return self._state.part(Fleet)

    @operation(
        "ecs", "ListClusters", modelled="the cluster of the shop", source=API, tested=("test_cluster_is_counted",)
    )
    def list_clusters(self, p: Params) -> dict[str, Any]:
        """Answer the cluster."""
        return {"clusterArns": [CLUSTER_ARN] if self.fleet.services else []}

    @operation("ecs", "DescribeClusters", modelled="counts of services and tasks; MISSING", source=API,
               difference="no capacity providers, statistics or settings", tested=("test_cluster_is_counted",))  # fmt: skip
    def describe_clusters(self, p: Params) -> dict[str, Any]:
        """Answer clusters by name."""
        with self._state.lock:
            now = self._state.clock.now_ms()
            statuses = [task.status(now) for service in self.fleet.settled() for task in service.living(now)]
        found = {
            "clusterArn": CLUSTER_ARN, "clusterName": CLUSTER, "status": "ACTIVE", "registeredContainerInstancesCount": 0,
            "runningTasksCount": statuses.count("RUNNING"), "activeServicesCount": len(self.fleet.services),
            "pendingTasksCount": statuses.count("PENDING") + statuses.count("PROVISIONING"),
        }  # fmt: skip
        asked = p.get("clusters") or ["default"]
        known = [name for name in asked if name.rpartition("/")[2] == CLUSTER and self.fleet.services]
        missing = [{"arn": name, "reason": "MISSING"} for name in asked if name not in known]
        return {"clusters": [found] if known else [], "failures": missing}

    @operation("ecs", "ListServices", modelled="pages of at most 100, 10 unless told", source=API,
               tested=("test_services_come_in_pages",))  # fmt: skip
    def list_services(self, p: Params) -> dict[str, Any]:
        """Answer the ARNs of the services."""
        self.fleet.check_cluster(p.get("cluster"))
        arns = [service.arn for service in self.fleet.services.values()]
        return _paged("services", "serviceArns", arns, p, 10)

    @operation("ecs", "DescribeServices", modelled="at most 10; deployments with rollout state, 100 events, circuit "
               "breaker; what happens by itself is worked out in steps of 5 s of the sandbox's clock", source=API,
               difference=f"rolling deployments only; after a rollback the earlier deployment id is primary again; {REVISED}",
               tested=("test_deployment_completes", "test_deployment_is_rolled_back", "test_deployment_is_stuck"))  # fmt: skip
    def describe_services(self, p: Params) -> dict[str, Any]:
        """Answer services as they are now."""
        self.fleet.check_cluster(p.get("cluster"))
        if not 1 <= len(p["services"]) <= 10:
            raise refused("Services must have between 1 and 10 elements.")
        names = [given.rpartition("/")[2] for given in p["services"]]
        missing = [given for given, name in zip(p["services"], names, strict=True) if name not in self.fleet.services]
        with self._state.lock:
            now = self._state.clock.now_ms()
            found = [shapes.service(self.fleet.service(name), now) for name in names if name in self.fleet.services]
        return {"services": found, "failures": [{"arn": each, "reason": "MISSING"} for each in missing]}

    @operation("ecs", "ListTasks", modelled="by service, family, desired status; stopped ones for an hour; pages of 100",
               source=API, tested=("test_stopped_task_is_replaced", "test_tasks_come_in_pages"))  # fmt: skip
    def list_tasks(self, p: Params) -> dict[str, Any]:
        """Answer the ARNs of tasks."""
        self.fleet.check_cluster(p.get("cluster"))
        with self._state.lock:
            now = self._state.clock.now_ms()
            services = [self.fleet.service(p["serviceName"])] if p.get("serviceName") else list(self.fleet.settled())
            tasks = [task for service in services for task in service.tasks if _is_kept(task, now)]
        stopped = p.get("desiredStatus") == "STOPPED"
        wanted = [task.arn for task in tasks if (task.stopping is not None) == stopped
                  and p.get("family") in (None, task.definition.family)
                  and p.get("startedBy") in (None, task.deployment)]  # fmt: skip
        return _paged("tasks", "taskArns", wanted, p, 100)

    @operation("ecs", "DescribeTasks", modelled="at most 100; status, health, image digest, stop code and reason, exit code; "
               "members that a task does not have yet are absent", source=API, difference="one container a task",
               tested=("test_stopped_task_is_replaced", "test_deployment_completes"))  # fmt: skip
    def describe_tasks(self, p: Params) -> dict[str, Any]:
        """Answer tasks as they are now."""
        self.fleet.check_cluster(p.get("cluster"))
        if not 1 <= len(p["tasks"]) <= 100:
            raise refused("Tasks must have between 1 and 100 elements.")
        with self._state.lock:
            now = self._state.clock.now_ms()
            known = {task.id: (task, service) for service in self.fleet.settled() for task in service.tasks
                     if _is_kept(task, now)}  # fmt: skip
        asked = [given.rpartition("/")[2] for given in p["tasks"]]
        return {
            "tasks": [shapes.task(*known[each], now) for each in asked if each in known],
            "failures": [{"arn": given, "reason": "MISSING"} for given, each in zip(p["tasks"], asked, strict=True)
                         if each not in known],
        }  # fmt: skip

    @operation("ecs", "DescribeTaskDefinition", modelled="by ARN, family:revision or family", source=API,
               difference="no tags", tested=("test_task_definition_is_registered",))  # fmt: skip
    def describe_task_definition(self, p: Params) -> dict[str, Any]:
        """Answer one revision."""
        return {"taskDefinition": shapes.definition(self.fleet.definition(p["taskDefinition"])), "tags": []}

    @operation("ecs", "ListTaskDefinitions", modelled="by family prefix and status, both orders, pages of 100", source=API,
               tested=("test_task_definition_is_registered",))  # fmt: skip
    def list_task_definitions(self, p: Params) -> dict[str, Any]:
        """Answer the ARNs of revisions."""
        arns = [each.arn for family, revisions in sorted(self.fleet.definitions.items()) for each in revisions
                if family.startswith(p.get("familyPrefix") or "") and each.status == (p.get("status") or "ACTIVE")]  # fmt: skip
        return _paged("definitions", "taskDefinitionArns", arns[::-1] if p.get("sort") == "DESC" else arns, p, 100)

    @operation("ecs", "ListServiceDeployments", modelled="newest first, by status and creation; pages of 20", source=API,
               difference="kept for ever, not 90 days", tested=("test_deployment_is_rolled_back",))  # fmt: skip
    def list_service_deployments(self, p: Params) -> dict[str, Any]:
        """Answer the service deployments of a service in brief."""
        self.fleet.check_cluster(p.get("cluster"))
        with self._state.lock:
            service, now = self.fleet.service(p["service"]), self._state.clock.now_ms()
            found = sorted(service.deployments, key=lambda each: -each.created)
        told = [shapes.service_deployment(each, service, now, brief=True) for each in found if _is_asked(each, p)]
        return _paged("deployments", "serviceDeployments", told, p, 20)

    @operation("ecs", "DescribeServiceDeployments", modelled="status, reason, circuit breaker, rollback", source=API,
               difference="no lifecycle stages, hooks or alarms", tested=("test_deployment_is_rolled_back",))  # fmt: skip
    def describe_service_deployments(self, p: Params) -> dict[str, Any]:
        """Answer service deployments by ARN."""
        with self._state.lock:
            now = self._state.clock.now_ms()
            known = {shapes.service_deployment_arn(service, each): shapes.service_deployment(each, service, now)
                     for service in self.fleet.settled() for each in service.deployments}  # fmt: skip
        asked = p["serviceDeploymentArns"]
        missing = [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known]
        return {"serviceDeployments": [known[arn] for arn in asked if arn in known], "failures": missing}

    @operation("ecs", "DescribeServiceRevisions", modelled="task definition and container images with digests; at most 20",
               source=API, difference="no load balancers or networks", tested=("test_deployment_is_rolled_back",))  # fmt: skip
    def describe_service_revisions(self, p: Params) -> dict[str, Any]:
        """Answer what deployments brought, by ARN."""
        asked = p["serviceRevisionArns"]
        if not 1 <= len(asked) <= 20:
            raise refused("Service revisions must have between 1 and 20 elements.")
        with self._state.lock:
            known = {shapes.revision_arn(service, each): shapes.revision(service, each)
                     for service in self.fleet.settled() for each in service.deployments}  # fmt: skip
        missing = [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known]
        return {"serviceRevisions": [known[arn] for arn in asked if arn in known], "failures": missing}


def _is_kept(task: Task, now: int) -> bool:
    return task.stopped is None or now - task.stopped < KEPT_MS


def _is_asked(each: Deployment, p: Params) -> bool:
    span = p.get("createdAt") or {}
    created = each.created / 1000
    return (not p.get("status") or each.status in p["status"]) and float(span.get("after") or 0) <= created <= float(
        span.get("before") or 1e12
    )


def _paged(kind: str, member: str, items: list[Any], p: Params, limit: int) -> dict[str, Any]:
    shown, following = page(kind, items, p.get("nextToken"), min(p.get("maxResults") or limit, 100))
    return {member: shown} | ({"nextToken": following} if following else {})


APIS = (EcsReading,)
