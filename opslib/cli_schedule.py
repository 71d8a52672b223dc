"""The command line's side of schedules: what is due, when the next comes, and the line for a machine's cron."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from opslib.cli_changes import apply, env_option, say_planned, say_result


def run_due(names: tuple[str, ...], env: str) -> int:
    """Run what is due, say what became of it, and return the exit code."""
    from opslib import config
    from opslib.runner import batch
    from opslib.scheduling.running import run_due

    environment = config.load(env)
    outcomes = []
    for outcome in run_due(environment, names):
        outcomes.append(outcome)
        click.echo(click.style(outcome.runbook, bold=True))
        if outcome.record:
            say_result(outcome.record, outcome.summary)
        if outcome.error:
            click.echo(click.style(outcome.error, fg="red"), err=True)
    if not outcomes:
        click.echo("nothing is due" if config.schedules(environment) else _none(environment.name))
    return batch.worst(outcomes) if outcomes else 0


def _none(env: str) -> str:
    return f"nothing is scheduled in {env}: add a [[schedule]] to opslib.toml"


@click.group()
def schedule() -> None:
    """Reports on schedule: `[[schedule]]` of opslib.toml."""


@schedule.command("list")
@env_option
def list_(env: str) -> None:
    """Say what runs when, and up to when good runs have looked."""
    from opslib import aws, config, cron
    from opslib.scheduling.agenda import agenda
    from opslib.scheduling.memory import recalled

    environment = config.load(env)
    now, listed = aws.now(environment), agenda(environment)
    names, books = (max(map(len, each), default=0) for each in ([one.schedule.name for one in listed], [one.runbook for one in listed]))  # fmt: skip
    for one in listed:
        coming = cron.following(one.schedule.cron, now, environment.zone).astimezone(environment.zone)
        covered = recalled(environment, one.schedule.name).covered
        told = f"{covered.astimezone(environment.zone):%Y-%m-%d %H:%M %Z}" if covered else "no good run yet"
        click.echo(
            f"{one.schedule.name:<{names}}  {one.runbook:<{books}}  next {coming:%Y-%m-%d %H:%M %Z}   covered until {told}"
        )
    if not listed:
        click.echo(_none(environment.name))


@schedule.command()
@env_option
def cron(env: str) -> None:
    """Print a crontab line that runs what is due on this one machine: every five minutes it asks, and mostly nothing is."""
    from opslib import config
    from opslib.scheduling.agenda import agenda

    environment = config.load(env)
    if not agenda(environment):  # a mistake is told here, not at night
        click.echo(_none(environment.name), err=True)
    program = Path(sys.executable).with_name("opslib")
    command = f"{shlex.quote(str(program))} run --due --env {environment.name}"
    line = f"*/5 * * * * cd {shlex.quote(str(config.project_root()))} && {command} >/dev/null"
    click.echo(line.replace("%", "\\%"))  # cron ends a command there; what goes wrong it mails


@schedule.command()
@env_option
@click.option("--over-hand", is_flag=True, help="Set back what was changed by hand.")
def plan(env: str, over_hand: bool) -> None:
    """Plan to make EventBridge Scheduler start a Fargate task for each `[[schedule]]`, by a change set; nothing is changed.

    Exit code: 0 there is a plan to apply, or nothing to do; 1 a condition does not hold; 3 no report.
    """
    given = {"over_hand": json.dumps(over_hand)}
    say_planned("1-monitor/deploy-schedules", given, env=env, idle=0, apply="opslib schedule apply")


schedule.add_command(apply)
