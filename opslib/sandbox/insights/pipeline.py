"""What the commands of a query build up: stages, names, order and columns."""

from collections.abc import Callable, Mapping
from typing import Any

from opslib.sandbox.insights import ordering, stages
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.expressions import Expressions, Setting
from opslib.sandbox.insights.needles import Clause
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.scope import Scope
from opslib.sandbox.insights.syntax import Column, Field, Node
from opslib.sandbox.insights.tables import LookupTable

Reader = Callable[[Row], Any]
Shown = list[tuple[str, Reader]]


class Pipeline:
    """The state that each command finds and changes while a query is compiled."""

    def __init__(self, text: str, setting: Setting, tables: Mapping[str, LookupTable]) -> None:
        self.text, self.setting, self.tables = text, setting, tables
        self.scope = Scope()
        self.counters = stages.Counters()
        self.notes: list[str] = []
        self.stages: list[stages.Stage] = []
        self.clauses: list[Clause] = []
        self.at_front = True  # so far no command could fail or define what a filter reads
        self.order = "arrival"  # then "given" by a command, or "none" after stats and join
        self.listed: dict[str, Field] = {}
        self.displayed: dict[str, Field] | None = None
        self.edges: set[str] = set()  # columns that hold a time by min or max

    @property
    def compiler(self) -> Expressions:
        """Return a compiler under the names that exist now."""
        return Expressions(self.text, self.scope, self.setting)

    def add(self, stage: stages.Stage) -> None:
        """Append a stage."""
        self.stages.append(stage)

    def count(self) -> None:
        """Count the rows that come this far as matched."""
        self.add(stages.counting(self.counters))

    def order_rows(self) -> None:
        """Bring rows into the default order where none was given yet."""
        if self.order == "arrival":
            self.add(ordering.newest_first)
            self.order = "given"

    def computed(self, columns: tuple[Column, ...]) -> dict[str, Field]:
        """Add what computes some columns, and return the field to read each from."""
        return {column.name: self._computed(column) for column in columns}

    def _computed(self, column: Column) -> Field:
        node = column.expression
        if isinstance(node, Field) and not column.named:
            self.scope.reader(node)
            self.scope.take(column.name)
            return node
        is_output = self.scope.closed and column.name in self.scope.defined and not column.named
        if not is_output:
            read = self.compiler.value(node)
            self.scope.define(column.name, column, again=not column.named)
            self.add(stages.computing(column.name, read))
        return Field((column.name,), start=column.start, end=column.end)

    def list_new(self, name: str, place: Node, *, again: bool = False) -> None:
        """Define a field that results show without being asked."""
        self.scope.define(name, place, again=again)
        self.listed[name] = Field((name,), start=place.start, end=place.end)

    def columns(self) -> Shown:
        """Return the columns of the result and what reads each."""
        chosen = self.listed if self.displayed is None else self.displayed
        if not chosen and self.scope.sides:
            raise Malformed("name the fields to show after a join")
        if not chosen:
            chosen = {name: Field((name,)) for name in ("@timestamp", "@message")}
        if found := sorted(self.edges & chosen.keys()):
            raise Malformed(f"how {found[0]}, a time by min or max, is written is not documented: use toMillis()")
        return [(name, self.scope.reader(field)) for name, field in chosen.items() if name != "@ptr"]
