"""What all of the delivery needs: the agenda, metrics, who may do what, and faults that strike between services."""

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from opslib.sandbox.agenda import Agenda
from opslib.sandbox.faults import Faults
from opslib.sandbox.metrics_store import Point
from opslib.sandbox.protocol import Call
from opslib.sandbox.services import Services
from opslib.sandbox.state_files import ACCOUNT


def ministack(name: str) -> Any:
    """Return a module of a service, such as `sns`; the gateway has prepared its environment by then."""
    return importlib.import_module(f"ministack.services.{name}")


@dataclass(frozen=True)
class Refusal:
    """Why something was not taken; what is not final is tried again."""

    code: str
    message: str
    final: bool = True


@dataclass(frozen=True)
class Sender:
    """An AWS service that does something for a resource; `owned`: it says for whose, which some do not."""

    service: str  # such as sns.amazonaws.com
    source: str  # ARN
    owned: bool = True

    def allowed(self, policy: str | Mapping[str, Any] | None, action: str, resource: str) -> bool:
        """Say whether the policy of a resource lets this service do something to it."""
        iam: Any = importlib.import_module("ministack.core.iam_evaluator")
        said = {"aws:sourcearn": self.source, "aws:sourceaccount": ACCOUNT, "aws:sourceowner": ACCOUNT}
        asked = iam.EvalContext(
            principal_arn="*", principal_type="Service", principal_account="", action=action, resource_arn=resource,
            region=region_of(resource), service_context=said if self.owned else {},
        )  # fmt: skip
        return bool(policy and iam.evaluate_resource_policy(policy, asked, service=self.service).decision == "Allow")


class Ground:
    """The one object that the parts of the delivery share."""

    def __init__(self, agenda: Agenda, services: Services, faults: Faults) -> None:
        self.agenda, self.services, self._faults = agenda, services, faults

    def now(self) -> float:
        """Return the sandbox's instant in epoch seconds."""
        return self.services.home.state.clock.now().timestamp()

    def scope(self, region: str) -> AbstractContextManager[None]:
        """Let ministack's stores be those of a region within the block."""
        scope: Callable[[str, str], AbstractContextManager[None]] = importlib.import_module(
            "ministack.core.responses"
        ).request_scope
        return scope(ACCOUNT, region)

    def count(self, arn: str, namespace: str, dimension: Mapping[str, str], **values: float) -> None:
        """Put metrics of AWS's own, each with one value now, into the region of a resource."""
        for name, value in values.items():
            self.measure(region_of(arn), namespace, name, dimension, value)

    def measure(
        self, region: str, namespace: str, name: str, dimensions: Mapping[str, str], value: float,
        unit: str = "Count", at: float | None = None,
    ) -> None:  # fmt: skip
        """Put one value of one metric."""
        key = (namespace, name, tuple(sorted(dimensions.items())))
        point = Point(int(self.now() if at is None else at), 1.0, value, value, value)
        self.services.region(region).metrics.put(key, unit, [point])

    def struck(self, service: str, operation: str, region: str) -> Refusal | None:
        """Return what a fault makes of a call that one service makes to another."""
        fault = self._faults.pick(Call(service, operation, "json", region))
        if fault is None or fault.kind == "latency":
            return None
        final = fault.kind in ("access-denied", "expired-token")
        return Refusal(
            "AccessDenied" if final else "ServiceUnavailable", f"a fault of the sandbox: {fault.kind}", final
        )


def region_of(arn: str) -> str:
    """Return the region that an ARN names."""
    return arn.split(":")[3]


def name_of(arn: str) -> str:
    """Return the last part of an ARN."""
    return arn.rpartition(":")[2]
