"""Call rates as AWS limits them: a bucket that fills in real time."""

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """So many calls a second on average, and as many at once; `rate` is asked each time, as it may be changed."""

    def __init__(self, rate: Callable[[], float]) -> None:
        self._rate = rate
        self._tokens = rate()
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one token; False when there is none."""
        with self._lock:
            now = time.monotonic()
            rate = self._rate()
            self._tokens = min(rate, self._tokens + (now - self._filled) * rate)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
