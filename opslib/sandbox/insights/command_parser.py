"""Commands between pipes."""

import re
from collections.abc import Callable

from opslib.sandbox.insights.commands import (
    Accum,
    AddTotals,
    Autoregress,
    Dedup,
    Display,
    Expand,
    Fields,
    FillDown,
    Filter,
    Json,
    Limit,
    Parse,
    ParseCsv,
    ParseLogfmt,
    Selection,
    Sort,
    Stats,
    Unnest,
)
from opslib.sandbox.insights.patterns import compiled, glob
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.source_parser import SourceParser
from opslib.sandbox.insights.syntax import Column, Command, Field, Node

MAX_ROWS = 100_000
_REFUSED = {
    "filterindex": "there are no field indexes here",
    "pattern": "its clusters cannot be reproduced",
    "anomaly": "its clusters cannot be reproduced",
    "diff": "its clusters cannot be reproduced",
    "logcompare": "its clusters cannot be reproduced",
    "relevantfields": "its choice cannot be reproduced",
    "estimate": "costs are not modelled",
    "unmask": "masked data is not modelled",
    "appendcols": "how its rows line up is not documented",
    "cidrlookup": "which column holds the ranges is not documented",
    "sessionize": "what its ids look like is not documented",
    "fillmissing": "which range it fills is not documented",
    "outlier": "its quartiles are not documented",
    "countfrequent": "its approximation cannot be reproduced",
    "search": "it is in AWS's grammar without a page",
    "order": "it is in AWS's grammar without a page",
    "head": "it is deprecated: write `limit`",
    "tail": "it is deprecated: write `sort` and `limit`",
    "stat": "the command is `stats`",
}


