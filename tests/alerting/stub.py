"""A sink over real sockets that answers as it is told, and Secrets Manager beside it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ARN = "arn:aws:secretsmanager:ap-northeast-1:000000000000:secret:ops/sink-a1b2c3"


class Stub:
    """What the sinks got, and how they answer: a list of plans, the last one for good.

    A plan is a status, (status, headers), "drop", "hang" or "noise".
    """

    def __init__(self) -> None:
        self.plans: dict[str, list[Any]] = {}
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.tries: list[str] = []
        self.secrets: list[str] = [""]
        self.reads = 0
        self.queued: list[dict[str, Any]] = []
        self.build: dict[str, float] = {}
        self.over = threading.Event()
        self.url = ""

    def next(self, sink: str) -> Any:
        plans = self.plans.get(sink, [200])
        return plans.pop(0) if len(plans) > 1 else plans[0]


class _Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if target := self.headers.get("X-Amz-Target"):
            self._aws(target, json.loads(body))
            return
        sink = "slack" if self.path.startswith("/hook") else "pagerduty"
        self.stub.tries.append(sink)
        plan = self.stub.next(sink)
        if plan == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif plan == "hang":
            self.stub.over.wait(20)
        elif plan == "noise":
            self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
        else:
            status, headers = plan if isinstance(plan, tuple) else (plan, {})
            if status < 300:
                self.stub.got.append((self.path, json.loads(body)))
            self._answer(status, b"ok", headers)

    def do_GET(self) -> None:
        if "/jobs/" in self.path:
            about = {
                "jobArn": "a",
                "jobId": "7",
                "commitId": "c",
                "commitMessage": "m",
                "commitTime": 1,
                "status": "SUCCEED",
                "jobType": "RELEASE",
            }
            known = {"job": {"summary": {**about, **self.stub.build}, "steps": []}}
            self._answer(200 if self.stub.build else 500, json.dumps(known).encode())
            return
        self._answer(200, b"the end of a redirect")

    def _aws(self, target: str, asked: dict[str, Any]) -> None:
        if target.endswith("SendMessage"):
            self.stub.queued.append(json.loads(asked["MessageBody"]))
            self._answer(200, json.dumps({"MessageId": "1", "MD5OfMessageBody": ""}).encode())
            return
        if target.endswith(
            "DescribeAlarms"
        ):  # whether a late one is still on: test_end_to_end_alerts asks a CloudWatch that knows
            self._answer(200, b"{}")
            return
        self.stub.reads += 1
        value = self.stub.secrets.pop(0) if len(self.stub.secrets) > 1 else self.stub.secrets[0]
        known = {"Parameter": {"Value": value}} if "GetParameter" in target else {"SecretString": value}
        self._answer(200, json.dumps(known).encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Stub]:
    """Serve sinks and secrets on a free port of this machine."""
    stub = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": stub}))
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stub
    finally:
        stub.over.set()
        server.shutdown()
        server.server_close()
