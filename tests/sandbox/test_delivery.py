"""Messages between SNS, EventBridge, Lambda and SQS: AWS's retries by the clock, permissions honoured, and nothing lost unseen."""

from __future__ import annotations

import http.client
import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.sandbox.sinks.stand_ins import ROUTING_KEY, secrets
from tests.sandbox.gateway_process import Gateway, running

ROLE = "arn:aws:iam::000000000000:role/nobody-made-it"
CODE = """
import json, os, time
count = 0
def handler(event, context):
    global count
    count += 1
    print("seen", count, os.environ["WORD"], time.strftime("%H:%M", time.gmtime()), context.function_name)
    text = json.dumps(event)
    if "sleep" in text:
        time.sleep(5)
    if "nap" in text:
        begun = time.monotonic(), time.time()
        time.sleep(70)
        return [round(time.monotonic() - begun[0]), round(time.time() - begun[1])]
    if "exit" in text:
        os._exit(3)
    if "fail" in text:
        raise ValueError("as it was told")
    print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {"Namespace": "Own", "Dimensions": [["Word"]], "Metrics": [{"Name": "Done"}]}]}, "Word": "w", "Done": 2}))
    return {"count": count}
"""


@dataclass
class Cloud:
    """The clients of one gateway and what was made in it."""

    gateway: Gateway
    made: int = 0
    known: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, service: str) -> Any:
        return self.gateway.client({"functions": "lambda"}.get(service, service))

    def advance(self, seconds: float) -> None:
        self.gateway.admin("POST", "advance", {"seconds": seconds})

    def pending(self) -> list[str]:
        return [one["what"] for one in self.gateway.admin("GET", "deliveries")["pending"]]

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}-{self.made}"

    def queue(self, *services: str) -> tuple[str, str]:
        """Return URL and ARN of a queue into which some services may send."""
        url = self.sqs.create_queue(QueueName=self.name("queue"))["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if services:
            said = [{"Effect": "Allow", "Principal": {"Service": f"{one}.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn} for one in services]  # fmt: skip
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": said})})
        return url, arn

    def held(self, url: str) -> list[dict[str, Any]]:
        asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], "VisibilityTimeout": 0}
        return self.sqs.receive_message(**asked).get("Messages", [])

    def function(self, source: str = "", failed: str = "", **more: Any) -> tuple[str, str]:
        """Return name and ARN of a function that a topic or a rule may call."""
        name, out = self.name("function"), io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("handed_over.py", CODE)
        given = {"Runtime": "python3.13", "Role": ROLE, "Handler": "handed_over.handler", "Timeout": 10, "Environment": {"Variables": {"WORD": "tea"}}}  # fmt: skip
        arn = self.functions.create_function(FunctionName=name, Code={"ZipFile": out.getvalue()}, **{**given, **more})["FunctionArn"]  # fmt: skip
        if source:
            service = f"{source.split(':')[2]}.amazonaws.com"
            self.functions.add_permission(FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=service, SourceArn=source)  # fmt: skip
        if failed:
            self.functions.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnFailure": {"Destination": failed}})  # fmt: skip
        return name, arn

    def topic(self, *subscribed: tuple[str, str], redrive: str = "", **attributes: str) -> str:
        arn: str = self.sns.create_topic(Name=self.name("topic"), Attributes=attributes)["TopicArn"]
        for protocol, endpoint in subscribed:
            self.subscribe(arn, protocol, endpoint, redrive)
        return arn

    def subscribe(self, topic: str, protocol: str, endpoint: str, redrive: str = "") -> None:
        more = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": redrive})} if redrive else {}
        self.sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=more)

    def rule(self, target: str, failed: str = "", pattern: Any = None, **more: Any) -> str:
        name = self.name("rule")
        when = {"ScheduleExpression": more.pop("rate")} if "rate" in more else {"EventPattern": json.dumps(pattern or {"source": ["ops.drill"], "detail-type": [name]})}  # fmt: skip
        arn: str = self.events.put_rule(Name=name, **when)["RuleArn"]
        letters = {"DeadLetterConfig": {"Arn": failed}} if failed else {}
        self.events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": target, **letters, **more}])
        return arn

    def put(self, rule: str, **detail: Any) -> None:
        entry = {"Source": "ops.drill", "DetailType": rule.rpartition("/")[2], "Detail": json.dumps(detail)}
        assert self.events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def log(self, name: str) -> list[str]:
        try:
            found = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except ClientError:
            return []
        return [each["message"] for each in found]

    def seen(self, name: str) -> int:
        return sum(line.startswith("seen") for line in self.log(name))

    def total(self, namespace: str, metric: str, **dimensions: str) -> float:
        place = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        span = {"StartTime": "2026-11-05T00:00:00Z", "EndTime": "2026-11-09T00:00:00Z", "Period": 86_400}
        points = self.cloudwatch.get_metric_statistics(Namespace=namespace, MetricName=metric, Dimensions=place, Statistics=["Sum"], **span)  # fmt: skip
        return sum(point["Sum"] for point in points["Datapoints"])


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running() as gateway:  # frozen: only `advance` lets time go on
        yield Cloud(gateway)


def test_a_function_runs_in_a_process_that_stays(cloud: Cloud) -> None:
    name, _ = cloud.function()
    told = [json.loads(cloud.functions.invoke(FunctionName=name)["Payload"].read()) for _ in range(2)]
    assert told == [{"count": 1}, {"count": 2}]
    answer = cloud.functions.invoke(FunctionName=name, Payload=b'{"a": "fail"}')
    assert answer["FunctionError"] == "Unhandled" and json.loads(answer["Payload"].read())["errorType"] == "ValueError"
    assert json.loads(cloud.functions.invoke(FunctionName=name)["Payload"].read()) == {
        "count": 4
    }  # an error ends nothing
    cloud.functions.update_function_configuration(FunctionName=name, Environment={"Variables": {"WORD": "cake"}})
    assert json.loads(cloud.functions.invoke(FunctionName=name)["Payload"].read()) == {"count": 1}
    lines = cloud.log(name)
    assert (
        "seen 1 tea 02:40 " + name in lines and "seen 1 cake 02:40 " + name in lines
    )  # the sandbox's time, not the machine's
    assert lines[0].startswith("START RequestId: ") and any(line.startswith("REPORT ") for line in lines)
    assert cloud.total("AWS/Lambda", "Invocations", FunctionName=name) == 5
    assert cloud.total("AWS/Lambda", "Errors", FunctionName=name) == 1
    assert cloud.total("Own", "Done", Word="w") == 8


def test_a_function_that_exits_or_takes_too_long_is_an_error(cloud: Cloud) -> None:
    name, _ = cloud.function(Timeout=1)
    for word, kind in (("sleep", "Sandbox.Timedout"), ("exit", "Runtime.ExitError")):
        told = json.loads(cloud.functions.invoke(FunctionName=name, Payload=json.dumps(word))["Payload"].read())
        assert told["errorType"] == kind
    assert json.loads(cloud.functions.invoke(FunctionName=name)["Payload"].read()) == {"count": 1}
    missing, _ = cloud.function(Handler="nothing.handler")
    told = json.loads(cloud.functions.invoke(FunctionName=missing)["Payload"].read())
    assert told["errorType"] == "Runtime.ImportModuleError" and "nothing" in told["errorMessage"]


def test_where_the_clock_stands_a_nap_takes_its_time_and_nobody_waits(cloud: Cloud) -> None:
    name, _ = cloud.function(Timeout=100)
    begun = time.monotonic()
    assert json.loads(cloud.functions.invoke(FunctionName=name, Payload=b'"nap"')["Payload"].read()) == [70, 70]
    assert time.monotonic() - begun < 60


def test_an_error_is_tried_after_one_and_two_minutes_then_kept_with_its_reason(cloud: Cloud) -> None:
    url, failed = cloud.queue()
    topic = cloud.topic()
    name, arn = cloud.function(topic, failed)
    cloud.subscribe(topic, "lambda", arn)
    message = cloud.sns.publish(TopicArn=topic, Message="fail", Subject="s")["MessageId"]
    tries = []
    for seconds in (0, 59, 2, 118, 3):
        cloud.advance(seconds)
        tries.append(cloud.seen(name))
    assert tries == [1, 1, 2, 2, 3] and cloud.pending() == []
    [kept] = [json.loads(each["Body"]) for each in cloud.held(url)]
    assert kept["requestContext"]["condition"] == "RetriesExhausted" and kept["requestContext"]["approximateInvokeCount"] == 3  # fmt: skip
    assert kept["requestPayload"]["Records"][0]["Sns"]["MessageId"] == message
    assert kept["responsePayload"]["errorMessage"] == "as it was told"
    cloud.advance(60)
    place = {"QueueName": failed.rpartition(":")[2]}
    assert cloud.total("AWS/SQS", "ApproximateNumberOfMessagesVisible", **place) >= 1


def test_a_retry_that_works_leaves_nothing_behind_and_holds_up_no_other(cloud: Cloud) -> None:
    url, failed = cloud.queue()
    topic = cloud.topic()
    ours, other = cloud.function(topic, failed), cloud.function(topic)
    for _, arn in (ours, other):
        cloud.subscribe(topic, "lambda", arn)
    cloud.functions.put_function_concurrency(FunctionName=ours[0], ReservedConcurrentExecutions=0)
    cloud.sns.publish(TopicArn=topic, Message="calm")
    cloud.advance(10)
    assert (cloud.seen(ours[0]), cloud.seen(other[0])) == (0, 1)
    assert cloud.total("AWS/Lambda", "Throttles", FunctionName=ours[0]) >= 3
    assert cloud.total("AWS/Lambda", "Errors", FunctionName=ours[0]) == 0
    cloud.functions.delete_function_concurrency(FunctionName=ours[0])
    cloud.advance(60)
    assert cloud.seen(ours[0]) == 1 and cloud.held(url) == [] and cloud.pending() == []


@pytest.mark.parametrize("broken", ["permission", "function", "wrong source"])
def test_what_sns_cannot_deliver_is_in_the_subscriptions_queue_at_once(cloud: Cloud, broken: str) -> None:
    url, undelivered = cloud.queue("sns")
    topic = cloud.topic()
    source = {"permission": "", "function": topic, "wrong source": cloud.topic()}[broken]
    name, arn = cloud.function(source)
    cloud.subscribe(topic, "lambda", arn, undelivered)
    if broken == "function":
        cloud.functions.delete_function(FunctionName=name)
    cloud.sns.publish(TopicArn=topic, Message="calm")
    cloud.advance(0)
    [kept] = cloud.held(url)
    assert json.loads(kept["Body"])["Message"] == "calm" and cloud.seen(name) == 0
    code = kept["MessageAttributes"]["ErrorCode"]["StringValue"]
    assert code == ("ResourceNotFoundException" if broken == "function" else "AccessDeniedException")
    where = {"TopicName": topic.rpartition(":")[2]}
    assert cloud.total("AWS/SNS", "NumberOfNotificationsRedrivenToDlq", **where) == 1


def test_a_queue_that_does_not_let_sns_in_is_counted_as_loss(cloud: Cloud) -> None:
    url, closed = cloud.queue()
    topic = cloud.topic()
    cloud.subscribe(topic, "lambda", cloud.function()[1], closed)
    cloud.sns.publish(TopicArn=topic, Message="calm")
    cloud.advance(0)
    assert cloud.held(url) == []
    where = {"TopicName": topic.rpartition(":")[2]}
    assert cloud.total("AWS/SNS", "NumberOfNotificationsFailedToRedriveToDlq", **where) == 1


def test_what_failed_is_kept_only_if_the_functions_role_may_write(cloud: Cloud) -> None:
    url, failed = cloud.queue()
    role = cloud.iam.create_role(RoleName="notifier", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    name, _ = cloud.function("", failed, Role=role)
    cloud.functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'"fail"')
    cloud.advance(200)
    assert cloud.held(url) == [] and cloud.total("AWS/Lambda", "DestinationDeliveryFailures", FunctionName=name) == 1
    may = {"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": failed}]}
    cloud.iam.put_role_policy(RoleName="notifier", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", **may}))  # fmt: skip
    cloud.functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'"fail"')
    cloud.advance(200)
    assert len(cloud.held(url)) == 1


