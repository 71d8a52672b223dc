"""Two sandboxes built from nothing, the second forty days later, answer the same."""

import json
import os
import shutil
import subprocess
import sys
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
    subprocess.run(
        [*prefix, PROGRAM, "sandbox", "start", "--clock", "frozen"],
        cwd=ROOT,
        env=environ,
        check=True,
        capture_output=True,
    )
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
def test_the_same_answers_forty_days_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = Path(tmp_path_factory.getbasetemp())
    base.chmod(0o755)
    base.parent.chmod(0o755)
    first = _answers(tmp_path_factory.mktemp("today"), [])
    later = _answers(tmp_path_factory.mktemp("later"), ["faketime", "-f", "+40d"])
    assert first == later
