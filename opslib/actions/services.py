"""ECS services: start every task of one anew, by a deployment or one after the other; each a Plan."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from opslib import plan as plans
from opslib.actions import ecs_state as state
from opslib.errors import ParameterError, Refused
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

WAYS = ("deployment", "one-by-one")
_FIFTEEN_MINUTES = 900.0


def restart(run: Run, *, service: str, way: str = "deployment", alarm: str = "") -> Plan:
    """Plan to replace every task of a service (ecs:UpdateService with a new deployment, or ecs:StopTask one by one).

    `alarm` is the alarm that made you do it: the restart is seen as done only when it rings no more. Raises
    ParameterError for a service, way or alarm that does not exist, SourceError when AWS does not answer.
    """
    if run.replayed:
        return plans.remembered(run)
    if way not in WAYS:
        raise ParameterError(f"way={way!r} is not known", fix=f"one of {', '.join(WAYS)}")
    environment = run.environment
    check_name(environment, service)
    found = state.read(environment, service, tasks=True)
    rings = state.alarm(environment, alarm)
    planned = _deployment(environment, found) if way == "deployment" else _one_by_one(environment, found)
    until = f" until alarm {alarm} is OK (now {rings})" if alarm else ""
    seen = f"{planned.pop('seen')} Then target health{until}."
    return plans.propose(
        run, target=service, parameters={"alarm": alarm, "cluster": found.cluster},
        verification=Verification(seen, look(environment, found), every_s=10.0, timeout_s=_FIFTEEN_MINUTES), **planned,
    )  # fmt: skip


def check_name(environment: Environment, service: str) -> None:
    """Raise ParameterError with the nearest name when the configuration has no such service."""
    known = environment.services.names
    if not environment.services.cluster or service not in known:
        near = difflib.get_close_matches(service, known, 1)
        fix = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise ParameterError(
            f"{service!r} is no service of {environment.name}", why="[env.….services] names them", fix=fix
        )


def look(environment: Environment, found: state.Service) -> str:
    """Return the command that shows how far a service's deployments are."""
    return f"aws ecs describe-services --cluster {found.cluster} --services {found.name} --region {environment.region} --query 'services[0].[deployments,events[:5]]'"


def _deployment(environment: Environment, found: state.Service) -> dict[str, Any]:
    step = Step(
        "ecs", "UpdateService", {"cluster": found.cluster, "service": found.name, "forceNewDeployment": True},
        f"begin one new deployment of {found.name} with the task definition that runs", state.console(environment, found.name),
    )  # fmt: skip
    back = Step(
        "ecs", "StopServiceDeployment", {"serviceDeploymentArn": "ARN-OF-THE-NEW-DEPLOYMENT", "stopType": "ROLLBACK"},
        "stop the new deployment and go back to the old tasks", state.console(environment, found.name),
    )  # fmt: skip
    breaker = "the circuit breaker stops a bad start" + (
        " and rolls back" if found.rolls_back else ", but rolls nothing back"
    )
    limits = (
        f"at least {found.minimum}% and at most {found.maximum}% of {found.desired} tasks run while it goes on",
        breaker
        if found.breaker
        else "the circuit breaker is OFF: a bad start is tried again without end; stop it by hand",
        "new tasks read secrets and configuration anew: what was rotated meanwhile may keep them from starting",
    )
    return {
        "action": "restart-service", "title": f"Restart {found.name}: {found.desired} new tasks", "before": found.identity(),
        "changes": (Change(f"{found.cluster}/{found.name}", found.now(), f"{found.desired} new tasks of {found.definition}, then the old ones end",
                           "while it runs: stop it with rollback; once completed there is none, and none is needed: the definition is the same",
                           impact(environment, found)),),
        "conditions": (*standing(found), room(found), _same_image(environment, found)), "steps": (step,), "limits": limits,
        "seen": "Followed by the id of the new deployment until that very one has completed; a rollback is a failure.",
        "undo_draft": Undo("only while the deployment runs: interrupt the cell, then plan.undo()", "roll-back-deployment", (back,)),
    }  # fmt: skip


