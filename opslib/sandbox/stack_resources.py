"""What ministack's CloudFormation lacks for alerts: composite alarms, metric math, some properties, what a change replaces."""

import importlib
from collections.abc import Callable
from typing import Any

from opslib.sandbox import alarm_store, metric_filters, stack_log_groups
from opslib.sandbox.service_errors import ServiceError
from opslib.sandbox.services import HOME, Services
from opslib.sandbox.shop_alarms import COMPOSITE, CREATED, FILTER, METRIC, RULE, rule_takes_place
from opslib.sandbox.stack_drift import StackDrift
from opslib.sandbox.stack_log_groups import AndMore

SCHEDULE = "AWS::Scheduler::Schedule"
TOPIC_ATTRIBUTES = ("KmsMasterKeyId", "SignatureVersion", "TracingConfig")
_NUMBERS = ("Period", "EvaluationPeriods", "DatapointsToAlarm", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")  # fmt: skip
# Of the types of an alerting stack: the properties whose change makes another resource, from AWS's reference; every
# other change is made in place. Without these a change set would say "Conditionally" of every change.
REPLACING = {
    METRIC: ("AlarmName",), COMPOSITE: ("AlarmName",), FILTER: ("FilterName", "LogGroupName"),
    stack_log_groups.GROUP: ("LogGroupName",), RULE: ("Name", "EventBusName"), "AWS::SNS::TopicPolicy": (),
    "AWS::SQS::QueuePolicy": (), "AWS::SNS::Subscription": ("Endpoint", "Protocol", "TopicArn"),
    "AWS::Lambda::EventInvokeConfig": ("FunctionName", "Qualifier"), "AWS::KMS::Key": (),
    SCHEDULE: ("Name",), "AWS::Lambda::Permission": (
        "Action", "EventSourceToken", "FunctionName", "FunctionUrlAuthType", "Principal", "PrincipalOrgID", "SourceAccount", "SourceArn",
    ),
}  # fmt: skip


def install(services: Services) -> None:
    """Teach ministack's CloudFormation, once; its import takes a second, so only when it is first asked for anything."""
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    if COMPOSITE in provisioners._RESOURCE_HANDLERS:
        return
    for kind in (METRIC, COMPOSITE):
        resource = _Alarms(kind, provisioners)
        provisioners._RESOURCE_HANDLERS[kind] = {
            "create": resource.create, "update": resource.update, "update_with_logical_id": True, "delete": resource.delete,
        }  # fmt: skip
        provisioners._STACK_TAG_PROPERTY[kind] = ("Tags", "list")
    for kind, names in REPLACING.items():
        provisioners._REPLACING_PROPERTIES.setdefault(kind, names)
    provisioners._physical_name = _named_by_region(provisioners)
    stack_log_groups.StackLogGroups(services, provisioners).install()
    StackDrift().install()
    for kind, add in (
        ("AWS::SNS::Topic", _attributes),
        ("AWS::Lambda::Function", _concurrency),
        (SCHEDULE, _schedule),
        (RULE, rule_takes_place),
    ):
        handler = provisioners._RESOURCE_HANDLERS[kind]
        for name, place in (("create", 1), ("update", 2)):
            handler[name] = AndMore(handler[name], place, add)
    handler = provisioners._RESOURCE_HANDLERS[FILTER]
    for name, place in (("create", 1), ("update", 2)):
        handler[name] = _metric_filters(handler[name], place)


def _named_by_region(provisioners: Any) -> Callable[..., str]:
    """Return how ministack names what has no name, but not alike in two regions: roles are global, one would take the other's place."""
    theirs, seed = provisioners._physical_name, provisioners._NAME_SEED

    def name(*given: Any, **more: Any) -> str:
        region = alarm_store.cloudwatch().get_region()
        token = seed.set(seed.get() if region == HOME else f"{seed.get()}{region}")
        try:
            return str(theirs(*given, **more))
        finally:
            seed.reset(token)

    return name


def _attributes(arn: str, properties: dict[str, Any]) -> None:
    held = importlib.import_module("ministack.services.sns")._topics[arn]["attributes"]
    for name in TOPIC_ATTRIBUTES:
        held.pop(name, None)
        held |= {name: str(properties[name])} if properties.get(name) else {}


def _schedule(name: str, properties: dict[str, Any]) -> None:
    """Keep the time zone, and the network under the name that the API, not CloudFormation, gives it."""
    group = properties.get("GroupName", "default")
    held = importlib.import_module("ministack.services.scheduler")._schedules[f"{group}/{name}"]
    held["ScheduleExpressionTimezone"] = properties.get("ScheduleExpressionTimezone", "UTC")
    target = held["Target"] = dict(properties["Target"])
    if network := target.get("EcsParameters", {}).get("NetworkConfiguration"):
        told = {"awsvpcConfiguration": network["AwsvpcConfiguration"]}
        target["EcsParameters"] = target["EcsParameters"] | {"NetworkConfiguration": told}


def _concurrency(name: str, properties: dict[str, Any]) -> None:
    reserved = properties.get("ReservedConcurrentExecutions")
    function = importlib.import_module("ministack.services.lambda_svc")._functions[name]
    function["concurrency"] = None if reserved is None else int(reserved)


def _metric_filters(theirs: Callable[..., tuple[str, Any]], place: int) -> Callable[..., tuple[str, Any]]:
    """Return how a stack makes or changes a metric filter: checked as PutMetricFilter checks it, and in the place of the life's own."""
    payload = theirs.__globals__["_cwlogs_metric_filter_payload"]

    def put(*given: Any, **more: Any) -> tuple[str, Any]:
        group = given[place].get("LogGroupName")
        try:
            metric_filters.check(payload(group, "", given[place]))
        except ServiceError as error:
            raise ValueError(f'Resource handler returned message: "{error.message}"') from error
        name, told = theirs(*given, **more)
        metric_filters.take_place(name, group, CREATED * 1000)
        return name, told

    return put


class _Alarms:
    """How alarms of one kind are made, changed and removed by a stack."""

    def __init__(self, kind: str, provisioners: Any) -> None:
        self._kind, self._provisioners = kind, provisioners
        self._store = alarm_store.cloudwatch()

    def create(self, logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
        name = self._name(logical, properties, stack)
        held = self._held().get(name)
        if (
            held and held["AlarmConfigurationUpdatedTimestamp"] != CREATED
        ):  # the life's own are what the stacks would have made
            raise ValueError(f"Resource of type '{self._kind}' with identifier '{name}' already exists.")
        return self._put(name, properties)

    def update(
        self, name: str, before: dict[str, Any], after: dict[str, Any], stack: str, logical: str = ""
    ) -> tuple[str, dict[str, str]]:
        wanted = self._name(logical or name, after, stack)
        there = name if name in self._held() else None
        replaced = self._provisioners._rename_replacement(
            name, before, after, stack, logical, wanted, there, self.create, self.delete
        )
        return replaced or self._put(name, after)

    def delete(self, name: str, properties: dict[str, Any]) -> None:
        _, _, body = answer = self._store._delete_alarms({}, {"AlarmNames": [name]}, False, True)
        if answer[0] >= 400:
            raise ValueError(body.decode())

    def _put(self, name: str, properties: dict[str, Any]) -> tuple[str, dict[str, str]]:
        given = _typed(properties) | {"AlarmName": name}
        tags = given.pop("Tags", [])  # `aws:` tags are CloudFormation's to give
        try:
            put = alarm_store.put_metric_alarm if self._kind == METRIC else alarm_store.put_composite_alarm
            record = put(given)
        except ServiceError as error:
            message = f'Resource handler returned message: "{error.message}" (Service: CloudWatch, Status Code: 400)'
            raise ValueError(message) from error
        self._store.cloudformation_set_metric_alarm_tags(name, tags)
        return name, {"Arn": record["AlarmArn"]}

    def _held(self) -> Any:
        return self._store._alarms if self._kind == METRIC else self._store._composite_alarms

    def _name(self, logical: str, properties: dict[str, Any], stack: str) -> str:
        return str(properties.get("AlarmName") or self._provisioners._physical_name(stack, logical, max_len=255))


def _typed(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties as PutMetricAlarm takes them: a template may have said its numbers as text."""
    found = {name: value for name, value in properties.items() if value not in (None, "")}
    found |= {name: int(found[name]) for name in _NUMBERS if name in found}
    for query in found.get("Metrics") or ():
        if isinstance(query.get("ReturnData"), str):
            query["ReturnData"] = query["ReturnData"] == "true"
        if stat := query.get("MetricStat"):
            stat["Period"] = int(stat["Period"])
    return found
