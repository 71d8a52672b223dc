"""Several calls at once, of which one that hangs takes only itself along: a region may be shut off while another answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from opslib.errors import OpsError, SourceError

Key = TypeVar("Key")
Answer = TypeVar("Answer")
CALLS_AT_ONCE = 8
LATE_SECONDS = 9.0  # below the deadline of a source while somebody waits


def at_once(work: Mapping[Key, Callable[[], Answer]], *, needed: Collection[Key]) -> dict[Key, Answer | OpsError]:
    """Return what each call answered, or the error that it raised.

    Those that are needed are waited for; the others get as long as these take, and nine seconds at the least.
    """
    pool = ThreadPoolExecutor(max_workers=CALLS_AT_ONCE)
    try:
        futures = {key: pool.submit(call) for key, call in work.items()}
        end = time.monotonic() + LATE_SECONDS
        wait([futures[key] for key in needed])
        late = wait(futures.values(), timeout=max(end - time.monotonic(), 0)).not_done
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return {key: _outcome(future, future in late) for key, future in futures.items()}


def _outcome(future: Future[Any], late: bool) -> Any:
    if late:
        fix = "check network and endpoints of that region"
        return SourceError(f"no answer in {LATE_SECONDS:g} s", why="other calls were answered meanwhile", fix=fix)
    error = future.exception()
    if error is None or isinstance(error, OpsError):
        return error or future.result()
    why = f"{type(error).__name__}: {error}"
    return SourceError("a call broke unexpectedly", why=why, fix="tell the authors of opslib")
