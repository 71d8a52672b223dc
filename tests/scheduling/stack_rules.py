"""What must hold of a template of schedules, read from the template and opslib.toml alone: one sentence for each rule broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Template = dict[str, Any]
QUEUE = {"Fn::GetAtt": ["Undelivered", "Arn"]}
CLUSTER, FAMILY = "arn:aws:ecs:ap-northeast-1:123456789012:cluster/shop", "arn:aws:ecs:ap-northeast-1:123456789012:task-definition/ops-reports"  # fmt: skip
ROLES = ["arn:aws:iam::123456789012:role/ops-task", "arn:aws:iam::123456789012:role/ops-execution"]
GRANTS = [
    {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": f"{FAMILY}:*", "Condition": {"ArnEquals": {"ecs:cluster": CLUSTER}}},
    {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLES, "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}},
    {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE},
]  # fmt: skip


def broken(template: Template, times: dict[str, str]) -> list[str]:
    """Return every rule that a template breaks; `times` are the expressions of the schedules by their names."""
    return [*_role(template["Resources"]["Role"]["Properties"]), *_queue(template["Resources"]), *_schedules(template["Resources"], times)]  # fmt: skip


def _role(role: dict[str, Any]) -> Iterator[str]:
    said = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
    if said != GRANTS or "ManagedPolicyArns" in role:
        yield "the role may do otherwise than start this task and leave what failed"
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    if trust["Principal"] != {"Service": "scheduler.amazonaws.com"} or trust.get("Condition") != {"StringEquals": {"aws:SourceAccount": "123456789012"}}:  # fmt: skip
        yield "others than this account's Scheduler may take the role"


def _queue(resources: dict[str, Any]) -> Iterator[str]:
    if resources.get("Undelivered", {}).get("Type") != "AWS::SQS::Queue":
        yield "there is no queue"
    watched = {"Name": "QueueName", "Value": {"Fn::GetAtt": ["Undelivered", "QueueName"]}}
    alarm = resources.get("UndeliveredAlarm", {}).get("Properties", {})
    if alarm.get("Dimensions") != [watched] or alarm.get("AlarmActions") != ["arn:aws:sns:ap-northeast-1:123456789012:ops-alerts"]:  # fmt: skip
        yield "nobody is told of what lies in the queue"


def _schedules(resources: dict[str, Any], times: dict[str, str]) -> Iterator[str]:
    found = {one["Properties"]["Name"]: one["Properties"] for one in resources.values() if one["Type"] == "AWS::Scheduler::Schedule"}  # fmt: skip
    if set(found) != {f"schedules-prod-{name}" for name in times}:
        yield "other schedules than those of opslib.toml"
        return
    for name, expression in times.items():
        one = found[f"schedules-prod-{name}"]
        target = one["Target"]
        if (one["ScheduleExpression"], one["ScheduleExpressionTimezone"], one["FlexibleTimeWindow"], one["State"]) != (expression, "Asia/Tokyo", {"Mode": "OFF"}, "ENABLED"):  # fmt: skip
            yield f"{name} comes at another time"
        if target.get("DeadLetterConfig") != {"Arn": QUEUE} or not 60 <= target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600:  # fmt: skip
            yield f"{name} is lost when no task can be started"
        task = target["EcsParameters"]
        if (target["Arn"], task["TaskDefinitionArn"], task["LaunchType"], task["TaskCount"]) != (CLUSTER, FAMILY, "FARGATE", 1):  # fmt: skip
            yield f"{name} starts another task"
        if json.loads(target["Input"]) != {"containerOverrides": [{"name": "opslib", "command": ["opslib", "run", "--due", "--env", "prod", name]}]}:  # fmt: skip
            yield f"{name} runs another command"
