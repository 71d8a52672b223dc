"""Aggregates that choose among the values of a group."""

from typing import Any

from opslib.sandbox.insights.aggregate import Aggregate, Reader
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import Edge, Stamp, brief, equal, group_key, needed, number, sort_key


class Extreme(Aggregate):
    """min(f) and max(f)."""

    __slots__ = ("best", "sign")

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.sign, self.best = parameter, None

    def accept(self, value: Any, row: Row) -> None:
        """Keep the smaller, or the greater."""
        if self.best is None or type(value) is type(self.best) is int or isinstance(value, Stamp):
            self.best = value if self.best is None or (value - self.best) * self.sign > 0 else self.best
        elif number(value) is not None and number(self.best) is not None:
            self.best = value if (needed(value) - needed(self.best)) * self.sign > 0 else self.best
        elif not equal(value, self.best):
            raise Failed(f"min and max of text such as {brief(value)} are not documented: use sortsFirst, sortsLast")

    def result(self) -> Any:
        """Return the extreme."""
        return Edge(self.best) if isinstance(self.best, Stamp) else self.best


class Moment(Aggregate):
    """earliest(f) and latest(f): the value at the first or last time; ties fall by chance, always the same."""

    __slots__ = ("best", "place", "sign")

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.sign, self.best = parameter, None
        self.place: tuple[float, int] | None = None

    def accept(self, value: Any, row: Row) -> None:
        """Keep the value of the earlier or later event."""
        time = row.batch.timestamps[row.index] * self.sign  # type: ignore[union-attr]
        if self.place is None or time >= self.place[0]:
            place = (time, row.shuffle_key())
            if self.place is None or place > self.place:
                self.best, self.place = value, place

    def result(self) -> Any:
        """Return the value."""
        return self.best


class Sorted(Aggregate):
    """sortsFirst(f) and sortsLast(f), by the order of `sort`."""

    __slots__ = ("best", "key", "sign")

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.sign, self.best = parameter, None
        self.key: tuple[Any, ...] = ()

    def accept(self, value: Any, row: Row) -> None:
        """Keep the value that sorts first or last."""
        key = sort_key(value)
        if not self.key or (key > self.key if self.sign > 0 else key < self.key):
            self.best, self.key = value, key

    def result(self) -> Any:
        """Return the value."""
        return self.best


class Values(Aggregate):
    """values(f): a list; whether values repeat in it is not documented."""

    __slots__ = ("seen",)

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.seen: dict[Any, Any] = {}

    def accept(self, value: Any, row: Row) -> None:
        """Keep a value."""
        key = group_key(value)
        if key in self.seen:
            raise Failed("whether values() repeats equal values is not documented")
        self.seen[key] = value

    def result(self) -> Any:
        """Return the list."""
        return [self.seen[key] for key in sorted(self.seen, key=sort_key)]
