"""Everything that can be done to a sandbox from outside: what the command line and the tests use."""

import functools
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from opslib.sandbox import admin_client, cache, log_files, state_files
from opslib.sandbox.errors import SandboxError
from opslib.sandbox.lifecycle import info, is_running, reset, start, stop

__all__ = [
    "Sandbox", "SandboxError", "add_fault", "clear_faults", "clear_messages", "info", "is_running", "load_logs", "messages", "reset",
    "start", "status", "stop",
]  # fmt: skip

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def status(directory: Path) -> dict[str, Any]:
    """Return what runs, where, at what time, with what in it; {"running": False} when nothing does."""
    directory = Path(directory).resolve()
    disk = {"cache_bytes": _size(cache.root())}
    if not is_running(directory):
        return {"running": False, "directory": str(directory), "disk": disk}
    state = info(directory)
    disk["sandbox_bytes"] = _size(Path(state["work"])) + _size(directory)
    ports = {"gateway": int(state["endpoint"].rpartition(":")[2]), "postgres": state["environment"]["database"]["port"]}
    known = {key: state[key] for key in ("pid", "endpoint", "clock", "scenario", "started", "planted")}
    told = admin_client.get(state["endpoint"], "status")
    return {"running": True, "directory": str(directory), **known, "ports": ports, **told, "disk": disk}


def _size(folder: Path) -> int:
    """Sum the files that this user may see; they come and go while we look."""
    total = 0
    for parent, _folders, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                total += os.lstat(f"{parent}/{name}").st_blocks * 512
    return total


def add_fault(directory: Path, **fault: Any) -> dict[str, Any]:
    """Make calls fail: service, operation, kind, ms, probability, count; slack and pagerduty: status, retry_after, too."""
    return admin_client.post(info(directory)["endpoint"], "faults", fault)


def clear_faults(directory: Path) -> int:
    """Remove all faults and return how many there were."""
    return int(admin_client.delete(info(directory)["endpoint"], "faults")["removed"])


