"""Alarms through a real boto3 client: those of the shop agree with its metrics, and those that are put stand beside them."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from opslib.sandbox.control import Sandbox
from tests.sandbox.gateway_process import Gateway, running

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
BOTH = ["MetricAlarm", "CompositeAlarm"]


def client(sandbox: Sandbox, region: str = "ap-northeast-1") -> Any:
    return boto3.session.Session("sandbox", "sandbox", region_name=region).client(
        "cloudwatch", endpoint_url=sandbox.endpoint
    )


def described(cloudwatch: Any, **asked: Any) -> list[dict[str, Any]]:
    pages = cloudwatch.get_paginator("describe_alarms").paginate(**{"AlarmTypes": BOTH, **asked})
    return [alarm for page in pages for alarm in page["MetricAlarms"] + page["CompositeAlarms"]]


def history(cloudwatch: Any, **asked: Any) -> list[dict[str, Any]]:
    pages = cloudwatch.get_paginator("describe_alarm_history").paginate(**{"AlarmTypes": BOTH, **asked})
    return [item for page in pages for item in page["AlarmHistoryItems"]]


def values(cloudwatch: Any, alarm: dict[str, Any], start: datetime) -> dict[datetime, float]:
    queries = alarm.get("Metrics")
    if not queries:
        metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
        stat = {
            "Metric": metric,
            "Period": alarm["Period"],
            "Stat": alarm.get("ExtendedStatistic") or alarm["Statistic"],
        }
        queries = [{"Id": "m", "MetricStat": stat}]
    asked = {"MetricDataQueries": queries, "StartTime": start, "EndTime": NOW}
    [result] = [
        each
        for page in cloudwatch.get_paginator("get_metric_data").paginate(**asked)
        for each in page["MetricDataResults"]
    ]
    return dict(zip(result["Timestamps"], result["Values"], strict=True))


@pytest.mark.parametrize("region", ["ap-northeast-1", "us-east-1"])
def test_states_agree_with_the_metrics(sandbox: Sandbox, region: str) -> None:
    """Each alarm's own reason lists datapoints: they are the metric's, on the side that the words say."""
    cloudwatch = client(sandbox, region)
    alarms = {alarm["AlarmName"]: alarm for alarm in described(cloudwatch, AlarmTypes=["MetricAlarm"])}
    assert len(alarms) == (102 if region == "ap-northeast-1" else 5)
    items = [item for item in history(cloudwatch) if item["AlarmType"] == "MetricAlarm"]
    for item in items:
        alarm = alarms[item["AlarmName"]]
        new = json.loads(item["HistoryData"])["newState"]
        shown = re.findall(r"([\d.]+) \((\d\d/\d\d/\d\d \d\d:\d\d:\d\d)\)", new["stateReason"])
        truth = values(cloudwatch, alarm, NOW - timedelta(hours=4))
        if "no datapoints were received" in new["stateReason"]:
            assert alarm["TreatMissingData"] == "notBreaching" and new["stateValue"] == "OK"
            continue
        times = [datetime.strptime(at, "%d/%m/%y %H:%M:%S").replace(tzinfo=UTC) for _, at in shown]
        assert shown and [truth[at] for at in times] == [float(value) for value, _ in shown]
        above = alarm["ComparisonOperator"].startswith("Greater")
        breaching = [
            float(value) >= alarm["Threshold"] if above else float(value) < alarm["Threshold"] for value, _ in shown
        ]
        assert all(breaching) if new["stateValue"] == "ALARM" else not any(breaching)
        assert len(shown) >= (alarm["DatapointsToAlarm"] if new["stateValue"] == "ALARM" else 1)
    last: dict[str, str] = {}
    for item in reversed(items):
        assert last.get(item["AlarmName"], "OK") == json.loads(item["HistoryData"])["oldState"]["stateValue"]
        last[item["AlarmName"]] = json.loads(item["HistoryData"])["newState"]["stateValue"]
    states = {name: alarm["StateValue"] for name, alarm in alarms.items()}
    primary = {"sandbox-shop-cache-001-replication-lag"} & set(alarms)  # only a replica is behind
    assert states == {name: last.get(name, "OK") for name in alarms} | dict.fromkeys(primary, "INSUFFICIENT_DATA")


def test_the_planted_incident_raises_its_alarms(sandbox: Sandbox) -> None:
    on = {alarm["AlarmName"]: alarm for alarm in described(client(sandbox), StateValue="ALARM")}
    waits, ratio, load = (
        "sandbox-load-balancer-response-time",
        "sandbox-load-balancer-error-ratio",
        "sandbox-shop-db-db-load",
    )
    severe = {"sandbox-severe-database", "sandbox-severe-load-balancer"}
    assert set(on) == {load, "sandbox-jobs-failed", waits, ratio, *severe}
    assert on[load]["StateUpdatedTimestamp"] == datetime(2026, 11, 5, 2, 19, 33, tzinfo=UTC)
    assert on[load]["AlarmDescription"].endswith("severity=critical runbook=2-investigate/slow-database env=sandbox")
    assert json.loads(on[load]["StateReasonData"])["recentDatapoints"][-1] > 4
    for composite in severe:
        rang = [
            item for item in history(client(sandbox)) if f'ALARM("{item["AlarmName"]}")' in on[composite]["AlarmRule"]
        ]
        assert on[composite]["StateUpdatedTimestamp"] == min(item["Timestamp"] for item in rang)
        assert "transitioned to ALARM at" in on[composite]["StateReason"]


def test_alarms_come_in_pages_and_are_filtered(sandbox: Sandbox) -> None:
    cloudwatch = client(sandbox)
    whole = described(cloudwatch)
    paged = described(cloudwatch, PaginationConfig={"PageSize": 7})
    assert sorted(paged, key=lambda alarm: alarm["AlarmName"]) == sorted(whole, key=lambda alarm: alarm["AlarmName"])
    names = sorted(alarm["AlarmName"] for alarm in whole)
    assert len(set(names)) == len(names) == 107
    ofs = {a["AlarmName"] for a in described(cloudwatch, AlarmNamePrefix="sandbox-shop-db-")}
    assert len(ofs) == 21 and ofs == {n for n in names if n.startswith("sandbox-shop-db-")}
    composite = {a["AlarmName"] for a in described(cloudwatch, AlarmTypes=["CompositeAlarm"])}
    assert composite == {n for n in names if n.startswith("sandbox-severe-")} and len(composite) == 5
    items = history(cloudwatch)
    assert history(cloudwatch, PaginationConfig={"PageSize": 3}) == items
    assert items == sorted(items, key=lambda item: item["Timestamp"], reverse=True)
    since = datetime(2026, 11, 5, 2, 10, tzinfo=UTC)
    assert history(cloudwatch, StartDate=since) == [item for item in items if item["Timestamp"] >= since]
    assert {item["AlarmName"] for item in history(cloudwatch, AlarmName="sandbox-shop-db-db-load")} == {
        "sandbox-shop-db-db-load"
    }


def test_alarms_of_a_metric(sandbox: Sandbox) -> None:
    asked = {"Namespace": "AWS/ECS", "MetricName": "MemoryUtilization"}
    cluster = {"Name": "ClusterName", "Value": "shop"}
    found = client(sandbox).describe_alarms_for_metric(
        **asked, Dimensions=[cluster, {"Name": "ServiceName", "Value": "api"}]
    )
    assert [alarm["AlarmName"] for alarm in found["MetricAlarms"]] == ["sandbox-api-memory-utilization"]
    assert client(sandbox).describe_alarms_for_metric(**asked, Dimensions=[cluster])["MetricAlarms"] == []
    assert client(sandbox).describe_alarms_for_metric(**asked)["MetricAlarms"] == []


RAISED = {  # in ALARM, without `sandbox-`
    "quiet-day": set(),
    "quiet-day:7": set(),
    "build-failure": set(),  # Amplify tells of builds by events
    "credential-stuffing": set(),  # the detections on the audit logs tell of it
    "bad-image": {"auth-restarts", "severe-services", "load-balancer-error-ratio", "severe-load-balancer"},
    "cache-evictions": {"shop-cache-001-evictions", "shop-cache-001-hit-rate", "shop-cache-002-database-memory-usage-percentage", "severe-database"},
    "cdn-misses": {"cdn-cache-hit-rate"},
    "connection-exhaustion": {"shop-db-database-connections", "severe-database", "load-balancer-error-ratio", "severe-load-balancer"},
    "health-check-failure": {"www.shop.example-health-check-status", "severe-dns"},
    "job-bad-data": {"jobs-failed"},
    "memory-leak": {"api-memory-utilization", "api-restarts", "severe-services"},
    "missing-index": {"shop-db-cpu-utilization", "shop-db-db-load", "load-balancer-response-time", "severe-database"},
    "payment-timeouts": {"load-balancer-error-ratio", "load-balancer-response-time", "severe-load-balancer"},
    "replica-lag": {"shop-db-replica-1-replica-lag"},
    "storage-filling": {"shop-db-db-load", "severe-database"},
}  # fmt: skip


def test_each_incident_raises_its_alarms_and_a_quiet_day_none(sandbox: Sandbox) -> None:
    """The shared sandbox has built the base life that this lays the scenarios over."""
    script = Path(__file__).with_name("alarm_states.py")
    done = subprocess.run([sys.executable, script, *RAISED], capture_output=True, text=True, check=True, timeout=600)
    raised = {
        name: {alarm.removeprefix("sandbox-") for alarm in alarms} for name, alarms in json.loads(done.stdout).items()
    }
    assert {name: expected - raised[name] for name, expected in RAISED.items() if expected - raised[name]} == {}
    assert [name for name in RAISED if not RAISED[name] and raised[name]] == []


@pytest.fixture(scope="module")
def stepped() -> Any:
    with running() as gateway:
        yield gateway


def test_an_alarm_that_is_put_is_decided_by_m_of_n_and_tells_its_topic(stepped: Gateway) -> None:
    cloudwatch, sns, sqs = (stepped.client(name) for name in ("cloudwatch", "sns", "sqs"))
    topic, queue = sns.create_topic(Name="told")["TopicArn"], sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    let_in = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Statement": [let_in]})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    cloudwatch.put_metric_alarm(
        AlarmName="slow", Namespace="Test", MetricName="wait", Statistic="Maximum", Period=60, EvaluationPeriods=3, DatapointsToAlarm=2,
        Threshold=8, ComparisonOperator="GreaterThanThreshold", AlarmActions=[topic], OKActions=[topic],
    )  # fmt: skip
    cloudwatch.put_composite_alarm(AlarmName="any", AlarmRule='ALARM("slow")')
    states = []
    for value in (9, 1, 9, 1, 1, 1):
        cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "wait", "Value": value}])
        stepped.admin("POST", "advance", {"seconds": 60})
        states.append([alarm["StateValue"] for alarm in described(cloudwatch)])
    assert [state for _, state in states] == ["OK", "OK", "ALARM", "OK", "OK", "OK"]
    assert [state for state, _ in states] == ["OK", "OK", "ALARM", "OK", "OK", "OK"]
    told = [
        json.loads(json.loads(message["Body"])["Message"])
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    ]
    assert [(each["OldStateValue"], each["NewStateValue"]) for each in told] == [
        ("INSUFFICIENT_DATA", "OK"), ("OK", "ALARM"), ("ALARM", "OK"),
    ]  # fmt: skip
    assert "2 out of the last 3 datapoints" in told[1]["NewStateReason"]


def test_alarms_look_each_minute_on_periods_that_slide(stepped: Gateway) -> None:
    """Three failures in any five minutes, the clock's or not; the alarm ends when the first of them is five minutes old."""
    cloudwatch = stepped.client("cloudwatch")
    watched = {"Namespace": "Test", "MetricName": "failed", "Statistic": "Sum", "Period": 300, "EvaluationPeriods": 1}
    limit = {"Threshold": 3, "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching"}
    cloudwatch.put_metric_alarm(AlarmName="sliding", **watched, **limit)
    stat = {"Metric": {"Namespace": "Test", "MetricName": "failed"}, "Stat": "Sum", "Period": 300}
    queries = [{"Id": "m", "MetricStat": stat, "ReturnData": False}, {"Id": "e", "Expression": "m * 2"}]
    doubled = {**limit, "Threshold": 6}
    cloudwatch.put_metric_alarm(AlarmName="sliding-math", Metrics=queries, EvaluationPeriods=1, **doubled)
    states = []
    for minute in range(9):
        if minute in (1, 2, 3):
            cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "failed", "Value": 1}])
        stepped.admin("POST", "advance", {"seconds": 60})
        states.append({a["StateValue"] for a in described(cloudwatch, AlarmNames=["sliding", "sliding-math"])})
    assert states == [{"OK"}] * 3 + [{"ALARM"}] * 3 + [{"OK"}] * 3
    [on] = [item for item in history(cloudwatch, AlarmName="sliding") if "OK to ALARM" in item["HistorySummary"]]
    stepped.admin("POST", "advance", {"seconds": 600})
    assert history(cloudwatch, AlarmName="sliding")[1] == on  # stepped at once or by the minute, nothing else happened