def _one_by_one(environment: Environment, found: state.Service) -> dict[str, Any]:
    steps = tuple(
        Step("ecs", "StopTask", {"cluster": found.cluster, "task": task["id"], "reason": "opslib: restarted one by one"},
             f"stop task {task['id'][:8]} and wait until its successor is healthy", state.console(environment, found.name))
        for task in found.tasks
    )  # fmt: skip
    well = [task for task in found.tasks if task["status"] == "RUNNING" and task["health"] in state.WELL]
    ready = len(well) == found.running == found.desired >= 2
    stands = Condition(
        "at least 2 tasks, all running and healthy",
        f"{len(well)} healthy of {found.running} running, {found.desired} wanted",
        ready,
    )
    return {
        "action": "restart-one-by-one", "title": f"Restart {found.name} one by one: {len(steps)} tasks", "before": {**found.identity(), "tasks": sorted(task["id"] for task in found.tasks)},
        "changes": (Change(f"{found.cluster}/{found.name}", found.now(), f"each of {len(steps)} tasks is stopped, and the next only when its successor is healthy",
                           "none is needed: the definition is the same", f"{impact(environment, found)}; one task less at a time"),),
        "conditions": (*standing(found), stands, _same_image(environment, found)), "steps": steps,
        "limits": ("no deployment begins, so neither circuit breaker nor rollback watches: it stops at the first successor that does not get healthy",),
        "seen": "After each stop until as many tasks as before run and are healthy.",
        "undo_draft": Undo("a stopped task does not come back; its successor runs the same task definition"),
    }  # fmt: skip


def standing(found: state.Service) -> tuple[Condition, ...]:
    """Return the conditions under which a deployment may begin."""
    rollouts = ", ".join(f"{one['id']} {one['rollout']}" for one in found.deployments)
    calm = [one["rollout"] for one in found.deployments] == ["COMPLETED"]
    return (
        Condition("the service is active", found.status, found.status == "ACTIVE"),
        Condition("ECS deploys it", found.controller, found.controller == "ECS"),
        Condition("it wants tasks", f"{found.desired} desired, {found.running} running", found.desired > 0),
        Condition("exactly one deployment, completed", rollouts or "none", calm),
    )


def room(found: state.Service) -> Condition:
    """With 100% at least and 100% at most no task may end and none may begin: a deployment would wait for ever."""
    least, most = math.ceil(found.desired * found.minimum / 100), found.desired * found.maximum // 100
    said = f"{least} to {most} of {found.desired} tasks may run"
    return Condition("there is room to exchange tasks", said, most > least)


def _same_image(environment: Environment, found: state.Service) -> Condition:
    """A tag may point at another image by now: then a restart is a release that nobody reviewed."""
    what = "a restart brings the image that runs"
    if "@sha256:" in found.image:
        return Condition(what, f"fixed by digest: {found.image}", True)
    now = state.tagged(environment, found.image)
    if not now or not found.digests:
        return Condition(
            what, f"NOT SEEN: {found.image.rpartition('/')[2]} is a tag, and where it points could not be read", True
        )
    same = set(found.digests) == {now}
    said = (
        "still the running one"
        if same
        else f"the tag now points at {now[:19]}…, running is {found.digests[0][:19]}…: deploy on purpose instead"
    )
    return Condition(what, f"{found.image.rpartition('/')[2]} is a tag; {said}", same)


def impact(environment: Environment, found: state.Service) -> str:
    """Return who notices that the tasks of a service are exchanged."""
    callers = [name for name, called in environment.services.calls.items() if found.name in called]
    who = f"called by {', '.join(callers)}" if callers else "called by no other service"
    return f"{who}; requests in flight are drained, caches in memory are cold"


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    found = state.read(environment, plan.target, tasks=plan.action == "restart-one-by-one")
    known = {"tasks": sorted(task["id"] for task in found.tasks)} if plan.action == "restart-one-by-one" else {}
    return {**found.identity(), **known}


def keep(answers: list[Any]) -> Kept:
    """Return the ids of the deployment that ecs:UpdateService, the last call, began."""
    service = answers[-1]["service"]
    primary = next(one for one in service["deployments"] if one["status"] == "PRIMARY")
    return {"deployment": primary["id"], "service_deployment": service.get("currentServiceDeployment", "")}


def follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """Follow that one deployment: a stable service says nothing, it may have been rolled back."""
    found = state.read(environment, plan.target)
    mine = next((one for one in found.deployments if one["id"] == kept["deployment"]), None)
    if found.desired == 0:
        return Progress("failed", "somebody set the desired count to 0: nothing runs", {"desired": 0})
    if mine is None or mine["status"] != "PRIMARY" or mine["rollout"] == "FAILED":
        why = state.ended(environment, found.cluster, plan.target, kept["service_deployment"])
        return Progress("failed", f"the new deployment did not come through: {why}", {"deployment": kept["deployment"]})
    if mine["rollout"] != "COMPLETED":
        failed = f", {mine['failed']} failed" if mine["failed"] else ""
        return Progress("going", f"{mine['rollout']}: {mine['running']} of {found.desired} new tasks run{failed}")
    said = state.ended(environment, found.cluster, plan.target, kept["service_deployment"])
    if not said.startswith("SUCCESSFUL"):
        return Progress("going", f"the rollout is completed, the service deployment is {said}")
    return _well(environment, plan, found, f"deployment {kept['deployment']} completed")


