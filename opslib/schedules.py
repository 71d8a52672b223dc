"""What runs by itself and when: the `[[schedule]]` entries of opslib.toml, and their slots in the environment's time zone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field, model_validator

from opslib import config
from opslib.config import Environment
from opslib.config_sections import Strict, validated
from opslib.errors import ConfigError, WindowError
from opslib.window import duration

_FOLD = timedelta(hours=3)  # longer than any clock is put back
_YEAR, _MANY = timedelta(days=400), 2000  # how far slots are looked at for the longest time between two


def _span(text: str) -> str:
    try:
        duration(text)
    except WindowError as error:
        raise ValueError(f"{error.what}; {error.fix}") from None
    return text


def _cron(text: str) -> str:
    try:
        if text and len(text.split()) != 5:
            raise CronSimError("there are five fields: minute hour day month weekday")
        if text:
            next(CronSim(text, datetime(2027, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f'{text!r} is no time: {error or "it never comes"}; for example cron = "0 7 * * 1-5"'
        ) from None
    return text


def _every(text: str) -> str:
    minutes = duration(_span(text)) / timedelta(minutes=1) if text else 1
    if minutes > 720 or (60 % minutes if minutes < 60 else 1440 % minutes or minutes % 60):
        raise ValueError(
            f'{text!r} does not divide the hour or the day; write 5m, 15m, 1h or 6h, or a cron = "0 7 * * *"'
        )
    return text


Span = Annotated[str, AfterValidator(_span)]


class Schedule(Strict):
    """One runbook that runs by itself, in one environment."""

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9-]{0,59}\z")] = ""  # empty: the runbook's
    notebook: str
    env: str = ""  # empty: the default
    cron: Annotated[str, AfterValidator(_cron)] = ""  # minute hour day month weekday, in the environment's time zone
    every: Annotated[str, AfterValidator(_every)] = ""  # instead: a span such as "15m", counted from midnight UTC
    parameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    deliver: tuple[Literal["slack", "s3"], ...] = ()
    tell: Literal["always", "changes"] = "always"  # changes: Slack hears nothing while all is as it was
    retries: int = Field(1, ge=0, le=10)
    retry_pause: Span = "5m"
    timeout: Span = "30m"  # of one try
    settle: Span = "0m"  # the window ends so long before now: what comes late is in the next one, not in none
    catch_up_days: float = Field(7, gt=0, le=90)
    enabled: bool = True

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: dict[str, Any]) -> dict[str, Any]:
        runbook = str(values.get("notebook", "")).rpartition("/")[2].removesuffix(".ipynb")
        return {"name": runbook, **values} if runbook else values

    @model_validator(mode="after")
    def _timed(self) -> Schedule:
        if bool(self.cron) == bool(self.every):
            raise ValueError('it needs either cron or every; write cron = "0 7 * * *" or every = "15m"')
        if "/" in str(self.parameters.get("window", "")):
            raise ValueError("parameters.window never moves; write a span such as 30d, or leave it out: the time since the last good run")  # fmt: skip
        return self

    @property
    def when(self) -> str:
        """Return the times as they are written."""
        return self.cron or f"every {self.every}"

    def expression(self) -> str:
        """Return the times as a cron expression; that of `every` is in UTC."""
        minutes = int(duration(self.every) / timedelta(minutes=1)) if self.every else 0
        return self.cron or (f"*/{minutes} * * * *" if minutes < 60 else f"0 */{minutes // 60} * * *")

    def latest(self, now: datetime, zone: tzinfo) -> datetime | None:
        """Return the newest slot that is not after now, in UTC; None when there never was one.

        At a change of the clock a slot that does not exist is at the next that does, and one that comes twice comes once.
        """
        return next((slot for slot in self._slots(now + _FOLD, zone, back=True) if slot <= now), None)

    def following(self, now: datetime, zone: tzinfo) -> datetime:
        """Return the first slot after now, in UTC."""
        return next(slot for slot in self._slots(now - _FOLD, zone) if slot > now)

    def longest_gap(self, zone: tzinfo) -> timedelta:
        """Return the longest time between two slots of a year."""
        slots = list(islice(self._slots(datetime(2027, 1, 1, tzinfo=UTC), zone), _MANY))
        return max(later - slot for slot, later in pairwise(slots) if slot < slots[0] + _YEAR)

    def _slots(self, start: datetime, zone: tzinfo, *, back: bool = False) -> Iterator[datetime]:
        here = start.astimezone(UTC if self.every else zone)
        return (slot.astimezone(UTC) for slot in CronSim(self.expression(), here, reverse=back))


def schedules(environment: Environment) -> list[Schedule]:
    """Return the schedules of an environment in the order of the file, also those that are not enabled.

    Raises ConfigError that names file, key and remedy.
    """
    if environment.sandbox:
        file = config.sandbox_folder() / "sandbox.json"
        content = {"default": "sandbox", "schedule": json.loads(file.read_text(encoding="utf-8")).get("schedules", [])}
    else:
        file = config.project_root() / config.FILE_NAME
        content = config.read_file(file) if file.is_file() else {}
    found: list[Schedule] = []
    for number, entry in enumerate(content.get("schedule", []), 1):
        origin = _origin(file, number, entry)
        one = validated(Schedule, entry, origin=origin)
        one = one if one.env else one.model_copy(update={"env": str(content.get("default", ""))})
        if one.env == environment.name:
            _check(one, environment, [other.name for other in found], origin)
            found.append(one)
        elif one.env not in content.get("env", {}):
            raise ConfigError(f"{origin}: key 'env' is wrong", why=f"there is no environment {one.env!r}", fix=f"choose one of {', '.join(content.get('env', {}))}")  # fmt: skip
    return found


def _check(one: Schedule, environment: Environment, others: list[str], origin: str) -> None:
    """Refuse a second of one name, and a delivery to what the environment does not name."""
    slack, section = environment.slack, f"[env.{environment.name}]"
    if one.name in others:
        raise ConfigError(f"{origin}: key 'name' is wrong", why=f"another one is named {one.name!r}", fix='give each its own: name = "…"')  # fmt: skip
    if "s3" in one.deliver and not environment.report_bucket:
        raise ConfigError(f"{origin}: key 'deliver' is wrong", why=f"s3 needs a bucket, and {section} names none", fix=f'add report_bucket = "…" to {section}')  # fmt: skip
    if "slack" in one.deliver and not (slack.webhook_env or slack.webhook_file or slack.webhook_secret):
        raise ConfigError(f"{origin}: key 'deliver' is wrong", why=f"slack needs a webhook, and {section} says nowhere where its address lies", fix=f'add slack = {{ webhook_file = "…" }} (or webhook_env, webhook_secret) to {section}')  # fmt: skip


def _origin(file: Any, number: int, entry: Any) -> str:
    said = entry.get("name") or entry.get("notebook") if isinstance(entry, dict) else ""
    return f"{file}, [[schedule]] {number}{f' ({said})' if said else ''}"
