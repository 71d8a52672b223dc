"""The application's audit trail: the table `audit_logs` by bound parameters, and its twin, the audit log group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opslib import database
from opslib.sources import logs, table_rows
from opslib.sources.insights_quoting import literal

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

COLUMNS = (
    "id", "at", "actor", "actor_type", "action", "target_type", "target_id", "ip", "user_agent", "outcome", "request_id", "detail",
)  # fmt: skip
_LINE = "fields @timestamp, audit_id, actor, actor_type, action, target_type, target_id, ip, user_agent, outcome, request_id"
_DETAIL = ("rows", "api_key")  # of the detail, what detections count: Logs Insights gives no object, only its fields


def rows_of_request(environment: Environment, request_id: str) -> pd.DataFrame:
    """Return the rows of `audit_logs` that carry the request id, oldest first, at most 200 (queries/audit_logs_of_request.sql).

    Raises DatabaseError when there is no way to the database or it refuses.
    """
    return database.fetch(environment, "audit_logs_of_request", {"request_id": request_id})


def rows(
    environment: Environment,
    *,
    window: Window,
    actor: str = "",
    action: str = "",
    target: str = "",
    who: str = "",
    most: int = table_rows.MOST,
) -> pd.DataFrame:
    """Return the rows of the window, oldest first (queries/audit_logs_page.sql).

    `action` may hold *, as in "order.*"; `who` matches actor or target. Columns: COLUMNS, at datetime64[ns, UTC], the
    others str or None but id int64. attrs as of `table_rows.rows`. Raises DatabaseError.
    """
    bound = {"actor": actor, "action": table_rows.like(action), "target": target, "who": who}
    return _timed(table_rows.rows(environment, "audit_logs_page", bound, window=window, by="at", most=most))


def habits(environment: Environment, *, window: Window, actors: Sequence[str]) -> pd.DataFrame:
    """Return what the actors did from which network in the window (queries/audit_habits.sql).

    Columns: actor, action, network str, rows, days int64, first_at, last_at datetime64[ns, UTC], hours str (of the
    environment's day, with blanks between).
    """
    bound = {"actors": list(actors), "zone": environment.timezone}
    return _timed(table_rows.table(environment, "audit_habits", bound, window=window))


def history(environment: Environment, *, window: Window, actors: Sequence[str]) -> pd.DataFrame:
    """Return what the actors did by hour, action and network in the window (queries/audit_history.sql).

    Columns: actor, action, network str, hour datetime64[ns, UTC], rows, targets (different ones), exported (rows) int64.
    """
    bound = {"actors": list(actors), "zone": environment.timezone}
    return _timed(table_rows.table(environment, "audit_history", bound, window=window))


def lines(
    environment: Environment,
    *,
    groups: Sequence[str],
    window: Window,
    actor: str = "",
    action: str = "",
    target: str = "",
    who: str = "",
    deadline_s: float = 60,
) -> pd.DataFrame:
    """Return the same columns as `rows` from audit lines in log groups (logs:StartQuery); of `detail` only rows and api_key.

    attrs: complete, problems, read_from "the log groups ...", query, usd. Raises SourceError, ParameterError.
    """
    asked = [f"actor = {literal(actor)}"] if actor else []
    asked += [f"action like /^{_pattern(action)}$/"] if action else []
    asked += [f"target_id = {literal(target)}"] if target else []
    asked += [f"(actor = {literal(who)} or target_id = {literal(who)})"] if who else []
    fields = ", ".join([_LINE, *(f"detail.{name}" for name in _DETAIL)])
    text = " | ".join([fields, *(f"filter {part}" for part in ["ispresent(actor) and ispresent(action)", *asked])])
    text += f" | sort @timestamp asc | limit {logs.ROWS_A_QUERY}"
    answer = logs.query(environment, text, groups=groups, window=window, limit=logs.ROWS_A_QUERY, deadline_s=deadline_s)
    return _as_rows(answer, groups, text)


def _as_rows(answer: Any, groups: Sequence[str], text: str) -> pd.DataFrame:
    import pandas as pd

    frame = answer.frame.rename(columns={"@timestamp": "at", "audit_id": "id"})
    detail = _details(frame)
    frame = frame.reindex(columns=list(COLUMNS)).assign(detail=detail)
    texts = [name for name in COLUMNS if name not in ("id", "at")]
    frame[texts] = frame[texts].astype("str")  # a column that no line has is all missing
    frame["id"] = pd.to_numeric(frame["id"]).fillna(0).astype("int64")
    frame = _timed(frame).sort_values(["at", "id"], kind="stable").reset_index(drop=True)
    cut = [] if answer.complete else ["there are more lines than one query returns"]
    frame.attrs.update(
        complete=answer.complete, problems=cut, read_from=", ".join(groups), lag_s=0.0, query=text, usd=answer.usd
    )
    return frame


def _details(frame: pd.DataFrame) -> list[str | None]:
    """Return the fields of each line's detail that were asked for, as JSON."""
    import json

    columns = frame.reindex(columns=[f"detail.{name}" for name in _DETAIL])
    rows = zip(*(columns[name] for name in columns), strict=True)
    return [
        json.dumps(found)
        if (found := {name: str(value) for name, value in zip(_DETAIL, row, strict=True) if value == value and value})
        else None
        for row in rows
    ]


def _pattern(action: str) -> str:
    """Return the pattern as a regular expression of letters, digits, dots, dashes and .* only; the rest is refused."""
    import re

    literal(action)
    if not re.fullmatch(r"[\w.:*-]{1,128}", action, re.ASCII):
        from opslib.errors import ParameterError

        raise ParameterError(f"{action!r} cannot be an action", fix="such as session.login or order.*")
    return action.replace(".", "\\.").replace("*", ".*")


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of times their type, which an empty column has not."""
    import pandas as pd

    for column in frame.columns.intersection(["at", "first_at", "last_at", "hour"]):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[ns, UTC]")
    return frame
