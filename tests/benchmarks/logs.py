"""Logs Insights against awswrangler in the same run: 150 ms a call, 10 calls a second, a scan that takes its time.

awswrangler runs in an environment of its own (uv run --isolated), on the same sandbox and the same rows. The floor is
the same query and the same pages fetched raw, one after another, by somebody who knows when the query will end.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opslib.sandbox.control import Sandbox

HOUR_MS = 3_600_000
VOLUME, GROUPS = "/volume/api", [f"/busy/{name}" for name in ("web", "api", "worker", "auth", "notifier", "batch")]
DAYS, ROUNDS = 7, 3
SLOW = {
    "latency_ms": 150,
    "query_calls_per_second": 10,
    "scan_seconds_constant": 0.5,
    "scan_seconds_per_group_hour": 0.02,
}
QUERY = "fields @timestamp, @message, @logStream | sort @timestamp asc"
IDS = {"recent": ("req-be9c4000001", 0.4), "18h": ("req-be9c4000018", 18.0), "miss": ("req-be9c4ffffff", 0.0)}
PEER = """
import json, sys, time
import awswrangler as wr, boto3, pandas as pd
asked = json.load(sys.stdin)
session = boto3.Session("sandbox", "sandbox", region_name=asked["region"])
def in_seconds(params, **_):  # it sends milliseconds, the API documents seconds and the sandbox takes nothing else
    params["startTime"] //= 1000
    params["endTime"] //= 1000
    return params
session.events.register("provide-client-params.cloudwatch-logs.StartQuery", in_seconds)
for one in asked["queries"]:
    began = time.perf_counter()
    frame = wr.cloudwatch.read_logs(
        query=one["query"], log_group_names=one["groups"], limit=one["limit"], boto3_session=session,
        start_time=pd.Timestamp(one["start"], unit="s", tz="UTC").to_pydatetime(),
        end_time=pd.Timestamp(one["end"], unit="s", tz="UTC").to_pydatetime(),
    )
    messages = list(frame["message"]) if "message" in frame else []
    print(json.dumps({"seconds": time.perf_counter() - began, "rows": len(messages), "messages": messages[:5]}), flush=True)
"""


def lines(now_ms: int) -> Iterator[dict[str, Any]]:
    """Yield 300,000 rows of the last day in one group, and a few an hour over seven days in six groups, two with an id."""
    for number in range(300_000):
        at = now_ms - 24 * HOUR_MS + number * 24 * HOUR_MS // 300_000
        record = {"level": "info", "request_id": f"req-{number:012x}", "route": "/products", "method": "GET", "status": 200,
                  "duration_ms": number % 400, "message": f"GET /products 200 of customer {number % 9973} from the catalogue"}  # fmt: skip
        yield {"group": VOLUME, "stream": f"task/{number % 4}", "timestamp_ms": at, "message": json.dumps(record)}
    for group in GROUPS:
        for hour in range(DAYS * 24):
            at = now_ms - hour * HOUR_MS - 1800_000
            yield {
                "group": group,
                "stream": "task/0",
                "timestamp_ms": at,
                "message": json.dumps({"message": f"alive {hour}"}),
            }
    for name in ("recent", "18h"):
        wanted, age = IDS[name]
        for step, group in enumerate(GROUPS[:4]):
            record = {
                "level": "info",
                "request_id": wanted,
                "route": "/checkout",
                "status": 200,
                "message": f"step {step}",
            }
            at = now_ms - int(age * HOUR_MS) + step * 40
            yield {"group": group, "stream": "task/0", "timestamp_ms": at, "message": json.dumps(record)}


def load(sandbox: Sandbox, now_ms: int) -> None:
    """Send the lines in parts that the gateway takes at once."""
    from opslib.sandbox import admin_client

    part: list[bytes] = []
    for line in lines(now_ms):
        part.append(json.dumps(line).encode())
        if len(part) == 25_000:
            admin_client.post(sandbox.endpoint, "load-logs", b"\n".join(part))
            part = []
    admin_client.post(sandbox.endpoint, "load-logs", b"\n".join(part))


def raw_pages(sandbox: Sandbox, start: int, end: int, scan_seconds: float) -> tuple[float, int]:
    """Fetch a query's pages one after another as bytes, unread but for the token; return seconds and pages."""
    began = time.perf_counter()
    asked = {"logGroupNames": [VOLUME], "startTime": start, "endTime": end, "queryString": QUERY, "limit": 100_000}
    query_id = json.loads(_post(sandbox, "StartQuery", asked))["queryId"]
    time.sleep(scan_seconds)
    pages, token = 0, ""
    while True:
        body = _post(
            sandbox,
            "GetQueryResults",
            {"queryId": query_id, "maxItems": 10_000} | ({"nextToken": token} if token else {}),
        )
        found = body.find(b'"nextToken"')  # a whole body would be parsed to know more
        token = json.loads(b"{" + body[found:].split(b",")[0].rstrip(b"}") + b"}")["nextToken"] if found >= 0 else ""
        pages += b'"Running"' not in body[:4000] + body[-4000:]
        if not token and b'"Complete"' in body:
            return time.perf_counter() - began, pages


