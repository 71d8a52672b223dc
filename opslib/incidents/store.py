"""Incidents on the disk: a folder each, whose chained journal is the truth and everything else is drawn from it."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from opslib import aws, files, open_incidents, redact
from opslib.config import Environment
from opslib.errors import ParameterError, RecordError
from opslib.journal import NAME, Entry, Journal
from opslib.open_incidents import RECORD, folder_of
from opslib.window import moment

TIMES = ("started", "detected", "notified", "acknowledged", "mitigated", "resolved")
KINDS = (*TIMES, "event", "summary", "impact", "factor", "temporary-fix", "permanent-fix", "action-item")
NEEDED = (
    "started",
    "detected",
    "mitigated",
    "resolved",
    "impact",
    "factor",
    "temporary-fix",
    "permanent-fix",
    "action-item",
)
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Incident:
    """One incident: its fields, and the entries of its journal, oldest first."""

    folder: Path
    fields: dict[str, Any]
    entries: list[Entry] = field(repr=False)

    @property
    def id(self) -> str:
        """Return the id, which is the folder's name."""
        return self.folder.name

    @property
    def is_open(self) -> bool:
        """Tell whether runs and changes may still join."""
        return bool(self.fields["state"] == "open")

    def notes(self, kind: str) -> list[Entry]:
        """Return the notes of a kind, oldest first."""
        return [entry for entry in self.entries if entry["event"] == "note" and entry["kind"] == kind]

    def times(self) -> dict[str, Entry]:
        """Return the moments that are known, by name; the note made last counts."""
        return {kind: self.notes(kind)[-1] for kind in TIMES if self.notes(kind)}

    def missing(self) -> list[str]:
        """Return what a closed record must say and this one does not yet."""
        return [kind for kind in NEEDED if not self.notes(kind)]


def begin(environment: Environment, title: str, *, severity: str = "") -> Incident:
    """Open an incident of the environment's clock and return it; raises ParameterError for an empty title."""
    title = redact.text(" ".join(title.split()))
    if not title:
        raise ParameterError("an incident needs a title", fix='opslib incident open "checkout is slow"')
    known = aws.asked_anew(environment)
    now = aws.now(environment)
    incident = f"INC-{now:%Y%m%d-%H%M%S}-{_slug(title)}"
    folder = folder_of(environment.name, incident)
    if folder.exists():
        raise ParameterError(f"{incident} is there already", fix="wait a second, then try again")
    fields = {
        "schema": 1, "id": incident, "title": title, "severity": redact.text(severity), "state": "open", "environment": environment.name,
        "account": known.account, "region": environment.region, "timezone": environment.timezone, "sandbox": environment.sandbox,
        "opened": now.isoformat(timespec="seconds"), "closed": "",
    }  # fmt: skip
    _journal(folder).append("opened", at=now, title=title, severity=severity)
    _write_fields(folder, fields)
    return load(environment, incident)


def load(environment: Environment, incident: str) -> Incident:
    """Return an incident by its whole id; raises ParameterError when there is none, RecordError when it cannot be read."""
    folder = folder_of(environment.name, incident)
    if not folder.is_dir():
        known = ", ".join(one.name for one in folders(environment)) or "none"
        raise ParameterError(f"there is no incident {incident!r}", fix=f"there are: {known}")
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{folder / RECORD} cannot be read", why=str(error), fix=f"opslib incident verify {incident}"
        ) from None
    return Incident(folder, fields, _journal(folder).entries())


def meant(environment: Environment, incident: str = "") -> Incident:
    """Return the incident of an id, or the one in force; raises ParameterError when that is none or several."""
    chosen, why = (incident, "") if incident else open_incidents.in_force(environment.name)
    if not chosen:
        raise ParameterError("which incident?", why=why, fix="name it, opslib incident use ID, or OPSLIB_INCIDENT=ID")
    return load(environment, chosen)


def folders(environment: Environment) -> list[Path]:
    """Return the folders of all incidents, newest first."""
    found = open_incidents.home(environment.name).glob("INC-*")
    return sorted(
        (one for one in found if open_incidents.ID.fullmatch(one.name)), key=lambda one: one.name, reverse=True
    )


