"""Draw a record again from its own data: no AWS, no database, and nothing of the record changes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from opslib.errors import RecordError
from opslib.runner import records, report, runbooks


def replay(record: Path) -> Path:
    """Run the record's notebook on its own data/ and return the new page, reports/.replay/<name>/report.html.

    Raises RecordError when it is no finished record.
    """
    try:
        summary = json.loads((record / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{record} is not a finished record",
            why=str(error),
            fix="name a folder below reports/ that has a summary.json",
        ) from None
    notebook = runbooks.read(record / "record.ipynb")
    target = records.reports() / ".replay" / record.name
    target.mkdir(parents=True, exist_ok=True)
    runbooks.write(target / "report.html", report.html(_executed(notebook, record.resolve()), summary))
    return target / "report.html"


def _executed(notebook: dict[str, object], record: Path) -> dict[str, object]:
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    from opslib.runner.kernel import IpcKernelManager

    node = nbformat.reads(json.dumps(notebook), as_version=4)
    with tempfile.TemporaryDirectory(prefix="opslib-replay-") as aside:
        environ = {**os.environ, "OPSLIB_REPLAY": str(record)}
        client = NotebookClient(
            node,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": aside}},
            kernel_manager_class=IpcKernelManager,
        )
        try:
            client.execute(env=environ)
        except CellExecutionError as error:
            raise RecordError(
                f"{record.name} cannot be drawn again",
                why=f"{error.ename}: {error.evalue}",
                fix="open its report.html instead",
            ) from None
    return dict(node)
