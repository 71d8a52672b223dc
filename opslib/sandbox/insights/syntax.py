"""What the parser makes of a query: expressions and commands, each with its place in the text."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Anything with a place; `bracketed` when it stood in parentheses."""

    start: int = 0
    end: int = 0
    bracketed: bool = False


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A string, number, true, false or null."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Period(Node):
    """A length of time such as 5m."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class Field(Node):
    """A field by its parts: `error.kind` has two."""

    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the name as results show it."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Star(Node):
    """The star of count(*)."""


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function; `name` in lower case."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Path(Node):
    """Keys into a map or list: jsonParse(d).s."""

    base: Node
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """Two numbers and one of + - * / % ^."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """A minus before a value."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two values and one of = != < <= > >=."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Like(Node):
    """A value searched for a text or a pattern."""

    subject: Node
    pattern: str | re.Pattern[str]
    negated: bool


@dataclass(frozen=True, slots=True)
class Within(Node):
    """A value looked up in a list or in the rows of a subquery."""

    subject: Node
    items: "tuple[Literal, ...] | Subquery"
    negated: bool


@dataclass(frozen=True, slots=True)
class Both(Node):
    """`and`."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Either(Node):
    """`or`."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`not` or `!`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Subquery(Node):
    """A query over groups of its own."""

    groups: tuple[str, ...]
    commands: tuple["Command", ...]


@dataclass(frozen=True, slots=True)
class Column(Node):
    """An expression and the name that it gets; `named` when the query gave it with `as`."""

    expression: Node
    name: str
    named: bool


class Command(Node):
    """One step between pipes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Fields(Command):
    """`fields`."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Display(Command):
    """`display`."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Filter(Command):
    """`filter` and `where`."""

    test: Node


@dataclass(frozen=True, slots=True)
class Stats(Command):
    """`stats`."""

    columns: tuple[Column, ...]
    groups: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Sort(Command):
    """`sort`: expressions, and whether each descends."""

    keys: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Limit(Command):
    """`limit`; `anything` for `limit any`."""

    count: int
    anything: bool


@dataclass(frozen=True, slots=True)
class Dedup(Command):
    """`dedup`."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Parse(Command):
    """`parse` by a glob or a regular expression: the names of its groups in order."""

    source: Field
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    multi: bool


@dataclass(frozen=True, slots=True)
class ParseLogfmt(Command):
    """`parse … logfmt as map`."""

    source: Field
    name: str


@dataclass(frozen=True, slots=True)
class ParseCsv(Command):
    """`parse … csv as a, b`."""

    source: Field
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Json(Command):
    """`json field=source "path" as name`."""

    source: Field
    keys: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Unnest(Command):
    """`unnest list into name`."""

    source: Node
    name: str


@dataclass(frozen=True, slots=True)
class Expand(Command):
    """`expand field`."""

    field: Field


@dataclass(frozen=True, slots=True)
class Lookup(Command):
    """`lookup`: (column, field) pairs to find a line by, (column, name) pairs to take from it."""

    table: str
    keys: tuple[tuple[str, Field], ...]
    outputs: tuple[tuple[str, str], ...]
    overwrites: bool


@dataclass(frozen=True, slots=True)
class Join(Command):
    """`join`: pairs of fields, left and right, that are equal."""

    outer: bool
    left: str
    right: str
    pairs: tuple[tuple[Field, Field], ...]
    query: Subquery


@dataclass(frozen=True, slots=True)
class AddTotals(Command):
    """`addtotals`: no fields means every number of a stats."""

    fields: tuple[Field, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Accum(Command):
    """`accum`: a running sum."""

    field: Field
    name: str


@dataclass(frozen=True, slots=True)
class Autoregress(Command):
    """`autoregress`: the values `first` to `last` rows ago."""

    field: Field
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FillDown(Command):
    """`filldown`: names, each perhaps with a star at its end."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection(Command):
    """`SOURCE logGroups(…)`: which groups a query reads; an empty part does not restrict."""

    prefixes: tuple[str, ...]
    accounts: tuple[str, ...]
    classes: tuple[str, ...]
