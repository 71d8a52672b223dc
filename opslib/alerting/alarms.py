"""The alarms of an environment: rows of alarms.toml where the environment names what they watch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from opslib.config import Environment
from opslib.errors import ConfigError

GLOBAL = "us-east-1"  # the only region where CloudFront and Route 53 tell their metrics
OPERATORS = {
    ">": "GreaterThanThreshold", ">=": "GreaterThanOrEqualToThreshold", "<": "LessThanThreshold", "<=": "LessThanOrEqualToThreshold",
}  # fmt: skip
ALERTS, CRITICAL = {"Ref": "Alerts"}, {"Ref": "Critical"}
_SIMPLE = {"Average", "Sum", "Minimum", "Maximum", "SampleCount"}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RUNBOOKS = {  # of the composite alarm of a component
    "services": "2-investigate/failing-service", "database": "2-investigate/slow-database", "cache": "2-investigate/slow-cache",
    "cdn": "2-investigate/slow-frontend", "frontend": "2-investigate/slow-frontend",
}  # fmt: skip


@dataclass(frozen=True)
class Alarm:
    """One alarm as CloudFormation wants it; `row` is what it was made from, empty for a composite one."""

    name: str
    region: str
    component: str
    severity: str
    properties: dict[str, Any]
    row: Mapping[str, Any]

    def resource(self) -> dict[str, Any]:
        """Return the resource of a template."""
        return {
            "Type": f"AWS::CloudWatch::{'Alarm' if self.row else 'CompositeAlarm'}",
            "Properties": self.properties,
        }


@lru_cache(maxsize=1)
def table() -> dict[str, list[dict[str, Any]]]:
    """Return alarms.toml: `recommended` by AWS, and our `own`."""
    return tomllib.loads(resources.files(__package__).joinpath("alarms.toml").read_text(encoding="utf-8"))


def alarms(environment: Environment) -> list[Alarm]:
    """Return every alarm of an environment, those of us-east-1 beside its own region's, composite ones last.

    Raises ConfigError for a threshold of an alarm that there is not.
    """
    rows = [row for row in (*table()["recommended"], *table()["own"]) if "left_out" not in row]
    found = [alarm for row in rows for alarm in _of_row(environment, row)]
    names = [alarm.name.removeprefix(f"{environment.name}-") for alarm in found]
    for unknown in sorted(set(environment.alerts.thresholds) - set(names)):
        raise ConfigError(f"alerts.thresholds: there is no alarm {unknown!r}", why=f"there are {', '.join(names)}")
    return [*found, *_severe(environment, found)]


def metric_alarm(name: str, row: Mapping[str, Any], dimensions: Mapping[str, Any], env: str, topic: Any) -> dict[str, Any]:  # fmt: skip
    """Return the properties of an alarm made from a row, which acts on a topic when it is on and when it is over."""
    return {
        "AlarmName": name, "AlarmDescription": described(row["say"], row["severity"], row["runbook"], env), "AlarmActions": [topic], "OKActions": [topic],
        **_watched(row, dimensions), "ComparisonOperator": OPERATORS[row["op"]], "Threshold": row["threshold"],
        "DatapointsToAlarm": row["m"], "EvaluationPeriods": row["n"], "TreatMissingData": row["missing"],
    }  # fmt: skip


def described(say: str, severity: str, runbook: str, env: str) -> str:
    """Return a description that ends in the line that the notifier reads."""
    return f"{say} severity={severity} runbook={runbook} env={env}"


def _of_row(environment: Environment, row: dict[str, Any]) -> Iterator[Alarm]:
    slug = row.get("name") or _WORDS.sub("-", row["metric"]).strip("%").lower()
    region = GLOBAL if row["ns"] in {"AWS/CloudFront", "AWS/Route53"} else environment.region
    for label, dimensions in _places(environment, row):
        short = f"{label or row['component']}-{slug}"
        limit = environment.alerts.thresholds.get(short, row["threshold"])
        topic = ALERTS  # a critical one pages by the composite of its component, once
        properties = metric_alarm(f"{environment.name}-{short}", {**row, "threshold": limit}, dimensions, environment.name, topic)  # fmt: skip
        yield Alarm(f"{environment.name}-{short}", region, row["component"], row["severity"], properties, row)


def _places(environment: Environment, row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield whom an alarm is about (empty: the component) and its dimensions; nothing where one has no value."""
    balancer, database, cdn, frontend = environment.load_balancer, environment.database, environment.cdn, environment.frontend  # fmt: skip
    several = {
        "ServiceName": {name: name for name in environment.services.names},
        "DBInstanceIdentifier": {name: name for name in ((() if row.get("replicas") else (database.instance,)) + database.replicas if database else ())},
        "CacheClusterId": {name: name for name in environment.cache.nodes}, "HealthCheckId": environment.health_checks, "FunctionName": {},
    }  # fmt: skip
    one = {
        "ClusterName": environment.services.cluster, "CacheNodeId": "0001", "LoadBalancer": balancer.name if balancer else "",
        "TargetGroup": balancer.target_group if balancer else "", "DistributionId": cdn.distribution if cdn else "",
        "App": frontend.app if frontend else "", "Branch": frontend.branch if frontend else "", "JobLogs": "".join(environment.alerts.job_log_groups),
    }  # fmt: skip
    wanted = [name.partition("=") for name in row["dims"].split(",")]
    each = next((name for name, _, _ in wanted if name in several), "")
    for label, item in several[each].items() if each else [("cluster" if row["dims"] == "ClusterName" else "", "")]:
        found = {name: item if name == each else fixed or one[name] for name, _, fixed in wanted}
        if all(found.values()):
            yield label, {name: value for name, value in found.items() if name != "JobLogs"}