def test_eventbridge_is_told_of_both_states_and_what_is_watched(stepped: Gateway) -> None:
    cloudwatch, events, sqs = (stepped.client(name) for name in ("cloudwatch", "events", "sqs"))
    queue = sqs.create_queue(QueueName="events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    let_in = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}  # fmt: skip
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Statement": [let_in]})})
    pattern = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"], "detail": {"alarmName": ["watched", "parent"]}}  # fmt: skip
    events.put_rule(Name="states", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="states", Targets=[{"Id": "q", "Arn": arn}])
    cloudwatch.put_metric_alarm(
        AlarmName="watched", AlarmDescription="d", Namespace="Test", MetricName="load", Dimensions=[{"Name": "Host", "Value": "a"}], Statistic="Average",
        Period=60, EvaluationPeriods=1, Threshold=5, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.put_composite_alarm(AlarmName="parent", AlarmRule='ALARM("watched")')
    for value in (1, 9):
        data = {"MetricName": "load", "Dimensions": [{"Name": "Host", "Value": "a"}], "Value": value}
        cloudwatch.put_metric_data(Namespace="Test", MetricData=[data])
        stepped.admin("POST", "advance", {"seconds": 60})
    got = [json.loads(one["Body"]) for one in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]]
    told = {(one["detail"]["alarmName"], one["detail"]["state"]["value"]): one for one in got}
    event = told["watched", "ALARM"]
    assert event["resources"] == ["arn:aws:cloudwatch:ap-northeast-1:000000000000:alarm:watched"]
    detail = event["detail"]
    before = told["watched", "OK"]["detail"]["state"]
    assert {**detail["previousState"], "timestamp": ""} == {**before, "timestamp": ""}
    assert detail["previousState"]["timestamp"][:19] == before["timestamp"][:19] < detail["state"]["timestamp"][:19]
    assert detail["state"]["reason"].startswith("Threshold Crossed: 1 out of the last 1 datapoint [9.0")
    assert json.loads(detail["state"]["reasonData"])["recentDatapoints"] == [9.0]
    metric = {"namespace": "Test", "name": "load", "dimensions": {"Host": "a"}}
    stat = {"metric": metric, "period": 60, "stat": "Average"}
    assert detail["configuration"] == {
        "description": "d",
        "metrics": [{"id": "m1", "returnData": True, "metricStat": stat}],
    }
    parent = told["parent", "ALARM"]["detail"]
    assert parent["configuration"] == {"alarmRule": 'ALARM("watched")'} and parent["previousState"]["value"] == "OK"
    assert "watched transitioned to ALARM at" in parent["state"]["reason"]


def test_a_state_that_is_set_is_history(stepped: Gateway) -> None:
    cloudwatch = stepped.client("cloudwatch")
    limits = {
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Statistic": "Sum",
    }
    cloudwatch.put_metric_alarm(AlarmName="drill", Namespace="Test", MetricName="nothing", **limits)
    cloudwatch.set_alarm_state(AlarmName="drill", StateValue="ALARM", StateReason="a drill")
    [alarm] = described(cloudwatch, AlarmNames=["drill"])
    assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "a drill")
    newest = history(cloudwatch, AlarmName="drill")[0]
    assert json.loads(newest["HistoryData"])["newState"]["stateValue"] == "ALARM"


