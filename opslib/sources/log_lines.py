"""Log lines as columns: JSON lines by their keys, plain text by what can be read off it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b")
_TEXTS = ("level", "request_id", "trace_id", "user_id", "route", "method", "message")
FAILING = frozenset({"ERROR", "CRITICAL", "FATAL"})


def parsed(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the lines with what they say as columns, in the same order.

    Columns: time datetime64[ns, UTC], service, level, message, request_id, trace_id, user_id, route, method,
    error_kind, error_message, wait_for object (empty text where the line does not say), status, duration_ms,
    wait_ms float64 (NaN where it does not say), raw object, log object.
    """
    import pandas as pd

    records = [_record(message) for message in lines["@message"]]
    frame = pd.DataFrame(
        records, columns=[*_TEXTS, "error_kind", "error_message", "wait_for", "status", "duration_ms", "wait_ms"]
    )
    for column in ("status", "duration_ms", "wait_ms"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")
    frame.insert(
        0, "time", lines["@timestamp"].to_numpy() if not len(lines) else lines["@timestamp"].reset_index(drop=True)
    )
    frame.insert(1, "service", [service_of(log) for log in lines["@log"]])
    frame["raw"], frame["log"] = list(lines["@message"]), list(lines["@log"])
    return frame


def service_of(log: str) -> str:
    """Return the service that a log group is of: the last part of its name, without the account."""
    return log.split(":", 1)[-1].rstrip("/").rsplit("/", 1)[-1] or log


def _record(message: str) -> dict[str, Any]:
    import orjson

    try:
        found = orjson.loads(message)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        level = _LEVEL.search(message)
        return dict.fromkeys((*_TEXTS, "error_kind", "error_message", "wait_for"), "") | {
            "message": message,
            "level": _level(level[1] if level else ""),
        }
    record: dict[str, Any] = {name: _text(found.get(name)) for name in _TEXTS}
    error, wait = _mapping(found.get("error")), _mapping(found.get("wait"))
    record |= {
        "level": _level(record["level"]),
        "error_kind": _text(error.get("kind")),
        "error_message": _text(error.get("message")),
    }
    record |= {
        "wait_for": _text(wait.get("for")),
        "wait_ms": wait.get("ms"),
        "status": found.get("status"),
        "duration_ms": found.get("duration_ms"),
    }
    return record


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _level(word: str) -> str:
    return {"WARNING": "WARN"}.get(word.upper(), word.upper())
