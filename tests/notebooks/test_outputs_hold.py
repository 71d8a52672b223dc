"""Committed outputs are true: strict nbval on a frozen sandbox, twice, under two machine time zones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_strict_nbval(sandbox, zone: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ROOT, ROOT / "notebooks"],
        cwd=ROOT,
        env={**os.environ, **sandbox.environ, "TZ": zone},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