class CommandParser(SourceParser):
    """Reads a whole query."""

    def query(self) -> tuple[Selection | None, tuple[Command, ...]]:
        """Step over the whole text."""
        selection = self.selection() if self.next.word == "source" else None
        commands = self.pipeline() if selection is None or self.accept("|") else ()
        if self.next.kind != "end":
            raise self.unexpected("a pipe")
        return selection, commands

    def pipeline(self) -> tuple[Command, ...]:
        """Step over commands with pipes between them."""
        commands = [self._command()]
        while self.accept("|"):
            commands.append(self._command())
        return tuple(commands)

    def _command(self) -> Command:
        token = self.next
        if token.word in _REFUSED:
            raise self.refused(f"`{token.word}` is not modelled: {_REFUSED[token.word]}", token)
        readers: dict[str, Callable[[int], Command]] = {
            "fields": lambda start: Fields(self._columns(), start=start, end=self.ended),
            "display": lambda start: Display(self._columns(), start=start, end=self.ended),
            "filter": lambda start: Filter(self.expression(), start=start, end=self.ended),
            "where": lambda start: Filter(self.expression(), start=start, end=self.ended),
            "stats": self._stats,
            "sort": self._sort,
            "limit": self._limit,
            "dedup": lambda start: Dedup(self._fields(), start=start, end=self.ended),
            "parse": self._parse,
            "json": self._json,
            "unnest": self._unnest,
            "expand": lambda start: Expand(self.field(), start=start, end=self.ended),
            "lookup": self.lookup,
            "join": self.join,
            "addtotals": self._addtotals,
            "accum": self._accum,
            "autoregress": self._autoregress,
            "filldown": self._filldown,
        }
        if token.word not in readers:
            raise self.unexpected("a command")
        return readers[self.take().word](token.start)

    def _columns(self) -> tuple[Column, ...]:
        columns = [self._column()]
        while self.accept(","):
            columns.append(self._column())
        return tuple(columns)

    def _column(self) -> Column:
        node = self.expression()
        named = bool(self.accept_word("as"))
        spelled = node.name if isinstance(node, Field) else self.text[node.start : node.end]
        name = self.field().name if named else spelled
        if not named and not isinstance(node, Field):
            self.notes.append(f"the column {name!r} has no name of its own: write `as`")
        return Column(node, name, named, start=node.start, end=self.ended)

    def _fields(self) -> tuple[Field, ...]:
        found = [self.field()]
        while self.accept(","):
            found.append(self.field())
        return tuple(found)

    def _stats(self, start: int) -> Stats:
        columns = self._columns()
        groups = self._columns() if self.accept_word("by") else ()
        if self.next.word == "offset":
            raise self.refused("which way `offset` shifts bins is not documented", self.next)
        return Stats(columns, groups, start=start, end=self.ended)

    def _sort(self, start: int) -> Sort:
        self.accept_word("by")
        keys: list[tuple[Node, bool]] = []
        while not keys or self.accept(","):
            node = self.expression()
            if self.next.word == "as":
                raise self.refused("names in `sort` are not modelled", self.next)
            keys.append((node, self.accept_word("asc", "desc") == "desc"))
        return Sort(tuple(keys), start=start, end=self.ended)

    def _limit(self, start: int) -> Limit:
        anything = bool(self.accept_word("any"))
        count = self.whole_number()
        if not 1 <= count <= MAX_ROWS:
            raise Malformed(f"a limit is from 1 to {MAX_ROWS}", start, self.ended)
        return Limit(count, anything, start=start, end=self.ended)

    def _parse(self, start: int) -> Command:
        source = self.field() if self.next.kind == "name" else Field(("@message",), start=start, end=start)
        if self.accept_word("logfmt"):
            self.expect_word("as")
            return ParseLogfmt(source, self.field().name, start=start, end=self.ended)
        if self.accept_word("csv"):
            self.expect_word("as")
            return ParseCsv(source, self._new_names(), start=start, end=self.ended)
        if self.next.kind == "string":
            return self._parse_glob(source, start)
        return self._parse_regex(source, start)

    def _new_names(self) -> tuple[str, ...]:
        place, names = self.next, self.names()
        if len(set(names)) < len(names):
            raise self.refused("a name is given twice", place)
        return names

    def _parse_glob(self, source: Field, start: int) -> Parse:
        token = self.take()
        pattern = glob(token.value, Node(start=token.start, end=token.end))
        self.expect_word("as")
        names = self._new_names()
        if len(names) != pattern.groups:
            raise self.refused(f"{pattern.groups} stars and {len(names)} names", token)
        if self.next.word == "multi":
            raise self.refused("`multi` belongs to regular expressions", self.next)
        return Parse(source, pattern, names, False, start=start, end=self.ended)

    def _parse_regex(self, source: Field, start: int) -> Parse:
        if not self.at("/"):
            raise self.unexpected("a pattern")
        token = self.take_regex()
        pattern, groups = compiled(token.value.replace(r"\/", "/"), Node(start=token.start, end=token.end))
        given = self._new_names() if self.accept_word("as") else ()
        names = tuple(groups.values()) or given
        if not names or len(names) != pattern.groups or (groups and given not in ((), names)):
            raise self.refused("every group of the expression needs one name", token)
        multi = bool(self.accept_word("multi"))
        return Parse(source, pattern, names, multi, start=start, end=self.ended)

    def _json(self, start: int) -> Json:
        self.expect_word("field")
        self.expect("=")
        source = self.field()
        path = self.expect_kind("string")
        if not re.fullmatch(r"\w+(\.\w+)*", path.value):
            raise self.refused("a path is keys with dots between them", path)
        self.expect_word("as")
        return Json(source, tuple(path.value.split(".")), self.field().name, start=start, end=self.ended)

    def _unnest(self, start: int) -> Unnest:
        source = self.expression()
        self.expect_word("into")
        return Unnest(source, self.field().name, start=start, end=self.ended)

    def _addtotals(self, start: int) -> AddTotals:
        name = "Total"
        while word := self.accept_word("fieldname", "row", "col"):
            self.expect("=")
            value = self.take()
            if word == "fieldname":
                name = value.value or ".".join(value.parts)
            elif value.word != ("true" if word == "row" else "false"):
                raise self.refused(f"{word}={value.text} is not modelled", value)
        fields = self._fields() if self.next.kind == "name" else ()
        return AddTotals(fields, name, start=start, end=self.ended)

    def _accum(self, start: int) -> Accum:
        field = self.field()
        if not self.accept_word("as"):
            raise self.refused("the name of accum's column is not documented: write `as`", self.next)
        return Accum(field, self.field().name, start=start, end=self.ended)

    def _autoregress(self, start: int) -> Autoregress:
        field = self.field()
        self.expect_word("p")
        self.expect("=")
        first = self.whole_number()
        last = self.whole_number() if self.accept("-") else first
        if not 1 <= first <= last <= 100:
            raise Malformed("autoregress takes p=1 or p=1-2", start, self.ended)
        return Autoregress(field, first, last, start=start, end=self.ended)

    def _filldown(self, start: int) -> FillDown:
        names: list[str] = []
        while self.next.kind == "name":
            field = self.field()
            starred = self.at("*") and self.next.start == field.end and self.accept("*")
            names.append(field.name + ("*" if starred else ""))
            self.accept(",")
        if not names:
            raise self.unexpected("a field")
        return FillDown(tuple(names), start=start, end=self.ended)
