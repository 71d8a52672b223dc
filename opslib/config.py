"""opslib.toml and its environments; `sandbox` comes from the running sandbox instead.

Precedence everywhere: explicit argument > environment variable > file > default.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from opslib.config_detections import Detections
from opslib.config_sections import (
    Alerts,
    Cache,
    Cdn,
    Database,
    Frontend,
    LoadBalancer,
    Runner,
    Schedule,
    Services,
    Strict,
    validated,
)
from opslib.errors import ConfigError, SandboxDown, WindowError
from opslib.window import zone_named

FILE_NAME = "opslib.toml"
_KEYS: dict[str, tuple[Any, type, str]] = {  # what it is, of what, and how it is written
    "default": (str, str, 'default = "NAME"'),
    "env": (dict, dict, "[env.NAME]"),
    "notebook_paths": (list, str, 'notebook_paths = ["FOLDER"]'),
    "schedule": (list, dict, "[[schedule]]"),
}
EXAMPLE = "`opslib init` writes one from what an account has"


def _zone_name(name: str) -> str:
    try:
        zone_named(name)
    except WindowError as error:
        raise ValueError(f"{error.what}; {error.fix}") from None
    return name


class Environment(Strict):
    """One environment: an AWS account and region, and what of the application runs there."""

    name: str = Field("", exclude=True)
    account: Annotated[str, Field(pattern=r"\A[0-9]{12}\z")]
    region: Annotated[str, Field(pattern=r"\A[a-z]{2}(-[a-z]+)+-[0-9]\z")]
    profile: str = ""
    role: str = ""
    aws_config_file: str = ""
    aws_credentials_file: str = ""
    timezone: Annotated[str, AfterValidator(_zone_name)] = "UTC"
    log_groups: tuple[str, ...] = ()
    log_budget_usd: float = Field(5, ge=0)  # a log query that would scan for more is refused; 0 allows any
    services: Services = Services()
    load_balancer: LoadBalancer | None = None
    database: Database | None = None
    cache: Cache = Cache()
    cdn: Cdn | None = None
    frontend: Frontend | None = None
    health_checks: dict[str, str] = Field(default_factory=dict)  # what it checks: health check id
    alerts: Alerts = Alerts()
    detections: Detections = Detections()  # what counts as suspicious in the audit trail
    runner: Runner | None = None  # where EventBridge Scheduler runs reports
    change_role: str = ""  # ARN of the role that applies plans; empty: the role that reads
    lock_bucket: str = ""  # where plans of several machines exclude each other
    incident_bucket: str = ""  # where closed incident records go
    incident_log_group: str = ""  # where the head of a closed incident's journal is posted, with or without a bucket
    report_bucket: str = ""  # where the pages of scheduled reports go
    report_base_url: Annotated[str, Field(pattern=r"\A(https://[^\s?#]+)?\z")] = (
        ""  # where people read that bucket; empty: by links that end
    )
    admin_urls: dict[str, str] = Field(default_factory=dict)
    sandbox: bool = False
    clock: Literal["running", "frozen"] = "running"

    def __hash__(self) -> int:
        """Let sessions and clients be cached per environment, although `admin_urls` is a dict."""
        return hash((self.name, self.account, self.region, self.profile, self.aws_config_file))

    @property
    def zone(self) -> tzinfo:
        """Return the time zone in which this environment's times are shown."""
        return zone_named(self.timezone)


