"""Drift of alarms and rules, which ministack does not see, and change sets that set drift back (DeploymentMode REVERT_DRIFT)."""

import copy
import importlib
import json
from typing import Any

from opslib.sandbox import alarm_store
from opslib.sandbox.alarm_records import ACTIONS
from opslib.sandbox.shop_alarms import COMPOSITE, METRIC, RULE

_SHARED = {"ActionsEnabled", "AlarmDescription", "AlarmName", *ACTIONS}
_METRIC = {
    "ComparisonOperator", "DatapointsToAlarm", "Dimensions", "EvaluationPeriods", "ExtendedStatistic", "MetricName", "Metrics", "Namespace", "Period",
    "Statistic", "Threshold", "TreatMissingData", "Unit",
}  # fmt: skip
_RULE = {"State", "Description", "ScheduleExpression", "EventPattern", "Targets"}

Form = dict[str, Any]
Actual = dict[
    str, Form | None
]  # by logical name: the drifted properties as they are, None without one; None: it is gone


class StackDrift:
    """The drift of stacks, by ministack's own comparison."""

    def __init__(self) -> None:
        package = "ministack.services.cloudformation"
        self._drift, self._handlers, self._changesets = (importlib.import_module(f"{package}.{name}") for name in ("drift", "handlers", "changesets"))  # fmt: skip
        self._stacks: Any = importlib.import_module(package)._stacks
        actions = self._handlers._ACTION_HANDLERS
        self._create_theirs, self._execute_theirs = actions["CreateChangeSet"], actions["ExecuteChangeSet"]

    def install(self) -> None:
        """Let stacks see drift of alarms and rules, and change sets set back any that is seen."""
        readers = {METRIC: (_alarm, _SHARED | _METRIC), COMPOSITE: (_alarm, _SHARED | {"AlarmRule"}), RULE: (_rule, _RULE)}  # fmt: skip
        self._drift._DRIFT_READERS.update({kind: (read, frozenset(names)) for kind, (read, names) in readers.items()})
        self._handlers._ACTION_HANDLERS |= {"CreateChangeSet": self._create, "ExecuteChangeSet": self._execute}

    def _create(self, given: Form) -> Any:
        """Compare the template with what there is, where it is not what the last deployment left."""
        mode, stack = _value(given, "DeploymentMode"), self._handlers._resolve_stack(_value(given, "StackName"))
        if not mode or stack is None:
            return self._create_theirs(given)
        if mode != "REVERT_DRIFT" or _value(given, "ChangeSetType") not in ("", "UPDATE"):
            return self._changesets._error("ValidationError", f"DeploymentMode {mode} is for change sets of type UPDATE")  # fmt: skip
        actual = self._actual(stack)
        deployed = stack["_template"]
        stack["_template"] = _with(deployed, actual)
        try:
            answer = self._create_theirs(given)
        finally:
            stack["_template"] = deployed
        _, made = self._changesets._find_change_set(_value(given, "ChangeSetName"), stack["StackName"])
        if made is not None and answer[0] < 400:
            made["_actual"] = actual
        return answer

    def _execute(self, given: Form) -> Any:
        """Let the stack know what its resources are, so that they are changed; a rollback leads there, too."""
        _, found = self._changesets._find_change_set(_value(given, "ChangeSetName"), _value(given, "StackName"))
        actual: Actual = found.pop("_actual", {}) if found and found["ExecutionStatus"] == "AVAILABLE" else {}
        records = self._stacks[found["StackName"]]["_resources"] if actual else {}
        for name, drifted in actual.items():
            if drifted is None:
                records.pop(name)
            else:
                records[name]["Properties"] = _over(records[name]["Properties"], drifted)
        return self._execute_theirs(given)

    def _actual(self, stack: Form) -> Actual:
        actual: Actual = {}
        for name, record in stack["_resources"].items():
            if not self._drift.supports_drift(record["ResourceType"]):
                continue
            told = self._drift.detect_resource_drift(stack, name, record, "")
            if told["StackResourceDriftStatus"] == "MODIFIED":
                there = json.loads(told["ActualProperties"])
                names = {one["PropertyPath"].split("/")[1] for one in told["PropertyDifferences"]}
                actual[name] = {key: there.get(key) for key in names}
            elif told["StackResourceDriftStatus"] == "DELETED":
                actual[name] = None
        return actual


def _with(template: Form, actual: Actual) -> Form:
    """Return a template as if it had what there is."""
    resources = {name: one for name, one in template["Resources"].items() if actual.get(name, one) is not None}
    for name, drifted in actual.items():
        if drifted is not None:
            resources[name] = {**resources[name], "Properties": _over(resources[name].get("Properties", {}), drifted)}
    return {**template, "Resources": resources}


def _over(properties: Form, drifted: Form) -> Form:
    return {key: value for key, value in {**properties, **drifted}.items() if value is not None}


def _alarm(name: str, properties: Form) -> Form | None:
    """Return an alarm as a stack reads it, each number written as the template has it."""
    store = alarm_store.cloudwatch()
    held = store._alarms.get(name) or store._composite_alarms.get(name)
    return held and {key: _as_written(value, properties.get(key)) for key, value in held.items()}


def _as_written(value: Any, written: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return written if number and float(written) == value else value
    except (TypeError, ValueError):
        return value


def _rule(name: str, properties: Form) -> Form | None:
    """Return a rule as a stack reads it, with its targets."""
    events = importlib.import_module("ministack.services.eventbridge")
    key = events._rule_key(name, properties.get("EventBusName", "default"))
    if key not in events._rules:
        return None
    rule = dict(events._rules[key])
    pattern = rule["EventPattern"] or "{}"
    return {**rule, "EventPattern": json.loads(pattern), "Targets": copy.deepcopy(events._targets.get(key) or [])}


def _value(given: Form, name: str) -> str:
    found = given.get(name, "")
    return str(found[0] if isinstance(found, list) and found else found or "")
