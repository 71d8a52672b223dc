"""Commands that look at one row at a time, compiled into a pipeline."""

from opslib.sandbox.insights import lookups, needles, sequences, stages
from opslib.sandbox.insights.commands import (
    AddTotals,
    Display,
    Expand,
    Fields,
    Filter,
    Json,
    Lookup,
    Parse,
    ParseCsv,
    ParseLogfmt,
    Unnest,
)
from opslib.sandbox.insights.pipeline import Pipeline, Reader
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.syntax import Field, Node


def add_fields(pipeline: Pipeline, command: Fields) -> None:
    """Add `fields`."""
    pipeline.listed.update(pipeline.computed(command.columns))


def add_display(pipeline: Pipeline, command: Display) -> None:
    """Add `display`: the last one counts."""
    pipeline.displayed = pipeline.computed(command.columns)


def add_filter(pipeline: Pipeline, command: Filter) -> None:
    """Add `filter`."""
    if pipeline.at_front:
        pipeline.clauses += needles.clauses(command.test)
    pipeline.add(stages.passing(pipeline.compiler.truth(command.test)))


def add_parse(pipeline: Pipeline, command: Parse) -> None:
    """Add `parse` by a pattern."""
    read = pipeline.compiler.value(command.source)
    for name in command.names:
        pipeline.scope.define(name, command)
    make = stages.parsing_all if command.multi else stages.parsing
    pipeline.add(make(read, command.pattern, command.names))


def add_parse_logfmt(pipeline: Pipeline, command: ParseLogfmt) -> None:
    """Add `parse … logfmt`."""
    read = pipeline.compiler.value(command.source)
    pipeline.scope.define(command.name, command)
    pipeline.add(stages.computing(command.name, lambda row: stages.logfmt(read(row))))


def add_parse_csv(pipeline: Pipeline, command: ParseCsv) -> None:
    """Add `parse … csv`."""
    read = pipeline.compiler.value(command.source)
    for name in command.names:
        pipeline.scope.define(name, command)
    pipeline.add(stages.parsing_csv(read, command.names))


def add_json(pipeline: Pipeline, command: Json) -> None:
    """Add `json`."""
    read = pipeline.compiler.whole(command.source)
    pipeline.scope.define(command.name, command)
    pipeline.add(stages.computing(command.name, stages.json_path(read, command.keys)))


def add_unnest(pipeline: Pipeline, command: Unnest) -> None:
    """Add `unnest`."""
    read = pipeline.compiler.whole(command.source)
    pipeline.scope.define(command.name, command)
    pipeline.add(stages.unnesting(read, command.name))


def add_expand(pipeline: Pipeline, command: Expand) -> None:
    """Add `expand`: the element takes the name of the list."""
    read, name = pipeline.compiler.whole(command.field), command.field.name
    pipeline.scope.define(name, command, again=True)
    pipeline.add(stages.unnesting(read, name, lists_only=True))


def add_lookup(pipeline: Pipeline, command: Lookup) -> None:
    """Add `lookup`; raises Malformed for a table or column that does not exist."""
    table = pipeline.tables.get(command.table)
    if table is None:
        raise Malformed(f"there is no lookup table {command.table}", command.start, command.end)
    keys = [pipeline.compiler.value(field) for _, field in command.keys]
    before = [_earlier(pipeline, name, command) for _, name in command.outputs]
    for _, name in command.outputs:
        pipeline.list_new(name, command, again=True)
    pipeline.add(lookups.looking_up(command, table, keys, before))


def _earlier(pipeline: Pipeline, name: str, place: Node) -> Reader:
    """What a name was before a lookup: nothing, where it is no column of a stats."""
    scope = pipeline.scope
    if (scope.closed or scope.sides) and name not in scope.defined:
        return lambda row: None
    return scope.reader(Field(tuple(name.split(".")), start=place.start, end=place.end))


def add_totals(pipeline: Pipeline, command: AddTotals) -> None:
    """Add `addtotals`."""
    if not command.fields and not pipeline.scope.closed:
        raise Malformed("name the fields of addtotals, or put it after stats", command.start, command.end)
    chosen = command.fields or tuple(pipeline.listed.values())
    readers = [pipeline.compiler.value(field) for field in chosen]
    pipeline.list_new(command.name, command)
    pipeline.add(sequences.totalling(readers, command.name, numbers_only=not command.fields))
