"""Somebody else's notebook, opened untrusted, looks as when it ran; hostile text is text, here and in the report."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from opslib.charts.drawing import draw
from opslib.display import result_html
from opslib.result import Result, Verdict
from opslib.runner import report

SQL = "update stock set qty = qty - $1 where sku = $2 -- 在庫更新"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "\x1b[31mred",
    "a\u202eb",
    '"><b id=owned>',
]
SHOTS = Path(__file__).parents[2] / ".ci" / "screenshots"


def shown() -> str:
    table = pd.DataFrame({"n": range(7), "query": [SQL, *HOSTILE]})
    chart = draw("locks push the load", lambda axes, narrow: axes.plot([0, 1], [0, 1]), height=2)
    return result_html(Result("x", "X", Verdict.WARN, SQL, facts={"n": "7"}, table=table, chart=chart))


def notebook() -> dict[str, Any]:
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": shown(), "text/plain": "x"}}
    cell = {"cell_type": "code", "id": "x", "metadata": {}, "execution_count": 1, "source": "1", "outputs": [output]}
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def assert_harmless(page: Any) -> None:
    body = page.inner_text("body")
    assert SQL in body and all(text in body for text in HOSTILE if text.isprintable()), body[:2000]
    assert "\\u001b[31mred" in body and "a\\u202eb" in body
    assert page.evaluate("document.querySelectorAll('mjx-container, .MathJax, #owned').length") == 0
    assert page.evaluate("[...document.querySelectorAll('img')].some(image => image.naturalWidth > 300)")


@pytest.mark.timeout(120)
def test_in_the_lab(lab: tuple[str, Path], page: Any) -> None:
    address, project = lab
    (project / "other.ipynb").write_text(json.dumps(notebook()))
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    parts = urlsplit(address)
    page.goto(f"{parts.scheme}://{parts.netloc}/lab/tree/other.ipynb?{parts.query}")
    page.wait_for_selector(".jp-OutputArea-output img", timeout=60_000)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / "untrusted-hostile.png"))
    assert_harmless(page)
    pill = page.locator(".jp-OutputArea-output span", has_text="CHECK").first
    assert pill.evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(161, 92, 0)"
    assert not dialogs and page.locator(".jp-Dialog").count() == 0


def test_in_the_report(page: Any, tmp_path: Path) -> None:
    summary = json.loads((Path(__file__).with_name("summary.json")).read_text())
    (tmp_path / "report.html").write_text(report.html(notebook(), summary))
    dialogs: list[str] = []
    asked: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path}/report.html")
    assert_harmless(page)
    assert not dialogs and not [url for url in asked if not url.startswith(("file:", "data:"))]
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= 390")  # only tables scroll
