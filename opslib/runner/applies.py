"""Apply the plan of a record without a person at the keyboard: the full hash in OPSLIB_APPLY, and a record of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from opslib import actions, files
from opslib import plan as plans
from opslib.applying import NEEDS_HASH
from opslib.errors import RecordError, Refused
from opslib.runner import headless, records, runbooks

_TITLE = """# Apply: {title}

**WRITES** · 計画ファイルに書かれた変更だけを実行します。

Use it when `opslib apply` carries out the plan of a record.
Not for anything else: without the hash in OPSLIB_APPLY it refuses."""
_START = """import opslib
from opslib import actions, applying
from opslib import plan as plans

actions.load()
run = opslib.start(env={env})
run"""
_CELLS = [
    ("start", "start", _START),
    ("verdict", "verdict", "plan = plans.remembered(run)\nanswer = applying.confirmed(plan)\nanswer"),
    ("plan", "", "plan"),
]


def plan_of(record: str) -> plans.Plan:
    """Return the plan of a record; raises RecordError when it has none."""
    folder = records.find(record)
    if not (folder / plans.FILE).is_file():
        raise RecordError(
            f"{folder.name} has no plan",
            why="its runbook planned nothing that can be applied",
            fix="opslib plan NOTEBOOK",
        )
    return plans.load(folder / plans.FILE)


def apply(record: str) -> tuple[Path, dict[str, Any]]:
    """Apply the plan of a record and return the new record and its summary; raises Refused before anything begins."""
    plan = plan_of(record)
    if os.environ.get("OPSLIB_APPLY", "") != plan.sealed:
        fix = f"read the plan, then OPSLIB_APPLY={plan.sealed} opslib apply {record}"
        raise Refused("nothing was changed", why=NEEDS_HASH, fix=fix)
    actions.load()
    headless.adopt_abandoned()
    notebook = _notebook(plan)
    given = {"plan": plan.sealed, "from": Path(record).name}
    folder = records.begin(f"apply/{plan.action}", notebook, plan.environment, mode=records.HEADLESS, parameters=given)
    try:
        files.write(folder / plans.FILE, plan.text())
        seconds = int(plan.verification.timeout_s) + 300
        return headless.run_in(folder, notebook, seconds, seconds)
    except RecordError:
        records.discard(folder)
        raise


def _notebook(plan: plans.Plan) -> runbooks.Notebook:
    title = {
        "cell_type": "markdown",
        "id": "title",
        "metadata": {},
        "source": _TITLE.format(title=plan.title.replace("\n", " ")),
    }
    code: list[runbooks.Cell] = [
        {"cell_type": "code", "id": name, "metadata": {"tags": [tag]} if tag else {}, "source": text.replace("{env}", json.dumps(plan.environment)),
         "outputs": [], "execution_count": None}
        for name, tag, text in _CELLS
    ]  # fmt: skip
    return {"cells": [title, *code], "metadata": runbooks.METADATA, "nbformat": 4, "nbformat_minor": 5}
