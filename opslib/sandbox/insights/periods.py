"""Lengths of time such as 5m, with AWS's caps."""

import re

from opslib.sandbox.insights.lexer import Token
from opslib.sandbox.insights.refusals import Malformed

# names, milliseconds of one, the cap of the number; a number must divide the cap so that bins align
_UNITS: tuple[tuple[tuple[str, ...], int, int], ...] = (
    (("ms", "msec", "millisecond"), 1, 1000),
    (("s", "sec", "second"), 1000, 60),
    (("m", "min", "minute"), 60_000, 60),
    (("h", "hr", "hour"), 3_600_000, 24),
    (("d", "day"), 86_400_000, 1),
)
_LONG = ("w", "week", "mo", "mon", "month", "q", "qtr", "quarter", "y", "yr", "year")


def milliseconds(token: Token) -> int:
    """Return the length of a period; raises Malformed where AWS does not document how bins of it align."""
    digits = re.match(r"\d+", token.text)
    count, unit = int(digits[0]) if digits else 0, token.text[len(digits[0]) if digits else 0 :].lower()
    singular = unit[:-1] if len(unit) > 2 and unit.endswith("s") and unit != "ms" else unit
    for names, width, cap in _UNITS:
        if singular in names:
            return _aligned(token, count if width >= 86_400_000 else min(count, cap), cap) * width
    if singular in _LONG:
        raise Malformed(f"how bins of {token.text} align is not documented", token.start, token.end)
    raise Malformed(f"{token.text!r} is neither a number nor a period", token.start, token.end)


def _aligned(token: Token, count: int, cap: int) -> int:
    if count == 0 or cap % count:
        raise Malformed(f"how bins of {token.text} align is not documented", token.start, token.end)
    return count
