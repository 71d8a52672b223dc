"""Aggregates by name, and those that count and compute."""

import math
from typing import Any

from opslib.sandbox.insights.aggregate import Aggregate, Reader
from opslib.sandbox.insights.choices import Extreme, Moment, Sorted, Values
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import group_key, needed, plain


class Count(Aggregate):
    """count(f); count(*) takes 1 of every row."""

    __slots__ = ("count",)

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.count = 0

    def add(self, row: Row) -> None:
        """Count a row that has the value."""
        if self.take(row) is not None:
            self.count += 1

    def result(self) -> int:
        """Return the count."""
        return self.count


class CountDistinct(Aggregate):
    """count_distinct(f), exact at any size."""

    __slots__ = ("seen",)

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.seen: set[Any] = set()

    def accept(self, value: Any, row: Row) -> None:
        """Note a value."""
        self.seen.add(group_key(value))

    def result(self) -> int:
        """Return how many values there were."""
        return len(self.seen)


class Total(Aggregate):
    """sum(f)."""

    __slots__ = ("count", "total")

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take)
        self.total: float | int = 0
        self.count = 0

    def accept(self, value: Any, row: Row) -> None:
        """Add a number."""
        self.total += value if type(value) is int else needed(value)
        self.count += 1

    def result(self) -> float | int:
        """Return the sum; that of nothing is not documented."""
        if not self.count:
            raise Failed("sum over rows that all lack the field is not documented: guard with ispresent()")
        return plain(self.total)


class Average(Total):
    """avg(f)."""

    __slots__ = ()

    def result(self) -> Any:
        """Return the mean."""
        return plain(self.total / self.count) if self.count else None


class Spread(Aggregate):
    """variance(f), of the population."""

    __slots__ = ("values",)

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        super().__init__(take, parameter)
        self.values: list[float | int] = []

    def accept(self, value: Any, row: Row) -> None:
        """Keep a number."""
        self.values.append(needed(value))

    def result(self) -> Any:
        """Return the variance."""
        if not self.values:
            return None
        mean = sum(self.values) / len(self.values)
        return plain(math.fsum((value - mean) ** 2 for value in self.values) / len(self.values))


class Deviation(Spread):
    """stddev(f): of the population, as variance is documented; which one AWS takes here is not."""

    __slots__ = ()

    def result(self) -> Any:
        """Return the root of the variance."""
        variance = super().result()
        return None if variance is None else plain(math.sqrt(variance))


class Percentile(Spread):
    """pct(f, p): the nearest rank, always a value that was measured; AWS documents no interpolation."""

    __slots__ = ()

    def result(self) -> Any:
        """Return the least value that p % of the values do not exceed."""
        if not self.values:
            return None
        rank = math.ceil(self.parameter * len(self.values) / 100)
        return sorted(self.values)[max(rank, 1) - 1]


# name -> (class, parameter)
AGGREGATES: dict[str, tuple[type[Aggregate], float]] = {
    "count": (Count, 0),
    "countdistinct": (CountDistinct, 0),
    "count_distinct": (CountDistinct, 0),
    "sum": (Total, 0),
    "avg": (Average, 0),
    "min": (Extreme, -1),
    "max": (Extreme, 1),
    "pct": (Percentile, 0),
    "stddev": (Deviation, 0),
    "variance": (Spread, 0),
    "earliest": (Moment, -1),
    "latest": (Moment, 1),
    "sortsfirst": (Sorted, -1),
    "sortslast": (Sorted, 1),
    "values": (Values, 0),
    "collect_values": (Values, 0),
}
REFUSED = {
    "median": "write pct(f, 50)",
    "topk": "the columns it makes are not documented",
    "rate": "its window is not documented",
    "count_over_time": "its window is not documented",
    "sum_over_time": "its window is not documented",
    "histogram": "its buckets are not documented",
}
