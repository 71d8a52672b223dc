"""Make a runbook that already holds to the rules: a title, parameters, start, a verdict, one question."""

from __future__ import annotations

import re
from pathlib import Path

from opslib.config import notebook_paths
from opslib.errors import ParameterError
from opslib.runner import contents, runbooks

_NAME = re.compile(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*/)?[a-z0-9]+(?:-[a-z0-9]+)*")
_CELLS = [
    ("title", "", """# {title}

**READ-ONLY** · この手順書の目的を一文で書きます。

Use it when …: an alarm, a page, a question.
Not for …: name the runbook that is."""),
    ("parameters", "parameters", """window: str = "3h"  # a span back from now, or "2026-11-02 10:00/11:30 JST"
env: str = ""  # empty: OPSLIB_ENV, else the default"""),
    ("start", "start", """import opslib
from opslib.result import Result, Verdict

run = opslib.start(env=env, window=window)
run"""),
    ("verdict", "verdict", """answer = run.record(Result("{name}", "{title}", Verdict.UNKNOWN, "Nothing is checked yet.", facts={{"checks": "0"}}))
answer"""),
    ("q-first", "", "## What does the evidence say?\n\nWhat good looks like, what bad means."),
    ("first", "", "answer.reason"),
    ("q-slack", "", "## Text for Slack"),
    ("slack", "", "print(answer.slack(sandbox=run.environment.sandbox))"),
]  # fmt: skip


def new(name: str) -> Path:
    """Make notebooks/<name>.ipynb and list it in the index; raises ParameterError when the name is wrong or taken."""
    if not _NAME.fullmatch(name):
        fix = "a chapter and kebab-case, verb or symptom first: 2-investigate/trace-request"
        raise ParameterError(f"{name!r} cannot be the name of a runbook", why="not kebab-case", fix=fix)
    file = notebook_paths()[0] / f"{name}.ipynb"
    if file.exists():
        raise ParameterError(f"{file} is there already", fix="choose another name, or edit that one")
    file.parent.mkdir(parents=True, exist_ok=True)
    runbooks.write(file, _notebook(name.rpartition("/")[2]))
    contents.write()
    return file


def _notebook(name: str) -> runbooks.Notebook:
    words = {"name": name, "title": name.replace("-", " ").capitalize()}
    cells = [_cell(cell_id, tag, text.format(**words)) for cell_id, tag, text in _CELLS]
    return {"cells": cells, "metadata": runbooks.METADATA, "nbformat": 4, "nbformat_minor": 5}


def _cell(cell_id: str, tag: str, text: str) -> runbooks.Cell:
    metadata = {"tags": [tag]} if tag else {}
    if text.startswith("#"):
        return {"cell_type": "markdown", "id": cell_id, "metadata": metadata, "source": text}
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": metadata,
        "source": text,
        "outputs": [],
        "execution_count": None,
    }
