"""Rows beside other rows: lookup tables and joins."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opslib.sandbox.insights.commands import Lookup
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.stages import Stage
from opslib.sandbox.insights.tables import LookupTable
from opslib.sandbox.insights.values import written

MAX_JOIN_KEYS = 50_000
Reader = Callable[[Row], Any]


def looking_up(command: Lookup, table: LookupTable, keys: list[Reader], before: list[Reader]) -> Stage:
    """Return `lookup`; `before` reads what the outputs were, for OUTPUTNEW."""
    for column in [column for column, _ in (*command.keys, *command.outputs)]:
        if column not in table.columns:
            raise Malformed(f"the table {command.table} has no column {column}", command.start, command.end)
    index = table.by([column for column, _ in command.keys])
    places = [table.columns.index(column) for column, _ in command.outputs]

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            line = _line(table, index, [read(row) for read in keys])
            for place, (_, name), read in zip(places, command.outputs, before, strict=True):
                old = None if command.overwrites else read(row)
                row.give(name, line[place] if old is None and line else old)
            yield row

    return stage


def _line(table: LookupTable, index: dict[tuple[str, ...], list[int]], values: list[Any]) -> Any:
    if any(value is None or isinstance(value, dict | list) for value in values):
        return None
    found = index.get(tuple(map(written, values)), [])
    if len(found) > 1:
        raise Failed("which of several matching rows of a lookup table counts is not documented")
    return table.rows[found[0]] if found else None


def joining(
    names: tuple[str, str],
    keys: tuple[list[Reader], list[Reader]],
    others: Callable[[], Iterator[Row]],
    *,
    outer: bool,
) -> Stage:
    """Return `join`: a row a match, and with `outer` rows without a match once."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        index = _indexed(others(), keys[1])
        for row in rows:
            key = _joint(row, keys[0])
            matches: list[Row | None] = [*index.get(key, [])] if key is not None else []
            for match in matches or ([None] if outer else []):
                yield Row(None, given={names[0]: row, names[1]: match})

    return stage


def _indexed(rows: Iterable[Row], readers: list[Reader]) -> dict[tuple[str, ...], list[Row]]:
    index: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = _joint(row, readers)
        if key is not None:
            index.setdefault(key, []).append(row)
    if len(index) > MAX_JOIN_KEYS:
        raise Failed(f"the right side of a join has more than {MAX_JOIN_KEYS} keys")
    return index


def _joint(row: Row, keys: list[Reader]) -> tuple[str, ...] | None:
    values = [read(row) for read in keys]
    return (
        None
        if any(value is None or isinstance(value, dict | list) for value in values)
        else tuple(map(written, values))
    )
