"""A gateway in a process of its own, because its clock is process-wide; with a tiny life made by hand."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.loaders import create_loader

_MODELS = create_loader()  # of services, each read once in a process
NOW_MS = 1_793_846_400_000  # 2026-11-05T02:40:00Z
HOUR_MS = 3_600_000
ORDERS = 500
DEFAULTS = {
    "latency_ms": 0,
    "scan_seconds_constant": 0,
    "scan_seconds_per_group_hour": 0,
    "query_calls_per_second": 10,
}


@dataclass
class Gateway:
    """A running gateway as a test sees it."""

    endpoint: str
    process: Any
    clients: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def client(self, service: str, region: str = "ap-northeast-1", attempts: int = 1, **config: Any) -> Any:
        """Return a real boto3 client that does not retry unless told to."""
        key = (service, region, attempts, *sorted(config.items()))
        if key not in self.clients:
            core = botocore.session.Session()
            core.register_component("data_loader", _MODELS)
            session = boto3.session.Session("sandbox", "sandbox", region_name=region, botocore_session=core)
            settings = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **config)
            self.clients[key] = session.client(service, endpoint_url=self.endpoint, config=settings)
        return self.clients[key]

    def admin(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Call an endpoint that is no part of AWS."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_sandbox/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def load(self, group: str, events: list[tuple[int, str]]) -> None:
        """Load events with their own times into a group."""
        lines = [{"group": group, "stream": "s", "timestamp_ms": at, "message": message} for at, message in events]
        self.admin("POST", "load-logs", "\n".join(json.dumps(line) for line in lines).encode())


@contextmanager
def running(clock: str = "frozen", *, fresh: bool = False) -> Iterator[Gateway]:
    """Run a gateway with the tiny life until the block ends; `fresh` in a process that is started, not forked."""
    process: Any
    if fresh:
        process = subprocess.Popen([sys.executable, __file__, clock], stdout=subprocess.PIPE, text=True)
    else:
        from tests.warm_sandboxes import forked  # this file is also a program, which finds no tests

        process = forked("tests.sandbox.gateway_process", [clock], 2, os.environ)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the gateway did not start"
        yield Gateway(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@pytest.fixture(scope="module")
def shared_gateway() -> Iterator[Gateway]:
    """One gateway for the tests of a module."""
    with running() as gateway:
        yield gateway


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Iterator[Gateway]:
    """The module's gateway without what an earlier test asked of it."""
    yield shared_gateway
    shared_gateway.admin("DELETE", "faults")
    shared_gateway.admin("POST", "settings", DEFAULTS)


def tiny_life() -> SimpleNamespace:
    """Return two log groups, no metrics: a request every second for the last 500 s in /tiny/api."""
    times = array("q", (NOW_MS - (ORDERS - number) * 1000 for number in range(ORDERS)))
    lines = [
        json.dumps(
            {"level": "ERROR" if n % 50 == 0 else "INFO", "n": n, "user": {"id": f"u-{n % 7}"}, "tags": ["a", n]}
        )
        for n in range(ORDERS)
    ]
    api = SimpleNamespace(
        created=NOW_MS - 26 * HOUR_MS,
        retention_days=30,
        streams=["api/1", "api/2"],
        timestamps=times,
        messages=lines,
        stream_of=array("H", (n % 2 for n in range(ORDERS))),
        message_bytes=sum(map(len, lines)),
    )
    quiet = SimpleNamespace(
        created=NOW_MS - HOUR_MS,
        retention_days=None,
        streams=["s"],
        timestamps=array("q"),
        messages=[],
        stream_of=array("H"),
        message_bytes=0,
    )
    return SimpleNamespace(logs={"/tiny/api": api, "/tiny/quiet": quiet}, metrics={}, events=tiny_events())


def tiny_events() -> dict[str, list[dict[str, Any]]]:
    """Return the shop's deploys and scaling, and 60 builds of main, one a day; the last one broke on its dependencies."""
    from opslib.sandbox.life import deploys

    builds = []
    for number in range(1, 61):
        started = datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(days=60 - number, hours=1)
        build = {
            "branch": "main",
            "id": number,
            "status": "SUCCEED",
            "commit": f"{number:040x}",
            "message": f"change {number}",
        }
        builds.append(
            build | {"started": started.isoformat(), "finished": (started + timedelta(minutes=4)).isoformat()}
        )
    builds[-1] |= {"status": "FAILED", "cause": ["npm error code ERESOLVE"]}
    lived = {kind: deploys.events()[kind] for kind in ("deploys", "scaling")}
    return lived | {"amplify_builds": [*builds, {**builds[0], "id": 61, "branch": "feature/gift"}]}


def main() -> None:
    """Serve until terminated; the port is the only line of output."""
    [clock] = sys.argv[1:]
    from opslib.sandbox.clock import Clock

    now = Clock.start(frozen=clock == "frozen")
    from opslib.sandbox.gateway import make_app, serve
    from opslib.sandbox.settings import Settings

    app = make_app(life=tiny_life(), overlay=None, clock=now, settings=Settings())
    asyncio.run(serve(app, 0, on_ready=lambda port: print(port, flush=True)))


if __name__ == "__main__":
    main()
