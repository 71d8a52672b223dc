"""More tasks for a service: the minimum of its scalable target where it scales by itself, else its desired count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib import plan as plans
from opslib.actions import ecs_state as state
from opslib.actions.services import check_name
from opslib.errors import OpsError
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register
from opslib.sources import autoscaling, postgres

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

_DIMENSION = "ecs:service:DesiredCount"


def scale_out(run: Run, *, service: str, tasks: int, connections_per_task: int = 10) -> Plan:
    """Plan to run at least so many tasks (application-autoscaling:RegisterScalableTarget, or ecs:UpdateService).

    `connections_per_task` is the size of a task's database pool: where the database has no room for the new ones,
    more tasks make it worse. Raises ParameterError, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment = run.environment
    check_name(environment, service)
    found, limits = state.read(environment, service), _limits(environment, service)
    conditions = (
        *_conditions(found, limits, tasks),
        _room(environment, (tasks - found.desired) * connections_per_task),
    )
    told = "it scales between {} and {}".format(*limits) if limits else "it does not scale by itself"
    kind = (
        "the minimum is raised; autoscaling cannot take the tasks away"
        if limits
        else "the desired count is set; this is no deployment"
    )
    back = f"set the {'minimum' if limits else 'desired count'} back to {limits[0] if limits else found.desired}"
    return plans.propose(
        run, action="scale-out", title=f"Scale {service} out: {found.desired} to {tasks} tasks", target=service,
        parameters={"tasks": tasks, "connections_per_task": connections_per_task, "scales": bool(limits)}, before=_before(found, limits),
        changes=(Change(f"{found.cluster}/{service}", f"{found.running} of {found.desired} tasks run; {told}", f"{tasks} tasks: {kind}", back,
                        f"{tasks - found.desired} more tasks to pay; up to {(tasks - found.desired) * connections_per_task} more database connections"),),
        conditions=conditions, steps=(_step(environment, found, tasks, scales=bool(limits)),),
        limits=("put it back when the load is gone: until then it costs, and differs from the template that made it",
                "the account's quota of Fargate vCPUs is not looked at"),
        verification=Verification(f"Until {tasks} tasks run.", _look(environment, found), 10.0, 900.0),
        undo_draft=Undo(back, "scale-back", (_step(environment, found, limits[0] if limits else found.desired, scales=bool(limits)),)),
    )  # fmt: skip


def _limits(environment: Environment, service: str) -> tuple[int, int] | None:
    frame = autoscaling.targets(environment)
    rows = frame[frame["service"] == service]
    return (int(rows["minimum"].iloc[0]), int(rows["maximum"].iloc[0])) if len(rows) else None


def _conditions(found: state.Service, limits: tuple[int, int] | None, tasks: int) -> tuple[Condition, ...]:
    most = limits[1] if limits else None
    return (
        Condition("the service is active", found.status, found.status == "ACTIVE"),
        Condition("no deployment is under way", ", ".join(one["rollout"] for one in found.deployments), [one["rollout"] for one in found.deployments] == ["COMPLETED"]),
        Condition("it is more than now", f"{found.desired} now, {tasks} proposed", tasks > found.desired),
        Condition("at most four times as many", f"{tasks} of {4 * found.desired}", tasks <= max(4 * found.desired, 2)),
        Condition("the scalable target allows it", "it has none" if most is None else f"at most {most}", most is None or tasks <= most),
    )  # fmt: skip


def _room(environment: Environment, wanted: int) -> Condition:
    what = "the database has room for the new pools"
    try:
        row = postgres.connections(environment).iloc[0]
    except OpsError as error:
        return Condition(what, f"NOT SEEN: {error.what}", True)
    most, free = int(row["most"]), int(row["most"]) - int(row["used"])
    if wanted <= free:  # how many are in use this second is no part of the plan
        return Condition(what, f"{wanted} more fit below the {most} that there may be", True)
    return Condition(what, f"{wanted} more may be needed, {free} of {most} are free", False)


def _step(environment: Environment, found: state.Service, tasks: int, *, scales: bool) -> Step:
    console = state.console(environment, found.name)
    if not scales:
        asked = {"cluster": found.cluster, "service": found.name, "desiredCount": tasks}
        return Step("ecs", "UpdateService", asked, f"want {tasks} tasks of {found.name}", console)
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{found.cluster}/{found.name}",
        "ScalableDimension": _DIMENSION,
        "MinCapacity": tasks,
    }
    return Step(
        "application-autoscaling",
        "RegisterScalableTarget",
        target,
        f"let {found.name} have at least {tasks} tasks",
        console,
    )


def _before(found: state.Service, limits: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "status": found.status,
        "desired": found.desired,
        "definition": found.definition,
        "limits": list(limits or ()),
    }


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    return _before(state.read(environment, plan.target), _limits(environment, plan.target))


def _look(environment: Environment, found: state.Service) -> str:
    return f"aws ecs describe-services --cluster {found.cluster} --services {found.name} --region {environment.region} --query 'services[0].[desiredCount,runningCount,events[:3]]'"


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """Autoscaling follows a raised minimum after a while; the desired count alone is no task."""
    found, wanted = state.read(environment, plan.target), plan.parameters["tasks"]
    said = f"{found.running} of {found.desired} tasks run, {wanted} are wanted"
    healthy = state.healthy_targets(environment, found)
    if found.running < wanted:
        return Progress("going", said)
    if healthy is not None and healthy < wanted:
        return Progress("going", f"{said}; {healthy} targets are healthy")
    return Progress(
        "done", said + (f", {healthy} targets are healthy" if healthy is not None else ""), {"running": found.running}
    )


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    environment = run.environment
    found, limits = state.read(environment, plan.target), _limits(environment, plan.target)
    step = plan.undo_draft.steps[0]
    return plans.propose(
        run, action="scale-back", title=f"Put {plan.target} back", target=plan.target, parameters=plan.parameters, before=_before(found, limits),
        changes=(Change(f"{found.cluster}/{plan.target}", found.now(), step.says, "scale out again", "tasks end one after the other; requests in flight are drained"),),
        conditions=(Condition("the service is active", found.status, found.status == "ACTIVE"),), steps=(step,), limits=("look at the load first",),
        verification=Verification("The limit, or the desired count, is the recorded one again; autoscaling takes its time with the tasks.", plan.verification.look, 10.0, 300.0),
        undo_draft=Undo("scale out again"),
    )  # fmt: skip


def _follow_back(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    step = plan.steps[0]
    limits, found = _limits(environment, plan.target), state.read(environment, plan.target)
    wanted = step.arguments.get("MinCapacity", step.arguments.get("desiredCount"))
    stands = limits[0] if limits and "MinCapacity" in step.arguments else found.desired
    return Progress(
        "done" if stands == wanted else "going",
        f"{'minimum' if limits else 'desired count'} {stands}, {found.running} tasks run",
    )


register(Action("scale-out", observe=_observe, follow=_follow, undo=_undo))
register(Action("scale-back", observe=_observe, follow=_follow_back))
