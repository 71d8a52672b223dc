"""One delivery from one service to another: tried, tried again as the sender's service does, then left in a queue."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from opslib.sandbox.delivery.ground import Ground, Refusal


@dataclass
class Delivery:
    """What is tried, and what becomes of it."""

    what: str  # for people
    attempt: Callable[[], Refusal | None]
    wait: Callable[[int], float]  # seconds before the n-th retry
    give_up: Callable[[Refusal, int, str], None]  # why, retries made, and which limit ended them (empty: it was final)
    delivered: Callable[[], None] = lambda: None
    retries: int = 185
    seconds: float = 86_400.0
    made: int = 0
    begun: float = field(default=0.0)


def deliver(ground: Ground, delivery: Delivery) -> None:
    """Begin a delivery; the caller goes on at once."""
    delivery.begun = ground.now()
    ground.agenda.soon(lambda _: _try(ground, delivery), what=delivery.what)


def _try(ground: Ground, delivery: Delivery) -> None:
    refusal = delivery.attempt()
    if refusal is None:
        delivery.delivered()
        return
    wait = delivery.wait(delivery.made + 1)
    over = ground.now() + wait - delivery.begun > delivery.seconds
    if refusal.final or over or delivery.made >= delivery.retries:
        limit = "" if refusal.final else "MaximumEventAgeInSeconds" if over else "MaximumRetryAttempts"
        delivery.give_up(refusal, delivery.made, limit)
        return
    delivery.made += 1
    words = f"{delivery.what}: try {delivery.made + 1}, as {refusal.code}"
    ground.agenda.at(ground.now() + wait, lambda _: _try(ground, delivery), what=words)


def rule_wait(retry: int) -> float:
    """Return EventBridge's wait: it doubles, up to ten minutes (AWS tells neither its base nor its jitter)."""
    return float(min(2**retry, 600))


def topic_wait(retry: int) -> float:
    """Return SNS's wait for endpoints that AWS manages: three at once, two after a second, ten growing, then every 20 s."""
    if retry <= 3:
        return 0.0
    return 1.0 if retry <= 5 else float(min(2 ** (retry - 5), 20))


def redrive_target(policy: str | None) -> str:
    """Return the queue that a subscription's RedrivePolicy names, or nothing."""
    return str(json.loads(policy).get("deadLetterTargetArn", "")) if policy else ""
