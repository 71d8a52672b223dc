"""The sandbox's own endpoints under /_sandbox/, which are no part of AWS."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from opslib.sandbox.frontend_builds import Builds
from opslib.sandbox.protocol import Request, Response

if TYPE_CHECKING:
    from opslib.sandbox.gateway import Gateway

Body = dict[str, Any]


class Admin:
    """Status, time, faults, calls, settings and loaded logs."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._routes: dict[tuple[str, str], Callable[[Request], Body | Response]] = {
            ("GET", "status"): self._status,
            ("POST", "advance"): self._advance,
            ("GET", "faults"): lambda request: {"faults": gateway.faults.all()},
            ("POST", "faults"): lambda request: gateway.faults.add(_json(request)),
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "calls"): lambda request: gateway.recording.calls(),
            ("DELETE", "calls"): lambda request: {"removed": gateway.recording.clear()},
            ("GET", "settings"): lambda request: gateway.settings.update({}),
            ("POST", "settings"): lambda request: gateway.settings.update(_json(request)),
            ("GET", "deliveries"): lambda request: {"pending": gateway.agenda.pending()},
            ("GET", "messages"): lambda request: {"messages": gateway.sinks.messages, **gateway.sinks.service.told()},
            ("DELETE", "messages"): lambda request: {"removed": gateway.sinks.clear()},
            ("POST", "load-logs"): self._load_logs,
            ("GET", "build-log"): self._build_log,
            ("POST", "outcomes"): self._plan_outcome,
            ("DELETE", "outcomes"): lambda request: {"removed": _emptied(gateway.services.home.state.outcomes)},
        }

    def answer(self, request: Request) -> Response:
        """Answer one request; what is wrong with it is said in `error`."""
        route = self._routes.get((request.method, request.path.removeprefix("/_sandbox/").strip("/")))
        if route is None:
            return _response(404, {"error": f"no such endpoint: {request.method} {request.path}"})
        try:
            body = route(request)
            return body if isinstance(body, Response) else _response(200, body)
        except ValueError as error:
            return _response(400, {"error": str(error)})

    def _status(self, request: Request) -> Body:
        gateway = self._gateway
        return {
            "ready": True,
            "clock": "frozen" if gateway.clock.frozen else "running",
            "now": _zulu(gateway),
            "calls": gateway.recording.total,
            "not_modelled": gateway.recording.not_modelled,
            "failed_queries": gateway.services.home.queries.failures,
            "faults": gateway.faults.all(),
            "settings": gateway.settings.update({}),
            "log_groups": gateway.services.home.logs.counts(),
            "metrics": gateway.services.home.metrics.count(),
        }

    def _advance(self, request: Request) -> Body:
        seconds = _json(request).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError(f"seconds must be a number, not {seconds!r}")
        self._gateway.agenda.advance(seconds)
        return {"now": _zulu(self._gateway)}

    def _remove_faults(self, request: Request) -> Body:
        asked = parse_qs(request.query).get("id")
        return {"removed": self._gateway.faults.remove(int(asked[0]) if asked else None)}

    def _plan_outcome(self, request: Request) -> Body:
        planned, outcomes = _json(request), self._gateway.services.home.state.outcomes
        if not planned:
            raise ValueError('say what is to happen to what, such as {"service": "api", "deployment": "stuck"}')
        outcomes.append(planned)
        return {"outcomes": outcomes}

    def _load_logs(self, request: Request) -> Body:
        events = self._gateway.services.home.logs.load_lines(request.body.splitlines())
        return {"events": events, "total": sum(events.values())}

    def _build_log(self, request: Request) -> Response:
        asked = {name: values[0] for name, values in parse_qs(request.query).items()}
        for job in self._gateway.services.home.state.part(Builds).jobs:
            if str(job.id) == asked.get("job"):
                return Response(
                    200, [("content-type", "text/plain; charset=utf-8")], job.log(asked.get("step", "BUILD")).encode()
                )
        raise ValueError(f"no such job: {asked.get('job')}")


def _emptied(planned: list[Body]) -> int:
    count = len(planned)
    planned.clear()
    return count


def _zulu(gateway: "Gateway") -> str:
    return gateway.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(request: Request) -> Body:
    try:
        body = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _response(status: int, body: Body) -> Response:
    return Response(status, [("content-type", "application/json")], orjson.dumps(body))
