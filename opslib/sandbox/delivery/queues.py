"""SQS: messages that other services leave in queues, by the queue's policy, and what CloudWatch is told of queues."""

import hashlib
from typing import Any

from opslib.sandbox.delivery.ground import Ground, Refusal, Sender, ministack, name_of, region_of
from opslib.sandbox.state_files import ACCOUNT

ACTIVE_SECONDS = 6 * 3600  # CloudWatch hears of a queue that was used in the last six hours
MAX_BYTES = 1_048_576


class Queues:
    """Queues as other services use them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._used: dict[tuple[str, str], float] = {}  # region and URL: when it last held anything

    def install(self) -> None:
        """Tell CloudWatch every minute how much waits."""
        self._ground.agenda.every(60, self._measure_all)

    def send(self, arn: str, body: str, attributes: dict[str, str], sender: Sender | None) -> Refusal | None:
        """Leave a message in a queue, or say why it cannot be; without a sender nobody is asked for permission."""
        sqs = ministack("sqs")
        if (struck := self._ground.struck("sqs", "SendMessage", region_of(arn))) is not None:
            return struck
        queue = sqs._queue_by_arn(arn)
        if queue is None:
            return Refusal("NO_QUEUE", f"The specified queue does not exist: {arn}")
        if sender and not sender.allowed(queue["attributes"].get("Policy"), "sqs:SendMessage", arn):
            return Refusal("NO_PERMISSIONS", f"The policy of {name_of(arn)} does not let {sender.service} send messages")  # fmt: skip
        if len(body.encode()) > MAX_BYTES:
            return Refusal("INVALID_PARAMETER", f"Message must be shorter than {MAX_BYTES} bytes")
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
        with self._ground.scope(region_of(arn)):
            message: dict[str, Any] = {
                "id": sqs.new_uuid(), "body": body, "md5_body": hashlib.md5(body.encode()).hexdigest(),
                "message_attributes": typed, "md5_attrs": sqs._md5_msg_attrs(typed), "sent_at": self._ground.now(),
                "visible_at": self._ground.now() + sqs.queue_delay(queue),
            }  # fmt: skip
            sqs._ensure_msg_fields(message)
            queue["messages"].append(message)
            sqs.esm_wake.set()
        return None

    def _measure_all(self, at: float) -> None:
        sqs = ministack("sqs")
        for (account, region, url), queue in list(sqs._queues._data.items()):
            if account != ACCOUNT:
                continue
            if queue["messages"]:
                self._used[region, url] = at
            if at - self._used.get((region, url), 0) <= ACTIVE_SECONDS:
                self._measure(region, queue, at)

    def _measure(self, region: str, queue: dict[str, Any], at: float) -> None:
        ministack("sqs")._refresh_counts(queue)
        place = {"QueueName": name_of(queue["attributes"]["QueueArn"])}
        for kind, count in (("Visible", ""), ("NotVisible", "NotVisible"), ("Delayed", "Delayed")):
            value = float(queue["attributes"][f"ApproximateNumberOfMessages{count}"])
            self._ground.measure(region, "AWS/SQS", f"ApproximateNumberOfMessages{kind}", place, value, at=at)
        oldest = min((message["sent_at"] for message in queue["messages"]), default=at)
        self._ground.measure(region, "AWS/SQS", "ApproximateAgeOfOldestMessage", place, at - oldest, "Seconds", at)
