"""Draw a record again from its own data: no AWS, no database, and nothing of the record changes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from opslib import files
from opslib.errors import RecordError
from opslib.runner import cells, cleaning, records, report, runbooks
from opslib.runner.execution import Execution
from opslib.runner.headless import CELL_SECONDS, RUN_SECONDS


def replay(record: Path, target: Path | None = None) -> Path:
    """Run the record's cells on its own data/ and return the new page, by default reports/.replay/<name>/report.html.

    Raises RecordError when it is no finished record, or when its cells do not come to their end on what was kept.
    """
    record = record.resolve()
    summary = records.summary_of(record)
    notebook = runbooks.read(record / records.NOTEBOOK)
    notebook["cells"] = [cell for cell in notebook["cells"] if cells.BANNER not in runbooks.tags(cell)]
    target = target or records.reports() / ".replay" / record.name
    if record in (target.resolve(), *target.resolve().parents):
        raise RecordError(
            f"{target} lies in the record itself", why="a record never changes", fix="name another folder"
        )
    drawn = _drawn(runbooks.cleared(notebook), record)
    statuses = cells.settle(drawn)
    if summary["status"] != records.FINISHED:
        cells.put_banner(drawn, summary["status"], summary["error"], statuses)
    try:
        files.make_private(target, below=target.parent.parent)
    except OSError as error:
        raise files.cannot_write(target, error) from None
    files.write(target / records.PAGE, report.html(cleaning.clean_notebook(drawn), summary))
    return target / records.PAGE


def _drawn(notebook: runbooks.Notebook, record: Path) -> runbooks.Notebook:
    with tempfile.TemporaryDirectory(prefix="opslib-replay-") as aside:
        environ = {**os.environ, "OPSLIB_REPLAY": str(record)}
        execution = Execution(notebook, Path(aside), CELL_SECONDS, RUN_SECONDS, environ=environ)
        drawn = execution.run()
    if execution.status != records.FINISHED:
        raise RecordError(
            f"{record.name} cannot be drawn again", why=execution.error, fix=f"open its {records.PAGE} instead"
        )
    return drawn