def allowed(topic: str, service: str, **condition: Any) -> str:
    said = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic}  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [said | ({"Condition": condition} if condition else {})]})


def test_eventbridge_publishes_only_by_the_topics_policy(cloud: Cloud) -> None:
    url, failed = cloud.queue("events")
    got, arn = cloud.queue("sns")
    topic = cloud.topic(("sqs", arn))
    rule = cloud.rule(topic, failed)
    for policy, through in (("", False), (allowed(topic, "cloudwatch"), False), (allowed(topic, "events"), True),
                            (allowed(topic, "events", ArnLike={"aws:SourceArn": rule}), False)):  # fmt: skip
        before = len(cloud.held(url)), len(cloud.held(got))
        if policy:  # else the one that every topic has, which lets no rule in
            cloud.sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
        cloud.put(rule)
        cloud.advance(0)
        assert (len(cloud.held(url)), len(cloud.held(got))) == (before[0] + (not through), before[1] + through)
    told = cloud.held(url)[0]["MessageAttributes"]
    assert told["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS" and told["RULE_ARN"]["StringValue"] == rule


def test_an_alarm_needs_the_topic_and_its_key_and_its_history_tells(cloud: Cloud) -> None:
    got, arn = cloud.queue("sns")
    key = cloud.kms.create_key()["KeyMetadata"]["KeyId"]
    for name, attributes, through in (("aws-key", {"KmsMasterKeyId": "alias/aws/sns"}, False), ("own-key", {"KmsMasterKeyId": key}, False), ("plain", {}, True)):  # fmt: skip
        topic = cloud.topic(("sqs", arn), **attributes)
        cloud.cloudwatch.put_metric_alarm(
            AlarmName=name, AlarmDescription="d", Namespace="N", MetricName="m", Period=60, EvaluationPeriods=1, Threshold=1, Statistic="Sum",
            ComparisonOperator="GreaterThanThreshold", AlarmActions=[topic], Dimensions=[{"Name": "a", "Value": "b"}],
        )  # fmt: skip
        before = len(cloud.held(got))
        cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="because")
        cloud.advance(0)
        assert len(cloud.held(got)) == before + through
        items = cloud.cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="Action")["AlarmHistoryItems"]
        assert ("Successfully" if through else "Failed to execute") in items[0]["HistorySummary"]
    told = json.loads(json.loads(cloud.held(got)[0]["Body"])["Message"])
    assert told["AlarmArn"].endswith(":alarm:plain") and told["StateChangeTime"].startswith("2026-11-05T0")
    assert told["Trigger"]["Dimensions"] == [{"value": "b", "name": "a"}] and told["Trigger"]["Statistic"] == "SUM"


