"""The template of how alerts reach people: topics, a notifier a sink, queues for what was not delivered, and their watch.

One stack an account and region. What watches Slack's path acts on PagerDuty's and the reverse.
"""

from __future__ import annotations

import json
import re
from typing import Any

from opslib.alerting.alarms import ALERTS, CRITICAL, metric_alarm, table
from opslib.alerting.still_on import EVERY
from opslib.config import Environment

TIMEOUT_S, KEPT_DAYS = 45, 90  # of the function: the notifier's budget, with room for a late end and the secret
# Topics, and where its failure is told. From ops-alerts PagerDuty takes only the ends of what was raised since it stayed on.
SINKS = {"Slack": (("Alerts", "Critical"), CRITICAL), "PagerDuty": (("Alerts", "Critical"), ALERTS)}
TOPICS = {"Alerts": "ops-alerts", "Critical": "ops-critical"}
SECRET = r"^arn:aws:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+|ssm:[a-z0-9-]+:[0-9]{12}:parameter/.+)$"
DRILL = "ops.drill"  # AWS lets nobody put events of aws.*: a drill is let through every pattern under this name
LOG_GROUPS = "LogGroups"  # the parameter with what log_groups of opslib.toml matches when the stack is planned
_RUNBOOK = "1-monitor/alert-pipeline"


def delivery(environment: Environment, *, code: str) -> dict[str, Any]:
    """Return the template for an environment's account; `code` is the default key of the notifier's zip in S3.

    The code is 20 kB, five times what a template should hold inline, and twice: it comes from S3 by its content's name.
    """
    secret = {"Type": "String", "AllowedPattern": SECRET}
    named = [name for name in environment.log_groups if not re.search(r"[*?\[]", name)]
    resources: dict[str, Any] = {**_topics(), "RulesUndelivered": queue(), "RulesUndeliveredPolicy": queue_policy("RulesUndelivered", "events")}  # fmt: skip
    for sink in SINKS:
        resources |= _sink(sink, environment)
    resources |= {**_heartbeat(), **_still_on(environment), **_drill(environment), **_watch(environment)}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"How alerts reach Slack and PagerDuty ({environment.name}); made by opslib alerts template",
        "Parameters": {
            "CodeBucket": {"Type": "String", "AllowedPattern": "^[a-z0-9][a-z0-9.-]{2,62}$", "Description": "A bucket of this region, with notifier.zip under CodeKey"},
            "CodeKey": {"Type": "String", "Default": code},
            "SlackSecret": {**secret, "Description": "ARN of the secret or parameter with the webhook's address"},
            "PagerDutySecret": {**secret, "Description": "ARN of the secret or parameter with the routing key"},
            LOG_GROUPS: {"Type": "String", "Default": ",".join(named), "Description": "Log groups that messages link to, by commas: the console takes no patterns"},
        },
        "Resources": resources,
        "Outputs": {name: {"Value": {"Ref": name}} for name in TOPICS},
    }  # fmt: skip


