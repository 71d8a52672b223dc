"""notebooks/index.ipynb: the table of contents, generated from the runbooks themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from opslib.config import notebook_paths
from opslib.runner import runbooks

CHAPTERS = {
    "1-monitor": "Monitor 監視・アラート", "2-investigate": "Investigate 障害対応", "3-remediate": "Remediate 応急処置・恒久対策",
    "4-maintain": "Maintain 保守作業", "5-support": "Support ユーザーサポート連携", "6-cost": "Cost コスト最適化",
}  # fmt: skip
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff][^\n]*。")


def notebook() -> dict[str, Any]:
    """Return the index: a table a chapter, each row with a link that opens a copy in the lab."""
    rows: dict[str, list[str]] = {}
    for name, file in runbooks.runbooks():
        rows.setdefault(name.split("/", 1)[0] if "/" in name else "your own", []).append(_row(name, file))
    parts = [
        "# Runbooks\n\nEach link opens a fresh copy; the copy is the record of what you do. 各リンクは新しい写しを開きます。写しがそのまま記録になります。"
    ]
    for chapter, lines in rows.items():
        parts.append(
            f"## {CHAPTERS.get(chapter, chapter)}\n\n| open | what for | 用途 | kind | from the shell |\n|---|---|---|---|---|\n"
            + "\n".join(lines)
        )
    cells = [
        {"cell_type": "markdown", "id": f"chapter-{number}", "metadata": {}, "source": text}
        for number, text in enumerate(parts)
    ]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write() -> list[Path]:
    """Write notebooks/index.ipynb when its text changed; return what was written."""
    file, text = notebook_paths()[0] / "index.ipynb", runbooks.text_of(notebook())
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return []
    runbooks.write(file, text)
    return [file]


def described(file: Path) -> dict[str, str]:
    """Return title, Japanese sentence and kind of a runbook, from its first cell."""
    intro = runbooks.read(file)["cells"][0]["source"]
    japanese = _JAPANESE.search(intro)
    kind = next((word for word in ("READ-ONLY", "WRITES") if f"**{word}**" in intro), "")
    return {"title": intro.splitlines()[0].lstrip("# "), "japanese": japanese[0] if japanese else "", "kind": kind}


def _row(name: str, file: Path) -> str:
    about = described(file)
    link = f"/opslib/open?{urlencode({'notebook': name})}"
    return f"| [{name.rsplit('/', 1)[-1]}]({link}) | {about['title']} | {about['japanese']} | {about['kind']} | `opslib open {name}` |"
