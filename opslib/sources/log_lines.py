"""Log lines as columns: JSON lines by their keys, plain text by what can be read off it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b")
_STATUS = re.compile(r"\bstatus[:=] ?([1-5][0-9]{2})\b")
_TOOK = re.compile(r"\b(?:\w+_)?time[:=] ?([0-9]+\.[0-9]+)\b(?! ?ms)")  # nginx, uwsgi and OpenStack write seconds
_TEXTS = ("level", "request_id", "trace_id", "user_id", "route", "method", "message")
# what libraries call the same thing; the first one present counts
_NAMES = {
    "level": ("level", "severity", "severityText", "lvl", "levelname", "log.level"), "message": ("message", "msg", "event"),
    "user_id": ("user_id", "userId"), "request_id": ("request_id", "requestId"), "trace_id": ("trace_id", "traceId"),
    "error": ("error", "err", "exception"), "kind": ("kind", "type", "name", "class", "code"), "text": ("message", "msg", "detail"),
    "duration_ms": ("duration_ms", "durationMs", "elapsed_ms", "responseTime"), "status": ("status", "statusCode", "status_code"),
}  # fmt: skip
_PINO = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
_LEVELS = {"WARNING": "WARN", "ERR": "ERROR", "CRIT": "CRITICAL", "EMERG": "FATAL", "ALERT": "FATAL", "PANIC": "FATAL", "SEVERE": "ERROR"}  # fmt: skip
_FAILED = frozenset({"failed", "failure", "error"})
FAILING = frozenset({"ERROR", "CRITICAL", "FATAL"})
LONGEST_MS = 30 * 86_400_000.0  # longer than a month is no duration of a request


def parsed(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the lines with what they say as columns, in the same order.

    Columns: time datetime64[ns, UTC], service, level, message, request_id, trace_id, user_id, route, method,
    error_kind, error_message, wait_for object (empty text where the line does not say), status, duration_ms,
    wait_ms float64 (NaN where it does not say, or says nonsense), raw object, log object.
    """
    import pandas as pd

    records = [_record(message) for message in lines["@message"]]
    said = ["error_kind", "error_message", "wait_for", "status", "duration_ms", "wait_ms"]
    frame = pd.DataFrame(records, columns=[*_TEXTS, *said])
    for column in ("status", "duration_ms", "wait_ms"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")
        frame.loc[~frame[column].between(0, LONGEST_MS), column] = float("nan")
    frame.insert(0, "time", lines["@timestamp"].reset_index(drop=True))
    frame.insert(1, "service", [service_of(log) for log in lines["@log"]])
    frame["raw"], frame["log"] = list(lines["@message"]), list(lines["@log"])
    return frame


def failing(lines: pd.DataFrame) -> Any:
    """Return which parsed lines say that something failed, as a boolean Series."""
    return lines["level"].isin(FAILING) | (lines["error_kind"] != "") | (lines["error_message"] != "")


def service_of(log: str) -> str:
    """Return the service that a log group is of: the last part of its name, without the account."""
    return log.split(":", 1)[-1].rstrip("/").rsplit("/", 1)[-1] or log


def _record(message: str) -> dict[str, Any]:
    import orjson

    try:
        found = orjson.loads(message)
    except ValueError:
        found = None
    return _of_json(found) if isinstance(found, dict) else _of_text(message)


def _of_text(message: str) -> dict[str, Any]:
    level, status = _LEVEL.search(message), _STATUS.search(message)
    took = _TOOK.search(message) if status else None  # without a status it is of a step, not of the request
    empty = dict.fromkeys((*_TEXTS, "error_kind", "error_message", "wait_for"), "")
    return empty | {
        "message": message,
        "level": level_of(level[1] if level else ""),
        "status": status[1] if status else None,
        "duration_ms": float(took[1]) * 1000 if took else None,
    }


def _of_json(found: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {name: _text(_named(found, name)) for name in _TEXTS}
    error, status, wait = _named(found, "error"), _named(found, "status"), _mapping(found.get("wait"))
    level = level_of(_named(found, "level"))
    kind, said = (_named(error, "kind"), _named(error, "text")) if isinstance(error, dict) else (None, error)
    return record | {
        "level": level or ("ERROR" if _text(status).lower() in _FAILED else ""),
        "error_kind": _text(kind) or ("" if isinstance(error, dict) else _kind_of(_text(said))),
        "error_message": _text(said),
        "wait_for": _text(wait.get("for")),
        "wait_ms": wait.get("ms"),
        "status": status,
        "duration_ms": _named(found, "duration_ms"),
    }


def _named(found: dict[str, Any], name: str) -> Any:
    keys = _NAMES.get(name, (name,))
    return next((found[key] for key in keys if found.get(key) not in (None, "", False)), None)


def _kind_of(text: str) -> str:
    """Return what stands before the colon of "TimeoutError: no answer", when that is one word."""
    head = re.match(r"([A-Za-z_][\w.]{2,60}):", text)
    return head[1] if head else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def level_of(value: Any) -> str:
    """Return a level in upper case under its usual name; numbers are those of pino."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _PINO.get(value // 10 * 10, "FATAL" if value > 60 else "")
    word = _text(value).upper()
    return _LEVELS.get(word, word)
