"""The alerting of the sandbox's environment as it stands on AWS: its stacks made by CloudFormation, and all that comes out of them."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import boto3

from opslib import config
from opslib.alerting import template
from opslib.sandbox.control import Sandbox

HOME, AWAY = "ap-northeast-1", "us-east-1"
SINKS = ("slack", "pagerduty")
OTHER = dict(zip(SINKS, reversed(SINKS), strict=True))


class AlertPath:
    """A sandbox with the alert stacks in it, made as `opslib alerts template` tells to."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._clients: dict[tuple[str, str], Any] = {}
        self.made: dict[tuple[str, str], str] = {}  # region and name in the template -> physical name
        self.early: Any = None  # what alert-pipeline said before any heartbeat
        made = template.templates(config.load("sandbox"))
        for region in (HOME, AWAY):
            own = [
                name for name in made if (name == f"alerts-{AWAY}") == (region == AWAY) and name != "alerts-delivery"
            ]
            self._upload(region, made["alerts-delivery"])
            for name in ("alerts-delivery", *own):
                self._make(region, name, made[name])
        self.sandbox.advance("3m")  # what was just made looks around

    def client(self, service: str, region: str = HOME) -> Any:
        """Return a client of a service."""
        if (service, region) not in self._clients:
            session = boto3.Session("sandbox", "sandbox", region_name=region)
            self._clients[service, region] = session.client(service, endpoint_url=self.sandbox.endpoint)
        return self._clients[service, region]

    def _upload(self, region: str, delivery: dict[str, Any]) -> None:
        place = {} if region == AWAY else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.client("s3", region).create_bucket(Bucket=f"ops-code-{region}", **place)
        key = delivery["Parameters"]["CodeKey"]["Default"]
        self.client("s3", region).put_object(Bucket=f"ops-code-{region}", Key=key, Body=template.archive())

    def _make(self, region: str, name: str, body: dict[str, Any]) -> None:
        given = {"CodeBucket": f"ops-code-{region}"} if name == "alerts-delivery" else {}
        for sink in ("Slack", "PagerDuty") if given else ():
            secret = self.client("secretsmanager", region).describe_secret(SecretId=f"ops/{sink.lower()}")
            given[f"{sink}Secret"] = secret["ARN"]
        cloud = self.client("cloudformation", region)
        cloud.create_stack(
            StackName=name, TemplateBody=template.text(body), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        )  # fmt: skip
        while (status := cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("IN_PROGRESS"):
            time.sleep(0.02)
        assert status == "CREATE_COMPLETE", cloud.describe_stack_events(StackName=name)["StackEvents"]
        for one in cloud.describe_stack_resources(StackName=name)["StackResources"]:
            self.made[region, one["LogicalResourceId"]] = one["PhysicalResourceId"]

    # -- what goes in ---------------------------------------------------------------------------------------------
    def alarm(self, name: str, topic: str = "ops-critical", **more: Any) -> str:
        """Make an alarm that stays as it is set, and return the key by which PagerDuty knows it."""
        topics = [self.arn(topic)]
        said = "Orders stand still. severity=critical runbook=2-investigate/first-look env=sandbox"
        watched = {
            "Namespace": "Test",
            "MetricName": "Orders",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
        }
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=name, AlarmDescription=said, AlarmActions=topics, OKActions=topics, Threshold=1, TreatMissingData="ignore",
            ComparisonOperator="LessThanThreshold", **watched, **more,
        )  # fmt: skip
        return f"cw:{self.alarm_arn(name)}"

    def set(self, name: str, state: str) -> None:
        """Let an alarm change its state; what comes of that at once has happened on return."""
        self.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"{name} was set")
        self.sandbox.advance(0)

    def fail_jobs(self, count: int) -> None:
        """Let the worker write that jobs failed for good, as it writes it."""
        now = datetime.fromisoformat(self.sandbox.advance(0))
        job = {"id": 88_001, "name": "send_receipt", "attempt": 3}
        about = {"level": "error", "service": "worker", "request_id": "req-0a1b2c3d4e5f", "job": job}
        said = {"time": now.isoformat(), **about, "message": "job failed for good: send_receipt (領収書のメール送信)"}
        event = {"timestamp": round(now.timestamp() * 1000), "message": json.dumps(said, ensure_ascii=False)}
        logs, stream = self.client("logs"), f"worker/worker/{now:%H%M%S}"
        logs.create_log_stream(logGroupName="/shop/worker", logStreamName=stream)
        logs.put_log_events(logGroupName="/shop/worker", logStreamName=stream, logEvents=[event] * count)

    def publish(self, message: str, subject: str = "", topic: str = "ops-critical") -> None:
        """Publish to a topic as anybody who may."""
        more = {"Subject": subject} if subject else {}
        self.client("sns").publish(TopicArn=self.arn(topic), Message=message, **more)

    def alarm_arn(self, name: str) -> str:
        """Return the ARN of an alarm."""
        return f"arn:aws:cloudwatch:{HOME}:000000000000:alarm:{name}"

    def arn(self, topic: str) -> str:
        """Return the ARN of a topic."""
        return f"arn:aws:sns:{HOME}:000000000000:{topic}"

    def bring(self, sink: str, number: str, message: dict[str, Any]) -> None:
        """Bring a sink's function a message as SNS does, which may bring it again."""
        about = {"MessageId": number, "TopicArn": self.arn("ops-critical"), "Message": json.dumps(message)}
        event = {"Records": [{"EventSource": "aws:sns", "Sns": about}]}
        self.client("lambda").invoke(
            FunctionName=f"ops-notify-{sink}", InvocationType="Event", Payload=json.dumps(event)
        )
        self.sandbox.advance(0)

    def renew(self, sink: str) -> None:
        """Let a sink's function have no environment that remembers anything."""
        name = f"ops-notify-{sink}"
        self.client("lambda").update_function_configuration(FunctionName=name, Description=f"anew {time.monotonic()}")

    # -- what comes out -------------------------------------------------------------------------------------------
    def taken(self, sink: str, words: str) -> list[dict[str, Any]]:
        """Return the bodies that a sink has taken in which some words stand."""
        found = [one for one in self.sandbox.messages(sink) if 200 <= one["status"] < 300]
        return [one["body"] for one in found if words in json.dumps(one["body"], ensure_ascii=False)]

    def is_on(self, sink: str, name: str) -> bool:
        """Tell whether a sink's last word of an alarm of the home region is that it is on."""
        if sink == "pagerduty":
            return self.incidents(f"cw:{self.alarm_arn(name)}")[-1]["status"] != "resolved"
        said = [body["text"] for body in self.taken("slack", name) if HOME in json.dumps(body)]
        return "OK · 正常" not in said[-1]

    def incidents(self, key: str) -> list[dict[str, Any]]:
        """Return PagerDuty's incidents of a key."""
        return [one for one in self.sandbox.incidents() if one["key"] == key]

    def queued(self, name: str) -> list[Any]:
        """Return what is in a queue of the stack and leave it there."""
        asked = {"MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "MessageAttributeNames": ["All"]}
        found = self.client("sqs").receive_message(QueueUrl=self.made[HOME, name], **asked).get("Messages", [])
        return [json.loads(one["Body"]) for one in found]

    def purge(self, name: str) -> None:
        """Empty a queue."""
        self.client("sqs").purge_queue(QueueUrl=self.made[HOME, name])
