"""Rows of GetQueryResults as columns, without botocore's walk over every cell."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, list[Any]]
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_TOKEN = re.compile(rb'"nextToken"\s*:\s*("(?:[^"\\]|\\.)*")')
_FIELD, _VALUE = itemgetter("field"), itemgetter("value")
_one_reader = threading.Lock()
_TIMES = {"@timestamp", "@ingestionTime"}


@contextmanager
def no_collection() -> Iterator[None]:
    """Read without looking for garbage among rows that are all alive: that would take half of the time."""
    with _one_reader:
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()


def next_token(answer: dict[str, Any]) -> str:
    """Return the token of the next page without reading the rows: within a row the quotes would be escaped."""
    import orjson

    if "raw" not in answer:
        return str(answer.get("nextToken") or "")
    found = _TOKEN.search(answer["raw"])
    return str(orjson.loads(found[1])) if found else ""


def columns_of(rows: Sequence[Sequence[dict[str, str]]]) -> Columns:
    """Return a page as one list a field; None where a row lacks the field."""
    if not rows:
        return {}
    names = [cell["field"] for cell in rows[0]]
    if len(set(names)) == len(names) and set(map(len, rows)) == {len(names)}:
        with suppress(KeyError):  # a cell without a value
            columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
            if all(list(map(_FIELD, cells)).count(name) == len(rows) for name, cells in columns.items()):
                return {name: list(map(_VALUE, cells)) for name, cells in columns.items()}
    named = [{cell["field"]: cell.get("value") for cell in row} for row in rows]
    every = dict.fromkeys(name for row in named for name in row)
    return {name: [row.get(name) for row in named] for name in every}


def size(columns: Columns) -> int:
    """Return the number of rows."""
    return len(next(iter(columns.values()), []))


def joined(pages: Iterable[Columns]) -> Columns:
    """Return pages below each other; a page that lacks a field has None there."""
    whole = [page for page in pages if page]
    names = dict.fromkeys(name for page in whole for name in page)
    return {name: [value for page in whole for value in page.get(name) or [None] * size(page)] for name in names}


def frame(columns: Columns, *, text: Sequence[str] = (), numbers: bool = False) -> pd.DataFrame:
    """Return columns as a frame with types.

    Times (`@timestamp`, `@ingestionTime`, and what `bin` makes) are datetime64[ns, UTC]; with `numbers` a column that
    holds nothing but numbers is float64, but for those named in `text`; all else is object: an id stays as it is.
    """
    import pandas as pd

    made: dict[str, Any] = {}
    for name, values in columns.items():
        if name in _TIMES or (numbers and _all(_TIME, values)):
            stamps = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="%Y-%m-%d %H:%M:%S.%f")
            made[name] = stamps.astype("datetime64[ns, UTC]")
        elif numbers and name not in text and _all(_NUMBER, values):
            made[name] = pd.Series([None if value is None else float(value) for value in values], dtype="float64")
        else:
            made[name] = pd.Series(values, dtype="object")
    return pd.DataFrame(made)


def _all(pattern: re.Pattern[str], values: list[Any]) -> bool:
    said = [value for value in values if value is not None]
    return bool(said) and all(pattern.fullmatch(value) for value in said)
