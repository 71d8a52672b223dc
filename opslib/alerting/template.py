"""The CloudFormation templates of an environment's alerts, and the zip of the notifier's code.

alerts-delivery     how alerts reach people; also wanted in us-east-1, whose alarms reach only topics there
alerts-services     the alarms of the ECS services
alerts-application  the alarms of everything else, and the rules for events
alerts-us-east-1    CloudFront and Route 53, and Health of what is global
Several, since a template in a call may have 51,200 bytes, and so that nothing that holds messages changes with a threshold.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from importlib import resources
from typing import TYPE_CHECKING, Any

from opslib.alerting.alarms import ALERTS, CRITICAL, GLOBAL, Alarm, alarms
from opslib.alerting.delivery import DRILL, TOPICS, delivery, queue, queue_alarm, queue_policy, target
from opslib.alerting.report_alarms import report_alarms
from opslib.config import schedules

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from opslib.config import Environment

ARCHIVE = "notifier.zip"
_CODE = (
    "",
    "__init__.py",
    "links.py",
    "messages.py",
    "still_on.py",
    "notifier.py",
)  # empty: an opslib without anything
_RDS = ["availability", "failover", "failure", "low storage", "read replica", "recovery"]
_STUCK = ["SERVICE_TASK_START_IMPAIRED", "SERVICE_TASK_PLACEMENT_FAILURE", "SERVICE_TASK_CONFIGURATION_FAILURE"]
_DEPLOYED = ["SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_DEPLOYMENT_FAILED"]


def templates(environment: Environment) -> dict[str, dict[str, Any]]:
    """Return each template by the name of its stack; raises ConfigError for thresholds of alarms that there are not."""
    found = [*alarms(environment), *report_alarms(environment, schedules(environment))]
    code = f"opslib/notifier-{hashlib.sha256(archive()).hexdigest()[:16]}.zip"
    home = [alarm for alarm in found if alarm.region == environment.region]
    services = [alarm for alarm in home if alarm.component == "services"]
    rest = [alarm for alarm in home if alarm.component != "services"]
    away = [alarm for alarm in found if alarm.region != environment.region]
    made = {
        "alerts-delivery": delivery(environment, code=code),
        "alerts-services": _stack(environment, environment.region, services, {}) if services else {},
        "alerts-application": _stack(environment, environment.region, rest, {**_job_lines(environment), **_rules(environment)}),
        f"alerts-{GLOBAL}": _stack(environment, GLOBAL, away, {"Health": _health()}) if environment.region != GLOBAL else {},
    }  # fmt: skip
    return {name: template for name, template in made.items() if template}


def text(template: dict[str, Any]) -> str:
    """Return a template as CloudFormation takes it, as short as JSON can be."""
    return json.dumps(template, separators=(",", ":"), ensure_ascii=False) + "\n"


def archive() -> bytes:
    """Return the zip of the notifier's code: the same bytes for the same code."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in _CODE:
            entry = zipfile.ZipInfo(f"opslib/alerting/{name}" if name else "opslib/__init__.py", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            file.writestr(entry, resources.files(__package__).joinpath(name).read_text(encoding="utf-8") if name else "")  # fmt: skip
    return out.getvalue()


def write(environment: Environment, folder: Path) -> list[Path]:
    """Write every template and the zip into a folder and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, template in templates(environment).items():
        files.append(folder / f"{name}.json")
        files[-1].write_text(text(template), encoding="utf-8")
    files.append(folder / ARCHIVE)
    files[-1].write_bytes(archive())
    return files


def _stack(environment: Environment, region: str, found: Iterable[Alarm], more: dict[str, Any]) -> dict[str, Any]:
    account = environment.account
    own = {alarm.name: alarm.resource() for alarm in found}
    named = {name: f"{logical(name)}" for name in own}
    for name, resource in own.items():
        if rule := resource["Properties"].get(
            "AlarmRule"
        ):  # named by text: CloudFormation must be told to make them first
            resource["DependsOn"] = [named[child] for child in re.findall(r'ALARM\("([^"]+)"\)', rule)]
        own[name] = resource
    found_resources = {named[name]: resource for name, resource in own.items()} | more
    if any(one["Type"] == "AWS::Events::Rule" for one in more.values()):
        watch = queue_alarm("EventsUndelivered", "alerting-events-undelivered", environment, CRITICAL)
        found_resources |= {"EventsUndelivered": queue(), "EventsUndeliveredPolicy": queue_policy("EventsUndelivered", "events"), "EventsUndeliveredAlarm": watch}  # fmt: skip
    arns = {name: f"arn:aws:sns:{region}:{account}:{called}" for name, called in TOPICS.items()}
    arns["PagerDuty"] = f"arn:aws:lambda:{region}:{account}:function:ops-notify-pagerduty"
    used = json.dumps(found_resources)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Alarms of {environment.name} in {region}; made by opslib alerts template",
        "Parameters": {name: {"Type": "String", "Default": arn} for name, arn in arns.items() if f'{{"Ref": "{name}"}}' in used},
        "Resources": found_resources,
    }  # fmt: skip


def logical(name: str) -> str:
    """Return the name of a resource in a template for the name of an alarm: different names stay different."""
    words = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
    return f"{words}{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def _job_lines(environment: Environment) -> dict[str, Any]:
    counted = {"MetricNamespace": "Ops/Jobs", "MetricName": "JobsFailed", "MetricValue": "1", "DefaultValue": 0, "Unit": "Count"}  # fmt: skip
    return {
        logical(f"jobs-failed{group}"): {
            "Type": "AWS::Logs::MetricFilter",
            "Properties": {"LogGroupName": group, "FilterPattern": environment.alerts.job_failed, "MetricTransformations": [counted]},
        }
        for group in environment.alerts.job_log_groups
    }  # fmt: skip


def _rules(environment: Environment) -> dict[str, Any]:
    """Return what EventBridge tells: failures to Slack, every deploy to PagerDuty as a change."""
    found, pager = {"Health": _health()}, {"Ref": "PagerDuty"}
    if frontend := environment.frontend:
        app = {"appId": [frontend.app], "branchName": [frontend.branch]}
        built = ("aws.amplify", "Amplify Deployment Status Change")
        found["BuildFailed"] = _rule(*built, {"detail": {**app, "jobStatus": ["FAILED"]}}, ALERTS)
        found["Built"] = _rule(*built, {"detail": {**app, "jobStatus": ["SUCCEED", "FAILED"]}}, pager)
    if cluster := environment.services.cluster:
        place = f"arn:aws:ecs:{environment.region}:{environment.account}:service/{cluster}/"
        ours = {"resources": [{"prefix": place}]}
        deployed, stuck = ("aws.ecs", "ECS Deployment State Change"), ("aws.ecs", "ECS Service Action")
        found["DeploymentFailed"] = _rule(*deployed, {**ours, "detail": {"eventName": [_DEPLOYED[1]]}}, ALERTS)
        found["Deployed"] = _rule(*deployed, {**ours, "detail": {"eventName": _DEPLOYED}}, pager)
        found["ServiceStuck"] = _rule(*stuck, {**ours, "detail": {"eventName": _STUCK}}, ALERTS)
    if (database := environment.database) and database.instance:
        detail = {"SourceIdentifier": [database.instance, *database.replicas], "EventCategories": _RDS}
        found["DatabaseEvent"] = _rule("aws.rds", "RDS DB Instance Event", {"detail": detail}, ALERTS)
    return found


def _health() -> dict[str, Any]:
    detail = {"eventTypeCategory": ["issue", "scheduledChange"]}
    return _rule("aws.health", "AWS Health Event", {"detail": detail}, ALERTS)


def _rule(source: str, kind: str, more: dict[str, Any], to: Any) -> dict[str, Any]:
    pattern = {"source": [source, DRILL], "detail-type": [kind], **more}
    targets = [target("notify", to, "EventsUndelivered")]
    return {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": pattern, "State": "ENABLED", "Targets": targets}}  # fmt: skip
