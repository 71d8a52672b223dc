"""Run the committed runbooks again on a frozen sandbox and write only the files whose text changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from opslib.errors import RecordError
from opslib.runner import contents, records, runbooks
from opslib.runner.execution import Execution
from opslib.runner.headless import CELL_SECONDS, RUN_SECONDS


def refresh(names: list[str], environ: Mapping[str, str]) -> list[Path]:
    """Run the named runbooks (all without a name) with the sandbox's environment; return the files that changed."""
    chosen = [runbooks.find(name) for name in names] if names else list(runbooks.runbooks())
    changed = [file for _, file in chosen if _renewed(file, environ)]
    return changed + contents.write()


def normal(notebook: runbooks.Notebook) -> runbooks.Notebook:
    """Return the notebook without what differs from run to run: marks of the runner, timings, transient ids."""
    copied = runbooks.plain(notebook)
    copied["metadata"], copied["nbformat"], copied["nbformat_minor"] = runbooks.METADATA, 4, 5
    for number, cell in enumerate(copied["cells"]):
        cell.setdefault("id", f"cell-{number}")
        for left in ("execution", "papermill", "opslib", "trusted"):
            cell["metadata"].pop(left, None)
        if not runbooks.tags(cell):
            cell["metadata"].pop("tags", None)  # papermill leaves empty ones
        for output in cell.get("outputs", []):
            output.pop("transient", None)
    return copied


def _renewed(file: Path, environ: Mapping[str, str]) -> bool:
    before = file.read_text(encoding="utf-8")
    with TemporaryDirectory() as reports:  # outputs hold no records, incidents or changes of this machine
        around = {**os.environ, **environ, "OPSLIB_REPORTS": reports}
        execution = Execution(
            runbooks.cleared(runbooks.read(file)), file.parent, CELL_SECONDS, RUN_SECONDS, environ=around
        )
        executed = execution.run()
    if execution.status != records.FINISHED:
        raise RecordError(f"{file} did not run to its end", why=execution.error, fix="mend it, then refresh again")
    after = normal(executed)
    if runbooks.text_of(after) == before:
        return False
    runbooks.write(file, after)
    return True
