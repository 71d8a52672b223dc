"""A JupyterLab run in a real browser leaves the same record as a headless run."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from opslib.sandbox.control import Sandbox
from tests.browser.conftest import wait_for_record
from tests.warm_commands import OPSLIB

SHOTS = Path(__file__).parents[2] / ".ci" / "screenshots"

VERDICT_IN_SIGHT = """() => [...document.querySelectorAll('.jp-OutputArea-output span')].some(
    span => span.innerText.startsWith('ACT NOW') && span.getBoundingClientRect().top > 0
        && span.getBoundingClientRect().bottom < innerHeight)"""


def _outputs(record: Path) -> list[Any]:
    cells = [cell for cell in json.loads((record / "record.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    return [
        ["".join(output.get("data", {}).get("text/html", output.get("text", ""))) for output in cell["outputs"]]
        for cell in cells
    ]


@pytest.mark.timeout(240)
def test_a_run_in_the_lab_is_the_same_record(lab: tuple[str, Path], sandbox: Sandbox, page: Any) -> None:
    address, project = lab
    errors: list[str] = []
    hosts: set[str] = set()
    page.context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.context.on(
        "request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None
    )
    page.goto(address)
    page.wait_for_selector('a[href*="opslib/open"]', timeout=60_000)
    with page.context.expect_page() as opened:
        page.click('a[href*="trace-request"]')
    copy = opened.value
    began = time.monotonic()
    wait_for_record(copy)
    copy.click(".jp-NotebookPanel-toolbar >> text='Run all' >> visible=true")
    copy.wait_for_selector("text=ACT NOW", timeout=60_000)
    print(f"from the copy to the verdict {time.monotonic() - began:.1f} s; clicks: 2")
    copy.wait_for_function("() => document.body.innerText.includes('Idle')", timeout=60_000)
    copy.wait_for_function(VERDICT_IN_SIGHT, timeout=60_000)  # and not the end of the notebook
    copy.keyboard.press("Control+s")
    folder = next(project.glob("reports/sandbox/*/*/*/*"))
    _wait(lambda: "[SANDBOX]" in (folder / "record.ipynb").read_text())
    SHOTS.mkdir(parents=True, exist_ok=True)
    copy.screenshot(path=str(SHOTS / "lab.png"))
    assert not errors and len(hosts) == 1, (errors, hosts)
    environ = {**os.environ, **sandbox.environ}
    subprocess.run([*OPSLIB, "close", str(folder)], cwd=project, env=environ, check=True)
    subprocess.run([*OPSLIB, "run", "trace-request"], cwd=project, env=environ, check=False)
    headless = next(each for each in project.glob("reports/sandbox/*/*/*/*") if each != folder)
    assert _outputs(folder) == _outputs(headless)
    lab_summary, headless_summary = (json.loads((each / "summary.json").read_text()) for each in (folder, headless))
    for key in ("verdict", "blind", "status", "results", "exit_code", "runbook"):
        assert lab_summary[key] == headless_summary[key], key


def _wait(condition: Any, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        threading.Event().wait(0.2)
