"""What the parser makes of a query: expressions, each with its place in the text."""

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
