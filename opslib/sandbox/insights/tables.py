"""Lookup tables."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Lines of text under column names, as a CSV file has them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def by(self, keys: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
        """Return the places of the rows that have each combination of some columns."""
        places = [self.columns.index(key) for key in keys]
        found: dict[tuple[str, ...], list[int]] = {}
        for number, row in enumerate(self.rows):
            found.setdefault(tuple(row[place] for place in places), []).append(number)
        return found
