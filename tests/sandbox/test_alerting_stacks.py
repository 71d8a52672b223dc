"""The templates of alerts in the sandbox's CloudFormation: every resource is made, changed in place, rolled back, removed."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.alerting import template
from opslib.config import Environment
from tests.alerting.test_template import FULL
from tests.sandbox.gateway_process import Gateway, running

HOME, AWAY = "ap-northeast-1", "us-east-1"
CODE, SINKS = "ops-code", ("slack", "pagerduty")
TEMPLATES = template.templates(Environment(**{**FULL, "account": "000000000000"}))
ALARM, COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"


@pytest.fixture(scope="module")
def stepped() -> Iterator[Gateway]:
    with running("running") as gateway:
        yield gateway


def arguments(gateway: Gateway, name: str, region: str) -> dict[str, Any]:
    """Return what CloudFormation is given; the code's bucket and the secrets are made where they are needed."""
    given: dict[str, Any] = {"StackName": name, "Capabilities": ["CAPABILITY_IAM"]}
    if "CodeBucket" not in TEMPLATES[name].get("Parameters", {}):
        return given
    bucket, values = f"{CODE}-{region}", {}
    place = {} if region == AWAY else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3, secrets = gateway.client("s3", region), gateway.client("secretsmanager", region)
    s3.create_bucket(Bucket=bucket, **place)
    s3.put_object(Bucket=bucket, Key=TEMPLATES[name]["Parameters"]["CodeKey"]["Default"], Body=template.archive())
    for sink, key in zip(SINKS, ("SlackSecret", "PagerDutySecret"), strict=True):
        values[key] = secrets.create_secret(Name=sink, SecretString="x")["ARN"]
    values["CodeBucket"] = bucket
    given["Parameters"] = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    return given


