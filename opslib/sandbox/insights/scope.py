"""Which names exist at a point of a query."""

from collections.abc import Callable
from typing import Any

from opslib.sandbox.insights import discovery
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.syntax import Field, Node

SYSTEM = frozenset({"@message", "@timestamp", "@ingestionTime", "@logStream", "@log", "@ptr"})
Reader = Callable[[Row], Any]


class Scope:
    """Names that commands defined, and whether the fields of the events are still there."""

    def __init__(self) -> None:
        self.defined: set[str] = set()
        self.closed = False  # after a stats only its outputs exist
        self.sides: dict[str, Scope] = {}  # after a join fields belong to one of two sides
        self._taken: set[str] = set()

    def take(self, name: str) -> None:
        """Note that a `fields` lists a name: it may not be given another meaning."""
        self._taken.add(name)

    def define(self, name: str, place: Node, *, again: bool = False) -> None:
        """Add a name; raises Malformed when it has a meaning already, unless `again`."""
        if name in SYSTEM:
            raise Malformed(f"{name} cannot be given another meaning", place.start, place.end)
        if name in self._taken and not again:
            raise Malformed(f"Unknown symbols found in or after: {name} is defined twice", place.start, place.end)
        self._taken.add(name)
        self.defined.add(name)

    def close(self, names: list[str]) -> None:
        """Leave only the outputs of a stats."""
        self.closed, self.sides = True, {}
        self.defined = set(names)

    def joined(self, left: str, right: str, other: "Scope") -> "Scope":
        """Return the scope after a join: only fields of its two sides."""
        scope = Scope()
        scope.sides, scope._taken = {left: self, right: other}, self._taken | other._taken
        return scope

    def reader(self, field: Field, *, whole: bool = False) -> Reader:
        """Return what reads a field of a row; raises Malformed when there is none of that name."""
        name = field.name
        if name in self.defined:
            return lambda row: row.given.get(name)
        for cut in range(len(field.parts) - 1, 0, -1):
            prefix, rest = ".".join(field.parts[:cut]), field.parts[cut:]
            if prefix in self.defined:
                return lambda row: discovery.inside(_structure(row.given.get(prefix), prefix), rest, name)
        if self.sides:
            return self._of_side(field, whole)
        if self.closed:
            raise Malformed(f"Unknown symbols found in or after stats: {name}", field.start, field.end)
        return discovery.reader(field, whole=whole)

    def _of_side(self, field: Field, whole: bool) -> Reader:
        side, rest = field.parts[0], field.parts[1:]
        if side not in self.sides or not rest:
            shown = " or ".join(f"{name}.{field.name}" for name in self.sides)
            raise Malformed(f"after a join fields have a side: {shown}", field.start, field.end)
        read = self.sides[side].reader(Field(rest, start=field.start, end=field.end), whole=whole)

        def of_side(row: Row) -> Any:
            member: Row | None = row.given[side]
            return None if member is None else read(member)

        return of_side


def _structure(value: Any, name: str) -> Any:
    if value is None or isinstance(value, dict | list):
        return value
    raise Failed(f"{name} is defined here as text or number: what lies under it is not documented")
