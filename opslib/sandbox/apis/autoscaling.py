"""Application Auto Scaling over the services of the shop: web and api grow in the evening, and never below a minimum."""

from collections.abc import Iterator
from typing import Any

from opslib.sandbox.apis.ecs_fleet import Fleet
from opslib.sandbox.apis.ecs_state import CLUSTER, Service, hashed
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import NotModelled, ServiceError

API = "API reference"
ARN = "arn:aws:application-autoscaling:ap-northeast-1:000000000000"
DIMENSION = "ecs:service:DesiredCount"
ROLE = "arn:aws:iam::000000000000:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService"
CPU_GOAL = 60.0
CREATED = 1_770_000_000.0
KEPT_MS = 42 * 86_400_000
SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


class Targets:
    """The scalable targets: they give two services their limits."""

    def __init__(self, state: RegionState) -> None:
        self._state = state
        self.fleet = state.part(Fleet)
        self.suspended: dict[str, dict[str, bool]] = {}

    def services(self) -> list[Service]:
        """Return the services that scale, as they are now."""
        return [service for service in self.fleet.settled() if service.limits]

    def activities(self) -> Iterator[dict[str, Any]]:
        """Yield what was scaled, in the life and since."""
        from opslib.sandbox.life.rhythm import milliseconds

        for event in self._state.events.get("scaling", []):
            yield _activity(event["service"], milliseconds(event["at"]), event["to"], event["cause"])
        for service in self.services():
            yield from (_activity(service.name, *each) for each in service.scaled)


def _activity(service: str, at: int, count: int, cause: str) -> dict[str, Any]:
    done = f"Successfully set desired count to {count}. Change successfully fulfilled by ecs."
    return {
        "ActivityId": hashed("activity", service, at, count)[:32], "ServiceNamespace": "ecs",
        "ResourceId": f"service/{CLUSTER}/{service}", "ScalableDimension": DIMENSION, "Cause": cause,
        "Description": f"Setting desired count to {count}.", "StartTime": at / 1000, "EndTime": at / 1000 + 90,
        "StatusCode": "Successful", "StatusMessage": done,
    }  # fmt: skip


class Autoscaling:
    """What is asked and told of it."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @property
    def targets(self) -> Targets:
        """Return the targets that all operations share."""
        return self._state.part(Targets)

    @operation("application-autoscaling", "DescribeScalableTargets", modelled="web and api; by resource; pages of 50",
               source=API, difference="ecs only", tested=("test_minimum_scales_out", "test_scaling_comes_in_pages"))  # fmt: skip
    def describe_scalable_targets(self, p: Params) -> dict[str, Any]:
        """Answer the targets."""
        return _paged("ScalableTargets", [self._target(each) for each in self._asked(p)], p)

    @operation("application-autoscaling", "RegisterScalableTarget", modelled="limits and suspension; a service outside the "
               "limits is scaled on the clock", source=API, difference="only the two targets there are; tags are ignored",
               tested=("test_minimum_scales_out",))  # fmt: skip
    def register_scalable_target(self, p: Params) -> dict[str, Any]:
        """Change the limits of a target."""
        found = self._asked(p, [p["ResourceId"]])
        if not found:
            raise NotModelled("application-autoscaling", "RegisterScalableTarget", "is modelled for web and api only")
        with self._state.lock:
            service, now = found[0], self._state.clock.now_ms()
            assert service.limits is not None
            given = (p.get("MinCapacity"), p.get("MaxCapacity"))
            low, high = (old if new is None else new for old, new in zip(service.limits, given, strict=True))
            if low > high:
                raise ServiceError("ValidationException", "Minimum capacity cannot be greater than maximum capacity")
            self.targets.suspended.setdefault(service.name, {}).update(p.get("SuspendedState") or {})
            service.limits = (low, high)
            if not low <= service.desired <= high:
                word, limit = ("minimum", low) if service.desired < low else ("maximum", high)
                service.scale(limit, now, f"{word} capacity was set to {limit}")
            elif service.desired > low:
                service.idle_since = now
        return {"ScalableTargetARN": _arn(service)}

    @operation("application-autoscaling", "DescribeScalingPolicies", modelled="a target tracking policy on CPU for each target",
               source=API, difference="no alarm stands behind it", tested=("test_scaling_comes_in_pages",))  # fmt: skip
    def describe_scaling_policies(self, p: Params) -> dict[str, Any]:
        """Answer the policies."""
        return _paged("ScalingPolicies", [_policy(each) for each in self._asked(p)], p)

    @operation("application-autoscaling", "DescribeScalingActivities", modelled="six weeks, newest first; by resource; pages "
               "of 50", source=API, difference="the load does not scale, but for what was set by hand: it is scaled in after "
               "15 minutes", tested=("test_scaling_comes_in_pages", "test_a_count_set_by_hand_does_not_last"))  # fmt: skip
    def describe_scaling_activities(self, p: Params) -> dict[str, Any]:
        """Answer what was scaled."""
        with self._state.lock:
            now = self._state.clock.now_ms()
            found = sorted(self.targets.activities(), key=lambda each: -each["StartTime"])
        told = [each for each in found if p.get("ResourceId") in (None, each["ResourceId"])
                and now - each["StartTime"] * 1000 < KEPT_MS]  # fmt: skip
        return _paged("ScalingActivities", told if p["ServiceNamespace"] == "ecs" else [], p)

    def _asked(self, p: Params, named: list[str] | None = None) -> list[Service]:
        wanted = named or p.get("ResourceIds") or ([p["ResourceId"]] if p.get("ResourceId") else None)
        here = p["ServiceNamespace"] == "ecs" and p.get("ScalableDimension") in (None, DIMENSION)
        with self._state.lock:
            known = self.targets.services() if here else []
        return [each for each in known if wanted is None or f"service/{CLUSTER}/{each.name}" in wanted]

    def _target(self, service: Service) -> dict[str, Any]:
        low, high = service.limits or (0, 0)
        suspended = self.targets.suspended.get(service.name, {})
        return {
            "ServiceNamespace": "ecs", "ResourceId": f"service/{CLUSTER}/{service.name}", "ScalableDimension": DIMENSION,
            "MinCapacity": low, "MaxCapacity": high, "RoleARN": ROLE, "CreationTime": CREATED,
            "SuspendedState": {part: suspended.get(part, False) for part in SUSPENSIONS}, "ScalableTargetARN": _arn(service),
        }  # fmt: skip


def _arn(service: Service) -> str:
    return f"{ARN}:scalable-target/{hashed('target', service.name)[:12]}"


def _policy(target: Service) -> dict[str, Any]:
    tracking = {
        "TargetValue": CPU_GOAL, "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }  # fmt: skip
    resource = f"service/{CLUSTER}/{target.name}"
    return {
        "PolicyARN": f"{ARN.replace('application-', '')}:scalingPolicy:{target.name}", "PolicyName": f"{target.name}-cpu",
        "ServiceNamespace": "ecs", "ResourceId": resource, "ScalableDimension": DIMENSION, "Alarms": [],
        "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": tracking, "CreationTime": CREATED,
    }  # fmt: skip


def _paged(member: str, items: list[Any], p: Params) -> dict[str, Any]:
    shown, following = page(member, items, p.get("NextToken"), min(p.get("MaxResults") or 50, 50))
    return {member: shown} | ({"NextToken": following} if following else {})


APIS = (Autoscaling,)
