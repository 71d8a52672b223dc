"""Python functions run: a process for each, kept for the next invocation, as AWS keeps execution environments.

An error of the function leaves its process; a timeout, an exit and new code or configuration end it.
"""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from opslib.sandbox.delivery.function_logs import FunctionLogs
from opslib.sandbox.delivery.ground import Ground, ministack, region_of
from opslib.sandbox.delivery.worker import END

INIT_SECONDS = 60.0  # AWS allows ten; a busy machine of ours may need more
EXITED = '{"error": {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited"}}'
WORKER = Path(__file__).with_name("worker.py")
RESERVED = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_LAMBDA_FUNCTION_NAME",
)


def launch(environ: dict[str, str]) -> "subprocess.Popen[str]":
    """Start the process of a function."""
    return subprocess.Popen(
        [sys.executable, "-I", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="backslashreplace", env=environ, cwd="/",
    )  # fmt: skip


class Environment:
    """One process of one function, as it was configured."""

    def __init__(self, config: dict[str, Any], code: bytes, now: float, ticks: bool) -> None:
        self._said: queue.Queue[str] = queue.Queue()
        self._answers: queue.Queue[str] = queue.Queue()
        self.process = launch(_variables(config))
        for stream, lines in ((self.process.stdout, self._answers), (self.process.stderr, self._said)):
            threading.Thread(target=_drain, args=(stream, lines), daemon=True).start()
        self._tell({"zip": base64.b64encode(code).decode(), "handler": config["Handler"], "now": now, "ticks": ticks})
        try:
            ready = self._answers.get(timeout=INIT_SECONDS)  # beside the function's timeout, as on AWS
        except queue.Empty:
            self.process.kill()
            ready = ""
        self.broken = json.loads(ready or EXITED).get("error")

    def invoke(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the answer and what was printed; an answer without `result` and with `ended` ends the environment."""
        if self.broken:
            self.end()
            return {"error": self.broken, "ended": True}, self._printed()
        try:
            self._tell(asked)
            answer = self._answers.get(timeout=asked["timeout"])
        except queue.Empty:
            self.end()
            words = f"Task timed out after {asked['timeout']:.2f} seconds"
            return {"error": {"errorType": "Sandbox.Timedout", "errorMessage": words}, "ended": True}, self._printed()
        except OSError:
            answer = ""
        if not answer:
            self.end()
            return {**json.loads(EXITED), "ended": True}, self._printed()
        told: dict[str, Any] = json.loads(answer)
        return told, self._printed()

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _tell(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def _printed(self) -> list[str]:
        lines: list[str] = []
        while (line := self._said.get()) and not line.endswith(f"{END}\n"):  # empty: the process is gone
            lines.append(line.rstrip("\n"))
        last = line.removesuffix(f"{END}\n")  # printed without the end of its line
        return [*lines, last] if last else lines


class Environments:
    """The environments of all functions."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._logs = ground, FunctionLogs(ground)
        self._idle: dict[tuple[str, str], list[Environment]] = {}
        self._lock = threading.Lock()

    def install(self) -> None:
        """Run the Python functions of ministack, however they are called."""
        functions = ministack("lambda_svc")
        functions._execute_function_warm = self._execute
        functions._emit_lambda_metrics = lambda *given, **more: None  # each invocation is measured here, once
        functions._emit_lambda_logs = self._logs.write
        execute = functions._execute_function

        def measured(record: dict[str, Any], event: Any) -> dict[str, Any]:
            config = record.get("config") or record
            if functions._function_config_scope_mismatch(config):
                return execute(record, event)  # type: ignore[no-any-return]  # comes again in the function's region
            begun = time.monotonic()
            result: dict[str, Any] = execute(record, event)
            self._measure(config, result, (time.monotonic() - begun) * 1000)
            return result

        functions._execute_function = measured

    def _execute(self, record: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        config = record.get("config") or record
        if not record.get("code_zip"):
            return {
                "error": True,
                "body": {"errorType": "Runtime.ImportModuleError", "errorMessage": "there is no code"},
            }
        key, timeout = (config["FunctionArn"], str(config["RevisionId"])), float(config.get("Timeout", 3))
        clock = self._ground.services.home.state.clock
        about = {
            "function_name": config["FunctionName"], "function_version": "$LATEST", "invoked_function_arn": config["FunctionArn"],
            "memory_limit_in_mb": config.get("MemorySize", 128), "aws_request_id": request_id,
            "log_group_name": (config.get("LoggingConfig") or {}).get("LogGroup", ""), "log_stream_name": "",
        }  # fmt: skip
        asked = {
            "event": event,
            "now": self._ground.now(),
            "ticks": not clock.frozen,
            "timeout": timeout,
            "context": about,
        }
        environment = self._taken(key, config, record["code_zip"])
        answer, printed = environment.invoke(asked)
        if not answer.get("ended"):
            with self._lock:
                self._idle.setdefault(key, []).append(environment)
        said = {"log": "\n".join(printed)}
        return {"body": answer["result"], **said} if "result" in answer else {"body": answer["error"], "error": True, **said}  # fmt: skip

    def _taken(self, key: tuple[str, str], config: dict[str, Any], code: bytes) -> Environment:
        with self._lock:
            for other in [one for one in self._idle if one[0] == key[0] and one != key]:
                for old in self._idle.pop(other):
                    old.end()
            idle = self._idle.get(key)
            if idle:
                return idle.pop()
        return Environment(config, code, self._ground.now(), not self._ground.services.home.state.clock.frozen)

    def _measure(self, config: dict[str, Any], result: dict[str, Any], ms: float) -> None:
        """Count an invocation; one that is throttled is none, and no error."""
        throttled = bool(result.get("throttle"))
        values = {"Throttles": float(throttled)}
        if not throttled:
            values |= {"Invocations": 1.0, "Errors": float(bool(result.get("error")))}
        place, arn = {"FunctionName": config["FunctionName"]}, config["FunctionArn"]
        self._ground.count(arn, "AWS/Lambda", place, **values)
        if not throttled:
            self._ground.measure(region_of(arn), "AWS/Lambda", "Duration", place, ms, "Milliseconds")


def _drain(stream: Any, lines: "queue.Queue[str]") -> None:
    for line in stream:
        lines.put(line)
    lines.put("")  # it is over


def _variables(config: dict[str, Any]) -> dict[str, str]:
    """Return a process's environment: AWS's variables, the sandbox's places, the function's own; nothing of ours."""
    region, gateway = region_of(config["FunctionArn"]), f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}"
    fixed = {
        "AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
    }  # fmt: skip
    places = {
        "AWS_ENDPOINT_URL": gateway,
        "PAGERDUTY": f"{gateway}/_sinks/pagerduty",
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    own = (config.get("Environment") or {}).get("Variables") or {}
    return places | {name: str(value) for name, value in own.items() if name not in RESERVED} | fixed
