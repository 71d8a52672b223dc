"""The command line: thin over the runner and the sandbox; errors are for people."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any, NoReturn

import click

from opslib.cli_account import doctor, init
from opslib.cli_alerts import alerts
from opslib.cli_changes import apply, journal, listed, near, pairs, plan, say_result
from opslib.cli_changes import env_option as _env
from opslib.cli_changes import given_option as _given
from opslib.cli_incidents import incident
from opslib.cli_sandbox import control, sandbox, show_progress
from opslib.cli_schedule import run_due, schedule
from opslib.errors import OpsError

NO_REPORT, LOCKED = 3, 75
_REPORTED = (0, 1, 2)  # exit codes of a run that left a report
_DAILY = "import sys; from opslib.cli import main; sys.argv[1:] = ['run', '1-monitor/daily-health', '--env', 'sandbox']; main()"


def main() -> NoReturn:
    """Run the command line; expected errors are three lines and exit code 3."""
    try:
        code = commands.main(standalone_mode=False)
    except OpsError as error:
        _fail(error.text(), LOCKED if type(error).__name__ == "Locked" else NO_REPORT)
    except click.Abort:
        _fail("stopped")
    except click.ClickException as error:
        place = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "opslib"
        _fail(f"{error.format_message()}\ndo:   {place} --help")
    except Exception as error:
        if type(error).__name__ != "SandboxError":  # the sandbox is not loaded for commands that do not need it
            raise
        _fail(str(error))
    sys.exit(code if isinstance(code, int) else 0)  # click returns the code of an Exit


def _fail(text: str, code: int = NO_REPORT) -> NoReturn:
    first, _, rest = text.partition("\n")
    click.echo(click.style(first, fg="red", bold=True) + (f"\n{rest}" if rest else ""), err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Runbooks for one web application on AWS: interactive, headless, and always a record."""


for _command in (sandbox, plan, apply, journal, incident, init, doctor, alerts, schedule):
    commands.add_command(_command)
_no_browser = click.option("--no-browser", is_flag=True, help="Only print the address.")


@commands.command()
@click.argument("name", default="read")
@_env
def policy(name: str, env: str) -> None:
    """Print the IAM policy of an environment: read is all that runbooks ask, and can change nothing."""
    from opslib import config, policies

    click.echo(json.dumps(policies.filled(name, config.load(env)), indent=2))


@commands.command()
@click.argument("notebooks", nargs=-1, metavar="NOTEBOOK...")
@_given
@click.option("--due", is_flag=True, help="Run what is due of [[schedule]] instead, or of the schedules NAMED.")
@click.option(
    "--each",
    default="",
    metavar="NAME=A,B",
    help="Run the one notebook once for each of these values; none may hold a comma.",
)
@_env
@click.option("--timeout", "run_seconds", default=1800, show_default=True, help="Seconds for one whole run.")
@click.option("--cell-timeout", "cell_seconds", default=300, show_default=True, help="Seconds for one cell.")
@click.option("--lock", is_flag=True, help="Exit with 75 when this runbook already runs in this environment.")
def run(notebooks: tuple[str, ...], given: tuple[str, ...], due: bool, each: str, env: str, **limits: Any) -> None:
    """Run runbooks headless and keep their records; several run at once, two a core.

    Exit code: 1 a verdict is critical, else 2 a check is blind, else 0; 3 no report, 75 locked. Of several runs the
    worst: 3, 75, 1, 2, 0.
    """
    from opslib.runner import headless

    if due:
        if given or each:
            raise click.UsageError("--due takes parameters from [[schedule]] of opslib.toml: leave out -p and --each")
        raise click.exceptions.Exit(run_due(notebooks, env))
    if not notebooks:
        raise click.UsageError("Missing argument 'NOTEBOOK...', or say --due")
    asked = listed(notebooks, pairs(given), each)
    if len(asked) > 1:
        raise click.exceptions.Exit(_run_batch(asked, env, limits))
    record, summary = headless.run(*asked[0], env=env, **limits)
    say_result(record, summary)
    raise click.exceptions.Exit(int(summary["exit_code"]))


def _run_batch(asked: list[tuple[str, dict[str, str]]], env: str, limits: dict[str, Any]) -> int:
    from opslib.runner import batch

    outcomes = []
    for outcome in batch.run(asked, env=env, **limits):
        outcomes.append(outcome)
        click.echo(click.style(outcome.runbook, bold=True))
        if outcome.record:
            say_result(outcome.record, outcome.summary)
        else:
            click.echo(click.style(outcome.error, fg="red"), err=True)
    codes = Counter(outcome.exit_code for outcome in outcomes)
    click.echo(
        f"{len(outcomes)} runs: "
        + ", ".join(f"{codes[code]} {batch.WORDS[code]}" for code in batch.WORDS if codes[code])
    )
    return batch.worst(outcomes)


@commands.command("open")
@click.argument("notebook")
@_given
@_env
@_no_browser
def open_(notebook: str, given: tuple[str, ...], env: str, no_browser: bool) -> None:
    """Copy a runbook into a new record and open the copy in JupyterLab."""
    from opslib import lab as side
    from opslib.runner import interactive

    side.check_place()
    copy = interactive.open_copy(notebook, pairs(given), env=env)
    side.show(copy, browser=not no_browser)


