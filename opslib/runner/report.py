"""record.ipynb as one HTML page: verdict first, code folded, nothing fetched, nothing run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from opslib import redact
from opslib.display import STATUS, escape, status_text
from opslib.errors import ParameterError
from opslib.runner import cells, parameters, records
from opslib.runner.runbooks import METADATA, Cell, Notebook, described, tags

TEMPLATES = Path(__file__).with_name("templates")
_NO_ALT = re.compile(r"""<img(?=\s)(?!(?:[^>"]|"[^"]*")*\salt=)""")
_NOBODY = "nobody: the run ended before AWS was asked"


def html(notebook: Notebook, summary: Mapping[str, Any]) -> str:
    """Return the page of a finished record."""
    import nbformat
    from nbconvert.exporters import TemplateExporter

    page_cells = _ordered(notebook["cells"])
    node = nbformat.from_dict({"cells": page_cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
    resources = {"opslib": _around(notebook, summary)}
    # HTMLExporter would read the whole page again with a parser in Python, for alt texts: half the time
    page: str = TemplateExporter.from_notebook_node(exporter(), node, resources=resources)[0]
    return _NO_ALT.sub('<img alt="no description was given for this image"', page)


@lru_cache(maxsize=1)
def exporter() -> Any:
    """Return what makes the page; its templates are compiled once."""
    from nbconvert import HTMLExporter
    from nbconvert.filters import Highlight2HTML
    from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter

    from opslib.runner.harmless import harmless
    from opslib.runner.phone_tables import by_rows

    made = HTMLExporter(
        template_name="opslib", extra_template_basedirs=[str(TEMPLATES)], exclude_anchor_links=True,
        exclude_input_prompt=True, exclude_output_prompt=True, optimistic_validation=True,
    )  # fmt: skip
    made.register_filter("harmless", harmless)
    made.register_filter("by_rows", by_rows)
    made.register_filter("highlight_code", Highlight2HTML(pygments_lexer="python", parent=made))
    made.register_filter("filter_data_type", WidgetsDataTypeFilter(notebook_metadata={}, resources={}, parent=made))
    return made


def _ordered(all_cells: list[Cell]) -> list[Cell]:
    """Put banner and verdict right under the title, introduction and parameters folded after them, evidence last."""
    rest = [cell for cell in all_cells if "parameters" not in tags(cell)]
    banner = _taken(rest, lambda cell: cells.BANNER in tags(cell))
    verdict = _taken(rest, lambda cell: "verdict" in tags(cell))
    intro = _taken(rest, lambda cell: cell["cell_type"] == "markdown" and cell["source"].startswith("# "))
    about = [_as(cell, "about", cell["source"].partition("\n")[2].strip()) for cell in intro]
    return [*banner, *(_as(_answer_first(cell), "hoisted", cell["source"]) for cell in verdict), *about, *rest]


def _taken(rest: list[Cell], wanted: Any) -> list[Cell]:
    found = next((cell for cell in rest if wanted(cell)), None)
    if found is not None:
        rest[:] = [cell for cell in rest if cell is not found]
    return [] if found is None else [found]


def _answer_first(cell: Cell) -> Cell:
    """Return the cell with what it printed on the way, line by line, folded under its answer."""
    outputs = cell.get("outputs", [])  # text has none
    printed = [one for one in outputs if one["output_type"] == "stream" and one["name"] == "stdout"]
    others = [one for one in outputs if one not in printed]
    if not printed or not others:  # without an answer, what was printed is all there is
        return cell
    lines = escape("".join("".join(one["text"]) for one in printed))
    told = f'<details class="fold"><summary>how it went</summary><pre>{lines}</pre></details>'
    folded = {"output_type": "display_data", "metadata": {}, "data": {"text/html": told}}
    return {**cell, "outputs": [*others, folded]}


def _as(cell: Cell, part: str, source: str) -> Cell:
    return {**cell, "source": source, "metadata": {**cell["metadata"], "part": part}}


def _around(notebook: Notebook, summary: Mapping[str, Any]) -> dict[str, str]:
    title = described({**notebook, "cells": [cell for cell in notebook["cells"] if cells.BANNER not in tags(cell)]})
    name = title["title"] or summary["runbook"]
    mark = "SANDBOX " if summary["sandbox"] else ""
    return {
        "title": escape(f"{mark}{status_text(summary['verdict'])}: {name}"), "heading": escape(name),
        "where": _where(summary), "parameters": _parameters(notebook, summary), "footer": _footer(summary),
    }  # fmt: skip


def _where(summary: Mapping[str, Any]) -> str:
    colour = "#6b3fa0" if summary["sandbox"] else "#0b5cad"
    word = "SANDBOX" if summary["sandbox"] else summary["env"].upper()
    facts = [
        summary["account"] and f"account {summary['account']}",
        summary["timing"]["started"][:16].replace("T", " ") + " UTC",
    ]
    verdict = (
        ""
        if summary["results"]
        else f' <b style="color:{STATUS[summary["verdict"]][2]}">{status_text(summary["verdict"])}</b>'
    )
    return f'<b class="env" style="background:{colour}">{escape(word)}</b> {escape(" · ".join(filter(None, facts)))}{verdict}'


def _parameters(notebook: Notebook, summary: Mapping[str, Any]) -> str:
    """The values in one line to read without unfolding, then each with its help."""
    try:
        known = parameters.declared(notebook)
    except ParameterError:
        known = {}
    given = {name: value for name, value in summary["parameters"].items() if value != ""}
    line = " ".join(f"{name}={value}" for name, value in given.items())
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value) or 'empty'}</td><td>{escape(known[name].help) if name in known else ''}</td></tr>"
        for name, value in summary["parameters"].items()
    )
    return f"<summary>parameters: {escape(line[:120]) or 'none'}</summary><table>{rows}</table>"


def _footer(summary: Mapping[str, Any]) -> str:
    timing, window = summary["timing"], summary["window"]
    calls = ", ".join(f"{name} {count}" for name, count in sorted(summary["calls"].items()))
    ran = sum(cell["status"] == cells.DONE for cell in summary["cells"])
    command = "" if summary["runbook"].startswith("apply/") else f"opslib open {summary['runbook']} · "
    facts = {
        "run": f"{summary['run_id']} · {summary['mode']} · {summary['status']} · {ran} of {len(summary['cells'])} cells ran",
        "who": f"{summary['operator']} as {summary['identity'] or _NOBODY}",
        "when": f"{timing['started']} to {timing['ended']}, {timing['seconds']} s",
        "window": f"{window['start']} to {window['end']}, shown in {window.get('zone', 'UTC')}"
        if "start" in window
        else "",
        "schedule": summary.get("scheduled", ""),
        "sight": summary["blind"],
        "asked": f"{calls or 'no AWS calls'}; logs scanned for US${summary['usd']:.4f}",
        "made with": ", ".join(f"{name} {version}" for name, version in summary["versions"].items()),
        "commit": summary["commit"] or "unknown",
        "again": f"{command}opslib replay {summary['run_id']}",
    }
    if summary["status"] != records.FINISHED and summary["error"]:
        facts = {"ended": redact.cut(summary["error"].splitlines()[0], 300), **facts}
    return "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items() if fact)
