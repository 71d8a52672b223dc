"""Predicates in more than two values: a missing field makes some answers undocumented, and those fail.

True and False are known. ABSENT is false because a field is missing: its negation is not documented, hence None.
"""

import re
from collections.abc import Callable
from typing import Any

from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import Row, less, same, written

Test = Callable[[Row], bool]


class _Absent:
    def __bool__(self) -> bool:
        return False


ABSENT = _Absent()


def truth(predicate: Callable[[Row], Any]) -> Test:
    """Return the test of a filter; what is not documented fails with a hint."""

    def test(row: Row) -> bool:
        value = predicate(row)
        if value is None:
            raise Failed("the answer for events without the field is not documented: guard with ispresent()")
        return bool(value)

    return test


def negated(value: Any) -> Any:
    """Return the opposite; of ABSENT nobody knows."""
    return None if value is None or value is ABSENT else not value


def compare(sign: str, left: Any, right: Any) -> Callable[[Row], Any]:
    """Return a comparison; a missing side makes all but != false."""

    def test(row: Row) -> Any:
        first, second = left(row), right(row)
        if first is None or second is None:
            return None if sign == "!=" else ABSENT
        if isinstance(first, dict | list) or isinstance(second, dict | list):
            return False  # documented: any comparison with a map or list is false
        if sign in {"=", "=="}:
            return same(first, second)
        if sign == "!=":
            return not same(first, second)
        if sign in {"<", ">="}:
            return less(first, second) is (sign == "<")
        return less(second, first) is (sign == ">")

    return test


def contains(left: Any, text: str, opposite: bool) -> Callable[[Row], Any]:
    """Return `like "text"`: a substring, case-sensitive."""

    def test(row: Row) -> Any:
        value = left(row)
        if value is None:
            return None if opposite else ABSENT
        return (text in written(value)) is not opposite

    return test


def matching(left: Any, pattern: re.Pattern[str], opposite: bool) -> Callable[[Row], Any]:
    """Return `like /regex/`: an unanchored search."""

    def test(row: Row) -> Any:
        value = left(row)
        if value is None:
            return None if opposite else ABSENT
        return (pattern.search(written(value)) is not None) is not opposite

    return test


def member(left: Any, values: list[Any], opposite: bool) -> Callable[[Row], Any]:
    """Return `in [..]`: whole values."""

    def test(row: Row) -> Any:
        value = left(row)
        if value is None:
            return None if opposite else ABSENT
        return any(same(value, one) for one in values) is not opposite

    return test
