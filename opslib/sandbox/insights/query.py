"""A compiled query, and what it answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from opslib.sandbox.insights.command_parser import CommandParser
from opslib.sandbox.insights.commands import Limit, Selection, Stats
from opslib.sandbox.insights.events import Batch, Event, Row, batches
from opslib.sandbox.insights.expressions import Prepared, Setting
from opslib.sandbox.insights.pipeline import Shown
from opslib.sandbox.insights.plan import Plan
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.syntax import Command, Subquery
from opslib.sandbox.insights.tables import LookupTable
from opslib.sandbox.insights.values import written

Source = Callable[[list[str]], Iterable[Batch] | Iterable[Event]]


@dataclass
class Answer:
    """Rows of (field, value) in column order, and what was looked at."""

    rows: list[list[tuple[str, str]]]
    records_matched: int
    records_scanned: int
    bytes_scanned: int


def compile_query(
    text: str, *, tables: Mapping[str, LookupTable] | None = None, selects_groups: bool = False
) -> "Query":
    """Return the query, or raise Malformed: what is not modelled is refused, never dropped.

    With `selects_groups` the caller promises to read the groups of `Query.selection`, which `SOURCE logGroups(…)` names.
    """
    parser = CommandParser(text)
    selection, commands = parser.query()
    if selection and not selects_groups:
        raise Malformed("SOURCE logGroups() is not modelled here", selection.start, selection.end)
    return Query(text, commands, selection, dict(tables or {}), parser.notes)


class Query:
    """A query that may run many times.

    `limit` is that of the text, None without one; `notes` tell what works here and is better written otherwise.
    """

    def __init__(
        self,
        text: str,
        commands: tuple[Command, ...],
        selection: Selection | None,
        tables: dict[str, LookupTable],
        notes: list[str],
    ) -> None:
        self._text, self._commands, self._tables = text, commands, tables
        self.selection = selection
        self.is_aggregate = any(isinstance(command, Stats) for command in commands)
        self.limit = next((command.count for command in commands if isinstance(command, Limit)), None)
        self.notes = notes + self._plan(Setting(), None).notes

    def run(
        self,
        events: Iterable[Batch] | Iterable[Event],
        *,
        limit: int,
        start_ms: int,
        end_ms: int,
        now_ms: int,
        source: Source | None = None,
    ) -> Answer:
        """Answer over events of one time range, at most `limit` rows; raises Failed where AWS's answer is unknown.

        `source` returns the events of other groups in the same range, for subqueries and joins.
        """
        plan = self._plan(Setting(start_ms, end_ms, now_ms), source)
        rows = [_cells(row, plan.shown) for row in islice(plan.rows(batches(events)), limit)]
        counters = plan.counters
        return Answer(rows, counters.matched, counters.scanned, counters.bytes)

    def _plan(self, setting: Setting, source: Source | None) -> Plan:
        prepare = _Subqueries(self._text, setting, self._tables, source).prepared
        return Plan(self._text, self._commands, replace(setting, subquery=prepare), self._tables)


class _Subqueries:
    """Queries over other groups, which themselves have none."""

    def __init__(self, text: str, setting: Setting, tables: dict[str, LookupTable], source: Source | None) -> None:
        self._text, self._setting, self._tables, self._source = text, setting, tables, source

    def prepared(self, query: Subquery) -> Prepared:
        """Return a subquery compiled; it reads its groups when it is asked."""
        plan = Plan(self._text, query.commands, self._setting, self._tables)

        def rows() -> Iterator[Row]:
            if self._source is None:
                raise Failed("other log groups cannot be read here")
            return plan.rows(batches(self._source(list(query.groups))))

        def values() -> list[Any]:
            if len(plan.shown) != 1:
                raise Failed("a subquery must leave exactly one column")
            read = plan.shown[0][1]
            return [value for row in rows() if (value := read(row)) is not None]

        return Prepared(plan.scope, values, rows)


def _cells(row: Row, shown: Shown) -> list[tuple[str, str]]:
    cells = [(name, written(value)) for name, read in shown if (value := read(row)) is not None]
    if row.batch is not None:
        cells.append(("@ptr", row.ptr))
    row.forget()
    return cells
