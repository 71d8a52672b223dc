"""Faults on purpose: what AWS does on a bad day, per service and operation."""

import itertools
import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from opslib.sandbox.protocol import Call, model_of
from opslib.sandbox.service_errors import ServiceError

AWS_KINDS = ("throttling", "access-denied", "expired-token", "latency", "hang", "drop")
SINKS = ("slack", "pagerduty", "site")  # which are no part of AWS: only a fault that names them strikes them
SINK_KINDS = ("status", "latency", "hang", "drop", "answer-lost")  # the last: it took what came, and nobody hears of it
KINDS = (*AWS_KINDS, "status", "answer-lost")
_THROTTLING = {
    "s3": ("SlowDown", 503, "Please reduce your request rate."),
    "ec2": ("RequestLimitExceeded", 503, "Request limit exceeded."),
    "amplify": ("LimitExceededException", 429, "Rate exceeded"),
    "lambda": ("TooManyRequestsException", 429, "Rate Exceeded."),
    "cloudwatch": ("Throttling", 400, "Rate exceeded"),
}
_CALLER = "arn:aws:sts::000000000000:assumed-role/opslib-sandbox/operator"


@dataclass
class Fault:
    """One kind of trouble for the calls that it matches; `count` is how often it may still fire, None without end."""

    id: int
    service: str
    operation: str
    kind: str
    ms: float
    probability: float
    count: int | None
    status: int = 500
    retry_after: float | None = None
    fired: int = 0

    def matches(self, call: Call) -> bool:
        """Say whether this fault is meant for a call and has not run out."""
        if self.count is not None and self.fired >= self.count:
            return False
        anything = call.service not in SINKS and self.service == "*"
        return (anything or self.service == call.service) and self.operation in ("*", call.operation)


class Faults:
    """All faults that were asked for, in that order; the first that fires on a call counts."""

    def __init__(self, seed: int = 0) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._dice = random.Random(seed)
        self._lock = threading.Lock()

    def add(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Add a fault from its description; ValueError says what is wrong with it."""
        known = {"service", "operation", "kind", "ms", "probability", "count", "status", "retry_after"}
        if unknown := set(asked) - known:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}; a fault has {', '.join(sorted(known))}")
        if asked.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {asked.get('kind')!r}")
        service = _name(asked, "service")
        if asked["kind"] not in (SINK_KINDS if service in SINKS else AWS_KINDS):
            raise ValueError(f"AWS takes {', '.join(AWS_KINDS)}; {' and '.join(SINKS)} take {', '.join(SINK_KINDS)}")
        fault = Fault(
            id=next(self._ids),
            service=service,
            operation=_name(asked, "operation"),
            kind=asked["kind"],
            ms=_number(asked, "ms", 1000.0, 600_000),
            probability=_number(asked, "probability", 1.0, 1),
            count=None if asked.get("count") is None else int(_number(asked, "count", 1, 1_000_000)),
            status=int(_number(asked, "status", 500, 599)),
            retry_after=None if asked.get("retry_after") is None else _number(asked, "retry_after", 1, 86_400),
        )
        with self._lock:
            self._faults.append(fault)
        return asdict(fault)

    def all(self) -> list[dict[str, Any]]:
        """Return every fault and how often it fired."""
        return [asdict(fault) for fault in self._faults]

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one fault, or all; return how many."""
        with self._lock:
            before = len(self._faults)
            self._faults = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]
            return before - len(self._faults)

    def pick(self, call: Call) -> Fault | None:
        """Return the fault that strikes this call, if any, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(call) and self._dice.random() < fault.probability:
                    fault.fired += 1
                    return fault
        return None


def error_for(kind: str, call: Call) -> ServiceError:
    """Return the error of a fault, with the code that this service uses for it."""
    in_xml = call.protocol in ("query", "rest-xml", "ec2")
    if kind == "throttling":
        code, status, message = _THROTTLING.get(call.service) or _throttling_code(call, in_xml)
        return ServiceError(code, message, status=status)
    if kind == "expired-token":
        code = "RequestExpired" if call.protocol == "ec2" else "ExpiredToken" if in_xml else "ExpiredTokenException"
        status = 400 if call.service == "s3" or not in_xml else 403
        return ServiceError(code, "The security token included in the request is expired", status=status)
    code = "UnauthorizedOperation" if call.protocol == "ec2" else "AccessDenied" if in_xml else "AccessDeniedException"
    message = (
        f"User: {_CALLER} is not authorized to perform: {call.name} on resource: * "
        f"because no identity-based policy allows the {call.name} action"
    )
    return ServiceError(code, message, status=400 if call.protocol == "json" else 403)


def _throttling_code(call: Call, in_xml: bool) -> tuple[str, int, str]:
    modelled = {shape.name for shape in model_of(call.service).error_shapes}
    if "TooManyRequestsException" in modelled and "ThrottlingException" not in modelled:
        return "TooManyRequestsException", 429, "Rate exceeded"
    status = 429 if call.protocol == "rest-json" else 400
    return ("Throttling" if in_xml else "ThrottlingException"), status, "Rate exceeded"


def _name(asked: Mapping[str, Any], field: str) -> str:
    value = asked.get(field, "*")
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} must be a name or '*', not {value!r}")
    return value


def _number(asked: Mapping[str, Any], field: str, default: float, top: float) -> float:
    value = asked.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
        raise ValueError(f"{field} must be a number from 0 to {top}, not {value!r}")
    return value
