"""The AWS side beyond permissions: what the configuration names, how logs are kept and indexed, Performance Insights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from opslib import aws
from opslib.config import Environment
from opslib.doctor.findings import BROKEN, WEAK, Finding
from opslib.errors import OpsError, SourceError
from opslib.sources import cloudfront, ecs, elasticache, logs, rds
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

SKEW = timedelta(seconds=60)  # AWS refuses signatures that are five minutes off
INDEXED = ("request_id",)
CHECKED = timedelta(hours=1)  # of log lines, for the fields in them


def findings(environment: Environment, sections: Iterable[str], fields: Iterable[str]) -> list[Finding]:
    """Look at what the runbooks' parts of the configuration name; a part that cannot be asked is left to the probes."""
    bare, found = _unconfigured(environment), list[Finding]()
    looks: dict[str, Callable[[], list[Finding]]] = {
        "log_groups": lambda: _logs(environment, sorted(fields)),
        "services": lambda: _services(environment),
        "load_balancer": lambda: _load_balancer(environment),
        "database": lambda: _instances(environment),
        "cache": lambda: _nodes(environment),
        "cdn": lambda: _distribution(environment),
    }
    for section, look in looks.items():
        if section not in bare:
            try:
                found += look()
            except SourceError:
                continue  # denied or missing: the probe of that call says it, with its remedy
    return found + _absent(environment, bare & set(sections))


def skew(environment: Environment) -> list[Finding]:
    """Say how far this machine's clock is off AWS's; a frozen sandbox's clock is meant to be."""
    ahead = aws.identity(environment).clock_ahead
    if environment.clock == "frozen" or abs(ahead) <= SKEW:
        return []
    off = timedelta(seconds=round(abs(ahead).total_seconds()))
    what = f"this machine's clock is {off} {'behind' if ahead > timedelta() else 'ahead of'} AWS's"
    return [
        Finding(
            WEAK,
            what,
            "windows back from now are off by it, and AWS refuses signatures five minutes off",
            "sudo timedatectl set-ntp true",
            "clock",
        )
    ]


def _unconfigured(environment: Environment) -> set[str]:
    empty = {
        "log_groups": not environment.log_groups, "services": not environment.services.cluster, "load_balancer": environment.load_balancer is None,
        "database": environment.database is None, "cache": not (environment.cache.nodes or environment.cache.replication_group),
        "cdn": environment.cdn is None, "frontend": environment.frontend is None, "health_checks": not environment.health_checks,
    }  # fmt: skip
    return {section for section, bare in empty.items() if bare}


def _absent(environment: Environment, missed: set[str]) -> list[Finding]:
    mend = f"opslib init --name {environment.name}-found --to found.toml shows what the account has; copy the section"
    return [Finding(WEAK, f"opslib.toml names no {section}", "what is read of it is left out", mend, f"config {section}")
            for section in sorted(missed - {"database"})]  # fmt: skip


def _logs(environment: Environment, fields: list[str]) -> list[Finding]:
    groups = logs.log_groups(environment, patterns=environment.log_groups)
    found = [
        Finding(BROKEN, f"no log group matches {pattern}", f"in {environment.region} of {environment.account}",
                'correct log_groups; `aws logs describe-log-groups --query "logGroups[].logGroupName"` lists them', "config log_groups")
        for pattern in groups.attrs["missing"]
    ]  # fmt: skip
    for name in groups.loc[groups["retention_days"].isna(), "name"]:
        command = f"aws logs put-retention-policy --log-group-name {name} --retention-in-days 90"
        found.append(
            Finding(WEAK, f"log group {name} keeps its lines for ever", "storage is paid without end", command)
        )
    names = list(groups["name"])
    return found + (_indexes(environment, groups, names) + _fields(environment, names, fields) if names else [])


