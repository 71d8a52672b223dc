"""Page tokens: opaque to clients, checked when they come back."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

from opslib.sandbox.service_errors import ServiceError, invalid

Item = TypeVar("Item")


def token(kind: str, state: Any) -> str:
    """Return a token that only `state_of` the same kind reads."""
    return base64.urlsafe_b64encode(orjson.dumps([kind, state])).decode().rstrip("=")


def state_of(kind: str, given: str, refusal: ServiceError | None = None) -> Any:
    """Return what a token holds, or refuse it as AWS does."""
    try:
        found, state = orjson.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
        if found == kind:
            return state
    except (binascii.Error, ValueError, TypeError):
        pass  # refused below, like a token of another kind
    raise refusal or invalid("The specified nextToken is invalid.")


def page(kind: str, items: Sequence[Item], given: str | None, limit: int) -> tuple[list[Item], str | None]:
    """Return one page of a list that is computed whole for every call, and the token of the next."""
    start = state_of(kind, given) if given else 0
    end = start + limit
    return list(items[start:end]), token(kind, end) if end < len(items) else None
