"""One AWS on 127.0.0.1: our operations first, then ministack, and for the rest a clear "not modelled"."""

import asyncio
import contextlib
import hashlib
import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import orjson
from hypercorn.asyncio import serve as hypercorn_serve
from moto.core.parse import RequestParserError

from opslib.sandbox import backend, stack_resources
from opslib.sandbox.admin import Admin
from opslib.sandbox.agenda import Agenda
from opslib.sandbox.alarm_watch import AlarmWatch
from opslib.sandbox.backend import Message, Receive, Send
from opslib.sandbox.clock import Clock
from opslib.sandbox.delivery import install
from opslib.sandbox.delivery.ground import Ground
from opslib.sandbox.dns import Dns
from opslib.sandbox.faults import Fault, Faults, error_for
from opslib.sandbox.frontend_builds import Builds
from opslib.sandbox.listener import Listener, config_for
from opslib.sandbox.metric_filters import MetricFilters
from opslib.sandbox.operations import Operation
from opslib.sandbox.protocol import Call, Request, Response, identify, parse, serialise
from opslib.sandbox.readers import EVERY, Connect, Readers
from opslib.sandbox.recording import CallRecord, Recording
from opslib.sandbox.service_errors import NotModelled, ServiceError
from opslib.sandbox.services import GLOBAL, HOME, Services
from opslib.sandbox.settings import Settings
from opslib.sandbox.shop_alarms import ShopAlarms
from opslib.sandbox.shop_stack import EXECUTED, ShopStack
from opslib.sandbox.sinks.stand_ins import PREFIX, StandIns, secrets
from opslib.sandbox.site import PREFIX as SITE
from opslib.sandbox.site import Site
from opslib.sandbox.state_files import BUCKETS, LOCKED, READ_SWITCH

logger = logging.getLogger(__name__)


class _Unanswered(Exception):
    """The client is left without an answer, on purpose or because it went."""


