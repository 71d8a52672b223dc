"""Run a runbook headless and leave a true record, whatever happens to the kernel, the disk or this process."""

from __future__ import annotations

import fcntl
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslib import config, files
from opslib.errors import OpsError, RecordError
from opslib.runner import cleaning, parameters, records, runbooks
from opslib.runner.execution import Execution

CELL_SECONDS, RUN_SECONDS = 300, 1800
QUIET_SECONDS, SAY_EVERY = 5.0, 10.0


class Locked(OpsError):
    """Another run holds the lock: exit code 75."""


def run(
    name: str,
    given: Mapping[str, Any],
    *,
    env: str = "",
    cell_seconds: int = CELL_SECONDS,
    run_seconds: int = RUN_SECONDS,
    lock: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Run one runbook and return its record and summary; `summary["exit_code"]` is the process's.

    Parameters are checked by name and declared type before anything runs or is written. With `lock`, a second run of
    the same runbook in the same environment raises Locked. Raises OpsError for bad input, or when no record can be
    written; then nothing is left behind.
    """
    job = Job.of(name, given, env=env)
    adopt_abandoned()
    return job.run(cell_seconds=cell_seconds, run_seconds=run_seconds, lock=lock)


@dataclass(frozen=True)
class Job:
    """A runbook whose parameters are checked: ready to run."""

    runbook: str
    notebook: runbooks.Notebook
    values: dict[str, Any]
    environment: str
    scheduled: str = ""

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any], *, env: str, scheduled: str = "") -> Job:
        """Find and check; raises OpsError, and nothing is written. `scheduled` says in the record what it is run for."""
        runbook, file = runbooks.find(name)
        return cls(runbook, *prepared(runbook, file, given, env=env, complete=True), scheduled)

    def not_begun(self, error: str) -> tuple[Path, dict[str, Any]]:
        """Leave a record that says why nothing ran; raises RecordError."""
        from opslib.runner.finishing import finish

        return finish(self._begin(), status=records.FAILED, error=error, seconds=0.0)

    def run(
        self,
        *,
        cell_seconds: int = CELL_SECONDS,
        run_seconds: int = RUN_SECONDS,
        lock: bool = False,
        forked: bool = False,
    ) -> tuple[Path, dict[str, Any]]:
        """Run it and return its record and summary; with `forked` in a kernel of this process's image."""
        with _alone(f"{self.environment}-{self.runbook.replace('/', '-')}") if lock else nullcontext():
            folder = self._begin()
            try:
                return run_in(folder, self.notebook, cell_seconds, run_seconds, forked=forked)
            except RecordError:
                records.discard(folder)
                raise

    def _begin(self) -> Path:
        return records.begin(
            self.runbook, self.notebook, self.environment, mode=records.HEADLESS, parameters=self.values, scheduled=self.scheduled,
        )  # fmt: skip


def prepared(
    runbook: str, file: Path, given: Mapping[str, Any], *, env: str, complete: bool
) -> tuple[runbooks.Notebook, dict[str, Any], str]:
    """Return the notebook, outputs cleared and parameters filled in, all values, and the environment's name.

    With `complete`, defaults are checked like given values: nobody is there to fill in an empty id.
    """
    notebook = runbooks.cleared(runbooks.read(file))
    known = parameters.declared(notebook)
    defaults = {name: parameter.default for name, parameter in known.items()}
    values = parameters.checked(runbook, known, {**defaults, **given} if complete else given)
    environment = env or str({**defaults, **values}.get("env") or "")
    if "env" in known:
        values["env"] = environment = config.load(environment).name
    cell = parameters.cell_of(notebook)
    if cell is not None:
        changed = {name: value for name, value in values.items() if value != defaults[name]}
        cell["source"] = parameters.filled(cell["source"], known, changed)
    return notebook, {**defaults, **values}, environment or "local"


def adopt_abandoned() -> list[Path]:
    """Finish what a killed `opslib run` left in .partial: its record says that it was killed."""
    adopted = []
    for folder, pid in _partial():
        try:
            if not _alive(pid):
                adopted.append(adopt(folder)[0])
        except OpsError as error:
            sys.stderr.write(f"{folder} cannot be finished: {error}\n")
    return adopted


def adopt(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Finish what a killed runner left: the record says that it was killed; raises OpsError."""
    from opslib.runner.finishing import finish

    return finish(folder, status=records.KILLED, error="the runner itself was killed")


def left_by(pid: int) -> Path | None:
    """Return the folder of the run that this process had begun and not finished."""
    return next((folder for folder, begun_by in _partial() if begun_by == pid), None)


def _partial() -> Iterator[tuple[Path, int]]:
    for file in sorted((records.reports() / ".partial").glob(f"*/{records.STATE}")):
        try:
            yield file.parent, int(records.state_of(file.parent)["pid"])
        except (OpsError, KeyError, ValueError) as error:
            sys.stderr.write(f"{file.parent} cannot be finished: {error}\n")


def run_in(
    folder: Path, notebook: runbooks.Notebook, cell_seconds: int, run_seconds: int, *, forked: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Run a notebook in the folder of a run that has begun, and finish its record."""

    def save(so_far: runbooks.Notebook) -> None:
        """Keep what ran even if this process is killed; the form for people to read is made once, at the end."""
        files.write(folder / records.NOTEBOOK, json.dumps(cleaning.clean_notebook(so_far), ensure_ascii=False))

    execution = Execution(
        notebook, folder, cell_seconds, run_seconds, save=save, say=_Progress(folder.name), forked=forked
    )
    began = time.monotonic()
    with _stoppable(execution):
        executed = execution.run()
        seconds = time.monotonic() - began
        from opslib.runner.finishing import finish

        return finish(folder, status=execution.status, error=execution.error, notebook=executed, seconds=seconds)


@contextmanager
def _stoppable(execution: Execution) -> Iterator[None]:
    """Turn SIGTERM, SIGINT and SIGHUP into an end that still leaves a record."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: Any) -> None:
        execution.end(records.INTERRUPTED, f"ended by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """Say on stderr that it still runs, once a wait is over five seconds."""

    def __init__(self, what: str) -> None:
        self.what, self.next = what, QUIET_SECONDS

    def __call__(self, seconds: float, where: str) -> None:
        if seconds >= self.next:
            self.next = seconds + SAY_EVERY
            sys.stderr.write(f"  {seconds:5.0f} s  {where}\n")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    folder = records.reports() / ".locks"
    try:
        files.make_private(folder, below=records.reports())
        handle = (folder / name).open("a")
    except OSError as error:
        raise files.cannot_write(folder, error) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"another run of {name} is under way", why=f"it holds {folder / name}", fix="wait") from None
        yield


def _alive(pid: int) -> bool:
    return (Path("/proc") / str(pid)).exists() if Path("/proc/self").exists() else True
