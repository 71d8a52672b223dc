"""The command line, or a Lambda function of the sandbox, in a process forked from one which has imported what they import.

An `opslib` that is started imports for a second, and the kernel that it starts for three; the suite starts two hundred,
and fifty functions, which import boto3: `[*OPSLIB, "run", ...]`. This file is run as a small program, which has standard
streams, folder, environment, exit code and signals, as a command has; behind it the very `opslib.cli.main`, or the
functions' `main`, runs on those streams, and dies if it is killed. Kernels are forked
as those of many reports at once are. tests/test_end_to_end and tests/runner/test_headless start theirs as users do.
"""

import fcntl
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_CLIENT = (sys.executable, "-I", "-S", str(Path(__file__)))
OPSLIB = (*_CLIENT, "opslib.cli")
FUNCTION = (*_CLIENT, "opslib.sandbox.delivery.worker")
SHARED = "TESTS_SHARED_SANDBOXES"  # the folder of what all workers share; `main.pid` in it says who made it
START_SECONDS = 60.0


def client(program: str, arguments: list[str]) -> None:
    """Let the program run on this process's streams, pass signals on, and end as it ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(_address(Path(os.environ[SHARED]))))
        wanted = {
            "program": program,
            "arguments": arguments,
            "environ": dict(os.environ),
            "folder": str(Path.cwd()),
        }
        socket.send_fds(connection, [json.dumps(wanted).encode()], [0, 1, 2])
        pid = int(connection.recv(64))

        def pass_on(number: int, _: object) -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, pass_on)
        code = int(connection.recv(64))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _address(shared: Path) -> Path:
    """Return the socket of the process that forks; the first of all to ask starts it."""
    address = shared / "commands"
    with (shared / "commands.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            with (shared / "commands.log").open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.warm_commands", "--serve", str(shared)],
                    cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            deadline = time.monotonic() + START_SECONDS
            while not address.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit((shared / "commands.log").read_text())
                time.sleep(0.02)
    return address


def serve(shared: Path) -> None:
    """Fork until the folder is gone, or the process that made it."""
    import boto3
    import time_machine
    from botocore import loaders

    from opslib import cli
    from opslib.runner import execution, forking
    from opslib.sandbox.delivery import worker

    def engine(self: execution.Execution) -> AbstractContextManager[dict[str, Any]]:
        self.forked = self.environ is None
        return original(self)

    assert cli.main and worker.main and time_machine.travel
    read = functools.cache(functools.partial(loaders.JSONFileLoader.load_file, loaders.JSONFileLoader()))
    loaders.JSONFileLoader.load_file = lambda self, path: read(path)  # type: ignore[method-assign]
    for service in ("cloudwatch", "secretsmanager", "sns", "sqs"):
        boto3.session.Session("sandbox", "sandbox", region_name="us-east-1").client(service)
    forking.warm()
    original = execution.Execution._engine
    execution.Execution._engine = engine  # type: ignore[method-assign]
    main = int((shared / "main.pid").read_text())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers here
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(shared / "commands.soon"))
        listener.listen(16)
        listener.settimeout(1)
        (shared / "commands.soon").rename(shared / "commands")
        while (shared / "commands").exists() and Path(f"/proc/{main}").exists():
            with suppress(TimeoutError):
                connection = listener.accept()[0]
                if not os.fork():
                    listener.close()
                    _keep(connection)
                connection.close()


def _keep(connection: socket.socket) -> None:
    """Fork the command line, say its pid and later how it ended; kill it once nobody listens."""
    from tests.warm_sandboxes import become

    connection.settimeout(None)
    message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        connection.close()
        become(json.loads(message), *streams)
    for stream in streams:
        os.close(stream)
    with suppress(BrokenPipeError):
        connection.send(str(pid).encode())
    ended = os.pidfd_open(pid)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        connection.send(str(code).encode())
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    else:
        client(sys.argv[1], sys.argv[2:])
