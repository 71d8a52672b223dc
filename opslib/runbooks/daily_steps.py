"""Where the daily report sends to for a component that is off; of a service its logs are asked, and only when it is off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from opslib.checks import incident_series
from opslib.result import Next, Verdict
from opslib.runbooks.first_look_parts import kinds
from opslib.runbooks.next_step import INVESTIGATE, runbook_of
from opslib.sources import error_counts
from opslib.window import Window

if TYPE_CHECKING:
    from opslib.run import Fact
    from opslib.runbooks.daily_lines import Line, Look

LOGS_SECONDS = 6.0  # after the first round: both together stay under the report's 20 s
RECENT, LONGEST = timedelta(hours=1), timedelta(days=1)


def with_logs(look: Look, lines: Iterable[Line]) -> Look:
    """Return the look with the errors of its last hour, when a service is off by itself: a query costs what it scans.

    The verdict needs them not. Without an answer the step says so, and is a first look, which asks again.
    """
    names = look.run.environment.services.names
    if look.story is None or not any(_asks(line) and line.component in names for line in lines):
        return look
    window = Window(look.recent.start - incident_series.HISTORY / 2, look.recent.end, look.recent.zone)
    asked = look.run.facts(deadline_s=LOGS_SECONDS, errors=partial(error_counts.by_minute, look.run, window=window))
    return replace(look, logs=asked["errors"], story=replace(look.story, errors=asked["errors"].frame))


def _asks(line: Line) -> bool:
    return line.verdict in (Verdict.CRITICAL, Verdict.WARN) and not line.symptom_of


def step(look: Look, line: Line) -> Next:
    """Return the notebook that shows why a component is off, the kind of error that tells so for its reason."""
    row = look.story.off[look.story.off["component"] == line.component] if look.story is not None else pd.DataFrame()
    said, names = logged(look, line.component), set(look.run.environment.services.names)
    if line.component in names:
        runbook = _of_service(look, line.component, said)
    else:
        runbook = runbook_of(line.component, str(row["metric"].iloc[0]) if len(row) else "", [], names)
    start = row["since"].iloc[0].to_pydatetime() if len(row) else look.window.start
    if runbook == "first-look":
        start = max(start, look.window.end - LONGEST)  # it takes no longer one
    elif len(row):
        start -= RECENT
    parameters = {"window": Window(start, look.window.end, look.window.zone).as_parameter()}
    if runbook == "failing-service":
        parameters = {"service": line.component, **parameters}
    database = look.run.environment.database
    if line.component == "replica" and database and database.replicas:
        parameters = {"instance": database.replicas[0], **parameters}
    unseen = _unseen(look.logs) if look.logs and line.component in names else []
    return Next(INVESTIGATE + runbook, parameters, ", ".join([*unseen, *said[:1]]))


def _unseen(logs: Fact) -> list[str]:
    """Say what of the logs was not read: what they do not show may be there."""
    if logs.frame is None:
        return [f"not seen, {logs.error.what}"] if logs.error else []
    return [] if logs.frame.attrs["complete"] else ["not all were read"]


def _of_service(look: Look, service: str, said: list[str]) -> str:
    """Logins that fail are an account's matter; then tasks that are not well; then errors that grew; else nobody knows yet."""
    told = [runbook_of(service, kind, [], {service}) for kind in said]
    judged = look.services
    if "who-did-what" in told:
        return "who-did-what"
    if judged is not None and len(judged) and service in set(judged.loc[judged["verdict"] != "ok", "service"]):
        return "failing-service"
    return told[0] if told else "first-look"


def logged(look: Look, service: str) -> list[str]:
    """Return the kinds of errors that grew in a service, most lines first; not those that speak of another of our components."""
    if look.story is None or look.story.errors is None:
        return []
    found = kinds(look.story)
    ours = {component for component, _ in look.metrics} - {service}
    mine = found[(found["service"] == service) & found["grown"].astype(bool) & ~found["component"].isin(ours)]
    return list(mine["kind"])
