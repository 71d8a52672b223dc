"""A query compiled for one run."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from opslib.sandbox.insights import commands as forms
from opslib.sandbox.insights import needles, ordering, row_commands, rules, table_commands
from opslib.sandbox.insights.events import Batch, Row
from opslib.sandbox.insights.expressions import Setting
from opslib.sandbox.insights.pipeline import Pipeline
from opslib.sandbox.insights.syntax import Command, Field
from opslib.sandbox.insights.tables import LookupTable

_COMPILERS: dict[type[Command], Callable[[Pipeline, Any], None]] = {
    forms.Fields: row_commands.add_fields,
    forms.Display: row_commands.add_display,
    forms.Filter: row_commands.add_filter,
    forms.Parse: row_commands.add_parse,
    forms.ParseLogfmt: row_commands.add_parse_logfmt,
    forms.ParseCsv: row_commands.add_parse_csv,
    forms.Json: row_commands.add_json,
    forms.Unnest: row_commands.add_unnest,
    forms.Expand: row_commands.add_expand,
    forms.Lookup: row_commands.add_lookup,
    forms.AddTotals: row_commands.add_totals,
    forms.Stats: table_commands.add_stats,
    forms.Sort: table_commands.add_sort,
    forms.Limit: table_commands.add_limit,
    forms.Dedup: table_commands.add_dedup,
    forms.Join: table_commands.add_join,
    forms.Accum: table_commands.add_accum,
    forms.Autoregress: table_commands.add_autoregress,
    forms.FillDown: table_commands.add_filldown,
}


class Plan:
    """Commands compiled to stages, one after the other, and the columns that they leave."""

    def __init__(
        self, text: str, commands: tuple[Command, ...], setting: Setting, tables: Mapping[str, LookupTable]
    ) -> None:
        rules.check(commands)
        pipeline = self._pipeline = Pipeline(text, setting, tables)
        end = rules.matching_end(commands)
        for place, command in enumerate(commands):
            if place == end:
                pipeline.count()
            if rules.is_idle_sort(commands, place):
                pipeline.notes.append("`sort` before `stats` has no effect")
                continue
            _COMPILERS[type(command)](pipeline, command)
            pipeline.at_front = pipeline.at_front and _is_harmless(command)
        if end == len(commands):
            pipeline.count()
        self.shown = pipeline.columns()
        self.scope, self.counters, self.notes = pipeline.scope, pipeline.counters, pipeline.notes

    def rows(self, batches: Iterable[Batch]) -> Iterator[Row]:
        """Return the rows that the commands leave, in their order."""
        rows = self._scanned(batches)
        for stage in self._pipeline.stages:
            rows = stage(rows)
        return ordering.newest_first(rows) if self._pipeline.order == "arrival" else rows

    def _scanned(self, batches: Iterable[Batch]) -> Iterator[Row]:
        for batch in batches:
            messages = batch.messages
            self.counters.scanned += len(messages)
            self.counters.bytes += sum(len(text) if text.isascii() else len(text.encode()) for text in messages)
            for place in needles.places(messages, self._pipeline.clauses):
                yield Row(batch, place, messages[place])


def _is_harmless(command: Command) -> bool:
    """Tell whether a filter behind a command sees the same events, and no other names."""
    if isinstance(command, forms.Fields | forms.Display):
        return all(isinstance(column.expression, Field) and not column.named for column in command.columns)
    return isinstance(command, forms.Filter)
