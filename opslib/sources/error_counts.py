"""Errors and warnings in the logs, counted by minute, service and kind: one Logs Insights statistic over all groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.errors import SourceError
from opslib.sources import log_lines, logs

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run
    from opslib.window import Window

COLUMNS = {"minute": "time", "service": "str", "level": "str", "kind": "str", "job": "str", "lines": "int64", "said": "str",
           "waited": "str", "example": "str"}  # fmt: skip


def by_minute(run: Run, *, window: Window) -> pd.DataFrame:
    """Return how many lines of each kind of error or warning every service wrote a minute (logs:StartQuery).

    Columns: minute datetime64[ns, UTC]; service, level (upper case), kind, job, said (the newest message), waited (what
    for), example (a request id) str, empty where the lines do not say; lines int64. attrs: since (when the first line of
    any kind was written), window, query, usd, scanned, complete, groups. Raises SourceError.
    """
    environment = run.environment
    found = list(logs.log_groups(environment, patterns=environment.log_groups)["name"])
    groups = [name for name in found if log_lines.service_of(name) in environment.services.names] or found
    if not groups:
        raise SourceError("there is no log group to count errors in", fix="name log_groups in opslib.toml")
    text = logs.query_text("errors_by_minute")
    asked = groups[: logs.GROUPS_A_QUERY]
    answer = logs.query(environment, text, groups=asked, window=window, deadline_s=run.deadline)
    run.usd += answer.usd
    rows = [
        {name: _value(row.get(name), kind) for name, kind in COLUMNS.items()}
        | {"service": log_lines.service_of(str(row["@log"])), "level": _value(row.get("severity"), "str").upper()}
        for row in answer.frame.to_dict("records")
    ]
    wrong = [row for row in rows if row["kind"] or row["level"] in log_lines.FAILING]
    frame = frames.made(wrong, COLUMNS)
    frame.attrs.update(
        since=min((row["minute"] for row in rows), default=window.end).isoformat(),
        window=window.text(),
        query=text,
        usd=answer.usd,
        scanned=answer.scanned,
        complete=answer.complete and asked == groups,
        groups=asked,
    )
    return frame


def _value(given: Any, kind: str) -> Any:
    if given is None or given != given:
        return 0 if kind == "int64" else None if kind == "time" else ""
    return int(float(str(given))) if kind == "int64" else given if kind == "time" else str(given)
