"""record.ipynb as one HTML page: verdict first, code folded, nothing fetched."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opslib.display import escape, status_text

TEMPLATES = Path(__file__).with_name("templates")


def html(notebook: dict[str, Any], summary: Mapping[str, Any]) -> str:
    """Return the page of a finished record."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat
    from nbconvert import HTMLExporter

    ordered = nbformat.reads(json.dumps({**notebook, "cells": _ordered(notebook["cells"])}), as_version=4)
    exporter = HTMLExporter(template_name="opslib", extra_template_basedirs=[str(TEMPLATES)], embed_images=False)
    resources = {"opslib": {"title": _title(notebook, summary), "footer": _footer(summary)}}
    page: str = exporter.from_notebook_node(ordered, resources=resources)[0]
    return page


def _ordered(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the verdict right under the title; introduction, parameters and banner follow it."""
    tagged = {tag: cell for cell in cells for tag in cell["metadata"].get("tags", [])}
    head, rest = _split_intro(cells)
    verdict = tagged.get("verdict")
    rest = [cell for cell in rest if cell is not verdict]
    stopped = [cell for cell in rest if "did-not-finish" in cell["metadata"].get("tags", [])]
    return [
        *head[:1],
        *stopped,
        *([verdict] if verdict else []),
        *head[1:],
        *[cell for cell in rest if cell not in stopped],
    ]


def _split_intro(cells: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    first = next((cell for cell in cells if cell["cell_type"] == "markdown" and cell["source"].startswith("# ")), None)
    if first is None:
        return [], cells
    title, _, intro = first["source"].partition("\n")
    heading = {**first, "id": "heading", "source": title}
    about = {**first, "id": "about", "source": intro.strip(), "metadata": {"tags": ["about"]}}
    return [heading, about], [cell for cell in cells if cell is not first]


def _title(notebook: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    sandbox = "SANDBOX " if summary.get("start", {}).get("environment", {}).get("sandbox") else ""
    return escape(f"{sandbox}{status_text(summary['verdict'])} {summary['runbook']}")


def _footer(summary: Mapping[str, Any]) -> str:
    timing, start = summary["timing"], summary.get("start", {}).get("environment", {})
    calls = ", ".join(f"{name} {count}" for name, count in summary["calls"].items())
    facts = [
        f"run {summary['run_id']}, {summary['status']}", f"{summary['operator']} as {start.get('identity', 'nobody: the run ended before AWS was asked')}",
        f"{timing['started']}, {timing['seconds']} s", f"commit {summary['commit'] or 'unknown'}", summary["blind"],
        f"AWS calls: {calls or 'none'}; logs scanned for US${summary['usd']:.4f}",
        ", ".join(f"{name} {version}" for name, version in summary["versions"].items()),
    ]  # fmt: skip
    return "<br>".join(escape(fact) for fact in facts if fact)
