"""Infrastructure by CloudFormation: make a change set, which changes nothing yet, look at it, carry it out; each a Plan."""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opslib import aws, console
from opslib import plan as plans
from opslib.actions import stack_state as state
from opslib.errors import ParameterError, Refused, SourceError
from opslib.journal import digest
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_SHOWN = 12


def change(
    run: Run, *, stack: str, change_set: str = "", template: str = "", values: str = "", allow_loss: bool = False
) -> Plan:
    """Plan to carry out a change set (cloudformation:ExecuteChangeSet); without one, plan to make it (CreateChangeSet).

    `template` is a file (empty: the template that stands), `values` such as "Size=3 Name=x"; parameters not named keep
    their values. `allow_loss` lets resources that hold data be replaced or removed. Raises ParameterError, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    for name in filter(None, (stack, change_set)):
        if not _NAME.fullmatch(name):
            raise ParameterError(f"{name!r} is no name", fix="letters, digits and -, beginning with a letter")
    if change_set and (template or values):
        raise ParameterError("a change set that exists takes neither template nor values", fix="leave change_set empty")
    return _execute(run, stack, change_set, allow_loss) if change_set else _prepare(run, stack, template, values)


def _prepare(run: Run, stack: str, template: str, given: str) -> Plan:
    environment = run.environment
    told, changed = state.read(environment, stack), _values(given)
    if not template and not changed:
        raise ParameterError("nothing to change is named", fix="name a change_set, or template and values")
    text = state.from_file(template) if template else ""
    before = state.values(told)
    secret = sorted(name for name in changed if before.get(name) == state.SECRET)
    if secret:
        raise ParameterError(f"{', '.join(secret)} is secret (NoEcho)", why="its value would stand in the record", fix="make the change set elsewhere, and name it here")  # fmt: skip
    unknown = sorted(set(changed) - set(before)) if not text else []
    if unknown:
        raise ParameterError(f"the stack has no parameter {', '.join(unknown)}", fix=f"there are: {', '.join(before)}")
    name = f"opslib-{digest([text, changed, aws.now(environment).isoformat()])[:8]}"
    kept = state.keep(environment, text) if text else ""
    wanted: list[dict[str, Any]] = [{"ParameterKey": key, "ParameterValue": value} for key, value in changed.items()]
    wanted += [
        {"ParameterKey": key, "UsePreviousValue": True}
        for key in before
        if key not in changed and (not text or key in text)
    ]
    said = (
        ", ".join(f"{key} {before.get(key, 'new')} to {value}" for key, value in changed.items()) or "the values stay"
    )
    return _prepared(run, told, name, _create(environment, told, name, kept, wanted), f"{f'template {template}; ' if text else ''}{said}", kept)  # fmt: skip


def _prepared(run: Run, told: dict[str, Any], name: str, step: Step, said: str, kept: str) -> Plan:
    stack = told["StackName"]
    delete = Step("cloudformation", "DeleteChangeSet", {"StackName": stack, "ChangeSetName": name}, f"delete the change set {name}", step.console)  # fmt: skip
    return plans.propose(
        run, action="prepare-change-set", title=f"Make a change set of {stack}: {said}", target=stack, parameters={"change_set": name, "template": kept},
        before=state.identity(told),
        changes=(Change(f"{stack}/{name}", "there is none of that name", f"a change set: {said}", delete.says, "none: a change set changes nothing until it is carried out"),),
        conditions=(_calm(told),), steps=(step,), limits=("CloudFormation says only then what would be replaced: look at it in the next plan",),
        verification=Verification("Until the change set is complete; then the plan that carries it out shows what it touches.",
                                  f"aws cloudformation describe-change-set --stack-name {stack} --change-set-name {name} --region {run.environment.region}", 5.0, 300.0),
        undo_draft=Undo(delete.says, "delete-change-set", (delete,)),
    )  # fmt: skip


def _create(environment: Environment, told: dict[str, Any], name: str, kept: str, wanted: list[dict[str, Any]]) -> Step:
    body = {"TemplateBody": f"file://.templates/{kept}.template"} if kept else {"UsePreviousTemplate": True}
    asked = {
        "StackName": told["StackName"],
        "ChangeSetName": name,
        "ChangeSetType": "UPDATE",
        **body,
        "Parameters": wanted,
    }
    able = {"Capabilities": told["Capabilities"]} if told.get("Capabilities") else {}
    return Step("cloudformation", "CreateChangeSet", {**asked, **able}, f"make the change set {name}; nothing is carried out", console.cloudformation(environment.region, told["StackName"]))  # fmt: skip


def _values(given: str) -> dict[str, str]:
    found = {}
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise ParameterError(f"values={given!r} cannot be read", why=str(error), fix="close each quote") from None
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9]+", name) or not value.isprintable():
            raise ParameterError(f"values={given!r} is not Name=value Name=value", why=repr(word))
        found[name] = value
    return found


def _execute(run: Run, stack: str, name: str, allow_loss: bool) -> Plan:
    environment = run.environment
    told, found = state.read(environment, stack), state.change_set(environment, stack, name)
    touched: tuple[state.Touched, ...] = found["touched"]
    lost = [one.name for one in touched if one.loses]
    step = Step("cloudformation", "ExecuteChangeSet", {"StackName": stack, "ChangeSetName": name}, f"carry out {name}: {len(touched)} resources", console.cloudformation(environment.region, stack))  # fmt: skip
    draft = _back(environment, told, [one.name for one in touched if one.replaced in {"True", "Conditional"} or one.action == "Remove"])  # fmt: skip
    rows = [Change(f"{one.name} ({one.kind})", one.physical or "not there", one.says(), one.back(), one.impact()) for one in touched[:_SHOWN]]  # fmt: skip
    rows += [Change(f"{len(touched) - _SHOWN} resources more", "as above", "as above", "as above", "as above")] if len(touched) > _SHOWN else []  # fmt: skip
    why = f" ({found['description']})" if found["description"] else ""
    return plans.propose(
        run, action="change-infrastructure", title=f"Carry out {name} on {stack}{why}", target=stack, parameters={"change_set": name, "loss": allow_loss},
        before={**state.identity(told), **state.set_identity(found)}, changes=tuple(rows), conditions=_conditions(environment, told, found, lost, allow_loss), steps=(step,),
        limits=("the stack's own role does it" if told.get("RoleARN") else "the stack has no role of its own: CloudFormation acts with the rights of the change role, which policies/change.json does not hold",
                "when a resource fails, CloudFormation rolls all of them back", "of nested stacks only the outer one is shown", "other change sets of the stack are void afterwards"),
        verification=Verification("The stack's own events since this plan, to UPDATE_COMPLETE; a rollback is a failure, with the reason of the first resource that failed.",
                                  f"aws cloudformation describe-stack-events --stack-name {stack} --max-items 20 --region {environment.region}", 10.0, 3600.0),
        undo_draft=draft,
    )  # fmt: skip


def _back(environment: Environment, told: dict[str, Any], anew: list[str]) -> Undo:
    """The way back is a change set with the template and the values of now; secret values are not known."""
    text, values = state.template(environment, told["StackName"]), state.values(told)
    if len(text.encode()) > state.LONGEST:
        return Undo("its template is too long to be kept here: deploy the version before from its repository")
    kept = state.keep(environment, text)
    wanted = [{"ParameterKey": key, **({"UsePreviousValue": True} if value == state.SECRET else {"ParameterValue": value})} for key, value in values.items()]  # fmt: skip
    empty = f"; made anew and empty: {', '.join(anew)}" if anew else ""
    return Undo(f"a change set with the template and the values of now{empty}", "prepare-change-set", (_create(environment, told, f"opslib-back-{kept[:8]}", kept, wanted),))  # fmt: skip


def _calm(told: dict[str, Any]) -> Condition:
    return Condition(
        "no other change of the stack is under way", told["StackStatus"], told["StackStatus"] in state.CALM
    )


def _conditions(
    environment: Environment, told: dict[str, Any], found: dict[str, Any], lost: list[str], allow_loss: bool
) -> tuple[Condition, ...]:
    seen, drifted = state.drift(environment, told["StackName"])
    hit = sorted({one.name for one in found["touched"]} & set(drifted))
    by_hand = "; ".join(f"{name}: {what}" for name, what in sorted(drifted.items())) or "nothing was"
    aside = "" if hit or not drifted else " (it touches none of that)"
    loss = f"{', '.join(lost)}: what they hold is gone" if lost else "none"
    ready = found["status"] == "CREATE_COMPLETE" and found["execution"] == "AVAILABLE"
    reason = f": {found['reason']}" if found["reason"] else ""
    return (
        _calm(told),
        Condition("the change set can be carried out", f"{found['status']}, {found['execution']}{reason}", ready),
        Condition("nothing that it touches was changed by hand", f"{seen}: {by_hand}{aside}", not hit),
        Condition("nothing that holds data is replaced or removed", f"{loss}{', allowed' if lost and allow_loss else ''}", allow_loss or not lost),
    )  # fmt: skip


def _complete(environment: Environment, plan: Plan, step: Step, kept: Kept) -> dict[str, Any]:
    """The template comes from where it is kept, and is still the same."""
    body = {"TemplateBody": state.kept(environment, plan.parameters["template"])} if plan.parameters["template"] else {}
    return {**step.arguments, **body}


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    return state.identity(state.read(environment, plan.target))


def _observe_set(environment: Environment, plan: Plan) -> dict[str, Any]:
    found = state.change_set(environment, plan.target, plan.parameters["change_set"])
    return {**_observe(environment, plan), **state.set_identity(found)}


def _follow_set(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    name = plan.parameters["change_set"]
    found = state.change_set(environment, plan.target, name)
    said = f"{name} is {found['status']}" + (f": {found['reason']}" if found["reason"] else "")
    if found["status"] != "CREATE_COMPLETE":
        return Progress("failed" if found["status"] == "FAILED" else "going", said)
    touched = "; ".join(f"{one.name}: {one.says()}" for one in found["touched"])
    following = f"opslib open change-infrastructure -p stack={plan.target} -p change_set={name}"
    return Progress(
        "done", f"{said}; it would touch {touched}. Nothing is carried out yet: {following}", {"change_set": name}
    )


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """By events since the plan: the stack's status alone may be the one from before."""
    events = state.happened(environment, plan.target, datetime.fromisoformat(plan.made_at))
    own = [one for one in events if one["LogicalResourceId"] == plan.target]
    if not own:
        return Progress("going", "no event of the stack yet")
    status = own[-1]["ResourceStatus"]
    done = sorted(
        {one["LogicalResourceId"] for one in events if one["ResourceStatus"].endswith("_COMPLETE") and one not in own}
    )
    failed = next((one for one in events if one["ResourceStatus"].endswith("_FAILED")), None)
    why = f"; first {failed['LogicalResourceId']} {failed['ResourceStatus']}: {failed.get('ResourceStatusReason', '')}" if failed else ""  # fmt: skip
    said = f"{plan.target} {status}, {len(done)} resources done{why}"
    if status == "UPDATE_COMPLETE":
        return Progress("done", said, {"resources": ", ".join(done)})
    ended = status.endswith(("_FAILED", "ROLLBACK_COMPLETE"))
    return Progress("failed" if ended else "going", said)


