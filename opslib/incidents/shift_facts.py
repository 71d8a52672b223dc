"""What the reports folder of this machine tells of a shift: incidents, the journal of changes, records of runs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.applying import unsettled
from opslib.config import reports_folder
from opslib.errors import OpsError
from opslib.incidents import report, store
from opslib.journal import Journal

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

MOST = 500  # records that are read, the newest first
INCIDENTS = {"incident": "str", "title": "str", "severity": "str", "state": "str", "opened": "time", "closed": "time", "lacks": "str", "due": "str"}  # fmt: skip
ENTRIES = {"at": "time", "event": "str", "by": "str", "action": "str", "target": "str", "says": "str", "unknown": "bool"}  # fmt: skip
RECORDS = {"at": "time", "runbook": "str", "verdict": "str", "status": "str", "by": "str", "says": "str", "plan": "str", "folder": "str"}  # fmt: skip


def incidents(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return the incidents that are open, and those that were closed in the window, newest first.

    Columns: incident, title, severity, state (open or closed), lacks (what the record does not say yet), due (action
    items with owner and date, a line each) str; opened, closed datetime64[ns, UTC]. attrs: problems (list of str).
    """
    rows, problems = [], []
    for folder in store.folders(environment):
        try:
            found = store.load(environment, folder.name)
        except OpsError as error:
            problems.append(error.what)
            continue
        closed = datetime.fromisoformat(found.fields["closed"]) if found.fields["closed"] else None
        if found.is_open or (closed and _within(closed, window, environment)):
            due = [f"{one['text']} ({one.get('owner', 'nobody yet')}, {one['due']})" for one in found.notes("action-item") if one.get("due")]  # fmt: skip
            rows.append({**found.fields, "incident": found.id, "closed": closed, "lacks": ", ".join(found.missing()) if found.is_open else "",
                         "due": "\n".join(due)})  # fmt: skip
    frame = frames.made(rows, INCIDENTS)
    frame.attrs["problems"] = problems
    return frame


def journal(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return what was changed in the window, newest first, and every change whose end is not known, whenever it was.

    Columns: event (apply, verified, refused, result, checked, intent), by, action, target, says str; at
    datetime64[ns, UTC]; unknown bool. attrs: problems (what was done to the journal). Raises RecordError.
    """
    book = Journal.of(environment)
    entries = book.entries()
    open_ends = unsettled(entries)
    told = [entry for entry in entries if entry.get("action") and report.told(entry) and _within(_at(entry), window, environment)]  # fmt: skip
    rows = [_entry(entry, says=report.told(entry).partition(": ")[2], unknown=False) for entry in told]
    rows += [_entry(entry, says=f"end not known, step {entry.get('step')}: {entry.get('command')}", unknown=True) for entry in open_ends]  # fmt: skip
    frame = frames.made(sorted(rows, key=lambda row: row["at"], reverse=True), ENTRIES)
    frame.attrs["problems"] = [f"journal: {problem}" for problem in book.problems()]
    return frame


def records(environment: Environment, *, window: Window, own: Path | None = None) -> pd.DataFrame:
    """Return the runs of the window by the environment's clock, newest first, and every record that is not closed yet; `own` is left out.

    Columns: runbook, verdict, status, by, says, plan (action and target, empty without one), folder str; at
    datetime64[ns, UTC]. attrs: problems (records that cannot be read, or that there are more than 500).
    """
    found = sorted((reports_folder() / environment.name).glob("[0-9]*/[0-9]*/[0-9]*/*_*_*"), key=lambda one: one.name, reverse=True)  # fmt: skip
    rows, problems = [], [f"records: only the newest {MOST} of {len(found)} were read"] if len(found) > MOST else []
    for folder in found[:MOST]:
        if own and folder.name == own.name:
            continue
        try:
            row = _record(folder)
        except (OSError, ValueError, KeyError) as error:
            problems.append(f"record {folder.name} cannot be read: {type(error).__name__}")
            continue
        if row["status"] == "open" or _within(row["at"], window, environment):
            rows.append(row)
    frame = frames.made(sorted(rows, key=lambda row: row["at"], reverse=True), RECORDS)
    frame.attrs["problems"] = problems
    return frame


def _record(folder: Path) -> dict[str, Any]:
    if (folder / "run.json").is_file():
        state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return {"at": datetime.fromisoformat(state["started"]), "runbook": state["runbook"], "verdict": "", "status": "open", "by": state["operator"],
                "says": "", "plan": _plan(folder), "folder": folder.name}  # fmt: skip
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    first = summary["results"][0]["sentence"] if summary["results"] else summary["error"].partition("\n")[0]
    at = (summary.get("start") or {}).get("now") or summary["timing"]["started"]
    return {"at": datetime.fromisoformat(at), "runbook": summary["runbook"], "verdict": summary["verdict"], "status": summary["status"],
            "by": summary["operator"], "says": first, "plan": _plan(folder), "folder": folder.name}  # fmt: skip


def _plan(folder: Path) -> str:
    file = folder / "plan.json"
    if not file.is_file():
        return ""
    plan = json.loads(file.read_text(encoding="utf-8"))
    return f"{plan.get('action', '')} {plan.get('target', '')}"


def _entry(entry: dict[str, Any], *, says: str, unknown: bool) -> dict[str, Any]:
    return {**entry, "at": _at(entry), "says": says, "unknown": unknown}


def _at(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"].replace("Z", "+00:00"))


def _within(moment: datetime, window: Window, environment: Environment) -> bool:
    """Tell whether a moment is in the shift; what is of this very second belongs to a shift that ends now."""
    last = window.end >= aws.now(environment).replace(microsecond=0) and moment <= aws.now(environment)
    return window.start <= moment and (moment < window.end or last)
