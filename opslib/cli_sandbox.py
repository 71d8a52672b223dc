"""`opslib sandbox …`: the local AWS, PostgreSQL and planted incident from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from opslib.errors import OpsError, ParameterError

_KINDS = ["throttling", "access-denied", "expired-token", "latency", "hang", "drop"]


def control() -> Any:
    """Return opslib.sandbox.control; raises OpsError that says how to get the extra when it is not installed."""
    try:
        from opslib.sandbox import control as module
    except ImportError as error:
        fix = "pip install 'opslib[sandbox]', or `uv run opslib …` in a checkout"
        raise OpsError("the sandbox is not installed", why=str(error), fix=fix) from None
    return module


def show_progress(step: str, seconds: float) -> None:
    """Say on stderr which step begins."""
    click.echo(f"  {seconds:5.1f} s  {step}", err=True)


@click.group()
def sandbox() -> None:
    """The local AWS, PostgreSQL and planted incident."""


@sandbox.command()
@click.option("--clock", type=click.Choice(["running", "frozen"]), default="running", show_default=True)
@click.option("--scenario", default="checkout-locks", show_default=True)
@click.option("--replica", is_flag=True, help="With a streaming replica of the database.")
@click.option(
    "--live/--no-live", default=True, show_default=True, help="Sessions that hold and wait for the incident's locks."
)
def start(clock: str, scenario: str, replica: bool, live: bool) -> None:
    """Start it; at once when it already runs."""
    info = control().start(
        _folder(), clock=clock, scenario=scenario, progress=show_progress, replica=replica, live=live
    )
    click.echo(f"sandbox at {info['endpoint']}, clock {info['clock']}, scenario {info['scenario']}")
    if (clock, scenario) != (info["clock"], info["scenario"]):
        click.echo("it ran already; `opslib sandbox stop` first to change clock or scenario", err=True)


@sandbox.command()
def stop() -> None:
    """Stop it and remove its data."""
    click.echo("stopped" if control().stop(_folder()) else "it was not running")


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
def status(as_json: bool) -> None:
    """Say what runs, what is in it, and which calls nobody models."""
    found = control().status(_folder())
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False, default=str))
        return
    click.echo("\n".join(_told(found)))


@sandbox.command()
@click.option("--scenario", default=None, help="Default: the same again.")
def reset(scenario: str | None) -> None:
    """Put the data back to the start of a scenario."""
    info = control().reset(_folder(), scenario, progress=show_progress)
    click.echo(f"sandbox at {info['endpoint']}, scenario {info['scenario']}")


@sandbox.command()
@click.argument("kind", type=click.Choice([*_KINDS, "clear"]))
@click.option("--service", default="*", show_default=True)
@click.option("--operation", default="*", show_default=True)
@click.option("--probability", default=1.0, show_default=True)
@click.option("--count", type=int, default=None, help="How often it strikes; default: always.")
@click.option("--ms", type=int, default=None, help="For latency.")
def fault(kind: str, service: str, operation: str, probability: float, count: int | None, ms: int | None) -> None:
    """Make calls fail on purpose; `clear` ends that."""
    if kind == "clear":
        click.echo(f"{control().clear_faults(_folder())} faults cleared")
        return
    given = {
        "service": service,
        "operation": operation,
        "kind": kind,
        "probability": probability,
        "count": count,
        "ms": ms,
    }
    control().add_fault(_folder(), **{name: value for name, value in given.items() if value is not None})
    click.echo(f"{kind} on {service}:{operation}; `opslib sandbox fault clear` ends it")


@sandbox.command("load-logs")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pattern", default=None, help="A regular expression with named groups group, time, message.")
@click.option("--zone", default="", help="For times that name none, such as UTC or Asia/Tokyo.")
@click.option("--group", default=None, help="The log group, for lines that do not name one.")
def load_logs(file: Path, pattern: str | None, zone: str, group: str | None) -> None:
    """Load log files with their own times: plain text, JSON lines, gzip, CloudWatch exports."""
    if not file.exists():
        raise ParameterError(f"{file} is not there", fix="name a log file or a folder of them")
    loaded = control().load_logs(_folder(), file, pattern=pattern, zone=zone, group=group)
    for name, count in sorted(loaded.items()):
        click.echo(f"{count:8,} events into {name}")
    if loaded.remark:
        click.echo(loaded.remark, err=True)


def _folder() -> Path:
    from opslib.config import sandbox_folder

    return sandbox_folder()


def _told(found: dict[str, Any]) -> list[str]:
    if not found["running"]:
        return [f"no sandbox runs in {found['directory']}; `opslib sandbox start`"]
    lines = [
        f"running at {found['endpoint']}, PostgreSQL on port {found['ports']['postgres']}, in {found['directory']}",
        f"clock {found['clock']} at {found.get('now', '?')}, scenario {found['scenario']}, planted {found['planted']}",
    ]
    lines += [f"{count:10,} events in {group}" for group, count in sorted(found.get("log_groups", {}).items())]
    lines += [f"fault: {fault}" for fault in found.get("faults", [])]
    lines += [f"asked for, but not modelled: {name}" for name in found.get("not_modelled", [])]
    return lines
