"""Kernels that are forked from a process that has imported everything, not started: for reports in batches.

What is forked is ipykernel itself, and papermill's own client speaks to it: outputs, errors, time limits and signals
are those of a started kernel, without its second of imports. The fork comes before any thread or boto3 client exists.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import signal
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

from opslib.runner.kernel import IpcKernelManager

FORK = get_context("fork")
_WARM = ("opslib.charts", "opslib.checks", "opslib.runbooks", "opslib.sources")
_ASKED = (
    "acm", "amplify", "cloudfront", "cloudwatch", "ecs", "elasticache", "elbv2", "events", "lambda", "logs", "pi", "rds", "route53", "sns", "sts",
)  # fmt: skip
_HEAVY = (
    "IPython.core.completer", "IPython.core.debugger", "IPython.core.oinspect", "IPython.extensions.storemagic", "boto3.session",
    "botocore.signers", "ipykernel.debugger", "ipykernel.kernelapp", "matplotlib.backends.backend_svg", "matplotlib.figure", "nbconvert",
    "opslib.database", "opslib.queries", "opslib.runner.finishing", "orjson", "pandas", "pandas.io.formats.csvs", "papermill", "psycopg",
    "sqlite3", "tornado.platform.asyncio",
)  # fmt: skip


class Forked(FORK.Process):  # type: ignore[name-defined, misc]
    """A process of this one's image that waits to become a kernel; to jupyter_client it is a Popen."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        receiver, self._sender = FORK.Pipe(duplex=False)
        super().__init__(target=_become_kernel, args=(receiver, self._sender))
        self.start()
        receiver.close()
        os.setpgid(self.pid, self.pid)  # also done over there: whoever strikes first must not strike this process

    def launch(self, arguments: list[str], folder: str, environ: dict[str, str]) -> None:
        """Let it become the kernel of these arguments."""
        self._sender.send((arguments, folder, environ))

    def dismiss(self) -> None:
        """Let it end when it never became a kernel."""
        self._sender.close()

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        code: int | None = self.exitcode
        return code

    def wait(self) -> int | None:
        """Wait for its end and return the exit code."""
        self.join()
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal to it; it may be gone already."""
        if self.poll() is None:
            os.kill(self.pid, number)


class ForkedKernelManager(IpcKernelManager):
    """Make the kernel out of `child`, which was forked before."""

    child: ClassVar[Forked]

    async def _async_launch_kernel(self, kernel_cmd: list[str], **given: Any) -> None:
        environ = {**given["env"], "JPY_PARENT_PID": str(os.getpid())}
        arguments = kernel_cmd[kernel_cmd.index("ipykernel_launcher") + 1 :]
        self.child.launch(arguments, given.get("cwd") or str(Path.cwd()), environ)
        where: Any = self.provisioner
        where.process, where.pid, where.pgid = self.child, self.child.pid, self.child.pid
        self._reconcile_connection_info(where.connection_info)

    _launch_kernel = _async_launch_kernel  # type: ignore[assignment]


def warm() -> None:
    """Import what runbooks need, so that forked kernels find it there; makes no thread and no client."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # the debugger in ipykernel would complain on stderr
    for name in _HEAVY:
        importlib.import_module(name)
    for name in _WARM:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__, f"{name}."):
            importlib.import_module(module.name)
    _use_once()
    _read_once()
    gc.freeze()  # a collection in a child would copy every page of what is imported here
    gc.set_threshold(100_000, 20, 50)  # and a report makes rows by the ten thousand, none of them in a circle


def _use_once() -> None:
    """Draw a chart and make a page: the first ones find the fonts and compile the templates."""
    import nbformat
    import pandas as pd

    from opslib.charts.timeseries import timeseries
    from opslib.runner import report

    times = pd.date_range("2026-01-01", periods=9, freq="h", tz="UTC")
    timeseries(pd.DataFrame({"p99": 1.0, "件数": 2.0}, index=times), title="", unit="s").html()
    cells = [nbformat.v4.new_markdown_cell("# 1"), nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="1")])]  # fmt: skip
    report.exporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells), resources={"opslib": {}})


def _read_once() -> None:
    """Read the models of the services that most runbooks ask, and which versions and which commit this is."""
    from opslib import aws, run
    from opslib.runner import summary

    models = aws.models(None)
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        models.load_data(name)
    for service in _ASKED:
        for kind in ("service-2", "endpoint-rule-set-1"):
            models.load_service_model(service, kind, api_version=None)  # as botocore asks: what it keeps goes by that
    run.versions(), summary.commit()


def unhandled() -> None:
    """Give the signals back their usual effect: a forked process has inherited the handlers of its parent."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _become_kernel(receiver: Any, sender: Any) -> None:
    os.setpgid(0, 0)
    unhandled()
    sender.close()
    try:
        arguments, folder, environ = receiver.recv()
    except EOFError:
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["ipykernel_launcher.py", *arguments]
    from ipykernel.kernelapp import IPKernelApp

    kernel = IPKernelApp.instance(parent_handle=int(environ["JPY_PARENT_PID"]))  # it ends when its parent does
    kernel.initialize(arguments)
    kernel.start()