def project_root() -> Path:
    """Return the folder that holds opslib.toml or notebooks/: OPSLIB_ROOT, else the nearest one upwards, else here."""
    if named := os.environ.get("OPSLIB_ROOT"):
        return Path(named).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file() or (
            (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file()
        ):
            return folder
    return here


def sandbox_folder() -> Path:
    """Return the folder of the sandbox's state: OPSLIB_SANDBOX, else `.opslib` of the project."""
    named = os.environ.get("OPSLIB_SANDBOX")
    return Path(named) if named else project_root() / ".opslib"


def reports_folder() -> Path:
    """Return the folder of all records and journals: OPSLIB_REPORTS, else reports/ of the project."""
    named = os.environ.get("OPSLIB_REPORTS")
    return Path(named).resolve() if named else project_root() / "reports"


def places() -> dict[str, str]:
    """Return the variables by which a process in another folder, such as a record's, finds the same project, records and sandbox."""
    return {"OPSLIB_ROOT": str(project_root()), "OPSLIB_REPORTS": str(reports_folder()), "OPSLIB_SANDBOX": str(sandbox_folder().resolve())}  # fmt: skip


def environment_name(env: str = "") -> str:
    """Return which environment is meant: the argument, OPSLIB_ENV, the file's `default`, else a running sandbox."""
    if named := env or os.environ.get("OPSLIB_ENV", ""):
        return named
    file = project_root() / FILE_NAME
    if file.is_file():
        default = str(_read_file(file).get("default", ""))
        if not default:
            raise ConfigError(
                f"{file} names no default environment",
                fix=f'add `default = "NAME"` to {FILE_NAME}, or say env="NAME" (on the command line --env NAME)',
            )
        return default
    if (sandbox_folder() / "sandbox.json").is_file():
        return "sandbox"
    why = f"no {FILE_NAME} in {project_root()} or above, and no sandbox runs"
    raise ConfigError(
        "there is no configuration",
        why=why,
        fix=f"`opslib sandbox start` to try things, or write {FILE_NAME}: {EXAMPLE}",
    )


def load(env: str = "") -> Environment:
    """Return the environment that is meant, validated.

    Raises ConfigError that names file, key and remedy, or SandboxDown.
    """
    name = environment_name(env)
    if name != "sandbox":
        return _from_file(name)
    if (file := project_root() / FILE_NAME).is_file():
        _read_file(file)  # what it says of the sandbox is told
    return _sandbox()


def notebook_paths() -> list[Path]:
    """Return the folders that hold runbooks: notebooks/ of the project, and `notebook_paths` of opslib.toml."""
    root = project_root()
    file = root / FILE_NAME
    extra = _read_file(file).get("notebook_paths", []) if file.is_file() else []
    return [root / "notebooks", *(root / str(path) for path in extra)]


def schedules(environment: Environment) -> tuple[Schedule, ...]:
    """Return the `[[schedule]]` of opslib.toml for an environment, in their order; raises ConfigError.

    Whether notebook and parameters are there is for `opslib.scheduling` to say, which knows runbooks.
    """
    file = project_root() / FILE_NAME
    whole = _read_file(file) if file.is_file() else {}
    found: dict[str, Schedule] = {}
    for number, values in enumerate(whole.get("schedule", []), 1):
        schedule = validated(Schedule, values, origin=schedule_origin(values.get("name", number)))
        if schedule.name in found:
            raise ConfigError(
                f"{schedule_origin(schedule.name)}: key 'name' is wrong",
                why="another schedule has this name",
                fix="name each after what it tells",
            )
        if schedule.env not in {"", "sandbox", *whole.get("env", {})}:
            raise ConfigError(
                f"{schedule_origin(schedule.name)}: key 'env' is wrong",
                why=f"there is no environment {schedule.env!r}",
                fix=f"choose {', '.join(whole.get('env', {})) or 'sandbox'}",
            )
        found[schedule.name] = schedule
    return tuple(one for one in found.values() if one.env in ("", environment.name))


def schedule_origin(name: str | int) -> str:
    """Return where a schedule stands, for errors."""
    return f"{project_root() / FILE_NAME}, [[schedule]] {name}"


def _from_file(name: str) -> Environment:
    file = project_root() / FILE_NAME
    if not file.is_file():
        why = f"no {FILE_NAME} in {project_root()} or above"
        raise ConfigError(
            f"environment {name!r} is not known", why=why, fix=f'write {FILE_NAME}: {EXAMPLE}; or use env="sandbox"'
        )
    known: dict[str, Any] = _read_file(file).get("env", {})
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "sandbox"], 1)
        others = ", ".join(sorted({*known, "sandbox"}))
        fix = f"did you mean {near[0]!r}?" if near else f"add a section [env.{name}], or choose {others}"
        raise ConfigError(
            f"environment {name!r} is not in {file}",
            why=f"it has {', '.join(sorted(known)) or 'no environment'}",
            fix=fix,
        )
    return validated(Environment, {**known[name], "name": name}, origin=f"{file}, [env.{name}]")


def _sandbox() -> Environment:
    state = sandbox_folder() / "sandbox.json"
    try:
        content = json.loads(state.read_text())
    except FileNotFoundError:
        raise SandboxDown(
            "the sandbox is not running", why=f"{state} is not there", fix="opslib sandbox start"
        ) from None
    except (OSError, ValueError) as error:
        raise SandboxDown(
            f"{state} cannot be read", why=str(error), fix="opslib sandbox stop, then opslib sandbox start"
        ) from None
    return validated(Environment, {**content["environment"], "sandbox": True, "name": "sandbox"}, origin=str(state))


def _read_file(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read", why=str(error), fix="mend the file; TOML wants quotes around text"
        ) from None
    for key in sorted(set(found) - set(_KEYS)):  # [[schedules]] would be heard of when its reports are missed
        near = difflib.get_close_matches(key, _KEYS, 1)
        fix = f"did you mean {near[0]!r}?" if near else f"remove it; known keys: {', '.join(sorted(_KEYS))}"
        raise ConfigError(f"{file}: key {key!r} is not known", why="nothing would read it", fix=fix)
    for key, value in found.items():
        whole, part, written = _KEYS[key]
        if not isinstance(value, whole) or not all(isinstance(one, part) for one in (value.values() if isinstance(value, dict) else value)):  # fmt: skip
            raise ConfigError(f"{file}: key {key!r} is wrong", why="it is of another kind", fix=f"write {written}")
    if "sandbox" in found.get("env", {}):
        why = "nothing would read it: the sandbox says itself what it has"
        raise ConfigError(f"{file}: there can be no [env.sandbox]", why=why, fix="remove it, or give it another name")
    return found
