"""The CloudFormation template of an environment's schedules: EventBridge Scheduler starts a Fargate task for each.

Scheduler calls at least once and tries for an hour; what it cannot start lies in a queue with an alarm. It does not see
how the task ends: the report's own alarm does.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from opslib import config, cron
from opslib.alerting.delivery import TOPICS, queue, queue_alarm
from opslib.alerting.report_alarms import unwatched
from opslib.alerting.template import logical
from opslib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opslib.config import Environment
    from opslib.config_sections import Runner, Schedule

QUEUE, ROLE = "Undelivered", "Role"
WATCH, _DAILY = "Watch", "cron(0 12 * * ? *)"  # no schedule's own name has a capital letter
_LONGEST = 64  # characters of a schedule's name
_RETRY = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 3600}  # by then the report's alarm is on


def stack_name(environment: Environment) -> str:
    """Return the name of the stack, which two environments in one account do not share."""
    return f"schedules-{re.sub('[^A-Za-z0-9-]', '-', environment.name)}"


def template(environment: Environment, listed: Sequence[Schedule], roles: Sequence[str]) -> dict[str, Any]:
    """Return the template for what is scheduled; `roles` are the ARNs of the roles that the task has.

    Raises ConfigError for what opslib.toml lacks, and for times and zones that Scheduler cannot say.
    """
    runner, topic = runner_of(environment), f"arn:aws:sns:{environment.region}:{environment.account}:{TOPICS['Alerts']}"
    schedules = {logical(f"schedule-{one.name}"): _schedule(environment, runner, one) for one in listed}
    if unwatched(environment, listed):
        schedules["Watch"] = _started(environment, runner, WATCH, _DAILY, "asks daily whether a report is overdue", ())
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Schedules of {environment.name}; made by opslib schedule plan",
        "Resources": {
            QUEUE: queue(), f"{QUEUE}Alarm": queue_alarm(QUEUE, "schedules-undelivered", environment, topic),
            ROLE: _role(environment, runner, roles), **schedules,
        },
    }  # fmt: skip


def runner_of(environment: Environment) -> Runner:
    """Return where reports run; raises ConfigError when nothing is named, or a run there would remember nothing."""
    place = f"{config.FILE_NAME}, [env.{environment.name}]"
    if not environment.runner:
        why = "EventBridge Scheduler needs a task to start"
        raise ConfigError(f"{place}: runner is missing", why=why, fix=f"add [env.{environment.name}.runner] with task_definition, container, subnets and security_groups")  # fmt: skip
    if not cluster(environment):
        raise ConfigError(f"{place}: no cluster is named", why="the task must run in one", fix=f"add cluster to [env.{environment.name}.runner]")  # fmt: skip
    if not environment.lock_bucket:
        why = "a task has a disk of its own: it would not know what the last one looked at"
        raise ConfigError(f"{place}: lock_bucket is missing", why=why, fix=f'add lock_bucket = "BUCKET" to [env.{environment.name}]')  # fmt: skip
    return environment.runner


def cluster(environment: Environment) -> str:
    """Return the cluster in which reports run; empty when none is named."""
    return (environment.runner.cluster if environment.runner else "") or environment.services.cluster


def _schedule(environment: Environment, runner: Runner, schedule: Schedule) -> dict[str, Any]:
    said = f"{schedule.notebook}: {schedule.cron}"
    return _started(environment, runner, schedule.name, _expression(schedule), said, (schedule.name,))


def _started(environment: Environment, runner: Runner, name: str, expression: str, said: str, due: tuple[str, ...]) -> dict[str, Any]:  # fmt: skip
    command = ["opslib", "run", "--due", "--env", environment.name, *due]
    network = {"Subnets": list(runner.subnets), "SecurityGroups": list(runner.security_groups), "AssignPublicIp": "ENABLED" if runner.public_ip else "DISABLED"}  # fmt: skip
    task = {"TaskDefinitionArn": _ecs(environment, f"task-definition/{runner.task_definition}"), "LaunchType": "FARGATE", "TaskCount": 1, "NetworkConfiguration": {"AwsvpcConfiguration": network}}  # fmt: skip
    target = {
        "Arn": _ecs(environment, f"cluster/{cluster(environment)}"), "RoleArn": {"Fn::GetAtt": [ROLE, "Arn"]}, "EcsParameters": task, "RetryPolicy": _RETRY,
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": [QUEUE, "Arn"]}}, "Input": json.dumps({"containerOverrides": [{"name": runner.container, "command": command}]}),
    }  # fmt: skip
    properties = {
        "Name": _name(environment, name), "State": "ENABLED", "ScheduleExpression": expression, "ScheduleExpressionTimezone": _zone(environment),
        "FlexibleTimeWindow": {"Mode": "OFF"}, "Description": said, "Target": target,
    }  # fmt: skip
    return {"Type": "AWS::Scheduler::Schedule", "Properties": properties}


def _role(environment: Environment, runner: Runner, roles: Sequence[str]) -> dict[str, Any]:
    """Return Scheduler's role: this task in this cluster with the roles that it has, and the queue."""
    own = {"StringEquals": {"aws:SourceAccount": environment.account}}
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole", "Condition": own}  # fmt: skip
    starts = {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": _ecs(environment, f"task-definition/{runner.task_definition}:*"), "Condition": {"ArnEquals": {"ecs:cluster": _ecs(environment, f"cluster/{cluster(environment)}")}}}  # fmt: skip
    passes = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": list(roles), "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}}  # fmt: skip
    leaves = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": [QUEUE, "Arn"]}}
    document = {"Version": "2012-10-17", "Statement": [starts, *([passes] if roles else []), leaves]}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}, "Policies": [{"PolicyName": "run", "PolicyDocument": document}]},
    }  # fmt: skip


def _expression(schedule: Schedule) -> str:
    try:
        return cron.for_scheduler(schedule.cron)
    except ValueError as error:
        why, _, fix = str(error).partition("; ")
        raise ConfigError(f"{config.schedule_origin(schedule.name)}: key 'cron' is wrong", why=why, fix=fix) from None


def _zone(environment: Environment) -> str:
    zone = environment.zone
    name = zone.key if isinstance(zone, ZoneInfo) else environment.timezone.upper()
    known = {"JST": "Asia/Tokyo"}.get(name, name)
    if known != "UTC" and "/" not in known:
        why = f"EventBridge Scheduler knows zones by name, and not {environment.timezone!r}"
        raise ConfigError(f"{config.FILE_NAME}, [env.{environment.name}]: key 'timezone' is wrong", why=why, fix='write a name such as "Asia/Tokyo"')  # fmt: skip
    return known


def _name(environment: Environment, of: str) -> str:
    name = f"{stack_name(environment)}-{of}"
    if len(name) > _LONGEST:
        why = f"with its environment it is {name!r}, and EventBridge Scheduler takes {_LONGEST} characters"
        raise ConfigError(f"{config.schedule_origin(of)}: key 'name' is wrong", why=why, fix="give it a shorter name")  # fmt: skip
    return name


def _ecs(environment: Environment, what: str) -> str:
    return f"arn:aws:ecs:{environment.region}:{environment.account}:{what}"
