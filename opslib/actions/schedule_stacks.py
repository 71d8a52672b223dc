"""The stack of schedules by one plan; afterwards each schedule is asked whether it will call what the plan said, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.actions import stack_steps as following
from opslib.actions import stacks
from opslib.errors import SourceError
from opslib.plan import Action, Kept, Plan, Progress, register

if TYPE_CHECKING:
    from opslib.config import Environment

NAME, TARGET = "deploy-schedules", "schedules"


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """First by the stack's events, then by the schedules: what was changed past CloudFormation does not show in them."""
    made = following.follow(environment, plan, kept)
    if made.state != "done":
        return made
    wanted: Mapping[str, Mapping[str, str]] = plan.parameters["schedules"]
    if wrong := [said for name, one in wanted.items() for said in _differs(environment, name, one)]:
        return Progress("failed", f"the stack is complete, and {'; '.join(wrong)}")
    return Progress("done", f"{made.says}; {len(wanted)} schedules are as planned", {**made.evidence, "schedules": str(len(wanted))})  # fmt: skip


def _differs(environment: Environment, name: str, wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield what of a schedule is otherwise than planned (scheduler:GetSchedule)."""
    try:
        told = aws.ask(environment, "scheduler", "get_schedule", Name=name)
    except SourceError as error:
        if "ResourceNotFound" not in error.what:
            raise
        yield f"the schedule {name} is not there"
        return
    found = seen(told)
    for key, value in wanted.items():
        if found[key] != value:
            yield f"{name}: {key} is {found[key]}, not {value}"


def seen(told: Mapping[str, Any]) -> dict[str, str]:
    """Return what must be seen of a schedule, as a template or GetSchedule tells it."""
    target = told["Target"]
    return {
        "state": told["State"], "expression": told["ScheduleExpression"], "timezone": told["ScheduleExpressionTimezone"],
        "task": target.get("EcsParameters", {}).get("TaskDefinitionArn", "none"), "input": target.get("Input", "none"),
    }  # fmt: skip


register(Action(NAME, observe=following.observe, follow=_follow, keep=following.keep, undo=stacks.undo, between=following.between, complete=following.complete))  # fmt: skip