class Gateway:
    """The ASGI app."""

    def __init__(self, services: Services, clock: Clock, settings: Settings, messages: Path | None = None) -> None:
        self.clock = clock
        self.agenda = Agenda(clock)
        self.settings = settings
        self.faults = Faults()
        self.recording = Recording()
        self.services = services
        self.admin = Admin(self)
        self.hang_up: Callable[[tuple[str, int]], None] = lambda client: None
        self.sinks = StandIns(clock.now, messages)
        self.site = Site(lambda: services.home.state.part(Builds), clock.now)
        self.readers: Readers | None = None
        self.stack = ShopStack(clock, wanted=bool(services.home.logs.groups))
        self._ministack: backend.App | None = None
        self._request_number = 0
        self._secrets_wanted = {HOME, GLOBAL}

    @property
    def ministack(self) -> backend.App:
        """Return the app behind us, imported on first use: the port must be known before."""
        if self._ministack is None:
            self._ministack = backend.load_ministack()
        return self._ministack

    def follow_reads(self, places: Mapping[str, Connect]) -> None:
        """Let the application read where its switch and its DNS name say, on these databases."""
        home = self.services.home
        self.readers = Readers(places, lambda: self.services.region(GLOBAL).state.part(Dns), home.metrics)
        self.agenda.every(EVERY, self.readers.look)

    async def introduce(self) -> None:
        """Tell ministack of the log groups of the life, on which filters hang, and of the shop's alarms."""
        for name in self.services.home.logs.groups:
            body = orjson.dumps({"logGroupName": name})
            await backend.tell(self.ministack, HOME, "logs", "Logs_20140328.CreateLogGroup", body)
        if self.services.home.logs.groups:
            body = orjson.dumps({"Name": READ_SWITCH, "Value": "primary", "Type": "String"})
            await backend.tell(self.ministack, HOME, "ssm", "AmazonSSM.PutParameter", body)
        for name, region in BUCKETS.items() if self.services.home.logs.groups else ():
            await backend.make_bucket(self.ministack, region, name, locked=name in LOCKED)
        ShopAlarms(self.services).install(self.clock.now().timestamp())
        MetricFilters(self.services).install()
        install(Ground(self.agenda, self.services, self.faults))
        AlarmWatch(self.services).install(self.agenda)
        self.agenda.start()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection event."""
        if scope["type"] != "http":
            await self.ministack(scope, receive, send)
            return
        request = await _whole(scope, receive)
        if request is None:
            return
        if request.path.startswith("/_sandbox/"):
            await self._send(send, await asyncio.to_thread(self.admin.answer, request))
            return
        with contextlib.suppress(_Unanswered):
            door = (
                self.sinks if request.path.startswith(PREFIX) else self.site if request.path.startswith(SITE) else None
            )
            answering = (
                self._answer(scope, request, receive) if door is None else self._beside(door, scope, request, receive)
            )
            await self._send(send, await answering, head=request.method == "HEAD")

    async def _answer(self, scope: Message, request: Request, receive: Receive) -> Response:
        call = await asyncio.to_thread(identify, request)
        named = call or Call("unsigned", f"{request.method} {request.path}", "", "")
        started, began = self.clock.now().isoformat(), time.monotonic()
        fault = self.faults.pick(named)
        status, code = 0, ""
        try:
            answer, code = await self._with_fault(fault, call, scope, request, receive)
            status = answer.status
            return answer
        finally:
            seconds = round(time.monotonic() - began, 4)
            kind = fault.kind if fault else ""
            self.recording.add(CallRecord(named.service, named.operation, status, code, kind, started, seconds))

    async def _beside(self, door: StandIns | Site, scope: Message, request: Request, receive: Receive) -> Response:
        """Answer for Slack, PagerDuty or the shop's site, whose requests are no calls of AWS."""
        fault = self.faults.pick(door.call(request))
        if fault is None:
            return await asyncio.to_thread(door.answer, request)
        if fault.kind == "status":
            return door.failed(request, fault.status, fault.retry_after)
        if fault.kind == "latency":
            await asyncio.sleep(fault.ms / 1000)
            return await asyncio.to_thread(door.answer, request)
        if fault.kind == "answer-lost":
            await asyncio.to_thread(door.answer, request)
        else:
            door.lost(request, fault.kind)
        if fault.kind == "hang":
            await _until_gone(receive)
        self.hang_up(scope["client"])
        raise _Unanswered

    async def _with_fault(
        self, fault: Fault | None, call: Call | None, scope: Message, request: Request, receive: Receive
    ) -> tuple[Response, str]:
        delay = self.settings.latency_ms + (fault.ms if fault and fault.kind == "latency" else 0)
        if delay:
            await asyncio.sleep(delay / 1000)
        if fault and fault.kind in ("hang", "drop"):
            if fault.kind == "hang":
                await _until_gone(receive)
            self.hang_up(scope["client"])
            raise _Unanswered
        if fault and call and fault.kind != "latency":
            return self._error(call, error_for(fault.kind, call))
        return await self._served(call, scope, request, receive)

    async def _served(
        self, call: Call | None, scope: Message, request: Request, receive: Receive
    ) -> tuple[Response, str]:
        ours = self.services.find(call.service, call.operation, call.region) if call else None
        if call and ours and call.protocol != "smithy-rpc-v2-cbor":
            answered = await asyncio.to_thread(self._ours, call, ours, request)
            if ours.declaration.also_behind and answered[0].status == 200:
                await backend.ask(self.ministack, scope, request, receive)
            return answered
        if call and ours:
            return self._error(call, NotModelled(call.service, call.operation, "is not modelled over CBOR"))
        if call and (call.service == "cloudformation" or call.operation == "ListQueues"):  # it shows what a stack made
            stack_resources.install(self.services)  # not sooner: its import takes a second
            await self.stack.install(self.ministack, call.region)
        if call and call.service == "cloudformation":
            await self.stack.carry_out(self.ministack)
            if await self.stack.begins(self.ministack, call, scope, request):
                return Response(200, [("content-type", "text/xml")], EXECUTED), ""
        if call and call.service == "secretsmanager":
            await self._keep_secrets(call.region)
        answer = await backend.ask(self.ministack, scope, request, receive)
        if call and backend.does_not_know(call, answer):
            return self._error(call, NotModelled(call.service, call.operation))
        if self.readers and call and call.name == "ssm:PutParameter" and answer.status == 200:
            self.readers.told(request.content)
        return answer, ""

    async def _keep_secrets(self, region: str) -> None:
        """Make the sinks' secrets of a region when it is first asked for any, under the same ARNs whenever that is."""
        if region in self._secrets_wanted:
            self._secrets_wanted.discard(region)
            theirs: Any = importlib.import_module("ministack.services.secretsmanager")
            seeded, theirs.new_uuid = theirs.new_uuid, lambda: hashlib.md5(region.encode()).hexdigest()
            for name, value in secrets(os.environ["GATEWAY_PORT"]).items():
                body = orjson.dumps({"Name": name, "SecretString": value, "ClientRequestToken": name.ljust(32, "-")})
                await backend.tell(self.ministack, region, "secretsmanager", "secretsmanager.CreateSecret", body)
            theirs.new_uuid = seeded

    def _ours(self, call: Call, operation: Operation, request: Request) -> tuple[Response, str]:
        plain = operation.declaration.plain
        try:
            result = operation.handler(parse(call, request, plain=plain))
            return serialise(call, result, self._request_id(), plain=plain), ""
        except ServiceError as error:
            return self._error(call, error)
        except (RequestParserError, ValueError) as error:
            logger.exception("cannot read %s", call.name)
            return self._error(call, ServiceError("SerializationException", str(error)))
        except Exception as error:
            logger.exception("the sandbox failed on %s", call.name)
            return self._error(call, NotModelled(call.service, call.operation, f"failed in the sandbox: {error!r}"))

    def _error(self, call: Call, error: ServiceError) -> tuple[Response, str]:
        return serialise(call, error, self._request_id()), error.code

    def _request_id(self) -> str:
        # Not from uuid4: how often a client polls must not shift the seeded ids of what is created afterwards.
        self._request_number += 1
        return f"00000000-0000-4000-8000-{self._request_number:012x}"

    async def _send(self, send: Send, answer: Response, head: bool = False) -> None:
        headers = [(name, value) for name, value in answer.headers if name.lower() not in ("date", "content-length")]
        length = next((value for name, value in answer.headers if name.lower() == "content-length"), None)
        headers.append(("content-length", length if head and length else str(len(answer.body))))
        headers.append(("date", formatdate(self.clock.now().timestamp(), usegmt=True)))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if head else answer.body})


