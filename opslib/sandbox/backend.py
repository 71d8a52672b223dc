"""ministack behind us: it answers what we do not, and its ways of saying "unknown" become our one way."""

import importlib
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from opslib.sandbox.protocol import Call, Request, Response
from opslib.sandbox.signing import known_names
from opslib.sandbox.state_files import GLOBAL

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_UNKNOWN = re.compile(
    rb"Unknown (?:[\w-]+ ){0,2}(?:action|operation|method|target|path|endpoint)\b"
    rb"|Unsupported (?:service|operation|MicroVM|AgentCore)"
    rb"|[Oo]peration '[^']*' (?:is )?not implemented|operation not implemented"
    rb"|The (?:requested )?action .{0,80}is not valid for this web service"
    rb"|\b(?:InvalidAction|UnknownOperationException)\b"
)
# A service that ministack's router does not know may end up at its S3, which takes the path for a bucket.
_STRAYED_TO_S3 = re.compile(rb"<Code>(?:NoSuchBucket|NoSuchKey|MethodNotAllowed|InvalidBucketName)</Code>")
_ROUTER_NAMES = "_KNOWN_AWS_SERVICE_NAMES"
_S3_FAMILY = {"s3", "s3control", "s3outposts"}


def prepare_environment(port: int, region: str = "ap-northeast-1", account: str = "000000000000") -> None:
    """Tell ministack, before it is imported, where it is and what to leave alone."""
    wanted = {
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": region,
        "MINISTACK_ACCOUNT_ID": account,
        "IOT_MTLS_ENABLED": "0",  # these two listen on fixed ports: sandboxes must stand side by side
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        # A database or cache of ours never starts a container, whatever runs on this machine.
        "DOCKER_HOST": f"unix://{Path(tempfile.gettempdir()) / 'opslib-sandbox-uses-no-docker.sock'}",
    }
    os.environ["GATEWAY_PORT"] = str(port)
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def load_ministack() -> App:
    """Import ministack's ASGI app; `prepare_environment` and the clock come first."""
    # Its router would read all models of botocore, for three seconds, when it first meets a service it does not know.
    router = importlib.import_module("ministack.core.router")
    if not hasattr(router, _ROUTER_NAMES):
        raise RuntimeError(f"this ministack has no {_ROUTER_NAMES}; the sandbox is made for 1.5.33")
    setattr(router, _ROUTER_NAMES, known_names())
    app: App = importlib.import_module("ministack.app").app
    return app


async def ask(app: App, scope: Message, request: Request, receive: Receive) -> Response:
    """Pass a request on and return the whole answer."""
    sent = False
    status, headers, body = 500, [], bytearray()

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def collect(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    await app(scope, replay, collect)
    return Response(status, headers, bytes(body))


async def tell(app: App, region: str, service: str, target: str, body: bytes) -> None:
    """Send ministack a JSON call of our own making; it fails loudly, as only our mistake can make it fail."""
    credential = f"AWS4-HMAC-SHA256 Credential=sandbox/20261105/{region}/{service}/aws4_request"
    headers = {
        "host": "127.0.0.1",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": target,
        "authorization": f"{credential}, SignedHeaders=host, Signature=0",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": raw}
    answer = await ask(app, {**scope, "client": ("127.0.0.1", 0)}, Request("POST", "/", "", headers, body), nobody)
    if answer.status != 200:
        raise RuntimeError(f"ministack refused {target}: {answer.status} {answer.body[:200]!r}")


async def tell_form(app: App, region: str, service: str, body: bytes, *, fails: bool = False) -> str:
    """Send ministack a call in the query protocol and return its XML; it fails loudly unless it may fail."""
    credential = f"AWS4-HMAC-SHA256 Credential=sandbox/20261105/{region}/{service}/aws4_request"
    headers = {
        "host": "127.0.0.1",
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "authorization": f"{credential}, SignedHeaders=host, Signature=0",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": raw}
    answer = await ask(app, {**scope, "client": ("127.0.0.1", 0)}, Request("POST", "/", "", headers, body), nobody)
    if answer.status != 200 and not fails:
        raise RuntimeError(f"ministack refused {body[:120]!r}: {answer.status} {answer.body[:200]!r}")
    return answer.body.decode()


async def make_bucket(app: App, region: str, name: str, *, locked: bool) -> None:
    """Make a bucket of the shop; `locked` is S3's Object Lock, which must be there from the beginning."""
    credential = f"AWS4-HMAC-SHA256 Credential=sandbox/20261105/{region}/s3/aws4_request"
    headers = {"host": "127.0.0.1", "authorization": f"{credential}, SignedHeaders=host, Signature=0"}
    headers |= {"x-amz-bucket-object-lock-enabled": "true"} if locked else {}
    place = f'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>'
    place = "" if region == GLOBAL else place  # whose buckets name no place
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    path = f"/{name}"
    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw,
    }
    request = Request("PUT", path, "", headers, place.encode())
    answer = await ask(app, {**scope, "client": ("127.0.0.1", 0)}, request, nobody)
    if answer.status != 200:
        raise RuntimeError(f"ministack made no bucket {name}: {answer.status} {answer.body[:200]!r}")


async def nobody() -> Message:
    """Receive from no client: it is gone."""
    return {"type": "http.disconnect"}


def does_not_know(call: Call, answer: Response) -> bool:
    """Say whether an answer of ministack means that it does not model the operation."""
    if answer.status < 400:
        return False
    if _UNKNOWN.search(answer.body):
        return True
    return call.service not in _S3_FAMILY and bool(_STRAYED_TO_S3.search(answer.body))
