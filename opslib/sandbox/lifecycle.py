"""Starting and stopping a supervisor from outside. One truth tells whether it lives: the lock of its directory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from opslib.sandbox import cache, state_files
from opslib.sandbox.errors import SandboxError

Progress = Callable[[str, float], None]
START_SECONDS = 180.0  # the first start, on a slow and busy machine
STOP_SECONDS = 20.0
_children: dict[int, "subprocess.Popen[str]"] = {}  # supervisors that this process started and has to reap


def start(
    directory: Path, *, clock: str = "running", scenario: str = "checkout-locks", progress: Progress | None = None,
    replica: bool = False, live: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Start a sandbox and return sandbox.json; at once when one runs here already.

    `replica` adds a streaming replica of the database, `live` the sessions that hold and wait for the incident's locks.
    """
    directory = Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + START_SECONDS
    while _alive(directory):  # running, or being started or cleaned up by somebody else
        if state_files.sandbox_json(directory).exists():
            return info(directory)
        if time.monotonic() > deadline:
            raise SandboxError(f"Another start in {directory} does not come to an end. `opslib sandbox stop` ends it.")
        time.sleep(0.1)
    extras = ["--replica"] * replica + ["--live"] * live
    _spawn(directory, ["--clock", clock, "--scenario", scenario, *extras], progress)
    return info(directory)


def launch(arguments: Sequence[str], log: IO[str], environ: dict[str, str]) -> "subprocess.Popen[str]":
    """Start a supervisor that leads a session of its own and tells its progress on standard output."""
    return subprocess.Popen(
        [sys.executable, "-m", "opslib.sandbox.supervisor", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True, env=environ,
    )  # fmt: skip


def _spawn(directory: Path, options: list[str], progress: Progress | None) -> None:
    with (directory / "supervisor.log").open("w") as log:
        process = launch([str(directory), *options], log, _environment_for_child())
    _children[process.pid] = process
    try:
        _follow(process, directory, progress)
    except BaseException:  # Ctrl-C as well: no half-started sandbox stays behind
        process.terminate()
        process.wait()
        raise
    finally:
        assert process.stdout is not None
        process.stdout.close()


def _follow(process: "subprocess.Popen[str]", directory: Path, progress: Progress | None) -> None:
    """Pass the supervisor's progress on until it is ready."""
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if "error" in said:
            raise SandboxError(said["error"])
        if said.get("ready"):
            return
        if progress:
            progress(said["step"], said["seconds"])
    tail = (directory / "supervisor.log").read_text(errors="replace")[-1500:]
    raise SandboxError(f"The sandbox ended while it started; {directory / 'supervisor.log'} ends:\n{tail}")


def _environment_for_child() -> dict[str, str]:
    """Return the environment without what would lead the gateway's own libraries to a real account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG", "MINISTACK"))}
    kept["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [kept.get("PYTHONPATH")])])
    return kept


def is_running(directory: Path) -> bool:
    """Tell whether a sandbox answers for this directory."""
    return _alive(directory) and state_files.sandbox_json(directory).exists()


def _alive(directory: Path) -> bool:
    """Tell whether a supervisor, or the reaper of one, holds the directory; a file alone could be stale."""
    path = state_files.lock_file(directory)
    if not path.exists():
        return False
    lock = cache.try_lock(path)
    if lock is None:
        return True
    os.close(lock)
    return False


def info(directory: Path) -> dict[str, Any]:
    """Return sandbox.json of a running sandbox."""
    if not is_running(directory):
        raise SandboxError(f"No sandbox runs in {directory}. Start it: opslib sandbox start")
    content: dict[str, Any] = json.loads(state_files.sandbox_json(directory).read_text())
    return content


def stop(directory: Path) -> bool:
    """Stop the sandbox and wait until nothing of it is left; False when none runs."""
    if not _alive(directory):
        return False
    pid = int(state_files.lock_file(directory).read_text() or 0)
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(pid, number)
        if _gone(directory):
            break
    else:
        raise SandboxError(f"The sandbox in {directory} (process {pid}) does not end.")
    child = _children.pop(pid, None)
    if child is not None:
        child.wait()
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        if pid:
            os.kill(pid, number)
    except ProcessLookupError:
        return  # only its reaper is left
    except PermissionError as problem:
        raise SandboxError(f"The sandbox (process {pid}) belongs to another user, who must stop it.") from problem


def _gone(directory: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while _alive(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


def reset(directory: Path, scenario: str | None = None, *, progress: Progress | None = None) -> dict[str, Any]:
    """Throw the sandbox's state away and start it again, with another scenario if one is named."""
    state = info(directory)
    stop(directory)
    extras = {name: bool(state.get(name)) for name in ("replica", "live")}
    return start(directory, clock=state["clock"], scenario=scenario or state["scenario"], progress=progress, **extras)
