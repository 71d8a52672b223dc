"""The lines that a request leaves in the services that it passes through."""

import json
from collections.abc import Iterator
from typing import Any

from opslib.sandbox.life.rhythm import iso
from opslib.sandbox.life.shop import Failure, Line, Shop, placeholders
from opslib.sandbox.life.traffic import Request, basket, total_yen

LogLine = tuple[str, int, str, str]  # group, epoch ms, stream, text


def quoted(text: str) -> str:
    """Return the inside of a JSON string, Japanese left readable."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def facts_of(request: Request, shop: Shop) -> dict[str, Any]:
    """Return what the templates of shop.toml may name for a request."""
    number = request.number
    words = shop.raw["words"]
    product = basket(number, shop)[0][0]
    return {
        "rid": request.id, "trace": request.trace, "status": request.status, "total": request.total,
        "who": f'"user_id":"{request.user}",' if request.user else "", "user": request.user or "guest",
        "level": "error" if request.status >= 500 else "warn" if request.status >= 400 else "info",
        "order": request.order, "job": request.job, "items": (1, 2, 3, 1)[number & 3], "cursor": f"{number:012x}"[::-1],
        "sku": shop.skus[product], "product": shop.names[product], "yen": total_yen(number, shop),
        "rows": 1 + (number >> 12) % 48, "query": words["queries"][(number >> 9) % len(words["queries"])],
        "inquiry": words["inquiries"][(number >> 9) % len(words["inquiries"])], "action": "",
        **request.extra,
    }  # fmt: skip


def streams_of(shop: Shop) -> dict[str, list[str]]:
    """Return the streams that request lines go to, by service."""
    return {service: shop.tasks(service) for service in ("web", "api", "worker", "auth", "notifier")}


class Scribe:
    """Writes the lines of requests."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.streams = streams_of(shop)
        self.plain = [(given["by"], given["p"], placeholders(given["text"])) for given in shop.raw["plain"]]

    def put(self, request: Request, by: str, at: int, text: str) -> LogLine:
        """Return a line in the stream of the task that served the request."""
        tasks = self.streams[by]
        return f"/shop/{by}", at, tasks[(request.number >> 4) % len(tasks)], text

    def lines(self, request: Request) -> Iterator[LogLine]:
        """Yield the lines of a request up to its answer, in the order of their work."""
        route = self.shop.routes[request.route]
        failure = self.shop.failures.get(request.failure)
        facts = facts_of(request, self.shop)
        state = "hit" if (request.number >> 20 & 1023) < route.cached * 1024 else "miss"
        # A timeout is spent in one place; the work before it takes its ordinary time.
        pace = route.median_ms if failure and failure.median_ms else request.total
        skew = request.extra.get("skew", {})
        for line in route.lines:
            if line.end or (line.when and line.when != state):
                continue
            if failure and line.at >= failure.after:
                break
            yield self.write(request, line, facts, request.start + int(pace * line.at) + skew.get(line.by, 0), pace)
        yield from self.chatter(request, facts)
        if failure:
            yield from self.broken(request, failure, facts)
        yield self.write(request, route.lines[-1], facts, request.end, pace)

    def write(self, request: Request, line: Line, facts: dict[str, Any], at: int, pace: float) -> LogLine:
        """Return one line of the route."""
        facts["time"], facts["took"] = iso(at), max(1, int(pace * line.took))
        return self.put(request, line.by, at, line.template % facts)

    def broken(self, request: Request, failure: Failure, facts: dict[str, Any]) -> Iterator[LogLine]:
        """Yield the line of the error, and what the customer was shown."""
        at = request.end - max(8, request.total // 20) if failure.median_ms else request.start + int(
            request.total * max(failure.after, 0.6)
        )  # fmt: skip
        at = request.extra.get("failed_at", at)
        record = self.record(request, failure.by, at, failure.level)
        if "waited" in facts:
            record["duration_ms"] = facts["waited"]
            record["wait"] = {"for": f"row lock on {facts['relation']}", "ms": facts["waited"], "pid": facts["blocker"]}
        message = placeholders(failure.message) % facts
        error = {"kind": failure.kind, "message": message}
        if failure.stack:
            error["stack"] = placeholders(failure.stack.strip("\n")) % facts
        record |= {"error": error, "message": f"{failure.kind}: {message}"}
        yield self.put(request, failure.by, at, compact(record))
        if failure.shown:
            shown = self.record(request, "web", request.end - 2, "warn") | {"shown": failure.shown}
            yield self.put(
                request, "web", request.end - 2, compact(shown | {"message": f"画面に表示: {failure.shown}"})
            )

    def record(self, request: Request, by: str, at: int, level: str) -> dict[str, Any]:
        """Return the keys that every JSON line of a request begins with."""
        method, path = request.route.split(" ")
        record = {"time": iso(at), "level": level, "service": by, "request_id": request.id, "trace_id": request.trace}
        if request.user:
            record["user_id"] = request.user
        return record | {"route": path, "method": method}

    def chatter(self, request: Request, facts: dict[str, Any]) -> Iterator[LogLine]:
        """Yield the plain-text warnings that a runtime prints now and then."""
        share = (request.number >> 26 & 0xFFFF) / 65536
        services = {line.by for line in self.shop.routes[request.route].lines}
        for by, p, text in self.plain:
            if share < p and by in services:
                yield self.put(request, by, request.start + request.total // 2, text % facts)
                return
            share -= p


def compact(record: dict[str, Any]) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