def test_an_incident_goes_on_with_the_clock_and_a_frozen_one_stands() -> None:
    """Nobody mends anything for an hour and a half: what is on stays on, but for what is counted from lines that nobody writes."""
    with Sandbox(clock="frozen", scenario="checkout-locks") as own:
        cloudwatch = client(own)
        metric = {"Namespace": "AWS/RDS", "MetricName": "DBLoad", "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "shop-db"}]}  # fmt: skip
        asked = {**metric, "Period": 60, "Statistics": ["Average"], "StartTime": NOW - timedelta(minutes=5)}

        def minutes(end: timedelta) -> list[tuple[datetime, float]]:
            found = cloudwatch.get_metric_statistics(**asked, EndTime=NOW + end)["Datapoints"]
            return sorted((each["Timestamp"], each["Average"]) for each in found)

        lived = minutes(timedelta(hours=1))
        assert [at for at, _ in lived] == [NOW - timedelta(minutes=5 - n) for n in range(5)]
        on = {alarm["AlarmName"] for alarm in described(cloudwatch, StateValue="ALARM")}
        own.advance("90m")
        again = minutes(timedelta(hours=1))
        assert [value for _, value in again] == [value for _, value in lived] * 13
        assert [at for at, _ in again] == [NOW + timedelta(minutes=n - 5) for n in range(65)]
        assert len(minutes(timedelta(hours=3))) == 95  # nothing is told of what is to come
        assert {a["AlarmName"] for a in described(cloudwatch, StateValue="ALARM")} == on - {"sandbox-jobs-failed"}
        changed = {item["AlarmName"] for item in history(cloudwatch, StartDate=NOW + timedelta(seconds=1))}
        assert changed == {"sandbox-jobs-failed"}
