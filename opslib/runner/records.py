"""Where records lie, how one begins, and how it gets into its place.

A headless run lies aside in reports/.partial until it is finished; an interactive one is where it will stay, and open.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib import files, open_incidents
from opslib.config import reports_folder
from opslib.errors import RecordError
from opslib.journal import person
from opslib.runner import runbooks

SCHEMA = 1
FINISHED, FAILED, KILLED, TIMEOUT, INTERRUPTED = "finished", "failed", "killed", "timeout", "interrupted"
HEADLESS, INTERACTIVE = "headless", "interactive"
NOTEBOOK, PAGE, SUMMARY, STATE, LEDGER = "record.ipynb", "report.html", "summary.json", "run.json", "ledger.jsonl"
_DAYS = "*/[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"


def reports() -> Path:
    """Return the folder of all records."""
    return reports_folder()


def begin(runbook: str, notebook: runbooks.Notebook, env: str, *, mode: str, parameters: Mapping[str, Any], scheduled: str = "") -> Path:  # fmt: skip
    """Make the folder of a new run, with run.json and the notebook that is to run; raises RecordError."""
    now, run_id = datetime.now(UTC), secrets.token_hex(4)
    name = f"{now:%Y%m%dT%H%M%SZ}_{runbook.rsplit('/', 1)[-1]}_{run_id}"
    folder = reports() / ".partial" / name if mode == HEADLESS else _place_of(env, now, name)
    state = {
        "schema": SCHEMA, "run_id": run_id, "runbook": runbook, "env": env, "mode": mode, "parameters": dict(parameters),
        "started": now.isoformat(timespec="milliseconds"), "operator": person(), "state": "open", "pid": os.getpid(),
        "incident": open_incidents.in_force(env), "scheduled": scheduled,
    }  # fmt: skip
    try:
        files.make_private(folder, below=reports())
        files.write(folder / STATE, json.dumps(state, ensure_ascii=False, indent=1))
        files.write(folder / NOTEBOOK, runbooks.text_of(notebook))
    except OSError as error:
        raise files.cannot_write(folder, error) from None
    except RecordError:
        discard(folder)
        raise
    return folder


def state_of(folder: Path) -> dict[str, Any]:
    """Return run.json of a run that is not finished; raises RecordError."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = "it is finished, or it never was one" if isinstance(error, FileNotFoundError) else str(error)
        raise RecordError(
            f"{folder} is not an open record", why=why, fix="`opslib close` closes all open ones"
        ) from None
    return state


def summary_of(folder: Path) -> dict[str, Any]:
    """Return summary.json of a finished record; raises RecordError."""
    try:
        summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{folder} is not a finished record",
            why=str(error),
            fix=f"name a folder below {reports()} with a {SUMMARY}",
        ) from None
    return summary


def place(folder: Path, state: Mapping[str, Any]) -> Path:
    """Take away what only the run needed and put the folder where it stays; raises RecordError."""
    target = folder
    if state["mode"] == HEADLESS:
        target = _place_of(state["env"], datetime.fromisoformat(state["started"]), folder.name)
    try:
        for left in (STATE, LEDGER):
            (folder / left).unlink(missing_ok=True)
        if target != folder:
            files.make_private(target.parent, below=reports())
            folder.replace(target)
        files.settle(target.parent)
    except OSError as error:
        raise files.cannot_write(target, error) from None
    return target


def folders() -> list[Path]:
    """Return the folders of all records in their places, open ones too, newest first."""
    found = [folder for folder in reports().glob(f"{_DAYS}/*_*_*") if folder.is_dir()]
    return sorted((folder for folder in found if not _hidden(folder)), key=lambda folder: folder.name, reverse=True)


def find(text: str) -> Path:
    """Return the one record that a path, a part of its name or a run id means; raises RecordError."""
    path = Path(text)
    folder = path.parent if path.suffix in {".html", ".ipynb", ".json"} else path
    if folder.is_dir() and text:
        return folder.resolve()
    found = [record for record in folders() if text in record.name]
    if len(found) == 1:
        return found[0]
    why = f"{len(found)} of {len(folders())} records match" if found else f"none in {reports()} has it in its name"
    raise RecordError(f"there is no single record {text!r}", why=why, fix="name its folder, or its run id")


def discard(folder: Path) -> None:
    """Remove the work folder of a run that cannot become a record."""
    shutil.rmtree(folder, ignore_errors=True)


def _place_of(env: str, moment: datetime, name: str) -> Path:
    return reports() / env / f"{moment:%Y/%m/%d}" / name


def _hidden(folder: Path) -> bool:
    return any(part.startswith(".") for part in folder.relative_to(reports()).parts)
