"""ECS of ours: deployments that take time, fail, roll back and hang; tasks; scaling. Time is stepped, never slept."""

from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import Gateway


def advance(gateway: Gateway, seconds: float) -> None:
    """Step the clock."""
    gateway.admin("POST", "advance", {"seconds": seconds})


def service(gateway: Gateway, name: str) -> dict[str, Any]:
    """Return one service as it is now."""
    answer = gateway.client("ecs").describe_services(cluster="shop", services=[name])
    return answer["services"][0]


def restart(gateway: Gateway, name: str, **more: Any) -> str:
    """Begin a deployment and return its id."""
    answer = gateway.client("ecs").update_service(cluster="shop", service=name, forceNewDeployment=True, **more)
    return answer["service"]["deployments"][0]["id"]


def tasks(gateway: Gateway, name: str, status: str = "RUNNING") -> list[dict[str, Any]]:
    """Return the tasks of a service."""
    ecs = gateway.client("ecs")
    arns = ecs.list_tasks(cluster="shop", serviceName=name, desiredStatus=status)["taskArns"]
    return ecs.describe_tasks(cluster="shop", tasks=arns)["tasks"] if arns else []


def messages(found: dict[str, Any]) -> list[str]:
    """Return what the events of a service say, newest first."""
    return [event["message"] for event in found["events"]]