def _post(sandbox: Sandbox, operation: str, asked: dict[str, Any]) -> bytes:
    scope = (
        "AWS4-HMAC-SHA256 Credential=sandbox/20261105/ap-northeast-1/logs/aws4_request, SignedHeaders=host, Signature=0"
    )
    headers = {
        "X-Amz-Target": f"Logs_20140328.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": scope,
    }
    request = urllib.request.Request(sandbox.endpoint, json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


def peer(sandbox: Sandbox, queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run queries with awswrangler 3.17.1, one after another; what it prints for each."""
    asked = {"region": "ap-northeast-1", "queries": queries}
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as folder:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environ["AWS_ENDPOINT_URL"] = sandbox.endpoint
        command = [uv, "run", "-q", "--isolated", "--no-project", "--with", "awswrangler==3.17.1", "python", "-c", PEER]
        done = subprocess.run(command, input=json.dumps(asked), text=True, capture_output=True, cwd=folder, env=environ)
    if done.returncode:
        raise SystemExit(f"awswrangler failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and the answer."""
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    import opslib
    from opslib.sources import logs, request_search
    from opslib.window import Window

    with Sandbox(clock="frozen") as sandbox:
        os.environ["OPSLIB_SANDBOX"] = str(sandbox.directory)
        run = opslib.start()
        run.mode = "headless"  # no deadline of ten seconds: the peer has none either
        now = run.now.replace(microsecond=0)
        load(sandbox, int(now.timestamp() * 1000))
        logs.log_groups(run.environment, patterns=("*",))
        sandbox.settings(**SLOW)
        third, day = Window(now - timedelta(hours=8), now, UTC), Window(now - timedelta(hours=24), now, UTC)

        def ours(window: Window) -> Any:
            return logs.query(run.environment, QUERY, groups=[VOLUME], window=window, deadline_s=120)

        floor_s, pages = raw_pages(
            sandbox, int(third.start.timestamp()), int(third.end.timestamp()) - 1, 0.5 + 0.02 * 8
        )
        time.sleep(1.2)
        some_s, some = timed(lambda: ours(third))
        time.sleep(1.2)
        all_s, everything = timed(lambda: ours(day))
        _check(some, 100_000)
        _check(everything, 300_000)
        found = {}
        for name, (wanted, _) in IDS.items():
            time.sleep(1.2)
            found[name] = timed(lambda wanted=wanted: request_search.request_lines(run, wanted, patterns=("/busy/*",)))
        theirs = peer(
            sandbox, [_asked(QUERY, [VOLUME], third, 100_000)] + [_search(wanted, now) for wanted, _ in IDS.values()]
        )
    _told("100,000 rows", some_s, len(some.frame), theirs[0])
    print(f"{'the same pages, raw':22} {floor_s:8.2f} s {pages:8} pages")
    print(f"{'300,000 rows':22} {all_s:8.2f} s {len(everything.frame):8,} rows in {len(everything.query_ids)} queries")
    ratios = {}
    for (name, (seconds, frame)), their in zip(found.items(), theirs[1:], strict=True):
        if sorted(frame["@message"]) != sorted(their["messages"]):
            raise SystemExit(f"{name}: {list(frame['@message'])} is not {their['messages']}")
        _told(f"one id, {name}", seconds, len(frame), their)
        ratios[f"ratio_{name}"] = round(seconds / their["seconds"], 3)
    figures = {
        "rows_100k": len(some.frame),
        "ratio_floor_100k": round(some_s / floor_s, 2),
        "rows_300k": len(everything.frame),
    }
    print(json.dumps({**figures, **ratios}))


def _check(answer: Any, rows: int) -> None:
    frame = answer.frame
    whole = (
        len(frame) == rows
        and answer.complete
        and frame["@ptr"].is_unique
        and frame["@timestamp"].is_monotonic_increasing
    )
    if not whole:
        raise SystemExit(
            f"{len(frame)} of {rows} rows, complete {answer.complete} {answer.reason}, or not unique and sorted"
        )


def _asked(query: str, groups: list[str], window: Any, limit: int) -> dict[str, Any]:
    start, end = int(window.start.timestamp()), int(window.end.timestamp()) - 1
    return {"query": query, "groups": groups, "start": start, "end": end, "limit": limit}


def _search(wanted: str, now: datetime) -> dict[str, Any]:
    from opslib.window import Window

    text = f'fields @timestamp, @message, @logStream, @log | filter @message like "{wanted}" | sort @timestamp asc'
    return _asked(text, GROUPS, Window(now - timedelta(days=DAYS), now, UTC), 10_000)


def _told(what: str, seconds: float, rows: int, their: dict[str, Any]) -> None:
    print(f"{what:22} {seconds:8.2f} s {rows:8,} rows   awswrangler {their['seconds']:6.2f} s {their['rows']:8,} rows")
