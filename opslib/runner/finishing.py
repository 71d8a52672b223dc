"""Finish a run: true cell statuses, redaction, the page, the summary; then into its place and into the index."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from opslib import files, open_incidents
from opslib.errors import OpsError, ParameterError, RecordError
from opslib.incidents import joining
from opslib.runner import cells, cleaning, index, parameters, records, report, runbooks, summary


def finish(
    folder: Path,
    *,
    status: str,
    error: str = "",
    notebook: runbooks.Notebook | None = None,
    seconds: float | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Make a record of an open run and return its folder and summary.

    `notebook` is what was executed, else record.ipynb of the folder. Raises RecordError when something cannot be
    written; earlier records, the index and an interactive record's own notebook stay as they were.
    """
    state = records.state_of(folder)
    notebook = notebook or runbooks.read(folder / records.NOTEBOOK)
    statuses = cells.settle(notebook)
    told = summary.build(
        state, summary.ledger_of(folder), statuses, status=status, error=error or cells.first_error(notebook),
        parameters=_parameters(notebook, state), seconds=seconds,
    )  # fmt: skip
    if status != records.FINISHED:
        cells.put_banner(notebook, status, told["error"], statuses)
    notebook["metadata"]["opslib"] = {name: told[name] for name in ("schema", "run_id", "runbook", "env", "status")}
    notebook, told = cleaning.clean_notebook(notebook), cleaning.clean(told)
    untouched = _clean_files(folder)
    told |= {"not_redacted": untouched} if untouched else {}
    files.write(folder / records.PAGE, report.html(notebook, told))
    files.write(folder / records.NOTEBOOK, runbooks.text_of(notebook))
    files.write(folder / records.SUMMARY, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    placed = records.place(folder, state)
    _note_in_index()
    _join_incident(placed, told, state.get("incident", ("", ""))[0])
    return placed, told


def _clean_files(folder: Path) -> list[str]:
    shutil.rmtree(folder / ".ipynb_checkpoints", ignore_errors=True)  # the lab's own copies, not redacted
    try:
        return cleaning.clean_files(folder, leave={records.NOTEBOOK, records.STATE, records.LEDGER})
    except OSError as error:
        raise files.cannot_write(folder, error) from None


def _parameters(notebook: runbooks.Notebook, state: dict[str, Any]) -> dict[str, Any]:
    """The values as they stand in the cell: in the lab the operator may have changed them there."""
    try:
        known = parameters.declared(notebook)
    except ParameterError:
        known = {}
    return {name: parameter.default for name, parameter in known.items()} or dict(state["parameters"])


def _join_incident(record: Path, told: dict[str, Any], incident: str) -> None:
    """A record stands by itself; that it did not join the incident is said. One opened meanwhile is joined too."""
    try:
        incident, why_none = (incident, "") if incident else open_incidents.in_force(str(told["env"]))
        if not incident:
            if "use ID" in why_none:
                sys.stderr.write(f"this run joined no incident: {why_none}\n")
            return
        joining.join(record, told, incident)
    except OpsError as error:
        sys.stderr.write(f"this run did not join {incident or 'the incident'}: {error.text()}\n")


def _note_in_index() -> None:
    """A record stands even when the index cannot be written; the next run makes the index anew."""
    try:
        index.write()
    except RecordError as error:
        sys.stderr.write(f"{error.text()}\n")
