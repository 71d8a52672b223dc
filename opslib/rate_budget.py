"""How often AWS is called: one budget per account, region and operation, shared by the whole process.

Every attempt takes a token. A throttled answer halves the rate, every other one gives a little back, as TCP does it:
botocore's own adaptive mode knows neither other clients nor operations.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

PER_SECOND = 8.0  # of the ten that most operations allow an account
RATES = {"GetMetricData": 40.0}  # quotas that lie well above
LEAST, STEP = 2.0, 0.5  # calls a second: never slower, and given back for each answer
ATTEMPTS = 8  # of a throttled call: at 30 % throttling one in 15,000 is refused for good
_THROTTLED = {"TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "ProvisionedThroughputExceededException"}


class Budget:
    """A token bucket whose rate falls by half when AWS says that it is too much, at most once a second."""

    def __init__(self, rate: float) -> None:
        self.rate = self._most = self._tokens = rate
        self._filled, self._halved = time.monotonic(), 0.0
        self.refused = False  # whether the last answer was a refusal
        self._lock = threading.Lock()

    def take(self) -> float:
        """Wait for a token, first come first served; return how long that took in seconds."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._most, self._tokens + (now - self._filled) * self.rate) - 1
            self._filled = now
            wait = max(0.0, -self._tokens / self.rate)
        if wait:
            threading.Event().wait(wait)
        return wait

    def throttled(self) -> None:
        """Halve the rate."""
        with self._lock:
            now, self.refused = time.monotonic(), True
            if now - self._halved > 1:
                self.rate, self._halved, self._tokens = max(LEAST, self.rate / 2), now, min(self._tokens, 0.0)

    def answered(self) -> None:
        """Give a little of the rate back."""
        with self._lock:
            self.rate, self.refused = min(self._most, self.rate + STEP), False


_budgets: dict[tuple[str, str, str], Budget] = {}
_lock = threading.Lock()


def budget(account: str, region: str, operation: str) -> Budget:
    """Return the one budget of an operation in an account and region."""
    with _lock:
        return _budgets.setdefault((account, region, operation), Budget(RATES.get(operation, PER_SECOND)))


def refusals() -> str:
    """Say which operations AWS throttles right now: why there is no answer in time; "" when there are none."""
    with _lock:
        refused = sorted({operation for (_, _, operation), one in _budgets.items() if one.refused})
    return f"AWS throttled {', '.join(refused)}" if refused else ""


def attach(client: Any, account: str) -> None:
    """Let a boto3 client keep to the budgets, and try a throttled call up to 8 times."""
    region = str(client.meta.region_name)

    def of(event_name: str) -> Budget:
        return budget(account, region, event_name.rsplit(".", 1)[-1])

    def before(event_name: str, **_: Any) -> None:
        of(event_name).take()

    def received(event_name: str, response_dict: Any, parsed_response: Any, **_: Any) -> None:
        if response_dict is not None and _is_throttling(event_name, response_dict["status_code"], parsed_response):
            of(event_name).throttled()
        elif response_dict is not None:
            of(event_name).answered()

    def again(event_name: str, response: Any, attempts: int, **_: Any) -> float | None:
        refused = response is not None and _is_throttling(event_name, response[0].status_code, response[1])
        return random.uniform(0.5, 1) * min(0.1 * 2**attempts, 1.6) if refused and attempts < ATTEMPTS else None

    client.meta.events.register("before-send", before)
    client.meta.events.register("response-received", received)
    client.meta.events.register("needs-retry", again)


def _is_throttling(event_name: str, status: int, parsed: Any) -> bool:
    code = str(((parsed or {}).get("Error") or {}).get("Code", ""))
    busy = code == "LimitExceededException" and (status == 429 or event_name.endswith(".StartQuery"))  # 100 run already
    return code.startswith("Throttl") or code in _THROTTLED or busy
