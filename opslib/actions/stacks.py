"""Several CloudFormation stacks made or changed by one plan, each by a change set that must do what the plan said.

The plan itself changes nothing, so it reads what would happen from the templates. When it is applied, each change set is
looked at before it is carried out, and one that would do more ends the plan there.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import aws, console
from opslib import plan as plans
from opslib.actions import stack_alarms, stack_diff
from opslib.actions import stack_state as state
from opslib.actions import stack_steps as following
from opslib.errors import OpsError, Refused, SourceError
from opslib.journal import digest
from opslib.plan import Action, Change, Condition, Kept, Plan, Step, Undo, Verification, register
from opslib.sources import regions

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

BACK = "put-stacks-back"
SHOWN = 12
_FAILED_TO_BE_MADE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}


@dataclass(frozen=True)
class Wanted:
    """A stack as it should be; `url` is where its template lies when it is longer than a call takes."""

    name: str
    text: str
    values: dict[str, str]
    region: str = ""  # empty: the environment's
    url: str = ""
    role: str = ""  # by which CloudFormation does it

    def difference(self, told: dict[str, Any], text: str) -> tuple[state.Touched, ...]:
        """Return what would become of each resource of the stack as it stands."""
        old = stack_diff.valued(json.loads(text), state.values(told))
        return stack_diff.differences(old, stack_diff.valued(json.loads(self.text), self.values))


@dataclass(frozen=True)
class Standing:
    """A wanted stack beside the one that stands: none, or its template and what would be touched."""

    wanted: Wanted
    told: dict[str, Any] | None
    text: str
    touched: tuple[state.Touched, ...]
    differs: bool
    by_hand: Mapping[str, str] = field(default_factory=dict)  # by name: what was changed, as far as somebody looked
    blind: str = ""  # why that was not seen
    spares: bool = False  # what hands did to resources that are not touched stays

    @property
    def place(self) -> str:
        """Return name and region."""
        return f"{self.wanted.name} {self.wanted.region}".strip()

    @property
    def new(self) -> bool:
        """Tell whether there is no stack, or only the rest of one that could not be made."""
        return self.told is None or self.told["StackStatus"] in {"REVIEW_IN_PROGRESS", *_FAILED_TO_BE_MADE}


def standing(environment: Environment, wanted: Wanted) -> Standing:
    """Look at the stack of that name (DescribeStacks, GetTemplate); raises SourceError."""
    told = state.find(environment, wanted.name, region=wanted.region)
    new = Standing(wanted, told, "", (), True)
    if new.new:
        return Standing(wanted, told, "", wanted.difference({"Parameters": []}, "{}"), True)
    text = state.template(environment, wanted.name, region=wanted.region)
    try:
        touched = wanted.difference(told or {}, text)
    except ValueError:
        raise SourceError(f"the stack {wanted.name} was not made by opslib", why="its template is no JSON", fix="delete it, or give it another name") from None  # fmt: skip
    other = _outputs(text) != _outputs(wanted.text) or state.values(told or {}) != _all_values(wanted)
    return Standing(wanted, told, text, touched, bool(touched) or other)


def deploy(
    run: Run, found: Sequence[Standing], *, action: str, title: str, target: str, verification: Verification, first: tuple[Step, ...] = (), last: tuple[Step, ...] = (),
    rows: tuple[Change, ...] = (), conditions: tuple[Condition, ...] = (), limits: tuple[str, ...] = (), parameters: dict[str, Any] | None = None, over_hand: bool = False,
    allow_loss: bool = False,
) -> Plan:  # fmt: skip
    """Plan to make or change those of the stacks that differ, in their order (CreateChangeSet, ExecuteChangeSet of each).

    `first` and `last` are steps around theirs, `rows` what people read of them. `over_hand` sets back what was changed by
    hand, also where the template is as it was (REVERT_DRIFT); `allow_loss` lets go of what resources hold.
    """
    environment = run.environment
    found = _looked(environment, found, all_of_them=over_hand)
    differing = [one for one in found if one.differs or one.by_hand]
    steps = (*first, *(step for one in differing for step in _steps(environment, one)), *last) if differing else ()
    stacks = [_remembered(environment, one) for one in differing]
    return plans.propose(
        run, action=action, title=title, target=target, parameters={**(parameters or {}), "stacks": stacks}, before={one.place: following.identity(one.told) for one in found},
        changes=(*rows, *(row for one in differing for row in _rows(one))) if differing else (),
        conditions=(*_conditions(found, over_hand, allow_loss), *conditions), steps=steps, limits=(*_limits(differing), *limits),
        verification=verification, undo_draft=_draft(differing, stacks),
    )  # fmt: skip


def undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    """Plan the way back of those stacks that were carried out, the last first: deleted, or changed to what they were."""
    environment = run.environment
    carried = [step for step in plan.steps[: kept["steps done"]] if step.operation == "ExecuteChangeSet"]
    done = {(step.arguments["StackName"], step.region) for step in carried}
    stacks = [one for one in reversed(plan.parameters["stacks"]) if (one["name"], one["region"]) in done]
    if not stacks:
        raise Refused("there is nothing to go back from", why="no change set was carried out", fix=plan.verification.look)  # fmt: skip
    found = [one for old in stacks if old["previous"] and (one := standing(environment, _old(environment, old))).differs]  # fmt: skip
    gone = [one for one in stacks if not one["previous"]]
    if not found and not gone:
        why = "templates and values are what they were before it; what a hand had changed is not done again"
        raise Refused("there is nothing to go back from", why=why, fix=plan.verification.look)
    looked = _looked(environment, found)
    found = [_own(one) for one in looked]
    left = sorted(f"{one.place}/{name}" for one, own in zip(looked, found, strict=True) for name in one.by_hand.keys() - own.by_hand.keys())  # fmt: skip
    stood = {_place(one): state.find(environment, one["name"], region=one["region"]) for one in stacks}
    since = [_place(one) for one in stacks if stood[_place(one)] and _deployed_since(environment, plan, one)]
    limits = [f"changed by hand, and left so: {', '.join(left)}"] * bool(left) + [f"deployed since by another plan, and that goes back, too: {', '.join(since)}"] * bool(since)  # fmt: skip
    rows = [Change(_place(one), "stands", "is deleted; queues, logs and keys stay", "make it again", "what it makes is gone") for one in gone]  # fmt: skip
    steps = [_delete(one["name"], one["region"]) for one in gone]
    return plans.propose(
        run, action=BACK, title=f"Undo: {plan.title}", target=plan.target, parameters={"stacks": [_remembered(environment, one) for one in found]},
        before={place: following.identity(told) for place, told in stood.items()}, changes=(*rows, *(row for one in found for row in _rows(one))),
        conditions=_conditions(found, True, True) if found else (), limits=tuple(limits), steps=(*steps, *(step for one in found for step in _steps(environment, one))),
        verification=Verification("The events of the stacks, of this very change.", plan.verification.look, 5.0, 1800.0), undo_draft=Undo("plan it again"),
    )  # fmt: skip


def _deployed_since(environment: Environment, plan: Plan, told: dict[str, Any]) -> bool:
    """Tell by a stack's events whether something but the plan has changed it since."""
    place = (told["name"], told["region"])
    own = [step.arguments["ClientRequestToken"] for step in plan.steps if step.operation == "ExecuteChangeSet" and (step.arguments["StackName"], step.region) == place]  # fmt: skip
    events = state.happened(environment, told["name"], datetime.fromisoformat(plan.made_at), region=told["region"])
    return any(one["LogicalResourceId"] == told["name"] and one["ResourceStatus"].endswith("_COMPLETE") and one.get("ClientRequestToken") not in own for one in events)  # fmt: skip


