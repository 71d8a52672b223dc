"""Alerts from end to end in a sandbox whose clock is stepped: the stacks as they are deployed, the notifiers' own code, the sinks failing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from opslib.sandbox.control import Sandbox
from tests.alerting import slack_drawing
from tests.alerting.alert_path import HOME, OTHER, SINKS, AlertPath

NAMES = {"slack": "Slack", "pagerduty": "PagerDuty"}
FAILURES: dict[str, dict[str, Any]] = {
    "429 for 1 s": {"kind": "status", "status": 429, "retry_after": 1}, "429 for 600 s": {"kind": "status", "status": 429, "retry_after": 600},
    "500": {"kind": "status", "status": 500}, "drop": {"kind": "drop"}, "answer lost": {"kind": "answer-lost"},
    "hang": {"kind": "hang", "count": 3},
    "404": {"kind": "status", "status": 404}, "410": {"kind": "status", "status": 410},
}  # fmt: skip
TAKEN = {
    "answer lost": 7
}  # six tries of the first call, and the call a minute later: Slack shows it again, PagerDuty does not
QUEUES = ("SlackFailed", "SlackUndelivered", "PagerDutyFailed", "PagerDutyUndelivered", "RulesUndelivered")


@pytest.fixture(scope="module")
def path(no_aws_variables: None) -> Iterator[AlertPath]:
    """One sandbox for all; its clock stands but for `advance`, so that what functions sleep takes no time."""
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        made = AlertPath(sandbox)
        sandbox.clear_messages()
        yield made


@pytest.fixture(autouse=True)
def calm(path: AlertPath) -> Iterator[None]:
    """Leave no failure and no full queue to the next test."""
    yield
    path.sandbox.clear_faults()
    for name in QUEUES:
        path.purge(name)
    path.sandbox.advance("3m")
    path.sandbox.clear_messages()


def test_from_a_log_line_to_the_page_and_back(path: AlertPath) -> None:
    """Jobs fail: line, metric filter, metric, alarm, SNS, Lambda, Slack; who looks after half an hour is PagerDuty; then the end."""
    name, seen = "sandbox-jobs-failed", []
    key = f"cw:{path.alarm_arn(name)}"
    path.fail_jobs(2)
    path.sandbox.advance("2m")
    assert path.taken("slack", name) == []  # two are not three; and the stack's filter is the only one that counts
    path.fail_jobs(1)
    path.sandbox.advance("1m")
    [told] = path.taken("slack", name)
    assert path.is_on("slack", name) and path.sandbox.incidents() == []
    drawn = json.dumps(told, ensure_ascii=False)
    assert "Jobs fail." in drawn and "2-investigate/failed-jobs" in drawn and "JobsFailed" in drawn
    for _ in range(3):  # and go on failing
        path.fail_jobs(3)
        path.sandbox.advance("10m")
        seen.append([(one["status"], one["severity"]) for one in path.incidents(key)])
    path.sandbox.advance("5m")  # the next tick
    assert seen[:2] == [[], []]
    assert [(one["status"], one["severity"]) for one in path.incidents(key)] == [("triggered", "error")]
    assert len(path.taken("slack", name)) == 1
    path.sandbox.advance("11m")  # the last of them failed more than a quarter of an hour ago
    assert [one["status"] for one in path.incidents(key)] == ["resolved"]
    assert len(path.taken("slack", name)) == 2 and not path.is_on("slack", name)
    assert path.sandbox.deliveries() == [] and not any(path.queued(queue) for queue in QUEUES)


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_sink_that_fails_gets_it_late_and_the_other_in_time(path: AlertPath, sink: str, failure: str) -> None:
    name = f"{failure} of {sink}"
    key, other = path.alarm(name), OTHER[sink]
    path.sandbox.fault(service=sink, **FAILURES[failure])
    path.set(name, "ALARM")
    assert len(path.taken(other, name)) == 1
    path.sandbox.clear_faults()
    path.sandbox.advance("61s")
    assert len(path.taken(sink, name)) == TAKEN.get(failure, 1)
    assert [(one["status"], one["severity"]) for one in path.incidents(key)] == [("triggered", "critical")]
    path.set(name, "OK")
    assert [one["status"] for one in path.incidents(key)] == ["resolved"]
    assert len(path.taken(other, name)) == 2 and path.sandbox.deliveries() == []
    assert not any(path.queued(queue) for queue in QUEUES)


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(
    "failure", [one for one in FAILURES if one != "hang"]
)  # it waits for real, and ends as the others
def test_what_a_sink_never_takes_is_kept_and_the_other_path_tells(path: AlertPath, sink: str, failure: str) -> None:
    name, watch = f"{failure} of {sink}", f"sandbox-alerting-{sink}-failed"
    path.alarm(name)
    path.sandbox.fault(service=sink, **FAILURES[failure])
    path.set(name, "ALARM")
    path.sandbox.advance("5m")  # two more tries, and the minute in which CloudWatch hears of the queue
    kept = [one for one in path.queued(f"{NAMES[sink]}Failed") if name in json.dumps(one)]
    assert [one["requestContext"]["approximateInvokeCount"] for one in kept] == [3]
    assert json.loads(kept[0]["requestPayload"]["Records"][0]["Sns"]["Message"])["AlarmName"] == name
    assert len(path.taken(OTHER[sink], name)) == 1
    assert path.is_on(OTHER[sink], watch)
    path.sandbox.clear_faults()
    path.purge(f"{NAMES[sink]}Failed")
    path.sandbox.advance("3m")
    assert not path.is_on(OTHER[sink], watch)


def test_what_reaches_no_function_is_kept_by_the_subscription(path: AlertPath) -> None:
    """A deployment that broke: the other sink has the alert, and the word of it."""
    functions, name = path.client("lambda"), "nobody is let in"
    path.alarm(name)
    policy = json.loads(functions.get_policy(FunctionName="ops-notify-slack")["Policy"])["Statement"]
    for one in policy:
        functions.remove_permission(FunctionName="ops-notify-slack", StatementId=one["Sid"])
    path.set(name, "ALARM")
    path.sandbox.advance("2m")
    assert len(path.taken("pagerduty", name)) == 1 and not path.taken("slack", name)
    assert json.loads(path.queued("SlackUndelivered")[0]["Message"])["AlarmName"] == name
    assert path.taken("pagerduty", "sandbox-alerting-slack-undelivered")
    for one in policy:
        source = one["Condition"]["ArnLike"]["AWS:SourceArn"]
        functions.add_permission(FunctionName="ops-notify-slack", StatementId=one["Sid"], Action=one["Action"], Principal=one["Principal"]["Service"], SourceArn=source)  # fmt: skip


def test_both_sinks_down_lose_nothing(path: AlertPath) -> None:
    name = "both are down"
    path.alarm(name)
    for sink in SINKS:
        path.sandbox.fault(service=sink, kind="status", status=500)
    path.set(name, "ALARM")
    path.sandbox.advance("4m")
    for sink in SINKS:
        assert name in json.dumps(path.queued(f"{NAMES[sink]}Failed")) and not path.taken(sink, name)
    path.sandbox.clear_faults()
    path.set(name, "OK")
    assert all(len(path.taken(sink, name)) == 1 for sink in SINKS)


def changed(name: str, arn: str, state: str, minute: int) -> dict[str, Any]:
    """Return what CloudWatch says of an alarm that changed at a minute of this hour."""
    said = "Orders stand still. severity=critical runbook=2-investigate/first-look env=sandbox"
    return {"AlarmName": name, "AlarmArn": arn, "AlarmDescription": said, "NewStateValue": state, "StateChangeTime": f"2026-11-05T02:{minute:02}:00.000+0000"}  # fmt: skip


def test_a_message_that_comes_twice_pages_once(path: AlertPath) -> None:
    """SNS may bring a message again: to the same environment, which knows it, or to another."""
    message = changed("twice", path.alarm_arn("twice"), "ALARM", 40)
    for again in range(3):
        for sink in SINKS:
            if again == 2:
                path.renew(sink)
            path.bring(sink, "twice-1", message)
    assert [(one["status"], one["triggers"]) for one in path.incidents(f"cw:{path.alarm_arn('twice')}")] == [("triggered", 2)]  # fmt: skip
    assert (
        len(path.taken("slack", "twice")) == 2
    )  # of another environment's memory nothing is known: once more does no harm


def test_an_end_before_its_beginning_leaves_nothing_open(path: AlertPath) -> None:
    arn = path.alarm_arn("turned")
    path.bring("pagerduty", "turned-2", changed("turned", arn, "OK", 42))
    path.bring("pagerduty", "turned-1", changed("turned", arn, "ALARM", 40))
    assert [one["status"] for one in path.incidents(f"cw:{arn}")] == ["resolved"]


def test_a_beginning_tried_again_after_its_end_leaves_nothing_open(path: AlertPath) -> None:
    """PagerDuty was down for the beginning alone, and another environment of the function told the end."""
    key = path.alarm("late")
    path.sandbox.fault(service="pagerduty", kind="status", status=500)
    path.set("late", "ALARM")
    path.sandbox.clear_faults()
    path.sandbox.advance("30s")
    path.set("late", "OK")
    path.renew("pagerduty")
    path.sandbox.advance("31s")
    assert [(one["status"], one["triggers"]) for one in path.incidents(key)] == [("resolved", 1)]
    path.set("late", "ALARM")
    assert [one["status"] for one in path.incidents(key)] == ["resolved", "triggered"]


HOSTILE = "<!channel> <https://evil.example|click> `x` *b* \x1b[31m \u202e &lt; </script><script>alert(1)</script>"
BROKEN: dict[str, str] = {
    "no JSON": "the disk is full", "half of it": '{"AlarmName": "half', "a number": "7", "a list": "[1, 2]", "nothing known": '{"a": {"b": 1}}',
    "nested": "[" * 5000 + "]" * 5000, "long": "x" * 200_000, "a state that is none": json.dumps({"AlarmName": "odd", "NewStateValue": "ON FIRE"}),
    "another's message": json.dumps({"text": "<!channel> spoofed", "channel": "#exec", "username": "CEO", "attachments": []}),
    "hostile": json.dumps({"AlarmName": HOSTILE, "AlarmDescription": HOSTILE * 50, "NewStateReason": HOSTILE, "NewStateValue": "ALARM"}),
    "no strings": json.dumps({"AlarmName": {"a": 1}, "NewStateValue": ["ALARM"], "Trigger": "none", "StateChangeTime": 5}),
}  # fmt: skip


def test_hostile_and_broken_messages_are_told_as_text(path: AlertPath) -> None:
    for message in BROKEN.values():
        path.publish(message)
    path.sandbox.advance(0)
    got = {sink: path.sandbox.messages(sink) for sink in SINKS}
    assert {sink: {one["status"] for one in found} for sink, found in got.items()} == {"slack": {200}, "pagerduty": {202}}  # fmt: skip
    assert {sink: len(found) for sink, found in got.items()} == {sink: len(BROKEN) for sink in SINKS}
    assert len(path.sandbox.incidents()) == len(BROKEN)
    for one in got["slack"]:
        assert set(one["body"]) == {"text", "attachments"}
        drawn = slack_drawing.page([one["body"]])
        links = re.findall(r'href="([^"]*)"', drawn)
        assert "<mark>" not in drawn and all(
            link.startswith("https://ap-northeast-1.console.aws.amazon.com/") for link in links
        )
        assert not re.search(r"[\x1b\u202e]", drawn)
    assert path.sandbox.deliveries() == [] and not any(path.queued(name) for name in QUEUES)


def test_one_trouble_of_a_component_pages_once(path: AlertPath) -> None:
    """Slack hears of each alarm, PagerDuty of the component; us-east-1 pages, too."""
    for name in ("load-balancer-elb-5xx", "load-balancer-response-time"):
        path.set(f"sandbox-{name}", "ALARM")
        assert path.taken("slack", f"sandbox-{name}")
    severe = path.incidents(f"cw:{path.alarm_arn('sandbox-severe-load-balancer')}")
    assert [one["triggers"] for one in severe] == [1] and len(path.sandbox.incidents()) == 1


def test_an_event_reaches_slack_by_its_topic_and_pagerduty_as_a_change(path: AlertPath) -> None:
    detail = {"appId": "d2shopexample", "branchName": "main", "jobId": "7", "jobStatus": "FAILED"}
    entry = {"Source": "ops.drill", "DetailType": "Amplify Deployment Status Change", "Detail": json.dumps(detail)}
    path.client("events").put_events(Entries=[entry])
    path.sandbox.advance(0)
    assert len(path.taken("slack", "d2shopexample main 7 FAILED")) == 1
    assert len(path.taken("pagerduty", "d2shopexample main 7 FAILED")) == 1 and path.sandbox.incidents() == []


def test_silence_is_noticed_on_the_other_path(path: AlertPath) -> None:
    """Nobody is told of a heartbeat; one that does not come is told after three quarters of an hour."""
    rule = path.made[HOME, "Heartbeat"].rpartition("|")[2]
    path.sandbox.advance("45m")  # what earlier tests began has come to its end
    path.sandbox.clear_messages()
    path.sandbox.advance("15m")
    assert path.sandbox.messages("slack") == [] and path.sandbox.incidents() == []
    path.client("events").disable_rule(Name=rule)
    path.sandbox.advance("65m")
    assert path.taken("slack", "sandbox-alerting-pagerduty-heartbeat-ops-critical")
    assert path.taken("pagerduty", "sandbox-alerting-slack-heartbeat-ops-critical")
    path.client("events").enable_rule(Name=rule)
    path.sandbox.advance("30m")
    assert not path.is_on("pagerduty", "sandbox-alerting-slack-heartbeat-ops-critical")
