"""Supervisors and gateways that are forked from a process which has imported what they import and read the base life.

A supervisor that is started spends two seconds of CPU on that, and the suite starts sixty. What is forked runs the very
`supervisor.main`, leads a session of its own, and has its own environment, clock and seeded ids: ministack, which notes
the time while it loads, is imported over there. tests/sandbox/test_process starts its sandboxes as users do.
"""

import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import random
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from opslib.sandbox.cache import locked
from tests.warm_commands import FUNCTION

ROOT = Path(__file__).parents[1]
SHARED = "TESTS_SHARED_SANDBOXES"  # the folder of what all workers share; `main.pid` in it says who made it
START_SECONDS = 60.0
SERVICES = (
    "amplify", "application-autoscaling", "cloudfront", "cloudwatch", "ecs", "elasticache", "elbv2", "logs", "pi", "rds", "route53",
    "sns", "sqs", "ssm", "sts",
)  # fmt: skip


class Forked:
    """A process that another one forked, as far as it need be like a Popen."""

    def __init__(self, pid: int, stdout: IO[str]) -> None:
        self.pid = pid
        self.stdout = stdout

    def terminate(self) -> None:
        """Ask it to end; it may be gone already."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until it is gone."""
        deadline = time.monotonic() + timeout
        while _lives(self.pid):
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.02)


def launch(arguments: Sequence[str], log: IO[str], environ: dict[str, str]) -> Any:
    """Fork a supervisor instead of starting it: takes the place of `lifecycle.launch`."""
    return forked("opslib.sandbox.supervisor", arguments, log.fileno(), environ)


def forked(program: str, arguments: Sequence[str], log: int, environ: Mapping[str, str]) -> Forked:
    """Let `main` of a module run in a process that is forked, its standard output a pipe."""
    read_end, write_end = os.pipe()
    wanted = {"program": program, "arguments": list(arguments), "environ": dict(environ), "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(_address()))
        socket.send_fds(connection, [json.dumps(wanted).encode()], [write_end, log])
        os.close(write_end)
        pid = int(connection.recv(64))
    return Forked(pid, os.fdopen(read_end, encoding="utf-8"))


def _address() -> Path:
    """Return the socket of the process that forks; the first of all workers to ask starts it."""
    shared = Path(os.environ[SHARED])
    address = shared / "warm"
    with locked(shared / "warm.lock", exclusive=True):
        if not address.exists():
            with (shared / "warm.log").open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.warm_sandboxes", str(shared)],
                    cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            deadline = time.monotonic() + START_SECONDS
            while not address.exists():
                assert process.poll() is None and time.monotonic() < deadline, (shared / "warm.log").read_text()
                time.sleep(0.02)
    return address


def serve(shared: Path) -> None:
    """Fork supervisors until the folder is gone, or the process that made it."""
    _warm()
    main = int((shared / "main.pid").read_text())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forked here
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(shared / "warming"))
        listener.listen(16)
        listener.settimeout(1)
        (shared / "warming").rename(shared / "warm")
        while (shared / "warm").exists() and _lives(main):
            with suppress(TimeoutError):
                _answer(listener, listener.accept()[0])


def _answer(listener: socket.socket, connection: socket.socket) -> None:
    with connection:
        message, (output, log), _, _ = socket.recv_fds(connection, 1 << 20, 2)
        wanted = json.loads(message)
        _read_life(wanted["arguments"])
        pid = os.fork()
        if not pid:
            listener.close()
            connection.close()
            become(wanted, os.open(os.devnull, os.O_RDONLY), output, log)
        os.close(output)
        os.close(log)
        connection.send(str(pid).encode())


def _warm() -> None:
    """Import what a supervisor imports; makes no thread and reads no time."""
    from opslib.sandbox import life, protocol, signing
    from opslib.sandbox.delivery import environments

    for module in ("supervisor", "clock", "gateway", "settings", "rds_state"):
        importlib.import_module(f"opslib.sandbox.{module}")
    for package in ("apis", "delivery", "insights", "life", "life.scenarios", "sinks"):
        where = importlib.import_module(f"opslib.sandbox.{package}")
        for module in pkgutil.iter_modules(where.__path__, f"{where.__name__}."):
            importlib.import_module(module.name)
    signing.known_names()
    for service in SERVICES:
        protocol.model_of(service)
    life.load = functools.cache(life.load)  # by its folder; what is forked has its own copy
    environments.launch = _function
    life.overlay = functools.cache(life.overlay)
    lay_over, laid = life.apply, dict[int, Any]()  # by the overlay, which is kept
    life.apply = lambda base, over: laid.get(id(over)) or laid.setdefault(id(over), lay_over(base, over))


def _function(environ: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        FUNCTION, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="backslashreplace", env={**environ, SHARED: os.environ[SHARED]}, cwd="/",
    )  # fmt: skip


def _read_life(arguments: Sequence[str]) -> None:
    """Read the base life, once somebody has built it, and lay the incident over it that is asked for."""
    from opslib.sandbox import base_life, life

    scenario = dict(pairwise(arguments)).get("--scenario", "")
    if base_life.is_built():
        read = life.load(base_life.location().life)
        if scenario.partition(":")[0] in life.SCENARIOS:
            with suppress(ValueError):  # the seed of a day that the supervisor will refuse
                life.apply(read, life.overlay(scenario, base_life.location().life))
    gc.freeze()  # or a collection over there would copy every page of it


def become(wanted: dict[str, Any], *streams: int) -> None:
    """Be the program that was asked for on these standard streams, in a session of its own, and end with it."""
    code: Any = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for target, source in enumerate([fcntl.fcntl(stream, fcntl.F_DUPFD, 10) for stream in streams]):
            os.dup2(source, target)
        os.closerange(3, 1024)
        os.chdir(wanted["folder"])
        os.environ.clear()
        os.environ.update(wanted["environ"])
        time.tzset()
        random.seed()
        sys.argv[:] = [wanted["program"].removesuffix(".cli"), *wanted["arguments"]]
        sys.modules["__main__"].__package__ = None  # or click would call the program `python -m tests`
        code = importlib.import_module(wanted["program"]).main() or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
