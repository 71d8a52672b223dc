"""Requests near one request: those with the same error, and the services that usually answer on its route."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from opslib.sources import log_lines, logs
from opslib.sources.insights_quoting import literal, literals
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

AROUND = timedelta(minutes=15)
BEFORE = timedelta(hours=2)
SAMPLE, USUAL_SHARE = 20, 0.5


def same_error(run: Run, kind: str, *, groups: Sequence[str], moment: datetime) -> pd.DataFrame:
    """Return the lines with the same `error.kind` within 15 minutes, newest first, at most 1,000.

    Columns: time datetime64[ns, UTC], request_id, user_id, route, service object. Empty for an error without a kind.
    attrs: window, query, usd, complete.
    """
    import pandas as pd

    if not kind:
        empty = pd.DataFrame(
            {name: pd.Series(dtype="object") for name in ("time", "request_id", "user_id", "route", "service")}
        )
        empty.attrs.update(window="", query="", usd=0.0, complete=True)
        return empty
    window = Window(moment - AROUND, min(moment + AROUND, run.now), run.environment.zone)
    text = f"filter error.kind = {literal(kind)} and ispresent(request_id) | fields @timestamp, request_id, user_id, route, @log | sort @timestamp desc | limit 1000"
    answer = logs.query(run.environment, text, groups=groups, window=window, limit=1000)
    run.usd += answer.usd
    found = answer.frame.reindex(columns=["@timestamp", "request_id", "user_id", "route", "@log"])
    frame = pd.DataFrame({"time": found["@timestamp"], "request_id": found["request_id"].fillna(""), "user_id": found["user_id"].fillna(""),
                          "route": found["route"].fillna(""), "service": [log_lines.service_of(log) for log in found["@log"]]})  # fmt: skip
    frame = frame.sort_values(["time", "request_id"], ascending=[False, True], kind="stable").reset_index(drop=True)
    frame.attrs.update(window=window.text(), query=text, usd=answer.usd, complete=answer.complete or len(found) < 1000)
    return frame


def usual_services(run: Run, route: str, *, moment: datetime) -> pd.DataFrame:
    """Return the services that write lines for at least half of 20 good requests of the route in the two hours before.

    Columns: service object, requests int64. Empty without a route or without good requests.
    """
    import pandas as pd

    nobody = pd.DataFrame({"service": pd.Series(dtype="object"), "requests": pd.Series(dtype="int64")})
    groups = list(logs.log_groups(run.environment, patterns=run.environment.log_groups)["name"])[: logs.GROUPS_A_QUERY]
    if not route or not groups:
        return nobody
    window = Window(moment - BEFORE, moment, run.environment.zone)
    text = f"filter route = {literal(route)} and status < 400 and ispresent(request_id) | fields @timestamp, request_id | sort @timestamp desc | limit {SAMPLE}"
    good = logs.query(run.environment, text, groups=groups, window=window, limit=SAMPLE)
    ids = sorted(set(good.frame["request_id"])) if len(good.frame) else []
    if not ids:
        return nobody
    counted = f"filter request_id in {literals(ids)} | stats count_distinct(request_id) as requests by @log"
    answer = logs.query(
        run.environment, counted, groups=groups, window=Window(window.start, moment + AROUND, window.zone)
    )
    run.usd += good.usd + answer.usd
    frame = pd.DataFrame(
        {
            "service": [log_lines.service_of(log) for log in answer.frame["@log"]],
            "requests": answer.frame["requests"].astype("float64").astype("int64"),
        }
    )
    frame = frame[frame["requests"] >= USUAL_SHARE * len(ids)]
    return frame.sort_values("service").reset_index(drop=True)
