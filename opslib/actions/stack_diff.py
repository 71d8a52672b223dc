"""What a new template would do to a stack, read from both templates: before a change set is made, which is a change itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opslib.actions.stack_state import Touched

# The properties whose change makes another resource (createOnlyProperties of AWS's schemas), by the types we make.
_ALL_OF_IT = "*"
REPLACING: dict[str, tuple[str, ...]] = {
    "AWS::CloudWatch::Alarm": ("AlarmName",), "AWS::CloudWatch::CompositeAlarm": ("AlarmName",), "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::Logs::MetricFilter": ("FilterName", "LogGroupName"), "AWS::SNS::Topic": ("TopicName", "FifoTopic"), "AWS::SNS::TopicPolicy": (),
    "AWS::SNS::Subscription": ("Endpoint", "Protocol", "TopicArn"), "AWS::SQS::Queue": ("QueueName", "FifoQueue"), "AWS::SQS::QueuePolicy": (),
    "AWS::Lambda::Function": ("FunctionName", "PackageType", "TenancyConfig"), "AWS::Lambda::Permission": (_ALL_OF_IT,), "AWS::Lambda::EventInvokeConfig": ("FunctionName", "Qualifier"),
    "AWS::IAM::Role": ("RoleName", "Path"), "AWS::KMS::Key": (), "AWS::Events::Rule": ("Name",), "AWS::Scheduler::Schedule": ("Name",),
    "AWS::Scheduler::ScheduleGroup": ("Name",),
}  # fmt: skip
_KEPT = {"Retain", "RetainExceptOnCreate"}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Touched, ...]:
    """Return what becomes of each resource that differs between two templates, whose parameters have values (`valued`).

    What follows from a replaced resource is among them. Of a type that we do not know it says Conditional.
    """
    before, after = old.get("Resources", {}), new.get("Resources", {})
    found = {name: one for name in {**after, **before} if (one := _touched(name, before.get(name), after.get(name)))}
    while True:
        gone = {name for name, one in found.items() if one.replaced in {"True", "Conditional"}}
        more = {name: _following(name, before[name], gone, found.get(name)) for name in before.keys() & after.keys()}
        new_ones = {name: one for name, one in more.items() if one and one != found.get(name)}
        if not new_ones:
            return tuple(found.values())
        found |= new_ones


def valued(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return a template with the values of its parameters in their place; those not given have their defaults."""
    known = {name: str(one.get("Default", "")) for name, one in template.get("Parameters", {}).items()} | dict(values)

    def placed(part: Any) -> Any:
        if isinstance(part, dict):
            name = part.get("Ref")
            return known[name] if len(part) == 1 and name in known else {key: placed(one) for key, one in part.items()}
        return [placed(one) for one in part] if isinstance(part, list) else part

    return {name: placed(part) for name, part in template.items() if name in {"Resources", "Outputs"}}


def stays(resource: Mapping[str, Any]) -> bool:
    """Tell whether what a resource holds is left standing when the stack lets go of it."""
    return {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} <= _KEPT


def unforeseen(planned: Mapping[str, Touched], found: tuple[Touched, ...]) -> list[str]:
    """Return what a change set would do that the plan did not say: a resource removed, replaced, or its content lost.

    A change in place, or one that CloudFormation itself only thinks possible, is none: it names them for every resource
    that follows another.
    """
    said = []
    for one in found:
        was = planned.get(one.name)
        foreseen = was is not None and (was.action == one.action == "Remove" or was.replaced in {"True", "Conditional"})
        harmful = one.action == "Remove" or one.replaced == "True" or one.loses
        if harmful and not foreseen:
            said.append(f"{one.name}: {one.says()}")
    return said


def _touched(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Touched | None:
    if old is None or new is None:
        one = new or old or {}
        return Touched(name, one["Type"], "Add" if old is None else "Remove", "", ())
    if old["Type"] != new["Type"]:
        return Touched(name, new["Type"], "Modify", "True", ("Type",))
    was, will = old.get("Properties", {}), new.get("Properties", {})
    changed = tuple(key for key in {**was, **will} if was.get(key) != will.get(key))
    return Touched(name, new["Type"], "Modify", _replaced(new["Type"], changed), changed) if changed else None


def _replaced(kind: str, changed: tuple[str, ...]) -> str:
    if kind not in REPLACING:
        return "Conditional"
    return "True" if _ALL_OF_IT in REPLACING[kind] or set(changed) & set(REPLACING[kind]) else "False"


def _following(name: str, resource: Mapping[str, Any], gone: set[str], known: Touched | None) -> Touched | None:
    """Return what becomes of a resource that names one which is replaced."""
    properties = resource.get("Properties", {})
    hit = tuple(key for key, value in properties.items() if (gone - {name}) & _named(value))
    if not hit:
        return known
    of = tuple(dict.fromkeys((*(known.of if known else ()), *hit)))
    kind = str(resource["Type"])
    made = known or Touched(name, kind, "Modify", "False", of)
    return replace(made, of=of, replaced="True" if made.replaced == "True" else _replaced(kind, of))


def _named(part: Any) -> set[str]:
    """Return the resources that a value names by Ref, Fn::GetAtt or Fn::Sub."""
    text = json.dumps(part)
    found = re.findall(r'\{"Ref": "(\w+)"\}|\{"Fn::GetAtt": \["(\w+)"|\$\{(\w+)(?:\.\w+)?\}', text)
    return {name for names in found for name in names if name}
