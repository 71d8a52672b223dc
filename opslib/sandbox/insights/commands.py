"""What the parser makes of a query: commands."""

import re
from dataclasses import dataclass

from opslib.sandbox.insights.syntax import Column, Command, Field, Node, Subquery


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
