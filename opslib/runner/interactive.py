"""Interactive runs are records too: a copy of the runbook in a record folder of its own, finished by `close`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opslib.runner import cells, records, runbooks
from opslib.runner.headless import prepared


def open_copy(name: str, given: Mapping[str, Any], *, env: str = "") -> Path:
    """Copy a runbook, outputs cleared and parameters filled in, into a new record folder; return record.ipynb.

    Raises ParameterError for names and types, ConfigError for an environment that is not there.
    """
    runbook, file = runbooks.find(name)
    notebook, values, environment = prepared(runbook, file, given, env=env, complete=False)
    folder = records.begin(runbook, notebook, environment, mode=records.INTERACTIVE, parameters=values)
    return folder / records.NOTEBOOK


def opened() -> list[Path]:
    """Return the folders of interactive records that are still open, oldest first."""
    return [folder for folder in reversed(records.folders()) if (folder / records.STATE).is_file()]


def close(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Finish an open record: what did not run is said so; raises RecordError when it is not open."""
    from opslib.runner.finishing import finish

    records.state_of(folder)
    notebook = runbooks.read(folder / records.NOTEBOOK)
    statuses = cells.settle(notebook)
    if any(cell["status"] == cells.BROKEN for cell in statuses):
        return finish(folder, status=records.FAILED, error=cells.first_error(notebook), notebook=notebook)
    if all(cell["status"] == cells.DONE for cell in statuses):
        return finish(folder, status=records.FINISHED, notebook=notebook)
    return finish(folder, status=records.INTERRUPTED, error="closed before every cell had run", notebook=notebook)


def has_run(folder: Path) -> bool:
    """Tell whether a kernel ever worked in this record."""
    return (folder / records.LEDGER).is_file() or any(
        cell.get("execution_count") or cell.get("outputs") for cell in runbooks.read(folder / records.NOTEBOOK)["cells"]
    )
