"""EventBridge: rules that match or are due, their targets tried again as EventBridge does, then the target's queue."""

import json
from contextvars import ContextVar
from typing import Any

from opslib.sandbox.delivery.functions import Functions
from opslib.sandbox.delivery.ground import Ground, Refusal, Sender, ministack, name_of, region_of
from opslib.sandbox.delivery.queues import Queues
from opslib.sandbox.delivery.retries import Delivery, deliver, rule_wait
from opslib.sandbox.delivery.topics import Topics

_current: ContextVar[tuple[dict[str, Any], dict[str, Any]]] = ContextVar("target")  # target, rule


class Rules:
    """Rules and their targets."""

    def __init__(self, ground: Ground, queues: Queues, functions: Functions, topics: Topics) -> None:
        self._ground, self._queues, self._functions, self._topics = ground, queues, functions, topics

    def install(self) -> None:
        """Deliver to functions, topics and queues; schedules are due by the sandbox's clock, to the minute."""
        events = ministack("eventbridge")
        theirs = events._invoke_target

        def invoke(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
            token = _current.set((target, rule))  # ministack works out what the target is given
            try:
                theirs(target, event, rule, view)
            finally:
                _current.reset(token)

        events._invoke_target = invoke
        events._dispatch_to_lambda = lambda arn, payload: self._deliver(arn, payload, "lambda")
        events._dispatch_to_sns = lambda arn, payload: self._deliver(arn, payload, "sns")
        events._dispatch_to_sqs = lambda spec, payload, parameters=None: self._deliver(str(spec), payload, "sqs")
        events.start_scheduler = lambda: None
        self._ground.agenda.every(60, self._tick)

    def _tick(self, at: float) -> None:
        events = ministack("eventbridge")
        real, events._now_ts = events._now_ts, lambda: at  # on the minute, or a rate would slip by one now and then
        try:
            events._tick_scheduled_rules()
        finally:
            events._now_ts = real

    def _deliver(self, arn: str, payload: str, kind: str) -> None:
        target, rule = _current.get()
        # To topics EventBridge says nothing of the rule, so that a condition on it never holds.
        sender = Sender("events.amazonaws.com", rule["Arn"], owned=kind != "sns")
        place, limits = {"RuleName": rule["Name"]}, target.get("RetryPolicy") or {}

        def attempt() -> Refusal | None:
            self._ground.count(rule["Arn"], "AWS/Events", place, Invocations=1.0)
            if kind == "sns":
                return self._topics.publish(arn, payload, "", sender)
            if kind == "sqs":
                return self._queues.send(arn, payload, {}, sender)
            return self._functions.accept(arn, json.loads(payload), sender)

        def give_up(why: Refusal, retries: int, limit: str) -> None:
            self._ground.count(rule["Arn"], "AWS/Events", place, FailedInvocations=1.0)
            queue = (target.get("DeadLetterConfig") or {}).get("Arn")
            if not queue:
                return
            told = {
                "RULE_ARN": rule["Arn"], "TARGET_ARN": arn, "ERROR_CODE": why.code, "ERROR_MESSAGE": why.message,
                "EXHAUSTED_RETRY_CONDITION": limit, "RETRY_ATTEMPTS": str(retries),
            }  # fmt: skip
            lost = self._queues.send(queue, payload, told, sender)
            name = "InvocationsFailedToBeSentToDlq" if lost else "InvocationsSentToDlq"
            self._ground.count(rule["Arn"], "AWS/Events", place, **{name: 1.0})

        what = f"EventBridge {rule['Name']} to {kind} {name_of(arn)} in {region_of(arn)}"
        retries, seconds = limits.get("MaximumRetryAttempts", 185), limits.get("MaximumEventAgeInSeconds", 86_400)
        deliver(self._ground, Delivery(what, attempt, rule_wait, give_up, retries=retries, seconds=seconds))
