"""Where to go on after a first look: the notebook that shows the cause, with its parameters."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from opslib.result import Next
from opslib.runbooks.first_look_parts import kinds, trace
from opslib.runbooks.first_look_story import Story
from opslib.window import Window

if TYPE_CHECKING:
    from opslib.runbooks.starting_point import StartingPoint

INVESTIGATE = "2-investigate/"
_OF_COMPONENT = {
    "database": "slow-database", "replica": "slow-database", "cache": "slow-cache", "jobs": "failed-jobs",
    "cdn": "slow-frontend", "frontend": "slow-frontend", "dns": "slow-frontend", "load-balancer": "slow-frontend",
}  # fmt: skip
_TASKS = re.compile(r"that died|Memory|RunningTask|RestartCount|PendingTask|CPUUtilization")
_LOGIN = re.compile(r"warnings .*(Credential|Password|Login|Unauthori|Forbidden|Denied)", re.I)
BEFORE = timedelta(hours=1)


def steps(story: Story, point: StartingPoint) -> tuple[Next, ...]:
    """Return the notebooks to open, the one that shows the cause first; then an example request, then who did it."""
    top = story.cause
    component, metric = str(top["component"]), str(top["metric"])
    off = [name for owner, name, *_ in story.ranked.attrs["off"] if owner == component]
    window = Window(top["since"].to_pydatetime() - BEFORE, story.incident.end, story.incident.zone).as_parameter()
    runbook = runbook_of(component, metric, off, set(story.run.environment.services.names))
    parameters = {"window": window}
    if runbook == "failing-service":
        parameters = {"service": component, **parameters}
    if component == "jobs" and story.errors is not None:
        failing = (
            story.errors[(story.errors["job"] != "") & (story.errors["minute"] >= top["since"])]
            .groupby("job")["lines"]
            .sum()
        )
        parameters |= {"job": str(failing.idxmax())} if len(failing) else {}
    if component == "replica" and (database := story.run.environment.database) and database.replicas:
        parameters = {"instance": database.replicas[0], **parameters}
    found = [Next(INVESTIGATE + runbook, parameters, f"see why {component} is off")]
    example = _example(story, component)
    found += trace(point) or (
        (Next(INVESTIGATE + "trace-request", {"request_id": example}, "follow one request that met it"),)
        if example
        else ()
    )
    if runbook != "who-did-what":
        found.append(Next(INVESTIGATE + "who-did-what", {"window": window}, "see who changed what just before"))
    return tuple(found)


def runbook_of(component: str, metric: str, off: list[str], services: set[str]) -> str:
    """Return the notebook that shows why a component is off; `off` are its metrics that are."""
    if component in _OF_COMPONENT:
        return _OF_COMPONENT[component]
    if component in services:
        if _LOGIN.search(metric):
            return "who-did-what"
        if any(_TASKS.search(name) for name in off):
            return "failing-service"
    return "search-errors"  # of a service, or of whom the services call


def _example(story: Story, component: str) -> str:
    """Return a request of the kind of error that grew most in the component, else in any."""
    table = kinds(story)
    grown = table[table["grown"] & (table["example"] != "")] if len(table) else table
    ours = grown[grown["component"] == component] if len(grown) else grown
    chosen = ours if len(ours) else grown
    return str(chosen["example"].iloc[0]) if len(chosen) else ""
