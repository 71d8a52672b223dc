"""What the templates want of an environment beside what stands: the stacks, their resources, what was changed by hand, the alarms' actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from opslib import aws, frames
from opslib.actions import stack_state as state
from opslib.actions import stacks
from opslib.alerting import template
from opslib.alerting.alarms import GLOBAL
from opslib.alerting.delivery import LOG_GROUPS, TOPICS
from opslib.errors import OpsError
from opslib.sources import regions

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

DELIVERY = "alerts-delivery"
STACKS = {"stack": "str", "region": "str", "status": "str", "differs": "str", "created": "time"}
RESOURCES = {"stack": "str", "region": "str", "name": "str", "kind": "str", "physical": "str"}
BY_HAND = {"stack": "str", "region": "str", "name": "str", "what": "str"}
ALARMS = {"name": "str", "resource": "str", "stack": "str", "region": "str", "severity": "str", "topics": "str"}


class Place(NamedTuple):
    """A stack in a region."""

    stack: str
    region: str


def bodies(environment: Environment) -> dict[Place, dict[str, Any]]:
    """Return the template of every stack that should stand: how alerts reach people in both regions, alarms in their own."""
    made = template.templates(environment)
    found = {}
    for region in dict.fromkeys((environment.region, GLOBAL)):
        for name, body in made.items():
            if name == DELIVERY or (name == f"alerts-{GLOBAL}") == (region != environment.region):
                found[Place(name, region)] = body
    return found


def standing(environment: Environment) -> pd.DataFrame:
    """Return each wanted stack as it stands (cloudformation:DescribeStacks, GetTemplate).

    Columns: stack, region, status (empty: there is none), differs (names of the resources that the template has
    otherwise, parted by spaces; "values" when only a parameter or an output is) str; created time. attrs: problems (list of str).
    Raises SourceError when none could be seen.
    """

    def ask(place: Place, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        told = state.find(environment, place.stack, region=place.region)
        if told is None:
            yield {"status": "", "differs": ""}
            return
        given = {name: value for name, value in state.values(told).items() if name == LOG_GROUPS or "Default" not in body.get("Parameters", {}).get(name, {})}  # fmt: skip
        one = stacks.standing(environment, stacks.Wanted(place.stack, template.text(body), given, place.region))
        names = "" if one.new or not one.differs else " ".join(each.name for each in one.touched) or "values"
        yield {"status": told["StackStatus"], "differs": names, "created": told["CreationTime"]}

    return _each(bodies(environment), ask, STACKS)


def resources(environment: Environment) -> pd.DataFrame:
    """Return what the templates want, and what it is called where its stack has made it (cloudformation:ListStackResources).

    Columns: stack, region, name (in the template), kind, physical (empty: the stack has none) str; attrs and errors as of
    `standing`. Of a stack that there is not there are no rows.
    """

    def ask(place: Place, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            told = list(aws.pages(environment, "cloudformation", "list_stack_resources", "StackResourceSummaries", region=place.region, StackName=place.stack))  # fmt: skip
        except OpsError as error:
            if "does not exist" in error.why:
                return
            raise
        there = {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in told if not one["ResourceStatus"].startswith("DELETE")}  # fmt: skip
        for name, resource in body["Resources"].items():
            yield {"name": name, "kind": resource["Type"], "physical": there.get(name, "")}

    return _each(bodies(environment), ask, RESOURCES)


def by_hand(environment: Environment, places: Iterable[Place]) -> pd.DataFrame:
    """Return what of these stacks was changed by hand (cloudformation:DetectStackDrift), as far as AWS sees it in half a minute.

    Columns: stack, region, name (of the resource), what str; attrs and errors as of `standing`.
    """
    problems = []

    def ask(place: Place, _: Any) -> Iterator[dict[str, Any]]:
        seen, found = state.drift(environment, place.stack, region=place.region, looks=20)
        if seen.startswith("NOT SEEN"):
            problems.append(f"drift of {place.stack} in {place.region}: {seen.removeprefix('NOT SEEN: ')}")
        yield from ({"name": name, "what": what} for name, what in sorted(found.items()))

    frame = _each({place: {} for place in places}, ask, BY_HAND)
    frame.attrs["problems"] += sorted(problems)
    return frame


def alarms(environment: Environment) -> pd.DataFrame:
    """Return every alarm of the templates, those that watch the alerting too, and the topics that it must act on.

    Columns: name, resource (in the template), stack, region, severity, topics (names, parted by spaces) str.
    """
    rows = []
    for place, body in bodies(environment).items():
        for logical, resource in body["Resources"].items():
            held = resource["Properties"]
            if "AlarmName" in held:
                topics = " ".join(sorted(TOPICS[one["Ref"]] for one in held["AlarmActions"]))
                severity = held["AlarmDescription"].partition("severity=")[2].partition(" ")[0]
                rows.append(
                    {
                        "name": held["AlarmName"],
                        "resource": logical,
                        **place._asdict(),
                        "severity": severity,
                        "topics": topics,
                    }
                )
    return frames.made(rows, ALARMS)


def expected(environment: Environment, place: Place, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the resources of a kind that a template has, with their properties."""
    body = bodies(environment).get(place, {"Resources": {}})
    return {name: one["Properties"] for name, one in body["Resources"].items() if one["Type"] == kind}


def _each(places: Mapping[Place, dict[str, Any]], ask: Callable[[Place, dict[str, Any]], Iterator[dict[str, Any]]], types: Mapping[str, str]) -> pd.DataFrame:  # fmt: skip
    rows: list[dict[str, Any]] = []
    errors: dict[Place, OpsError] = {}
    work = {place: partial(lambda place, body: list(ask(place, body)), place, body) for place, body in places.items()}
    for place, answer in regions.at_once(work, needed=list(work)).items():
        if isinstance(answer, OpsError):
            errors[place] = answer
        else:
            rows += [{**place._asdict(), **row} for row in answer]
    if errors and len(errors) == len(work):
        raise next(iter(errors.values()))
    frame = frames.made(rows, types)
    frame.attrs["problems"] = [f"{place.stack} in {place.region}: {error.what}" for place, error in errors.items()]
    return frame