def _watched(row: Mapping[str, Any], dimensions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metric, or the metric math, that an alarm looks at."""
    period = row.get("period", 60)
    if "expression" not in row:
        kind = "Statistic" if row["stat"] in _SIMPLE else "ExtendedStatistic"
        return {"Namespace": row["ns"], "MetricName": row["metric"], "Dimensions": _pairs(dimensions), kind: row["stat"], "Period": period}  # fmt: skip
    queries: list[dict[str, Any]] = [{"Id": "result", "Expression": row["expression"], "Label": row["name"], "ReturnData": True}]  # fmt: skip
    for name, of in row["of"].items():
        metric, _, dims = of.partition(" ")
        place = _pairs({one: dimensions[one] for one in dims.split(",")})
        stat = {"Metric": {"Namespace": row["ns"], "MetricName": metric, "Dimensions": place}, "Period": period, "Stat": "Sum"}  # fmt: skip
        queries.append({"Id": name, "MetricStat": stat, "ReturnData": False})
    return {"Metrics": queries}


def _pairs(dimensions: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _severe(environment: Environment, found: list[Alarm]) -> Iterator[Alarm]:
    """Yield one composite alarm a component: on while any critical alarm of it is, so that one trouble pages once.

    One for everything would not page when a second component fails while the first still does.
    """
    critical = [alarm for alarm in found if alarm.severity == "critical"]
    for component, region in dict.fromkeys((alarm.component, alarm.region) for alarm in critical):
        rule = " OR ".join(f'ALARM("{alarm.name}")' for alarm in critical if (alarm.component, alarm.region) == (component, region))  # fmt: skip
        name = f"{environment.name}-severe-{component}"
        say = described(f"A critical alarm of {component} is on: somebody must look now.", "critical", _RUNBOOKS.get(component, "2-investigate/first-look"), environment.name)  # fmt: skip
        properties = {"AlarmName": name, "AlarmDescription": say, "AlarmRule": rule, "AlarmActions": [CRITICAL], "OKActions": [CRITICAL]}  # fmt: skip
        yield Alarm(name, region, component, "critical", properties, {})
