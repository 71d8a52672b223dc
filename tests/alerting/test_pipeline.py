"""alert-pipeline: whole over the stacks as CloudFormation made them; each link that is broken by hand is found, and what was not seen is no fault."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from opslib import aws, config
from opslib.alerting import pipeline
from opslib.cli_alerts import alerts
from opslib.errors import ConfigError
from opslib.result import Result, Sight, Verdict
from opslib.run import DEADLINE_SECONDS, start
from opslib.sandbox.control import Sandbox
from opslib.sandbox.sinks.stand_ins import READ_KEY
from opslib.sources import pagerduty
from tests.alerting.alert_path import AWAY, HOME, AlertPath


@pytest.fixture(scope="module")
def path(no_aws_variables: None) -> Iterator[AlertPath]:
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        patch.setitem(DEADLINE_SECONDS, "interactive", 300.0)  # a busy machine is not blind
        aws.forget()
        made = AlertPath(sandbox)
        made.early = look(made, drift=False)
        sandbox.advance("20m")
        yield made
    aws.forget()


def updated(path: AlertPath) -> None:
    """Wait for what was changed of the functions: one that is being updated is told, too."""
    for region in (HOME, AWAY):
        functions = path.client("lambda", region)
        for one in functions.list_functions()["Functions"]:
            functions.get_waiter("function_updated_v2").wait(
                FunctionName=one["FunctionName"], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
            )


def look(path: AlertPath, *, thresholds: dict[str, float] | None = None, **more: Any) -> Result:
    updated(path)
    aws.identity.cache_clear()  # or the frozen clock would stand where it was asked first
    run = start(env="sandbox")
    alerts = run.environment.alerts.model_copy(update={"thresholds": thresholds or {}})
    run.environment = run.environment.model_copy(update={"alerts": alerts})
    return pipeline.whole(run, **more)


def keys(result: Result) -> set[str]:
    return {finding.key.removeprefix("pipeline:") for finding in result.findings}


@pytest.fixture(scope="module")
def sound(path: AlertPath) -> Result:
    name = "orders stand still"
    path.alarm(name)
    path.set(name, "ALARM")
    path.set(name, "OK")
    path.sandbox.advance("2m")
    return look(path)


def test_the_way_is_whole_once_the_stacks_stand(sound: Result) -> None:
    assert (sound.verdict, sound.sight) == (Verdict.OK, Sight.COMPLETE), (sound.sentence, sound.reason, sound.findings)
    assert sound.findings == () and sound.table is None
    assert sound.sentence.startswith(f"From every alarm to Slack and PagerDuty the way is whole in {HOME} and {AWAY}; the last heartbeat came through at")  # fmt: skip
    assert sound.facts == {"stacks": "5 of 5", "wrong": "0", "not delivered": "0", "alerts handled": sound.facts["alerts handled"]}  # fmt: skip
    links = sound.part("links").table
    assert links is not None and len(links) == 18 and list(links["wanted"]) == list(links["there"])
    assert (
        dict(zip(links["link"] + " " + links["region"], links["wanted"], strict=True))[f"subscriptions {HOME}"] == "4"
    )
    lately = sound.part("lately").table
    assert lately is not None and list(lately["sink"]) == [f"{sink} ({region})" for region in (HOME, AWAY) for sink in ("slack", "pagerduty")]  # fmt: skip
    assert lately["alerts handled"][0] >= 2 and set(lately["failed"]) == {0} and set(lately["last heartbeat"]) != {"–"}


def test_before_the_first_heartbeat_it_is_not_known_whether_alerts_get_through(path: AlertPath) -> None:
    assert path.early.sentence.startswith("Whether alerts reach people is not known yet"), path.early.sentence
    assert path.early.verdict is Verdict.WARN and len(path.early.findings) == 10
    assert path.early.table is not None and len(path.early.table) == 1  # one reason, told once
    assert path.early.table.iloc[0, 0] == ", ".join(f"{sink} ({region})" for region in (HOME, AWAY) for sink in ("slack", "pagerduty"))  # fmt: skip


def test_what_was_changed_by_hand_is_told_with_the_way_back(path: AlertPath, sound: Result) -> None:
    path.client("lambda").update_function_configuration(FunctionName="ops-notify-slack", Timeout=3)
    found = look(path)
    path.client("lambda").update_function_configuration(FunctionName="ops-notify-slack", Timeout=45)
    updated(path)
    assert keys(found) == {f"by hand:alerts-delivery/SlackFunction:{HOME}"} and found.verdict is Verdict.WARN, (
        found.findings
    )
    assert "Timeout differs" in found.findings[0].text and "plan --over-hand" in found.findings[0].text
    assert [(one.runbook, one.parameters) for one in found.next] == [("1-monitor/deploy-alerts", {"over_hand": "true"})]


def test_the_command_says_it_and_ends_with_its_code(path: AlertPath, sound: Result) -> None:
    done = CliRunner().invoke(alerts, ["status", "--env", "sandbox", "--no-drift"])
    assert done.exit_code == 0 and "OK · 正常" in done.output, done.output
    heal = rule_off(path)
    done = CliRunner().invoke(alerts, ["status", "--env", "sandbox", "--no-drift"])
    heal()
    assert (
        done.exit_code == 1 and f"BuildFailed ({HOME})" in done.output and "do: aws events enable-rule" in done.output
    )
    path.sandbox.fault(service="sns", operation="GetTopicAttributes", kind="access-denied")
    done = CliRunner().invoke(alerts, ["status", "--env", "sandbox", "--no-drift"])
    path.sandbox.clear_faults()
    assert done.exit_code == 2 and "GetTopicAttributes was denied" in done.output


def test_what_the_stack_has_yet_to_make_is_told_once_with_the_plan_that_makes_it(path: AlertPath, sound: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    written = '[[schedule]]\nname = "looks"\nnotebook = "2-investigate/first-look"\ncron = "*/30 * * * *"\n'
    (tmp_path / "opslib.toml").write_text(f'default = "sandbox"\n{written}')
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    found = look(path, drift=False)
    assert keys(found) == {f"stack:alerts-application:{HOME}"}, found.findings
    assert found.findings[0].text.endswith("Do: opslib alerts plan, then opslib alerts apply")


def test_an_alarm_that_is_gone_or_mute_is_told_also_while_its_template_waits(path: AlertPath, sound: Result) -> None:
    """Else the next change of thresholds would hide what a hand did: only what no stack has made is told of the stack."""
    name, waiting, watch = "sandbox-api-cpu-utilization", {"api-cpu-utilization": 71.0}, path.client("cloudwatch")
    [alarm] = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert keys(look(path, drift=False, thresholds=waiting)) == {f"stack:alerts-services:{HOME}"}
    watch.delete_alarms(AlarmNames=[name])
    found = look(path, drift=False, thresholds=waiting)
    given = watch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    held = {key: value for key, value in alarm.items() if key in given}
    watch.put_metric_alarm(**held | {"AlarmActions": []})
    mute = look(path, drift=False, thresholds=waiting)
    watch.put_metric_alarm(**held)
    for told, words in ((found, "The alarm is not there."), (mute, "It does not tell ops-alerts when it goes on.")):
        assert keys(told) == {f"stack:alerts-services:{HOME}", f"alarm:{name}:{HOME}"}, told.findings
        assert any(words in one.text for one in told.findings)


def test_the_escalation_policy_has_two_levels_and_the_key_stands_nowhere(sound: Result) -> None:
    found = sound.part("escalation")
    assert found.sentence == "2 levels: when primary does not answer in 15 min, secondary is called."
    assert READ_KEY not in json.dumps(sound.as_json())


def test_without_a_key_there_is_no_answer(path: AlertPath) -> None:
    environment = config.load("sandbox")
    bare = environment.model_copy(update={"alerts": environment.alerts.model_copy(update={"pagerduty_token": ""})})
    with pytest.raises(ConfigError, match="whom PagerDuty calls is not known"):
        pagerduty.levels(bare)


Break = Callable[[AlertPath], Callable[[], Any]]


def dead_letters(path: AlertPath) -> Callable[[], Any]:
    path.client("sqs").send_message(QueueUrl=path.made[HOME, "SlackFailed"], MessageBody="an alert")
    path.sandbox.advance("2m")
    return lambda: path.purge("SlackFailed")


def no_ok_action(path: AlertPath) -> Callable[[], Any]:
    cloudwatch = path.client("cloudwatch")
    old = cloudwatch.describe_alarms(AlarmNames=["sandbox-severe-database"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]  # fmt: skip
    kept = {name: old[name] for name in ("AlarmName", "AlarmDescription", "AlarmRule", "AlarmActions")}
    cloudwatch.put_composite_alarm(**kept)
    return lambda: cloudwatch.put_composite_alarm(**kept, OKActions=old["OKActions"])


def actions_off(path: AlertPath) -> Callable[[], Any]:
    names = ["sandbox-alerting-slack-failed"]
    path.client("cloudwatch").disable_alarm_actions(AlarmNames=names)
    return lambda: path.client("cloudwatch").enable_alarm_actions(AlarmNames=names)


def unconfirmed(path: AlertPath) -> Callable[[], Any]:
    sns, topic = path.client("sns"), path.arn("ops-critical")
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint="https://events.pagerduty.com/integration/KEY/enqueue")
    found = next(one for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] if one["Protocol"] == "https")  # fmt: skip
    return lambda: sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])


def unsubscribed(path: AlertPath) -> Callable[[], Any]:
    sns, topic = path.client("sns"), path.arn("ops-alerts")
    old = next(one for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] if "slack" in one["Endpoint"])  # fmt: skip
    held = sns.get_subscription_attributes(SubscriptionArn=old["SubscriptionArn"])["Attributes"]["RedrivePolicy"]
    sns.unsubscribe(SubscriptionArn=old["SubscriptionArn"])
    return lambda: sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=old["Endpoint"], Attributes={"RedrivePolicy": held})  # fmt: skip


def mute_topic(path: AlertPath) -> Callable[[], Any]:
    """Only CloudWatch is let in: what terraform modules do to a topic that EventBridge uses too."""
    sns, topic = path.client("sns"), path.arn("ops-alerts")
    policy = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    said = json.loads(policy)
    less = {**said, "Statement": [one for one in said["Statement"] if "events" not in one["Principal"]["Service"]]}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(less))
    return lambda: sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def shut_key(path: AlertPath) -> Callable[[], Any]:
    kms, key = path.client("kms"), path.made[HOME, "Key"]
    policy = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    said = json.loads(policy)
    less = {**said, "Statement": [one for one in said["Statement"] if "cloudwatch" not in json.dumps(one)]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(less))
    return lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)


def rule_off(path: AlertPath) -> Callable[[], Any]:
    rule = path.made[HOME, "BuildFailed"]
    path.client("events").disable_rule(Name=rule)
    return lambda: path.client("events").enable_rule(Name=rule)


def no_secret(path: AlertPath) -> Callable[[], Any]:
    keeper = path.client("secretsmanager", AWAY)
    keeper.delete_secret(SecretId="ops/pagerduty")
    return lambda: keeper.restore_secret(SecretId="ops/pagerduty")


def other_code(path: AlertPath) -> Callable[[], Any]:
    functions = path.client("lambda", AWAY)
    from opslib.alerting import template

    functions.update_function_code(FunctionName="ops-notify-slack", ZipFile=template.archive() + b"\0")
    return lambda: functions.update_function_code(FunctionName="ops-notify-slack", ZipFile=template.archive())


def shut_out(path: AlertPath) -> Callable[[], Any]:
    functions = path.client("lambda")
    said = json.loads(functions.get_policy(FunctionName="ops-notify-pagerduty")["Policy"])["Statement"]
    one = next(one for one in said if one["Principal"]["Service"] == "events.amazonaws.com")
    functions.remove_permission(FunctionName="ops-notify-pagerduty", StatementId=one["Sid"])
    source = one["Condition"]["ArnLike"]["AWS:SourceArn"]
    given = {"StatementId": one["Sid"], "Action": one["Action"], "Principal": "events.amazonaws.com", "SourceArn": source}  # fmt: skip
    return lambda: functions.add_permission(FunctionName="ops-notify-pagerduty", **given)


def put(path: AlertPath, place: str, body: dict[str, Any]) -> None:
    """Change what PagerDuty has, by its own API."""
    url = f"{path.sandbox.endpoint}/_sinks/pagerduty/{place}"
    headers = {"Authorization": f"Token token={READ_KEY}", "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")).close()


def one_level(path: AlertPath) -> Callable[[], Any]:
    def rules(*names: str) -> dict[str, Any]:
        each = [{"escalation_delay_in_minutes": 15, "targets": [{"id": "P1", "type": "user_reference", "summary": name}]} for name in names]  # fmt: skip
        return {"escalation_policy": {"escalation_rules": each}}

    put(path, "escalation_policies/PSHOPESC", rules("primary"))
    return lambda: put(path, "escalation_policies/PSHOPESC", rules("primary", "secondary"))


def out_of_service(path: AlertPath) -> Callable[[], Any]:
    put(path, "services/PSHOPOPS", {"service": {"status": "disabled"}})
    return lambda: put(path, "services/PSHOPOPS", {"service": {"status": "active"}})


BREAKS: dict[Break, tuple[str, Verdict, str]] = {
    dead_letters: (f"dead letters:SlackFailed:{HOME}", Verdict.CRITICAL, "1 alert was not delivered"),
    no_ok_action: (f"alarm:sandbox-severe-database:{HOME}", Verdict.WARN, "does not tell ops-critical when it is over"),
    actions_off: (f"alarm:sandbox-alerting-slack-failed:{HOME}", Verdict.CRITICAL, "enable-alarm-actions --alarm-names sandbox-alerting-slack-failed"),
    unconfirmed: (f"subscription:ops-critical to https://events.pagerduty.com:{HOME}", Verdict.WARN, "never confirmed"),
    unsubscribed: (f"subscription:ops-alerts to ops-notify-slack:{HOME}", Verdict.CRITICAL, "ops-notify-slack does not hear ops-alerts"),
    mute_topic: (f"topic:ops-alerts:{HOME}", Verdict.CRITICAL, "does not let events publish"),
    shut_key: (f"topic:ops-critical:{HOME}", Verdict.CRITICAL, "key does not let cloudwatch use it"),
    rule_off: (f"rule:BuildFailed:{HOME}", Verdict.CRITICAL, "aws events enable-rule --name"),
    no_secret: (f"secret:ops/pagerduty:{AWAY}", Verdict.CRITICAL, "restore-secret"),
    other_code: (f"function:ops-notify-slack:{AWAY}", Verdict.WARN, "other code than this opslib's"),
    one_level: ("escalation:shop on call:PagerDuty", Verdict.WARN, "one level (primary)"),
    out_of_service: ("escalation:PagerDuty's shop:PagerDuty", Verdict.CRITICAL, "It is disabled: nobody is called"),
    shut_out: (f"permission:ops-notify-pagerduty:{HOME}", Verdict.CRITICAL, "may not be called by events:*"),
}  # fmt: skip


@pytest.mark.parametrize("breaks", BREAKS, ids=lambda one: one.__name__)
def test_each_broken_link_is_found(path: AlertPath, sound: Result, breaks: Break) -> None:
    key, verdict, words = BREAKS[breaks]
    heal = breaks(path)
    try:
        found = look(path, drift=False)
    finally:
        heal()
    named = {one.key.removeprefix("pipeline:"): one for one in found.findings}
    if key.startswith("secret"):
        key = next(name for name in named if name.startswith("secret:"))
    assert key in named, found.findings
    assert words in named[key].text and found.verdict is verdict
    assert found.sight is Sight.COMPLETE and found.table is not None
    assert len(", ".join(found.table["where"]).split(", ")) == len(found.findings)  # one reason is told once, of all


def test_a_heartbeat_that_stopped_is_critical(path: AlertPath, sound: Result) -> None:
    rule = path.made[HOME, "Heartbeat"]
    path.client("events").disable_rule(Name=rule)
    path.sandbox.advance("61m")
    found = look(path, drift=False)
    path.client("events").enable_rule(Name=rule)
    path.sandbox.advance("16m")
    assert {f"heartbeat ops-{topic}:{sink}:{HOME}" for topic in ("alerts", "critical") for sink in ("slack", "pagerduty")} < keys(found)  # fmt: skip
    assert f"rule:Heartbeat:{HOME}" in keys(found) and found.verdict is Verdict.CRITICAL


@pytest.mark.parametrize(
    ("service", "operation", "words"),
    [
        ("cloudformation", "DescribeStacks", "stacks: DescribeStacks was denied"), ("sqs", "GetQueueAttributes", "queues: GetQueueAttributes was denied"),
        ("kms", "GetKeyPolicy", "topics: GetKeyPolicy was denied"), ("cloudwatch", "DescribeAlarms", "alarms: DescribeAlarms was denied"),
        ("secretsmanager", "GetSecretValue", "escalation: GetSecretValue was denied"), ("pagerduty", "Rest", "escalation: PagerDuty did not answer"),
        ("cloudwatch", "GetMetricData", "lately: GetMetricData was denied"), ("secretsmanager", "DescribeSecret", "secrets: DescribeSecret was denied"),
    ],
)  # fmt: skip
def test_what_is_denied_is_blind_and_no_fault(path: AlertPath, sound: Result, service: str, operation: str, words: str) -> None:  # fmt: skip
    path.sandbox.advance("1m")  # metrics are remembered for their minute
    path.sandbox.fault(service=service, operation=operation, kind="drop" if service == "pagerduty" else "access-denied")
    found = look(path, drift=False)
    path.sandbox.clear_faults()
    assert found.findings == () and found.verdict is Verdict.UNKNOWN and found.blind
    assert words in found.reason, found.reason


def test_without_the_stacks_it_says_what_makes_them(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
    aws.forget()
    found = pipeline.whole(start(env="sandbox"))
    aws.forget()
    assert found.verdict is Verdict.CRITICAL and found.facts["stacks"] == "0 of 5"
    assert len([key for key in keys(found) if key.startswith("stack:")]) == 5
    assert "opslib alerts plan" in found.findings[0].text
