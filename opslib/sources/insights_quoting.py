"""The one way in which a value becomes text of a Logs Insights query: there are no bind variables."""

from __future__ import annotations

import re

from opslib.errors import ParameterError

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:=@/+-]{5,127}")
_FIELD = re.compile(r"@?[A-Za-z_][\w.@ -]{0,127}", re.ASCII)


def checked_id(value: str, *, name: str = "request_id") -> str:
    """Return the id when it is matched whole by 6 to 128 characters of [0-9A-Za-z._:=@/+-], else raise ParameterError."""
    value = value.strip(" ")
    if not value:
        raise ParameterError(
            f"{name} is empty", fix=f"give one: -p {name}=req-…, from the page, the log line or the user's screen"
        )
    if _ID.fullmatch(value) and ".." not in value:
        return value
    shown = value if len(value) <= 60 else f"{value[:57]}…"
    why = f"{len(value)} characters; an id has 6 to 128 of letters, digits and . _ : = @ / + - and starts with a letter or digit"
    raise ParameterError(
        f"{name} {shown!r} cannot be an id", why=why, fix="copy the id alone, without quotes, blanks or other text"
    )


def literal(value: str) -> str:
    """Return the value as a string literal; raises ParameterError for control characters or more than 512 characters."""
    if len(value) > 512 or any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ParameterError(
            "a value cannot go into a log query",
            why="control characters, or more than 512 characters",
            fix="shorten it",
        )
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literals(values: list[str]) -> str:
    """Return the values as a list for `in`: ["a","b"]."""
    return "[" + ",".join(literal(value) for value in values) + "]"


def field(name: str) -> str:
    """Return a field name, in backticks where it has more than letters, digits, underscore, @ and dots."""
    if not _FIELD.fullmatch(name):
        raise ParameterError(f"{name!r} cannot be a log field", fix="use the name as the log line has it")
    return name if re.fullmatch(r"@?[\w.]+", name, re.ASCII) else f"`{name}`"
