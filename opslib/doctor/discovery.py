"""What is in an account, as far as opslib.toml can name it: looked for read-only, and what is left open is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opslib import aws
from opslib.config import Environment
from opslib.errors import ConfigError, IdentityError, OpsError

Section = dict[str, Any]


@dataclass
class Found:
    """sections: name to keys and values ("" is the environment itself); remarks: by section, what a person has to decide."""

    sections: dict[str, Section] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, section: str, text: str) -> None:
        """Note what could not be decided."""
        self.remarks.setdefault(section, []).append(text)


def begin(*, name: str, profile: str = "", region: str = "", timezone: str = "UTC") -> tuple[Environment, str]:
    """Return an environment with the account that the profile leads to, and who we are there (sts:GetCallerIdentity).

    Raises ConfigError without a region or with a name that cannot be, IdentityError without usable credentials.
    """
    import boto3
    from botocore.exceptions import BotoCoreError
    from pydantic import ValidationError

    given: dict[str, Any] = {"name": name, "profile": profile, "timezone": timezone, "account": "0" * 12}
    try:
        if not region:
            region = str(boto3.Session(profile_name=profile or None).region_name or "")
        first = Environment(**given, region=region)
    except BotoCoreError as error:
        raise IdentityError(str(error), fix="aws configure sso --profile NAME, then --profile NAME") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        why = str(wrong["msg"]).removeprefix("Value error, ")
        raise ConfigError(
            f"--{wrong['loc'][0]} {wrong['input']!r} cannot be", why=why, fix="for example --region ap-northeast-1"
        ) from None
    told = aws.caller(first)
    return Environment(**{**given, "account": told["Account"]}, region=region), str(told["Arn"])


def look(environment: Environment) -> Found:
    """Look through the account of an environment that has only account, region and profile; what is denied is remarked."""
    found = Found()
    looks: dict[str, Callable[[Environment, Found], None]] = {
        "": _log_groups, "services": _services, "load_balancer": _load_balancer, "database": _database, "cache": _cache, "cdn": _cdn,
        "frontend": _frontend, "health_checks": _health_checks,
    }  # fmt: skip
    for section, ask in looks.items():
        try:
            ask(environment, found)
        except IdentityError:
            raise
        except OpsError as error:
            found.remark(section, f"not looked at: {error.what} ({error.why or error.fix})")
    return found


def _log_groups(env: Environment, found: Found) -> None:
    names = [group["logGroupName"] for group in aws.pages(env, "logs", "describe_log_groups", "logGroups")]
    heads = Counter(_head(name) for name in names)
    own = [head if count == 1 else f"{head}/*" for head, count in sorted(heads.items()) if not head.startswith("/aws/")]
    found.sections[""] = {"log_groups": own}
    aside = [head for head in sorted(heads) if head.startswith("/aws/")]
    if aside:
        found.remark("", f"log groups of AWS services are left out, add those that matter: {', '.join(aside)}")
    if len(own) > 1 or not own:
        found.remark("", f"{len(names)} log groups: keep the patterns of this application only")


def _head(name: str) -> str:
    """Return the part of a log group's name that its siblings share: /shop of /shop/api, /aws/lambda of /aws/lambda/x."""
    parts = name.split("/")
    depth = 3 if name.startswith(("/aws/", "/ecs/")) else 2 if name.startswith("/") else 1
    return "/".join(parts[:depth])


def _services(env: Environment, found: Found) -> None:
    clusters = {}
    for arn in aws.pages(env, "ecs", "list_clusters", "clusterArns"):
        clusters[_last(arn)] = sorted(
            _last(one) for one in aws.pages(env, "ecs", "list_services", "serviceArns", cluster=arn)
        )
    if not clusters:
        found.remark("services", "no ECS cluster in this region")
        return
    chosen = max(sorted(clusters), key=lambda name: len(clusters[name]))
    found.sections["services"] = {"cluster": chosen, "names": clusters[chosen]}
    found.remark("services", "names must be what log lines call the services: the last part of their log group")
    found.remark(
        "services",
        'who calls whom cannot be seen; ranking needs it: calls = { web = ["api"], api = ["database", "cache"] }',
    )
    for name in sorted(set(clusters) - {chosen}):
        found.remark("services", f"other cluster: {name} ({', '.join(clusters[name]) or 'no services'})")


def _load_balancer(env: Environment, found: Found) -> None:
    told = [
        one
        for one in aws.pages(env, "elbv2", "describe_load_balancers", "LoadBalancers")
        if one.get("Type") == "application"
    ]
    if not told:
        return
    groups = {
        arn: one
        for one in aws.pages(env, "elbv2", "describe_target_groups", "TargetGroups")
        for arn in one.get("LoadBalancerArns", [])
    }
    chosen = next((one for one in told if one["LoadBalancerArn"] in groups), told[0])
    section = {"name": chosen["LoadBalancerArn"].split(":loadbalancer/")[-1]}
    if group := groups.get(chosen["LoadBalancerArn"]):
        section |= {
            "target_group": group["TargetGroupArn"].split(":")[-1],
            "service": _behind(env, found, group["TargetGroupArn"]),
        }
    found.sections["load_balancer"] = section
    for other in told:
        if other is not chosen:
            found.remark(
                "load_balancer", f"other load balancer: {other['LoadBalancerArn'].split(':loadbalancer/')[-1]}"
            )


