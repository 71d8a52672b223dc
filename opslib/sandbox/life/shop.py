"""The application as shop.toml writes it down, ready for use."""

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVICES = ("web", "api", "worker", "batch", "auth", "notifier")
GROUPS = (*(f"/shop/{service}" for service in SERVICES), "/shop/audit")


@dataclass(frozen=True)
class Line:
    """One line that a route leaves."""

    by: str
    at: float
    say: str
    took: float = 0.0
    also: str = ""
    when: str = ""
    end: bool = False
    name: str = ""
    template: str = ""


@dataclass(frozen=True)
class Route:
    """A route of the application."""

    method: str
    path: str
    share: float
    median_ms: float
    p99_ms: float
    lines: tuple[Line, ...]
    cached: float = 1.0
    audit: str = ""
    target: str = ""
    job: str = ""

    @property
    def key(self) -> str:
        """Return its name, such as `POST /checkout`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Failure:
    """A way in which a request can end badly."""

    kind: str
    routes: tuple[str, ...]
    p: float
    by: str
    after: float
    status: int
    level: str
    message: str
    stack: str = ""
    shown: str = ""
    order_status: str = ""
    median_ms: float = 0.0
    p99_ms: float = 0.0


@dataclass(frozen=True)
class Shop:
    """All of shop.toml."""

    raw: dict[str, Any]
    routes: dict[str, Route]
    failures: dict[str, Failure]
    skus: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    prices: list[int] = field(default_factory=list)

    def tasks(self, service: str, generation: int = 0) -> list[str]:
        """Return the log streams of a service's tasks."""
        return [
            f"{service}/{hashlib.sha256(f'{service} {number} {generation}'.encode()).hexdigest()[:12]}"
            for number in range(self.raw["services"][service]["tasks"])
        ]

    def failures_of(self, route: str) -> list[Failure]:
        """Return what may go wrong on a route, in the order of the file."""
        return [failure for failure in self.failures.values() if route in failure.routes]


def placeholders(text: str) -> str:
    """Turn {name} into %(name)s, and leave JSON braces alone."""
    return re.sub(r"\{(\w+)\}", r"%(\1)s", text.replace("%", "%%"))


def _line(route: dict[str, Any], given: dict[str, Any]) -> Line:
    line = Line(**given)
    level = "%(level)s" if line.end else "info"
    parts = [f'"time":"%(time)s","level":"{level}","service":"{line.by}","request_id":"%(rid)s","trace_id":"%(trace)s"']
    parts.append(f'%(who)s"route":"{route["path"]}","method":"{route["method"]}"')
    if line.end:
        parts.append('"status":%(status)s,"duration_ms":%(total)s')
    elif line.took:
        parts.append('"duration_ms":%(took)s')
    if line.also:
        parts.append(placeholders(line.also))
    parts.append(f'"message":"{placeholders(line.say)}"')
    return Line(**{**given, "template": "{" + ",".join(parts) + "}"})


def _route(given: dict[str, Any]) -> Route:
    plain = {key: value for key, value in given.items() if key not in ("lines", "route")}
    plain["path"] = given.get("route", given["path"])
    return Route(**{**plain, "lines": tuple(_line(plain, line) for line in given["lines"])})


@cache
def shop() -> Shop:
    """Return the application, read once."""
    raw = tomllib.loads((HERE / "shop.toml").read_text(encoding="utf-8"))
    routes = [_route(given) for given in raw["routes"]]
    failures = [Failure(**{**given, "routes": tuple(given["routes"])}) for given in raw["errors"]]
    products = raw["products"]["list"]
    return Shop(
        raw,
        {route.key: route for route in routes},
        {failure.kind: failure for failure in failures},
        [product[0] for product in products],
        [product[1] for product in products],
        [product[3] for product in products],
    )
