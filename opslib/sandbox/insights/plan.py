"""Commands compiled to stages, one after the other, and the columns that they leave."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from opslib.sandbox.insights import lookups, needles, ordering, rules, sequences, stages
from opslib.sandbox.insights.events import Batch, Row
from opslib.sandbox.insights.expressions import Expressions, Setting
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.scope import Scope
from opslib.sandbox.insights.statistics import Statistics
from opslib.sandbox.insights.syntax import (
    Accum,
    AddTotals,
    Autoregress,
    Call,
    Column,
    Command,
    Dedup,
    Display,
    Expand,
    Field,
    Fields,
    FillDown,
    Filter,
    Join,
    Json,
    Limit,
    Lookup,
    Node,
    Parse,
    ParseCsv,
    ParseLogfmt,
    Sort,
    Stats,
    Unnest,
)
from opslib.sandbox.insights.tables import LookupTable

Reader = Callable[[Row], Any]
Shown = list[tuple[str, Reader]]


class Plan:
    """A pipeline, compiled for one run."""

    def __init__(
        self, text: str, commands: tuple[Command, ...], setting: Setting, tables: Mapping[str, LookupTable]
    ) -> None:
        rules.check(commands)
        self.counters = stages.Counters()
        self.notes: list[str] = []
        self._scope, self._setting, self._tables, self._text = Scope(), setting, tables, text
        self._stages: list[stages.Stage] = []
        self._clauses: list[needles.Clause] = []
        self._at_front = True  # so far no command could fail or define what a filter reads
        self._order = "arrival"  # then "given" by a command, or "none" after a stats
        self._listed: dict[str, Field] = {}
        self._displayed: dict[str, Field] | None = None
        self._single = sum(isinstance(command, Stats) for command in commands) == 1
        self._edges: set[str] = set()
        end = rules.matching_end(commands)
        for place, command in enumerate(commands):
            if place == end:
                self._stages.append(stages.counting(self.counters))
            self._later = commands[place + 1 :]
            self._compile(command)
        if end == len(commands):
            self._stages.append(stages.counting(self.counters))
        self.shown = self._columns()

    @property
    def scope(self) -> Scope:
        """Return the names that exist at the end."""
        return self._scope

    def rows(self, batches: Iterable[Batch]) -> Iterator[Row]:
        """Return the rows that the commands leave, in their order."""
        rows = self._scanned(batches)
        for stage in self._stages:
            rows = stage(rows)
        return ordering.newest_first(rows) if self._order == "arrival" else rows

    def _scanned(self, batches: Iterable[Batch]) -> Iterator[Row]:
        for batch in batches:
            messages = batch.messages
            self.counters.scanned += len(messages)
            self.counters.bytes += sum(len(text) if text.isascii() else len(text.encode()) for text in messages)
            for place in needles.places(messages, self._clauses):
                yield Row(batch, place, messages[place])

    @property
    def _compiler(self) -> Expressions:
        return Expressions(self._text, self._scope, self._setting)

    def _add(self, stage: stages.Stage) -> None:
        self._stages.append(stage)

    def _compile(self, command: Command) -> None:
        _COMPILERS[type(command)](self, command)
        harmless = isinstance(command, Filter) or (
            isinstance(command, Fields | Display) and all(_is_plain(column) for column in command.columns)
        )
        self._at_front = self._at_front and harmless

    def _fields(self, command: Fields) -> None:
        self._listed.update(self._computed(command.columns))

    def _display(self, command: Display) -> None:
        self._displayed = self._computed(command.columns)

    def _computed(self, columns: tuple[Column, ...]) -> dict[str, Field]:
        found: dict[str, Field] = {}
        for column in columns:
            node = column.expression
            if isinstance(node, Field) and not column.named:
                self._scope.reader(node)
                self._scope.take(column.name)
                found[column.name] = node
                continue
            if not (self._scope.closed and column.name in self._scope.defined and not column.named):
                read = self._compiler.value(node)
                self._scope.define(column.name, column, again=not column.named)
                self._add(stages.computing(column.name, read))
            found[column.name] = Field((column.name,), start=column.start, end=column.end)
        return found

    def _filter(self, command: Filter) -> None:
        if self._at_front:
            self._clauses += needles.clauses(command.test, self._scope.reads_event)
        self._add(stages.passing(self._compiler.truth(command.test)))

    def _stats(self, command: Stats) -> None:
        for column in command.columns:
            node = column.expression
            if isinstance(node, Call) and node.name in {"min", "max"} and _is_time(node.arguments):
                self._edges.add(column.name)
        statistics = Statistics(self._compiler, command)
        self._add(statistics.lines)
        self._order, self._displayed = "none", None
        self._listed = {name: Field((name,), start=command.start, end=command.end) for name in statistics.names}

    def _sort(self, command: Sort) -> None:
        keys = [(self._compiler.value(node), descends) for node, descends in command.keys]
        if self._single and any(isinstance(later, Stats) for later in self._later):
            self.notes.append("`sort` before `stats` has no effect")
            return
        self._add(lambda rows: ordering.arranged(rows, keys))
        self._order = "given"

    def _ordered(self) -> None:
        if self._order == "arrival":
            self._add(ordering.newest_first)
            self._order = "given"

    def _limit(self, command: Limit) -> None:
        count = command.count
        if any(isinstance(later, Stats) for later in self._later):
            raise Malformed("limit before stats", command.start, command.end)
        if command.anything:
            self._add(lambda rows: ordering.sample(rows, count))
            self._order = "given"
            return
        self._ordered()
        self._add(lambda rows: (row for row, _ in zip(rows, range(count), strict=False)))

    def _dedup(self, command: Dedup) -> None:
        if self._order == "none":
            raise Malformed("dedup after stats or join needs a sort", command.start, command.end)
        self._ordered()
        readers = [self._compiler.value(field) for field in command.fields]
        self._add(lambda rows: ordering.deduplicated(rows, readers))

    def _parse(self, command: Parse) -> None:
        read = self._compiler.value(command.source)
        for name in command.names:
            self._scope.define(name, command)
        make = stages.parsing_all if command.multi else stages.parsing
        self._add(make(read, command.pattern, command.names))

    def _parse_logfmt(self, command: ParseLogfmt) -> None:
        read = self._compiler.value(command.source)
        self._scope.define(command.name, command)
        self._add(stages.computing(command.name, lambda row: stages.logfmt(read(row))))

    def _parse_csv(self, command: ParseCsv) -> None:
        read = self._compiler.value(command.source)
        for name in command.names:
            self._scope.define(name, command)
        self._add(stages.parsing_csv(read, command.names))

    def _json(self, command: Json) -> None:
        read = self._compiler.whole(command.source)
        self._scope.define(command.name, command)
        self._add(stages.computing(command.name, stages.json_path(read, command.keys)))

    def _unnest(self, command: Unnest) -> None:
        read = self._compiler.whole(command.source)
        self._scope.define(command.name, command)
        self._add(stages.unnesting(read, command.name))

    def _expand(self, command: Expand) -> None:
        read, name = self._compiler.whole(command.field), command.field.name
        self._scope.define(name, command, again=True)
        self._add(stages.unnesting(read, name, lists_only=True))

    def _lookup(self, command: Lookup) -> None:
        table = self._tables.get(command.table)
        if table is None:
            raise Malformed(f"there is no lookup table {command.table}", command.start, command.end)
        keys = [self._compiler.value(field) for _, field in command.keys]
        before = [self._earlier(name, command) for _, name in command.outputs]
        for _, name in command.outputs:
            self._scope.define(name, command, again=True)
            self._listed[name] = Field((name,), start=command.start, end=command.end)
        self._add(lookups.looking_up(command, table, keys, before))

    def _earlier(self, name: str, place: Node) -> Reader:
        """What a name was before a lookup: nothing, where it is no field of a stats."""
        field = Field(tuple(name.split(".")), start=place.start, end=place.end)
        gone = (self._scope.closed or self._scope.sides) and name not in self._scope.defined
        return (lambda row: None) if gone else self._scope.reader(field)

    def _join(self, command: Join) -> None:
        prepared = self._compiler.prepared(command.query)
        sides = (self._scope, prepared.scope)
        keys = tuple([scope.reader(pair[side]) for pair in command.pairs] for side, scope in enumerate(sides))
        self._add(lookups.joining(command.left, command.right, keys, prepared.rows, outer=command.outer))  # type: ignore[arg-type]
        self._scope = self._scope.joined(command.left, command.right, prepared.scope)
        self._order, self._listed, self._displayed = "none", {}, None

    def _addtotals(self, command: AddTotals) -> None:
        if not command.fields and not self._scope.closed:
            raise Malformed("name the fields of addtotals, or put it after stats", command.start, command.end)
        chosen = command.fields or tuple(self._listed.values())
        readers = [self._compiler.value(field) for field in chosen]
        self._new(command.name, command)
        self._add(sequences.totalling(readers, command.name, numbers_only=not command.fields))

    def _accum(self, command: Accum) -> None:
        read = self._compiler.value(command.field)
        self._new(command.name, command)
        self._add(sequences.accumulating(read, command.name))

    def _autoregress(self, command: Autoregress) -> None:
        read, name = self._compiler.value(command.field), command.field.name
        for back in range(command.first, command.last + 1):
            self._new(f"{name}_p{back}", command)
        self._add(sequences.looking_back(read, name, command.first, command.last))

    def _filldown(self, command: FillDown) -> None:
        for pattern in command.names:
            names = [name for name in self._listed if pattern.endswith("*") and name.startswith(pattern[:-1])]
            if pattern.endswith("*") and not names:
                raise Malformed(f"no field that was listed begins with {pattern[:-1]}", command.start, command.end)
            for name in names or [pattern]:
                read = self._compiler.value(Field(tuple(name.split(".")), start=command.start, end=command.end))
                self._scope.define(name, command, again=True)
                self._add(sequences.filling_down(read, name))

    def _new(self, name: str, place: Node) -> None:
        self._scope.define(name, place)
        self._listed[name] = Field((name,), start=place.start, end=place.end)

    def _columns(self) -> Shown:
        chosen = self._listed if self._displayed is None else self._displayed
        if not chosen and self._scope.sides:
            raise Malformed("name the fields to show after a join")
        if not chosen:
            chosen = {name: Field((name,)) for name in ("@timestamp", "@message")}
        if found := sorted(self._edges & chosen.keys()):
            raise Malformed(f"how {found[0]}, a time by min or max, is written is not documented: use toMillis()")
        return [(name, self._scope.reader(field)) for name, field in chosen.items() if name != "@ptr"]


def _is_plain(column: Column) -> bool:
    return isinstance(column.expression, Field) and not column.named


def _is_time(arguments: tuple[Node, ...]) -> bool:
    return any(isinstance(node, Field) and node.name in {"@timestamp", "@ingestionTime"} for node in arguments)


_COMPILERS: dict[type[Command], Callable[[Plan, Any], None]] = {
    Fields: Plan._fields,
    Display: Plan._display,
    Filter: Plan._filter,
    Stats: Plan._stats,
    Sort: Plan._sort,
    Limit: Plan._limit,
    Dedup: Plan._dedup,
    Parse: Plan._parse,
    ParseLogfmt: Plan._parse_logfmt,
    ParseCsv: Plan._parse_csv,
    Json: Plan._json,
    Unnest: Plan._unnest,
    Expand: Plan._expand,
    Lookup: Plan._lookup,
    Join: Plan._join,
    AddTotals: Plan._addtotals,
    Accum: Plan._accum,
    Autoregress: Plan._autoregress,
    FillDown: Plan._filldown,
}
