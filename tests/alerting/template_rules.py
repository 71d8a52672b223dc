"""What must hold of the templates, read from the templates alone: where they break it, one sentence each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from opslib.alerting import messages, notifier

Template = dict[str, Any]


def broken(templates: dict[str, Template]) -> list[str]:
    """Return every rule that a template breaks."""
    found = []
    for name, template in templates.items():
        resources = template["Resources"]
        for rule in (
            _alarms,
            _composites,
            _rules,
            _subscriptions,
            _functions,
            _topics,
            _queues,
            _undelivered,
            _secrets,
        ):
            found += [f"{name}: {said}" for said in rule(resources)]
    return [*found, *_paths(templates["alerts-delivery"]["Resources"])]


def _of(resources: dict[str, Any], *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in resources.items():
        if resource["Type"] in kinds:
            yield name, resource["Properties"]


def _alarms(resources: dict[str, Any]) -> Iterator[str]:
    for name, alarm in _of(resources, "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
        if not alarm.get("AlarmActions") or alarm.get("AlarmActions") != alarm.get("OKActions"):
            yield f"{name} does not tell its end where it told its beginning"
        found = messages.LINE.search(alarm.get("AlarmDescription", ""))
        if not found or not found[3]:
            yield f"{name} has no severity, runbook and environment"
        if "AlarmRule" not in alarm:
            if alarm.get("TreatMissingData") not in {"breaching", "notBreaching", "missing", "ignore"}:
                yield f"{name} leaves to chance what missing data means"
            if not 1 <= alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]:
                yield f"{name} never has enough datapoints"


def _composites(resources: dict[str, Any]) -> Iterator[str]:
    """Every critical alarm pages: it is in a composite that acts on ops-critical, and is made before it."""
    named = {alarm["AlarmName"]: name for name, alarm in _of(resources, "AWS::CloudWatch::Alarm")}
    paging: set[str] = set()
    for name, alarm in _of(resources, "AWS::CloudWatch::CompositeAlarm"):
        children = re.findall(r'ALARM\("([^"]+)"\)', alarm["AlarmRule"])
        if unknown := set(children) - set(named):
            yield f"{name} waits for {unknown}"
        if {named.get(child) for child in children} != set(resources[name].get("DependsOn", [])):
            yield f"{name} may be made before its alarms"
        if alarm.get("AlarmActions") == [{"Ref": "Critical"}]:
            paging |= set(children)
    for name, alarm in _of(resources, "AWS::CloudWatch::Alarm"):
        if "severity=critical" in alarm.get("AlarmDescription", "") and alarm["AlarmName"] not in paging:
            yield f"{name} is critical and pages nobody"


def _rules(resources: dict[str, Any]) -> Iterator[str]:
    for name, rule in _of(resources, "AWS::Events::Rule"):
        pattern = rule.get("EventPattern")
        if pattern and "ops.drill" not in pattern["source"]:
            yield f"{name} lets no drill through"
        for target in rule["Targets"]:
            if _queue_of(target.get("DeadLetterConfig", {}).get("Arn")) not in resources:
                yield f"{name} has a target without a queue"
            if "RoleArn" in target:
                yield f"{name} has a target with a role"


def _subscriptions(resources: dict[str, Any]) -> Iterator[str]:
    for name, subscription in _of(resources, "AWS::SNS::Subscription"):
        if _queue_of(subscription.get("RedrivePolicy", {}).get("deadLetterTargetArn")) not in resources:
            yield f"{name} has no queue for what is not delivered"
        invoked = [given for _, given in _of(resources, "AWS::Lambda::Permission")]
        called = {"Ref": _queue_of(subscription["Endpoint"])}
        if not any(
            given["FunctionName"] == called and given["SourceArn"] == subscription["TopicArn"] for given in invoked
        ):
            yield f"{name} may not call its function"


def _functions(resources: dict[str, Any]) -> Iterator[str]:
    for name, function in _of(resources, "AWS::Lambda::Function"):
        if (
            function["Timeout"] < 2 * notifier.BUDGET_S + 20
        ):  # a late end is sent after its beginning; the secret, a build
            yield f"{name} ends before its own budget"
        if not function.get("ReservedConcurrentExecutions"):
            yield f"{name} may be starved by other functions"
        logs = resources.get(str(function.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")))
        if not logs or not logs["Properties"].get("RetentionInDays"):
            yield f"{name} keeps its log for ever"
        retries = [given for _, given in _of(resources, "AWS::Lambda::EventInvokeConfig") if given["FunctionName"] == {"Ref": name}]  # fmt: skip
        kept = [_queue_of(one.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")) for one in retries]
        if not kept or kept[0] not in resources:
            yield f"{name} has no queue for what it failed"
        role = resources[_queue_of(function["Role"])]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if not any(said["Action"] == "sqs:SendMessage" and _queue_of(said["Resource"]) in kept for said in role):
            yield f"{name} may not write into its queue"


def _topics(resources: dict[str, Any]) -> Iterator[str]:
    """CloudWatch and EventBridge may publish to each topic and use its key, which is ours."""
    for name, topic in _of(resources, "AWS::SNS::Topic"):
        policies = [given for _, given in _of(resources, "AWS::SNS::TopicPolicy") if {"Ref": name} in given["Topics"]]
        said = [one for given in policies for one in given["PolicyDocument"]["Statement"]]
        key = topic.get("KmsMasterKeyId")
        if not isinstance(key, dict) or resources.get(key.get("Ref"), {}).get("Type") != "AWS::KMS::Key":
            yield f"{name} is encrypted by a key that alarms cannot use"
            continue
        grants = resources[key["Ref"]]["Properties"]["KeyPolicy"]["Statement"]
        for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com"):
            if not any(one["Principal"] == {"Service": service} and one["Action"] == "sns:Publish" and one["Resource"] == {"Ref": name} for one in said):  # fmt: skip
                yield f"{service} may not publish to {name}"
            needed = {"kms:Decrypt", "kms:GenerateDataKey*"}
            if not any(one["Principal"] == {"Service": service} and needed <= set(one["Action"]) for one in grants):
                yield f"{service} may not use the key of {name}"


def _queues(resources: dict[str, Any]) -> Iterator[str]:
    """Each queue may be written to by who fails, and has an alarm."""
    watched = [json.dumps(alarm.get("Dimensions")) for _, alarm in _of(resources, "AWS::CloudWatch::Alarm")]
    writers: dict[str, set[str]] = {}
    for _, policy in _of(resources, "AWS::SQS::QueuePolicy"):
        for one in policy["PolicyDocument"]["Statement"]:
            writers.setdefault(policy["Queues"][0]["Ref"], set()).add(one["Principal"]["Service"])
    used = json.dumps([resource for resource in resources.values() if resource["Type"] == "AWS::SNS::Subscription"])
    ruled = json.dumps([resource for resource in resources.values() if resource["Type"] == "AWS::Events::Rule"])
    for name, queue in _of(resources, "AWS::SQS::Queue"):
        if not any(f'["{name}", "QueueName"]' in dimensions for dimensions in watched):
            yield f"nobody watches {name}"
        for service, text in (("sns.amazonaws.com", used), ("events.amazonaws.com", ruled)):
            if f'["{name}", "Arn"]' in text and service not in writers.get(name, set()):
                yield f"{service} may not write into {name}"
        if queue.get("MessageRetentionPeriod", 0) < 1_209_600:
            yield f"{name} forgets within two weeks"


def _undelivered(resources: dict[str, Any]) -> Iterator[str]:
    """What a rule could not bring to a topic is told through another one."""
    targets = [target for _, rule in _of(resources, "AWS::Events::Rule") for target in rule["Targets"] if "DeadLetterConfig" in target]  # fmt: skip
    for name, alarm in _of(resources, "AWS::CloudWatch::Alarm"):
        about = json.dumps(alarm.get("Dimensions"))
        paths = [target["Arn"] for target in targets if f'["{_queue_of(target["DeadLetterConfig"]["Arn"])}", "QueueName"]' in about]  # fmt: skip
        if any(not [action for action in alarm.get("AlarmActions", []) if action != path] for path in paths):
            yield f"{name} tells of a broken path through that path alone"


def _secrets(resources: dict[str, Any]) -> Iterator[str]:
    for name, function in _of(resources, "AWS::Lambda::Function"):
        for key, value in function["Environment"]["Variables"].items():
            if isinstance(value, str) and re.search(r"https?://|hooks\.slack|[0-9A-Za-z]{32}", value):
                yield f"{name} holds a secret in {key}"


def _paths(resources: dict[str, Any]) -> Iterator[str]:
    """What watches one sink acts on the other's topic; each path has a heartbeat whose silence is an alarm."""
    beats = set()
    for name, alarm in _of(resources, "AWS::CloudWatch::Alarm"):
        other = {"Slack": [{"Ref": "Critical"}], "Pager": [{"Ref": "Alerts"}]}.get(name[:5])
        if other and alarm.get("AlarmActions") != other:
            yield f"{name} tells of a broken path through that path"
        if alarm["MetricName"] == "Told" and alarm.get("TreatMissingData") == "breaching":
            beats.add(tuple(one["Value"] for one in alarm["Dimensions"]))
    subscribed = [given for _, given in _of(resources, "AWS::SNS::Subscription")]
    ends = {(_queue_of(one["Endpoint"]).removesuffix("Function").lower(), one["TopicArn"]["Ref"]) for one in subscribed}
    for sink, topic in {(sink, topic) for sink in ("slack", "pagerduty") for topic in ("Alerts", "Critical")} - ends:
        yield f"{sink} hears nothing of {topic}"
    given = [one for _, one in _of(resources, "AWS::Lambda::Permission") if one["Principal"] == "events.amazonaws.com"]
    if [one["FunctionName"] for one in given] != [{"Ref": "PagerDutyFunction"}]:
        yield "deploys do not reach PagerDuty"
    called = {name: topic["TopicName"] for name, topic in _of(resources, "AWS::SNS::Topic")}
    for name, subscription in _of(resources, "AWS::SNS::Subscription"):
        sink = _queue_of(subscription["Endpoint"]).removesuffix("Function").lower()
        topic = called[subscription["TopicArn"]["Ref"]]
        if (sink, f"heartbeat {topic}") not in beats:
            yield f"no heartbeat watches {name}"
        for when, how in (("ScheduleExpression", "by itself"), ("EventPattern", "when it is asked for")):
            rules = [rule for _, rule in _of(resources, "AWS::Events::Rule") if when in rule]
            if subscription["TopicArn"] not in [target["Arn"] for rule in rules for target in rule["Targets"]]:
                yield f"no heartbeat is sent to {topic} {how}"
    yield from _what_stays_on(resources, beats)
    drills = [
        alarm for _, alarm in _of(resources, "AWS::CloudWatch::Alarm") if "severity=info" in alarm["AlarmDescription"]
    ]
    if [alarm.get("AlarmActions") for alarm in drills] != [[{"Ref": "Alerts"}, {"Ref": "Critical"}]]:
        yield "no alarm can be set on as a drill through both topics"


