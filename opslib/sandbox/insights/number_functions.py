"""Functions of numbers."""

import math
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from opslib.sandbox.insights.function import Function
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import brief, needed, number, plain, written

EARTH_KM = 6371.0


def _round(value: Any, places: Any = 0) -> float | int:
    exact, step = Decimal(str(needed(value))), Decimal(1).scaleb(-int(needed(places)))
    rounded = exact.quantize(step, ROUND_HALF_EVEN)
    if abs(exact - rounded) * 2 == step:
        raise Failed(f"which way round takes the half of {brief(value)} is not documented")
    return plain(float(rounded))


def _whole(bits: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        found = _converted(value)
        if not isinstance(found, int) or not -(2 ** (bits - 1)) <= found < 2 ** (bits - 1):
            raise Failed(f"making a whole number of {bits} bits of {brief(value)} is not documented")
        return found

    return convert


def _converted(value: Any) -> float | int:
    found = number(value)
    if found is None:
        raise Failed(f"converting {brief(value)} into a number is not documented")
    return found


def _of_floats(compute: Callable[..., float]) -> Callable[..., float | int]:
    def call(*values: Any) -> float | int:
        try:
            return plain(compute(*(needed(value) for value in values)))
        except (ValueError, OverflowError):
            raise Failed(f"{compute.__name__} of {', '.join(map(brief, values))} is not documented") from None

    return call


def _haversine(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    first, second = math.radians(latitude), math.radians(other_latitude)
    across = math.radians(other_longitude - longitude)
    chord = math.sin((second - first) / 2) ** 2 + math.cos(first) * math.cos(second) * math.sin(across / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(chord))


def _extreme(choose: Callable[[list[float | int]], float | int]) -> Callable[..., float | int]:
    def call(*values: Any) -> float | int:
        return choose([needed(value) for value in values])

    return call


def _of_hex(text: Any) -> int:
    try:
        return int(written(text), 16)
    except ValueError:
        raise Failed(f"hexToDec of {brief(text)} is not documented") from None


FUNCTIONS: dict[str, Function] = {
    "abs": Function(1, 1, lambda value: abs(needed(value))),
    "ceil": Function(1, 1, lambda value: math.ceil(needed(value))),
    "floor": Function(1, 1, lambda value: math.floor(needed(value))),
    "sqrt": Function(1, 1, _of_floats(math.sqrt)),
    "log": Function(1, 1, _of_floats(math.log)),
    "round": Function(1, 2, _round),
    "greatest": Function(1, 100, _extreme(max), nulls=True),
    "least": Function(1, 100, _extreme(min), nulls=True),
    "haversine": Function(4, 4, _of_floats(_haversine)),
    "tonumber": Function(1, 1, _converted),
    "todouble": Function(1, 1, _converted),
    "toint": Function(1, 1, _whole(32)),
    "tolong": Function(1, 1, _whole(64)),
    "isnumeric": Function(1, 1, lambda value: int(number(value) is not None), predicate=True),
    "hextodec": Function(1, 1, _of_hex),
    "dectohex": Function(1, 1, lambda value: hex(math.trunc(needed(value)))),
}
