"""A project of its own, a record to look at, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opslib.runner import headless, runbooks

from .probe import PROBE


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project folder with the runbook 2-try/probe, in which this process works; shared by a module."""
    root = tmp_path_factory.mktemp("project")
    (root / "notebooks" / "2-try").mkdir(parents=True)
    runbooks.write(root / "notebooks" / "2-try" / "probe.ipynb", PROBE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_ROOT", str(root))
        patch.delenv("OPSLIB_REPORTS", raising=False)
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def record(project: Path) -> Path:
    """One finished headless record, shared by tests that only look at it."""
    folder, summary = headless.run("probe", {"account": "012345678901", "act": "flood", "verdict": "critical"})
    assert summary["status"] == "finished", summary["error"]
    return folder


@pytest.fixture
def opslib() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line as a process of its own."""

    def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
        program = [str(Path(sys.executable).with_name("opslib")), *arguments]
        return subprocess.Popen(
            program, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start
