"""Values of fields: what is a number, how two are compared, how one is written and sorted."""

import math
import re
from datetime import UTC, datetime
from typing import Any

from opslib.sandbox.insights.refusals import Failed

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_CHUNK = re.compile(r"[0-9]+|[^0-9]+")
_EXACT = 2**53  # whole numbers below it survive as floats


class Stamp(int):
    """A time in epoch milliseconds."""

    __slots__ = ()


class Edge(Stamp):
    """The smallest or greatest time of a group: whether AWS shows it as text or as milliseconds is not documented."""

    __slots__ = ()


def number(value: Any) -> float | int | None:
    """Return a value as a number; None when it is neither a number nor the plain decimal text of one."""
    kind = type(value)
    if kind is int or kind is float:
        return value  # type: ignore[no-any-return]
    if kind is not str or not _NUMBER.fullmatch(value):
        return None
    return _of_text(value)


def _of_text(text: str) -> float | int | None:
    if text.lstrip("-").isdigit():
        return int(text)
    found = float(text)
    return plain(found) if math.isfinite(found) else None


def needed(value: Any) -> float | int:
    """Return a value as a number, or fail."""
    found = number(value)
    if found is not None:
        return found
    if isinstance(value, Stamp):
        raise Failed("arithmetic with a time is not documented: use toMillis()")
    if isinstance(value, bool):
        raise Failed("whether true counts as 1 is not documented")
    raise Failed(
        "arithmetic with a missing value is not documented" if value is None else f"{brief(value)} is no number"
    )


def plain(value: float | int) -> float | int:
    """Return a computed number: whole ones without a fraction; overflow and NaN fail."""
    if abs(value) >= 2**63 or not math.isfinite(value):
        raise Failed("overflow is not documented")
    return int(value) if type(value) is float and value.is_integer() and abs(value) < _EXACT else value


def brief(value: Any) -> str:
    """Return a value short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def written(value: Any) -> str:
    """Return the text of a value; fails where AWS's rendering is not documented."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is float:
        return str(value)
    if kind is Stamp:
        moment = datetime.fromtimestamp(int(value) // 1000, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{int(value) % 1000:03d}"
    if kind is Edge:
        raise Failed("how min and max of @timestamp are written is not documented: use toMillis() or fromMillis()")
    if kind is bool:
        raise Failed("how true and false of JSON are written is not documented")
    raise Failed("how lists and maps are written is not documented: use jsonStringify()")


def group_key(value: Any) -> Any:
    """Return what tells groups and duplicates apart: 1 and "1" are the same."""
    return value if isinstance(value, Stamp) else written(value)


def equal(left: Any, right: Any) -> bool:
    """Tell whether two present values are equal; fails where text and number disagree about it."""
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return False
    _refuse_stamps(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        if type(left) is type(right):
            return bool(left == right)
        raise Failed(f"whether {brief(left)} equals {brief(right)} is not documented")
    if written(left) == written(right):
        return True
    first, second = number(left), number(right)
    if first is not None and first == second:
        raise Failed(f"whether {brief(left)} equals {brief(right)} is not documented: same number, other text")
    return False


def less(left: Any, right: Any) -> bool:
    """Tell whether a present number is below another; text has no documented order here."""
    _refuse_stamps(left, right)
    first, second = number(left), number(right)
    if first is None or second is None or (type(left) is str and type(right) is str):
        raise Failed(f"comparing {brief(left)} with {brief(right)} by order is not documented")
    return first < second


def _refuse_stamps(left: Any, right: Any) -> None:
    if isinstance(left, Stamp) or isinstance(right, Stamp):
        raise Failed("comparing a time is not documented: compare toMillis() of it")


def sort_key(value: Any) -> tuple[Any, ...]:
    """Return the key of the natural order: what is no number first, then numbers by value."""
    if isinstance(value, Stamp):
        return (1, int(value))
    found = number(value)
    return (1, found) if found is not None else (0, tuple(map(_chunk_key, _CHUNK.findall(written(value)))))


def _chunk_key(chunk: str) -> tuple[str, int, str]:
    """Digits by length then value; against other text, a chunk is placed by its first character."""
    digits = "0" <= chunk[0] <= "9"
    return ("0" if digits else chunk[0], len(chunk) if digits else 0, chunk)
