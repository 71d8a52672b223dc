"""An execution environment of a Python function: a process of its own, told what to do on stdin, a JSON object a line.

First {"zip" (base64), "handler", "now", "ticks"}, answered when the function is loaded; then an invocation and an answer
a line. What the function prints goes to standard error, and a line of its own ends it. Standard library alone, but for
the sandbox's clock. Where that stands still, a function that sleeps takes no real time.
"""

import base64
import importlib
import io
import json
import sys
import tempfile
import time
import traceback
import zipfile
from types import SimpleNamespace
from typing import Any

END = "\x1eend of invocation\x1e"


class Naps:
    """What `time.sleep` and `time.monotonic` are where the sandbox's clock stands: a nap is over at once, and has taken its time.

    One that goes beyond the function's end is slept: the timeout must strike.
    """

    def __init__(self) -> None:
        self._sleep, self._monotonic = time.sleep, time.monotonic
        self._taken, self.end = 0.0, float("inf")
        self.traveller: Any = None
        time.sleep, time.monotonic = self.sleep, self.monotonic

    def monotonic(self) -> float:
        return self._monotonic() + self._taken

    def sleep(self, seconds: float) -> None:
        if self.monotonic() + seconds > self.end:
            self._sleep(seconds)
            return
        self._taken += seconds
        self.traveller.shift(seconds)


def main() -> None:
    """Load the function, then run what comes until nothing comes any more."""
    answers, sys.stdout = sys.stdout, sys.stderr
    told = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory(prefix="opslib-lambda-") as folder:
        zipfile.ZipFile(io.BytesIO(base64.b64decode(told["zip"]))).extractall(folder)
        sys.path.insert(0, folder)
        travel, naps = _travel(told, None), None if told["ticks"] else Naps()
        try:
            function, ready = _loaded(told["handler"]), {}
        except Exception as error:
            function, ready = None, {"error": {**_described(error), "errorType": "Runtime.ImportModuleError"}}
        _answered(answers, ready)
        for line in sys.stdin:
            asked = json.loads(line)
            travel = _travel(asked, travel)
            if naps:
                naps.traveller, naps.end = travel[1], naps.monotonic() + asked["timeout"]
            try:
                answer = {"result": function(asked["event"], _context(asked))}
                json.dumps(answer)
            except Exception as error:
                answer = {"error": _described(error)}
                print(f"[ERROR] {answer['error']['errorType']}: {error}\n{''.join(answer['error']['stackTrace'])}")
            print(END, flush=True)
            _answered(answers, answer)


def _answered(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _loaded(handler: str) -> Any:
    module, _, name = handler.rpartition(".")
    return getattr(importlib.import_module(module.replace("/", ".")), name)


def _travel(asked: dict[str, Any], before: Any) -> Any:
    """Set this process's time to the sandbox's; `time.monotonic` stays real."""
    sys.modules.setdefault("pytest", None)  # type: ignore[arg-type]  # it would be looked for, and read for nothing
    import time_machine

    if before is not None:
        before[0].stop()
    travel = time_machine.travel(asked["now"], tick=asked["ticks"])
    return travel, travel.start()


def _context(asked: dict[str, Any]) -> SimpleNamespace:
    end = time.monotonic() + asked["timeout"]
    left = lambda: max(0, int((end - time.monotonic()) * 1000))  # noqa: E731
    return SimpleNamespace(**asked["context"], get_remaining_time_in_millis=left, identity=None, client_context=None)


def _described(error: Exception) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


if __name__ == "__main__":
    main()
