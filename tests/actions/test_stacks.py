"""Several stacks by one plan: what it says is what the change sets say, it is followed by its own events, and goes back."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import aws
from opslib.actions import stack_diff, stack_state, stacks
from opslib.applying import way_back
from opslib.errors import Refused, SourceError
from opslib.plan import Action, Plan, Verification, register
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox

ONE: dict[str, Any] = {
    "Parameters": {"Seconds": {"Type": "Number", "Default": 30}},
    "Resources": {
        "Failed": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": {"QueueName": "tries-failed", "VisibilityTimeout": {"Ref": "Seconds"}}},
        "Told": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "tries"}},
        "Heard": {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": {"Ref": "Told"}, "Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["Failed", "Arn"]}}},
    },
}  # fmt: skip
TWO = {
    "Resources": {
        "Kept": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "tries-kept", "VisibilityTimeout": 30}}
    }
}
VERIFICATION = Verification("By the events.", "aws cloudformation describe-stacks", 5.0, 600.0)
TRY = "try-stacks"
register(Action(TRY, observe=stacks.following.observe, follow=stacks.following.follow, keep=stacks.following.keep,
                between=stacks.following.between, complete=stacks.following.complete, undo=stacks.undo))  # fmt: skip


def touched(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    return {one.name: one.says() for one in stack_diff.differences(old, new)}


def changed(template: dict[str, Any], name: str, **properties: Any) -> dict[str, Any]:
    found = copy.deepcopy(template)
    found["Resources"][name]["Properties"].update(properties)
    return found


def test_what_replaces_a_resource_is_what_aws_says() -> None:
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    for kind, names in stack_diff.REPLACING.items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        said = {path.rpartition("/")[2] for path in schema.get("createOnlyProperties") or ()}
        assert set(names) in (said, {"*"}), kind
        assert names != ("*",) or not set(schema["properties"]) - said - set(schema.get("readOnlyProperties", ())) - {"Id", "EventSourceToken"}  # fmt: skip


def test_what_differs_and_what_follows_from_it() -> None:
    assert touched(ONE, ONE) == {}
    assert touched(ONE, changed(ONE, "Failed", VisibilityTimeout=5)) == {"Failed": "Modify VisibilityTimeout, in place"}
    assert touched(ONE, changed(ONE, "Told", TopicName="other")) == {
        "Told": "Modify TopicName, REPLACE it by a new one",
        "Heard": "Modify TopicArn, REPLACE it by a new one",  # it names the topic
    }
    assert touched(ONE, TWO) == {"Kept": "Add", "Failed": "Remove", "Told": "Remove", "Heard": "Remove"}
    other = {"Resources": {"Kept": {"Type": "AWS::New::Thing", "Properties": {"A": 1}}}}
    assert touched(other, changed(other, "Kept", A=2)) == {"Kept": "Modify A, perhaps REPLACE it"}


def test_a_value_of_a_parameter_changes_who_uses_it() -> None:
    old, new = stack_diff.valued(ONE, {}), stack_diff.valued(ONE, {"Seconds": "60"})
    assert touched(old, new) == {"Failed": "Modify VisibilityTimeout, in place"}
    assert touched(old, stack_diff.valued(ONE, {"Other": "1"})) == {}


def test_what_no_plan_said_is_found() -> None:
    planned = {one.name: one for one in stack_diff.differences(ONE, changed(ONE, "Told", TopicName="other"))}
    made = stack_diff.differences
    assert stack_diff.unforeseen(planned, tuple(planned.values())) == []
    assert stack_diff.unforeseen({}, made(ONE, changed(ONE, "Failed", VisibilityTimeout=5))) == []
    for more in (made(ONE, TWO), made(ONE, changed(ONE, "Failed", QueueName="x"))):
        assert any("Failed" in said for said in stack_diff.unforeseen(planned, more))


@pytest.fixture
def planned(run: Run, live: Sandbox) -> Iterator[Callable[..., Plan]]:
    def make(*templates: dict[str, Any], **given: Any) -> Plan:
        wanted = [stacks.Wanted(f"tries-{number}", json.dumps(one), given.pop("values", {})) for number, one in enumerate(templates, 1)]  # fmt: skip
        found = [stacks.standing(run.environment, one) for one in wanted]
        return stacks.deploy(run, found, action=TRY, title="Tries", target="tries", verification=VERIFICATION, **given)

    yield make
    cloud = live.client("cloudformation")
    for name in ("tries-1", "tries-2"):
        cloud.delete_stack(StackName=name)
    live.advance("5m")
    sqs = live.client("sqs")
    for url in sqs.list_queues(QueueNamePrefix="tries").get("QueueUrls", []):
        sqs.delete_queue(QueueUrl=url)


def status(live: Sandbox, name: str) -> str:
    told = live.client("cloudformation").list_stacks()["StackSummaries"]
    return str(next(one["StackStatus"] for one in told if one["StackName"] == name))


def test_two_stacks_are_made_changed_and_taken_back(
    live: Sandbox, planned: Callable[..., Plan], applied: Callable[..., Result]
) -> None:
    plan = planned(ONE, TWO)
    assert [one.proposed.partition(":")[0] for one in plan.changes] == ["a stack of 3 resources", "a stack of 1 resources"]  # fmt: skip
    assert [step.operation for step in plan.steps] == ["CreateChangeSet", "ExecuteChangeSet"] * 2
    answer = applied(plan)
    assert answer.verdict == "ok" and answer.facts["stacks"] == "2", answer.sentence
    idle = planned(ONE, TWO)
    assert idle.blocked and "are as wanted" in idle.blocked[0].found and not idle.steps

    again = changed(ONE, "Failed", VisibilityTimeout=120)
    change = planned(again, TWO)
    assert [one.target for one in change.changes] == ["tries-1/Failed (AWS::SQS::Queue)"]
    assert applied(change).verdict == "ok"
    url = live.client("sqs").get_queue_url(QueueName="tries-failed")["QueueUrl"]
    assert live.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]["VisibilityTimeout"] == "120"  # fmt: skip
    back = way_back(change)
    assert [step.operation for step in back.steps] == ["CreateChangeSet", "ExecuteChangeSet"]
    assert applied(back).verdict == "ok"
    assert live.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]["VisibilityTimeout"] == "30"  # fmt: skip

    gone = way_back(plan)  # the first plan made both
    assert back.limits == () and gone.limits == ("deployed since by another plan, and that goes back, too: tries-1",)
    assert [step.arguments for step in gone.steps] == [
        {"StackName": "tries-2"},
        {"StackName": "tries-1"},
    ]  # AWS remembers a token
    assert applied(gone).verdict == "ok"
    assert {status(live, name) for name in ("tries-1", "tries-2")} == {"DELETE_COMPLETE"}
    assert live.client("sqs").get_queue_url(QueueName="tries-failed")  # retained, as its template says


def test_a_change_set_that_would_do_more_than_the_plan_said_is_not_carried_out(
    live: Sandbox, planned: Callable[..., Plan], applied: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert applied(planned(ONE)).verdict == "ok"
    real = stack_diff.differences
    monkeypatch.setattr(stack_diff, "differences", lambda old, new: tuple(one for one in real(old, new) if one.action != "Remove"))  # fmt: skip
    answer = applied(planned({"Resources": {**TWO["Resources"], "Failed": ONE["Resources"]["Failed"]}, "Parameters": ONE["Parameters"]}, TWO))  # fmt: skip
    assert answer.verdict == "critical" and "would do more than the plan said" in answer.sentence
    assert "2 of" not in answer.sentence and "Told: Remove" in answer.sentence
    assert live.client("sns").list_topics()["Topics"] and status(live, "tries-1") == "CREATE_COMPLETE"


def test_what_holds_data_or_was_changed_by_hand_stands_against_it(
    live: Sandbox, planned: Callable[..., Plan], applied: Callable[..., Result]
) -> None:
    assert applied(planned(TWO)).verdict == "ok"
    renamed = changed(TWO, "Kept", QueueName="tries-other")
    assert [one.what for one in planned(renamed).blocked] == ["nothing that holds data is replaced or removed"]
    assert not planned(renamed, allow_loss=True).blocked
    url = live.client("sqs").get_queue_url(QueueName="tries-kept")["QueueUrl"]
    live.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "99"})
    slower = changed(TWO, "Kept", VisibilityTimeout=60)
    found = planned(slower)
    assert "Kept: VisibilityTimeout differs" in next(one.found for one in found.blocked)
    assert not planned(slower, over_hand=True).blocked


def test_a_detection_of_drift_that_takes_minutes_is_waited_for(planned: Callable[..., Plan], applied: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """AWS takes several minutes for many resources; given up, no plan could be made of a stack that is large."""
    assert applied(planned(TWO)).verdict == "ok"
    real, looks = aws.ask, itertools.count(1)

    def slow(environment: Any, service: str, operation: str, /, **given: Any) -> dict[str, Any]:
        told = real(environment, service, operation, **given)
        late = operation == "describe_stack_drift_detection_status" and next(looks) < 100  # of 1.5 s
        return {**told, "DetectionStatus": "DETECTION_IN_PROGRESS"} if late else told

    monkeypatch.setattr(aws, "ask", slow)
    monkeypatch.setattr(stack_state, "time", SimpleNamespace(sleep=lambda seconds: None))
    assert not planned(changed(TWO, "Kept", VisibilityTimeout=60)).blocked


def test_all_that_a_hand_did_is_seen_also_beyond_a_page(live: Sandbox, run: Run, planned: Callable[..., Plan], applied: Callable[..., Result]) -> None:  # fmt: skip
    names = [f"/tries/{number}" for number in range(101)]
    many = {f"P{number}": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": name, "Type": "String", "Value": "x"}} for number, name in enumerate(names)}  # fmt: skip
    assert applied(planned({"Resources": many})).verdict == "ok"
    for first in range(0, len(names), 10):
        live.client("ssm").delete_parameters(Names=names[first : first + 10])
    assert stack_state.drift(run.environment, "tries-1") == ("DRIFTED", dict.fromkeys(many, "deleted"))


def test_a_stack_that_could_not_be_made_is_deleted_and_made_anew(
    live: Sandbox, planned: Callable[..., Plan], applied: Callable[..., Result]
) -> None:
    live.client("ssm").put_parameter(Name="/tries/taken", Type="String", Value="by somebody")
    taken = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/tries/taken", "Type": "String", "Value": "by us"}}
    answer = applied(planned({"Resources": {"Taken": taken}}))
    assert answer.verdict == "critical" and "/tries/taken" in answer.sentence and "was not tried" in answer.sentence
    alarm = {"MetricName": "m", "Namespace": "Tries", "Period": 60, "Statistic": "Sum", "Threshold": 1, "ComparisonOperator": "LessThanThreshold"}  # fmt: skip
    never = {"Type": "AWS::CloudWatch::Alarm", "Properties": {**alarm, "EvaluationPeriods": 1, "DatapointsToAlarm": 2}}
    answer = applied(planned({"Resources": {"Never": never}}))
    assert answer.verdict == "critical" and "ROLLBACK_COMPLETE" in answer.sentence, answer.sentence
    anew = planned(TWO)
    assert [step.operation for step in anew.steps] == ["DeleteStack", "CreateChangeSet", "ExecuteChangeSet"]
    assert applied(anew).verdict == "ok"


def test_there_is_no_way_back_from_what_was_not_carried_out(planned: Callable[..., Plan]) -> None:
    with pytest.raises(Refused):
        way_back(planned(TWO))


def test_a_stack_of_somebody_else_is_not_touched(run: Run, live: Sandbox) -> None:
    body = "Resources:\n  Kept:\n    Type: AWS::SNS::Topic\n    Properties:\n      TopicName: theirs\n"
    live.client("cloudformation").create_stack(StackName="theirs", TemplateBody=body)
    live.advance("5m")
    with pytest.raises(SourceError, match="was not made by opslib"):
        stacks.standing(run.environment, stacks.Wanted("theirs", json.dumps(TWO), {}))
