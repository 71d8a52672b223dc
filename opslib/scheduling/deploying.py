"""The schedules of an environment as one plan: the template beside the stack that stands, and the task that it would start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib import plan as plans
from opslib.actions import schedule_stacks, stacks
from opslib.alerting import template as alerts
from opslib.alerting.report_alarms import unwatched
from opslib.config import FILE_NAME
from opslib.errors import SourceError
from opslib.plan import Condition, Undo, Verification
from opslib.scheduling import stack
from opslib.scheduling.agenda import Scheduled, agenda

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.config_sections import Runner
    from opslib.plan import Plan
    from opslib.run import Run

SCHEDULED = "something is scheduled"
_ROLES = ("taskRoleArn", "executionRoleArn")


def deploy(run: Run, *, over_hand: bool = False) -> Plan:
    """Plan to make the environment's schedules in EventBridge Scheduler what opslib.toml says, by a change set.

    `over_hand` sets back what was changed by hand; the queue stays with what it holds, whatever is changed.
    Raises ConfigError for what opslib.toml lacks or Scheduler cannot say, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment, listed = run.environment, agenda(run.environment)
    if not listed:
        return _idle(run)
    runner = stack.runner_of(environment)
    definition = _definition(environment, runner)
    made = stack.template(
        environment, [one.schedule for one in listed], [definition[name] for name in _ROLES if name in definition]
    )
    wanted = stacks.Wanted(stack.stack_name(environment), alerts.text(made), {}, role=environment.alerts.stack_role)
    properties = [one["Properties"] for one in made["Resources"].values() if one["Type"] == "AWS::Scheduler::Schedule"]
    seen = {one["Name"]: schedule_stacks.seen(one) for one in properties}
    look = f"aws scheduler list-schedules --region {environment.region} --query 'Schedules[].[Name,State]'"
    return stacks.deploy(
        run, [stacks.standing(environment, wanted)], action=schedule_stacks.NAME, title=f"Deploy the schedules of {environment.name}", target=schedule_stacks.TARGET,
        parameters={"schedules": seen}, conditions=(_sayable(properties), _startable(runner, definition)), limits=_limits(environment, listed), over_hand=over_hand,
        verification=Verification("By the change set's own events; then each schedule says its state, times, time zone, task and command.", look, 5.0, 900.0),
    )  # fmt: skip


def _idle(run: Run) -> Plan:
    name, file = run.environment.name, f"{FILE_NAME} has no [[schedule]]"
    said = f"{file} for {name}: add one; a stack {stack.stack_name(run.environment)} that stands goes on until you delete it"
    return plans.propose(
        run, action=schedule_stacks.NAME, title=f"Deploy the schedules of {name}", target=schedule_stacks.TARGET, parameters={}, before={}, changes=(),
        conditions=(Condition(SCHEDULED, said, False),), steps=(), limits=(), verification=Verification("Nothing is done.", "opslib schedule list", 5.0, 60.0), undo_draft=Undo("nothing is done"),
    )  # fmt: skip


def _definition(environment: Environment, runner: Runner) -> dict[str, Any]:
    """Return the newest revision of the task, empty when there is none (ecs:DescribeTaskDefinition)."""
    try:
        return dict(aws.ask(environment, "ecs", "describe_task_definition", taskDefinition=runner.task_definition)["taskDefinition"])  # fmt: skip
    except SourceError as error:
        if "ClientException" not in f"{error.what} {error.why}":
            raise
        return {}


def _sayable(schedules: list[dict[str, Any]]) -> Condition:
    """The times as Scheduler will have them are shown: they were read out of cron's."""
    said = [f"{one['Name']} {one['ScheduleExpression']}" for one in schedules]
    return Condition("EventBridge Scheduler can say every time", f"{'; '.join(said)}, in {schedules[0]['ScheduleExpressionTimezone']}", True)  # fmt: skip


def _startable(runner: Runner, definition: dict[str, Any]) -> Condition:
    """A task that Scheduler cannot start is known before, not by a report that never comes."""
    what = f"{runner.task_definition} is a task of Fargate with the container {runner.container}"
    names = [one["name"] for one in definition.get("containerDefinitions", [])]
    if not definition:
        return Condition(what, "there is no such task definition: register it, or correct runner.task_definition", False)  # fmt: skip
    if runner.container not in names:
        return Condition(what, f"its containers are {', '.join(names)}: correct runner.container", False)
    kinds = definition.get("requiresCompatibilities", [])
    if "FARGATE" not in kinds:
        return Condition(what, f"it is for {', '.join(kinds) or 'EC2'}: register it with FARGATE", False)
    return Condition(what, f"revision {definition['revision']} is", True)


def _limits(environment: Environment, listed: list[Scheduled]) -> tuple[str, ...]:
    always = "Scheduler starts a task and does not see how it ends: the report's own alarm does (opslib alerts plan)"
    jumped = "a time that the clocks jump over is left out; the next run covers its window"
    watch = "a report comes once a week or less often, and none daily: at 12:00 a task more asks what is due, and says whether one is overdue"
    rare = unwatched(environment, [one.schedule for one in listed])
    return (always, jumped, watch) if rare else (always, jumped)
