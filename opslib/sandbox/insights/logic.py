"""True, false, and the two kinds of unknown that missing fields make."""

import re
from collections.abc import Callable
from enum import Enum
from typing import Any

from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import Stamp, brief, equal, less, number, written


class Maybe(Enum):
    """A test on a missing field: null to one reading, and to the other what the member says."""

    NO = 0
    YES = 1


Verdict = bool | Maybe
Test = Callable[[Row], Verdict]
Reader = Callable[[Row], Any]
_OPPOSITE: dict[Verdict, Verdict] = {True: False, False: True, Maybe.NO: Maybe.YES, Maybe.YES: Maybe.NO}


def decided(verdict: Verdict) -> bool:
    """Return whether a row passes; fails where the two readings of a missing field differ."""
    if verdict is Maybe.YES:
        raise Failed("what a negated test says of a missing field is not documented: guard with ispresent()")
    return verdict is True


def both(left: Test, right: Test) -> Test:
    """Return `and`."""

    def test(row: Row) -> Verdict:
        first = left(row)
        if first is False:
            return False
        second = right(row)
        if first is True or second is False:
            return second
        return first if second is True else _both_maybe(first, second)

    return test


def _both_maybe(first: Verdict, second: Verdict) -> Verdict:
    return Maybe.YES if first is second is Maybe.YES else Maybe.NO


def either(left: Test, right: Test) -> Test:
    """Return `or`."""
    neither = both(negation(left), negation(right))
    return negation(neither)


def negation(test: Test) -> Test:
    """Return `not`."""
    return lambda row: _OPPOSITE[test(row)]


def comparison(sign: str, left: Reader, right: Reader) -> Test:
    """Return a comparison of two values."""
    compare = {
        "=": equal,
        "!=": equal,
        "<": less,
        ">": lambda one, other: less(other, one),
        "<=": lambda one, other: not less(other, one),
        ">=": lambda one, other: not less(one, other),
    }[sign]
    negated = sign == "!="

    def test(row: Row) -> Verdict:
        first, second = left(row), right(row)
        if first is None or second is None:
            return Maybe.YES if negated else Maybe.NO
        if isinstance(first, dict | list) or isinstance(second, dict | list):
            return False
        return bool(compare(first, second)) is not negated

    return test


def equals_text(left: Reader, text: str, *, negated: bool) -> Test:
    """Return a comparison with a literal that is no number: the commonest filter."""
    same = not negated

    def test(row: Row) -> Verdict:
        value = left(row)
        if type(value) is str:
            return (value == text) is same
        if value is None:
            return Maybe.YES if negated else Maybe.NO
        return False if isinstance(value, dict | list) else equal(value, text) is same

    return test


def like(subject: Reader, pattern: str | re.Pattern[str], *, negated: bool) -> Test:
    """Return the search of a value for a text or a pattern."""
    wanted = not negated

    def test(row: Row) -> Verdict:
        value = subject(row)
        if value is None:
            return Maybe.YES if negated else Maybe.NO
        if isinstance(value, dict | list):
            return False
        if isinstance(value, Stamp):
            raise Failed("searching the text of a time is not documented: compare toMillis() of it")
        text = value if type(value) is str else written(value)
        found = pattern in text if isinstance(pattern, str) else pattern.search(text) is not None
        return found is wanted

    return test


class Listing:
    """The values of a list or a subquery, for `in`."""

    def __init__(self, values: list[Any]) -> None:
        self._flags = {value for value in values if isinstance(value, bool)}
        others = [value for value in values if not isinstance(value, bool)]
        self._texts = {written(value) for value in others}
        self._numbers = {found for value in others if (found := number(value)) is not None}

    def holds(self, value: Any) -> bool:
        """Tell whether a present value equals one of the values; fails where equal is not documented."""
        if isinstance(value, dict | list):
            return False
        if isinstance(value, bool) or self._flags:
            return any(equal(value, other) for other in (*self._flags, *self._texts))
        if isinstance(value, Stamp):
            raise Failed("comparing a time is not documented: compare toMillis() of it")
        if (value if type(value) is str else written(value)) in self._texts:
            return True
        if self._numbers and number(value) in self._numbers:
            raise Failed(f"whether {brief(value)} is in the list is not documented: same number, other text")
        return False


def within(subject: Reader, listing: Callable[[], Listing], *, negated: bool) -> Test:
    """Return the lookup of a value in a list that is made when the first row asks."""
    wanted = not negated

    def test(row: Row) -> Verdict:
        value = subject(row)
        if value is None:
            return Maybe.YES if negated else Maybe.NO
        if isinstance(value, dict | list):
            return False
        return listing().holds(value) is wanted

    return test
