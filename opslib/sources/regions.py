"""Several calls at once, of which one that hangs takes only itself along: a region may be shut off while another answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from opslib.errors import OpsError, SourceError

Key = TypeVar("Key")
Answer = TypeVar("Answer")
CALLS_AT_ONCE = 8
LATE_SECONDS = 9.0  # below the deadline of a source while somebody waits


def at_once(work: Mapping[Key, Callable[[], Answer]]) -> dict[Key, Answer | OpsError]:
    """Return what each call answered, or the error that it raised.

    Once one has answered the others get nine seconds from the start; as long as none has, all are waited for.
    """
    pool = ThreadPoolExecutor(max_workers=CALLS_AT_ONCE)
    try:
        futures = {key: pool.submit(call) for key, call in work.items()}
        done, late = wait(futures.values(), timeout=LATE_SECONDS)
        while late and all(future.exception() for future in done):
            more, late = wait(late, return_when=FIRST_COMPLETED)
            done |= more
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return {key: _outcome(future, future in late) for key, future in futures.items()}


def _outcome(future: Future[Any], late: bool) -> Any:
    if late:
        fix = "check network and endpoints of that region"
        return SourceError(f"no answer in {LATE_SECONDS:g} s", why="another call answered meanwhile", fix=fix)
    error = future.exception()
    if error is None or isinstance(error, OpsError):
        return error or future.result()
    why = f"{type(error).__name__}: {error}"
    return SourceError("a call broke unexpectedly", why=why, fix="tell the authors of opslib")
