"""The gateway's own endpoints, which are not AWS."""

import json
import urllib.error
import urllib.request
from typing import Any

from opslib.sandbox.errors import SandboxError

SECONDS = 60.0
ADVANCE_SECONDS = 600.0  # functions that hang until their budget is over
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through the proxy of the environment


def get(endpoint: str, name: str) -> dict[str, Any]:
    """Read one of the endpoints."""
    return _ask(endpoint, name, "GET", None)


def post(endpoint: str, name: str, body: dict[str, Any] | bytes) -> dict[str, Any]:
    """Send an object, or bytes as they are."""
    return _ask(endpoint, name, "POST", body if isinstance(body, bytes) else json.dumps(body).encode())


def delete(endpoint: str, name: str) -> dict[str, Any]:
    """Empty one of the collections."""
    return _ask(endpoint, name, "DELETE", None)


def _ask(endpoint: str, name: str, method: str, body: bytes | None) -> dict[str, Any]:
    request = urllib.request.Request(f"{endpoint}/_sandbox/{name}", data=body, method=method)
    request.add_header("content-type", "application/json")
    try:
        with _opener.open(request, timeout=ADVANCE_SECONDS if name == "advance" else SECONDS) as answer:
            content: dict[str, Any] = json.load(answer)
            return content
    except urllib.error.HTTPError as problem:
        raise SandboxError(_reason(problem)) from problem
    except OSError as problem:
        raise SandboxError(
            f"The sandbox at {endpoint} does not answer ({problem}). `opslib sandbox stop`, then start it again."
        ) from problem


def _reason(problem: urllib.error.HTTPError) -> str:
    text = problem.read().decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"The sandbox answered {problem.code}: {text[:300]}"