@commands.command()
@click.argument("records", nargs=-1, metavar="[RECORD]...")
def close(records: tuple[str, ...]) -> None:
    """Finish open records, all of them without a name: report.html, summary.json, redaction."""
    from opslib.runner import interactive
    from opslib.runner.records import find

    folders = [find(record) for record in records] if records else interactive.opened()
    for folder in folders:
        say_result(*interactive.close(folder))
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
@click.argument("paths", nargs=-1)
def check(paths: tuple[str, ...]) -> None:
    """Hold runbooks to the rules: names, files or folders; without a name, all. Exit code 1 when something is wrong."""
    from opslib.runner.check import check as examine

    found = examine(list(paths))
    for file, finding in found:
        cell = f"cell {finding.cell}" if finding.cell else "file"
        click.echo(
            f"{near(file)}: {cell}: {click.style(finding.rule, bold=True)}: {finding.what}\n    do: {finding.remedy}"
        )
    click.echo(f"{len(found)} findings" if found else "all rules hold", err=bool(found))
    raise click.exceptions.Exit(1 if found else 0)


@commands.command()
@click.argument("names", nargs=-1, metavar="[NOTEBOOK]...")
@click.option("--index-only", is_flag=True, help="Only make notebooks/index.ipynb anew.")
def refresh(names: tuple[str, ...], index_only: bool) -> None:
    """Run the committed runbooks again on a frozen sandbox of their own; write only what changed."""
    from opslib.runner import contents

    if index_only:
        changed = contents.write()
    else:
        from opslib.runner.refresh import refresh as run_again

        with control().Sandbox(clock="frozen", live=True) as own:
            changed = run_again(list(names), own.environ)
    click.echo("\n".join(str(near(file)) for file in changed) or "nothing changed")


@commands.command()
@click.argument("name")
def new(name: str) -> None:
    """Make a runbook that holds to the rules, such as 2-investigate/my-runbook."""
    from opslib.runner.new import new as make

    file = near(make(name))
    click.echo(
        f"{file}\nedit it with `opslib lab --edit-runbooks`, then `opslib check {name}` and `opslib refresh {name}`"
    )


@commands.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0 takes a free one.")
@_no_browser
@click.option("--edit-runbooks", is_flag=True, help="Let notebooks/ be written, for authors.")
def lab(port: int, no_browser: bool, edit_runbooks: bool) -> None:
    """Open JupyterLab on the index of runbooks, on this machine only."""
    from opslib import lab as side

    side.serve(port=port, browser=not no_browser, edit_runbooks=edit_runbooks)


@commands.command()
def demo() -> None:
    """Start the sandbox, trace the planted incident, make the daily report, say what to look at and what to try next."""
    from opslib.config import sandbox_folder
    from opslib.runner import headless, records

    began = time.monotonic()
    info = control().start(sandbox_folder(), progress=show_progress, live=True)
    show_progress("tracing the planted request; the daily report beside it", time.monotonic() - began)
    daily = subprocess.Popen([sys.executable, "-c", _DAILY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        given = {"request_id": info["planted"]["request_id"]}
        record, summary = headless.run("2-investigate/trace-request", given, env="sandbox")
        say_result(record, summary)
        said, complaint = daily.communicate(timeout=300)
    finally:
        daily.kill()
    click.echo(said if daily.returncode in _REPORTED else complaint, nl=False)
    steps = [step["parameters"] for result in summary["results"] for step in result["next"]]
    another = next((given["request_id"] for given in steps if "request_id" in given), info["planted"]["request_id"])
    report = next((line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("record")), "")
    pages = [f"{page}/{records.PAGE}" for page in (str(near(record)), report) if page]
    lines = [
        "", "look at", *(f"  {page}" for page in pages), f"  {near(records.reports() / 'index.html')}    all records",
        "", "try next",
        "  opslib run first-look                           what is off, since when, what changed just before",
        "  opslib run slow-database -p window=2h           what the database waits for",
        f"  opslib run trace-request -p request_id={another}    another request with the same error",
        "  opslib plan 3-remediate/restart-service         first aid, planned and not applied",
        "  opslib lab                                      all runbooks in JupyterLab",
        f"  opslib replay {summary['run_id']}                          this record again, without AWS",
        "  opslib sandbox stop", "", f"{time.monotonic() - began:.1f} s",
    ]  # fmt: skip
    click.echo("\n".join(lines))
    if summary["status"] != records.FINISHED or daily.returncode not in _REPORTED:
        raise click.exceptions.Exit(NO_REPORT)


@commands.command()
def version() -> None:
    """Say which versions run here."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from opslib.runner.summary import commit

    click.echo(f"opslib {version('opslib')}{f' ({commit()})' if commit() else ''}\npython {platform.python_version()}")
    for name in ("boto3", "pandas", "papermill", "jupyterlab", "ministack"):
        try:
            click.echo(f"{name} {version(name)}")
        except PackageNotFoundError:
            click.echo(f"{name} is not installed")
