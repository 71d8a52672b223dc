"""The load balancer of the shop: it stands still, and its targets are the tasks of the service behind it."""

from typing import Any

from opslib.sandbox.apis.ecs_fleet import BALANCED, TARGET_GROUP, Fleet
from opslib.sandbox.apis.ecs_shapes import address
from opslib.sandbox.apis.ecs_state import Task
from opslib.sandbox.clock import NOW
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError

API = "API reference"
ONE = "one balancer with one target group, which no call changes"
PORT = 3000
NAME = "shop-web"
BALANCER = "arn:aws:elasticloadbalancing:ap-northeast-1:000000000000:loadbalancer/app/shop-web/50dc6c495c0c9188"
INITIAL = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
GROUP = {
    "TargetGroupArn": TARGET_GROUP, "TargetGroupName": NAME, "Protocol": "HTTP", "Port": PORT, "VpcId": "vpc-0shop",
    "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckEnabled": True,
    "HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 3,
    "UnhealthyThresholdCount": 2, "HealthCheckPath": "/api/health", "Matcher": {"HttpCode": "200"},
    "LoadBalancerArns": [BALANCER], "TargetType": "ip", "ProtocolVersion": "HTTP1", "IpAddressType": "ipv4",
}  # fmt: skip


class LoadBalancers:
    """What is asked of it."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation("elbv2", "DescribeLoadBalancers", plain=False, modelled="by name and ARN", source=API, difference=ONE,
               tested=("test_targets_follow_the_tasks",))  # fmt: skip
    def describe_load_balancers(self, p: Params) -> dict[str, Any]:
        """Answer the balancer."""
        if set(p.get("Names") or [NAME]) != {NAME} or set(p.get("LoadBalancerArns") or [BALANCER]) != {BALANCER}:
            raise ServiceError("LoadBalancerNotFound", "One or more load balancers not found")
        zones = [{"ZoneName": f"ap-northeast-1{zone}", "SubnetId": f"subnet-0{zone}"} for zone in "ac"]
        found = {
            "LoadBalancerArn": BALANCER, "DNSName": f"{NAME}-1234567890.ap-northeast-1.elb.amazonaws.com",
            "CreatedTime": NOW.replace(month=1), "LoadBalancerName": NAME, "Scheme": "internet-facing", "VpcId": "vpc-0shop",
            "State": {"Code": "active"}, "Type": "application", "AvailabilityZones": zones, "IpAddressType": "ipv4",
        }  # fmt: skip
        return {"LoadBalancers": [found] if self._state.part(Fleet).services else []}

    @operation("elbv2", "DescribeTargetGroups", plain=False, modelled="by name, ARN and balancer", source=API,
               difference=ONE, tested=("test_targets_follow_the_tasks",))  # fmt: skip
    def describe_target_groups(self, p: Params) -> dict[str, Any]:
        """Answer the target group."""
        if set(p.get("Names") or [NAME]) != {NAME} or set(p.get("TargetGroupArns") or [TARGET_GROUP]) != {TARGET_GROUP}:
            raise ServiceError("TargetGroupNotFound", "One or more target groups not found")
        return {"TargetGroups": [GROUP] if self._state.part(Fleet).services else []}

    @operation("elbv2", "DescribeTargetHealth", plain=False, modelled="a target for each task behind it: initial, healthy, "
               "draining, unhealthy", source=API, difference="a target is healthy when its task is",
               tested=("test_targets_follow_the_tasks",))  # fmt: skip
    def describe_target_health(self, p: Params) -> dict[str, Any]:
        """Answer the state of the targets."""
        if p["TargetGroupArn"] != TARGET_GROUP or not self._state.part(Fleet).services:
            raise ServiceError("TargetGroupNotFound", "One or more target groups not found")
        with self._state.lock:
            now = self._state.clock.now_ms()
            service = self._state.part(Fleet).service(BALANCED)
            found = [(task, state) for task in service.living(now) if (state := _state(task, now))]
        wanted = {each["Id"] for each in p.get("Targets") or []}
        told = [{"Target": {"Id": address(task), "Port": PORT, "AvailabilityZone": "ap-northeast-1a"},
                 "HealthCheckPort": str(PORT), "TargetHealth": _health(*state)}
                for task, state in found if not wanted or address(task) in wanted]  # fmt: skip
        return {"TargetHealthDescriptions": told}


def _state(task: Task, now: int) -> tuple[str, str, str] | None:
    if task.started is None or now < task.started:
        return None
    if task.stopping is not None and now >= task.stopping:
        return DRAINING
    return ("healthy", "", "") if task.is_healthy(now) else INITIAL


def _health(state: str, reason: str, description: str) -> dict[str, str]:
    return {"State": state} | ({"Reason": reason, "Description": description} if reason else {})


APIS = (LoadBalancers,)
