"""Two sandboxes built from nothing, the second forty days later, answer the same."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from opslib.sandbox.control import Sandbox

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("opslib"))


def _answers(environ: dict[str, str], reports: Path) -> tuple[object, list[object]]:
    """Trace; return what the run said and showed."""
    command, environ = [PROGRAM, "run", "trace-request"], {**environ, "OPSLIB_REPORTS": str(reports)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    record = next(reports.glob("sandbox/*/*/*/*"))
    cells = json.loads((record / "record.ipynb").read_text())["cells"]
    return json.loads((record / "summary.json").read_text())["results"], [cell.get("outputs") for cell in cells]


def _later(folder: Path) -> tuple[object, list[object]]:
    """Build from nothing forty days later, start frozen, trace, stop."""
    folder.chmod(0o755)
    environ = {**os.environ, "OPSLIB_CACHE_DIR": str(folder / "cache"), "OPSLIB_SANDBOX": str(folder / "state")}
    command = ["faketime", "-f", "+40d", PROGRAM, "sandbox", "start", "--clock", "frozen"]
    started = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    try:
        return _answers(environ, folder / "reports")
    finally:
        subprocess.run([PROGRAM, "sandbox", "stop"], cwd=ROOT, env=environ, check=True, capture_output=True)


@pytest.mark.timeout(500)
@pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime on this machine: apt-get install faketime")
def test_the_same_answers_forty_days_later(sandbox: Sandbox, tmp_path: Path) -> None:
    # The first is the one that tests share: it was built from nothing too, by whoever first started one of these sources.
    # PostgreSQL runs as another user, and pytest closes its own folder to others each time that it starts anywhere.
    with tempfile.TemporaryDirectory(prefix="opslib-later-") as later:
        assert _answers(sandbox.environ, tmp_path) == _later(Path(later))
