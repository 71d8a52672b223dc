"""Committed outputs are true: strict nbval on a frozen sandbox, once in each of two machine time zones."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def strict_nbval(environ: dict[str, str], zone: str) -> None:
    """Run every committed notebook again in a time zone of the machine and compare every output."""
    reports = Path(tempfile.mkdtemp())  # a shift without records of this machine
    options = ["--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ROOT]
    options += ["-p", "opslib.runner", "-p", "tests.notebooks.forked_kernels"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, ROOT / "notebooks"],
        cwd=ROOT, env={**os.environ, **environ, "TZ": zone, "OPSLIB_REPORTS": str(reports)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
