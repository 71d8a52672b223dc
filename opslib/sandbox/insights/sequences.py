"""Commands that look at the rows before, and sums across a row."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.stages import Stage
from opslib.sandbox.insights.values import needed, number, plain

Reader = Callable[[Row], Any]


def totalling(readers: list[Reader], name: str, *, numbers_only: bool) -> Stage:
    """Return `addtotals`: the sum of some fields of a row."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            values = [read(row) for read in readers]
            kept = [value for value in values if number(value) is not None] if numbers_only else values
            row.give(name, plain(sum(needed(value) for value in kept)))
            yield row

    return stage


def accumulating(read: Reader, name: str) -> Stage:
    """Return `accum`: the sum of a field over the rows so far."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        total: float | int = 0
        for row in rows:
            total = plain(total + needed(read(row)))
            row.give(name, total)
            yield row

    return stage


def looking_back(read: Reader, name: str, first: int, last: int) -> Stage:
    """Return `autoregress`: the values of a field some rows ago."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        before: deque[Any] = deque(maxlen=last)
        for row in rows:
            for back in range(first, last + 1):
                row.give(f"{name}_p{back}", before[-back] if len(before) >= back else None)
            before.append(read(row))
            yield row

    return stage


def filling_down(read: Reader, name: str) -> Stage:
    """Return `filldown`: where a field is missing, its last value before."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        last: Any = None
        for row in rows:
            value = read(row)
            last = last if value is None else value
            row.give(name, last)
            yield row

    return stage