def test_a_rule_calls_a_function_it_may_and_keeps_what_it_may_not(cloud: Cloud) -> None:
    url, failed = cloud.queue("events")
    name, arn = cloud.function()
    rule = cloud.rule(arn, failed)
    cloud.put(rule)
    cloud.advance(0)
    assert cloud.seen(name) == 0 and len(cloud.held(url)) == 1
    cloud.functions.add_permission(FunctionName=name, StatementId="r", Action="lambda:InvokeFunction", Principal="events.amazonaws.com", SourceArn=rule)  # fmt: skip
    cloud.put(rule)
    cloud.put(rule.replace("rule-", "another-rule-"))
    cloud.advance(0)
    assert cloud.seen(name) == 1 and len(cloud.held(url)) == 1


def test_a_target_that_is_down_is_tried_as_its_retry_policy_says(cloud: Cloud) -> None:
    url, failed = cloud.queue("events")
    topic = cloud.topic()
    rule = cloud.rule(topic, failed, RetryPolicy={"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600})
    cloud.sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=allowed(topic, "events"))
    cloud.gateway.admin("POST", "faults", {"service": "sns", "operation": "Publish", "kind": "throttling", "count": 4})
    cloud.put(rule)
    cloud.advance(1)
    assert len(cloud.pending()) == 1 and cloud.held(url) == []
    cloud.advance(60)
    told = cloud.held(url)[0]["MessageAttributes"]
    assert told["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumRetryAttempts" and told["RETRY_ATTEMPTS"]["StringValue"] == "3"  # fmt: skip
    cloud.gateway.admin("POST", "faults", {"service": "sns", "operation": "Publish", "kind": "throttling", "count": 2})
    cloud.put(rule)
    cloud.advance(60)
    assert len(cloud.held(url)) == 1 and cloud.pending() == []
    cloud.gateway.admin("DELETE", "faults")


def test_a_schedule_is_due_by_the_clock_and_events_of_aws_are_refused(cloud: Cloud) -> None:
    url, arn = cloud.queue("events")
    rule = cloud.rule(arn, rate="rate(15 minutes)")
    counts = []
    for _ in range(4):
        cloud.advance(15 * 60)
        counts.append(len(cloud.held(url)))
    assert counts[3] - counts[0] == 3 and counts[0] in (0, 1)
    assert json.loads(cloud.held(url)[0]["Body"])["resources"] == [rule]
    entry = {"Source": "aws.amplify", "DetailType": "d", "Detail": "{}"}
    answer = cloud.events.put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def post(url: str, body: Any, seconds: float = 5) -> tuple[int, str, str | None]:
    """Return status, words and Retry-After."""
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            return answer.status, answer.read().decode(), None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers.get("Retry-After")


def test_the_secrets_lead_here_and_all_that_comes_is_kept(cloud: Cloud) -> None:
    client = cloud.secretsmanager
    hook = client.get_secret_value(SecretId="ops/slack")["SecretString"]
    assert hook == secrets(cloud.gateway.endpoint.rpartition(":")[2])["ops/slack"]
    assert client.get_secret_value(SecretId="ops/pagerduty")["SecretString"] == ROUTING_KEY
    payload = {"summary": "s", "source": "prod", "severity": "error"}
    event = {"routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "d", "payload": payload}
    pager = f"{cloud.gateway.endpoint}/_sinks/pagerduty/v2/enqueue"
    assert post(hook, {"text": "hello"})[:2] == (200, "ok") and post(hook[:-1], {"text": "x"})[:2] == (
        403,
        "invalid_token",
    )
    assert post(hook, {})[:2] == (400, "no_text")
    assert post(pager, event)[0] == 202 and post(pager, {**event, "routing_key": "k" * 32})[0] == 400
    told = cloud.gateway.admin("GET", "messages")
    assert [(one["sink"], one["status"]) for one in told["messages"]] == [("slack", 200), ("slack", 403), ("slack", 400), ("pagerduty", 202), ("pagerduty", 400)]  # fmt: skip
    assert hook.rpartition("/")[2] not in json.dumps(told["messages"][0]["path"]) and len(told["incidents"]) == 1
    assert (
        cloud.gateway.admin("DELETE", "messages") == {"removed": 5}
        and cloud.gateway.admin("GET", "messages")["incidents"] == []
    )


def test_they_fail_as_often_and_as_they_are_told(cloud: Cloud) -> None:
    hook = cloud.secretsmanager.get_secret_value(SecretId="ops/slack")["SecretString"]
    cloud.gateway.admin(
        "POST", "faults", {"service": "slack", "kind": "status", "status": 429, "retry_after": 600, "count": 2}
    )
    assert [post(hook, {"text": "x"}) for _ in range(3)] == [(429, "rate_limited", "600")] * 2 + [(200, "ok", None)]
    cloud.gateway.admin("POST", "faults", {"service": "slack", "kind": "drop", "count": 1})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        post(hook, {"text": "dropped"})
    cloud.gateway.admin("POST", "faults", {"service": "slack", "kind": "hang", "count": 1})
    with pytest.raises(TimeoutError):
        post(hook, {"text": "hung"}, seconds=0.2)
    cloud.gateway.admin("POST", "faults", {"service": "*", "kind": "access-denied"})  # AWS's trouble is not Slack's
    assert post(hook, {"text": "x"})[0] == 200
    cloud.gateway.admin("DELETE", "faults")
    kept = [(one["status"], one["answer"]) for one in cloud.gateway.admin("GET", "messages")["messages"]]
    assert kept == [(429, "rate_limited")] * 2 + [(200, "ok"), (0, "drop"), (0, "hang"), (200, "ok")]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        cloud.gateway.admin("POST", "faults", {"service": "rds", "kind": "status", "status": 500})
