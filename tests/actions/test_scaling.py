"""scale-out: by the scalable target where there is one, by the desired count else; put back by its own plan."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opslib.actions import ecs_state, scaling, undoing
from opslib.errors import ParameterError
from opslib.plan import Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.sources import autoscaling


def blocked(plan: Plan) -> list[str]:
    return [one.what for one in plan.blocked]


def minimum(run: Run, service: str) -> int:
    frame = autoscaling.targets(run.environment)
    return int(frame[frame["service"] == service]["minimum"].iloc[0])


def test_a_scaling_service_gets_a_minimum_and_gets_it_back(run: Run, applied: Callable[..., Result]) -> None:
    before, low = ecs_state.read(run.environment, "web"), minimum(run, "web")
    plan = scaling.scale_out(run, service="web", tasks=before.desired + 2, connections_per_task=1)
    assert [step.operation for step in plan.steps] == ["RegisterScalableTarget"] and not plan.blocked, plan.blocked
    answer = applied(plan)
    assert answer.verdict == "ok" and f"{before.desired + 2} targets are healthy" in answer.sentence, answer.sentence
    assert minimum(run, "web") == before.desired + 2
    assert applied(plan.undo()).verdict == "ok" and minimum(run, "web") == low


def test_another_service_gets_a_count(run: Run, applied: Callable[..., Result]) -> None:
    before = ecs_state.read(run.environment, "worker").desired
    plan = scaling.scale_out(run, service="worker", tasks=before + 1, connections_per_task=1)
    assert plan.steps[0].arguments == {"cluster": "shop", "service": "worker", "desiredCount": before + 1}
    assert applied(plan).verdict == "ok" and ecs_state.read(run.environment, "worker").running == before + 1
    assert applied(plan.undo()).verdict == "ok" and ecs_state.read(run.environment, "worker").desired == before


def test_what_makes_it_worse_is_no_plan(run: Run) -> None:
    desired = ecs_state.read(run.environment, "api").desired
    assert "the database has room for the new pools" in blocked(
        scaling.scale_out(run, service="api", tasks=desired + 2, connections_per_task=500)
    )
    assert "it is more than now" in blocked(scaling.scale_out(run, service="api", tasks=desired))
    assert {"at most four times as many", "the scalable target allows it"} <= set(
        blocked(scaling.scale_out(run, service="api", tasks=900))
    )


def test_denied_it_says_so_and_changes_nothing(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    low = minimum(run, "web")
    plan = scaling.scale_out(
        run, service="web", tasks=ecs_state.read(run.environment, "web").desired + 1, connections_per_task=1
    )
    live.fault(service="application-autoscaling", operation="RegisterScalableTarget", kind="access-denied")
    answer = applied(plan)
    assert answer.verdict == "critical" and "denied" in answer.sentence and minimum(run, "web") == low


def test_no_such_service(run: Run) -> None:
    with pytest.raises(ParameterError, match="did you mean 'web'"):
        scaling.scale_out(run, service="wep", tasks=5)


def test_weeks_later_the_way_back_is_in_the_journal(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    low, desired = minimum(run, "web"), ecs_state.read(run.environment, "web").desired
    assert "nothing was changed" in undoing.undo(run).blocked[0].found
    plan = scaling.scale_out(run, service="web", tasks=desired + 1, connections_per_task=1)
    applied(plan)
    live.advance("2h")
    back = undoing.undo(run, change=plan.sealed[:8])
    assert back.action == "scale-back" and back.steps == plan.undo_draft.steps and undoing.undo(run).steps == back.steps
    assert applied(back).verdict == "ok" and minimum(run, "web") == low
    assert (
        "has no way back" not in undoing.undo(run, change=plan.sealed[:8]).title and undoing.undo(run).blocked
    )  # the last one was the way back
    assert undoing.undo(run, change="0000").blocked
