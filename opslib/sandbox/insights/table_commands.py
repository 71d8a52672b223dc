"""Commands that need all rows, or their order, compiled into a pipeline."""

from itertools import islice

from opslib.sandbox.insights import lookups, ordering, sequences
from opslib.sandbox.insights.commands import Accum, Autoregress, Dedup, FillDown, Join, Limit, Sort, Stats
from opslib.sandbox.insights.pipeline import Pipeline
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.statistics import Statistics
from opslib.sandbox.insights.syntax import Call, Column, Field


def add_stats(pipeline: Pipeline, command: Stats) -> None:
    """Add `stats`: afterwards only its columns exist."""
    pipeline.edges |= {column.name for column in command.columns if _is_edge(column)}
    statistics = Statistics(pipeline.compiler, command)
    pipeline.add(statistics.lines)
    pipeline.order, pipeline.displayed = "none", None
    pipeline.listed = {name: Field((name,), start=command.start, end=command.end) for name in statistics.names}


def _is_edge(column: Column) -> bool:
    call = column.expression
    times = ("@timestamp", "@ingestionTime")
    return (
        isinstance(call, Call)
        and call.name in {"min", "max"}
        and any(isinstance(node, Field) and node.name in times for node in call.arguments)
    )


def add_sort(pipeline: Pipeline, command: Sort) -> None:
    """Add `sort`."""
    keys = [(pipeline.compiler.value(node), descends) for node, descends in command.keys]
    pipeline.add(lambda rows: ordering.arranged(rows, keys))
    pipeline.order = "given"


def add_limit(pipeline: Pipeline, command: Limit) -> None:
    """Add `limit`."""
    count = command.count
    if command.anything:
        pipeline.add(lambda rows: ordering.sample(rows, count))
        pipeline.order = "given"
        return
    pipeline.order_rows()
    pipeline.add(lambda rows: islice(rows, count))


def add_dedup(pipeline: Pipeline, command: Dedup) -> None:
    """Add `dedup`."""
    if pipeline.order == "none":
        raise Malformed("dedup after stats or join needs a sort", command.start, command.end)
    pipeline.order_rows()
    readers = [pipeline.compiler.value(field) for field in command.fields]
    pipeline.add(lambda rows: ordering.deduplicated(rows, readers))


def add_join(pipeline: Pipeline, command: Join) -> None:
    """Add `join`: afterwards fields belong to one of its sides."""
    prepared = pipeline.compiler.prepared(command.query)
    left = [pipeline.scope.reader(field) for field, _ in command.pairs]
    right = [prepared.scope.reader(field) for _, field in command.pairs]
    sides = (command.left, command.right)
    pipeline.add(lookups.joining(sides, (left, right), prepared.rows, outer=command.outer))
    pipeline.scope = pipeline.scope.joined(*sides, prepared.scope)
    pipeline.order, pipeline.listed, pipeline.displayed = "none", {}, None


def add_accum(pipeline: Pipeline, command: Accum) -> None:
    """Add `accum`."""
    read = pipeline.compiler.value(command.field)
    pipeline.list_new(command.name, command)
    pipeline.add(sequences.accumulating(read, command.name))


def add_autoregress(pipeline: Pipeline, command: Autoregress) -> None:
    """Add `autoregress`."""
    read, name = pipeline.compiler.value(command.field), command.field.name
    for back in range(command.first, command.last + 1):
        pipeline.list_new(f"{name}_p{back}", command)
    pipeline.add(sequences.looking_back(read, name, command.first, command.last))


def add_filldown(pipeline: Pipeline, command: FillDown) -> None:
    """Add `filldown`: a star stands for the listed fields that begin so."""
    for pattern in command.names:
        names = [pattern]
        if pattern.endswith("*"):
            names = [name for name in pipeline.listed if name.startswith(pattern[:-1])]
        if not names:
            raise Malformed(f"no field that was listed begins with {pattern[:-1]}", command.start, command.end)
        for name in names:
            field = Field(tuple(name.split(".")), start=command.start, end=command.end)
            read = pipeline.compiler.value(field)
            pipeline.scope.define(name, command, again=True)
            pipeline.add(sequences.filling_down(read, name))
