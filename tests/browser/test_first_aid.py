"""A first aid in a real JupyterLab: Run all twice changes nothing; the phrase, typed into the last cell that runs alone, does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from opslib.sandbox.control import Sandbox
from tests.browser.conftest import wait_for_record
from tests.warm_commands import OPSLIB

SHOTS = Path(__file__).parents[2] / ".ci" / "screenshots"
LAST = ".jp-Notebook .jp-CodeCell >> nth=-1"


def deployments(live: Sandbox) -> list[str]:
    service = live.client("ecs").describe_services(cluster="shop", services=["api"])["services"][0]
    return [one["id"] for one in service["deployments"]]


@pytest.mark.timeout(300)
def test_restart_service_by_hand(page: Any, lab_on: Any) -> None:
    with Sandbox(clock="running", scenario="quiet-day") as live, lab_on(live) as (address, project):
        before = deployments(live)
        page.goto(address)
        page.wait_for_selector('a[href*="opslib/open"]', timeout=60_000)
        page.goto(re.sub(r"/lab.*", "/opslib/open?notebook=3-remediate%2Frestart-service", address))
        copy = page
        phrases = [_run_all(copy) for _ in range(2)]
        assert len(set(phrases)) == 2 and deployments(live) == before  # two plans, nothing done
        answered = _typed(copy, phrases[0], live)  # the phrase of the plan before
        assert "this is a new plan" in answered and deployments(live) == before
        answered = _typed(copy, phrases[1], live)
        assert "completed: 6 of 6 tasks run" in answered and deployments(live) != before
        SHOTS.mkdir(parents=True, exist_ok=True)
        copy.screenshot(path=str(SHOTS / "first-aid.png"))
        after = deployments(live)
        assert "applied before" in _typed(copy, phrases[1], live) and deployments(live) == after
        copy.keyboard.press("Control+s")
        folder = next(project.glob("reports/sandbox/*/*/*/*_restart-service_*"))
        _wait(copy, lambda: "applied before" in (folder / "record.ipynb").read_text())
        environ = {**os.environ, **live.environ}
        subprocess.run([*OPSLIB, "close", str(folder)], cwd=project, env=environ, check=True)
        told = json.loads((folder / "summary.json").read_text())
        assert [one["verdict"] for one in told["results"] if one["name"] == "apply-restart-service"] == ["ok"]


def _run_all(copy: Any) -> str:
    """Run all cells; return the phrase that the last one asks for."""
    wait_for_record(copy)
    before = _output(copy)
    copy.click(".jp-NotebookPanel-toolbar >> text='Run all' >> visible=true")
    _wait(copy, lambda: "this is a new plan" in _output(copy) and _output(copy) != before)
    found = re.search(r"restart-service api [0-9a-f]{8}", _output(copy))
    assert found, _output(copy)
    return found[0]


def _typed(copy: Any, phrase: str, live: Sandbox) -> str:
    """Type the phrase between the quotes of the last cell and run that cell alone; return what it shows at its end."""
    before = _prompt(copy)
    copy.click(f"{LAST} >> .cm-content")
    copy.keyboard.press("Control+a")
    copy.keyboard.type(f'plan.apply("{phrase}")')
    copy.keyboard.press("Control+Enter")
    for _ in range(120):
        if _prompt(copy) not in {before, "[*]:"}:
            return _output(copy)
        live.advance("10s")
        threading.Event().wait(0.5)
    raise AssertionError("the cell did not end: " + _output(copy))


def _prompt(copy: Any) -> str:
    return str(copy.locator(f"{LAST} >> .jp-InputPrompt").text_content()).strip()


def _output(copy: Any) -> str:
    return str(copy.locator(LAST).text_content())


def _wait(copy: Any, condition: Any, seconds: float = 90) -> None:
    for _ in range(int(seconds * 5)):
        if condition():
            return
        threading.Event().wait(0.2)
    SHOTS.mkdir(parents=True, exist_ok=True)
    copy.screenshot(path=str(SHOTS / "first-aid-waiting.png"))
    raise AssertionError(f"it did not come true in {seconds:.0f} s; the last cell shows: {_output(copy)!r}")
