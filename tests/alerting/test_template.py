"""The templates: AWS's schemas, our rules and their mutants, and the table of alarms row by row."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opslib.actions import stack_state
from opslib.alerting import alarms, template
from opslib.config import Environment
from opslib.errors import ConfigError
from opslib.runner import runbooks
from tests.alerting.template_rules import broken

FULL: dict[str, Any] = {
    "name": "prod", "account": "123456789012", "region": "ap-northeast-1", "log_groups": ("/shop/api", "/shop/*"),
    "services": {"cluster": "shop", "names": ("web", "api")},
    "load_balancer": {"name": "app/shop/1", "target_group": "targetgroup/shop/2"},
    "database": {"host": "h", "dbname": "d", "user": "u", "instance": "shop-db", "replicas": ("shop-db-2",)},
    "cache": {"replication_group": "c", "nodes": ("c-1", "c-2")}, "cdn": {"distribution": "E1"}, "frontend": {"app": "d2"},
    "health_checks": {"www.shop.example": "7a1c"}, "alerts": {"job_log_groups": ("/shop/worker", "/shop/batch")},
}  # fmt: skip
EACH = {  # what the environment above gives each dimension
    "ClusterName": ["shop"], "ServiceName": ["web", "api"], "DBInstanceIdentifier": ["shop-db", "shop-db-2"], "CacheClusterId": ["c-1", "c-2"],
    "CacheNodeId": ["0001"], "DistributionId": ["E1"], "HealthCheckId": ["7a1c"], "LoadBalancer": ["app/shop/1"], "TargetGroup": ["targetgroup/shop/2"],
    "App": ["d2"], "Branch": ["main"], "FunctionName": ["SlackFunction", "PagerDutyFunction"],
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return template.templates(Environment(**FULL))


@pytest.mark.parametrize(
    "more",
    [{}, {"region": "us-east-1"}, {"services": {}, "load_balancer": None, "database": None, "cache": {}, "cdn": None, "frontend": None, "health_checks": {}, "alerts": {}}],
    ids=["full", "us-east-1", "bare"],
)  # fmt: skip
def test_cloudformation_accepts_them(more: dict[str, Any], tmp_path: Path) -> None:
    environment = Environment(**{**FULL, **more})
    files = template.write(environment, tmp_path)
    asked = [str(Path(sys.executable).with_name("cfn-lint")), "-r", "us-east-1", environment.region, "--", *(str(file) for file in files if file.suffix == ".json")]  # fmt: skip
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert broken(template.templates(environment)) == []
    for file in files[:-1]:
        assert stack_state.from_file(str(file))  # the runbook change-infrastructure takes it, by its length too
    assert files[-1].read_bytes() == template.archive()


def test_our_rules_hold(made: dict[str, Any]) -> None:
    assert broken(made) == []


def wanted(row: dict[str, Any]) -> int:
    """How many alarms a row makes here."""
    names = [name for name in row["dims"].split(",") if "=" not in name]
    count = 1
    for name in names:
        count *= len(EACH.get(name, [1]))
    return count - row.get("replicas", False)


@pytest.mark.parametrize("row", [*alarms.table()["recommended"], *alarms.table()["own"]], ids=lambda row: f"{row['ns']} {row.get('metric') or row['name']} {row['dims']}")  # fmt: skip
def test_the_template_is_the_table(row: dict[str, Any], made: dict[str, Any]) -> None:
    own = [resource["Properties"] for one in made.values() for resource in one["Resources"].values() if resource["Type"] == "AWS::CloudWatch::Alarm"]  # fmt: skip
    names = [] if row["dims"] == "JobLogs" else [name.partition("=")[0] for name in row["dims"].split(",") if name]
    found = [alarm for alarm in own if _metric(alarm) == (row["ns"], row.get("metric", row.get("expression")), sorted(names))]  # fmt: skip
    if "left_out" in row:
        queues = row["dims"] == "QueueName"  # ours are watched by our own rule
        assert (queues or not found) and len(row["left_out"]) > 5
        return
    assert len(found) == wanted(row)
    for alarm in found:
        kind = "Statistic" if "Statistic" in alarm else "ExtendedStatistic"
        assert alarm.get(kind) == row.get("stat")
        stats = [one["MetricStat"] for one in alarm.get("Metrics", []) if "MetricStat" in one] or [alarm]
        assert {one["Period"] for one in stats} == {row.get("period", 60)}
        assert (alarm["Threshold"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (row["threshold"], row["m"], row["n"])  # fmt: skip
        sign = {">": "GreaterThanThreshold", ">=": "GreaterThanOrEqualToThreshold", "<": "LessThanThreshold", "<=": "LessThanOrEqualToThreshold"}  # fmt: skip
        missing = "notBreaching" if row["ns"] == "AWS/Lambda" else row["missing"]  # notifiers run now and then
        assert alarm["ComparisonOperator"] == sign[row["op"]] and alarm["TreatMissingData"] == missing
        assert alarm["AlarmDescription"] == f"{row['say']} severity={row['severity']} runbook={row['runbook']} env=prod"
        for pair in alarm.get("Dimensions", []):
            if isinstance(pair["Value"], str):
                assert pair["Value"] in EACH.get(pair["Name"], ["Global"])


def _metric(alarm: dict[str, Any]) -> tuple[str, str, list[str]]:
    if "Metrics" not in alarm:
        return alarm["Namespace"], alarm["MetricName"], sorted(one["Name"] for one in alarm["Dimensions"])
    stats = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    dims = {pair["Name"] for one in stats for pair in one["Dimensions"]}
    expression = next(one["Expression"] for one in alarm["Metrics"] if "Expression" in one)
    return stats[0]["Namespace"], expression, sorted(dims)


def test_every_runbook_exists() -> None:
    rows = [*alarms.table()["recommended"], *alarms.table()["own"]]
    for runbook in {row["runbook"] for row in rows if "runbook" in row} | set(alarms._RUNBOOKS.values()):
        assert runbooks.find(runbook)


def test_what_aws_only_advises_is_marked_ours() -> None:
    assert len(alarms.table()["recommended"]) == 63
    assert sum(row.get("ours", False) for row in alarms.table()["recommended"]) == 16


def test_thresholds_of_an_environment() -> None:
    given = {**FULL, "alerts": {"thresholds": {"shop-db-database-connections": 450, "load-balancer-error-ratio": 2.5}}}
    made = {alarm.name: alarm.properties for alarm in alarms.alarms(Environment(**given))}
    assert made["prod-shop-db-database-connections"]["Threshold"] == 450
    assert made["prod-load-balancer-error-ratio"]["Threshold"] == 2.5
    assert made["prod-shop-db-2-database-connections"]["Threshold"] == 180
    with pytest.raises(ConfigError, match="no alarm 'shop-db-conections'"):
        alarms.alarms(Environment(**{**FULL, "alerts": {"thresholds": {"shop-db-conections": 1}}}))


def test_names_do_not_clash(made: dict[str, Any]) -> None:
    names = [one.name for one in alarms.alarms(Environment(**FULL))]
    assert len(names) == len(set(names)) == len({template.logical(name) for name in names})
    assert template.logical("a-b-c") != template.logical("a-bc") and template.logical("a.b") != template.logical("a-b")


def _in(name: str, kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def find(made: dict[str, Any]) -> dict[str, Any]:
        return next(one["Properties"] for one in made[name]["Resources"].values() if one["Type"] == kind)

    return find


def _named(name: str, resource: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda made: made[name]["Resources"][resource]["Properties"]


D, A, S = "alerts-delivery", "alerts-application", "alerts-services"
MUTANTS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], Callable[[dict[str, Any]], Any]]] = {
    "a subscription's queue": (_named(D, "SlackOnAlerts"), lambda p: p.pop("RedrivePolicy")),
    "a target's queue": (_in(A, "AWS::Events::Rule"), lambda p: p["Targets"][0].pop("DeadLetterConfig")),
    "the heartbeat's queue": (_named(D, "Heartbeat"), lambda p: p["Targets"][1].pop("DeadLetterConfig")),
    "a heartbeat's target": (_named(D, "Heartbeat"), lambda p: p["Targets"].pop()),
    "a heartbeat that is asked for": (_named(D, "HeartbeatNow"), lambda p: p["Targets"].pop(0)),
    "what stays on": (_named(D, "StillOn"), lambda p: p.update(State="DISABLED")),
    "what stays on, by another function": (_named(D, "StillOn"), lambda p: p["Targets"][0].update(Arn={"Fn::GetAtt": ["SlackFunction", "Arn"]})),
    "the right to ask what is on": (_named(D, "PagerDutyRole"), lambda p: p["Policies"][0]["PolicyDocument"]["Statement"].pop()),
    "how long is long": (_named(D, "PagerDutyFunction"), lambda p: p["Environment"]["Variables"].pop("RAISE_AFTER")),
    "silence of what asks": (_named(D, "PagerDutyTickAlarm"), lambda p: p.update(TreatMissingData="missing")),
    "the end of what was raised": (_named(D, "PagerDutyOnAlerts"), lambda p: p.update(TopicArn={"Ref": "Critical"})),
    "a drill that pages like an alarm": (_named(D, "DrillAlarm"), lambda p: p.update(AlarmActions=[{"Ref": "Critical"}], OKActions=[{"Ref": "Critical"}])),
    "a function's queue": (_named(D, "PagerDutyRetries"), lambda p: p.pop("DestinationConfig")),
    "the right to write into it": (_named(D, "SlackRole"), lambda p: p["Policies"][0]["PolicyDocument"]["Statement"].pop()),
    "an OK action": (_in(S, "AWS::CloudWatch::Alarm"), lambda p: p.pop("OKActions")),
    "an alarm action": (_in(A, "AWS::CloudWatch::CompositeAlarm"), lambda p: p.pop("AlarmActions")),
    "what missing data means": (_in(A, "AWS::CloudWatch::Alarm"), lambda p: p.pop("TreatMissingData")),
    "the severity": (_in(A, "AWS::CloudWatch::Alarm"), lambda p: p.update(AlarmDescription="slow")),
    "alarms may publish": (_named(D, "AlertsPolicy"), lambda p: p["PolicyDocument"]["Statement"].pop(0)),
    "rules may publish": (_named(D, "CriticalPolicy"), lambda p: p["PolicyDocument"]["Statement"].pop(1)),
    "a topic's own key": (_named(D, "Critical"), lambda p: p.update(KmsMasterKeyId="alias/aws/sns")),
    "no key": (_named(D, "Alerts"), lambda p: p.pop("KmsMasterKeyId")),
    "alarms may use the key": (_named(D, "Key"), lambda p: p["KeyPolicy"]["Statement"].pop(1)),
    "rules may use the key": (_named(D, "Key"), lambda p: p["KeyPolicy"]["Statement"][2]["Action"].pop()),
    "drills": (_in(A, "AWS::Events::Rule"), lambda p: p["EventPattern"]["source"].remove("ops.drill")),
    "retention": (_named(D, "SlackLogs"), lambda p: p.pop("RetentionInDays")),
    "reserved concurrency": (_named(D, "PagerDutyFunction"), lambda p: p.pop("ReservedConcurrentExecutions")),
    "a timeout over the budget": (_named(D, "SlackFunction"), lambda p: p.update(Timeout=8)),
    "a secret in the environment": (_named(D, "SlackFunction"), lambda p: p["Environment"]["Variables"].update(URL="https://hooks.slack.com/services/x")),
    "the other path": (_named(D, "SlackFailedAlarm"), lambda p: p.update(AlarmActions=[{"Ref": "Alerts"}], OKActions=[{"Ref": "Alerts"}])),
    "the other path of heartbeats": (_named(D, "RulesUndeliveredAlarm"), lambda p: p.update(AlarmActions=[{"Ref": "Alerts"}], OKActions=[{"Ref": "Alerts"}])),
    "the other path of events": (_named(A, "EventsUndeliveredAlarm"), lambda p: p.update(AlarmActions=[{"Ref": "Alerts"}], OKActions=[{"Ref": "Alerts"}])),
    "silence of the heartbeat": (_named(D, "PagerDutyCriticalHeartbeatAlarm"), lambda p: p.update(TreatMissingData="notBreaching")),
    "SNS may leave messages": (_named(D, "SlackUndeliveredPolicy"), lambda p: p["PolicyDocument"]["Statement"][0]["Principal"].update(Service="sqs.amazonaws.com")),
    "SNS may call": (_named(D, "PagerDutyFromCritical"), lambda p: p.update(SourceArn={"Ref": "Alerts"})),
    "a queue's alarm": (_named(D, "SlackUndeliveredAlarm"), lambda p: p.update(Dimensions=[])),
    "a critical alarm's page": (_in(A, "AWS::CloudWatch::CompositeAlarm"), lambda p: p.update(AlarmRule=p["AlarmRule"].partition(" OR ")[2])),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name: str, made: dict[str, Any]) -> None:
    mutant = copy.deepcopy(made)
    find, change = MUTANTS[name]
    change(find(mutant))
    assert mutant != made and broken(mutant)


def test_without_a_limit_nothing_is_raised() -> None:
    made = template.templates(Environment(**{**FULL, "alerts": {"raise_after_minutes": 0}}))[D]["Resources"]
    assert "StillOn" not in made and "PagerDutyTickAlarm" not in made and "HeartbeatNow" in made


def test_dropping_any_resource_of_the_delivery_is_caught(made: dict[str, Any]) -> None:
    for name, resource in made[D]["Resources"].items():
        if resource["Type"] in {
            "AWS::CloudWatch::Alarm",
            "AWS::Lambda::Function",
            "AWS::IAM::Role",
            "AWS::SNS::Topic",
            "AWS::KMS::Key",
        }:
            continue  # named by others, or watched by the other tests
        mutant = copy.deepcopy(made)
        del mutant[D]["Resources"][name]
        assert broken(mutant), name


def test_events_have_the_names_that_aws_sends(made: dict[str, Any]) -> None:
    rules = {name: one["Properties"]["EventPattern"] for name, one in made[A]["Resources"].items() if one["Type"] == "AWS::Events::Rule"}  # fmt: skip
    assert {name: (one["source"][0], *one["detail-type"]) for name, one in rules.items()} == {
        "Health": ("aws.health", "AWS Health Event"), "BuildFailed": ("aws.amplify", "Amplify Deployment Status Change"),
        "Built": ("aws.amplify", "Amplify Deployment Status Change"), "DeploymentFailed": ("aws.ecs", "ECS Deployment State Change"),
        "Deployed": ("aws.ecs", "ECS Deployment State Change"), "ServiceStuck": ("aws.ecs", "ECS Service Action"), "DatabaseEvent": ("aws.rds", "RDS DB Instance Event"),
    }  # fmt: skip
    assert json.dumps(made["alerts-us-east-1"]).count("AWS Health Event") == 1
