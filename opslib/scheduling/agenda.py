"""The schedules of an environment, held against the runbooks that there are: a mistake is told before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib import config
from opslib.alerting import report_alarms
from opslib.checks.wording import took
from opslib.errors import ConfigError, OpsError
from opslib.runner import parameters, runbooks

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.config_sections import Schedule

WINDOW = "window"


@dataclass(frozen=True)
class Scheduled:
    """A schedule whose runbook and parameters are there."""

    schedule: Schedule
    runbook: str  # its full name
    values: dict[str, Any]  # the parameters, as their declared types
    follows: (
        bool  # its window begins where the last good run's ended; else the runbook has none, or the schedule fixes it
    )


def agenda(environment: Environment) -> list[Scheduled]:
    """Return what an environment runs on schedule; raises ConfigError that names file, key and remedy."""
    return [_held(schedule, environment) for schedule in config.schedules(environment)]


def named(environment: Environment, names: tuple[str, ...]) -> list[Scheduled]:
    """Return those of these names, all of them without one; raises ConfigError for a name that there is not."""
    found = {one.schedule.name: one for one in agenda(environment)}
    for name in names:
        if name not in found:
            raise ConfigError(
                f"there is no schedule {name!r} in {environment.name}",
                why=f"there are {', '.join(found) or 'none'}",
                fix=f"add a [[schedule]] to {config.FILE_NAME}, or choose one of these",
            )
    return [found[name] for name in names] if names else list(found.values())


def _held(schedule: Schedule, environment: Environment) -> Scheduled:
    try:
        runbook, file = runbooks.find(schedule.notebook)
        notebook = runbooks.read(file)
        if runbooks.described(notebook)["kind"] == "WRITES":
            raise ConfigError(f"{runbook} changes things", why="on schedule it would only plan, and the plan ends unread", fix=f"a person runs it: opslib open {runbook}")  # fmt: skip
        known = parameters.declared(notebook)
    except OpsError as error:
        raise _wrong(schedule, "notebook", error) from None
    try:
        values = parameters.checked(runbook, known, schedule.parameters)
        defaults = {name: parameter.default for name, parameter in known.items() if name != WINDOW}
        parameters.checked(runbook, known, {**defaults, **values})  # an id that a person would fill in is nobody's here
    except OpsError as error:
        raise _wrong(schedule, "parameters", error) from None
    if "env" in values:
        raise _wrong(schedule, "parameters", ConfigError("env is the schedule's own", fix='write env = "…" beside notebook'))  # fmt: skip
    if WINDOW in schedule.model_fields_set and (WINDOW not in known or WINDOW in values):
        why = f"{runbook} has no window" if WINDOW not in known else "parameters fix the window already"
        raise _wrong(schedule, WINDOW, ConfigError(why, fix="leave out one of them"))
    follows, gap = WINDOW in known and WINDOW not in values, report_alarms.gap(environment, schedule)
    if follows and schedule.most <= gap:
        apart, fix = took(gap.total_seconds()), "leave it out, or give more than that"
        raise _wrong(schedule, "longest", ConfigError(f"up to {apart} lie between two runs", why=f"each would cover only the last {schedule.longest}", fix=fix))  # fmt: skip
    if "s3" in schedule.deliver and not environment.report_bucket:
        lacks = f"environment {environment.name} has no report_bucket"
        raise _wrong(schedule, "deliver", ConfigError(lacks, fix=f"name one in [env.{environment.name}], or leave out \"s3\""))  # fmt: skip
    return Scheduled(schedule, runbook, values, follows)


def _wrong(schedule: Schedule, key: str, error: OpsError) -> ConfigError:
    why = f"{error.what}{f': {error.why}' if error.why else ''}"
    return ConfigError(f"{config.schedule_origin(schedule.name)}: key {key!r} is wrong", why=why, fix=error.fix)