def make_app(
    *, life: Any, overlay: Any, clock: Clock, settings: Settings, messages: Path | None = None
) -> Gateway:  # fmt: skip
    """Make the gateway over a life and an incident, neither needed; what Slack and PagerDuty get is kept in `messages`."""
    return Gateway(Services.of(life, overlay, clock, settings), clock, settings, messages)


async def serve(
    app: Gateway, port: int, *, on_ready: Callable[[int], None] | None = None, stop: asyncio.Event | None = None
) -> None:
    """Answer on 127.0.0.1 until `stop`, or a signal; port 0 takes a free one."""
    with Listener(port) as listener:
        backend.prepare_environment(listener.port)
        app.hang_up = listener.hang_up
        await app.introduce()
        ready = asyncio.create_task(_when_listening(listener.port, on_ready))
        await hypercorn_serve(app, config_for(listener), shutdown_trigger=stop.wait if stop else None)
        ready.cancel()


async def _when_listening(port: int, on_ready: Callable[[int], None] | None) -> None:
    while on_ready:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            on_ready(port)
            return
        await asyncio.sleep(0.01)


async def _whole(scope: Message, receive: Receive) -> Request | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body.extend(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    path = scope["raw_path"].decode("latin-1")  # as sent: a branch named feature/x is one label, feature%2Fx
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, bytes(body))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
