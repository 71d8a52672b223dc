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
    answer = logs.query(
        run.environment,
        text,
        groups=list(groups)[: logs.GROUPS_A_QUERY],
        window=window,
        limit=1000,
        deadline_s=run.deadline,
    )
    run.usd += answer.usd
    found = answer.frame.reindex(columns=["@timestamp", "request_id", "user_id", "route", "@log"])
    frame = pd.DataFrame({"time": found["@timestamp"], "request_id": found["request_id"].fillna(""), "user_id": found["user_id"].fillna(""),
                          "route": found["route"].fillna(""), "service": [log_lines.service_of(log) for log in found["@log"]]})  # fmt: skip
    frame = frame.sort_values(["time", "request_id"], ascending=[False, True], kind="stable").reset_index(drop=True)
    frame.attrs.update(
        window=window.text(),
        query=text,
        usd=answer.usd,
        complete=(answer.complete or len(found) < 1000) and len(groups) <= logs.GROUPS_A_QUERY,
    )
    return frame


def usual_services(run: Run, route: str, *, groups: Sequence[str], moment: datetime) -> pd.DataFrame:
    """Return the services that write lines for at least half of 20 good requests of the route in the two hours before.

    Only the given groups are asked. Columns: service object, requests int64. Empty without a route or good requests.
    """
    import pandas as pd

    window = Window(moment - BEFORE, moment, run.environment.zone)
    ids = _good_requests(run, route, groups, window) if route else []
    counts: dict[str, int] = {}
    for begin in range(0, len(groups) if ids else 0, logs.GROUPS_A_QUERY):
        text = f"filter request_id in {literals(ids)} | stats count_distinct(request_id) as requests by @log"
        part = groups[begin : begin + logs.GROUPS_A_QUERY]
        answer = logs.query(
            run.environment,
            text,
            groups=part,
            window=window.widened(before=timedelta(), after=AROUND),
            deadline_s=run.deadline,
        )
        run.usd += answer.usd
        counts |= {
            log_lines.service_of(row["@log"]): int(float(row["requests"])) for row in answer.frame.to_dict("records")
        }
    usual = sorted((service, count) for service, count in counts.items() if count >= USUAL_SHARE * len(ids))
    services, requests = [service for service, _ in usual], [count for _, count in usual]
    return pd.DataFrame(
        {"service": pd.Series(services, dtype="object"), "requests": pd.Series(requests, dtype="int64")}
    )


def _good_requests(run: Run, route: str, groups: Sequence[str], window: Window) -> list[str]:
    text = f"filter route = {literal(route)} and status < 400 and ispresent(request_id) | fields @timestamp, request_id | sort @timestamp desc | limit {SAMPLE}"
    found: list[str] = []
    for begin in range(0, len(groups), logs.GROUPS_A_QUERY):
        part = groups[begin : begin + logs.GROUPS_A_QUERY]
        answer = logs.query(run.environment, text, groups=part, window=window, limit=SAMPLE, deadline_s=run.deadline)
        run.usd += answer.usd
        found += list(answer.frame["request_id"]) if len(answer.frame) else []
    return sorted(set(found))[:SAMPLE]
