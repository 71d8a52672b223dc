"""The command line's side of a strange account: `opslib init` and `opslib doctor`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--profile", default="", help="The AWS profile; empty: the default one.")
@click.option("--region", default="", help="Empty: the profile's.")
@click.option("--name", default="prod", show_default=True, help="What the environment is to be called.")
@click.option("--timezone", default="UTC", show_default=True, help="In which times are shown, such as Asia/Tokyo.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    default=None,
    help="The file; default: opslib.toml of the project.",
)
def init(profile: str, region: str, name: str, timezone: str, target: Path | None) -> None:
    """Look through an account, read only, and write an opslib.toml with what is found; never over one that is there."""
    from opslib import config
    from opslib.doctor import discovery, writing

    file = target or config.project_root() / config.FILE_NAME
    if file.exists():
        writing.write(file, "")  # refuse before anything is asked
    environment, arn = discovery.begin(name=name, profile=profile, region=region, timezone=timezone)
    found = discovery.look(environment)
    writing.write(file, writing.toml(environment, found, arn=arn))
    open_points = sum(len(remarks) for remarks in found.remarks.values())
    click.echo(f"{file}: {', '.join(section or 'log groups' for section in found.sections)}")
    click.echo(f"{open_points} points are for you to decide: look for '# ?'\nnext: opslib doctor --env {name}")


@click.command()
@click.option("--env", default="", help="The environment; else OPSLIB_ENV, else the default.")
def doctor(env: str) -> None:
    """Say of each runbook whether it will work here, and what mends what does not; everything is only read.

    Exit code: 1 a runbook does not work at all, else 2 one works only partly, else 0; 3 the configuration is wrong.
    """
    from opslib import config
    from opslib.display import visible
    from opslib.doctor import examination

    environment = config.load(env)
    examined = examination.examine(environment)
    click.echo("\n".join(visible(line) for line in examination.text(environment, examined).splitlines()))
    raise click.exceptions.Exit(examined.exit_code)