def use(environment: Environment, incident: str) -> None:
    """Let runs and changes of this environment join this incident, until it is closed."""
    if not load(environment, incident).is_open:
        raise ParameterError(
            f"{incident} is closed", fix="open are: " + (", ".join(open_incidents.opened(environment.name)) or "none")
        )
    files.write(open_incidents.home(environment.name) / open_incidents.USED, incident + "\n")


def note(
    incident: Incident, environment: Environment, text: str, *, kind: str = "event", at: str = "", **more: str
) -> Entry:
    """Note something: an event of the timeline, or what the record needs (a time, impact, a factor, a fix, an action item).

    `at` is the moment with its zone, now when empty; `more` may hold source (from where it is known), ja (the same in
    Japanese), owner and due. A time without a source, and an impact without a number, is refused: ParameterError.
    """
    _must_be_open(incident)
    now = aws.now(environment)
    when = moment(at, now=now, zone=environment.zone) if at else now
    if kind not in KINDS:
        raise ParameterError(f"{kind!r} is no kind of note", fix=f"one of {', '.join(KINDS)}")
    if kind in TIMES and not more.get("source"):
        raise ParameterError(
            f"from where is {kind} known?", fix='--source "alarm checkout-5xx", "page 4711", "Suzuki by telephone"'
        )
    if kind == "impact" and not re.search(r"[0-9]", text):
        raise ParameterError(
            "impact is told in numbers", fix='for example "312 of 4,120 checkouts failed in 27 minutes"'
        )
    told = {name: value for name, value in more.items() if value}
    return _journal(incident.folder).append(
        "note", at=now, kind=kind, text=text, moment=when.isoformat(timespec="seconds"), **told
    )


def attach(
    incident: Incident,
    environment: Environment,
    file: Path,
    *,
    says: str = "",
    query: str = "",
    window: str = "",
    folder: str = "",
) -> Entry:
    """Copy a file into the evidence, redacted when it is text, and note its hash, query and window."""
    _must_be_open(incident)
    if not file.is_file() or file.is_symlink():
        raise ParameterError(f"{file} is no file", fix="name one file; a folder goes as an archive")
    name = _NAME.sub("-", redact.text(file.stem)).strip(".-") + _NAME.sub("-", redact.text(file.suffix)) or "evidence"
    target = _free(incident.folder / "evidence" / _NAME.sub("-", folder) / name)
    content, redacted = _cleaned(file.read_bytes())
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(files.PRIVATE_FILE)
    except OSError as error:
        raise files.cannot_write(target, error) from None
    facts = {
        "file": target.relative_to(incident.folder).as_posix(),
        "sha256": sha256(target),
        "says": says or file.name,
    }
    told = {name: value for name, value in {"query": query, "window": window}.items() if value}
    return _journal(incident.folder).append("evidence", at=aws.now(environment), **facts, **told, redacted=redacted)


def enter(incident: Incident, event: str, *, at: datetime, **facts: Any) -> Entry:
    """Write any other entry into the journal of an incident."""
    return _journal(incident.folder).append(event, at=at, **facts)


def write_fields(incident: Incident, **changes: Any) -> None:
    """Change fields of record.json."""
    _write_fields(incident.folder, {**incident.fields, **changes})


def sha256(file: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_fields(folder: Path, fields: dict[str, Any]) -> None:
    files.write(folder / RECORD, json.dumps(fields, ensure_ascii=False, indent=1) + "\n")


def _journal(folder: Path) -> Journal:
    return Journal(folder / NAME)


def _must_be_open(incident: Incident) -> None:
    if not incident.is_open:
        raise ParameterError(
            f"{incident.id} is closed", why="a closed record never changes", fix="open a new one that names it"
        )


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:48].strip("-") or "incident"


def _cleaned(content: bytes) -> tuple[bytes, bool]:
    try:
        return redact.text(content.decode("utf-8")).encode("utf-8"), True
    except UnicodeDecodeError:
        return content, False


def _free(file: Path) -> Path:
    number, tried = 2, file
    while tried.exists():
        tried, number = file.with_stem(f"{file.stem}-{number}"), number + 1
    return tried
