"""What runs in the account that CloudWatch tells metrics of, with the dimensions by which an alarm names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.sources import functions

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

EDGE = "us-east-1"
THINGS = {"kind": "str", "name": "str", "dimensions": "str", "named": "bool", "region": "str"}
GROUPS = {"group": "str", "metrics": "str", "named": "bool"}


def _thing(kind: str, name: str, region: str, *, named: bool, **dimensions: str) -> dict[str, Any]:
    pairs = ",".join(f"{key}={value}" for key, value in sorted(dimensions.items()))
    return {"kind": kind, "name": name, "dimensions": pairs, "named": named, "region": region}


def services(env: Environment) -> pd.DataFrame:
    """Return the ECS services of every cluster of the region (ecs:ListClusters, ListServices).

    Columns, here and in what follows: kind, name, dimensions ("Name=value,…"), region str; named bool, whether
    opslib.toml names it; of a service whether it runs in its cluster. Raises SourceError.
    """
    rows = []
    for arn in aws.pages(env, "ecs", "list_clusters", "clusterArns"):
        cluster = _last(arn)
        for one in sorted(map(_last, aws.pages(env, "ecs", "list_services", "serviceArns", cluster=cluster))):
            named = cluster == env.services.cluster
            rows.append(_thing("ECS service", f"{cluster}/{one}", env.region, named=named, ClusterName=cluster, ServiceName=one))  # fmt: skip
    return frames.made(rows, THINGS)


def balancers(env: Environment) -> pd.DataFrame:
    """Return the application load balancers and their target groups (elasticloadbalancing:DescribeLoadBalancers, DescribeTargetGroups)."""
    told = aws.pages(env, "elbv2", "describe_load_balancers", "LoadBalancers")
    arns = {one["LoadBalancerArn"] for one in told if one.get("Type") == "application"}
    ours, rows = env.load_balancer, []
    for short in sorted(arn.partition(":loadbalancer/")[2] for arn in arns):
        named = bool(ours and ours.name == short)
        rows.append(_thing("load balancer", short.split("/")[1], env.region, named=named, LoadBalancer=short))
    for one in aws.pages(env, "elbv2", "describe_target_groups", "TargetGroups"):
        if arns & set(one.get("LoadBalancerArns", [])):
            short = one["TargetGroupArn"].rpartition(":")[2]
            named = bool(ours and ours.target_group == short)
            rows.append(_thing("target group", one["TargetGroupName"], env.region, named=named, TargetGroup=short))
    return frames.made(rows, THINGS)


def instances(env: Environment) -> pd.DataFrame:
    """Return the database instances of any engine (rds:DescribeDBInstances)."""
    ours = {env.database.instance, *env.database.replicas} if env.database else set()
    rows = []
    for one in aws.pages(env, "rds", "describe_db_instances", "DBInstances"):
        name, source = one["DBInstanceIdentifier"], str(one.get("ReadReplicaSourceDBInstanceIdentifier", ""))
        named = name in ours or (bool(source) and source.rpartition(":")[2] in ours)
        rows.append(_thing("RDS instance", name, env.region, named=named, DBInstanceIdentifier=name))
    return frames.made(rows, THINGS)


def nodes(env: Environment) -> pd.DataFrame:
    """Return the cache nodes (elasticache:DescribeCacheClusters)."""
    rows = []
    for one in aws.pages(env, "elasticache", "describe_cache_clusters", "CacheClusters"):
        name, group = one["CacheClusterId"], one.get("ReplicationGroupId", "")
        named = name in env.cache.nodes or (bool(group) and group == env.cache.replication_group)
        rows.append(_thing("cache node", name, env.region, named=named, CacheClusterId=name))
    return frames.made(rows, THINGS)


def distributions(env: Environment) -> pd.DataFrame:
    """Return the CloudFront distributions (cloudfront:ListDistributions)."""
    ours = env.cdn.distribution if env.cdn else ""
    told = aws.pages(env, "cloudfront", "list_distributions", "DistributionList.Items", region=EDGE)
    return frames.made([_thing("distribution", one["Id"], EDGE, named=one["Id"] == ours, DistributionId=one["Id"]) for one in told], THINGS)  # fmt: skip


def health_checks(env: Environment) -> pd.DataFrame:
    """Return the Route 53 health checks (route53:ListHealthChecks)."""
    ours, rows = {id: name for name, id in env.health_checks.items()}, []
    for one in aws.pages(env, "route53", "list_health_checks", "HealthChecks", region=EDGE):
        name = ours.get(one["Id"]) or one.get("HealthCheckConfig", {}).get("FullyQualifiedDomainName") or one["Id"]
        rows.append(_thing("health check", name, EDGE, named=one["Id"] in ours, HealthCheckId=one["Id"]))
    return frames.made(rows, THINGS)


def apps(env: Environment) -> pd.DataFrame:
    """Return the Amplify apps (amplify:ListApps)."""
    ours = env.frontend.app if env.frontend else ""
    told = aws.pages(env, "amplify", "list_apps", "apps")
    rows = [_thing("Amplify app", one.get("name") or one["appId"], env.region, named=one["appId"] == ours, App=one["appId"]) for one in told]  # fmt: skip
    return frames.made(rows, THINGS)


def lambdas(env: Environment) -> pd.DataFrame:
    """Return the Lambda functions (lambda:ListFunctions); opslib.toml names none."""
    names = functions.names(env)
    return frames.made([_thing("Lambda function", name, env.region, named=False, FunctionName=name) for name in names], THINGS)  # fmt: skip


def queues(env: Environment) -> pd.DataFrame:
    """Return the SQS queues (sqs:ListQueues); opslib.toml names none."""
    names = functions.queues(env)
    return frames.made([_thing("queue", name, env.region, named=False, QueueName=name) for name in names], THINGS)


def log_groups(env: Environment) -> pd.DataFrame:
    """Return the log groups and the metrics that metric filters make of their lines (logs:DescribeLogGroups, DescribeMetricFilters).

    Columns: group, metrics ("Namespace Name", several with " | ") str; named bool, whether it is one of job_log_groups.
    Raises SourceError.
    """
    made: dict[str, list[str]] = {}
    for one in aws.pages(env, "logs", "describe_metric_filters", "metricFilters"):
        told = [f"{each['metricNamespace']} {each['metricName']}" for each in one.get("metricTransformations", [])]
        made.setdefault(one["logGroupName"], []).extend(told)
    names = sorted(one["logGroupName"] for one in aws.pages(env, "logs", "describe_log_groups", "logGroups"))
    rows = [{"group": name, "metrics": " | ".join(made.get(name, [])), "named": name in env.alerts.job_log_groups} for name in names]  # fmt: skip
    return frames.made(rows, GROUPS)


KINDS: dict[str, Callable[[Environment], pd.DataFrame]] = {
    "services": services, "balancers": balancers, "instances": instances, "nodes": nodes, "distributions": distributions,
    "health_checks": health_checks, "apps": apps, "functions": lambdas, "queues": queues,
}  # fmt: skip


def _last(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]
