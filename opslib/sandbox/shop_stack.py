"""A CloudFormation stack of the shop in ministack: a change set that waits, and a parameter that somebody changed by hand."""

import asyncio
import copy
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson

from opslib.sandbox import backend
from opslib.sandbox.clock import Clock
from opslib.sandbox.protocol import Call, Request
from opslib.sandbox.services import HOME

NAME, CHANGE_SET = "shop-operations", "longer-visibility"
LIMIT = "/shop/prod/checkout-limit"
BEGINS = 20.0  # seconds after the call
EXECUTED = b'<ExecuteChangeSetResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ExecuteChangeSetResult/></ExecuteChangeSetResponse>'
TEMPLATE: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "Queues of the jobs and limits of the checkout.",
    "Parameters": {
        "VisibilityTimeout": {"Type": "Number", "Default": 60},
        "CheckoutLimit": {"Type": "String", "Default": "200"},
        "SlackToken": {"Type": "String", "Default": "none", "NoEcho": True},
    },
    "Resources": {
        "JobsQueue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"QueueName": "shop-jobs", "VisibilityTimeout": {"Ref": "VisibilityTimeout"}},
        },
        "JobsDead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "shop-jobs-dead"}},
        "JobsTopic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "shop-jobs-events"}},
        "CheckoutLimitParameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": LIMIT, "Type": "String", "Value": {"Ref": "CheckoutLimit"}},
        },
    },
}


def waiting() -> dict[str, Any]:
    """Return the template of the change set: a topic gets another name, which replaces it, and a limit comes along."""
    changed = copy.deepcopy(TEMPLATE)
    changed["Resources"]["JobsTopic"]["Properties"]["TopicName"] = "shop-job-events"
    retries = {"Name": "/shop/prod/job-retries", "Type": "String", "Value": "3"}
    changed["Resources"]["RetriesParameter"] = {"Type": "AWS::SSM::Parameter", "Properties": retries}
    return changed


class ShopStack:
    """Made when CloudFormation, or SQS for its queues, is first asked in the shop's region; on a running clock changes take time."""

    def __init__(self, clock: Clock, *, wanted: bool) -> None:
        self._clock = clock
        self._wanted = wanted
        self._lock = asyncio.Lock()
        self._begun: list[tuple[float, backend.Message, Request]] = []

    async def begins(self, app: backend.App, call: Call, scope: backend.Message, request: Request) -> bool:
        """Tell whether this call executes a change set that can be; ministack gets it when CloudFormation would begin."""
        if call.operation != "ExecuteChangeSet" or self._clock.frozen:
            return False
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        told = await _call(app, {**asked, "Action": "DescribeChangeSet"}, fails=True)
        if "<ExecutionStatus>AVAILABLE<" not in told:
            return False  # ministack refuses it in AWS's words
        self._begun.append((self._clock.now().timestamp() + BEGINS, scope, request))
        return True

    async def carry_out(self, app: backend.App) -> None:
        """Let ministack execute what has waited long enough."""
        now = self._clock.now().timestamp()
        due = [each for each in self._begun if each[0] <= now]
        self._begun = [each for each in self._begun if each[0] > now]
        for _, scope, request in due:
            await backend.ask(app, scope, request, backend.nobody)

    async def install(self, app: backend.App, region: str) -> None:
        """Make the stack and its change set, once, then change a resource behind its back."""
        async with self._lock:
            if not self._wanted or region != HOME:
                return
            self._wanted = False
            about = {"StackName": NAME, "Version": "2010-05-15"}
            await _call(app, {**about, "Action": "CreateStack", "TemplateBody": orjson.dumps(TEMPLATE).decode()})
            for _ in range(200):
                if "CREATE_COMPLETE" in await _call(app, {**about, "Action": "DescribeStacks"}):
                    break
                await asyncio.sleep(0.02)
            await _call(app, {
                **about, "Action": "CreateChangeSet", "ChangeSetName": CHANGE_SET, "TemplateBody": orjson.dumps(waiting()).decode(),
                "Description": "Long jobs were taken twice", "Parameters.member.1.ParameterKey": "VisibilityTimeout",
                "Parameters.member.1.ParameterValue": "300", "Parameters.member.2.ParameterKey": "CheckoutLimit",
                "Parameters.member.2.UsePreviousValue": "true", "Parameters.member.3.ParameterKey": "SlackToken",
                "Parameters.member.3.UsePreviousValue": "true",
            })  # fmt: skip
            body = orjson.dumps({"Name": LIMIT, "Value": "150", "Overwrite": True})
            await backend.tell(app, HOME, "ssm", "AmazonSSM.PutParameter", body)


async def _call(app: backend.App, parameters: dict[str, str], *, fails: bool = False) -> str:
    return await backend.tell_form(app, HOME, "cloudformation", urlencode(parameters).encode(), fails=fails)
