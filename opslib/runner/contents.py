"""notebooks/index.ipynb: the table of contents, generated from the runbooks themselves."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from urllib.parse import urlencode

from opslib.config import notebook_paths
from opslib.runner import runbooks

CHAPTERS = {
    "1-monitor": "Monitor 監視・アラート", "2-investigate": "Investigate 障害対応", "3-remediate": "Remediate 応急処置・恒久対策",
    "4-maintain": "Maintain 保守作業", "5-support": "Support ユーザーサポート連携", "6-cost": "Cost コスト最適化",
}  # fmt: skip
_INTRO = """# Runbooks

Each link opens a fresh copy, and the copy is the record of what you do: press **Run all** on its left.
Closing it is `opslib close`, or stopping the lab.

各リンクは新しい写しを開きます。写しがそのまま実行記録になります。"""
_HEAD = "| open | what it answers | 用途 | kind | from the shell |\n|---|---|---|---|---|"


def notebook() -> runbooks.Notebook:
    """Return the index: a table a chapter, each row with a link that opens a copy in the lab."""
    found = [(name.rpartition("/")[0], _row(name, file)) for name, file in runbooks.runbooks()]
    parts = [_INTRO]
    for chapter, rows in groupby(found, key=lambda row: row[0]):
        lines = "\n".join(row for _, row in rows)
        parts.append(f"## {CHAPTERS.get(chapter, chapter or 'Your own')}\n\n{_HEAD}\n{lines}")
    cells = [
        {"cell_type": "markdown", "id": f"chapter-{number}", "metadata": {}, "source": text}
        for number, text in enumerate(parts)
    ]
    return {"cells": cells, "metadata": runbooks.METADATA, "nbformat": 4, "nbformat_minor": 5}


def place() -> Path:
    """Return where the index lies."""
    return notebook_paths()[0] / "index.ipynb"


def write() -> list[Path]:
    """Write notebooks/index.ipynb when its text changed; return what was written."""
    file, made = place(), notebook()
    if file.is_file() and file.read_text(encoding="utf-8") == runbooks.text_of(made):
        return []
    runbooks.write(file, made)
    return [file]


def _row(name: str, file: Path) -> str:
    about = runbooks.described(runbooks.read(file))
    link = f"/opslib/open?{urlencode({'notebook': name})}"
    cells = [f"[{name.rsplit('/', 1)[-1]}]({link})", *(_quiet(about[part]) for part in ("title", "japanese", "kind"))]
    return f"| {' | '.join(cells)} | `opslib open {name}` |"


def _quiet(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("$", "\\$")
