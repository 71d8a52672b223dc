"""restart-service against the sandbox's ECS on the running clock: what is success, what is not, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from opslib.actions import ecs_state, services
from opslib.errors import ParameterError, Refused
from opslib.journal import Journal
from opslib.plan import Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox


def condition(plan: Plan, what: str) -> bool:
    return next(one.holds for one in plan.conditions if what in one.what)


def test_a_restart_is_followed_until_its_own_deployment_completes(run: Run, applied: Callable[..., Result]) -> None:
    before = ecs_state.read(run.environment, "web", tasks=True)
    plan = services.restart(run, service="web")
    assert not plan.blocked and plan.steps[0].command(run.environment) == (
        "aws ecs update-service --cluster shop --service web --force-new-deployment --region ap-northeast-1"
    )
    answer = applied(plan)
    after = ecs_state.read(run.environment, "web", tasks=True)
    assert answer.verdict == "ok", answer.sentence
    assert (
        "4 of 4 tasks run, 4 targets are healthy" in answer.sentence and after.deployments[0]["id"] in answer.sentence
    )
    assert not {task["id"] for task in before.tasks} & {task["id"] for task in after.tasks}
    assert [entry["event"] for entry in Journal.of(run.environment).entries()] == [
        "apply",
        "intent",
        "result",
        "verified",
    ]


def test_a_rollback_by_the_circuit_breaker_is_no_success(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    live.outcome(service="api", deployment="circuit-breaker")
    answer = applied(services.restart(run, service="api"))
    assert answer.verdict == "critical" and "ROLLBACK" in answer.sentence, answer.sentence
    live.advance("30m")
    stable = ecs_state.read(run.environment, "api")
    assert stable.running == stable.desired and len(stable.deployments) == 1  # what a waiter would call stable


def test_a_deployment_that_never_ends_is_unknown(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    live.outcome(service="worker", deployment="stuck")
    plan = services.restart(run, service="worker")
    answer = applied(plan)
    assert answer.verdict == "unknown" and "Not seen to its end within 15 minutes" in answer.sentence
    again = services.restart(run, service="worker")
    assert not condition(again, "exactly one deployment") and "IN_PROGRESS" in again._repr_mimebundle_()["text/plain"]
    back = plan.undo()  # the way out of a stuck one
    assert back.steps[0].operation == "StopServiceDeployment" and "ARN" not in str(
        back.steps[0].arguments["serviceDeploymentArn"]
    )
    done = applied(back)
    assert done.verdict == "ok" and "ROLLBACK_SUCCESSFUL" in done.sentence, done.sentence
    with pytest.raises(Refused, match="nothing to go back from"):
        plan.undo()


def test_desired_count_zero_is_no_success_and_no_start(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    ecs = live.client("ecs")
    answer = applied(
        services.restart(run, service="batch"),
        lambda: ecs.update_service(cluster="shop", service="batch", desiredCount=0),
    )
    assert answer.verdict == "critical" and "desired count to 0" in answer.sentence
    live.advance("10m")
    assert not condition(services.restart(run, service="batch"), "it wants tasks")
    ecs.update_service(cluster="shop", service="batch", desiredCount=2)


def test_another_deployment_on_top_is_no_success(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    again = lambda: live.client("ecs").update_service(cluster="shop", service="auth", forceNewDeployment=True)  # noqa: E731
    answer = applied(services.restart(run, service="auth"), again)
    assert answer.verdict == "critical" and "did not come through" in answer.sentence, answer.sentence


def test_a_deployment_between_plan_and_apply_is_refused(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    plan = services.restart(run, service="notifier")
    live.client("ecs").update_service(cluster="shop", service="notifier", forceNewDeployment=True)
    answer = applied(plan)
    assert "the state has changed" in answer.sentence and "deployments was" in answer.sentence


def test_one_by_one_waits_for_each_successor(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    before = ecs_state.read(run.environment, "web", tasks=True)
    live.clear_calls()
    answer = applied(services.restart(run, service="web", way="one-by-one"))
    after = ecs_state.read(run.environment, "web", tasks=True)
    assert answer.verdict == "ok", answer.sentence
    assert not {task["id"] for task in before.tasks} & {task["id"] for task in after.tasks}
    assert after.deployments[0]["id"] == before.deployments[0]["id"]  # no deployment began
    made = [call["operation"] for call in live.calls()]
    stops = [number for number, name in enumerate(made) if name == "StopTask"]
    assert len(stops) == 4 and all("DescribeTasks" in made[first:second] for first, second in pairwise(stops))
    with pytest.raises(Refused, match="no way back"):
        services.restart(run, service="web", way="one-by-one").undo()


def test_one_by_one_needs_two_healthy_tasks(run: Run, live: Sandbox) -> None:
    live.client("ecs").update_service(cluster="shop", service="notifier", desiredCount=1)
    live.advance("10m")
    assert not condition(services.restart(run, service="notifier", way="one-by-one"), "at least 2 tasks")


def test_no_room_to_exchange_tasks_is_a_deadlock_that_is_said(run: Run, live: Sandbox) -> None:
    ecs = live.client("ecs")
    ecs.update_service(
        cluster="shop", service="worker", deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 100}
    )
    plan = services.restart(run, service="worker")
    ecs.update_service(
        cluster="shop", service="worker", deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200}
    )
    assert [one.what for one in plan.blocked] == ["there is room to exchange tasks"]


def test_an_alarm_that_still_rings_is_no_success(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    live.client("cloudwatch").put_metric_alarm(
        AlarmName="web-broken", Namespace="Own", MetricName="Broken", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    live.client("cloudwatch").set_alarm_state(AlarmName="web-broken", StateValue="ALARM", StateReason="a test")
    answer = applied(services.restart(run, service="web", alarm="web-broken"))
    assert answer.verdict == "unknown" and "web-broken still says" in answer.sentence, answer.sentence


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"service": "wbe"}, "did you mean 'web'"),
        ({"service": "web", "way": "kill"}, "way='kill'"),
        ({"service": "web", "alarm": "none"}, "no alarm 'none'"),
    ],
)
def test_what_does_not_exist_is_said(run: Run, given: dict[str, str], why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        services.restart(run, **given)


def test_a_tag_that_moved_on_is_no_restart(run: Run) -> None:
    found = ecs_state.read(run.environment, "web", tasks=True)
    assert services._same_image(run.environment, found).holds
    from dataclasses import replace

    moved = services._same_image(run.environment, replace(found, digests=("sha256:" + "0" * 64,)))
    assert not moved.holds and "now points at" in moved.found
