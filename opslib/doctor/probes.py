"""One cheap read of each kind that runbooks ask for, tried for real: the smallest page, the shortest window."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opslib import aws
from opslib.config import Environment
from opslib.doctor.findings import BROKEN, Finding, action_of, policy_line
from opslib.errors import OpsError, SourceError

Call = tuple[str, str]
READS = (
    "describe_",
    "list_",
    "get_",
    "filter_",
    "start_query",
    "stop_query",
    "lookup_",
    "search_",
    "batch_get_",
    "simulate_",
)
FREE = {("sts", "get_caller_identity")}  # whoever is known has called it
GLOBAL = {"cloudfront": "us-east-1", "route53": "us-east-1", "ce": "us-east-1"}
MISSING = ("NotFound", "NoSuch", "DoesNotExist", "ClusterNotFound", "404")


@dataclass
class Known:
    """What probes are tried on: the environment, its clock, and answers of earlier probes by (service, operation)."""

    environment: Environment
    now: datetime
    answers: dict[Call, dict[str, Any]]

    def first(self, service: str, operation: str, path: str) -> Any:
        """Return what stands at a path of jmespath in an earlier answer, or None."""
        import jmespath

        return jmespath.search(path, self.answers.get((service, operation)) or {})

    @property
    def group(self) -> str | None:
        """Return a log group that the configuration means."""
        names = self.first("logs", "describe_log_groups", "logGroups[].logGroupName") or []
        patterns = self.environment.log_groups
        return next((name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)), None)


def _prefixed(known: Known) -> dict[str, Any]:
    prefix = re.split(r"[*?\[]", next(iter(known.environment.log_groups), ""))[0]
    return {"logGroupNamePrefix": prefix} if prefix else {}


def _span(known: Known) -> dict[str, Any]:
    return {"StartTime": known.now - timedelta(minutes=5), "EndTime": known.now}


def _span_ms(known: Known) -> dict[str, Any]:
    return {"startTime": int(known.now.timestamp() * 1000) - 60_000, "endTime": int(known.now.timestamp() * 1000)}


def _pi(known: Known, **more: Any) -> dict[str, Any]:
    named = (
        f"DBInstances[?DBInstanceIdentifier=='{known.environment.database.instance}'] | [0]"
        if known.environment.database
        else "DBInstances[0]"
    )
    return {
        "ServiceType": "RDS",
        "Identifier": known.first("rds", "describe_db_instances", f"{named}.DbiResourceId"),
        **more,
    }


def _query(known: Known) -> dict[str, Any]:
    start = int(known.now.timestamp()) - 120
    return {
        "logGroupName": known.group,
        "startTime": start,
        "endTime": start + 60,
        "queryString": "fields @ptr | limit 1",
    }


_METRIC = {"Metric": {"Namespace": "AWS/Usage", "MetricName": "CallCount"}, "Period": 300, "Stat": "Sum"}
_SQL = {"Group": "db.sql_tokenized", "Limit": 1}


def _repository(known: Known) -> str | None:
    """Return the ECR repository of the first container, as its image names it."""
    image = str(known.first("ecs", "describe_task_definition", "taskDefinition.containerDefinitions[0].image") or "")
    return image.partition("/")[2].partition("@")[0].partition(":")[0] if ".dkr.ecr." in image else None


# Arguments that an operation cannot do without; one that is None says that there is nothing to try it on.
ASKED: dict[Call, Callable[[Known], dict[str, Any]]] = {
    ("logs", "describe_log_groups"): _prefixed,
    ("logs", "describe_log_streams"): lambda k: {"logGroupName": k.group, "limit": 1},
    ("logs", "describe_field_indexes"): lambda k: {"logGroupIdentifiers": k.group and [k.group]},
    ("logs", "filter_log_events"): lambda k: {"logGroupName": k.group, **_span_ms(k), "limit": 1},
    ("logs", "start_query"): _query,
    ("logs", "get_query_results"): lambda k: {"queryId": k.first("logs", "start_query", "queryId")},
    ("logs", "stop_query"): lambda k: {"queryId": k.first("logs", "start_query", "queryId")},
    ("logs", "get_log_record"): lambda k: {"logRecordPointer": k.first("logs", "get_query_results", "results[0][?field=='@ptr'].value | [0]")},
    ("ecs", "describe_services"): lambda k: {"cluster": k.environment.services.cluster or None, "services": list(k.environment.services.names[:10]) or None},
    ("ecs", "list_services"): lambda k: {"cluster": k.environment.services.cluster or None, "maxResults": 1},
    ("ecs", "list_tasks"): lambda k: {"cluster": k.environment.services.cluster or None, "maxResults": 1},
    ("ecs", "describe_tasks"): lambda k: {"cluster": k.environment.services.cluster, "tasks": k.first("ecs", "list_tasks", "taskArns[:1]") or None},
    ("ecs", "describe_task_definition"): lambda k: {"taskDefinition": k.first("ecs", "describe_services", "services[0].taskDefinition")},
    ("ecs", "list_service_deployments"): lambda k: {"cluster": k.environment.services.cluster or None, "service": next(iter(k.environment.services.names), None), "maxResults": 1},
    ("ecs", "describe_service_deployments"): lambda k: {"serviceDeploymentArns": k.first("ecs", "list_service_deployments", "serviceDeployments[:1].serviceDeploymentArn") or None},
    ("ecs", "describe_service_revisions"): lambda k: {"serviceRevisionArns": k.first("ecs", "list_service_deployments", "serviceDeployments[:1].targetServiceRevisionArn") or None},
    ("cloudwatch", "get_metric_data"): lambda k: {**_span(k), "MetricDataQueries": [{"Id": "a", "MetricStat": _METRIC}]},
    ("pi", "get_resource_metrics"): lambda k: _pi(k, **_span(k), MetricQueries=[{"Metric": "db.load.avg"}]),
    ("pi", "describe_dimension_keys"): lambda k: _pi(k, **_span(k), Metric="db.load.avg", GroupBy=_SQL),
    ("pi", "list_available_resource_metrics"): lambda k: _pi(k, MetricTypes=["db"]),
    ("pi", "get_dimension_key_details"): lambda k: _pi(k, Group="db.sql", GroupIdentifier=k.first("pi", "describe_dimension_keys", 'Keys[0].Dimensions."db.sql.id"')),
    ("amplify", "list_branches"): lambda k: {"appId": k.environment.frontend and k.environment.frontend.app, "maxResults": 1},
    ("amplify", "get_branch"): lambda k: {"appId": k.environment.frontend and k.environment.frontend.app, "branchName": k.environment.frontend and k.environment.frontend.branch},
    ("amplify", "list_jobs"): lambda k: {"appId": k.environment.frontend and k.environment.frontend.app, "branchName": k.environment.frontend and k.environment.frontend.branch, "maxResults": 1},
    ("amplify", "get_job"): lambda k: {"appId": k.environment.frontend and k.environment.frontend.app, "branchName": k.environment.frontend and k.environment.frontend.branch, "jobId": k.first("amplify", "list_jobs", "jobSummaries[0].jobId")},
    ("cloudfront", "get_distribution"): lambda k: {"Id": k.environment.cdn and k.environment.cdn.distribution},
    ("cloudfront", "list_invalidations"): lambda k: {"DistributionId": k.environment.cdn and k.environment.cdn.distribution, "MaxItems": "1"},
    ("cloudfront", "get_invalidation"): lambda k: {"DistributionId": k.environment.cdn and k.environment.cdn.distribution, "Id": k.first("cloudfront", "list_invalidations", "InvalidationList.Items[0].Id")},
    ("route53", "get_health_check"): lambda k: {"HealthCheckId": next(iter(k.environment.health_checks.values()), None)},
    ("route53", "get_health_check_status"): lambda k: {"HealthCheckId": next(iter(k.environment.health_checks.values()), None)},
    ("route53", "list_resource_record_sets"): lambda k: {"HostedZoneId": k.first("route53", "list_hosted_zones", "HostedZones[0].Id"), "MaxItems": "1"},
    ("acm", "describe_certificate"): lambda k: {"CertificateArn": k.first("acm", "list_certificates", "CertificateSummaryList[0].CertificateArn")},
    ("elbv2", "describe_target_health"): lambda k: {"TargetGroupArn": k.first("ecs", "describe_services", "services[].loadBalancers[].targetGroupArn | [0]")},
    ("ecr", "describe_images"): lambda k: {"repositoryName": _repository(k), "maxResults": 1},
    ("cloudformation", "get_template"): lambda k: {"StackName": k.first("cloudformation", "describe_stacks", "Stacks[0].StackName")},
    ("cloudformation", "describe_stack_events"): lambda k: {"StackName": k.first("cloudformation", "describe_stacks", "Stacks[0].StackName")},
    ("application-autoscaling", "describe_scalable_targets"): lambda k: {"ServiceNamespace": "ecs"},
    ("application-autoscaling", "describe_scaling_activities"): lambda k: {"ServiceNamespace": "ecs"},
}  # fmt: skip
# What others are tried on comes first, wave by wave.
WAVES: tuple[tuple[Call, ...], ...] = (
    (("logs", "describe_log_groups"), ("rds", "describe_db_instances"), ("ecs", "describe_services"), ("ecs", "list_tasks"),
     ("ecs", "list_service_deployments"), ("amplify", "list_jobs"), ("route53", "list_hosted_zones"),
     ("acm", "list_certificates"), ("cloudformation", "describe_stacks")),
    (("logs", "start_query"), ("pi", "describe_dimension_keys"), ("ecs", "describe_task_definition"), ("cloudfront", "list_invalidations")),
    (("logs", "get_query_results"),),
)  # fmt: skip


def tried(environment: Environment, calls: Iterable[Call], *, now: datetime) -> tuple[list[Finding], list[str]]:
    """Try every read among the calls once; return findings, and the actions that were not tried.

    Changes are never tried. A call without arguments to try it with, or without anything to try it on, is not tried.
    """
    wanted = {call for call in calls if call[1].startswith(READS)} - FREE
    wanted |= {("logs", "get_query_results"), ("logs", "stop_query")} if ("logs", "start_query") in wanted else set()
    untried = sorted(action_of(*call) for call in set(calls) - wanted - FREE)
    known, findings = Known(environment, now, {}), list[Finding]()
    waves = [[call for call in wave if call in wanted] for wave in WAVES]
    waves.append(sorted(wanted - {call for wave in WAVES for call in wave} - {("logs", "stop_query")}))
    waves.append([("logs", "stop_query")] if ("logs", "stop_query") in wanted else [])
    for wave in waves:
        with ThreadPoolExecutor(max_workers=8) as pool:
            for call, answer in zip(wave, pool.map(lambda call: _try(known, call), wave), strict=True):
                if isinstance(answer, Finding):
                    findings.append(answer)
                elif answer is None:
                    untried.append(action_of(*call))
                else:
                    known.answers[call] = answer
    return findings, sorted(untried)


def _try(known: Known, call: Call) -> dict[str, Any] | Finding | None:
    service, operation = call
    asked = ASKED[call](known) if call in ASKED else {}
    if any(value is None or value == [] for value in asked.values()) or (call not in ASKED and _required(*call)):
        return None
    try:
        return aws.ask(known.environment, service, operation, region=GLOBAL.get(service, ""), **asked)
    except OpsError as error:
        return _refused(call, error)


def _required(service: str, operation: str) -> bool:
    from opslib.doctor.needs import model, operations

    shape = model(service).operation_model(operations(service)[operation]).input_shape
    return bool(shape and shape.required_members)


def _refused(call: Call, error: OpsError) -> Finding | dict[str, Any]:
    action, about = action_of(*call), f"{call[0]}:{call[1]}"
    if call == ("logs", "stop_query") and "denied" not in error.what:
        return {}  # it had ended already
    if isinstance(error, SourceError) and error.sight == "denied":
        return Finding(
            BROKEN,
            f"{action} is denied",
            error.why,
            f"add to the role's policy: {policy_line(action)}; `opslib policy` prints all of it",
            about,
        )
    if any(word in error.what for word in MISSING):
        return Finding(
            BROKEN,
            f"{action}: what opslib.toml names does not exist",
            error.why,
            "correct the name, or `opslib init` anew beside it",
            about,
        )
    return Finding(
        BROKEN,
        f"{action}: {error.what}",
        error.why,
        error.fix or "try again; if it stays so, ask AWS Support with the message",
        about,
    )
