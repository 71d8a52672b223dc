"""A project with schedules on a sandbox of its own, whose clock stands but for `advance`, and the command line as a process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from opslib.runner import records, runbooks
from opslib.sandbox.control import Sandbox
from tests.runner.probe import code, markdown, notebook, summary_in
from tests.warm_commands import OPSLIB

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ACTS = """import os, pathlib, signal, time
if act == "raise": raise ValueError("broken")
if act == "once" and not pathlib.Path(mark).exists(): pathlib.Path(mark).touch(); raise ValueError("broken once")
if act == "die": os.kill(os.getpid(), signal.SIGKILL)
if act == "sleep": open("sleeping", "w").close(); time.sleep(60)"""
LOOKS = notebook(
    markdown("# Looks\n\n**READ-ONLY** · 試すための手順書です。"),
    code('window: str = "24h"\nact: str = "none"\nmark: str = ""\nfound: str = ""\nenv: str = ""', "parameters"),
    code("import opslib\nrun = opslib.start(env=env, window=window)\nrun"),
    code(ACTS),
    code(
        "from opslib.result import Finding, Next, Result, Sight, Verdict\n"
        "steps = dict(step=Next('2-investigate/first-look', {'report': 'x'}))\n"
        "things = [Finding(one.split('=')[0], 'critical' if 'ATTACK' in one else 'warning', one.split('=')[-1], **steps) for one in found.split(';') if '=' in one]\n"
        "sight = Sight.PARTIAL if 'unseen' in found else Sight.COMPLETE\n"
        "run.record(Result('looks', 'Looks', Verdict.WARN if things else Verdict.UNKNOWN if 'unseen' in found else Verdict.OK, f'{len(things)} things need a person.', sight, 'denied' * ('unseen' in found), findings=tuple(things)))"
    ),
)  # fmt: skip


class Scheduled:
    """The project, its sandbox, and what its command line said and left."""

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self.root, self.sandbox = root, sandbox

    def write(self, *schedules: str, env: str = "") -> None:
        """Let opslib.toml have these schedules, and forget what was remembered of earlier ones."""
        listed = "".join(f"[[schedule]]\n{one}\n" for one in schedules)
        paths = f'default = "sandbox"\nnotebook_paths = ["{NOTEBOOKS}"]\n'
        (self.root / "opslib.toml").write_text(paths + env + listed)
        s3 = self.sandbox.client("s3")
        for one in s3.list_objects_v2(Bucket="shop-ops-locks", Prefix="opslib/").get("Contents", []):
            s3.delete_object(Bucket="shop-ops-locks", Key=one["Key"])

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start the command line."""
        program = [*OPSLIB, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(program, env={**os.environ, **environ}, cwd=self.root, text=True, **pipes)

    def due(self, *names: str, **environ: str) -> tuple[int, str, list[dict[str, Any]]]:
        """Call `opslib run --due`: its exit code, what it said, and the summaries of the records that it left, in order."""
        before = set(records.folders())
        process = self.start("run", "--due", *names, **environ)
        out, err = process.communicate(timeout=180)
        left = sorted(set(records.folders()) - before, key=lambda folder: folder.stat().st_mtime_ns)
        return process.returncode, out + err, [summary_in(folder) for folder in left]

    def memory(self, name: str) -> dict[str, Any]:
        """Return what all machines remember of a schedule."""
        key = f"opslib/schedules/sandbox/{name}.json"
        return json.loads(self.sandbox.client("s3").get_object(Bucket="shop-ops-locks", Key=key)["Body"].read())


def window_of(summary: dict[str, Any]) -> tuple[datetime, datetime]:
    """Return the window that a run looked at, by its own word."""
    return datetime.fromisoformat(summary["window"]["start"]), datetime.fromisoformat(summary["window"]["end"])


@pytest.fixture(scope="module")
def scheduled(no_aws_variables: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduled]:
    """One project and one sandbox for a module; each test writes schedules of its own."""
    root = tmp_path_factory.mktemp("scheduled")
    (root / "notebooks" / "2-try").mkdir(parents=True)
    runbooks.write(root / "notebooks" / "2-try" / "looks.ipynb", LOOKS)
    runbooks.write(root / "notebooks" / "2-try" / "looks-at-what-has-a-very-long-name.ipynb", LOOKS)
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        patch.setenv("OPSLIB_ROOT", str(root))
        patch.delenv("OPSLIB_REPORTS", raising=False)
        yield Scheduled(root, sandbox)
