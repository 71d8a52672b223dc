"""How each step on a stack is seen to have worked: by the change set itself, and by the events of that very call."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from opslib.actions import stack_alarms, stack_diff
from opslib.actions import stack_state as state
from opslib.plan import Kept, Plan, Progress, Step

if TYPE_CHECKING:
    from opslib.config import Environment


def identity(told: dict[str, Any] | None) -> Any:
    """Return what of a stack must be the same when the plan is applied."""
    return state.identity(told) if told else "not there"


def observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    """Return the state of every stack that the plan looked at."""
    found = {}
    for place in plan.before:
        name, _, region = place.partition(" ")
        found[place] = identity(state.find(environment, name, region=region))
    return found


def between(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """Look how the last step that was made went."""
    return look(environment, plan, plan.steps[kept["steps done"] - 1])


def look(environment: Environment, plan: Plan, step: Step) -> Progress:
    """Look how a step went: the change set is what the plan said, alarms see the zeros, the stack's own events say done, the stack is gone."""
    found = {"CreateChangeSet": _made, "PutMetricData": _seen, "ExecuteChangeSet": _carried_out, "DeleteStack": _deleted}.get(step.operation)  # fmt: skip
    return found(environment, plan, step) if found else Progress("done", step.says)


def follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """Look how every stack of the plan went; one that was deleted to be made anew went as its making did.

    What a hand had changed is looked for once more: that a change set is complete does not say that it is set back.
    """
    last = {
        (step.arguments["StackName"], step.region): step
        for step in plan.steps
        if step.operation in {"ExecuteChangeSet", "DeleteStack"}
    }
    ended = [look(environment, plan, step) for step in last.values()]
    worst = next((one for name in ("failed", "going") for one in ended if one.state == name), None)
    return worst or _still_by_hand(environment, plan) or Progress("done", "; ".join(one.says for one in ended), {"stacks": str(len(ended))})  # fmt: skip


def _still_by_hand(environment: Environment, plan: Plan) -> Progress | None:
    """Return what of the changes by hand that the plan saw still stands, or that nobody could see it."""
    for one in plan.parameters["stacks"]:
        if not one.get("by_hand"):
            continue
        seen, found = state.drift(environment, one["name"], region=one["region"])
        if seen.startswith("NOT SEEN"):
            return Progress("unknown", f"{one['name']} is carried out; whether changes by hand are set back: {seen}")
        if left := sorted(set(one["by_hand"]) & set(found)):
            return Progress("failed", f"{one['name']} is carried out, and still as a hand left it: {', '.join(f'{name}: {found[name]}' for name in left)}")  # fmt: skip
    return None


def complete(environment: Environment, plan: Plan, step: Step, kept: Kept) -> dict[str, Any]:
    """Return a step's arguments with the template that is kept on this machine, and is still the same."""
    if not (body := str(step.arguments.get("TemplateBody", ""))):
        return step.arguments
    return {
        **step.arguments,
        "TemplateBody": state.kept(environment, body.rpartition("/")[2].removesuffix(".template")),
    }


def keep(answers: list[Any]) -> Kept:
    """Keep how many steps were done: the way back undoes no more."""
    return {"steps done": len(answers)}


def _made(environment: Environment, plan: Plan, step: Step) -> Progress:
    stack, name = step.arguments["StackName"], step.arguments["ChangeSetName"]
    found = state.change_set(environment, stack, name, region=step.region)
    if found["status"] != "CREATE_COMPLETE":
        return Progress("failed" if found["status"] == "FAILED" else "going", f"{name} of {stack} is {found['status']} {found['reason']}".strip())  # fmt: skip
    told = next(one for one in plan.parameters["stacks"] if (one["name"], one["region"]) == (stack, step.region))
    planned = {one["name"]: state.Touched(**{**one, "of": tuple(one["of"])}) for one in told["touched"]}
    more = stack_diff.unforeseen(planned, found["touched"])
    if "DeploymentMode" in step.arguments:  # it sets back whatever hands did, also since the plan was made
        seen, by_hand = state.drift(environment, stack, region=step.region)
        if seen.startswith("NOT SEEN"):
            return Progress("unknown", f"the change set of {stack} was not carried out; what it would set back: {seen}")
        more += [f"{name}, changed by hand since: {what}" for name, what in by_hand.items() if told["by_hand"].get(name) != what]  # fmt: skip
    if more:
        return Progress("failed", f"the change set of {stack} would do more than the plan said, and was not carried out: {'; '.join(more)}")  # fmt: skip
    return Progress("done", f"the change set of {stack} touches {len(found['touched'])} resources, none otherwise than planned")  # fmt: skip


def _seen(environment: Environment, plan: Plan, step: Step) -> Progress:
    return stack_alarms.seen(environment, step, datetime.fromisoformat(plan.made_at))


def _carried_out(environment: Environment, plan: Plan, step: Step) -> Progress:
    """By the events that carry the token of this very call: the stack's status alone may be the one from before."""
    stack, token = step.arguments["StackName"], step.arguments["ClientRequestToken"]
    events = state.happened(environment, stack, datetime.fromisoformat(plan.made_at), region=step.region)
    own = [one for one in events if one.get("ClientRequestToken") == token]
    of_stack = [one["ResourceStatus"] for one in own if one["LogicalResourceId"] == stack]
    if not of_stack:
        return Progress("going", f"no event of {stack} yet")
    ready = {one["LogicalResourceId"] for one in own if one["ResourceStatus"].endswith("_COMPLETE")} - {stack}
    failed = next((one for one in own if one["ResourceStatus"].endswith("_FAILED")), None)
    why = f"; first {failed['LogicalResourceId']} {failed['ResourceStatus']}: {failed.get('ResourceStatusReason', '')}" if failed else ""  # fmt: skip
    said = f"{stack} {of_stack[-1]}, {len(ready)} resources done{why}"
    if of_stack[-1] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        return Progress("done", said)
    return Progress("failed" if of_stack[-1].endswith(("_FAILED", "ROLLBACK_COMPLETE")) else "going", said)


def _deleted(environment: Environment, plan: Plan, step: Step) -> Progress:
    told = state.find(environment, step.arguments["StackName"], region=step.region)
    status = told["StackStatus"] if told else "gone"
    said = f"{step.arguments['StackName']} is {status}"
    return Progress({"gone": "done", "DELETE_COMPLETE": "done", "DELETE_FAILED": "failed"}.get(status, "going"), said)
