"""Rows in order: sort, the default order, dedup and samples."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.values import Stamp, group_key, sort_key

Reader = Callable[[Row], Any]
_NUMERIC = {int, float, Stamp}


def newest_first(rows: Iterable[Row]) -> Iterator[Row]:
    """Return rows by time, latest first; ties fall by chance, always the same."""
    listed, ranks = [], []
    for row in rows:
        row.forget()
        listed.append(row)
        ranks.append(-row.batch.timestamps[row.index])  # type: ignore[union-attr]
    return _ranked(listed, ranks)


def arranged(rows: Iterable[Row], keys: list[tuple[Reader, bool]]) -> Iterator[Row]:
    """Return rows by their keys, of which some descend."""
    listed, columns = _keyed(rows, [read for read, _ in keys])
    ranks = [_ranks(column, descends) for column, (_, descends) in zip(columns, keys, strict=True)]
    return _ranked(listed, ranks[0] if len(ranks) == 1 else list(zip(*ranks, strict=True)))


def _keyed(rows: Iterable[Row], readers: list[Reader]) -> tuple[list[Row], list[list[Any]]]:
    listed, columns = [], [[] for _ in readers]  # type: tuple[list[Row], list[list[Any]]]
    for row in rows:
        for read, column in zip(readers, columns, strict=True):
            column.append(_present(read(row)))
        row.forget()
        listed.append(row)
    return listed, columns


def _present(value: Any) -> Any:
    if value is None:
        raise Failed("where `sort` puts rows without the field is not documented: filter with ispresent()")
    if isinstance(value, dict | list):
        raise Failed("lists and maps cannot be sorted")
    return value


def _ranks(values: list[Any], descends: bool) -> list[Any]:
    """Return numbers that sort as the values do, so that a descending key is the exact reverse."""
    if {type(value) for value in values} <= _NUMERIC:
        return [-value for value in values] if descends else values
    keys = [sort_key(value) for value in values]
    rank = {key: place for place, key in enumerate(sorted(set(keys)))}
    return [-rank[key] if descends else rank[key] for key in keys]


def _ranked(listed: list[Row], ranks: list[Any]) -> Iterator[Row]:
    places = sorted(range(len(listed)), key=ranks.__getitem__)
    for _, tied in groupby(places, key=ranks.__getitem__):
        members = [listed[place] for place in tied]
        yield from sorted(members, key=Row.shuffle_key) if len(members) > 1 else members


def deduplicated(rows: Iterable[Row], readers: list[Reader]) -> Iterator[Row]:
    """Return the first row of each combination of values; all rows that lack one."""
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        values = [read(row) for read in readers]
        if any(isinstance(value, dict | list) for value in values):
            raise Failed("lists and maps cannot stand in `dedup`")
        if None in values:
            yield row
            continue
        key = tuple(map(group_key, values))
        if key not in seen:
            seen.add(key)
            yield row


def sample(rows: Iterable[Row], count: int) -> Iterator[Row]:
    """Return some rows, always the same, in an order that means nothing."""
    return iter(sorted(rows, key=Row.shuffle_key)[:count])
