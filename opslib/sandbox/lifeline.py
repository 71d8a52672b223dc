"""Nothing outlives the supervisor: children die with it, and a small shell process sweeps up after it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# Reads the pipe whose other end only the supervisor holds. A line means "stopped in order"; end of file, killed.
REAPER = r"""
trap '' HUP INT TERM QUIT
read -r word && [ "$word" = done ] && exit 0
supervisor=$1 work=$2
shift 2
for file in $(find "$work" -name postmaster.pid 2>/dev/null); do
    pid=$(head -n 1 "$file")
    kill -QUIT "$pid" 2>/dev/null
    tries=0
    while [ -e "$file" ] && kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -KILL "$pid" 2>/dev/null
done
kill -KILL -"$supervisor" 2>/dev/null
rm -rf "$work" "$@"
"""
PR_SET_PDEATHSIG = 1


class Reaper:
    """Cleans up when this process dies by whatever signal.

    It kills the process group of the supervisor, so the supervisor must lead a session of its own. The descriptors in
    `holding` (locks) stay open in it: they are released only after the clean-up.
    """

    def __init__(self, work: Path, also: list[Path], holding: list[int]) -> None:
        if os.getpgrp() != os.getpid():
            raise RuntimeError("the supervisor must lead its own process group")
        read_end, self._write_end = os.pipe()
        arguments = [str(os.getpid()), str(work), *map(str, also)]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", REAPER, "opslib-reaper", *arguments],
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=holding,
            start_new_session=True,
            cwd="/",
        )
        os.close(read_end)

    def dismiss(self) -> None:
        """Say that everything was cleaned up in order."""
        os.write(self._write_end, b"done\n")
        os.close(self._write_end)
        self._process.wait()


def die_with_parent(with_signal: signal.Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` that ties a child to this thread's life, where the kernel can.

    The kernel forgets the tie when the user changes, hence only after that: `preexec_fn` runs last. The tie is to the
    thread that starts the child, so start it from one that lives as long as the process.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the tie held
            os._exit(1)

    return tie