def _what_stays_on(resources: dict[str, Any], beats: set[tuple[str, ...]]) -> Iterator[str]:
    """A schedule asks PagerDuty's function, which may ask CloudWatch and knows how long is long; its silence is an alarm."""
    rules = [
        rule for _, rule in _of(resources, "AWS::Events::Rule") if rule.get("ScheduleExpression") == "rate(5 minutes)"
    ]
    if {_queue_of(target["Arn"]) for rule in rules if rule["State"] == "ENABLED" for target in rule["Targets"]} != {
        "PagerDutyFunction"
    }:
        yield "nothing asks for warnings that stay on"
    said = resources["PagerDutyRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    if not any(one["Action"] == "cloudwatch:DescribeAlarms" and one["Resource"] == "*" for one in said):
        yield "PagerDuty's function may not ask which alarms are on"
    if not resources["PagerDutyFunction"]["Properties"]["Environment"]["Variables"].get("RAISE_AFTER", "").isdigit():
        yield "PagerDuty's function does not know after how many minutes a warning is raised"
    if ("pagerduty", "tick") not in beats:
        yield "nobody watches whether warnings that stay on are asked for"


def _queue_of(arn: Any) -> str:
    return str(arn["Fn::GetAtt"][0]) if isinstance(arn, dict) and "Fn::GetAtt" in arn else ""