def _undo_set(run: Run, plan: Plan, kept: Kept) -> Plan:
    environment, step = run.environment, plan.undo_draft.steps[0]
    told, name = state.read(environment, plan.target), plan.parameters["change_set"]
    return plans.propose(
        run, action="delete-change-set", title=f"Delete the change set {name} of {plan.target}", target=plan.target, parameters={"change_set": name},
        before=state.identity(told), changes=(Change(f"{plan.target}/{name}", "waits", "is deleted", "make it again", "none"),), conditions=(), steps=(step,), limits=(),
        verification=Verification("Until it is no longer found.", plan.verification.look, 5.0, 120.0), undo_draft=Undo("make the change set again"),
    )  # fmt: skip


def _follow_delete(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    try:
        found = state.change_set(environment, plan.target, plan.parameters["change_set"])
    except SourceError as error:
        gone = "ChangeSetNotFound" in error.what
        return Progress("done" if gone else "going", "it is gone" if gone else error.what)
    return Progress("done" if found["status"] == "DELETE_COMPLETE" else "going", f"it is {found['status']}")


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    """Plan the change set of the way back; it is looked at before it is carried out, as any other."""
    told, step = state.read(run.environment, plan.target), plan.undo_draft.steps[0]
    if told["StackStatus"] not in {"UPDATE_COMPLETE"}:
        raise Refused(
            "there is nothing to go back from", why=f"the stack is {told['StackStatus']}", fix=plan.verification.look
        )
    kept_template = step.arguments["TemplateBody"].rpartition("/")[2].removesuffix(".template")
    said = f"the template and the values from before {plan.parameters['change_set']}"
    return _prepared(run, told, step.arguments["ChangeSetName"], step, said, kept_template)


register(Action("prepare-change-set", observe=_observe, follow=_follow_set, undo=_undo_set, complete=_complete))
register(Action("delete-change-set", observe=_observe, follow=_follow_delete))
register(Action("change-infrastructure", observe=_observe_set, follow=_follow, undo=_undo))