def _own(one: Standing) -> Standing:
    """Leave what hands did to what a way back does not touch; where one is gone that it touches, it takes a change set that sets all back."""
    own = {each.name: one.by_hand[each.name] for each in one.touched if each.name in one.by_hand}
    return one if "deleted" in own.values() else replace(one, by_hand=own, spares=True)


def _old(environment: Environment, told: dict[str, Any]) -> Wanted:
    return Wanted(told["name"], state.kept(environment, told["previous"]), told["values"], told["region"], role=told["role"])  # fmt: skip


def _place(told: dict[str, Any]) -> str:
    return f"{told['name']} {told['region']}".strip()


def _steps(environment: Environment, one: Standing) -> Iterator[Step]:
    """Yield the steps of one stack; a new one takes over what an earlier one of its name has left standing (logs)."""
    wanted = one.wanted
    address = console.cloudformation(wanted.region or environment.region, wanted.name)
    if one.told and one.told["StackStatus"] in _FAILED_TO_BE_MADE:
        yield _delete(wanted.name, wanted.region)
    name = f"opslib-{digest([wanted.text, wanted.values, aws.now(environment).isoformat()])[:8]}"
    body = {"TemplateURL": wanted.url} if wanted.url else {"TemplateBody": f"file://.templates/{state.keep(environment, wanted.text)}.template"}  # fmt: skip
    asked = {
        "StackName": wanted.name, "ChangeSetName": name, "ChangeSetType": "CREATE" if one.new else "UPDATE", **body,
        **({"Parameters": [{"ParameterKey": key, **({"UsePreviousValue": True} if value == state.SECRET else {"ParameterValue": value})} for key, value in wanted.values.items()]} if wanted.values else {}),
        "Capabilities": ["CAPABILITY_IAM"], **({"ImportExistingResources": True} if one.new else {"DeploymentMode": "REVERT_DRIFT"} if one.by_hand and not one.spares else {}), **({"RoleARN": wanted.role} if wanted.role else {}),
    }  # fmt: skip
    yield Step("cloudformation", "CreateChangeSet", asked, f"make the change set of {one.place}; nothing is carried out", address, wanted.region)  # fmt: skip
    yield from stack_alarms.zeros(wanted.text, one.touched, wanted.region)
    carry = {"StackName": wanted.name, "ChangeSetName": name, "ClientRequestToken": f"{name}-{wanted.name}"}
    what = f"make {one.place}" if one.new else f"change {one.place}"
    count = len({each.name for each in one.touched} | set(one.by_hand))
    yield Step("cloudformation", "ExecuteChangeSet", carry, f"{what}: {count} resources, if the change set says no more than this plan", address, wanted.region)  # fmt: skip


