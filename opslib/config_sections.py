"""The sections of opslib.toml, and how a value that is wrong is told: by file, key and remedy."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from opslib import cron
from opslib.errors import ConfigError
from opslib.window import SPANS

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A section that refuses a key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(Strict):
    """How to reach PostgreSQL; a password is only ever named by where it lies."""

    host: str
    hostaddr: str = ""
    port: int = Field(5432, ge=1, le=65535)
    dbname: str
    user: str
    auth: Literal["iam", "password"] = "iam"
    password_env: str = ""
    password_file: str = ""
    sslmode: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    sslrootcert: str = "system"
    statement_timeout_s: float = Field(15, gt=0, le=600)
    instance: str = ""  # the DB instance identifier of the primary
    replicas: tuple[str, ...] = ()
    replica_host: str = ""  # where reads go when there is one; empty: the primary
    replica_hostaddr: str = ""
    replica_port: int = Field(5432, ge=1, le=65535)
    read_switch: str = ""  # the SSM parameter that tells the application where it reads: primary or replica
    read_record: str = ""  # the weighted DNS name by which it reads
    change_user: str = ""  # the role that applies a data fix; empty: none can be applied
    change_password_env: str = ""
    change_password_file: str = ""


class Services(Strict):
    """The ECS cluster and its services, named as their log lines name them, and who calls whom."""

    cluster: str = ""
    names: tuple[str, ...] = ()
    calls: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class LoadBalancer(Strict):
    """The application load balancer, as CloudWatch names it: the suffixes of the ARNs."""

    name: str
    target_group: str = ""
    service: str = ""  # the service behind it


class Cache(Strict):
    """The ElastiCache replication group and its nodes (cache cluster ids)."""

    replication_group: str = ""
    nodes: tuple[str, ...] = ()


class Cdn(Strict):
    """The CloudFront distribution in front of everything."""

    distribution: str
    domain: str = ""


def _address(site: str) -> str:
    told = urlsplit(site)
    plain = not (told.username or told.password or told.query or told.fragment)
    if site and not (plain and told.hostname and (told.scheme == "https" or told.hostname == "127.0.0.1")):
        raise ValueError('it is fetched, and must be an https address; for example "https://www.example.com/"')
    return site


class Frontend(Strict):
    """The Amplify app and the branch that customers see."""

    app: str
    branch: str = "main"
    site: Annotated[str, AfterValidator(_address)] = ""  # the page by which a deploy is seen


class Alerts(Strict):
    """What the alarms of an environment need to be told beside its resources."""

    thresholds: dict[str, float] = Field(default_factory=dict)  # by the alarm's name without the environment's
    job_log_groups: tuple[str, ...] = ()  # where the workers say that a job failed
    raise_after_minutes: int = Field(default=30, ge=0, le=1440)  # a warning that is on for longer pages; 0: none does
    job_failed: str = '{ $.level = "error" && $.message = "job failed*" }'  # the filter pattern of such a line
    code_buckets: dict[str, str] = Field(default_factory=dict)  # by region: where the notifier's code lies
    slack_secret: str = ""  # with the webhook's address: a secret's name, which is looked up in each region, or an ARN
    pagerduty_secret: str = ""  # with the routing key, likewise
    pagerduty_service: str = ""  # the id of PagerDuty's service, to look who is called
    pagerduty_token: str = ""  # name of the secret with a read-only key of PagerDuty's REST API
    pagerduty_api: Annotated[str, AfterValidator(_address)] = "https://api.pagerduty.com"
    stack_role: str = ""  # ARN of the role by which CloudFormation makes the stacks; empty: the change role's rights


def _duration(text: str) -> timedelta:
    """Read "24h"; a span of no time is refused, too."""
    read = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", text, re.ASCII)
    if not read:
        raise ValueError(f'{text!r} is no span of time; write minutes, hours, days or weeks, such as "90m" or "7d"')
    return timedelta(**{SPANS[read[2]]: int(read[1])})


def _span(text: str) -> str:
    _duration(text)
    return text


class Runner(Strict):
    """The Fargate task that runs what is scheduled; its image holds opslib, opslib.toml and the notebooks."""

    task_definition: Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,255}\z")]  # the family: its newest revision runs
    container: str
    subnets: tuple[str, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[str, ...] = Field(min_length=1, max_length=5)
    public_ip: bool = False  # true where the subnets have no NAT
    cluster: str = ""  # empty: services.cluster


class Schedule(Strict):
    """One `[[schedule]]`: which runbook runs when, over which window, and who is told."""

    name: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9-]{0,39}\z")]
    notebook: str
    cron: Annotated[str, AfterValidator(cron.checked)]  # in the environment's time zone
    env: str = ""  # empty: every environment that is asked what is due
    parameters: dict[str, str | bool | int | float] = Field(default_factory=dict)
    window: Annotated[str, AfterValidator(_span)] = (
        "24h"  # of the first run; each later one begins where the last good one ended
    )
    longest: Annotated[str, AfterValidator(_span)] = ""  # one run covers no more, and what is older is told
    deliver: tuple[Literal["slack", "s3"], ...] = ("slack",)
    quiet: bool = False  # true: Slack hears only of what is new, gone or not seen
    lock: bool = True  # a second run at the same time ends with 75
    retries: int = Field(1, ge=0, le=5)  # how often a run that left no report is run again
    pause_s: int = Field(30, ge=0, le=600)  # before it is run again; twice as long each time, up to 10 minutes
    timeout_s: int = Field(1800, ge=10, le=43_200)

    @property
    def first(self) -> timedelta:
        """Return how far back the first run looks."""
        return _duration(self.window)

    @property
    def most(self) -> timedelta:
        """Return the longest window of one run: a day more than there is between two, and eight days at least."""
        if self.longest:
            return _duration(self.longest)
        return max(timedelta(days=7), cron.longest_gap(self.cron, UTC, since=datetime(2026, 1, 1, tzinfo=UTC))) + timedelta(days=1)  # fmt: skip


def validated(model: type[M], values: dict[str, Any], *, origin: str) -> M:
    """Return the values as a section; raises ConfigError that names file, key and remedy."""
    try:
        return model(**values)
    except ValidationError as error:
        first = min(
            error.errors(), key=lambda found: found["type"] != "extra_forbidden"
        )  # a typo is why another is missing
        key = ".".join(str(part) for part in first["loc"])
        allowed = [name for name, field in _section(model, first["loc"]).model_fields.items() if not field.exclude]
        why, _, fix = first["msg"].removeprefix("Value error, ").partition("; ")
        what = f"{origin}: key {key!r} is wrong" if key else f"{origin} is wrong"
        raise ConfigError(what, why=why, fix=fix or _remedy(first["type"], key=key, allowed=allowed)) from None


def _section(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the section in which a key stands."""
    for part in place[:-1]:
        kind = model.model_fields[str(part)].annotation if part in model.model_fields else None
        inner = next(
            (one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, BaseModel)), None
        )
        model = inner or model
    return model


def _remedy(kind: str, *, key: str, allowed: list[str]) -> str:
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(key.split(".")[-1], allowed, 1)
        return f"did you mean {near[0]!r}?" if near else f"remove it; known keys: {', '.join(allowed)}"
    if kind == "missing":
        return f"add {key} = …"
    return {
        "account": 'twelve digits in quotes, e.g. account = "012345678901"',
        "name": "small letters, digits and hyphens, 40 at most",
        "region": 'e.g. region = "ap-northeast-1"',
        "runner.task_definition": "its family alone, without ARN and revision",
    }.get(key, "correct the value")
