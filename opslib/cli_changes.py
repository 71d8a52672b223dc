"""The command line's side of changes: plan, apply, and the journal of what was done."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from opslib.errors import ParameterError

given_option = click.option(
    "-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the runbook; may be repeated."
)
env_option = click.option("--env", default="", help="The environment; else OPSLIB_ENV, else the default.")


@click.command()
@click.argument("notebook")
@given_option
@env_option
def plan(notebook: str, given: tuple[str, ...], env: str) -> None:
    """Run a runbook that writes, headless: it plans, leaves plan.json in its record, and changes nothing.

    Exit code: 0 there is a plan to apply; 1 a condition does not hold; 3 no report.
    """
    say_planned(notebook, pairs(given), env=env)


def say_planned(notebook: str, given: dict[str, str], *, env: str, idle: int = 1, apply: str = "opslib apply") -> None:
    """Run a runbook headless and say its plan and how it is applied; `idle` is the exit code when nothing is to be changed."""
    from opslib import plan as plans
    from opslib.runner import headless, records

    record, summary = headless.run(notebook, given, env=env)
    say_result(record, summary)
    if summary["status"] != records.FINISHED or not (record / plans.FILE).is_file():
        code = idle if summary["verdict"] == "ok" else 1
        raise click.exceptions.Exit(3 if summary["status"] != records.FINISHED else code)
    made = plans.load(record / plans.FILE)
    if made.hash != made.sealed:  # redacted, as any record is
        click.echo("no apply  the plan holds personal data or a secret, which no record keeps: apply it in a notebook")
        raise click.exceptions.Exit(1)
    click.echo(f"plan      {made.sealed}, until {made.expires}")
    click.echo(f"apply     OPSLIB_APPLY={made.sealed} {apply} {summary['run_id']}")


@click.command()
@click.argument("record")
def apply(record: str) -> None:
    """Apply the plan of a record, with its full hash in OPSLIB_APPLY; leaves a record of its own.

    Exit code: 0 done and seen; 1 refused or failed; 2 unknown: check; 3 no report.
    """
    from opslib.runner import applies, records

    folder, summary = applies.apply(record)
    say_result(folder, summary)
    code = {"ok": 0, "unknown": 2}.get(summary["verdict"], 1)
    raise click.exceptions.Exit(code if summary["status"] == records.FINISHED else 3)


@click.command()
@env_option
@click.option("--last", default=20, show_default=True, help="How many entries.")
@click.option("--checked", default="", metavar="HASH", help="You looked how this change ended; say what you saw.")
@click.option("--says", default="", help="What you saw.")
def journal(env: str, last: int, checked: str, says: str) -> None:
    """Say what was changed from here, and whose end is unknown. Exit code 1 when the journal was touched."""
    from opslib import config
    from opslib.applying import settle, unsettled
    from opslib.display import visible
    from opslib.journal import Journal

    if checked or says:
        settle(config.load(env), checked, says)
    kept = Journal.of(config.load(env))
    entries, problems = kept.entries(), kept.problems()
    for entry in entries[-last:]:
        click.echo(visible(f"{entry['at']}  {entry['by']:<10} {entry['event']:<9} {_told(entry)}"))
    looks = {entry["plan"]: entry["content"]["verification"]["look"] for entry in entries if entry["event"] == "apply"}
    for entry in unsettled(entries):
        said = f"UNKNOWN: CHECK  {entry['action']} {entry['target']}, step {entry['step']}, {entry['at']}: how it ended is not known"
        click.echo(click.style(visible(said), fg="red", bold=True))
        click.echo(
            visible(f"    called   {entry['command']}\n    look     {looks.get(entry['plan'], '')}").replace(
                "\\u000a", "\n"
            )
        )
    for problem in problems:
        click.echo(click.style(f"TOUCHED  {kept.file}: {problem}", fg="red", bold=True))
    if not entries:
        click.echo("nothing was changed from here")
    raise click.exceptions.Exit(1 if problems else 0)


def _told(entry: dict[str, Any]) -> str:
    what = f"{entry.get('action', '')} {entry.get('target', '')} {str(entry.get('plan', ''))[:8]}".strip()
    more = entry.get("outcome") or entry.get("what") or entry.get("call") or entry.get("confirmed_by") or ""
    return f"{what}  {more}{': ' + str(entry['says']) if entry.get('says') else ''}"


def pairs(given: Iterable[str]) -> dict[str, str]:
    """Return NAME=VALUE texts as a dict; raises ParameterError for another form and for a name given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"-p {text!r} is not NAME=VALUE", fix="for example -p request_id=req-5f0c2e9ab714")
        if name in found:
            raise ParameterError(f"{name} is given twice", why=f"{found[name]!r} and {value!r}", fix="give it once")
        found[name] = value
    return found


def listed(notebooks: tuple[str, ...], given: dict[str, str], each: str) -> list[tuple[str, dict[str, str]]]:
    """Return what is to run: each notebook, or the one notebook for each value of `each` (NAME=A,B); raises ParameterError."""
    if not each:
        return [(notebook, given) for notebook in notebooks]
    name, _, text = each.partition("=")
    values = [value.strip() for value in text.split(",")]
    if not name or not all(values):
        raise ParameterError(f"--each {each!r} is not NAME=A,B", fix="for example --each window=1h,24h")
    if len(notebooks) > 1 or name in given:
        why = f"-p sets {name}, too" if name in given else f"{len(notebooks)} notebooks are given"
        raise ParameterError(f"--each {each!r} is for one notebook, and sets its parameter alone", why=why)
    return [(notebooks[0], {**given, name: value}) for value in values]


def near(path: Path) -> Path:
    """Return the path as one would type it from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def say_result(record: Path, summary: dict[str, Any]) -> None:
    """Print verdict, first sentence, what is missing and where the record lies."""
    from opslib.display import status_text, visible

    results = summary["results"]
    said = visible(results[0]["sentence"]) if results else "no check came to a result"
    colour = {"critical": "red", "warn": "yellow", "ok": "green"}.get(summary["verdict"], "white")
    click.echo(f"{click.style(status_text(summary['verdict']), fg=colour, bold=True)}  {click.style(said, bold=True)}")
    if summary["status"] != "finished":
        click.echo(click.style(f"the run did not finish ({summary['status']})", fg="red", bold=True), err=True)
        click.echo(visible(summary["error"]).replace("\\u000a", "\n"), err=True)
    elif not summary["blind"].startswith("0 "):
        click.echo(f"{summary['blind']}: {visible(results[0]['reason'] if results else '')}")
    click.echo(f"record    {near(record)}")
