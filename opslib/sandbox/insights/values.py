"""Values of fields: how they are found in an event, compared, and written out."""

import math
from datetime import UTC, datetime
from typing import Any

import orjson

from opslib.sandbox.insights.refusals import Failed

ACCOUNT = "000000000000"


class Stamp(int):
    """A time in epoch milliseconds; written as AWS writes it."""

    __slots__ = ()


class Row:
    """One event, or one line of a `stats`; JSON is read only when a field asks for it."""

    __slots__ = ("_json", "event", "given")

    def __init__(self, event: Any, given: dict[str, Any] | None = None) -> None:
        self.event, self.given, self._json = event, given if given is not None else {}, None

    def get(self, name: str) -> Any:
        """Return the value of a field, None where the row has none; an object of the event is no value."""
        value = self.raw(name)
        if isinstance(value, dict | list) and name not in self.given:
            raise Failed(f"field {name} holds an object; name one of its leaves")
        return ("1" if value else "0") if isinstance(value, bool) else value

    def raw(self, name: str) -> Any:
        """Return what lies under a name, objects and arrays too."""
        if name in self.given:
            return self.given[name]
        head, dot, rest = name.partition(".")
        if dot and isinstance(self.given.get(head), dict | list):
            return walk(self.given[head], rest)
        if self.event is None:
            return None
        return self._system(name) if name.startswith("@") and not name.startswith("@@") else self._found(name)

    def _system(self, name: str) -> Any:
        event = self.event
        if name == "@message":
            return event.message
        if name == "@timestamp":
            return Stamp(event.timestamp)
        if name == "@ingestionTime":
            return Stamp(event.ingestion)
        return {"@logStream": event.stream, "@log": f"{ACCOUNT}:{event.group}", "@ptr": event.ptr}.get(name)

    def _found(self, name: str) -> Any:
        if self._json is None:
            self._json = _object(self.event.message)
        key = name[1:] if name.startswith("@@") else name
        value: Any = self._json.get(key)
        return walk(self._json, key) if value is None and "." in key else value


def walk(value: Any, path: str) -> Any:
    """Return what lies under a dotted path: keys of objects, places of arrays."""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else _item(value, part)
    return value


def _object(message: str) -> dict[str, Any]:
    if not message.lstrip().startswith("{"):
        return {}
    try:
        found = orjson.loads(message)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _item(value: Any, part: str) -> Any:
    return value[int(part)] if isinstance(value, list) and part.isdigit() and int(part) < len(value) else None


def number(value: Any) -> float | int | None:
    """Return the value as a number, or None when it is no plain decimal number."""
    if isinstance(value, int | float):
        return value
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(found) or "_" in value:
        return None
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def written(value: Any) -> str:
    """Return the value as a result shows it."""
    if isinstance(value, dict | list):
        raise Failed("how maps and lists are written is not documented: use jsonStringify()")
    if isinstance(value, Stamp):
        moment = datetime.fromtimestamp(int(value) // 1000, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{int(value) % 1000:03d}"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(round(value, 6))
    return str(value)


def same(left: Any, right: Any) -> bool:
    """Tell whether two present values are equal: as numbers when both are, else as text."""
    first, second = number(left), number(right)
    if first is not None and second is not None:
        if isinstance(left, str) and isinstance(right, str) and left != right and first == second:
            raise Failed(f"whether text {left!r} equals text {right!r} is not documented")
        return first == second
    return written(left) == written(right)


def less(left: Any, right: Any) -> bool:
    """Tell whether one present number is below another; text has no documented order here."""
    first, second = number(left), number(right)
    if first is None or second is None:
        raise Failed(f"comparing {written(left)[:40]!r} with {written(right)[:40]!r} by order is not documented")
    return first < second


def sort_key(value: Any) -> tuple[Any, ...]:
    """Return the key of the natural order: all that is no number first, then numbers by value."""
    found = None if isinstance(value, Stamp) else number(value)
    if isinstance(value, Stamp):
        return (1, int(value))
    return (1, found) if found is not None else (0, _chunks(written(value)))


def _chunks(text: str) -> list[tuple[Any, ...]]:
    """Digit runs by length then value, the rest by code point."""
    parts: list[tuple[Any, ...]] = []
    run = ""
    for character in text + "\0":
        if character.isdigit() and character.isascii():
            run += character
            continue
        if run:
            parts.append((48, len(run), run))
            run = ""
        if character != "\0":
            parts.append((ord(character), 0, ""))
    return parts