def _indexes(environment: Environment, groups: pd.DataFrame, names: list[str]) -> list[Finding]:
    since, found = aws.now(environment) - timedelta(hours=1), []
    for field in INDEXED:
        bare = [name for name in names if field not in logs.indexed_fields(environment, [name], since=since)]
        if bare:
            gigabytes = groups.loc[groups["name"].isin(bare), "stored_bytes"].sum() / 1e9
            command = "; ".join(
                f'aws logs put-index-policy --log-group-identifier {name} --policy-document \'{{"Fields":["{field}"]}}\''
                for name in bare[:3]
            )
            more = f" (and {len(bare) - 3} more)" if len(bare) > 3 else ""
            found.append(
                Finding(
                    WEAK,
                    f"{field} is not indexed in {', '.join(bare[:3])}{more}",
                    f"a search reads all of {gigabytes:.1f} GB",
                    command,
                )
            )
    return found


def _fields(environment: Environment, names: list[str], fields: list[str]) -> list[Finding]:
    """Say which fields that queries rely on no line of the last hour has."""
    if not fields:
        return []
    end = aws.now(environment)
    text = "stats " + ", ".join(f"count({field}) as f{place}" for place, field in enumerate(fields))
    window = Window(end - CHECKED, end, environment.zone)
    try:
        row = logs.query(environment, text, groups=names[: logs.GROUPS_A_QUERY], window=window).frame
    except OpsError:
        return []  # the probe of logs:StartQuery says why
    absent = [field for place, field in enumerate(fields) if not len(row) or float(row[f"f{place}"].iloc[0] or 0) == 0]
    why = "runbooks search by it and would find nothing"
    mend = "write lines as JSON with that key, or rename it in the logger; the field names stand in README.md"
    return [Finding(WEAK, f"no log line of the last hour has {field}", why, mend, f"field {field}") for field in absent]


def _services(environment: Environment) -> list[Finding]:
    told = ecs.services(environment)
    mend = f"correct services.names; `aws ecs list-services --cluster {environment.services.cluster}` lists them"
    return [
        Finding(BROKEN, str(problem), mend=mend, about="config services") for problem in told.attrs.get("problems", [])
    ]


def _load_balancer(environment: Environment) -> list[Finding]:
    named = environment.load_balancer
    arns = [
        one["LoadBalancerArn"] for one in aws.pages(environment, "elbv2", "describe_load_balancers", "LoadBalancers")
    ]
    if named is None or any(arn.endswith(f":loadbalancer/{named.name}") for arn in arns):
        return []
    mend = 'correct load_balancer.name, the end of the ARN: `aws elbv2 describe-load-balancers --query "LoadBalancers[].LoadBalancerArn"`'
    return [Finding(BROKEN, f"load balancer {named.name} does not exist", mend=mend, about="config load_balancer")]


def _instances(environment: Environment) -> list[Finding]:
    told = rds.instances(environment)
    mend = "correct database.instance and database.replicas; `aws rds describe-db-instances` lists them"
    found = [
        Finding(BROKEN, f"DB instance {name} does not exist", mend=mend, about="config database")
        for name in told.attrs["missing"]
    ]
    return found + insights_off(told)


def insights_off(instances: pd.DataFrame) -> list[Finding]:
    """Say which instances of sources.rds.instances record no waits."""
    found = []
    for name in instances.loc[instances["insights"] == "off", "instance"]:
        command = f"aws rds modify-db-instance --db-instance-identifier {name} --enable-performance-insights --performance-insights-retention-period 7 --apply-immediately"
        why = "what sessions waited for is not recorded"
        found.append(Finding(WEAK, f"Performance Insights is off on {name}", why, command, "performance insights"))
    return found


def _nodes(environment: Environment) -> list[Finding]:
    told = elasticache.nodes(environment)
    mend = "correct cache.nodes; `aws elasticache describe-cache-clusters` lists them"
    return [
        Finding(BROKEN, f"cache {problem}", mend=mend, about="config cache")
        for problem in told.attrs.get("problems", [])
    ]


def _distribution(environment: Environment) -> list[Finding]:
    told = cloudfront.distribution(environment)
    off = told.loc[~told["enabled"], "distribution"]
    return [
        Finding(
            WEAK, f"distribution {name} is disabled", "it delivers nothing", "correct cdn.distribution", "config cdn"
        )
        for name in off
    ]