def messages(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what the stand-ins of Slack and PagerDuty got (messages), and PagerDuty's incidents and changes."""
    return admin_client.get(info(directory)["endpoint"], "messages")


def clear_messages(directory: Path) -> int:
    """Forget them, and return how many messages there were."""
    return int(admin_client.delete(info(directory)["endpoint"], "messages")["removed"])


def load_logs(
    directory: Path, file: Path, *, pattern: str | None = None, zone: str = "", group: str | None = None
) -> log_files.LoadedLogs:
    """Load log files with their own times; the answer maps each log group to its number of events."""
    endpoint = info(directory)["endpoint"]
    reading = log_files.read(Path(file), pattern=pattern, zone=zone, group=group)
    return reading.sent(lambda body: admin_client.post(endpoint, "load-logs", body))


class Sandbox:
    """A sandbox of its own in a temporary directory, gone at the end of the block."""

    def __init__(
        self, clock: str = "frozen", scenario: str = "checkout-locks", directory: Path | None = None, *,
        replica: bool = False, live: bool = False,
    ) -> None:  # fmt: skip
        self._options: dict[str, Any] = {"clock": clock, "scenario": scenario, "replica": replica, "live": live}
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="opslib-sandbox-")).resolve()
        self.info: dict[str, Any] = {}

    def __enter__(self) -> "Sandbox":
        try:
            self.info = start(self.directory, **self._options)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self.directory)
        self._remove()

    def _remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def endpoint(self) -> str:
        """Return the URL of the gateway."""
        return str(self.info["endpoint"])

    @property
    def environ(self) -> dict[str, str]:
        """Return this process's environment, without AWS_* and pointing at this sandbox."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {"OPSLIB_SANDBOX": str(self.directory)}

    def status(self) -> dict[str, Any]:
        """Return what `opslib sandbox status` shows."""
        return status(self.directory)

    def advance(self, duration: str | float) -> str:
        """Step the clock by seconds or a text such as "10m"; return the new instant."""
        return str(admin_client.post(self.endpoint, "advance", {"seconds": seconds(duration)})["now"])

    def calls(self) -> list[dict[str, Any]]:
        """Return the AWS calls that the gateway has seen."""
        return list(admin_client.get(self.endpoint, "calls")["calls"])

    def clear_calls(self) -> None:
        """Forget the calls seen so far."""
        admin_client.delete(self.endpoint, "calls")

    def fault(
        self, *, service: str, operation: str = "*", kind: str, probability: float = 1.0, count: int | None = None,
        **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Make calls fail: kind is throttling, access-denied, expired-token, latency (with ms), hang or drop.

        Services slack, pagerduty and site (the shop itself) take latency, hang, drop and status (with status=429, retry_after=600).
        """
        fault = {"service": service, "operation": operation, "kind": kind, "probability": probability, "count": count}
        return add_fault(self.directory, **fault, **more)

    def clear_faults(self) -> int:
        """Remove all faults."""
        return clear_faults(self.directory)

    def deliveries(self) -> list[dict[str, str]]:
        """Return what waits to be delivered or tried again, soonest first: at, what."""
        return list(admin_client.get(self.endpoint, "deliveries")["pending"])

    def messages(self, sink: str = "") -> list[dict[str, Any]]:
        """Return what Slack and PagerDuty got: at, sink, path, status (0: no answer), answer, body."""
        return [one for one in messages(self.directory)["messages"] if sink in ("", one["sink"])]

    def incidents(self) -> list[dict[str, Any]]:
        """Return PagerDuty's incidents: key, summary, severity, status, triggers, opened, resolved."""
        return list(messages(self.directory)["incidents"])

    def clear_messages(self) -> None:
        """Let Slack and PagerDuty have got nothing."""
        clear_messages(self.directory)

    def outcome(self, **planned: str) -> list[dict[str, str]]:
        """Plan how the next change of a thing ends, once: `outcome(service="api", deployment="circuit-breaker")`.

        Deployments of ECS: circuit-breaker (its tasks exit, it is rolled back), stuck (IN_PROGRESS, alone), slow (12 min).
        Reboots of RDS, `outcome(instance="shop-db", reboot="stuck")`: stuck, incompatible-parameters.
        Builds of Amplify, `outcome(branch="main", build="BUILD")`: BUILD or DEPLOY (the step that fails), slow, succeed;
        `outcome(branch="main", build_log="...")`: the last lines of a failing one's log.
        """
        return list(admin_client.post(self.endpoint, "outcomes", planned)["outcomes"])

    def settings(self, **values: float) -> dict[str, Any]:
        """Change latency_ms, scan_seconds_constant or scan_seconds_per_group_hour; return all of them."""
        return admin_client.post(self.endpoint, "settings", values)

    def client(self, service: str, **config: Any) -> Any:
        """Return a boto3 client that shows the first answer: it does not retry unless `config` says so."""
        import boto3
        import botocore.session
        from botocore.config import Config

        core = botocore.session.Session()
        core.register_component("data_loader", _models())
        options = {"connect_timeout": 3, "read_timeout": 30, "retries": {"total_max_attempts": 1}} | config
        session = boto3.Session("sandbox", "sandbox", region_name=state_files.REGION, botocore_session=core)
        return session.client(service, endpoint_url=self.endpoint, config=Config(**options))

    def postgres_dsn(self, role: str = state_files.READER) -> dict[str, Any]:
        """Return the keyword arguments that connect psycopg as one of the roles."""
        files = self.info["passwords"]
        if role not in files:
            raise SandboxError(f"The sandbox has no database role {role}; it has {', '.join(files)}.")
        database = self.info["environment"]["database"]
        place = {key: database[key] for key in ("host", "port", "dbname", "sslmode")}
        return {**place, "user": role, "password": Path(files[role]).read_text()}


@functools.cache
def _models() -> Any:
    """Return what reads the models of services, each once in this process: they are large, and clients many."""
    from botocore.loaders import create_loader

    return create_loader()


def seconds(duration: str | float) -> float:
    """Return the seconds of "90s", "10m", "2h", "1d" or a number."""
    if isinstance(duration, int | float):
        return float(duration)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", duration.strip())
    if found is None:
        raise SandboxError(f"{duration!r} is no duration; say one such as 90s, 10m, 2h or 1d.")
    return float(found[1]) * _UNITS[found[2]]
