"""What commands do to rows, one row at a time."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from opslib.sandbox.insights.discovery import inside
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.logic import Maybe, Test, decided
from opslib.sandbox.insights.refusals import Failed
from opslib.sandbox.insights.structure_functions import json_of
from opslib.sandbox.insights.values import written

Reader = Callable[[Row], Any]
Stage = Callable[[Iterable[Row]], Iterator[Row]]


@dataclass(slots=True)
class Counters:
    """What a run looked at."""

    scanned: int = 0
    bytes: int = 0
    matched: int = 0


def passing(test: Test) -> Stage:
    """Return `filter`."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            verdict = test(row)
            if verdict is True or (verdict is Maybe.YES and decided(verdict)):
                yield row

    return stage


def counting(counters: Counters) -> Stage:
    """Return a stage that counts the rows which pass."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            counters.matched += 1
            yield row

    return stage


def computing(name: str, read: Reader) -> Stage:
    """Return a stage that gives every row a field."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            row.give(name, read(row))
            yield row

    return stage


def parsing(read: Reader, pattern: re.Pattern[str], names: tuple[str, ...]) -> Stage:
    """Return `parse`; rows without a match stay as they are."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            text = read(row)
            match = pattern.search(text if type(text) is str else written(text)) if text is not None else None
            if match:
                for name, value in zip(names, match.groups(), strict=True):
                    row.give(name, value)
            yield row

    return stage


def parsing_all(read: Reader, pattern: re.Pattern[str], names: tuple[str, ...]) -> Stage:
    """Return `parse … multi`: a row a match, and rows without a match once."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            text = read(row)
            matches = list(pattern.finditer(written(text))) if text is not None else []
            for match in matches:
                made = row
                for name, value in zip(names, match.groups(), strict=True):
                    made = made.with_given(name, value)
                yield made
            if not matches:
                yield row

    return stage


def logfmt(text: Any) -> dict[str, str] | None:
    """Return the map that a line of key=value pairs holds; None for a line without any."""
    if text is None or "=" not in written(text):
        return None
    pairs = [pair.partition("=") for pair in written(text).split()]
    if '"' in written(text) or any(not key or not sign for key, sign, _ in pairs):
        raise Failed("logfmt with quotes or words without = is not documented")
    if len({key for key, _, _ in pairs}) < len(pairs):
        raise Failed("logfmt with a key twice is not documented")
    return {key: value for key, _, value in pairs}


def parsing_csv(read: Reader, names: tuple[str, ...]) -> Stage:
    """Return `parse … csv`: columns by place."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            text = read(row)
            if text is not None:
                for name, value in zip(names, _csv_cells(written(text), len(names)), strict=True):
                    row.give(name, value)
            yield row

    return stage


def _csv_cells(text: str, count: int) -> list[str]:
    cells = text.split(",")
    if '"' in text or len(cells) != count:
        raise Failed("csv with quotes, or with more or fewer columns than names, is not documented")
    return cells


def json_path(read: Reader, keys: tuple[str, ...]) -> Reader:
    """Return what `json` takes out of the JSON text of a field."""

    def value(row: Row) -> Any:
        found = json_of(read(row))
        return None if found is None else inside(found, keys, ".".join(keys))

    return value


def unnesting(read: Reader, name: str, *, lists_only: bool = False) -> Stage:
    """Return `unnest`, and `expand` with `lists_only`: a row an element."""

    def stage(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            value = read(row)
            found = json_of(value) if lists_only else value
            if value is None or found == [] or (lists_only and not isinstance(found, list)):
                raise Failed(f"no list, or an empty one, for {name} is not documented: filter with jsonArraySize() > 0")
            for element in found if isinstance(found, list) else [found]:
                yield row.with_given(name, element)

    return stage
