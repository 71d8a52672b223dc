"""Errors in the logs as patterns: kind and message without what differs from line to line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opslib import frames, redact
from opslib.errors import ParameterError
from opslib.sources import log_lines, logs

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run
    from opslib.window import Window

COLUMNS = {"service": "str", "kind": "str", "level": "str", "pattern": "str", "lines": "int64", "requests": "int64",
           "first": "time", "example": "str"}  # fmt: skip
LONGEST = 160
WIDTHS = {1: "1m", 2: "2m", 5: "5m", 10: "10m", 30: "30m", 60: "1h", 120: "2h", 360: "6h", 1440: "1d"}


def totals(run: Run, *, window: Window, groups: Sequence[str]) -> pd.DataFrame:
    """Return how often each pattern of error was written (logs:StartQuery, error_patterns.insights).

    Columns: service, kind, level (upper case), pattern, example (a request id) str, empty where lines do not say; lines,
    requests int64; first datetime64[ns, UTC]. attrs: window, query, usd, problems, note, scanned (lines of any kind). Raises SourceError, and
    ParameterError for more than 50 log groups.
    """
    return _asked(run, window, groups, "")


def course(run: Run, *, window: Window, groups: Sequence[str]) -> pd.DataFrame:
    """Return the same by time: column `at` is the beginning of a bin; attrs["minutes"] says how wide a bin is."""
    minutes = next((width for width in WIDTHS if window.seconds / 60 / width <= 120), 1440)
    frame = _asked(run, window, groups, f", bin({WIDTHS[minutes]}) as at")
    frame.attrs["minutes"] = minutes
    return frame


def _asked(run: Run, window: Window, groups: Sequence[str], by_time: str) -> pd.DataFrame:
    if len(groups) > logs.GROUPS_A_QUERY:
        raise ParameterError(f"{len(groups)} log groups are too many for one statistic", fix="name at most 50")
    text = logs.query_text("error_patterns").replace("{by_time}", by_time)
    answer = logs.query(run.environment, text, groups=groups, window=window, deadline_s=2 * run.deadline)
    run.usd += answer.usd
    rows = [
        {
            "service": log_lines.service_of(str(row["@log"])),
            "kind": _text(row.get("kind")),
            "level": log_lines.level_of(row.get("severity")),
            "pattern": redact.cut(_text(row.get("error_pattern")), LONGEST),
            "lines": int(row["lines"]),
            "requests": int(row.get("requests") or 0),
            "first": row["first"],
            "example": _text(row.get("example")),
        }
        | ({"at": row["at"]} if by_time else {})
        for row in answer.frame.to_dict("records")
    ]
    frame = frames.made(rows, COLUMNS | ({"at": "time"} if by_time else {}))
    problems = [] if answer.complete else [f"{window.text()}: {answer.reason}"]
    frame.attrs.update(
        window=window.text(), query=text, usd=answer.usd, problems=problems, note=answer.note(), scanned=answer.scanned
    )
    return frame


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
