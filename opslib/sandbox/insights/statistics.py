"""`stats`: rows to one line a group."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

from opslib.sandbox.insights.aggregate import Aggregate
from opslib.sandbox.insights.aggregates import AGGREGATES, REFUSED
from opslib.sandbox.insights.commands import Stats
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.expressions import Expressions
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.syntax import Call, Column, Field, Literal, Node, Star
from opslib.sandbox.insights.values import Stamp, group_key

PRIVATE = "\n"  # opens names that no query can write, in backticks or out of them
Reader = Callable[[Row], Any]
Maker = Callable[[], Aggregate]


class Statistics:
    """One `stats`, compiled; afterwards only its outputs are in scope."""

    def __init__(self, compiler: Expressions, command: Stats) -> None:
        self._compiler = compiler
        self._makers: list[Maker] = []
        self._groups = [(column.name, self._group(column)) for column in command.groups]
        rewritten = [(column, self._rewritten(column.expression)) for column in command.columns]
        self.names = [column.name for column in (*command.groups, *command.columns)]
        if len(set(self.names)) < len(self.names):
            raise Malformed("two columns of one stats have the same name", command.start, command.end)
        for column in (*command.groups, *command.columns):
            if column.named:
                compiler.scope.define(column.name, column)
        self._columns = self._compiled(rewritten)
        compiler.scope.close(self.names)

    def _group(self, column: Column) -> Reader:
        for call in _calls(column.expression):
            if call.name in AGGREGATES:
                raise Malformed("an aggregate cannot stand after `by`", call.start, call.end)
        return self._compiler.value(column.expression)

    def _rewritten(self, node: Node) -> Node:
        """Replace every aggregate call by a private field that will hold its result."""
        if isinstance(node, Call) and node.name in REFUSED:
            raise Malformed(f"{node.name} is not modelled: {REFUSED[node.name]}", node.start, node.end)
        if isinstance(node, Call) and node.name in AGGREGATES:
            self._makers.append(self._maker(node))
            return Field((f"{PRIVATE}{len(self._makers) - 1}",), start=node.start, end=node.end)
        changed: dict[str, Any] = {}
        for field in fields(node):
            held = getattr(node, field.name)
            if isinstance(held, Node):
                changed[field.name] = self._rewritten(held)
            elif isinstance(held, tuple) and held and isinstance(held[0], Node):
                changed[field.name] = tuple(map(self._rewritten, held))
        return replace(node, **changed) if changed else node

    def _maker(self, call: Call) -> Maker:
        made, parameter = AGGREGATES[call.name]
        if call.name == "count" and (not call.arguments or isinstance(call.arguments[0], Star)):
            return lambda: made(_one)
        wanted = 2 if call.name == "pct" else 1
        if len(call.arguments) != wanted:
            raise Malformed(f"{call.name} takes {wanted} arguments", call.start, call.end)
        if call.name == "pct":
            parameter = _percentage(call.arguments[1])
        if call.name in {"earliest", "latest"}:
            self._compiler.value(Field(("@timestamp",), start=call.start, end=call.end))
        if self._compiler.scope.sides and call.name in {"earliest", "latest"}:
            raise Malformed(f"{call.name} after a join is not documented", call.start, call.end)
        take = self._compiler.counted(call.arguments[0])
        return lambda: made(take, parameter)

    def _compiled(self, rewritten: list[tuple[Column, Node]]) -> list[tuple[str, Reader]]:
        """Columns see the results and the columns before them, nothing else."""
        scope = self._compiler.scope
        scope.close([f"{PRIVATE}{number}" for number in range(len(self._makers))])
        found = []
        for column, node in rewritten:
            found.append((column.name, self._compiler.value(node)))
            scope.defined.add(column.name)
        return found

    def lines(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Return a line a group, in an order that means nothing."""
        groups: dict[Any, tuple[list[Any], list[Aggregate]]] = {}
        readers = [read for _, read in self._groups]
        for row in rows:
            values = [read(row) for read in readers]
            key = tuple([_key(value) for value in values])
            group = groups.get(key)
            if group is None:
                group = groups[key] = (values, [make() for make in self._makers])
            for aggregate in group[1]:
                aggregate.add(row)
        shuffled = sorted(groups.items(), key=lambda item: zlib.crc32(repr(item[0]).encode()))
        return (self._line(*group) for _, group in shuffled)

    def _line(self, values: list[Any], aggregates: list[Aggregate]) -> Row:
        given = {name: value for (name, _), value in zip(self._groups, values, strict=True)}
        line = Row(None, given=given)
        for number, aggregate in enumerate(aggregates):
            given[f"{PRIVATE}{number}"] = aggregate.result()
        for name, read in self._columns:
            given[name] = read(line)
        return line


def _one(row: Row) -> int:
    return 1


def _key(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is Stamp:
        return value
    if value is None:
        raise Failed("rows without the field after `by` are not documented: guard with ispresent()")
    if isinstance(value, dict | list):
        raise Failed("lists and maps cannot stand after `by`")
    return group_key(value)


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
    for field in fields(node):
        held = getattr(node, field.name)
        for inner in held if isinstance(held, tuple) else (held,):
            if isinstance(inner, Node):
                yield from _calls(inner)


def _percentage(node: Node) -> float:
    if not isinstance(node, Literal) or isinstance(node.value, str | bool) or not 0 <= (node.value or 0) <= 100:
        raise Malformed("a percentile is a number from 0 to 100", node.start, node.end)
    return float(node.value or 0)
