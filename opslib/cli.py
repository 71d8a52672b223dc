"""The command line: thin over the runner and the sandbox; errors are for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from opslib.errors import OpsError, ParameterError

NO_REPORT = 3


def main() -> None:
    """Run the command line; expected errors are three lines and exit code 3."""
    try:
        code = commands.main(standalone_mode=False)
    except OpsError as error:
        _fail(error.text())
    except click.Abort:
        _fail("stopped")
    except click.ClickException as error:
        _fail(f"{error.format_message()}\ndo:   opslib --help")
    except Exception as error:
        if type(error).__name__ != "SandboxError":
            raise
        _fail(str(error))
    sys.exit(code if isinstance(code, int) else 0)  # click returns the code of an Exit


def _fail(text: str) -> None:
    first, _, rest = text.partition("\n")
    click.echo(click.style(first, fg="red", bold=True) + (f"\n{rest}" if rest else ""), err=True)
    sys.exit(NO_REPORT)


@click.group()
@click.version_option(package_name="opslib")
def commands() -> None:
    """Runbooks for one web application on AWS: interactive, headless, and always a record."""


_given = click.option(
    "-p", "given", multiple=True, metavar="NAME=VALUE", help="a parameter of the runbook; may be repeated"
)
_env = click.option("--env", default="", help="the environment; else OPSLIB_ENV, else the default")


@commands.command()
@click.argument("notebook")
@_given
@_env
@click.option("--timeout", "run_seconds", default=1800, show_default=True, help="seconds for the whole run")
@click.option("--cell-timeout", "cell_seconds", default=300, show_default=True, help="seconds for one cell")
def run(notebook: str, given: tuple[str, ...], env: str, run_seconds: int, cell_seconds: int) -> None:
    """Run a runbook headless and keep its record. Exit code: 0 fine, 1 critical, 2 partly blind, 3 no report."""
    from opslib.runner import headless

    record, summary = headless.run(notebook, _pairs(given), env=env, cell_seconds=cell_seconds, run_seconds=run_seconds)
    _say_result(record, summary)
    raise click.exceptions.Exit(int(summary["exit_code"]))


@commands.command("open")
@click.argument("notebook")
@_given
@_env
@click.option("--no-browser", is_flag=True, help="only print the address")
def open_(notebook: str, given: tuple[str, ...], env: str, no_browser: bool) -> None:
    """Copy a runbook into a new record and open the copy in JupyterLab."""
    from opslib import lab
    from opslib.runner import interactive

    copy = interactive.open_copy(notebook, _pairs(given), env=env)
    lab.show(copy, browser=not no_browser)


@commands.command()
@click.argument("record", required=False)
def close(record: str | None) -> None:
    """Finish an open record, or all of them: report.html, summary.json, redaction."""
    from opslib.runner import interactive, records

    folders = [records.find(record)] if record else interactive.opened()
    for folder in folders:
        _say_result(*interactive.close(folder))
    if not folders:
        click.echo("no record is open")


@commands.command()
@click.argument("record")
def replay(record: str) -> None:
    """Draw a record again from its own data, without AWS."""
    from opslib.runner import records
    from opslib.runner.replay import replay as draw

    click.echo(draw(records.find(record)))


@commands.command()
@click.argument("names", nargs=-1)
def refresh(names: tuple[str, ...]) -> None:
    """Run the committed runbooks again on a frozen sandbox of their own."""
    from opslib.runner.refresh import refresh as run_again

    with _control().Sandbox(clock="frozen") as sandbox:
        changed = run_again(list(names), sandbox.environ)
    click.echo("\n".join(map(str, changed)) or "nothing changed")


@commands.command()
@click.option("--port", default=0, help="0 takes a free one")
@click.option("--no-browser", is_flag=True)
@click.option("--edit-runbooks", is_flag=True, help="let notebooks/ be written, for authors")
def lab(port: int, no_browser: bool, edit_runbooks: bool) -> None:
    """Open JupyterLab on the index of runbooks, on this machine only."""
    from opslib import lab as side

    side.serve(port=port, browser=not no_browser, edit_runbooks=edit_runbooks)


@commands.command()
def demo() -> None:
    """Start the sandbox, trace the planted incident, say what to look at and what to try next."""
    from opslib.config import sandbox_folder
    from opslib.runner import headless, records

    began = time.monotonic()
    info = _control().start(sandbox_folder(), progress=_progress)
    click.echo("sandbox ready; tracing the planted request", err=True)
    record, summary = headless.run(
        "2-investigate/trace-request", {"request_id": info["planted"]["request_id"]}, env="sandbox"
    )
    _say_result(record, summary)
    click.echo(f"\nlook at   {record / 'report.html'}\n          {records.reports() / 'index.html'}")
    click.echo(
        "try next  opslib lab\n          opslib open 2-investigate/trace-request -p request_id=…\n          opslib replay "
        + str(record)
    )
    click.echo(f"          opslib sandbox stop\n\n{time.monotonic() - began:.1f} s", nl=True)


@commands.group()
def sandbox() -> None:
    """The local AWS, PostgreSQL and planted incident."""


@sandbox.command("start")
@click.option("--clock", type=click.Choice(["running", "frozen"]), default="running", show_default=True)
@click.option("--scenario", default="checkout-locks", show_default=True)
def sandbox_start(clock: str, scenario: str) -> None:
    """Start it; says at once when it already runs."""
    info = _control().start(_folder(), clock=clock, scenario=scenario, progress=_progress)
    click.echo(f"sandbox at {info['endpoint']}, clock {info['clock']}, scenario {info['scenario']}")


@sandbox.command("stop")
def sandbox_stop() -> None:
    """Stop it and remove its data."""
    click.echo("stopped" if _control().stop(_folder()) else "it was not running")


@sandbox.command("status")
def sandbox_status() -> None:
    """Say what runs, and which calls nobody models."""
    import json

    click.echo(json.dumps(_control().status(_folder()), indent=1, ensure_ascii=False, default=str))


@sandbox.command("reset")
@click.option("--scenario", default=None)
def sandbox_reset(scenario: str | None) -> None:
    """Put the data back to the start of a scenario."""
    _control().reset(_folder(), scenario)
    click.echo("reset")


@sandbox.command("fault")
@click.argument(
    "kind", type=click.Choice(["throttling", "access-denied", "expired-token", "latency", "hang", "drop", "clear"])
)
@click.option("--service", default="*", show_default=True)
@click.option("--operation", default="*", show_default=True)
@click.option("--probability", default=1.0, show_default=True)
@click.option("--count", type=int, default=None, help="how often it strikes; default: always")
@click.option("--ms", type=int, default=None, help="for latency")
def sandbox_fault(
    kind: str, service: str, operation: str, probability: float, count: int | None, ms: int | None
) -> None:
    """Make calls fail on purpose; `clear` ends that."""
    if kind == "clear":
        _control().clear_faults(_folder())
        click.echo("no faults")
        return
    given = {
        "service": service,
        "operation": operation,
        "kind": kind,
        "probability": probability,
        "count": count,
        "ms": ms,
    }
    click.echo(_control().add_fault(_folder(), **{name: value for name, value in given.items() if value is not None}))


@sandbox.command("load-logs")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pattern", default=None, help="a regular expression with named groups group, time, message")
@click.option("--zone", default="UTC", show_default=True, help="for times that name none")
def sandbox_load_logs(file: Path, pattern: str | None, zone: str) -> None:
    """Load log files with their own times: plain text, JSON lines, gzip, CloudWatch exports."""
    if not file.exists():
        raise ParameterError(f"{file} is not there", fix="name a log file or a folder of them")
    counts = _control().load_logs(_folder(), file, pattern=pattern, zone=zone)
    for group, count in sorted(counts.items()):
        click.echo(f"{count:8,} events into {group}")


def _control() -> Any:
    """The sandbox is an extra; say how to get it."""
    try:
        from opslib.sandbox import control
    except ImportError as error:
        raise OpsError("the sandbox is not installed", why=str(error), fix="pip install 'opslib[sandbox]'") from None
    return control


def _folder() -> Path:
    from opslib.config import sandbox_folder

    return sandbox_folder()


def _progress(step: str, seconds: float) -> None:
    click.echo(f"  {seconds:5.1f} s  {step}", err=True)


def _pairs(given: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"-p {text!r} is not NAME=VALUE", fix="for example -p request_id=req-5f0c2e9ab714")
        pairs[name] = value
    return pairs


def _say_result(record: Path, summary: dict[str, Any]) -> None:
    from opslib.display import status_text

    results = summary["results"]
    said = results[0]["sentence"] if results else summary["error"] or "no check ran"
    colour = {"critical": "red", "warn": "yellow", "ok": "green"}.get(summary["verdict"], "white")
    click.echo(f"{click.style(status_text(summary['verdict']), fg=colour, bold=True)}  {click.style(said, bold=True)}")
    if summary["status"] != "finished":
        click.echo(f"{summary['status']}: {summary['error']}", err=True)
    elif not summary["blind"].startswith("0 "):
        click.echo(f"{summary['blind']}: {results[0]['reason'] if results else ''}")
    click.echo(f"record    {record}")