def test_cluster_is_counted(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    assert ecs.list_clusters()["clusterArns"] == ["arn:aws:ecs:ap-northeast-1:000000000000:cluster/shop"]
    answer = ecs.describe_clusters(clusters=["shop", "other"])
    assert answer["clusters"][0]["runningTasksCount"] == 18 and answer["clusters"][0]["activeServicesCount"] == 6
    assert answer["failures"] == [{"arn": "other", "reason": "MISSING"}]
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.list_services(cluster="other")


def test_services_come_in_pages(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    pages = list(ecs.get_paginator("list_services").paginate(cluster="shop", PaginationConfig={"PageSize": 4}))
    assert [len(page["serviceArns"]) for page in pages] == [4, 2]
    found = ecs.describe_services(cluster="shop", services=["web", "none"])
    assert found["failures"] == [{"arn": "none", "reason": "MISSING"}]
    web = found["services"][0]
    assert (web["desiredCount"], web["runningCount"], web["pendingCount"]) == (4, 4, 0)
    assert [each["rolloutState"] for each in web["deployments"]] == ["COMPLETED"]
    assert messages(web)[0] == "(service web) has reached a steady state."
    with pytest.raises(ClientError, match="between 1 and 10"):
        ecs.describe_services(cluster="shop", services=["web"] * 11)


def test_tasks_come_in_pages(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    first = ecs.list_tasks(cluster="shop", maxResults=10)
    second = ecs.list_tasks(cluster="shop", maxResults=10, nextToken=first["nextToken"])
    arns = first["taskArns"] + second["taskArns"]
    assert len(set(arns)) == 18 and "nextToken" not in second
    told = ecs.describe_tasks(cluster="shop", tasks=[*arns, "none"])
    assert {task["healthStatus"] for task in told["tasks"]} == {"HEALTHY"}
    assert told["failures"] == [{"arn": "none", "reason": "MISSING"}]


def test_deployment_completes(gateway: Gateway) -> None:
    before = {task["taskArn"] for task in tasks(gateway, "web")}
    deployment = restart(gateway, "web")
    assert service(gateway, "web")["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    advance(gateway, 20)
    young = [task for task in tasks(gateway, "web") if task["taskArn"] not in before]
    assert {task["lastStatus"] for task in young} == {"PENDING"} and len(young) == 4
    assert not any("startedAt" in task or "imageDigest" in task["containers"][0] for task in young)
    advance(gateway, 20)
    assert service(gateway, "web")["runningCount"] == 8
    advance(gateway, 60)
    found = service(gateway, "web")
    assert [(each["id"], each["rolloutState"]) for each in found["deployments"]] == [(deployment, "COMPLETED")]
    assert {task["taskArn"] for task in tasks(gateway, "web")}.isdisjoint(before)
    assert {task["stopCode"] for task in tasks(gateway, "web", "STOPPED")} == {"ServiceSchedulerInitiated"}
    assert messages(found)[:2] == [
        "(service web) has reached a steady state.",
        f"(service web) (deployment {deployment}) deployment completed.",
    ]
    assert any("targets in (target-group " in each for each in messages(found))
    lines = gateway.client("logs").filter_log_events(logGroupName="/shop/web", filterPattern='"server started"')[
        "events"
    ]
    assert len(lines) == 4


def test_deployment_is_rolled_back(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    before = {task["taskArn"] for task in tasks(gateway, "api")}
    gateway.admin("POST", "outcomes", {"service": "api", "deployment": "circuit-breaker"})
    deployment = restart(gateway, "api")
    advance(gateway, 45)
    states = {each["id"]: each["rolloutState"] for each in service(gateway, "api")["deployments"]}
    assert states.get(deployment, "FAILED") == "FAILED"
    advance(gateway, 120)
    found = service(gateway, "api")
    assert [each["rolloutState"] for each in found["deployments"]] == ["COMPLETED"]  # it looks stable
    assert deployment not in {each["id"] for each in found["deployments"]} and found["runningCount"] == 6
    assert {task["taskArn"] for task in tasks(gateway, "api")} == before
    exits = {(task["stopCode"], task["containers"][0].get("exitCode")) for task in tasks(gateway, "api", "STOPPED")}
    assert ("EssentialContainerExited", 1) in exits
    newest = ecs.list_service_deployments(cluster="shop", service="api")["serviceDeployments"][0]
    assert newest["status"] == "ROLLBACK_SUCCESSFUL"
    whole = ecs.describe_service_deployments(serviceDeploymentArns=[newest["serviceDeploymentArn"]])
    told = whole["serviceDeployments"][0]
    assert (
        told["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
        and told["deploymentCircuitBreaker"]["failureCount"] >= 3
    )
    assert "tasks failed to start" in told["rollback"]["reason"]
    brought = ecs.describe_service_revisions(serviceRevisionArns=[told["targetServiceRevision"]["arn"], "none"])
    assert brought["serviceRevisions"][0]["containerImages"][0]["imageDigest"].startswith("sha256:")
    assert brought["failures"] == [{"arn": "none", "reason": "MISSING"}]
    restart(gateway, "api")  # the outcome was for one deployment
    advance(gateway, 150)
    assert (
        ecs.list_service_deployments(cluster="shop", service="api")["serviceDeployments"][0]["status"] == "SUCCESSFUL"
    )


def test_deployment_is_stuck(gateway: Gateway) -> None:
    gateway.admin("POST", "outcomes", {"service": "worker", "deployment": "stuck"})
    deployment = restart(gateway, "worker")
    advance(gateway, 3600)
    found = service(gateway, "worker")
    assert [(each["id"], each["rolloutState"]) for each in found["deployments"]] == [(deployment, "IN_PROGRESS")]
    assert found["runningCount"] == found["desiredCount"] == 3
    assert {task["healthStatus"] for task in tasks(gateway, "worker")} == {"UNKNOWN"}


def test_deployment_is_slow(gateway: Gateway) -> None:
    gateway.admin("POST", "outcomes", {"service": "notifier", "deployment": "slow"})
    restart(gateway, "notifier")
    advance(gateway, 600)
    assert service(gateway, "notifier")["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    advance(gateway, 300)
    assert [each["rolloutState"] for each in service(gateway, "notifier")["deployments"]] == ["COMPLETED"]


def test_deployment_is_stopped(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    deployment = restart(gateway, "notifier")
    advance(gateway, 30)
    newest = ecs.list_service_deployments(cluster="shop", service="notifier")["serviceDeployments"][0]
    ecs.stop_service_deployment(serviceDeploymentArn=newest["serviceDeploymentArn"], stopType="ROLLBACK")
    advance(gateway, 120)
    found = service(gateway, "notifier")
    assert deployment not in {each["id"] for each in found["deployments"]} and found["runningCount"] == 2
    with pytest.raises(ClientError, match="ConflictException"):
        ecs.stop_service_deployment(serviceDeploymentArn=newest["serviceDeploymentArn"])
    with pytest.raises(ClientError, match="ServiceDeploymentNotFoundException"):
        ecs.stop_service_deployment(serviceDeploymentArn="arn:none")


def test_stopped_task_is_replaced(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    victim = tasks(gateway, "auth")[0]["taskArn"]
    stopped = ecs.stop_task(cluster="shop", task=victim, reason="INC-20261105")["task"]
    assert stopped["desiredStatus"] == "STOPPED" and stopped["stopCode"] == "UserInitiated"
    advance(gateway, 25)
    assert service(gateway, "auth")["runningCount"] == 1
    advance(gateway, 60)
    found = service(gateway, "auth")
    assert found["runningCount"] == 2 and len(found["deployments"]) == 1
    assert messages(found)[0] == "(service auth) has reached a steady state."
    gone = tasks(gateway, "auth", "STOPPED")
    assert [(task["taskArn"], task["stoppedReason"]) for task in gone] == [(victim, "INC-20261105")]
    advance(gateway, 3700)
    assert tasks(gateway, "auth", "STOPPED") == []
    with pytest.raises(ClientError, match="not found"):
        ecs.stop_task(cluster="shop", task="none")


def test_service_is_scaled(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    ecs.update_service(cluster="shop", service="batch", desiredCount=3)
    advance(gateway, 90)
    found = service(gateway, "batch")
    assert found["runningCount"] == 3 and len(found["deployments"]) == 1
    ecs.update_service(cluster="shop", service="batch", desiredCount=0)
    advance(gateway, 60)
    assert (service(gateway, "batch")["runningCount"], service(gateway, "batch")["desiredCount"]) == (0, 0)
    ecs.update_service(cluster="shop", service="batch", desiredCount=1)
    advance(gateway, 90)
    assert service(gateway, "batch")["runningCount"] == 1


def test_task_definition_is_registered(gateway: Gateway) -> None:
    ecs = gateway.client("ecs")
    before = ecs.describe_task_definition(taskDefinition="shop-auth")["taskDefinition"]
    container = before["containerDefinitions"][0] | {
        "image": "000000000000.dkr.ecr.ap-northeast-1.amazonaws.com/shop-auth:new"
    }
    made = ecs.register_task_definition(family="shop-auth", containerDefinitions=[container], cpu="512")[
        "taskDefinition"
    ]
    assert made["revision"] == before["revision"] + 1
    listed = ecs.list_task_definitions(familyPrefix="shop-auth", sort="DESC")["taskDefinitionArns"]
    assert listed[:2] == [made["taskDefinitionArn"], before["taskDefinitionArn"]]
    ecs.update_service(cluster="shop", service="auth", taskDefinition=f"shop-auth:{made['revision']}")
    advance(gateway, 120)
    assert service(gateway, "auth")["taskDefinition"] == made["taskDefinitionArn"]
    assert {task["containers"][0]["image"] for task in tasks(gateway, "auth")} == {container["image"]}
    with pytest.raises(ClientError, match="Unable to describe task definition"):
        ecs.describe_task_definition(taskDefinition="shop-auth:9999")


def test_outcomes_are_planned_and_forgotten(gateway: Gateway) -> None:
    planned = {"service": "worker", "deployment": "stuck"}
    assert gateway.admin("POST", "outcomes", planned)["outcomes"] == [planned]
    assert gateway.admin("DELETE", "outcomes")["removed"] == 1
    with pytest.raises(HTTPError):
        gateway.admin("POST", "outcomes", {})
