"""SNS: a message to every subscriber, tried again as SNS does, then into the subscription's queue."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opslib.sandbox.delivery.functions import Functions
from opslib.sandbox.delivery.ground import Ground, Refusal, Sender, ministack, name_of, region_of
from opslib.sandbox.delivery.queues import Queues
from opslib.sandbox.delivery.retries import Delivery, deliver, redrive_target, topic_wait

KMS = ("kms:Decrypt", "kms:GenerateDataKey")  # what a service needs to publish to an encrypted topic
AWS_KEY = "alias/aws/sns"  # whose policy lets no service in
OURS = ("lambda", "sqs")  # what is delivered here; HTTP stays ministack's
_sender: ContextVar[Sender | None] = ContextVar("sender", default=None)


@contextmanager
def acting(sender: Sender) -> Iterator[None]:
    """Let what is published within the block be published by a service, which needs the topic's permission."""
    token = _sender.set(sender)
    try:
        yield
    finally:
        _sender.reset(token)


class Topics:
    """Topics as publishers use them."""

    def __init__(self, ground: Ground, queues: Queues, functions: Functions) -> None:
        self._ground, self._queues, self._functions = ground, queues, functions

    def install(self) -> None:
        """Deliver what is published to functions and queues; ministack goes on with the other protocols."""
        sns = ministack("sns")
        theirs = sns._fanout

        def fan_out(topic_arn: str, message_id: str, message: str, subject: str = "", *rest: Any, **more: Any) -> None:
            topic = sns._topic_by_arn_any_scope(topic_arn)
            if topic is None or (_sender.get() and self.refused(topic_arn, _sender.get())):
                return
            self._fan_out(topic, message_id, message, subject, *rest, **more)
            others = [one for one in topic["subscriptions"] if one["protocol"] not in OURS]
            if others:
                with _only(topic, others):
                    theirs(topic_arn, message_id, message, subject, *rest, **more)

        sns._fanout = fan_out

    def publish(self, arn: str, message: str, subject: str, sender: Sender) -> Refusal | None:
        """Publish as a service does, or say why it cannot be."""
        if (refusal := self._ground.struck("sns", "Publish", region_of(arn)) or self.refused(arn, sender)) is not None:
            return refusal
        sns = ministack("sns")
        with self._ground.scope(region_of(arn)), acting(sender):
            try:
                sns.publish_internal(arn, message, subject)
            except sns.SnsPublishError as error:
                return Refusal("INVALID_PARAMETER", str(error))
        return None

    def refused(self, arn: str, sender: Sender | None) -> Refusal | None:
        """Return why a service may not publish to a topic: there is none, its policy, or the policy of its key."""
        with self._ground.scope(region_of(arn)):
            topic = ministack("sns")._topics.get(arn)
        if topic is None:
            return Refusal("NO_RESOURCE", f"Topic does not exist: {arn}")
        if sender is None:
            return None
        held = topic["attributes"]
        if not sender.allowed(held.get("Policy"), "sns:Publish", arn):
            return Refusal("NO_PERMISSIONS", f"The policy of {name_of(arn)} does not let {sender.service} publish")
        if (key := held.get("KmsMasterKeyId")) and not self._key_allows(key, arn, sender):
            return Refusal("NO_PERMISSIONS", f"The key of {name_of(arn)} does not let {sender.service} use it")
        return None

    def _key_allows(self, key: str, topic: str, sender: Sender) -> bool:
        if key.endswith(AWS_KEY):
            return False
        with self._ground.scope(region_of(topic)):
            found = ministack("kms")._resolve_key(key)
        return bool(found) and all(sender.allowed(found.get("Policy"), action, found["Arn"]) for action in KMS)

    def _fan_out(
        self, topic: dict[str, Any], message_id: str, message: str, subject: str, structure: str = "",
        attributes: dict[str, Any] | None = None, **fifo: str,
    ) -> None:  # fmt: skip
        sns, arn = ministack("sns"), topic["arn"]
        self._ground.count(arn, "AWS/SNS", {"TopicName": topic["name"]}, NumberOfMessagesPublished=1.0)
        for subscription in list(topic["subscriptions"]):
            protocol, raw = subscription["protocol"], subscription["attributes"].get("RawMessageDelivery") == "true"
            if protocol not in OURS or not subscription.get("confirmed"):
                continue
            said = sns._resolve_message_for_protocol(message, structure, protocol)
            if not sns._matches_filter_policy(subscription, attributes or {}, said):
                continue
            envelope = sns._build_envelope(arn, message_id, said, subject, attributes or {}, raw and protocol == "sqs")
            self._deliver(topic, subscription, envelope)

    def _deliver(self, topic: dict[str, Any], subscription: dict[str, Any], envelope: str) -> None:
        arn, endpoint = topic["arn"], subscription["endpoint"]
        sender, place = Sender("sns.amazonaws.com", arn), {"TopicName": topic["name"]}

        def attempt() -> Refusal | None:
            if subscription["protocol"] == "sqs":
                return self._queues.send(endpoint, envelope, {}, sender)
            record = {
                "EventVersion": "1.0", "EventSubscriptionArn": subscription["arn"], "EventSource": "aws:sns",
                "Sns": {"Subject": None, "MessageAttributes": {}, **json.loads(envelope)},
            }  # fmt: skip
            return self._functions.accept(endpoint, {"Records": [record]}, sender)

        def give_up(why: Refusal, retries: int, limit: str) -> None:
            self._ground.count(arn, "AWS/SNS", place, NumberOfNotificationsFailed=1.0)
            queue = redrive_target(subscription["attributes"].get("RedrivePolicy"))
            if not queue:
                return
            told = {
                "RequestID": subscription["arn"].rpartition(":")[2],
                "ErrorCode": why.code,
                "ErrorMessage": why.message,
            }
            lost = self._queues.send(queue, envelope, told, sender)
            name = f"NumberOfNotifications{'FailedToRedriveToDlq' if lost else 'RedrivenToDlq'}"
            self._ground.count(arn, "AWS/SNS", place, **{name: 1.0})

        def delivered() -> None:
            self._ground.count(arn, "AWS/SNS", place, NumberOfNotificationsDelivered=1.0)

        what = f"SNS {topic['name']} to {subscription['protocol']} {name_of(endpoint)}"
        deliver(self._ground, Delivery(what, attempt, topic_wait, give_up, delivered, retries=100_015, seconds=23 * 86_400.0))  # fmt: skip


@contextmanager
def _only(topic: dict[str, Any], subscriptions: list[dict[str, Any]]) -> Iterator[None]:
    """Let a topic have only some of its subscriptions within the block."""
    whole = topic["subscriptions"]
    topic["subscriptions"] = subscriptions
    try:
        yield
    finally:
        topic["subscriptions"] = whole
