"""Two sandboxes built from nothing, the second forty days later, answer the same."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("opslib"))


def _answers(folder: Path, prefix: list[str]) -> tuple[object, list[object]]:
    """Build, start frozen, trace, stop; return what the run said and showed."""
    folder.chmod(0o755)
    environ = {
        **os.environ,
        "OPSLIB_CACHE_DIR": str(folder / "cache"),
        "OPSLIB_SANDBOX": str(folder / "state"),
        "OPSLIB_REPORTS": str(folder / "reports"),
    }
    command = [*prefix, PROGRAM, "sandbox", "start", "--clock", "frozen"]
    started = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    try:
        done = subprocess.run([PROGRAM, "run", "trace-request"], cwd=ROOT, env=environ, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
    finally:
        subprocess.run([PROGRAM, "sandbox", "stop"], cwd=ROOT, env=environ, check=True, capture_output=True)
    record = next((folder / "reports").glob("sandbox/*/*/*/*"))
    cells = json.loads((record / "record.ipynb").read_text())["cells"]
    return json.loads((record / "summary.json").read_text())["results"], [cell.get("outputs") for cell in cells]


@pytest.mark.timeout(280)
@pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime on this machine: apt-get install faketime")
def test_the_same_answers_forty_days_later() -> None:
    # PostgreSQL runs as another user, and pytest closes its own folder to others each time that it starts anywhere.
    with (
        tempfile.TemporaryDirectory(prefix="opslib-today-") as today,
        tempfile.TemporaryDirectory(prefix="opslib-later-") as later,
    ):
        first = _answers(Path(today), [])
        second = _answers(Path(later), ["faketime", "-f", "+40d"])
    assert first == second
