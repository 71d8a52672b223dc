"""The detections as Logs Insights queries for the console, saved as query definitions by a plan.

Each is a file of queries/detections, named as its detection: what a query cannot tell its comment says, and opslib does.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING

from opslib import plan as plans
from opslib.actions import saved_queries
from opslib.checks import audit, audit_events, audit_story, detect_habits, detect_logins, detect_privileges
from opslib.checks.detections import DETECTIONS, checked

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.plan import Plan
    from opslib.run import Run

_HOLE = re.compile(r"\{([a-z_]+)\}")
LONGEST_BIN = 60  # minutes; Logs Insights counts on in hours from there


def save(run: Run, *, folder: str = "") -> Plan:
    """Plan to save the query of each detection over the audit log groups (logs:PutQueryDefinition).

    Without a `folder` it is one of the environment: two in one account do not undo each other's. Raises ParameterError,
    ConfigError, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment = run.environment
    place, groups = (
        folder or f"ops/{environment.name}/suspicious-operations",
        list(audit.log_groups(environment)["name"]),
    )
    return saved_queries.save(run, texts(environment, now=run.now), folder=place, groups=groups)


def texts(environment: Environment, *, now: datetime) -> dict[str, str]:
    """Return the query of each detection with its comment, by its name with dashes; thresholds are those of the configuration.

    Hours of the day are those of the environment's time zone as it is `now`: a query knows UTC alone.
    """
    checked(environment.detections)
    values = _values(environment, now)
    names = [name.replace(" ", "-") for name in DETECTIONS]
    return {name: _HOLE.sub(lambda hole: values[hole[1]], _file(name)) for name in names}


def _file(name: str) -> str:
    file = resources.files("opslib.queries").joinpath("detections", f"{name}.insights")
    return file.read_text(encoding="utf-8").strip()


def _values(environment: Environment, now: datetime) -> dict[str, str]:
    """Return what stands in the holes of the files; a bin has whole minutes, and rather more than fewer."""
    limits = environment.detections
    values = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in limits}
    for name in ("burst_minutes", "spray_minutes", "probe_minutes", "gap_minutes"):
        values[name] = str(min(LONGEST_BIN, math.ceil(getattr(limits, name))))
    offset = now.astimezone(environment.zone).utcoffset()
    hours = offset.total_seconds() / 3600 if offset else 0.0
    step = f"{'-' if hours < 0 else '+'} {abs(hours):g}"
    return values | {
        "login": audit_story.LOGIN.pattern, "privilege": audit_story.PRIVILEGE.pattern, "removal": audit_story.REMOVAL.pattern,
        "export": audit_story.EXPORT.pattern, "taken": detect_privileges.TAKEN.pattern, "off": detect_privileges.OFF.pattern,
        "denied": audit_events.DENIED.pattern, "spray_network_accounts": str(limits.spray_accounts * max(detect_logins.WIDER.values())),
        "sequence_percent": f"{100 * limits.sequence_share:g}", "offset_step": step, "offset_said": f"UTC {step} h",
        "first_hour": str(detect_habits.COLD_HOURS.start), "end_hour": str(detect_habits.COLD_HOURS.stop), "weekdays": str(detect_habits.COLD_DAYS.stop),
    }  # fmt: skip
