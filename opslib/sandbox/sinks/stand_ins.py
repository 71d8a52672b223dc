"""Both stand-ins behind one door: /_sinks/slack and /_sinks/pagerduty of the gateway, which fails for them when told."""

import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from opslib.sandbox.protocol import Call, Request, Response
from opslib.sandbox.sinks import pagerduty, slack

PREFIX = "/_sinks/"
SINKS = ("slack", "pagerduty")
HOOK_SECRET = "sandbox0webhook0of0opslib"
ROUTING_KEY = "sandbox0pagerduty0routing0key032"  # 32 characters, as PagerDuty's
READ_KEY = "sandbox0read0key0of0"  # of PagerDuty's REST API
WORDS = {  # what each says with a status
    "slack": {429: "rate_limited", 403: "action_prohibited", 404: "no_service", 410: "channel_is_archived", 400: "invalid_payload"},
    "pagerduty": {429: "throttle exceeded", 400: "invalid event"},
}  # fmt: skip


def secrets(port: str) -> dict[str, str]:
    """Return by name the secrets that lead the notifiers here."""
    hook = f"http://127.0.0.1:{port}{PREFIX}slack{slack.HOOK}{HOOK_SECRET}"
    return {"ops/slack": hook, "ops/pagerduty": ROUTING_KEY, "ops/pagerduty-read": READ_KEY}


class StandIns:
    """What came, what was answered, and what PagerDuty made of it; kept in a file when there is one."""

    def __init__(self, now: Callable[[], datetime], file: Path | None = None) -> None:
        self._now, self._file = now, file
        self._lock = threading.Lock()
        self.messages: list[dict[str, Any]] = []
        self.service = pagerduty.Service()

    def call(self, request: Request) -> Call:
        """Return a request as a call, by which faults and records know it: slack:Webhook, pagerduty:Enqueue, pagerduty:Rest."""
        sink = request.path.removeprefix(PREFIX).partition("/")[0]
        kind = "Webhook" if sink == "slack" else "Enqueue" if request.method == "POST" else "Rest"
        return Call(sink, kind, "sink", "")

    def answer(self, request: Request) -> Response:
        """Take a message or refuse it, as the service would."""
        sink, _, rest = request.path.removeprefix(PREFIX).partition("/")
        if sink == "pagerduty" and request.method in ("GET", "PUT"):
            return self._rest(f"/{rest}", request)
        if sink not in SINKS or request.method != "POST":
            return _said(404, "there is no such sink")
        with self._lock:
            answer = self._slack(f"/{rest}", request) if sink == "slack" else self._pagerduty(f"/{rest}", request)
        self._keep(sink, f"/{rest}", request, answer)
        return answer

    def failed(self, request: Request, status: int, retry_after: float | None) -> Response:
        """Answer with a status that was asked for, and keep what came all the same."""
        sink, _, rest = request.path.removeprefix(PREFIX).partition("/")
        word = WORDS.get(sink, {}).get(status, "an error on purpose")
        answer = _said(status, word) if sink == "slack" else _json(status, {"status": word, "message": word})
        if retry_after is not None:
            answer.headers.append(("retry-after", f"{retry_after:g}"))
        self._keep(sink, f"/{rest}", request, answer)
        return answer

    def lost(self, request: Request, how: str) -> None:
        """Keep what came and got no answer."""
        sink, _, rest = request.path.removeprefix(PREFIX).partition("/")
        self._keep(sink, f"/{rest}", request, Response(0, [], how.encode()))

    def clear(self) -> int:
        """Forget all messages and incidents, and return how many messages there were."""
        with self._lock:
            count = len(self.messages)
            self.messages, self.service = [], pagerduty.Service()
            if self._file:
                self._file.unlink(missing_ok=True)
        return count

    def _slack(self, path: str, request: Request) -> Response:
        if path != f"{slack.HOOK}{HOOK_SECRET}":
            return _said(403, "invalid_token") if path.startswith(slack.HOOK) else _said(404, "no_service")
        refused = slack.refusal(_body(request))
        return _said(*refused) if refused else _said(200, "ok")

    def _pagerduty(self, path: str, request: Request) -> Response:
        if path not in (pagerduty.EVENTS, pagerduty.CHANGES):
            return _json(404, {"status": "not found"})
        if len(request.content) > pagerduty.BYTES:
            return _json(413, {"status": "invalid event", "message": "Event is too large"})
        body = _body(request)
        wrong = pagerduty.mistakes(path, body, ROUTING_KEY)
        if wrong:
            return _json(400, {"status": "invalid event", "message": "Event object is invalid", "errors": wrong})
        made = f"{len(self.messages):032x}"
        key = self.service.take(path, body, f"{self._now():%Y-%m-%dT%H:%M:%SZ}", made)
        return _json(202, {"status": "success", "message": "Event processed", **({"dedup_key": key} if key else {})})

    def _rest(self, path: str, request: Request) -> Response:
        if request.headers.get("authorization") != f"Token token={READ_KEY}":
            return _json(401, {"error": {"message": "Account Unauthorized", "code": 2006}})
        with self._lock:
            found = self.service.rest(path, _body(request) if request.method == "PUT" else None)
        return _json(404, {"error": {"message": "Not Found", "code": 2100}}) if found is None else _json(200, found)

    def _keep(self, sink: str, path: str, request: Request, answer: Response) -> None:
        body = _body(request)
        kept = {
            "at": f"{self._now():%Y-%m-%dT%H:%M:%SZ}", "sink": sink, "path": path.replace(HOOK_SECRET, "…"),
            "status": answer.status, "answer": answer.body.decode(), "body": body,
        }  # fmt: skip
        with self._lock:
            self.messages.append(kept)
            if self._file:
                with self._file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(kept, ensure_ascii=True) + "\n")


def _body(request: Request) -> Any:
    try:
        return json.loads(request.content)
    except ValueError:
        return None


def _said(status: int, word: str) -> Response:
    return Response(status, [("content-type", "text/html")], word.encode())


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(status, [("content-type", "application/json")], json.dumps(body).encode())
