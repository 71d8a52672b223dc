"""A lab on a copy of the project."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from opslib.sandbox.control import Sandbox

ROOT = Path(__file__).parents[2]


def wait_for_record(copy: Any) -> None:
    """Wait until the record is the tab in front and its kernel idle: the index may lie there first, idle as well."""
    copy.wait_for_selector(".lm-DockPanel-tabBar .lm-mod-current >> text='record.ipynb'", timeout=60_000)
    copy.wait_for_selector(".jp-NotebookPanel .jp-CodeCell >> visible=true", timeout=60_000)
    copy.wait_for_function(
        "() => document.body.innerText.includes('Idle')", timeout=60_000
    )  # else it asks for a kernel


@pytest.fixture
def lab(sandbox: Sandbox, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A lab on the frozen sandbox that tests share."""
    with _lab(sandbox, tmp_path) as started:
        yield started


@pytest.fixture
def lab_on(tmp_path: Path) -> Callable[[Sandbox], AbstractContextManager[tuple[str, Path]]]:
    """Start a lab on a sandbox of the test's own."""
    return lambda sandbox: _lab(sandbox, tmp_path)


@contextmanager
def _lab(sandbox: Sandbox, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A lab on a copy of the project, so that its records lie aside; yields its address and the copy."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "notebooks", project / "notebooks")
    (project / "pyproject.toml").write_text("")
    command = [str(Path(sys.executable).with_name("opslib")), "lab", "--no-browser"]
    process = subprocess.Popen(
        command,
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **sandbox.environ, "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces")},
    )
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(process.stdout or []), daemon=True).start()
    try:
        yield _address(said), project
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _address(said: list[str]) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", "".join(list(said))):
            return found[0]
        threading.Event().wait(0.1)
    raise AssertionError("the lab gave no address:\n" + "".join(said)[-2000:])
