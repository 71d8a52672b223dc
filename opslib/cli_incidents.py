"""The command line's side of incidents: open, note, attach, use, status, close, list, verify."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from opslib.cli_changes import env_option, near

_TIMES = "started, detected, notified, acknowledged, mitigated or resolved"
_incident = click.option(
    "--incident", default="", metavar="ID", help="Else the one that is open; of several none is guessed."
)


@click.group()
def incident() -> None:
    """Incident records: runs and changes made while one is open join it."""


@incident.command("open")
@click.argument("title")
@click.option("--severity", default="", help="As your scale has it, such as SEV2.")
@env_option
def open_(title: str, severity: str, env: str) -> None:
    """Open an incident and use it."""
    from opslib import config
    from opslib.incidents import store

    environment = config.load(env)
    made = store.begin(environment, title, severity=severity)
    store.use(environment, made.id)
    click.echo(
        f"{click.style(made.id, bold=True)}\nruns and changes in {environment.name} join it from now on\nrecord    {near(made.folder)}"
    )


@incident.command()
@click.argument("text")
@click.option(
    "--as",
    "kind",
    default="event",
    show_default=True,
    help=f"event, summary, impact, factor, temporary-fix, permanent-fix, action-item; {_TIMES}.",
)
@click.option("--at", default="", metavar="TIME", help='With its zone: "11:31 JST"; now when left out.')
@click.option("--source", default="", help="From where it is known; a time needs it.")
@click.option("--ja", default="", help="The same in Japanese, for the Japanese report.")
@click.option("--owner", default="", help="Of an action item.")
@click.option("--due", default="", help="Of an action item.")
@_incident
@env_option
def note(text: str, kind: str, at: str, source: str, ja: str, owner: str, due: str, incident: str, env: str) -> None:
    """Note an event, a time with its source, impact in numbers, a factor, a fix or an action item."""
    from opslib import config
    from opslib.incidents import store

    environment = config.load(env)
    found = store.meant(environment, incident)
    entry = store.note(found, environment, text, kind=kind, at=at, source=source, ja=ja, owner=owner, due=due)
    click.echo(f"{found.id}  entry {entry['n']}  {entry['moment']}  {kind}")


@incident.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--says", default="", help="What it shows.")
@click.option("--query", default="", help="The query it comes from.")
@click.option("--window", default="", help="The time window it covers.")
@_incident
@env_option
def attach(file: Path, says: str, query: str, window: str, incident: str, env: str) -> None:
    """Copy a file into the evidence, with its hash, query and window."""
    from opslib import config
    from opslib.incidents import store

    environment = config.load(env)
    found = store.meant(environment, incident)
    entry = store.attach(found, environment, file, says=says, query=query, window=window)
    kept = "" if entry["redacted"] else "  (no text: kept as it is, not redacted)"
    click.echo(f"{found.id}  {entry['file']}  sha256 {entry['sha256'][:16]}{kept}")


@incident.command()
@click.argument("incident", metavar="ID")
@env_option
def use(incident: str, env: str) -> None:
    """Let runs and changes join this one when several are open."""
    from opslib import config
    from opslib.incidents import store

    store.use(config.load(env), incident)
    click.echo(f"runs and changes join {incident} from now on")


@incident.command()
@_incident
@env_option
def status(incident: str, env: str) -> None:
    """Say what is known of an incident, what its record lacks, and what is unknown after a crash."""
    from opslib import config
    from opslib.applying import unsettled
    from opslib.checks.wording import counted
    from opslib.display import visible
    from opslib.incidents import closing, store

    environment = config.load(env)
    found = store.meant(environment, incident)
    page = closing.draw(found) if found.is_open else found.folder / "record.html"
    click.echo(f"{click.style(found.id, bold=True)}  {found.fields['state']}  {visible(found.fields['title'])}")
    for kind, entry in found.times().items():
        click.echo(visible(f"  {kind:<13} {entry['moment']}  {entry['source']}"))
    count = Counter(entry["event"] for entry in found.entries)
    click.echo(
        f"  {counted(count['run'], 'run')}, {counted(count['apply'], 'change')}, {counted(count['evidence'], 'file')} of evidence"
    )
    for entry in unsettled(found.entries):
        said = f"  UNKNOWN: CHECK  {entry['action']} {entry['target']} step {entry['step']}: {entry['command']}  (opslib journal says how)"
        click.echo(click.style(visible(said), fg="red", bold=True))
    if missing := found.missing():
        click.echo(f"  not yet said: {', '.join(missing)}")
    click.echo(f"record    {near(page)}")


@incident.command()
@_incident
@click.option("--incomplete", is_flag=True, help="Close it although the record lacks something; it then says what.")
@env_option
def close(incident: str, incomplete: bool, env: str) -> None:
    """Close an incident: record.html and record.md, in Japanese too, manifest, export."""
    from opslib import config
    from opslib.incidents import closing, store

    environment = config.load(env)
    found = store.meant(environment, incident)
    page, exported = closing.close(environment, found, incomplete=incomplete)
    click.echo(
        f"{click.style(found.id, bold=True)}  closed\nrecord    {near(page)}\njapanese  {near(page.with_name('record.ja.html'))}"
    )
    if "head" in exported:
        click.echo(f"head      posted to {exported['head']}")
    if "objects" in exported:
        last = exported["objects"][closing.MANIFEST]["version"]
        click.echo(f"export    s3://{exported['bucket']}, locked until {exported['until']}; manifest version {last}")
    elif "head" not in exported:
        click.echo(
            "export    none: neither incident_bucket nor incident_log_group is configured; whoever can write this folder can rewrite the record"
        )


@incident.command("list")
@env_option
def list_(env: str) -> None:
    """List the incidents of an environment, newest first."""
    from opslib import config
    from opslib.display import visible
    from opslib.incidents import store

    environment = config.load(env)
    for folder in store.folders(environment):
        told = store.load(environment, folder.name).fields
        click.echo(visible(f"{folder.name}  {told['state']:<6} {told['severity']:<5} {told['title']}"))
    if not store.folders(environment):
        click.echo('no incident yet: opslib incident open "what customers see"')


@incident.command()
@click.argument("incident", metavar="ID")
@env_option
def verify(incident: str, env: str) -> None:
    """Find an edit, a deletion or a cut tail in a record. Exit code 1 when there is one."""
    from opslib import config
    from opslib.incidents import closing, store

    environment = config.load(env)
    problems, against = closing.verify(environment, store.load(environment, incident))
    for problem in problems:
        click.echo(click.style(f"TOUCHED  {problem}", fg="red", bold=True))
    click.echo(f"{'held against' if problems else 'untouched, held against'} {'; '.join(against)}")
    raise click.exceptions.Exit(1 if problems else 0)