def _delete(name: str, region: str) -> Step:
    """Without a token of its own: CloudFormation remembers one, and would refuse to delete a stack that was made again."""
    return Step(
        "cloudformation", "DeleteStack", {"StackName": name}, f"delete the stack {name} {region}".strip(), "", region
    )


def _remembered(environment: Environment, one: Standing) -> dict[str, Any]:
    previous = "" if one.new else state.keep(environment, one.text)
    values = {} if one.new else state.values(one.told or {})
    return {"name": one.wanted.name, "region": one.wanted.region, "role": one.wanted.role, "previous": previous, "values": values, "touched": [asdict(each) for each in one.touched], "by_hand": dict(one.by_hand)}  # fmt: skip


def _rows(one: Standing) -> Iterator[Change]:
    if one.new:
        kinds = Counter(re.sub(r"^AWS::", "", each.kind) for each in one.touched)
        others = ", and others" if len(kinds) > 4 else ""
        what = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(4)) + others
        yield Change(one.place, "not there", f"a stack of {len(one.touched)} resources: {what}", "the stack is deleted", "none to what stands")  # fmt: skip
        return
    for each in one.touched[:SHOWN]:
        now = f"changed by hand: {one.by_hand[each.name]}" if each.name in one.by_hand else "as it stands" if each.action != "Add" else "not there"  # fmt: skip
        yield Change(f"{one.place}/{each.name} ({each.kind})", now, each.says(), each.back(), "it is left behind, with what it holds" if each.loses and _stays(one, each) else each.impact())  # fmt: skip
    if more := len(one.touched) - SHOWN:
        count = Counter(each.action for each in one.touched[SHOWN:])
        if more > 0:
            yield Change(f"{one.place}: {more} resources more", "as above", ", ".join(f"{action} {number}" for action, number in count.items()), "as above", "as above")  # fmt: skip
    hands = {name: what for name, what in one.by_hand.items() if name not in {each.name for each in one.touched}}
    for name in list(hands)[:SHOWN]:
        yield Change(f"{one.place}/{name} ({_kind(one, name)})", f"changed by hand: {hands[name]}", "as its template says", "what a hand did is not done again", "changed while in use")  # fmt: skip
    if len(hands) > SHOWN:
        yield Change(f"{one.place}: {len(hands) - SHOWN} resources more", "changed by hand", "as their template says", "as above", "as above")  # fmt: skip
    if not one.touched and one.differs:
        yield Change(one.place, "as it stands", "values or outputs change, no resource", "changed back", "none")


