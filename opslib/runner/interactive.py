"""Interactive runs are records too: a copy of the runbook in a record folder of its own, finished by `close`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opslib import config
from opslib.errors import RecordError
from opslib.runner import parameters, records, runbooks


def open_copy(name: str, given: Mapping[str, str], *, env: str = "") -> Path:
    """Copy a runbook, outputs cleared and parameters filled in, into a new record folder; return record.ipynb.

    Raises ParameterError for names and types, ConfigError for an environment that is not there.
    """
    runbook, file = runbooks.find(name)
    notebook = runbooks.read(file)
    known = parameters.declared(notebook)
    values = parameters.checked(runbook, known, given)
    environment = config.environment_name(str(values.get("env") or env))
    if "env" in known:
        values["env"] = environment
    folder = records.begin(runbook, environment, mode="interactive", parameters=values)
    cell = parameters.cell_of(notebook)
    if cell is not None:
        cell["source"] = parameters.filled(cell["source"], known, values)
    for code in notebook["cells"]:
        if code["cell_type"] == "code":
            code["outputs"], code["execution_count"] = [], None
    runbooks.write(folder / "record.ipynb", runbooks.text_of(notebook))
    return folder / "record.ipynb"


def opened() -> list[Path]:
    """Return the folders of interactive records that are still open, oldest first."""
    found = records.reports().glob("*/[0-9]*/[0-9]*/[0-9]*/*/run.json")
    return sorted((file.parent for file in found), key=lambda folder: folder.name)


def close(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Finish an open record: what did not run is said so; raises RecordError when it is not open."""
    if not (folder / "run.json").is_file():
        raise RecordError(
            f"{folder} is not an open record", fix="`opslib close` without a name closes all that are open"
        )
    notebook = runbooks.read(folder / "record.ipynb")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"].strip()]
    failed = [output for cell in code for output in cell.get("outputs", []) if output["output_type"] == "error"]
    if failed:
        return records.finish(folder, status=records.FAILED, error=f"{failed[0]['ename']}: {failed[0]['evalue']}")
    ran = all(cell.get("execution_count") for cell in code)
    return records.finish(
        folder,
        status=records.FINISHED if ran else records.INTERRUPTED,
        error="" if ran else "closed before every cell had run",
    )


def has_run(folder: Path) -> bool:
    """Tell whether a kernel ever started this record."""
    return (folder / "ledger.jsonl").is_file()


def state(folder: Path) -> dict[str, Any]:
    """Return run.json of an open record."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return content
