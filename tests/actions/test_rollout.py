"""roll-out-image: fixed by digest, followed to its end, with the way back; a bad image is a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opslib.actions import ecs_state, rollout
from opslib.errors import ParameterError, Refused
from opslib.plan import load
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox

LATER = "2026.11.05-rc1"


def test_an_image_is_rolled_out_by_digest_and_back(
    run: Run, live: Sandbox, applied: Callable[..., Result], tmp_path: Any
) -> None:
    before = ecs_state.read(run.environment, "web", tasks=True)
    plan = rollout.roll_out(run, service="web", image=LATER)
    assert [step.operation for step in plan.steps] == ["RegisterTaskDefinition", "UpdateService"] and not plan.blocked
    said = plan.steps[0].command(run.environment)
    assert f'--cli-input-json "$(aws ecs describe-task-definition --task-definition {before.definition} ' in said
    answer = applied(plan)
    after = ecs_state.read(run.environment, "web", tasks=True)
    assert answer.verdict == "ok" and "4 targets are healthy" in answer.sentence, answer.sentence
    assert after.image.endswith(f"@{after.digests[0]}") and after.digests == (answer.facts["digest"],)
    assert after.digests != before.digests
    ecs = live.client("ecs")
    old, new = (
        ecs.describe_task_definition(taskDefinition=one.definition)["taskDefinition"] for one in (before, after)
    )
    assert {**new["containerDefinitions"][0], "image": ""} == {**old["containerDefinitions"][0], "image": ""}
    assert {new["family"], new["taskRoleArn"], new["cpu"]} == {old["family"], old["taskRoleArn"], old["cpu"]}
    (tmp_path / "plan.json").write_text(plan.text())
    assert load(tmp_path / "plan.json").hash == plan.sealed
    back = applied(plan.undo())
    assert back.verdict == "ok" and ecs_state.read(run.environment, "web").definition == before.definition
    with pytest.raises(Refused, match="nothing to go back from"):
        plan.undo()


def test_empty_is_the_image_before(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    told = live.client("ecs").list_service_deployments(cluster="shop", service="worker")["serviceDeployments"]
    earlier = live.client("ecs").describe_service_revisions(
        serviceRevisionArns=[one["targetServiceRevisionArn"] for one in told[:10]]
    )["serviceRevisions"]
    digests = {one["serviceRevisionArn"]: one["containerImages"][0]["imageDigest"] for one in earlier}
    newest_first = [digests[one["targetServiceRevisionArn"]] for one in told[:10]]
    before = next(digest for digest in newest_first if digest != newest_first[0])  # a restart runs the same once more
    plan = rollout.roll_out(run, service="worker")
    assert plan.parameters["digest"] == before and "the image before" in plan.title
    assert applied(plan).verdict == "ok"
    again = rollout.roll_out(run, service="worker", image=plan.parameters["image"])
    assert [one.what for one in again.blocked] == ["it is another image than the running one"]
    assert len(again.steps) == 1  # the revision that runs is fixed by that digest already


def test_a_bad_image_is_a_failure_and_rolled_back(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    before = ecs_state.read(run.environment, "api", tasks=True)
    live.outcome(service="api", deployment="circuit-breaker")
    plan = rollout.roll_out(run, service="api", image=LATER)
    answer = applied(plan)
    assert answer.verdict == "critical" and "ROLLBACK" in answer.sentence, answer.sentence
    live.advance("30m")
    assert ecs_state.read(run.environment, "api").definition == before.definition


def test_a_stuck_one_is_unknown_and_can_be_undone(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    before = ecs_state.read(run.environment, "notifier").definition
    live.outcome(service="notifier", deployment="stuck")
    plan = rollout.roll_out(run, service="notifier", image=LATER)
    assert applied(plan).verdict == "unknown"
    assert applied(plan.undo()).verdict == "ok" and ecs_state.read(run.environment, "notifier").definition == before


def test_denied_half_way_says_what_was_done(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    before = ecs_state.read(run.environment, "auth").definition
    plan = rollout.roll_out(run, service="auth", image=LATER)
    live.fault(service="ecs", operation="UpdateService", kind="access-denied")
    answer = applied(plan)
    assert answer.verdict == "critical" and "1 of 2 steps were done" in answer.sentence, answer.sentence
    assert ecs_state.read(run.environment, "auth").definition == before


def test_a_plan_holds_no_value_of_the_environment(run: Run, live: Sandbox) -> None:
    ecs = live.client("ecs")
    given = ecs.describe_task_definition(taskDefinition=ecs_state.read(run.environment, "batch").definition)[
        "taskDefinition"
    ]
    box = given["containerDefinitions"][0]
    box["environment"] = [{"name": "API_KEY", "value": "planted-secret"}]
    ecs.register_task_definition(family=given["family"], containerDefinitions=[box])
    ecs.update_service(cluster="shop", service="batch", taskDefinition=given["family"])
    live.advance("10m")
    assert "planted-secret" not in rollout.roll_out(run, service="batch", image=LATER).text()


@pytest.mark.parametrize(
    ("image", "why"),
    [("no such tag", "no tag"), ("x/y:1", "another repository"), ("$(id)", "no tag"), ("sha256:12", "no tag")],
)
def test_no_image(run: Run, image: str, why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        rollout.roll_out(run, service="web", image=image)
