"""The page on a phone: nothing has to be pushed aside to be read, and each value stands by its column's name."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opslib.display import FLAG, result_html
from opslib.result import Result, Verdict
from opslib.runner import report, runbooks
from opslib.runner.harmless import harmless
from opslib.runner.phone_tables import by_rows
from opslib.runner.runbooks import Notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SHOTS = Path(__file__).parents[2] / ".ci" / "screenshots"
HIDDEN = """() => [...document.querySelectorAll('main *')].filter(one => one.scrollWidth > one.clientWidth + 1
    && getComputedStyle(one).overflowX == 'auto').map(one => one.innerText.slice(0, 60))"""
WORDS = "It was changed by hand: Timeout differs, and whoever reads on a phone must see the end. 終わりまで読める"


def opened(page: Any, notebook: Notebook, width: int) -> Any:
    summary = json.loads((Path(__file__).with_name("summary.json")).read_text())
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(report.html(notebook, summary))
    return page


@pytest.mark.parametrize("name", ["daily-health", "alert-pipeline", "frontend-health", "suspicious-operations"])
def test_no_runbook_has_to_be_pushed_aside(name: str, page: Any) -> None:
    opened(page, runbooks.read(NOTEBOOKS / "1-monitor" / f"{name}.ipynb"), 390)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}-phone.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(HIDDEN) == []


def test_a_wide_table_is_told_row_by_row_and_a_small_one_stays(page: Any) -> None:
    wide = pd.DataFrame({"where": ["alerts-delivery"] * 2, "runs": [7, 8], "said": [WORDS, ""], "do": [WORDS] * 2, FLAG: [True, False]})  # fmt: skip
    small = pd.DataFrame({"level": [1], "who": ["primary"]})
    shown = "".join(result_html(Result("x", "X", Verdict.WARN, "x", table=table)) for table in (wide, small))
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": shown}}
    cell = {"cell_type": "code", "id": "x", "metadata": {}, "execution_count": 1, "source": "1", "outputs": [output]}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    first, second = opened(page, notebook, 390).locator("table").all()
    assert page.evaluate(HIDDEN) == [] and first.locator("th").first.is_hidden() and second.locator("th").first.is_visible()  # fmt: skip
    cells = first.locator("tbody tr").first.locator("td").all()
    labels = [one.evaluate("one => getComputedStyle(one, '::before').content") for one in cells]
    assert [text.replace('"', "").strip() for text in labels[1:]] == ["runs", "said", "do"]
    assert all(one.bounding_box()["x"] + one.bounding_box()["width"] <= 390 for one in cells)
    assert first.locator("tr").nth(1).evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(253, 236, 234)"
    assert opened(page, notebook, 1280).locator("th").first.is_visible()  # a desk has the table


def test_what_is_not_our_table_stays_as_it_is() -> None:
    for other in ("<table><tr><td>1</td></tr></table>", '<table style="table-layout:auto"><tbody><tr><td>no style</td></tr></tbody></table>'):  # fmt: skip
        assert by_rows(other) == other
    nearly = f'<table style="table-layout:auto"><tr><th style="a">h</th><th style="a">k</th><td style="b">1</td></tr><tr><td style="c">{"w" * 60}</td><td style="c">{"z" * 60}</td></tr></table>'
    assert 'class="rows"' in by_rows(harmless(nearly))  # a cell more than its columns breaks no page


def test_a_name_cannot_become_an_attribute() -> None:
    """What a notebook of somebody else shows may be made to look like our table: quotes of its text end no attribute."""
    name = 'x" onmouseover="alert(1)" y="'
    raw = f'<table style="table-layout:auto"><tr><th style="a">{name}</th><th style="b"><b title="q">k</b> &amp;</th></tr><tr><td style="c">{"w" * 60}</td><td style="d">{"z" * 60}</td></tr></table>'
    told = by_rows(harmless(raw))
    assert 'class="rows"' in told and f'data-column="{escape(name)}" style="c"' in told
    assert 'data-column="k &amp;" style="d"' in told