def queue() -> dict[str, Any]:
    """Return a queue for what was not delivered, kept two weeks, also when the stack goes."""
    kept = {"MessageRetentionPeriod": 1_209_600, "SqsManagedSseEnabled": True}
    return {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": kept}


def queue_policy(name: str, service: str) -> dict[str, Any]:
    """Return the permission of SNS or EventBridge, for this account, to leave messages in a queue."""
    said = _allow(service, "sqs:SendMessage", _arn(name)) | {"Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}}  # fmt: skip
    return {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": name}], "PolicyDocument": _policy(said)}}


def target(name: str, to: Any, failed: str, **more: Any) -> dict[str, Any]:
    """Return a rule's target: a day of tries, then its queue."""
    retry = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
    return {"Id": name, "Arn": to, "RetryPolicy": retry, "DeadLetterConfig": {"Arn": _arn(failed)}, **more}


def queue_alarm(name: str, label: str, environment: Environment, topic: Any) -> dict[str, Any]:
    """Return the alarm on a queue that holds anything: something was not delivered."""
    row = {
        "ns": "AWS/SQS", "metric": "ApproximateNumberOfMessagesVisible", "stat": "Maximum", "op": ">", "threshold": 0, "m": 1, "n": 1,
        "missing": "notBreaching", "severity": "error", "runbook": _RUNBOOK, "say": f"Something was not delivered: {label}.",
    }  # fmt: skip
    return _alarm(f"{environment.name}-{label}", row, {"QueueName": {"Fn::GetAtt": [name, "QueueName"]}}, environment, topic)  # fmt: skip


def _topics() -> dict[str, Any]:
    """Two topics under a key of our own: with AWS's, alarms and rules could not publish, and only their history would tell."""
    root = {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "kms:*", "Resource": "*"}  # fmt: skip
    services = [_allow(name, ["kms:Decrypt", "kms:GenerateDataKey*"], "*") for name in ("cloudwatch", "events")]
    key = {"Description": "Topics of alerts", "EnableKeyRotation": True, "KeyPolicy": _policy(root, *services)}
    found: dict[str, Any] = {"Key": {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": key}}  # fmt: skip
    for name, called in TOPICS.items():
        own = {"ArnLike": {"aws:SourceArn": {"Fn::Sub": "arn:aws:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*"}}}
        said = [_allow("cloudwatch", "sns:Publish", {"Ref": name}) | {"Condition": own}, _allow("events", "sns:Publish", {"Ref": name})]  # fmt: skip
        found[name] = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": called, "KmsMasterKeyId": {"Ref": "Key"}}}
        found[f"{name}Policy"] = {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": name}], "PolicyDocument": _policy(*said)}}  # fmt: skip
    return found


def _sink(sink: str, environment: Environment) -> dict[str, Any]:
    """The function of one sink, all by itself: what harms it harms no other."""
    called, topics = f"ops-notify-{sink.lower()}", SINKS[sink][0]
    variables = {
        "SINK": sink.lower(), "SECRET": {"Ref": f"{sink}Secret"}, "ENVIRONMENT": environment.name, "LOG_GROUPS": {"Ref": LOG_GROUPS}, "LOG_REGION": environment.region, "FAILED": {"Ref": f"{sink}Failed"},
        **({"RAISE_AFTER": str(environment.alerts.raise_after_minutes)} if sink == "PagerDuty" else {}),
    }  # fmt: skip
    function = {
        "FunctionName": called, "Runtime": "python3.13", "Architectures": ["arm64"], "Handler": "opslib.alerting.notifier.handler", "MemorySize": 256, "Timeout": TIMEOUT_S,
        "Code": {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}, "Role": _arn(f"{sink}Role"), "ReservedConcurrentExecutions": 5,
        "Environment": {"Variables": variables}, "LoggingConfig": {"LogGroup": {"Ref": f"{sink}Logs"}},
    }  # fmt: skip
    invoke = {
        "FunctionName": {"Ref": f"{sink}Function"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 21_600,
        "DestinationConfig": {"OnFailure": {"Destination": _arn(f"{sink}Failed")}},
    }  # fmt: skip
    found: dict[str, Any] = {
        f"{sink}Logs": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": {"LogGroupName": f"/aws/lambda/{called}", "RetentionInDays": KEPT_DAYS}},
        f"{sink}Failed": queue(), f"{sink}Undelivered": queue(), f"{sink}UndeliveredPolicy": queue_policy(f"{sink}Undelivered", "sns"),
        f"{sink}Role": _role(sink), f"{sink}Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        f"{sink}Retries": {"Type": "AWS::Lambda::EventInvokeConfig", "Properties": invoke},
    }  # fmt: skip
    if sink == "PagerDuty":  # every deploy, as a change; no topic brings it
        found["PagerDutyFromRules"] = _invoked(sink, "events", {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:rule/*"})  # fmt: skip
    for topic in topics:
        subscribed = {"TopicArn": {"Ref": topic}, "Protocol": "lambda", "Endpoint": _arn(f"{sink}Function"), "RedrivePolicy": {"deadLetterTargetArn": _arn(f"{sink}Undelivered")}}  # fmt: skip
        found[f"{sink}From{topic}"] = _invoked(sink, "sns", {"Ref": topic})
        found[f"{sink}On{topic}"] = {"Type": "AWS::SNS::Subscription", "DependsOn": f"{sink}UndeliveredPolicy", "Properties": subscribed}  # fmt: skip
    return found


def _role(sink: str) -> dict[str, Any]:
    """What a notifier may do: read its own secret, write its own log, leave what failed; PagerDuty's asks what is on, and how long builds took."""
    may = [
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": _arn(f"{sink}Logs")},
        {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameter"], "Resource": {"Ref": f"{sink}Secret"}},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": _arn(f"{sink}Failed")},
    ]  # fmt: skip
    builds = {"Effect": "Allow", "Action": "amplify:GetJob", "Resource": {"Fn::Sub": "arn:aws:amplify:${AWS::Region}:${AWS::AccountId}:apps/*/branches/*/jobs/*"}}  # fmt: skip
    on: dict[str, Any] = {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"PolicyName": "notify", "PolicyDocument": _policy(*may, *([builds, on] if sink == "PagerDuty" else []))}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": _policy(trust), "Policies": [policy]}}


def _heartbeat() -> dict[str, Any]:
    """Every 15 minutes through rule, topic, subscription, function and secret; nobody is disturbed. Also when asked for."""
    beat = json.dumps({"source": DRILL, "detail-type": "heartbeat"})
    targets = [target(called, {"Ref": name}, "RulesUndelivered") for name, called in TOPICS.items()]
    return {
        "Heartbeat": _rule([{**one, "Input": beat} for one in targets], ScheduleExpression="rate(15 minutes)"),
        "HeartbeatNow": _rule(targets, EventPattern={"source": [DRILL], "detail-type": ["heartbeat"]}),
    }


def _still_on(environment: Environment) -> dict[str, Any]:
    """What asks every five minutes for warnings that are on for too long; the function pages for them."""
    if not environment.alerts.raise_after_minutes:
        return {}
    minutes = int(EVERY.total_seconds() / 60)
    return {"StillOn": _rule([target("still-on", _arn("PagerDutyFunction"), "RulesUndelivered")], ScheduleExpression=f"rate({minutes} minutes)")}  # fmt: skip


def _drill(environment: Environment) -> dict[str, Any]:
    """An alarm that never comes on by itself: a drill sets it on and off, and so tries what every alarm needs."""
    row = {
        "ns": "Ops/Alerting", "metric": "Drill", "stat": "Sum", "op": ">=", "threshold": 1, "m": 1, "n": 1, "missing": "notBreaching",
        "severity": "info", "runbook": _RUNBOOK, "say": "DRILL: this is a test of the alerting, and nothing is wrong.",
    }  # fmt: skip
    made = _alarm(drill_alarm(environment), row, {"Kind": "none"}, environment, ALERTS)
    both = [ALERTS, CRITICAL]
    return {"DrillAlarm": {**made, "Properties": {**made["Properties"], "AlarmActions": both, "OKActions": both}}}


def drill_alarm(environment: Environment) -> str:
    """Return the name of the alarm that only drills set."""
    return f"{environment.name}-alerting-DRILL"


def _rule(targets: list[dict[str, Any]], **when: Any) -> dict[str, Any]:
    return {"Type": "AWS::Events::Rule", "Properties": {**when, "State": "ENABLED", "Targets": targets}}


def _watch(environment: Environment) -> dict[str, Any]:
    """The alarms on the alerting itself, each on the path that it is not about."""
    rules = queue_alarm("RulesUndelivered", "alerting-rules-undelivered", environment, ALERTS)
    rules["Properties"] |= {
        "AlarmActions": [ALERTS, CRITICAL],
        "OKActions": [ALERTS, CRITICAL],
    }  # heartbeats go by both
    found = {"RulesUndeliveredAlarm": rules}
    recommended = [row for row in table()["recommended"] if row["ns"] == "AWS/Lambda" and "left_out" not in row]
    # A notifier runs now and then: what AWS recommends, missing data as missing, would tell an OK after every pause.
    lambdas = [{**row, "missing": "notBreaching"} for row in recommended]
    for sink, (topics, other) in SINKS.items():
        low = sink.lower()
        for kind in ("Failed", "Undelivered"):
            found[f"{sink}{kind}Alarm"] = queue_alarm(f"{sink}{kind}", f"alerting-{low}-{kind.lower()}", environment, other)  # fmt: skip
        for row in lambdas:
            found[f"{sink}{row['metric']}Alarm"] = _alarm(f"{environment.name}-alerting-{low}-{row['metric'].lower()}", row, {"FunctionName": {"Ref": f"{sink}Function"}}, environment, other)  # fmt: skip
        for topic in topics:
            say = f"No heartbeat comes through {TOPICS[topic]} to {sink}: alerts would not, either."
            found[f"{sink}{topic}HeartbeatAlarm"] = _silence(low, f"heartbeat {TOPICS[topic]}", say, environment, other)
    if environment.alerts.raise_after_minutes:
        say = "Nothing looks for warnings that stay on: none of them would be raised by itself."
        found["PagerDutyTickAlarm"] = _silence("pagerduty", "tick", say, environment, ALERTS)
    for topic, other in (("Alerts", CRITICAL), ("Critical", ALERTS)):
        row = {
            "ns": "AWS/SNS", "metric": "NumberOfNotificationsFailedToRedriveToDlq", "stat": "Sum", "op": ">", "threshold": 0, "m": 1, "n": 1,
            "missing": "notBreaching", "severity": "error", "runbook": _RUNBOOK, "say": f"Alerts of {TOPICS[topic]} are lost: not even their queue takes them.",
        }  # fmt: skip
        found[f"{topic}LostAlarm"] = _alarm(f"{environment.name}-alerting-{TOPICS[topic]}-lost", row, {"TopicName": TOPICS[topic]}, environment, other)  # fmt: skip
    return found


def _silence(sink: str, kind: str, say: str, environment: Environment, topic: Any) -> dict[str, Any]:
    """Return the alarm on a sink's function that has not done something for three quarters of an hour.

    It counts datapoints: before it is made a zero is written, or it would be on until the first beat (`stack_alarms`).
    """
    row = {
        "ns": "Ops/Alerting", "metric": "Told", "stat": "SampleCount", "period": 900, "op": "<", "threshold": 1, "m": 3, "n": 3, "missing": "breaching",
        "severity": "error", "runbook": _RUNBOOK, "say": say,
    }  # fmt: skip
    return _alarm(f"{environment.name}-alerting-{sink}-{kind.replace(' ', '-')}", row, {"Sink": sink, "Kind": kind}, environment, topic)  # fmt: skip


def _alarm(name: str, row: dict[str, Any], dimensions: dict[str, Any], environment: Environment, topic: Any) -> dict[str, Any]:  # fmt: skip
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": metric_alarm(name, row, dimensions, environment.name, topic)}  # fmt: skip


def _invoked(sink: str, service: str, source: Any) -> dict[str, Any]:
    given = {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": f"{sink}Function"}, "Principal": f"{service}.amazonaws.com", "SourceArn": source}  # fmt: skip
    return {"Type": "AWS::Lambda::Permission", "Properties": given}


def _allow(service: str, action: str | list[str], resource: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": action, "Resource": resource}  # fmt: skip


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}
