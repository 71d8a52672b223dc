"""What stands around ECS: the load balancer's targets, the image registry, scaling."""

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import Gateway
from tests.sandbox.test_gateway_ecs import advance, restart, service

GROUP = "arn:aws:elasticloadbalancing:ap-northeast-1:000000000000:targetgroup/shop-web/73e2d6bc24d8a067"
WEB = {"ServiceNamespace": "ecs", "ResourceId": "service/shop/web", "ScalableDimension": "ecs:service:DesiredCount"}


def test_targets_follow_the_tasks(gateway: Gateway) -> None:
    elb = gateway.client("elbv2")
    balancer = elb.describe_load_balancers(Names=["shop-web"])["LoadBalancers"][0]
    group = elb.describe_target_groups()["TargetGroups"][0]
    assert group["TargetGroupArn"] == GROUP and group["LoadBalancerArns"] == [balancer["LoadBalancerArn"]]

    def states() -> list[str]:
        told = elb.describe_target_health(TargetGroupArn=GROUP)["TargetHealthDescriptions"]
        return sorted(each["TargetHealth"]["State"] for each in told)

    assert states() == ["healthy"] * 4
    restart(gateway, "web")
    advance(gateway, 40)
    assert states() == ["healthy"] * 4 + ["initial"] * 4
    advance(gateway, 28)
    assert states() == ["draining"] * 4 + ["healthy"] * 4
    advance(gateway, 60)
    assert states() == ["healthy"] * 4
    for wrong in (elb.describe_target_groups, elb.describe_load_balancers):
        with pytest.raises(ClientError, match="NotFound"):
            wrong(Names=["other"])


def test_images_have_digests(gateway: Gateway) -> None:
    ecr, ecs = gateway.client("ecr"), gateway.client("ecs")
    image = ecs.describe_task_definition(taskDefinition="shop-api")["taskDefinition"]["containerDefinitions"][0][
        "image"
    ]
    running = ecs.list_tasks(cluster="shop", serviceName="api")["taskArns"]
    digest = ecs.describe_tasks(cluster="shop", tasks=running)["tasks"][0]["containers"][0]["imageDigest"]
    tag = {"imageTag": image.rpartition(":")[2]}
    assert ecr.describe_images(repositoryName="shop-api", imageIds=[tag])["imageDetails"][0]["imageDigest"] == digest
    answer = ecr.batch_get_image(repositoryName="shop-api", imageIds=[{"imageDigest": digest}, {"imageTag": "none"}])
    assert answer["images"][0]["imageId"]["imageTag"] == tag["imageTag"]
    assert answer["failures"][0]["failureCode"] == "ImageNotFound"
    assert len(ecr.describe_repositories()["repositories"]) == 6
    for call in ({"repositoryName": "shop-api", "imageIds": [{"imageTag": "none"}]}, {"repositoryName": "none"}):
        with pytest.raises(ClientError, match="NotFoundException"):
            ecr.describe_images(**call)


def test_scaling_comes_in_pages(gateway: Gateway) -> None:
    scaling = gateway.client("application-autoscaling")
    targets = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert {each["ResourceId"] for each in targets} == {"service/shop/api", "service/shop/web"}
    assert len(scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]) == 2
    pages = list(scaling.get_paginator("describe_scaling_activities").paginate(ServiceNamespace="ecs"))
    found = [each for page in pages for each in page["ScalingActivities"]]
    assert len(pages) == 3 and len({each["ActivityId"] for each in found}) == len(found) == 116
    assert found == sorted(found, key=lambda each: each["StartTime"], reverse=True)
    assert scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"] == []


def test_minimum_scales_out(gateway: Gateway) -> None:
    scaling = gateway.client("application-autoscaling")
    scaling.register_scalable_target(**WEB, MinCapacity=6)
    advance(gateway, 90)
    found = service(gateway, "web")
    assert (found["desiredCount"], found["runningCount"], len(found["deployments"])) == (6, 6, 1)
    newest = scaling.describe_scaling_activities(ServiceNamespace="ecs", ResourceId="service/shop/web")[
        "ScalingActivities"
    ][0]
    assert (newest["Cause"], newest["StatusCode"]) == ("minimum capacity was set to 6", "Successful")
    with pytest.raises(ClientError, match="Minimum capacity cannot be greater"):
        scaling.register_scalable_target(**WEB, MinCapacity=60)
    scaling.register_scalable_target(**WEB, MinCapacity=4)
    advance(gateway, 600)
    assert service(gateway, "web")["desiredCount"] == 6
    advance(gateway, 600)
    assert service(gateway, "web")["desiredCount"] == 4  # scaled in by the policy, not at once


def test_a_count_set_by_hand_does_not_last(gateway: Gateway) -> None:
    gateway.client("ecs").update_service(cluster="shop", service="api", desiredCount=9)
    advance(gateway, 120)
    assert service(gateway, "api")["runningCount"] == 9
    advance(gateway, 1200)
    found = service(gateway, "api")
    assert (found["desiredCount"], found["runningCount"]) == (6, 6)
    scaling = gateway.client("application-autoscaling")
    newest = scaling.describe_scaling_activities(ServiceNamespace="ecs", ResourceId="service/shop/api")[
        "ScalingActivities"
    ][0]
    assert "AlarmLow in state ALARM" in newest["Cause"]
