"""reports/index.html: all records by day, newest first, with their verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opslib.display import escape, pill
from opslib.runner import records, runbooks

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Records</title>
<style>body{{margin:0 auto;max-width:62rem;padding:1rem;font:15px/1.5 system-ui,"Noto Sans","Noto Sans JP",sans-serif;color:#1f2933}}
h1{{font-size:1.4rem}}h2{{font-size:1.05rem;border-top:1px solid #e3e8ee;padding-top:.8rem}}a{{color:#0b5cad}}
.r{{padding:.45rem 0;border-bottom:1px solid #eef2f6;overflow-wrap:anywhere}}.s{{color:#5f6c7b;font-size:13px}}</style></head>
<body><h1>Records 実行記録</h1>{body}</body></html>
"""


def write() -> Path:
    """Make reports/index.html anew from the summaries and return its path."""
    root = records.reports()
    found = sorted((_entry(folder) for folder in _folders(root)), key=lambda entry: entry["name"], reverse=True)
    days: dict[str, list[str]] = {}
    for entry in found:
        days.setdefault(f"{entry['name'][:4]}-{entry['name'][4:6]}-{entry['name'][6:8]}", []).append(_row(entry, root))
    body = "".join(f"<h2>{day}</h2>{''.join(rows)}" for day, rows in days.items()) or "<p>No records yet.</p>"
    runbooks.write(root / "index.html", _PAGE.format(body=body))
    return root / "index.html"


def _folders(root: Path) -> list[Path]:
    """Record folders lie at <environment>/YYYY/MM/DD/<name>."""
    return [
        folder
        for folder in root.glob("*/[0-9]*/[0-9]*/[0-9]*/*_*_*")
        if folder.is_dir() and not folder.parts[len(root.parts)].startswith(".")
    ]


def _entry(folder: Path) -> dict[str, Any]:
    if (folder / "run.json").is_file():
        return {"name": folder.name, "folder": folder, "open": True}
    try:
        return {
            "name": folder.name,
            "folder": folder,
            "summary": json.loads((folder / "summary.json").read_text(encoding="utf-8")),
        }
    except (OSError, ValueError) as error:
        return {"name": folder.name, "folder": folder, "broken": str(error)}


def _row(entry: dict[str, Any], root: Path) -> str:
    where, clock = entry["folder"].relative_to(root).as_posix(), f"{entry['name'][9:11]}:{entry['name'][11:13]} UTC"
    if "broken" in entry:
        return f'<div class="r">{clock} {escape(entry["name"])} <span class="s">unreadable: {escape(entry["broken"])}</span></div>'
    if "open" in entry:
        return f'<div class="r">{clock} {escape(entry["name"])} <span class="s">still open: opslib close</span></div>'
    summary = entry["summary"]
    first = summary["results"][0] if summary["results"] else {"sentence": summary["error"] or "no check ran"}
    state = "" if summary["status"] == "finished" else f" <b>{escape(summary['status'])}</b>"
    return (f'<div class="r">{clock} {pill(summary["verdict"])} <a href="{escape(where)}/report.html">{escape(summary["runbook"])}</a>{state}'
            f' <span class="s">{escape(summary["env"])}, {escape(summary["mode"])}, {escape(summary["blind"])}</span><br>{escape(first["sentence"])}</div>')  # fmt: skip
