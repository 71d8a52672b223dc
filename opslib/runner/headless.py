"""Run a runbook headless through papermill and leave a true record, whatever happens to the kernel."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opslib import config
from opslib.errors import RecordError
from opslib.runner import parameters, records, runbooks

CELL_SECONDS, RUN_SECONDS = 300, 1800


class _Stopped(BaseException):
    """A signal or the wall clock ended the run."""

    def __init__(self, status: str, said: str) -> None:
        self.status = status
        super().__init__(said)


def run(
    name: str,
    given: Mapping[str, str],
    *,
    env: str = "",
    cell_seconds: int = CELL_SECONDS,
    run_seconds: int = RUN_SECONDS,
) -> tuple[Path, dict[str, Any]]:
    """Run one runbook and return its record and summary.

    Parameters are checked by name and declared type before anything runs. Raises OpsError for bad input, or when no
    record can be written.
    """
    runbook, file = runbooks.find(name)
    notebook = runbooks.read(file)
    known = parameters.declared(notebook)
    values = parameters.checked(runbook, known, given)
    environment = config.environment_name(str(values.get("env") or env))
    config.load(environment)
    if "env" in known:
        values["env"] = environment
    folder = records.begin(runbook, environment, mode="headless", parameters=values)
    try:
        status, error = _execute(folder, notebook, known, values, cell_seconds, run_seconds)
        return records.finish(folder, status=status, error=error)
    except RecordError:
        records.discard(folder)
        raise


def _execute(
    folder: Path,
    notebook: dict[str, Any],
    known: Mapping[str, parameters.Parameter],
    values: Mapping[str, Any],
    cell_seconds: int,
    run_seconds: int,
) -> tuple[str, str]:
    cell = parameters.cell_of(notebook)
    if cell is not None:
        cell["source"] = parameters.filled(cell["source"], known, values)
    for code in notebook["cells"]:
        if code["cell_type"] == "code":
            code["outputs"], code["execution_count"] = [], None
    source = folder / "record.ipynb"
    runbooks.write(source, runbooks.text_of(notebook))
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # 2 s of grammars that nothing here uses
    logging.getLogger("papermill").setLevel(logging.ERROR)
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from opslib.runner.kernel import IpcKernelManager

    try:
        with _stoppable(run_seconds), _waiting(folder.name):
            papermill.execute_notebook(
                str(source), str(source), cwd=str(folder), progress_bar=False, log_output=False, kernel_name="python3",
                execution_timeout=cell_seconds, kernel_manager_class=IpcKernelManager,
            )  # fmt: skip
    except PapermillExecutionError as error:
        return records.FAILED, f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return records.KILLED, "the kernel died"
    except CellTimeoutError:
        return records.TIMEOUT, f"a cell took longer than {cell_seconds} s"
    except _Stopped as stop:
        return stop.status, str(stop)
    except OSError as error:
        raise RecordError(
            "the run cannot be written down",
            why=error.strerror or str(error),
            fix="make room on the disk; earlier records are unchanged",
        ) from None
    return records.FINISHED, ""


@contextmanager
def _stoppable(run_seconds: int) -> Iterator[None]:
    """Turn SIGTERM, SIGINT and the wall clock into an end that still leaves a record."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: Any) -> None:
        if number == signal.SIGALRM:
            raise _Stopped(records.TIMEOUT, f"the run took longer than {run_seconds} s")
        raise _Stopped(records.INTERRUPTED, f"ended by {signal.Signals(number).name}")

    caught = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.signal(number, stop) for number in caught}
    signal.alarm(run_seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    """Say on stderr that it still runs, once a wait is over five seconds."""
    done, began = threading.Event(), time.monotonic()

    def say() -> None:
        while not done.wait(5):
            sys.stderr.write(f"  running {what}: {time.monotonic() - began:.0f} s\n")

    if os.environ.get("OPSLIB_QUIET"):
        yield
        return
    threading.Thread(target=say, daemon=True).start()
    try:
        yield
    finally:
        done.set()
