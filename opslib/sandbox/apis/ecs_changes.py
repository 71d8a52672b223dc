"""ECS as it is changed: services, tasks, task definitions, deployments that are stopped."""

from typing import Any

from opslib.sandbox.apis import ecs_rollout, ecs_shapes
from opslib.sandbox.apis.ecs import API, refused
from opslib.sandbox.apis.ecs_fleet import Fleet
from opslib.sandbox.apis.ecs_state import Deployment, Service
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError


class EcsChanges:
    """What changes the cluster; effects unfold on the sandbox's clock."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @property
    def fleet(self) -> Fleet:
        """Return the cluster that all operations share."""
        return self._state.part(Fleet)

    @operation("ecs", "UpdateService", modelled="desiredCount, taskDefinition, forceNewDeployment, deploymentConfiguration",
               source=API, difference="other members are ignored; a task definition other than the running one deploys",
               tested=("test_deployment_completes", "test_service_is_scaled"))  # fmt: skip
    def update_service(self, p: Params) -> dict[str, Any]:
        """Scale a service, or begin a deployment."""
        self.fleet.check_cluster(p.get("cluster"))
        with self._state.lock:
            service, now = self.fleet.service(p["service"]), self._state.clock.now_ms()
            wanted = (
                self.fleet.definition(p["taskDefinition"]) if p.get("taskDefinition") else service.primary.definition
            )
            _configure(service, p.get("deploymentConfiguration") or {})
            if p.get("desiredCount") is not None:
                service.scale(p["desiredCount"], now)
            if p.get("forceNewDeployment") or wanted is not service.primary.definition:
                service.deploy(wanted, now, self._state.take("deployment", service=service.name))
            return {"service": ecs_shapes.service(service, now)}

    @operation("ecs", "StopTask", modelled="drains behind the load balancer, then another one is started", source=API,
               tested=("test_stopped_task_is_replaced",))  # fmt: skip
    def stop_task(self, p: Params) -> dict[str, Any]:
        """Stop one task."""
        self.fleet.check_cluster(p.get("cluster"))
        with self._state.lock:
            now, wanted = self._state.clock.now_ms(), p["task"].rpartition("/")[2]
            found = [(task, service) for service in self.fleet.settled() for task in service.tasks if task.id == wanted]
            if not found:
                raise refused("The referenced task was not found.")
            task, service = found[0]
            if task.is_wanted():
                task.stop(now, "UserInitiated", p.get("reason") or "Task stopped by user")
                service.steady = False
            return {"task": ecs_shapes.task(task, service, now)}

    @operation("ecs", "RegisterTaskDefinition", also_behind=True, modelled="the next revision of a family, kept as given",
               source=API, difference="nothing is validated but that there is a container",
               tested=("test_task_definition_is_registered",))  # fmt: skip
    def register_task_definition(self, p: Params) -> dict[str, Any]:
        """Register a revision."""
        if not p.get("containerDefinitions"):
            raise ServiceError("ClientException", "Container list cannot be empty.")
        with self._state.lock:
            made = self.fleet.register(
                {name: value for name, value in p.items() if name != "tags"}, self._state.clock.now_ms()
            )
        return {"taskDefinition": ecs_shapes.definition(made), "tags": p.get("tags") or []}

    @operation("ecs", "StopServiceDeployment", modelled="ROLLBACK and ABORT of what is under way", source=API,
               difference="the rollback begins at once", tested=("test_deployment_is_stopped",))  # fmt: skip
    def stop_service_deployment(self, p: Params) -> dict[str, Any]:
        """Stop a deployment that is under way; unless told otherwise go back."""
        arn = p["serviceDeploymentArn"]
        with self._state.lock:
            now = self._state.clock.now_ms()
            service, found = self._named(arn)
            if found.status != "IN_PROGRESS":
                raise ServiceError("ConflictException", f"The service deployment is in the {found.status} state.")
            ecs_rollout.fail(service, now, "Service deployment stopped by user.", back=p.get("stopType") != "ABORT")
            return {"serviceDeploymentArn": arn}

    def _named(self, arn: str) -> tuple[Service, Deployment]:
        for service in self.fleet.settled():
            for each in service.deployments:
                if ecs_shapes.service_deployment_arn(service, each) == arn:
                    return service, each
        raise ServiceError("ServiceDeploymentNotFoundException", "Service deployment not found.")


def _configure(service: Service, given: Params) -> None:
    service.minimum = given.get("minimumHealthyPercent", service.minimum)
    service.maximum = given.get("maximumPercent", service.maximum)
    breaker = given.get("deploymentCircuitBreaker") or {}
    service.breaker = breaker.get("enable", service.breaker)
    service.rollback = breaker.get("rollback", service.rollback)


APIS = (EcsChanges,)