def _well(environment: Environment, plan: Plan, found: state.Service, done: str) -> Progress:
    """After the tasks: their targets, and the alarm that made somebody do it."""
    healthy = state.healthy_targets(environment, found)
    if healthy is not None and healthy < found.desired:
        return Progress("going", f"{done}; {healthy} of {found.desired} targets are healthy")
    targets = "" if healthy is None else f", {healthy} targets are healthy"
    rings = state.alarm(environment, plan.parameters["alarm"])
    if rings not in {"", "OK"}:
        return Progress("going", f"{done}{targets}; the alarm {plan.parameters['alarm']} still says {rings}")
    quiet = f", the alarm {plan.parameters['alarm']} is OK" if rings else ""
    evidence = {
        "running": f"{found.running} of {found.desired}",
        "healthy_targets": "" if healthy is None else healthy,
        "alarm": rings,
    }
    return Progress("done", f"{done}: {found.running} of {found.desired} tasks run{targets}{quiet}", evidence)


def _follow_tasks(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """All that were stopped are gone, and as many as wanted run and are healthy."""
    found = state.read(environment, plan.target, tasks=True)
    left = {task["id"] for task in found.tasks} & set(kept["stopped"])
    well = [
        task
        for task in found.tasks
        if task["health"] in state.WELL and task["status"] == "RUNNING" and task["id"] not in left
    ]
    said = f"{len(kept['stopped'])} of {len(plan.steps)} stopped, {len(well)} of {found.desired} tasks are healthy"
    if found.desired == 0:
        return Progress("failed", "somebody set the desired count to 0: nothing runs")
    if left or len(well) < found.desired:
        return Progress("going", said)
    return _well(environment, plan, found, said) if len(kept["stopped"]) == len(plan.steps) else Progress("done", said)


def _keep_tasks(answers: list[Any]) -> Kept:
    return {"stopped": [answer["task"]["taskArn"].rpartition("/")[2] for answer in answers]}


def _roll_back(run: Run, plan: Plan, kept: Kept) -> Plan:
    """Plan to stop the deployment of a restart while it is under way."""
    environment = run.environment
    found = state.read(environment, plan.target)
    under_way = any(one["id"] == kept["deployment"] and one["rollout"] == "IN_PROGRESS" for one in found.deployments)
    if not under_way:
        raise Refused(
            "there is nothing to go back from",
            why="the restart's deployment is no longer under way",
            fix=plan.verification.look,
        )
    promised = plan.undo_draft.steps[0]
    step = Step(
        promised.service,
        promised.operation,
        {**promised.arguments, "serviceDeploymentArn": kept["service_deployment"]},
        promised.says,
        promised.console,
    )
    return plans.propose(
        run, action="roll-back-deployment", title=f"Stop the deployment of {plan.target} and roll it back", target=plan.target,
        parameters={"alarm": "", "cluster": found.cluster, **kept}, before=found.identity(),
        changes=(Change(f"{found.cluster}/{plan.target}", found.now(), "the deployment ends and the old tasks stay", "none: restart again",
                        impact(environment, found)),),
        conditions=(Condition("the deployment is under way", kept["deployment"], True),), steps=(step,), limits=("one service deployment",),
        verification=Verification("Until the service deployment says ROLLBACK_SUCCESSFUL.", plan.verification.look, 10.0, _FIFTEEN_MINUTES),
        undo_draft=Undo("what was rolled back begins again only as a new restart"),
    )  # fmt: skip


def _follow_back(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    said = state.ended(environment, plan.parameters["cluster"], plan.target, plan.parameters["service_deployment"])
    outcome = (
        "done"
        if said.startswith("ROLLBACK_SUCCESSFUL")
        else "failed"
        if said.startswith(("ROLLBACK_FAILED", "SUCCESSFUL"))
        else "going"
    )
    return Progress(outcome, f"the service deployment is {said}")


register(Action("restart-service", observe=_observe, follow=follow, keep=keep, undo=_roll_back))
register(Action("restart-one-by-one", observe=_observe, follow=_follow_tasks, keep=_keep_tasks, between=_follow_tasks))
register(Action("roll-back-deployment", observe=_observe, follow=_follow_back))
