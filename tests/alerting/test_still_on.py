"""Warnings that stay on page once, by the key that their end closes; ticks that are missed or late lose none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib.alerting import notifier, still_on
from opslib.alerting.messages import parse
from tests.alerting.stub import ARN, Stub, serving

AT = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
PLACE = "arn:aws:cloudwatch:ap-northeast-1:000000000000:alarm:"
CALM, PAGES = "arn:aws:sns:ap-northeast-1:000000000000:ops-alerts", "arn:aws:sns:ap-northeast-1:000000000000:ops-critical"  # fmt: skip


class CloudWatch:
    """Answers DescribeAlarms as CloudWatch does, two alarms a page."""

    def __init__(self) -> None:
        self.alarms: list[dict[str, Any]] = []
        self.after_first: Callable[[], None] = lambda: None

    def get_paginator(self, _: str) -> CloudWatch:
        return self

    def paginate(self, *, AlarmTypes: list[str], StateValue: str) -> Iterator[dict[str, Any]]:
        assert AlarmTypes == ["MetricAlarm", "CompositeAlarm"]
        found = [one for one in self.alarms if one["StateValue"] == StateValue]
        for begin in range(0, len(found), 2):
            page = found[begin : begin + 2]
            yield {
                "MetricAlarms": [one for one in page if "AlarmRule" not in one],
                "CompositeAlarms": [one for one in page if "AlarmRule" in one],
            }
        self.after_first()

    def on(self, name: str, minutes: float, *, severity: str = "warning", **more: Any) -> dict[str, Any]:
        self.alarms.append({
            "AlarmName": name, "AlarmArn": f"{PLACE}{name}", "StateValue": "ALARM", "StateReason": "Threshold Crossed", "ActionsEnabled": True, "AlarmActions": [CALM],
            "AlarmDescription": f"Short of memory. severity={severity} runbook=2-investigate/slow-database env=prod", "MetricName": "FreeableMemory", "Namespace": "AWS/RDS",
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "shop-db"}], "ComparisonOperator": "LessThanThreshold", "Threshold": 4e9,
            "StateTransitionedTimestamp": AT - timedelta(minutes=minutes), "StateUpdatedTimestamp": AT, **more,
        })  # fmt: skip
        return self.alarms[-1]


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    monkeypatch.setenv("RAISE_AFTER", "30")
    return CloudWatch()


@pytest.fixture
def pagerduty(cloudwatch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with serving() as stub:
        for name, value in {
            "AWS_ENDPOINT_URL": stub.url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "ap-northeast-1", "SECRET": ARN,
            "PAGERDUTY": stub.url, "ENVIRONMENT": "prod", "SINK": "pagerduty",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        stub.secrets = ["R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY32"]
        real = notifier._client
        monkeypatch.setattr(notifier, "_client", lambda name, region: cloudwatch if name == "cloudwatch" else real(name, region))  # fmt: skip
        new_container()
        yield stub


def new_container() -> None:
    notifier._secret.cache_clear()
    notifier._told.clear()
    notifier._over.clear()


def tick(at: datetime) -> dict[str, Any]:
    return {"source": "aws.events", "detail-type": "Scheduled Event", "time": f"{at:%Y-%m-%dT%H:%M:%SZ}", "detail": {}}


def test_who_is_raised(cloudwatch: CloudWatch) -> None:
    cloudwatch.on("young", 29.9)
    cloudwatch.on("now", 30)
    cloudwatch.on("a tick was missed", 44.9)
    cloudwatch.on("raised before", 45.1)
    cloudwatch.on("of the alerting", 31, severity="error")
    cloudwatch.on("composite", 31, AlarmRule='ALARM("x")')
    cloudwatch.on("paged already", 31, severity="error", AlarmActions=[PAGES])
    cloudwatch.on("its composite pages", 31, severity="critical")
    cloudwatch.on("only said", 31, severity="info")
    cloudwatch.on("silenced", 31, ActionsEnabled=False)
    cloudwatch.on("of somebody else", 31, AlarmDescription="do not severity=warning please")
    cloudwatch.on("over", 31, StateValue="OK")
    found = still_on.late(cloudwatch, AT)
    assert {alert.title for alert in found} == {"now", "a tick was missed", "of the alerting", "composite"}
    assert {alert.severity for alert in found} == {"error"}  # PagerDuty wakes nobody for a warning


def test_three_ticks_see_each_alarm_and_none_is_left_between(cloudwatch: CloudWatch) -> None:
    cloudwatch.on("a", 31)
    seen = [bool(still_on.late(cloudwatch, AT + timedelta(minutes=5 * number))) for number in range(-2, 6)]
    assert seen == [False, False, True, True, True, False, False, False]


def test_it_pages_by_the_key_that_its_end_closes(pagerduty: Stub, cloudwatch: CloudWatch, capsys: Any) -> None:
    cloudwatch.on("a", 31)
    assert notifier.handler(tick(AT)) == {"told": 1, "kept": 0}
    notifier.handler(tick(AT + timedelta(minutes=5)))  # the same container knows
    assert [body["event_action"] for _, body in pagerduty.got] == ["trigger"]
    new_container()
    notifier.handler(tick(AT + timedelta(minutes=10)))  # another one says it again, by the same key
    said = pagerduty.got[0][1]
    assert said["payload"]["severity"] == "error" and "Still on after 31 minutes" in said["payload"]["summary"]
    assert "opslib open 2-investigate/slow-database" in said["payload"]["custom_details"]["open"]
    body = {
        "AlarmName": "a",
        "AlarmArn": f"{PLACE}a",
        "NewStateValue": "OK",
        "StateChangeTime": "2026-11-02T02:20:00.000+0000",
    }
    record = {"Sns": {"MessageId": "m", "TopicArn": CALM, "Message": json.dumps(body), "Timestamp": "2026-11-02T02:20:00Z"}}  # fmt: skip
    notifier.handler({"Records": [record]})
    assert [body["event_action"] for _, body in pagerduty.got] == ["trigger", "trigger", "resolve"]
    assert {body["dedup_key"] for _, body in pagerduty.got} == {f"cw:{PLACE}a"} == {parse(record).key}
    beats = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["Kind"] == "tick"]
    assert len(beats) == 3 and {line["Sink"] for line in beats} == {"pagerduty"}


def test_what_ended_while_it_was_raised_is_closed(pagerduty: Stub, cloudwatch: CloudWatch) -> None:
    one = cloudwatch.on("a", 31)
    cloudwatch.on("b", 31)
    cloudwatch.after_first = lambda: one.update(StateValue="OK")
    notifier.handler(tick(AT))
    assert [(body["event_action"], body["dedup_key"][-1]) for _, body in pagerduty.got] == [
        ("trigger", "a"),
        ("trigger", "b"),
        ("resolve", "a"),
    ]


def test_a_late_tick_looks_at_its_own_time(pagerduty: Stub, cloudwatch: CloudWatch) -> None:
    cloudwatch.on("a", 91)
    notifier.handler(tick(AT))
    assert not pagerduty.got
    notifier.handler(tick(AT - timedelta(hours=1)))  # EventBridge tried for an hour
    assert [body["event_action"] for _, body in pagerduty.got] == ["trigger"]


def test_a_sink_that_does_not_take_it_is_loud_and_what_was_told_is_not_told_again(
    pagerduty: Stub, cloudwatch: CloudWatch, capsys: Any
) -> None:
    cloudwatch.on("a", 31)
    cloudwatch.on("b", 31)
    pagerduty.plans["pagerduty"] = [202, 400, 202]
    with pytest.raises(notifier.Undelivered):
        notifier.handler(tick(AT))
    notifier.handler(tick(AT))  # Lambda tries again
    assert [body["dedup_key"][-1] for _, body in pagerduty.got] == ["a", "b"]
    assert capsys.readouterr().out.count('"tick"') == 1  # a tick that failed is not a heartbeat


def test_the_calm_topic_pages_nobody(pagerduty: Stub) -> None:
    for number, state in enumerate(("ALARM", "INSUFFICIENT_DATA")):
        body = {"AlarmName": "a", "AlarmArn": f"{PLACE}a", "NewStateValue": state}
        for topic in (CALM, PAGES):
            record = {"Sns": {"MessageId": f"{number}{topic}", "TopicArn": topic, "Message": json.dumps(body)}}
            notifier.handler({"Records": [record]})
    failed = {
        "source": "aws.amplify",
        "detail-type": "Amplify Deployment Status Change",
        "detail": {"jobStatus": "FAILED"},
    }
    notifier.handler({"Records": [{"Sns": {"MessageId": "d", "TopicArn": CALM, "Message": json.dumps(failed)}}]})
    assert [path for path, _ in pagerduty.got] == ["/v2/enqueue"]  # the alarm through ops-critical