def _stays(one: Standing, each: state.Touched) -> bool:
    return stack_diff.stays(json.loads(one.text)["Resources"].get(each.name, {}))


def _kind(one: Standing, name: str) -> str:
    return str(json.loads(one.text)["Resources"].get(name, {}).get("Type", "no resource of its template"))


def _looked(environment: Environment, found: Sequence[Standing], *, all_of_them: bool = False) -> list[Standing]:
    """Look what was changed by hand, in those that differ or in all, at once: AWS takes half a minute for each, or several."""
    old = {one.place: one for one in found if not one.new and (one.differs or all_of_them)}
    work = {place: partial(state.drift, environment, one.wanted.name, region=one.wanted.region) for place, one in old.items()}  # fmt: skip
    seen: dict[str, Any] = regions.at_once(work, needed=list(work))
    for place, one in old.items():
        if isinstance(answer := seen[place], OpsError):
            raise answer
        said, by_hand = answer
        old[place] = replace(one, by_hand=dict(sorted(by_hand.items())), blind=f"{place} {said}" if said.startswith("NOT SEEN") else "")  # fmt: skip
    return [old.get(one.place, one) for one in found]


def _conditions(found: Sequence[Standing], over_hand: bool, allow_loss: bool) -> tuple[Condition, ...]:
    differing = [one for one in found if one.differs or one.by_hand]
    by_hand = [f"{name}: {what}" for one in found for name, what in one.by_hand.items()]
    said = [*by_hand, *(one.blind for one in found if one.blind)]
    if not differing:
        unseen = "".join(f"; {each}" for each in said)
        return (Condition(plans.SOMETHING, f"all of {', '.join(one.place for one in found)} are as wanted{unseen}", False),)  # fmt: skip
    old = [one for one in differing if not one.new and one.told]
    busy = [f"{one.place} is {one.told['StackStatus']}" for one in old if one.told and one.told["StackStatus"] not in state.CALM]  # fmt: skip
    lost = [each.name for one in old for each in one.touched if each.loses and not _stays(one, each)]
    set_back = ", set back" if over_hand and by_hand else ""
    return (
        Condition("no other change of the stacks is under way", "; ".join(busy) or "none is", not busy),
        Condition("nothing was changed by hand that this would set back", f"{'; '.join(said) or 'nothing was'}{set_back}", over_hand or not said),
        Condition("nothing that holds data is replaced or removed", f"{', '.join(lost) or 'none'}{', allowed' if lost and allow_loss else ''}", allow_loss or not lost),
    )  # fmt: skip


def _limits(differing: Sequence[Standing]) -> tuple[str, ...]:
    roles = all(one.wanted.role for one in differing)
    own = "CloudFormation does it by the role that is configured for it" if roles else "no role is configured for CloudFormation: it acts with the rights of the change role, which policies/change.json does not hold; make a role with what opslib policy stack prints, and name it in alerts.stack_role"  # fmt: skip
    return (own, "a stack whose resource fails is rolled back by CloudFormation, and those after it are not tried", "a change set that would remove or replace more than this plan says is not carried out") if differing else ()  # fmt: skip


def _draft(differing: Sequence[Standing], stacks: Sequence[dict[str, Any]]) -> Undo:
    if not differing:
        return Undo("nothing is done")
    new, old = [one.place for one in differing if one.new], [one.place for one in differing if not one.new]
    said = [f"{', '.join(new)} deleted; queues, logs and keys stay"] * bool(new) + [f"{', '.join(old)} with the templates and values of now"] * bool(old)  # fmt: skip
    said += ["what a hand had changed is not done again"] * any(one.by_hand for one in differing)
    steps = tuple(_delete(one.wanted.name, one.wanted.region) for one in reversed(differing) if one.new)
    return Undo("; ".join(said), BACK, steps)


def _outputs(text: str) -> Any:
    return json.loads(text).get("Outputs")


def _all_values(wanted: Wanted) -> dict[str, str]:
    known = json.loads(wanted.text).get("Parameters", {})
    return {name: str(wanted.values.get(name, one.get("Default", ""))) for name, one in known.items()}


register(Action(BACK, observe=following.observe, follow=following.follow, keep=following.keep, between=following.between, complete=following.complete))  # fmt: skip
