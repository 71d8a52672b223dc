"""A plan in a real kernel: Run all plans and never applies; a typed phrase applies; a runner's kernel never does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from opslib import aws, config
from opslib import plan as plans
from opslib.actions import ecs_state
from opslib.journal import Journal
from opslib.runner import records, runbooks
from opslib.sandbox.control import Sandbox
from tests.warm_commands import OPSLIB

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "3-remediate" / "restart-service.ipynb"
Cell = Callable[[str], str]


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock="running", scenario="quiet-day") as running:
        yield running


@pytest.fixture
def place(live: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(live.directory))
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    aws.identity.cache_clear()  # its clock stands where it was asked
    return tmp_path


@pytest.fixture
def cell(place: Path) -> Iterator[Cell]:
    """Run a cell as JupyterLab does, with a person who could be asked; return what it shows."""
    manager, client = start_new_kernel(cwd=str(place), env=dict(os.environ))
    try:
        yield lambda source: _shown(client, source)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _shown(client: BlockingKernelClient, source: str, **options: Any) -> str:
    shown: list[str] = []

    def hook(message: dict[str, Any]) -> None:
        content = message["content"]
        shown.extend(
            [content.get("text", ""), content.get("data", {}).get("text/plain", ""), content.get("evalue", "")]
        )

    client.execute_interactive(source, output_hook=hook, timeout=60, **{"allow_stdin": True, **options})
    return "\n".join(filter(None, shown))


def deployments() -> list[str]:
    return [one["id"] for one in ecs_state.read(config.load(), "api").deployments]


def test_run_all_plans_and_a_typed_phrase_applies(cell: Cell, live: Sandbox) -> None:
    before = deployments()
    for source in (each["source"] for each in runbooks.read(NOTEBOOK)["cells"] if runbooks.runs(each)):
        said = cell(source)
    phrase = re.search(r"type '(restart-service api [0-9a-f]{8})'", said)
    assert phrase and deployments() == before
    assert "must be typed" in cell("plan.apply(plan.phrase)") and deployments() == before
    live_said = _applied(cell, live, phrase[1])
    assert "step 1 of 1" in live_said and "begin one new deployment" in live_said
    assert deployments() != before


def _applied(cell: Cell, live: Sandbox, phrase: str) -> str:
    cell(
        f"import urllib.request, json\ndef forward(seconds):\n    body = json.dumps({{'seconds': seconds}}).encode()\n    urllib.request.urlopen(urllib.request.Request({live.endpoint!r} + '/_sandbox/advance', data=body, method='POST'))"
    )
    cell(
        "import opslib.stepping, dataclasses\nopslib.stepping.Work.__init__.__defaults__ = (forward, *opslib.stepping.Work.__init__.__defaults__[1:])"
    )
    return cell(f'plan.apply("{phrase}")')


def test_the_phrase_in_a_kernel_without_a_person_changes_nothing(place: Path, live: Sandbox) -> None:
    before = deployments()
    manager, client = start_new_kernel(cwd=str(place), env=dict(os.environ))
    try:
        _shown(
            client,
            "import opslib; from opslib.actions import services; plan = services.restart(opslib.start(), service='api')",
            allow_stdin=False,
        )
        phrase = _shown(client, "print(plan.phrase)", allow_stdin=False).strip()
        said = _shown(client, f'plan.apply("{phrase}")', allow_stdin=False)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "without a person" in said, said
    assert deployments() == before and Journal.of(config.load()).entries() == []


def opslib(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    program = [*OPSLIB, *words]
    return subprocess.run(program, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def test_what_no_record_may_hold_is_planned_in_a_notebook_only(place: Path) -> None:
    statement = "update users set email = 'taro.new@example.com' where id = 'u-10482'"
    planned = opslib("plan", "fix-data", "-p", f"statement={statement}", "-p", "expected_rows=1")
    assert planned.returncode == 1 and "apply it in a notebook" in planned.stdout, planned.stdout + planned.stderr
    assert "OPSLIB_APPLY" not in planned.stdout
    record = next(folder for folder in records.folders() if (folder / plans.FILE).is_file())
    kept = plans.load(record / plans.FILE)
    assert kept.hash != kept.sealed and kept.blocked == ()
    tried = opslib("apply", record.name, OPSLIB_APPLY=kept.sealed)
    assert tried.returncode == 1 and "was redacted" in tried.stdout
    assert not [file for file in record.rglob("*") if file.is_file() and b"taro.new" in file.read_bytes()]


def test_headless_it_plans_and_only_the_full_hash_applies(place: Path, live: Sandbox) -> None:
    before = deployments()
    planned = opslib("plan", "restart-service", "-p", "service=api")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    sealed = re.search(r"plan      ([0-9a-f]{64})", planned.stdout)
    assert sealed and deployments() == before
    record = next(folder for folder in records.folders() if (folder / plans.FILE).is_file())
    for said in ("", "true", sealed[1][:8], "0" * 64):
        tried = opslib("apply", record.name, OPSLIB_APPLY=said)
        assert tried.returncode == 3 and "full hash" in tried.stderr
    ran = opslib("run", "restart-service", "-p", "service=api", OPSLIB_APPLY=sealed[1])
    assert ran.returncode == 0 and deployments() == before
    live.fault(service="ecs", operation="UpdateService", kind="access-denied")
    applied = opslib("apply", record.name, OPSLIB_APPLY=sealed[1])
    live.clear_faults()
    assert applied.returncode == 1 and "denied" in applied.stdout, applied.stdout + applied.stderr
    again = opslib("apply", record.name, OPSLIB_APPLY=sealed[1])
    assert again.returncode == 1 and "applied before" in again.stdout
    own = [folder.name for folder in records.folders() if "_restart-service_" in folder.name]
    assert len(own) == 4 and deployments() == before  # plan, run, and a record for each of the two tries
    told = opslib("journal")
    assert told.returncode == 0 and "ecs:UpdateService" in told.stdout and "not done" in told.stdout
    assert opslib("replay", record.name).returncode == 0
    own_record = next(
        folder for folder in records.folders() if records.summary_of(folder)["runbook"].startswith("apply/")
    )
    drawn = opslib("replay", own_record.name)  # says what came of it then, and applies nothing
    assert drawn.returncode == 0, drawn.stderr
    page = (place / ".replay" / own_record.name / "report.html").read_text()
    assert records.summary_of(own_record)["results"][0]["sentence"][:40] in page
    assert "opslib open apply" not in page and len(Journal.of(config.load()).entries()) == told.stdout.count("\n")
