"""Lambda called asynchronously: who may, two more tries after a function's error, then its destination or its queue."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opslib.sandbox.delivery.environments import Environments
from opslib.sandbox.delivery.ground import Ground, Refusal, Sender, ministack, name_of, region_of
from opslib.sandbox.delivery.queues import Queues
from opslib.sandbox.delivery.roles import role_may

ERROR_WAITS = (60.0, 120.0)  # before the second and the third try
THROTTLE_WAIT, MOST_THROTTLE_WAIT = 1.0, 300.0
MAX_AGE = 21_600


@dataclass
class Event:
    """One event in the queue of a function."""

    arn: str
    payload: Any
    accepted: float
    request_id: str
    tries: int = 0
    throttled: int = 0
    last: dict[str, Any] = field(default_factory=dict)


class Functions:
    """Functions as other services call them."""

    def __init__(self, ground: Ground, queues: Queues) -> None:
        self._ground, self._queues = ground, queues
        self._environments = Environments(ground)

    def install(self) -> None:
        """Run Python ourselves, and queue what is called asynchronously."""
        functions = ministack("lambda_svc")
        self._environments.install()

        def invoke_later(record: dict[str, Any], payload: Any) -> None:
            self._queue((record.get("config") or record)["FunctionArn"], payload)

        functions.invoke_async_with_retry = invoke_later

    def accept(self, arn: str, payload: Any, sender: Sender) -> Refusal | None:
        """Take an event from a service, or say why not: no such function, no permission of its policy."""
        if (struck := self._ground.struck("lambda", "Invoke", region_of(arn))) is not None:
            return struck
        record = self._record(arn)
        if record is None:
            return Refusal("ResourceNotFoundException", f"Function not found: {arn}")
        plain = ":".join(arn.split(":")[:7])
        if not sender.allowed(record.get("policy"), "lambda:InvokeFunction", plain):
            return Refusal("AccessDeniedException", f"{sender.service} is not authorized to perform: lambda:InvokeFunction on resource: {arn}")  # fmt: skip
        self._queue(arn, payload)
        return None

    def _record(self, arn: str) -> dict[str, Any] | None:
        with self._ground.scope(region_of(arn)):
            record: dict[str, Any] | None = ministack("lambda_svc")._get_func_record_for_ref(arn)[0]
        return record

    def _queue(self, arn: str, payload: Any) -> None:
        event = Event(arn, payload, self._ground.now(), ministack("lambda_svc").new_uuid())
        self._count(event, AsyncEventsReceived=1.0)
        self._plan(event, self._ground.now(), f"Lambda {_name(arn)}")

    def _plan(self, event: Event, when: float, what: str) -> None:
        self._ground.agenda.at(when, lambda _: self._try(event), what=what, lane=f"lambda {event.arn}")

    def _try(self, event: Event) -> None:
        functions, record = ministack("lambda_svc"), self._record(event.arn)
        if record is None:  # deleted meanwhile: AWS drops what it had queued
            self._count(event, AsyncEventsDropped=1.0)
            return
        settings = (
            functions._event_invoke_config(record, "$LATEST") or functions._event_invoke_config(record, None) or {}
        )
        if self._ground.now() - event.accepted > settings.get("MaximumEventAgeInSeconds", MAX_AGE):
            self._give_up(event, record, settings, "EventAgeExceeded")
            return
        result = functions._execute_function_with_config_scope(record, event.payload)
        if result.get("throttle"):
            event.throttled += 1
            wait = min(THROTTLE_WAIT * 2 ** (event.throttled - 1), MOST_THROTTLE_WAIT)
            self._plan(event, self._ground.now() + wait, f"Lambda {_name(event.arn)}: again, as it was throttled")
            return
        event.tries, event.last = event.tries + 1, result
        if not result.get("error"):
            return
        most = settings.get("MaximumRetryAttempts")
        if event.tries > (len(ERROR_WAITS) if most is None else most):
            self._give_up(event, record, settings, "RetriesExhausted")
            return
        words = f"Lambda {_name(event.arn)}: try {event.tries + 1}, as {result['body'].get('errorType', 'it failed')}"
        self._plan(event, self._ground.now() + ERROR_WAITS[event.tries - 1], words)

    def _give_up(self, event: Event, record: dict[str, Any], settings: dict[str, Any], why: str) -> None:
        """Leave an event with its destination on failure and in the function's own dead letter queue, where there are any."""
        self._count(event, AsyncEventsDropped=1.0)
        config = record.get("config") or record
        destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        if destination and self._left(config, destination, json.dumps(self._told(event, why)), {}):
            self._count(event, DestinationDeliveryFailures=1.0)
        letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
        last = event.last.get("body") or {}
        told = {"RequestID": event.request_id, "ErrorCode": "200", "ErrorMessage": str(last.get("errorMessage", why))}
        if letters and self._left(config, letters, json.dumps(event.payload), told):
            self._count(event, DeadLetterErrors=1.0)

    def _left(self, config: dict[str, Any], arn: str, body: str, attributes: dict[str, str]) -> Refusal | None:
        """Send to a queue as the function's role, and return what was wrong with it."""
        if not role_may(config.get("Role", ""), "sqs:SendMessage", arn):
            return Refusal("AccessDenied", f"the role of {config['FunctionName']} may not send to {name_of(arn)}")
        if arn.split(":")[2] != "sqs":
            return Refusal("SandboxNotModelled", f"destinations of {arn.split(':')[2]} are not modelled")
        return self._queues.send(arn, body, attributes, None)

    def _told(self, event: Event, why: str) -> dict[str, Any]:
        at = datetime.fromtimestamp(self._ground.now(), UTC)
        request = {
            "requestId": event.request_id, "functionArn": f"{event.arn}:$LATEST", "condition": why, "approximateInvokeCount": event.tries,
        }  # fmt: skip
        answer = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
        return {
            "version": "1.0", "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", "requestContext": request,
            "requestPayload": event.payload, **({"responseContext": answer, "responsePayload": event.last.get("body")} if event.tries else {}),
        }  # fmt: skip

    def _count(self, event: Event, **values: float) -> None:
        self._ground.count(event.arn, "AWS/Lambda", {"FunctionName": _name(event.arn)}, **values)


def _name(arn: str) -> str:
    return arn.split(":")[6]
