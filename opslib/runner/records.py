"""A record: begun before the kernel, finished truthfully whatever happened to it."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib import redact
from opslib.config import project_root
from opslib.errors import RecordError
from opslib.result import BLIND, Sight, Verdict
from opslib.runner import runbooks

SCHEMA = 1
FINISHED, FAILED, KILLED, TIMEOUT, INTERRUPTED = "finished", "failed", "killed", "timeout", "interrupted"
_WORST = [Verdict.CRITICAL, Verdict.WARN, Verdict.UNKNOWN, Verdict.OK]


def reports() -> Path:
    """Return the folder of all records: OPSLIB_REPORTS, else reports/ of the project."""
    named = os.environ.get("OPSLIB_REPORTS")
    return Path(named) if named else project_root() / "reports"


def begin(runbook: str, env: str, *, mode: str, parameters: Mapping[str, Any]) -> Path:
    """Make the folder of a new run with run.json in it; headless ones lie aside until they are finished."""
    now, run_id = datetime.now(UTC), secrets.token_hex(4)
    name = f"{now:%Y%m%dT%H%M%SZ}_{runbook.rsplit('/', 1)[-1]}_{run_id}"
    folder = reports() / ".partial" / name if mode == "headless" else reports() / env / f"{now:%Y/%m/%d}" / name
    state = {
        "schema": SCHEMA, "run_id": run_id, "runbook": runbook, "env": env, "mode": mode, "parameters": dict(parameters),
        "started": now.isoformat(timespec="seconds"), "operator": getpass.getuser(), "state": "open",
    }  # fmt: skip
    try:
        folder.mkdir(parents=True, mode=0o700)
        runbooks.write(folder / "run.json", json.dumps(state, ensure_ascii=False, indent=1))
    except OSError as error:
        raise RecordError(
            f"no record can be kept in {reports()}",
            why=error.strerror or str(error),
            fix="make room on the disk, or set OPSLIB_REPORTS",
        ) from None
    return folder


def finish(folder: Path, *, status: str, error: str = "") -> tuple[Path, dict[str, Any]]:
    """Finish a run: true cell statuses, redaction, summary.json, report.html, then into place; returns folder and summary.

    Raises RecordError when the disk is full; earlier records and the index stay as they were.
    """
    from opslib.runner import index, report

    state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    notebook = runbooks.read(folder / "record.ipynb")
    cells = _cells(notebook, status)
    summary = _summary(state, _ledger(folder), cells, status=status, error=error)
    _banner(notebook, summary)
    redacted = json.loads(redact.text(json.dumps(notebook, ensure_ascii=False)))
    summary = json.loads(redact.text(json.dumps(summary, ensure_ascii=False)))
    runbooks.write(folder / "record.ipynb", runbooks.text_of(redacted))
    runbooks.write(folder / "report.html", report.html(redacted, summary))
    runbooks.write(folder / "summary.json", json.dumps(summary, ensure_ascii=False, indent=1))
    for left in ("run.json", "ledger.jsonl"):
        (folder / left).unlink(missing_ok=True)
    placed = _place(folder, state)
    index.write()
    return placed, summary


def discard(folder: Path) -> None:
    """Remove a work folder that will not become a record."""
    shutil.rmtree(folder, ignore_errors=True)


def _place(folder: Path, state: Mapping[str, Any]) -> Path:
    if folder.parent.name != ".partial":
        return folder
    day = datetime.fromisoformat(state["started"])
    target = reports() / state["env"] / f"{day:%Y/%m/%d}" / folder.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.replace(target)
    except OSError as error:
        raise RecordError(
            f"the record cannot be put into {target.parent}",
            why=error.strerror or str(error),
            fix=f"it lies in {folder}",
        ) from None
    return target


def _ledger(folder: Path) -> list[dict[str, Any]]:
    file = folder / "ledger.jsonl"
    return (
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        if file.is_file()
        else []
    )


def _cells(notebook: dict[str, Any], status: str) -> list[dict[str, Any]]:
    """Say of each code cell whether it ran: papermill says `completed` of cells that never did."""
    notebook["cells"] = [
        cell
        for cell in notebook["cells"]
        if not any("papermill-error" in tag for tag in cell["metadata"].get("tags", []))
    ]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"].strip()]
    started = [cell for cell in code if cell.get("execution_count")]
    for cell in code:
        errors = any(output["output_type"] == "error" for output in cell.get("outputs", []))
        cut = status in {KILLED, TIMEOUT, INTERRUPTED} and started and cell is started[-1]
        cell["metadata"]["opslib"] = {
            "status": "not_run" if not cell.get("execution_count") else "failed" if errors or cut else "finished"
        }
        cell["metadata"].pop("papermill", None)
    notebook["metadata"].pop("papermill", None)
    return [{"cell": number, "status": cell["metadata"]["opslib"]["status"]} for number, cell in enumerate(code, 1)]


def _summary(
    state: dict[str, Any], ledger: list[dict[str, Any]], cells: list[dict[str, Any]], *, status: str, error: str
) -> dict[str, Any]:
    results = [
        {name: value for name, value in entry.items() if name != "event"}
        for entry in ledger
        if entry["event"] == "result"
    ]
    start: dict[str, Any] = next((entry for entry in ledger if entry["event"] == "start"), {})
    calls: dict[str, Any] = next((entry for entry in reversed(ledger) if entry["event"] == "calls"), {})
    blind = sum(_blind(result) for result in results)
    verdict = next(
        (str(worst) for worst in _WORST if any(result["verdict"] == worst for result in results)), str(Verdict.UNKNOWN)
    )
    began, ended = datetime.fromisoformat(state["started"]), datetime.now(UTC)
    return {
        **{name: state[name] for name in ("schema", "run_id", "runbook", "env", "mode", "parameters", "operator")},
        "status": status, "error": error, "verdict": verdict if status == FINISHED else str(Verdict.UNKNOWN),
        "blind": f"{blind} of {len(results)} checks blind", "exit_code": _exit_code(verdict, blind, status),
        "results": results, "cells": cells, "start": {name: value for name, value in start.items() if name not in {"event", "versions"}},
        "calls": calls.get("calls", {}), "usd": calls.get("usd", 0.0), "versions": start.get("versions", {}), "commit": commit(),
        "timing": {"started": began.isoformat(), "ended": ended.isoformat(timespec="seconds"), "seconds": round((ended - began).total_seconds(), 1)},
    }  # fmt: skip


def _blind(result: Mapping[str, Any]) -> bool:
    return Sight(result["sight"]) in BLIND or any(_blind(part) for part in result.get("parts", []))


def _exit_code(verdict: str, blind: int, status: str) -> int:
    if status != FINISHED:
        return 3
    return 1 if verdict == Verdict.CRITICAL else 2 if blind else 0


def _banner(notebook: dict[str, Any], summary: Mapping[str, Any]) -> None:
    """Say on top of the notebook that it did not finish."""
    if summary["status"] == FINISHED:
        return
    ran = sum(cell["status"] == "finished" for cell in summary["cells"])
    text = f"**This run did not finish: {summary['status']}.** {ran} of {len(summary['cells'])} cells ran to their end; the others show nothing, or half."
    notebook["cells"].insert(
        0, {"cell_type": "markdown", "id": "did-not-finish", "metadata": {"tags": ["did-not-finish"]}, "source": text}
    )


def commit() -> str:
    """Return the commit of the runbooks, with `+dirty` when files differ; empty outside a checkout."""
    import subprocess

    git = ["git", "-C", str(project_root())]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip() + ("+dirty" if changed.stdout.strip() else "") if head.returncode == 0 else ""