def finished(cloud: Any, name: str) -> str:
    for _ in range(600):
        status = str(cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
        if not status.endswith("IN_PROGRESS"):
            return status
        time.sleep(0.02)
    return status


def by_change_set(
    gateway: Gateway, cloud: Any, kind: str, body: dict[str, Any], given: dict[str, Any]
) -> list[dict[str, Any]]:
    """Carry out a change set, with CloudFormation's time to begin, and return what it says of each resource."""
    named = {"StackName": given["StackName"], "ChangeSetName": kind.lower()}
    cloud.create_change_set(**given, ChangeSetName=named["ChangeSetName"], ChangeSetType=kind, TemplateBody=template.text(body))  # fmt: skip
    told = cloud.describe_change_set(**named)
    assert told["Status"] == "CREATE_COMPLETE", told.get("StatusReason")
    cloud.execute_change_set(**named)
    gateway.admin("POST", "advance", {"seconds": 60})
    return [change["ResourceChange"] for change in told["Changes"]]


def held(cloud: Any, name: str) -> dict[str, tuple[str, str]]:
    """Return type and physical name by the name in the template."""
    found = cloud.describe_stack_resources(StackName=name)["StackResources"]
    assert {one["ResourceStatus"] for one in found} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    return {one["LogicalResourceId"]: (one["ResourceType"], one["PhysicalResourceId"]) for one in found}


def alarms(gateway: Gateway, region: str) -> dict[str, dict[str, Any]]:
    pages = gateway.client("cloudwatch", region).get_paginator("describe_alarms")
    pages = pages.paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"], AlarmNamePrefix="prod-")
    return {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"] + page["CompositeAlarms"]}


@pytest.mark.parametrize(("name", "region", "change_set"), [
    ("alerts-delivery", HOME, False), ("alerts-services", HOME, True), ("alerts-application", HOME, False), ("alerts-us-east-1", AWAY, True),
])  # fmt: skip
def test_a_stack_makes_all_of_its_resources(stepped: Gateway, name: str, region: str, change_set: bool) -> None:
    cloud, body, given = stepped.client("cloudformation", region), TEMPLATES[name], arguments(stepped, name, region)
    for group in ("/shop/worker", "/shop/batch") if "application" in name else ():
        stepped.client("logs", region).create_log_group(logGroupName=group)
    if change_set:
        changes = by_change_set(stepped, cloud, "CREATE", body, given)
        assert {change["LogicalResourceId"] for change in changes} == set(body["Resources"])
    else:
        cloud.create_stack(**given, TemplateBody=template.text(body))
    assert finished(cloud, name) == "CREATE_COMPLETE"
    made = held(cloud, name)
    assert {key: kind for key, (kind, _) in made.items()} == {key: one["Type"] for key, one in body["Resources"].items()}  # fmt: skip
    there = alarms(stepped, region)
    for key, resource in body["Resources"].items():
        said = resource["Properties"]
        if resource["Type"] in (ALARM, COMPOSITE):
            alarm = there[made[key][1]]
            plain = {field: value for field, value in said.items() if "Ref" not in str(value) and "Fn::" not in str(value)}  # fmt: skip
            assert {field: alarm.get(field) for field in plain} == plain
            assert alarm["AlarmActions"] == alarm["OKActions"] and alarm["AlarmActions"][0].startswith("arn:aws:")


def test_delivery_is_wired_as_the_template_says(stepped: Gateway) -> None:
    """Asked of each service, not of CloudFormation."""
    sns, sqs, functions = (stepped.client(one) for one in ("sns", "sqs", "lambda"))
    made = held(stepped.client("cloudformation"), "alerts-delivery")
    arn = lambda key: sqs.get_queue_attributes(QueueUrl=made[key][1], AttributeNames=["All"])["Attributes"]  # noqa: E731
    for sink, topics in (("Slack", ("Alerts", "Critical")), ("PagerDuty", ("Critical",))):
        function = f"ops-notify-{sink.lower()}"
        settings = functions.get_function_configuration(FunctionName=function)
        assert settings["Handler"] == "opslib.alerting.notifier.handler" and settings["CodeSize"] == len(template.archive())  # fmt: skip
        assert settings["LoggingConfig"]["LogGroup"] == f"/aws/lambda/{function}" and settings["Architectures"] == [
            "arm64"
        ]
        assert functions.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"] == 5
        invoke = functions.get_function_event_invoke_config(FunctionName=function, Qualifier="$LATEST")
        failed = invoke["DestinationConfig"]["OnFailure"]["Destination"]
        assert (failed, invoke["MaximumRetryAttempts"]) == (arn(f"{sink}Failed")["QueueArn"], 2)
        for topic in topics:
            told = sns.get_subscription_attributes(SubscriptionArn=made[f"{sink}On{topic}"][1])["Attributes"]
            assert json.loads(told["RedrivePolicy"]) == {"deadLetterTargetArn": arn(f"{sink}Undelivered")["QueueArn"]}
            subscribed = sns.list_subscriptions_by_topic(TopicArn=made[topic][1])["Subscriptions"]
            assert f":{function}" in str([one["Endpoint"] for one in subscribed])
        assert "sns.amazonaws.com" in arn(f"{sink}Undelivered")["Policy"]
        allowed = json.loads(functions.get_policy(FunctionName=function)["Policy"])["Statement"]
        assert {one["Principal"]["Service"] for one in allowed} == {"sns.amazonaws.com"} | ({"events.amazonaws.com"} if sink == "PagerDuty" else set())  # fmt: skip
    topic = sns.get_topic_attributes(TopicArn=made["Critical"][1])["Attributes"]
    assert "cloudwatch.amazonaws.com" in topic["Policy"] and topic["KmsMasterKeyId"] == made["Key"][1]
    beat = made["Heartbeat"][1]
    targets = stepped.client("events").list_targets_by_rule(Rule=beat.rpartition("/")[2].rpartition("|")[2])["Targets"]
    assert {each["DeadLetterConfig"]["Arn"] for each in targets} == {arn("RulesUndelivered")["QueueArn"]}
    group = stepped.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/ops-notify-slack")["logGroups"]
    assert group[0]["retentionInDays"] == 90


def test_what_the_worker_logs_is_counted(stepped: Gateway) -> None:
    filters = stepped.client("logs").describe_metric_filters(logGroupName="/shop/worker")["metricFilters"]
    [transformation] = filters[0]["metricTransformations"]
    assert (transformation["metricNamespace"], transformation["metricName"]) == ("Ops/Jobs", "JobsFailed")


def test_a_change_is_made_in_place_and_a_broken_one_is_taken_back(stepped: Gateway) -> None:
    name, cloud = "alerts-services", stepped.client("cloudformation")
    body, given = copy.deepcopy(TEMPLATES[name]), {"StackName": name}
    key, resource = next((key, one) for key, one in body["Resources"].items() if one["Type"] == ALARM)
    severe = next(key for key, one in body["Resources"].items() if one["Type"] == COMPOSITE)
    called, rule = resource["Properties"]["AlarmName"], body["Resources"][severe]["Properties"]["AlarmRule"]
    resource["Properties"]["Threshold"] = 77
    body["Resources"][severe]["Properties"]["AlarmRule"] = f'{rule} OR ALARM("{called}")'
    before = alarms(stepped, HOME)
    changes = by_change_set(stepped, cloud, "UPDATE", body, given)
    assert {(one["LogicalResourceId"], one["Action"], one["Replacement"]) for one in changes} == {(key, "Modify", "False"), (severe, "Modify", "False")}  # fmt: skip
    assert finished(cloud, name) == "UPDATE_COMPLETE"
    after = alarms(stepped, HOME)
    assert after[called]["Threshold"] == 77 and called in after[f"{FULL['name']}-severe-services"]["AlarmRule"]
    assert after[called]["StateUpdatedTimestamp"] >= before[called]["StateUpdatedTimestamp"]
    resource["Properties"]["Threshold"] = 78
    body["Resources"]["Broken"] = copy.deepcopy(resource) | {"DependsOn": key}
    body["Resources"]["Broken"]["Properties"] |= {"AlarmName": "prod-broken", "DatapointsToAlarm": 99}
    cloud.update_stack(**given, TemplateBody=template.text(body))
    assert finished(cloud, name) == "UPDATE_ROLLBACK_COMPLETE"
    events = cloud.describe_stack_events(StackName=name)["StackEvents"]
    [failed] = [each for each in events if each["ResourceStatus"] == "UPDATE_FAILED" or each["ResourceStatus"] == "CREATE_FAILED"]  # fmt: skip
    assert failed["LogicalResourceId"] == "Broken" and "DatapointsToAlarm must be" in failed["ResourceStatusReason"]
    assert alarms(stepped, HOME)[called]["Threshold"] == 77 and "Broken" not in held(cloud, name)


def test_another_name_is_another_alarm(stepped: Gateway) -> None:
    name, cloud = "alerts-us-east-1", stepped.client("cloudformation", AWAY)
    body = copy.deepcopy(TEMPLATES[name])
    used = json.dumps([one for one in body["Resources"].values() if one["Type"] == COMPOSITE])
    key, resource = next((key, one) for key, one in body["Resources"].items() if one["Type"] == ALARM and str(one["Properties"]["AlarmName"]) not in used)  # fmt: skip
    before = resource["Properties"]["AlarmName"]
    resource["Properties"]["AlarmName"] = "prod-renamed"
    [change] = by_change_set(stepped, cloud, "UPDATE", body, {"StackName": name})
    assert (change["LogicalResourceId"], change["Replacement"]) == (key, "True")
    assert finished(cloud, name) == "UPDATE_COMPLETE"
    there = alarms(stepped, AWAY)
    assert "prod-renamed" in there and before not in there


def test_an_alarm_that_is_there_is_not_taken_over(stepped: Gateway) -> None:
    cloud = stepped.client("cloudformation")
    cloud.create_stack(StackName="twice", TemplateBody=template.text(TEMPLATES["alerts-services"]))
    assert finished(cloud, "twice") == "ROLLBACK_COMPLETE"
    reasons = [each.get("ResourceStatusReason", "") for each in cloud.describe_stack_events(StackName="twice")["StackEvents"]]  # fmt: skip
    assert any("already exists" in reason for reason in reasons)
    assert len(alarms(stepped, HOME)) >= 60


def test_a_stack_takes_its_alarms_with_it(stepped: Gateway) -> None:
    cloud = stepped.client("cloudformation")
    names = [physical for kind, physical in held(cloud, "alerts-services").values() if kind in (ALARM, COMPOSITE)]
    cloud.delete_stack(StackName="alerts-services")
    with pytest.raises(ClientError, match="does not exist"):
        for _ in range(600):
            finished(cloud, "alerts-services")
            time.sleep(0.02)
    assert not set(names) & set(alarms(stepped, HOME))
