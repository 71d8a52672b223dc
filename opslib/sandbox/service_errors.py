"""AWS errors as the sandbox raises them, and the one that says it does not know."""

from typing import Any

from moto.core.exceptions import ServiceException


class ServiceError(ServiceException):
    """An error that AWS itself would answer.

    A class of our own on purpose: moto looks for a service model named after the module of a bare `ServiceException`.
    Members of the modelled error shape, such as `queryCompileError`, are keyword arguments.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None, **members: Any) -> None:
        super().__init__(code, message)
        self.status = status
        for name, value in members.items():
            setattr(self, name, value)


class NotModelled(ServiceError):
    """Nobody models this; answered as 501, which no SDK retries."""

    def __init__(self, service: str, operation: str, detail: str = "") -> None:
        why = detail or "the sandbox does not model this operation"
        super().__init__("SandboxNotModelled", f"{service}:{operation} {why}", status=501)


def invalid(message: str) -> ServiceError:
    """Return CloudWatch Logs' error for a parameter it refuses."""
    return ServiceError("InvalidParameterException", message)
