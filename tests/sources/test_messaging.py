"""What messages pass, read from the alert stacks as CloudFormation made them, and after each of it was broken."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest

from opslib import aws, config
from opslib.alerting import template
from opslib.config import Environment
from opslib.errors import SourceError
from opslib.sandbox.control import Sandbox
from opslib.sources import messaging
from opslib.sources.messaging import Place
from tests.alerting.alert_path import AWAY, HOME, AlertPath


@pytest.fixture(scope="module")
def path(no_aws_variables: None) -> Iterator[AlertPath]:
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        aws.forget()
        yield AlertPath(sandbox)
    aws.forget()


@pytest.fixture(autouse=True)
def calm(path: AlertPath) -> Iterator[None]:
    yield
    path.sandbox.clear_faults()


@pytest.fixture(scope="module")
def environment(path: AlertPath) -> Environment:
    return config.load("sandbox")


def places(path: AlertPath, *names: str) -> list[Place]:
    return [(HOME, path.made[HOME, name]) for name in names]


def test_topics_tell_who_may_publish_to_them_and_use_their_key(path: AlertPath, environment: Environment) -> None:
    both = [*places(path, "Alerts", "Critical"), (AWAY, path.made[AWAY, "Critical"]), (HOME, path.arn("gone"))]
    found = messaging.topics(environment, both)
    assert list(zip(found["region"], found["topic"], strict=True)) == [(HOME, "ops-alerts"), (HOME, "ops-critical"), (AWAY, "ops-critical")]  # fmt: skip
    assert set(found["publishers"]) == set(found["key_users"]) == {"cloudwatch events"}
    made = path.client("sns").create_topic(Name="plain", Attributes={"KmsMasterKeyId": "alias/aws/sns"})["TopicArn"]
    only = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "SNS:*", "Resource": made}  # fmt: skip
    path.client("sns").set_topic_attributes(TopicArn=made, AttributeName="Policy", AttributeValue=json.dumps({"Statement": [only]}))  # fmt: skip
    row = messaging.topics(environment, [(HOME, made)]).iloc[0]
    assert tuple(row[["publishers", "key", "key_users"]]) == ("cloudwatch", "alias/aws/sns", "")


def test_subscriptions_tell_who_hears_and_who_has_not_confirmed(path: AlertPath, environment: Environment) -> None:
    found = messaging.subscriptions(environment, places(path, "Alerts", "Critical"))
    heard = {(one.topic, messaging._last(one.endpoint)): one for one in found.itertuples()}
    assert set(heard) == {(topic, f"ops-notify-{sink}") for topic in ("ops-alerts", "ops-critical") for sink in ("slack", "pagerduty")}  # fmt: skip
    assert found["confirmed"].all() and heard["ops-alerts", "ops-notify-slack"].undelivered == messaging._last(path.made[HOME, "SlackUndelivered"])  # fmt: skip
    topic = path.client("sns").create_topic(Name="asked")["TopicArn"]
    path.client("sns").subscribe(TopicArn=topic, Protocol="https", Endpoint="https://events.pagerduty.com/integration/KEY/enqueue")  # fmt: skip
    row = messaging.subscriptions(environment, [(HOME, topic)]).iloc[0]
    assert tuple(row[["endpoint", "confirmed", "undelivered"]]) == ("https://events.pagerduty.com", False, "")


def test_queues_count_also_what_somebody_has_just_taken(path: AlertPath, environment: Environment) -> None:
    queue = path.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    for body in ("a", "b"):
        path.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    path.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=1)
    found = messaging.queues(environment, [(HOME, queue), (HOME, f"{queue}-gone"), *places(path, "SlackFailed")])
    assert list(found["waiting"]) == [2, 0] and found["queue"][0] == "kept"


def test_functions_tell_their_code_and_who_may_call_them(path: AlertPath, environment: Environment) -> None:
    found = messaging.functions(environment, [*places(path, "SlackFunction", "PagerDutyFunction"), (HOME, "gone")])
    ours = base64.b64encode(hashlib.sha256(template.archive()).digest()).decode()
    assert set(found["code"]) == {ours} and set(found["state"]) == {"Active"}
    assert list(found["invokers"]) == ["sns:ops-alerts sns:ops-critical", "events:* sns:ops-alerts sns:ops-critical"]
    assert found["secret"][0].startswith("arn:aws:secretsmanager:ap-northeast-1:000000000000:secret:ops/slack")
    path.client("lambda").create_function(FunctionName="bare", Runtime="python3.13", Handler="a.b", Role="arn:aws:iam::000000000000:role/a", Code={"ZipFile": template.archive()})  # fmt: skip
    assert messaging.functions(environment, [(HOME, "bare")])["invokers"][0] == ""


def test_rules_tell_whether_they_are_on(path: AlertPath, environment: Environment) -> None:
    name = path.made[HOME, "Heartbeat"]
    path.client("events").disable_rule(Name=name)
    found = messaging.rules(environment, [*places(path, "Heartbeat", "StillOn"), (HOME, "gone")])
    path.client("events").enable_rule(Name=name)
    assert list(found["state"]) == ["DISABLED", "ENABLED"] and list(found["targets"]) == [2, 1]
    assert found["schedule"][0] == "rate(15 minutes)"


def test_secrets_are_there_or_not_and_no_value_is_asked_for(path: AlertPath, environment: Environment) -> None:
    keeper, before = path.client("secretsmanager"), aws.calls()
    made = [keeper.create_secret(Name=name, SecretString="x")["ARN"] for name in ("kept", "leaving")]
    keeper.delete_secret(SecretId="leaving")
    path.client("ssm").put_parameter(Name="/ops/key", Value="x", Type="SecureString")
    parameters = [f"arn:aws:ssm:{HOME}:000000000000:parameter/{name}" for name in ("ops/key", "ops/none")]
    arns = [*made, *parameters, f"arn:aws:secretsmanager:{HOME}:000000000000:secret:never-AbCdEf"]
    found = messaging.secrets(environment, [(HOME, arn) for arn in arns])
    assert dict(zip(found["secret"], found["state"], strict=True)) == {made[0]: "there", made[1]: "to be deleted", parameters[0]: "there"}  # fmt: skip
    asked = {name for name, count in aws.calls().items() if count != before.get(name, 0)}
    assert asked == {"secretsmanager:DescribeSecret", "ssm:DescribeParameters"}


def test_what_does_not_answer_is_a_problem_and_not_absent(path: AlertPath, environment: Environment) -> None:
    both = places(path, "Heartbeat", "StillOn")
    path.sandbox.fault(service="events", operation="DescribeRule", kind="access-denied", count=1)
    found = messaging.rules(environment, both)
    assert len(found) == 1 and len(found.attrs["problems"]) == 1
    assert found.attrs["problems"][0].endswith(f" in {HOME}: DescribeRule was denied")
    path.sandbox.fault(service="events", operation="ListTargetsByRule", kind="access-denied")
    with pytest.raises(SourceError, match="denied"):
        messaging.rules(environment, both)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([("Allow", {"Service": ["a.amazonaws.com", "b.amazonaws.com"]}, "sns:publish", {})], [("a", "*"), ("b", "*")]),
        ([("Allow", {"Service": "a.amazonaws.com"}, ["sns:Pub*"], {"ArnLike": {"AWS:SourceArn": "x"}})], [("a", "x")]),
        ([("Allow", {"Service": "a.amazonaws.com"}, "sns:Subscribe", {}), ("Allow", "*", "sns:Publish", {}), ("Allow", {"AWS": "*"}, "sns:*", {})], []),
        ([("Allow", {"Service": "a.amazonaws.com"}, "*", {}), ("Deny", {"Service": "a.amazonaws.com"}, "sns:Publish", {})], []),
        ([("Allow", {"Service": "a.amazonaws.com"}, "*", {}), ("Deny", "*", "sns:Publish", {})], []),
    ],
)  # fmt: skip
def test_policies_are_read_for_what_they_grant(statements: list[tuple[object, ...]], found: list[Place]) -> None:
    keys = ("Effect", "Principal", "Action", "Condition")
    policy = {"Statement": [dict(zip(keys, one, strict=True)) for one in statements]}
    assert messaging.granted(json.dumps(policy), "sns:Publish") == found
    assert messaging.granted("", "sns:Publish") == []
