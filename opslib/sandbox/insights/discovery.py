"""How a field is found in an event: system fields, and the keys of a JSON message."""

import json
from collections.abc import Callable
from typing import Any

from opslib.sandbox.insights.events import Row, parsed
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.syntax import Field
from opslib.sandbox.insights.values import Stamp

ACCOUNT = "000000000000"
Reader = Callable[[Row], Any]
_LARGE = 2**53


def _of_batch(attribute: str) -> Reader:
    return lambda row: getattr(row.batch, attribute)[row.index]


_SYSTEM: dict[str, Reader] = {
    "@message": lambda row: row.message,
    "@timestamp": lambda row: Stamp(row.batch.timestamps[row.index]),  # type: ignore[union-attr]
    "@ingestionTime": lambda row: Stamp(_of_batch("ingestion")(row)),
    "@logStream": _of_batch("streams"),
    "@log": lambda row: f"{ACCOUNT}:{row.batch.group}",  # type: ignore[union-attr]
    "@ptr": lambda row: row.ptr,
}


def reader(field: Field, *, whole: bool = False) -> Reader:
    """Return what reads a field of an event; `whole` lets lists and maps through."""
    name = field.name
    if name.startswith("@") and not name.startswith("@@"):
        if name not in _SYSTEM:
            raise Malformed(f"the system field {name} is not modelled", field.start, field.end)
        return _SYSTEM[name]
    parts = tuple(name.split(".")) if len(field.parts) == 1 else field.parts
    if any("." in part for part in parts):
        raise Malformed("a key with a dot in it cannot be told from nested keys", field.start, field.end)
    if name.startswith("@@"):
        parts = (parts[0][1:], *parts[1:])
    return _of_one_key(name, parts[0], whole) if len(parts) == 1 else _of_keys(name, parts, whole)


def _of_one_key(name: str, key: str, whole: bool) -> Reader:
    quoted = f'"{key}"'

    def read(row: Row) -> Any:
        tree = row.tree
        if tree is None:
            tree = row.tree = parsed(row.message)
        if key not in tree:
            return None
        if row.message.count(quoted) > 1:
            _check_unique(row.message, key)
        value = tree[key]
        return value if type(value) is str else leaf(value, name, whole)

    return read


def _of_keys(name: str, parts: tuple[str, ...], whole: bool) -> Reader:
    rests = [(part, ".".join(parts[place:])) for place, part in enumerate(parts)]

    def read(row: Row) -> Any:
        if row.tree is None:
            row.tree = parsed(row.message)
        value: Any = row.tree
        for part, rest in rests:
            if type(value) is dict:
                if rest != part and rest in value:
                    raise Failed(f"the key {rest!r} cannot be told from nested keys")
                if part not in value:
                    return None
                if row.message.count(f'"{part}"') > 1:
                    _check_unique(row.message, part)
                value = value[part]
            elif type(value) is list and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return leaf(value, name, whole)

    return read


def leaf(value: Any, name: str, whole: bool = False) -> Any:
    """Return a value that JSON held; fails for what AWS does not document."""
    if value is None:
        raise Failed(f"{name} is null in JSON: whether that is present or missing is not documented")
    if isinstance(value, dict | list) and not whole:
        raise Failed(f"{name} holds a list or a map: name one of its leaves")
    if type(value) is float and abs(value) >= _LARGE:
        raise Failed(f"{name} is a large number: how it is written is not documented")
    return value


def _check_unique(message: str, key: str) -> None:
    def pairs(found: list[tuple[str, Any]]) -> None:
        if sum(name == key for name, _ in found) > 1:
            raise Failed(f"the key {key!r} is twice in one object: which one counts is not documented")

    json.loads(message, object_pairs_hook=pairs)


def inside(value: Any, keys: tuple[str, ...], name: str) -> Any:
    """Return what lies under keys of a map or list, None where there is nothing."""
    for key in keys:
        if isinstance(value, dict):
            if key not in value:
                return None
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return leaf(value, name, whole=True)
