"""Close an incident: draw the record, list every file with its hash, put it where nobody can rewrite it; and verify all that."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from opslib import aws, files, journal, open_incidents
from opslib.applying import unsettled
from opslib.config import Environment
from opslib.errors import ParameterError, SourceError
from opslib.incidents import anchor, report, report_ja, store
from opslib.incidents.document import html, markdown
from opslib.incidents.store import Incident, sha256
from opslib.journal import NAME, Journal

MANIFEST, EXPORT = "manifest.json", "export.json"
KEPT = timedelta(days=400)
_NOT_LISTED = {MANIFEST, EXPORT, "journal.head"}


def draw(incident: Incident) -> Path:
    """Write record.html and record.md, and the same in Japanese; return record.html."""
    for name, document in (("record", report.english(incident)), ("record.ja", report_ja.japanese(incident))):
        files.write(incident.folder / f"{name}.html", html(document))
        files.write(incident.folder / f"{name}.md", markdown(document))
    return incident.folder / "record.html"


def close(environment: Environment, incident: Incident, *, incomplete: bool = False) -> tuple[Path, dict[str, Any]]:
    """Close an incident and return record.html and what the export left: version ids, where the head was posted, or neither.

    Of one that is closed, what its export lacks is made up for. Raises ParameterError when the record does not say yet
    what it must, unless `incomplete`; the record then says so. Raises SourceError for an export that failed.
    """
    if incident.is_open:
        _end(environment, incident, incomplete=incomplete)
    elif not (environment.incident_bucket or environment.incident_log_group):
        raise ParameterError(f"{incident.id} is closed already", fix=f"opslib incident verify {incident.id}")
    closed = store.load(environment, incident.id)
    page = closed.folder / "record.html"
    if not (closed.folder / MANIFEST).is_file():  # what is listed is not drawn again
        page = draw(closed)
        files.write(closed.folder / MANIFEST, json.dumps(_manifest(closed), indent=1, sort_keys=True) + "\n")
    try:
        exported = export(environment, closed)
        posted = anchor.post(environment, closed.id, _head(closed))
    except SourceError as error:
        error.fix = "; ".join(filter(None, [error.fix, f"then again: opslib incident close --incident {closed.id}"]))
        raise
    return page, exported | ({"head": posted} if posted else {})


def _end(environment: Environment, incident: Incident, *, incomplete: bool) -> None:
    """Let nothing join any more."""
    unknown = [f"how {entry['action']} {entry['target']} ended" for entry in unsettled(incident.entries)]
    if (missing := incident.missing() + unknown) and not incomplete:
        fix = "opslib incident note TEXT --as KIND; or --incomplete, and the record says what is missing"
        raise ParameterError(f"{incident.id} does not say yet: {', '.join(missing)}", fix=fix)
    now = aws.now(environment)
    store.enter(incident, "closed", at=now, missing=missing)
    store.write_fields(incident, state="closed", closed=now.isoformat(timespec="seconds"))
    used = open_incidents.home(environment.name) / open_incidents.USED
    if used.is_file() and used.read_text(encoding="utf-8").strip() == incident.id:
        used.unlink()


def export(environment: Environment, incident: Incident) -> dict[str, Any]:
    """Put every file of a closed incident into `incident_bucket` under Object Lock and keep the version ids.

    s3:PutObject with If-None-Match, so that nothing that lies there is hidden; what an earlier try has put there is left
    as it is. The manifest, which holds the head of the journal, goes last. Without a bucket nothing is exported. Raises
    SourceError, also when something else lies there; the local record stands.
    """
    if not environment.incident_bucket or incident.is_open:
        return {}
    until, kept = datetime.fromisoformat(incident.fields["closed"]) + KEPT, {}  # each try has the same
    for name in [*_manifest(incident)["files"], MANIFEST]:
        file, key = incident.folder / name, _key(environment, incident, name)
        asked: dict[str, Any] = {"Bucket": environment.incident_bucket, "Key": key, "Body": file.read_bytes(), "IfNoneMatch": "*"}  # fmt: skip
        locked: dict[str, Any] = {
            "ChecksumAlgorithm": "SHA256",
            "ObjectLockMode": "COMPLIANCE",
            "ObjectLockRetainUntilDate": until,
        }
        try:
            version = aws.ask(environment, "s3", "put_object", **asked, **locked).get("VersionId", "")
        except SourceError as error:
            there = _oldest(environment, key) if "PreconditionFailed" in error.what else None
            if there is None or there[0] != asked["Body"]:
                raise
            version = there[1]
        kept[name] = {"version": version, "sha256": sha256(file)}
    told = {"bucket": environment.incident_bucket, "until": until.isoformat(timespec="seconds"), "objects": kept}
    files.write(incident.folder / EXPORT, json.dumps(told, indent=1) + "\n")
    return told


def verify(environment: Environment, incident: Incident) -> tuple[list[str], list[str]]:
    """Return what is wrong with a record (edits, deletions, a cut tail, additions), and what it was held against."""
    against, manifest, changed = ["the chain of its journal"], None, list[str]()
    if not incident.is_open:
        manifest, where = _true_manifest(environment, incident)
        against.append(where)
        changed, head = (
            anchor.differences(environment, incident.id, _head(incident))
            if environment.incident_log_group
            else ([], "")
        )
        against += [head] if head else []
        if manifest is None:
            return [f"{MANIFEST} is missing or cannot be read"], against
    chain = Journal(incident.folder / NAME).problems(head=manifest["head"] if manifest else None)
    problems = [*changed, *(f"{NAME}: {one}" for one in chain)]
    known = manifest["files"] if manifest else _noted(incident)
    problems += [f"{name} is missing" for name in known if not (incident.folder / name).is_file()]
    problems += [f"{name} was changed" for name, told in known.items() if _differs(incident.folder / name, told)]
    if manifest:
        problems += [f"{name} was added" for name in _files(incident) if name not in known]
        local = _read_manifest(incident.folder / MANIFEST)
        problems += [f"{MANIFEST} was changed"] if local != manifest else []
    return problems, against


def _true_manifest(environment: Environment, incident: Incident) -> tuple[dict[str, Any] | None, str]:
    """The one in the bucket where there is one."""
    if environment.incident_bucket:
        key = _key(environment, incident, MANIFEST)
        if found := _oldest(environment, key):
            return json.loads(found[0]), f"s3://{environment.incident_bucket}/{key} version {found[1]}"
    return _read_manifest(
        incident.folder / MANIFEST
    ), f"its own {MANIFEST}: whoever could write the record could write that too"


def _oldest(environment: Environment, key: str) -> tuple[bytes, str] | None:
    """Return content and id of the oldest version: a newer one may hide it, but cannot replace it, nor a thousand newer ones."""
    bucket = environment.incident_bucket
    found = [one for one in aws.pages(environment, "s3", "list_object_versions", "Versions", Bucket=bucket, Prefix=key) if one["Key"] == key]  # fmt: skip
    if not found:
        return None
    version = min(reversed(found), key=lambda one: one["LastModified"])["VersionId"]  # AWS lists the newest first
    told = aws.ask(environment, "s3", "get_object", Bucket=bucket, Key=key, VersionId=version)
    return aws.content(environment, told), version


def _head(incident: Incident) -> dict[str, Any]:
    """What is posted of a closed incident: the head of its journal, and the manifest by its hash."""
    return {NAME: journal.head(incident.folder / NAME), MANIFEST: sha256(incident.folder / MANIFEST)}


def _manifest(incident: Incident) -> dict[str, Any]:
    listed = {name: sha256(incident.folder / name) for name in _files(incident)}
    return {"incident": incident.id, "head": journal.head(incident.folder / NAME), "files": listed}


def _files(incident: Incident) -> list[str]:
    found = (file for file in incident.folder.rglob("*") if file.is_file())
    return sorted(name for file in found if (name := file.relative_to(incident.folder).as_posix()) not in _NOT_LISTED)


def _noted(incident: Incident) -> dict[str, str]:
    """While it is open the journal knows the hashes of what came in."""
    noted = {entry["file"]: str(entry["sha256"]) for entry in incident.entries if entry["event"] == "evidence"}
    pages = [page for entry in incident.entries if entry["event"] == "run" for page in entry["pages"].values()]
    return {**noted, **{page["file"]: str(page["sha256"]) for page in pages}}


def _differs(file: Path, told: str) -> bool:
    return file.is_file() and sha256(file) != told


def _read_manifest(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if {"head", "files"} <= set(found) else None


def _key(environment: Environment, incident: Incident, name: str) -> str:
    return f"opslib/incidents/{environment.name}/{incident.id}/{name}"
