"""Run the committed runbooks again on a frozen sandbox and write only the files whose text changed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opslib.errors import RecordError
from opslib.runner import contents, runbooks

_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def refresh(names: list[str], environ: Mapping[str, str]) -> list[Path]:
    """Run the named runbooks (all without a name) with the sandbox's environment; return the files that changed."""
    chosen = [runbooks.find(name) for name in names] if names else list(runbooks.runbooks())
    changed = []
    for _, file in chosen:
        text = runbooks.text_of(_executed(runbooks.read(file), file.parent, environ))
        if text != file.read_text(encoding="utf-8"):
            runbooks.write(file, text)
            changed.append(file)
    return changed + contents.write()


def _executed(notebook: dict[str, Any], folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    from opslib.runner.kernel import IpcKernelManager

    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    node = nbformat.reads(json.dumps({**notebook, "metadata": _METADATA}), as_version=4)
    client = NotebookClient(
        node,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        kernel_manager_class=IpcKernelManager,
        record_timing=False,
    )
    try:
        client.execute(env={**os.environ, **environ})
    except CellExecutionError as error:
        raise RecordError(
            f"{folder.name} did not run",
            why=f"{error.ename}: {error.evalue}",
            fix="mend the runbook, then refresh again",
        ) from None
    node["metadata"] = _METADATA
    return runbooks.plain(node)
