"""Execute a notebook through papermill and know at any moment which cells really ran.

papermill works in a thread; the main thread waits, so that a signal, the wall clock or a hanging cell ends the kernel
and nothing else, and the end is always the same: the notebook as far as it came.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opslib import config
from opslib.errors import OpsError
from opslib.runner import cells, records, runbooks

KINDLY, LATEST = 3.0, 15.0  # seconds from the first SIGINT to SIGKILL, and to giving the thread up


@dataclass
class Execution:
    """One notebook on its way through a kernel; `status` and `error` say how it ended."""

    notebook: runbooks.Notebook
    folder: Path
    cell_seconds: int
    run_seconds: int
    save: Callable[[runbooks.Notebook], None] = lambda notebook: None
    say: Callable[[float, str], None] = lambda seconds, where: None
    environ: Mapping[str, str] | None = None
    forked: bool = False  # in a kernel of this process's image, not in one that is started
    status: str = records.FINISHED
    error: str = ""
    stop: tuple[str, str] | None = None
    failure: BaseException | None = None
    where: str = "starting the kernel"
    _live: Any = field(default=None, repr=False)

    def end(self, status: str, why: str) -> None:
        """Ask for the end of the run, from a signal handler or any thread; the first reason counts."""
        self.stop = self.stop or (status, why)

    def run(self) -> runbooks.Notebook:
        """Execute and return the notebook as far as it came; an OpsError from saving is raised."""
        for cell in filter(runbooks.runs, self.notebook["cells"]):
            cells.mark(cell, cells.NOT_RUN)
        with self._engine() as engine:
            worker = threading.Thread(target=self._work, args=(engine,), name="papermill", daemon=True)
            began = time.monotonic()
            worker.start()
            self._watch(worker, began)
        self._judge()
        return self._so_far()

    @contextmanager
    def _engine(self) -> Iterator[dict[str, Any]]:
        """What papermill is told of its engine; a kernel is forked here, before there is a thread."""
        if not self.forked:
            yield {}
            return
        from opslib.runner.forking import Forked

        child = Forked()
        try:
            yield {"engine_name": "opslib-fork", "child": child}
        finally:
            child.dismiss()

    def _watch(self, worker: threading.Thread, began: float) -> None:
        stopping = 0.0
        while worker.is_alive():
            worker.join(0.1)
            now = time.monotonic()
            self.say(now - began, self.where)
            if now - began > self.run_seconds:
                self.end(records.TIMEOUT, f"the run took longer than {self.run_seconds} s")
            if self.stop:
                stopping = stopping or now
                self._strike(now - stopping)
                if now - stopping > LATEST:
                    return

    def _strike(self, waited: float) -> None:
        from opslib.runner.kernel import IpcKernelManager

        for kernel in list(IpcKernelManager.running):
            kernel.strike(signal.SIGKILL if waited > KINDLY or self.where.startswith("starting") else signal.SIGINT)

    def _work(self, engine: dict[str, Any]) -> None:
        logging.getLogger("papermill").setLevel(logging.CRITICAL)
        logging.getLogger("traitlets").setLevel(logging.CRITICAL)
        try:
            import nbformat
            from papermill import execute_notebook

            from opslib.runner.kernel import kernel_manager

            # papermill goes to the record's folder, from which no way may lead back to the project
            manager = kernel_manager(self.environ or os.environ | config.places())
            execute_notebook(
                nbformat.from_dict(self.notebook), None, cwd=str(self.folder), kernel_name="python3", progress_bar=False,
                execution_timeout=self.cell_seconds, kernel_manager_class=manager, shutdown_kernel="immediate",
                on_notebook_start=self._started, on_cell_execute=self._cell_begins,
                on_cell_executed=self._cell_ended, **engine,
            )  # fmt: skip
        except BaseException as error:  # whatever it is, the main thread tells of it in the record
            self.failure = error

    def _started(self, notebook: Any) -> None:
        self._live = notebook

    def _cell_begins(self, cell: Any, cell_index: int) -> None:
        code = [number for number, each in enumerate(self._live["cells"]) if runbooks.runs(each)]
        self.where = f"code cell {code.index(cell_index) + 1} of {len(code)} ({cell.get('id', '')})"
        cells.mark(cell, cells.RUNNING)

    def _cell_ended(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        fine = execute_reply["content"]["status"] == "ok" or "raises-exception" in runbooks.tags(cell)
        cells.mark(cell, cells.DONE if fine else cells.BROKEN)
        self.save(self._so_far())

    def _so_far(self) -> runbooks.Notebook:
        return runbooks.plain(self._live) if self._live is not None else self.notebook

    def _judge(self) -> None:
        failure = self.failure
        if isinstance(failure, OpsError):
            raise failure
        name = type(failure).__name__ if failure else ""
        if self.stop:
            self.status, self.error = self.stop
        elif name == "DeadKernelError":
            self.status, self.error = records.KILLED, f"its process ended in {self.where}"
        elif name == "CellTimeoutError":
            self.status, self.error = records.TIMEOUT, f"{self.where} took longer than {self.cell_seconds} s"
        elif failure:
            self.status, self.error = records.FAILED, cells.first_error(self._so_far()) or f"{name}: {failure}"
        elif any(
            cell["metadata"]["opslib"]["status"] != cells.DONE
            for cell in self._so_far()["cells"]
            if runbooks.runs(cell)
        ):
            self.status, self.error = records.FAILED, "the notebook ended itself before its last cell"
