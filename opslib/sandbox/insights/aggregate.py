"""What every aggregate is: fed a row at a time, asked once."""

from collections.abc import Callable
from typing import Any

from opslib.sandbox.insights.events import Row

Reader = Callable[[Row], Any]


class Aggregate:
    """What one aggregate call makes of the rows of one group."""

    __slots__ = ("parameter", "take")

    def __init__(self, take: Reader, parameter: float = 0.0) -> None:
        self.take, self.parameter = take, parameter

    def add(self, row: Row) -> None:
        """Take a row in; rows without a value do not count."""
        value = self.take(row)
        if value is not None:
            self.accept(value, row)

    def accept(self, value: Any, row: Row) -> None:
        """Take a present value in."""
        raise NotImplementedError

    def result(self) -> Any:
        """Return what came of it, None for nothing."""
        raise NotImplementedError