def _behind(env: Environment, found: Found, group: str) -> str:
    """Return the ECS service that a target group leads to."""
    named = found.sections.get("services", {"names": []})
    for begin in range(0, len(named["names"]), 10):
        part = named["names"][begin : begin + 10]
        for service in aws.ask(env, "ecs", "describe_services", cluster=named["cluster"], services=part)["services"]:
            if any(one.get("targetGroupArn") == group for one in service.get("loadBalancers", [])):
                return str(service["serviceName"])
    return ""


def _database(env: Environment, found: Found) -> None:
    told = [
        one
        for one in aws.pages(env, "rds", "describe_db_instances", "DBInstances")
        if "postgres" in one.get("Engine", "")
    ]
    primaries = [one for one in told if not one.get("ReadReplicaSourceDBInstanceIdentifier")]
    if not primaries:
        found.remark("database", "no PostgreSQL instance in this region")
        return
    chosen = max(primaries, key=lambda one: one.get("AllocatedStorage", 0))
    name, place = chosen["DBInstanceIdentifier"], chosen.get("Endpoint", {})
    replicas = [one for one in told if str(one.get("ReadReplicaSourceDBInstanceIdentifier", "")).split(":")[-1] == name]
    iam = bool(chosen.get("IAMDatabaseAuthenticationEnabled"))
    section: Section = {
        "host": place.get("Address", ""), "port": int(place.get("Port", 5432)), "dbname": chosen.get("DBName") or "postgres", "user": "ops_reader",
        "auth": "iam" if iam else "password", **({} if iam else {"password_env": f"OPSLIB_{env.name.upper().replace('-', '_')}_DB_PASSWORD"}),
        "instance": name, "replicas": [one["DBInstanceIdentifier"] for one in replicas],
    }  # fmt: skip
    if replicas and (address := replicas[0].get("Endpoint", {}).get("Address")):
        section |= {"replica_host": address, "replica_port": int(replicas[0]["Endpoint"].get("Port", 5432))}
    found.sections["database"] = section
    found.remark(
        "database",
        "user cannot be seen: a role with SELECT and pg_monitor; the password never stands here, only where it lies",
    )
    found.remark("database", 'through a port forward keep host and add hostaddr = "127.0.0.1" and its port')
    for other in primaries:
        if other is not chosen:
            found.remark("database", f"other instance: {other['DBInstanceIdentifier']}")


def _cache(env: Environment, found: Found) -> None:
    told = list(aws.pages(env, "elasticache", "describe_replication_groups", "ReplicationGroups"))
    if told:
        found.sections["cache"] = {
            "replication_group": told[0]["ReplicationGroupId"],
            "nodes": told[0].get("MemberClusters", []),
        }
    for other in told[1:]:
        found.remark("cache", f"other replication group: {other['ReplicationGroupId']}")


def _cdn(env: Environment, found: Found) -> None:
    told = list(aws.pages(env, "cloudfront", "list_distributions", "DistributionList.Items", region="us-east-1"))
    if told:
        aliases = told[0].get("Aliases", {}).get("Items", [])
        found.sections["cdn"] = {
            "distribution": told[0]["Id"],
            "domain": aliases[0] if aliases else told[0].get("DomainName", ""),
        }
    for other in told[1:]:
        found.remark(
            "cdn", f"other distribution: {other['Id']} ({', '.join(other.get('Aliases', {}).get('Items', []))})"
        )


def _frontend(env: Environment, found: Found) -> None:
    told = list(aws.pages(env, "amplify", "list_apps", "apps"))
    if not told:
        return
    branches = list(aws.pages(env, "amplify", "list_branches", "branches", appId=told[0]["appId"]))
    production = next((one["branchName"] for one in branches if one.get("stage") == "PRODUCTION"), None)
    found.sections["frontend"] = {
        "app": told[0]["appId"],
        "branch": production or (branches[0]["branchName"] if branches else "main"),
    }
    shown = next((one.get("displayName", "") for one in branches if one["branchName"] == production), "")
    if shown and told[0].get("defaultDomain"):
        found.sections["frontend"]["site"] = f"https://{shown}.{told[0]['defaultDomain']}/"
    if production is None:
        found.remark("frontend", "no branch is marked PRODUCTION: which one do customers see?")
    for other in told[1:]:
        found.remark("frontend", f"other app: {other['appId']} ({other.get('name', '')})")


def _health_checks(env: Environment, found: Found) -> None:
    checks = {}
    for one in aws.pages(env, "route53", "list_health_checks", "HealthChecks", region="us-east-1"):
        about = one.get("HealthCheckConfig", {})
        name = about.get("FullyQualifiedDomainName") or about.get("IPAddress") or about.get("Type", "check").lower()
        checks[name if name not in checks else f"{name} {one['Id'][:8]}"] = one["Id"]
    if checks:
        found.sections["health_checks"] = checks
        found.remark("health_checks", "health checks are of the whole account: keep those of this application")


def _last(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]
