"""change-infrastructure: what a change set touches is shown and bound; followed by the stack's events; the way back is one too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opslib.actions import infrastructure, stack_state
from opslib.errors import ParameterError
from opslib.plan import Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.sandbox.shop_stack import CHANGE_SET, LIMIT, NAME, TEMPLATE

STACK = {"stack": NAME}


def blocked(plan: Plan) -> list[str]:
    return [one.what for one in plan.blocked]


def prepared(run: Run, applied: Callable[..., Result], **given: Any) -> str:
    """Make a change set by its own plan and return its name."""
    answer = applied(infrastructure.change(run, **STACK, **given))
    assert answer.verdict == "ok", answer.sentence
    return answer.facts["change set"]


def resource(run: Run, name: str, **properties: str) -> dict[str, Any]:
    """Return the stack's template of now with a property of one resource changed."""
    found: dict[str, Any] = json.loads(stack_state.template(run.environment, NAME))
    found["Resources"][name]["Properties"].update(properties)
    return found


def written(folder: Path, template: dict[str, Any]) -> str:
    file = folder / "template.json"
    file.write_text(json.dumps(template))
    return str(file)


def test_a_waiting_change_set_is_shown_carried_out_and_taken_back(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    plan = infrastructure.change(run, **STACK, change_set=CHANGE_SET)
    assert not plan.blocked, plan.blocked
    shown = {one.target.partition(" ")[0]: one.proposed for one in plan.changes}
    assert shown == {
        "JobsQueue": "Modify VisibilityTimeout, in place", "JobsTopic": "Modify TopicName, REPLACE it by a new one", "RetriesParameter": "Add",
    }  # fmt: skip
    assert "CheckoutLimitParameter: Value differs" in str(plan.conditions)  # changed by hand, and not touched
    assert "made anew and empty: JobsTopic" in plan.undo_draft.says
    cloud, seen = live.client("cloudformation"), []
    status = lambda: seen.append(cloud.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"])  # noqa: E731
    answer = applied(plan, status)
    assert answer.verdict == "ok" and f"{NAME} UPDATE_COMPLETE" in answer.sentence, answer.sentence
    assert seen == ["CREATE_COMPLETE"]  # ten seconds after the call: the status of before
    values = lambda: stack_state.values(cloud.describe_stacks(StackName=NAME)["Stacks"][0])  # noqa: E731
    assert values()["VisibilityTimeout"] == "300" and "applied before" in applied(plan).sentence
    back = plan.undo()
    assert (
        back.action == "prepare-change-set" and values()["VisibilityTimeout"] == "300"
    )  # a change set changes nothing
    name = applied(back).facts["change set"]
    assert applied(infrastructure.change(run, **STACK, change_set=name)).verdict == "ok"
    assert values()["VisibilityTimeout"] == "60" and json.loads(stack_state.template(run.environment, NAME)) == TEMPLATE


def test_a_change_set_of_values_is_made_and_deleted(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = infrastructure.change(run, **STACK, values="VisibilityTimeout=90")
    assert plan.steps[0].operation == "CreateChangeSet" and "VisibilityTimeout 60 to 90" in plan.title
    answer = applied(plan)
    assert answer.verdict == "ok" and "JobsQueue: Modify VisibilityTimeout" in answer.sentence, answer.sentence
    cloud = live.client("cloudformation")
    named = lambda: [one["ChangeSetName"] for one in cloud.list_change_sets(StackName=NAME)["Summaries"]]  # noqa: E731
    assert answer.facts["change set"] in named()
    assert applied(plan.undo()).verdict == "ok" and answer.facts["change set"] not in named()


def test_what_changes_nothing_is_a_failure(run: Run, applied: Callable[..., Result]) -> None:
    answer = applied(infrastructure.change(run, **STACK, values="VisibilityTimeout=60"))
    assert answer.verdict == "critical" and "didn't contain changes" in answer.sentence


def test_data_is_not_lost_by_the_way(run: Run, applied: Callable[..., Result], tmp_path: Path) -> None:
    name = prepared(run, applied, template=written(tmp_path, resource(run, "JobsDead", QueueName="shop-jobs-other")))
    plan = infrastructure.change(run, **STACK, change_set=name)
    assert blocked(plan) == ["nothing that holds data is replaced or removed"] and "WHAT IT HOLDS IS GONE" in str(
        plan.changes
    )
    assert not infrastructure.change(run, **STACK, change_set=name, allow_loss=True).blocked


def test_what_somebody_changed_by_hand_is_not_overwritten(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    name = prepared(run, applied, values="CheckoutLimit=250")
    assert blocked(infrastructure.change(run, **STACK, change_set=name)) == [
        "nothing that it touches was changed by hand"
    ]
    assert live.client("ssm").get_parameter(Name=LIMIT)["Parameter"]["Value"] == "150"


def test_a_rollback_is_a_failure_with_its_reason(run: Run, applied: Callable[..., Result], tmp_path: Path) -> None:
    broken = resource(run, "JobsQueue", VisibilityTimeout="50000")  # more than SQS allows
    name = prepared(run, applied, template=written(tmp_path, broken))
    answer = applied(infrastructure.change(run, **STACK, change_set=name))
    assert answer.verdict == "critical" and "JobsQueue UPDATE_FAILED" in answer.sentence, answer.sentence


def test_another_change_set_of_that_name_is_another_state(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    name = prepared(run, applied, values="VisibilityTimeout=91")
    plan = infrastructure.change(run, **STACK, change_set=name)
    cloud = live.client("cloudformation")
    cloud.delete_change_set(StackName=NAME, ChangeSetName=name)
    value = [{"ParameterKey": "VisibilityTimeout", "ParameterValue": "9000"}]
    cloud.create_change_set(StackName=NAME, ChangeSetName=name, UsePreviousTemplate=True, Parameters=value)
    assert "change set was" in applied(plan).sentence


def test_an_edited_template_is_refused(run: Run, applied: Callable[..., Result], tmp_path: Path) -> None:
    plan = infrastructure.change(run, **STACK, template=written(tmp_path, resource(run, "JobsDead", DelaySeconds="5")))
    assert "DelaySeconds" not in plan.text()  # a template may hold what no record should
    kept = next(tmp_path.rglob("*.template"))
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_text(kept.read_text().replace("DelaySeconds", "Delay"))
    answer = applied(plan)
    assert answer.verdict == "critical" and "was edited" in answer.sentence


def test_not_seen_is_said(run: Run, live: Sandbox) -> None:
    live.fault(service="cloudformation", operation="DetectStackDrift", kind="access-denied")
    plan = infrastructure.change(run, **STACK, change_set=CHANGE_SET) if _waits(live) else None
    seen, found = stack_state.drift(run.environment, NAME)
    assert seen.startswith("NOT SEEN: DetectStackDrift was denied") and not found and (plan is None or not plan.blocked)


def _waits(live: Sandbox) -> bool:
    told = live.client("cloudformation").list_change_sets(StackName=NAME)["Summaries"]
    return any(one["ChangeSetName"] == CHANGE_SET and one["ExecutionStatus"] == "AVAILABLE" for one in told)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "nothing to change"),
        ({"values": "VisibilityTimeout"}, "not Name=value"),
        ({"values": "Size=3"}, "no parameter Size"),
        ({"values": "SlackToken=xoxb-1"}, "is secret"),
        ({"values": 'Size="3'}, "close each quote"),
        ({"values": "VisibilityTimeout=3\x00"}, "not Name=value"),
        ({"template": "/nowhere"}, "no template"),
        ({"template": "../../../../../../../../etc/hostname"}, "leaves the project"),
        ({"template": "a\x00b"}, "no template"),
        ({"template": "/etc/passwd"}, "names no Resources"),
        ({"change_set": "$(id)"}, "is no name"),
        ({"change_set": "a", "values": "b=c"}, "neither template nor values"),
    ],
)
def test_what_cannot_be(run: Run, given: dict[str, str], why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        infrastructure.change(run, **STACK, **given)  # type: ignore[arg-type]
