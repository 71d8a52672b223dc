"""The command line's side of alerts."""

from __future__ import annotations

from pathlib import Path

import click

from opslib.cli_alert_changes import drill, plan
from opslib.cli_changes import apply, env_option, near


@click.group()
def alerts() -> None:
    """Alarms as code, and how they reach people."""


for _command in (plan, apply, drill):
    alerts.add_command(_command)


@alerts.command()
@env_option
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=None, help="A folder to write them and notifier.zip into.")  # fmt: skip
@click.argument("name", default="")
def template(name: str, env: str, folder: Path | None) -> None:
    """Print a CloudFormation template of an environment's alerts by its NAME; without one, say which there are."""
    from opslib import config
    from opslib.actions.stack_state import LONGEST
    from opslib.alerting import template as made
    from opslib.errors import ParameterError

    environment = config.load(env)
    found = made.templates(environment)
    if folder:
        for file in made.write(environment, folder):
            click.echo(near(file))
    elif name:
        if name not in found:
            raise ParameterError(f"there is no template {name!r}", fix=f"choose {', '.join(found)}")
        click.echo(made.text(found[name]), nl=False)
    else:
        for one, body in found.items():
            size = len(made.text(body).encode())
            note = " LONGER THAN A CALL TAKES: give it to CloudFormation from S3" if size > LONGEST else ""
            click.echo(f"{one:<20} {len(body['Resources']):>4} resources  {size:>6} bytes{note}")
        click.echo("write them: opslib alerts template --to FOLDER")


@alerts.command()
@env_option
@click.option(
    "--drift/--no-drift", default=True, show_default=True, help="Ask CloudFormation what was changed by hand."
)
def status(env: str, drift: bool) -> None:
    """Say whether the way from an alarm to a person is whole and worked lately, what is wrong with it, and what to do.

    Exit code: 1 an alert would not arrive, else 2 not all could be seen, else 0.
    """
    import opslib
    from opslib.alerting import pipeline
    from opslib.display import result_text, visible

    found = pipeline.whole(opslib.start(env=env), drift=drift)
    click.echo(result_text(found))
    for row in () if found.table is None else found.table.itertuples(index=False):
        click.echo(f"\n{click.style(visible(row[0]), bold=True)}\n      {visible(row[1])}\n  do: {visible(row[2])}")
    raise click.exceptions.Exit(1 if found.verdict == "critical" else 2 if found.blind else 0)
