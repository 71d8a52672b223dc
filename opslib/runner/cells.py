"""What really happened to each cell: papermill says `completed` of cells that never ran."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from opslib import redact
from opslib.display import escape
from opslib.runner import records
from opslib.runner.runbooks import Cell, Notebook, runs, tags

NOT_RUN, RUNNING, DONE, BROKEN = "not_run", "running", "finished", "failed"
BANNER = "did-not-finish"
LONGEST_TEXT = 100_000
_WORDS = {
    records.FAILED: "a cell failed", records.KILLED: "the kernel died", records.TIMEOUT: "the time was up",
    records.INTERRUPTED: "it was ended from outside",
}  # fmt: skip


def mark(cell: Cell, status: str) -> None:
    """Write the status of a cell into its metadata."""
    cell["metadata"]["opslib"] = {"status": status}


def settle(notebook: Notebook) -> list[dict[str, Any]]:
    """Give each code cell its true status, drop papermill's marks, and return the list for the summary.

    A cell that had begun and did not come to its end failed; one that shows no sign of a run did not run.
    """
    notebook["cells"] = [cell for cell in notebook["cells"] if not _foreign(cell)]
    notebook["metadata"].pop("papermill", None)
    timings = [_seconds(cell["metadata"].pop("execution", {})) for cell in notebook["cells"]]
    for cell in notebook["cells"]:
        cell["metadata"].pop("papermill", None)
        if not tags(cell):
            cell["metadata"].pop("tags", None)  # papermill leaves empty ones
        _shorten(cell)
    code = [(number, cell) for number, cell in enumerate(notebook["cells"]) if runs(cell)]
    for _, cell in code:
        mark(cell, _status(cell))
    return [
        {"cell": number + 1, "id": cell.get("id", ""), **cell["metadata"]["opslib"], **timings[number]}
        for number, cell in code
    ]


def put_banner(notebook: Notebook, status: str, error: str, statuses: list[dict[str, Any]]) -> None:
    """Say on top of a notebook that it did not finish, in red, and what is missing."""
    done = sum(cell["status"] == DONE for cell in statuses)
    where = next(
        (f", in code cell {number}" for number, cell in enumerate(statuses, 1) if cell["status"] == BROKEN), ""
    )
    word = "it failed before a cell could" if status == records.FAILED and not where else _WORDS[status]
    facts = [f"{word}{where}", *error.splitlines()]
    facts.append(f"{done} of {len(statuses)} code cells ran to their end; the others show nothing, or half.")
    body = "<br>".join(escape(fact) for fact in facts).replace("$", "&#36;")
    style = "border:1px solid #b3261e;border-left:6px solid #b3261e;background:#fdecea;color:#1f2933;border-radius:6px;padding:10px 14px"
    text = (
        f'<div style="{style}"><b style="color:#b3261e">THIS RUN DID NOT FINISH ({escape(status)})</b><br>{body}</div>'
    )
    notebook["cells"].insert(0, {"cell_type": "markdown", "id": BANNER, "metadata": {"tags": [BANNER]}, "source": text})


def first_error(notebook: Notebook) -> str:
    """Return the first error that a cell shows and that no tag allows."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and "raises-exception" not in tags(cell):
                return f"{output['ename']}: {output['evalue']}"
    return ""


def _seconds(timing: dict[str, str]) -> dict[str, float]:
    """How long a cell took, where the kernel's client noted it; in the summary, not in the notebook."""
    try:
        began, ended = (datetime.fromisoformat(timing[name]) for name in ("iopub.execute_input", "shell.execute_reply"))
    except (KeyError, ValueError):
        return {}
    return {"seconds": round((ended - began).total_seconds(), 3)}


def _status(cell: Cell) -> str:
    errors = any(output["output_type"] == "error" for output in cell.get("outputs", []))
    known = cell["metadata"].get("opslib", {}).get("status")
    if known:
        return BROKEN if known == RUNNING else str(known)
    if errors and "raises-exception" not in tags(cell):
        return BROKEN
    if cell.get("execution_count"):
        return DONE
    return BROKEN if cell.get("outputs") else NOT_RUN


def _foreign(cell: Cell) -> bool:
    return any(tag == BANNER or "papermill-error" in tag for tag in tags(cell))


def _shorten(cell: Cell) -> None:
    """Keep the head and the tail of a flood of printed lines: 47 MB of them would hide the rest."""
    for output in cell.get("outputs", []):
        text = output.get("text", "")
        if len(text) > LONGEST_TEXT:
            half = LONGEST_TEXT // 2
            head, tail = (
                redact.text(text[: 2 * half])[:half],
                redact.text(text[-2 * half :])[-half:],
            )  # half a secret is none
            output["text"] = f"{head}\n… {len(text) - 2 * half:,} characters left out …\n{tail}"
