"""Which operation a REST request means: every route of a service's model, the most specific first."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from moto.core.model import OperationModel, ServiceModel

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True)
class Route:
    """One operation's method, path and what the query and headers must hold."""

    operation: str
    method: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    required_query: tuple[str, ...]
    required_headers: tuple[str, ...]
    literals: int
    deprecated: bool

    def match(self, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> dict | None:
        """Return the labels of the path when the request is this operation, else None."""
        if method != self.method or not (found := self.path.fullmatch(path)):
            return None
        if any(name not in query or (value and value not in query[name]) for name, value in self.query):
            return None
        if any(name not in query for name in self.required_query):
            return None
        if any(name.lower() not in headers for name in self.required_headers):
            return None
        return dict(zip(self.labels, map(unquote, found.groups()), strict=True))

    @property
    def weight(self) -> tuple[int, int, int, int, bool]:
        """Order by how much a request must say to be meant."""
        return len(self.query), len(self.required_query), len(self.required_headers), self.literals, not self.deprecated


class RouteTable:
    """The routes of one REST service."""

    def __init__(self, model: ServiceModel) -> None:
        routes = [_route(model.operation_model(name)) for name in model.operation_names]
        self._routes = sorted(routes, key=lambda route: route.weight, reverse=True)

    def find(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> tuple[Route, dict] | None:
        """Return the route of a request and its path labels, or None when the service has none."""
        parsed = parse_qs(query, keep_blank_values=True)
        for route in self._routes:
            labels = route.match(method, path, parsed, headers)
            if labels is not None:
                return route, labels
        return None


def _route(operation: OperationModel) -> Route:
    http = operation.http_trait
    shape = operation.input_shape
    path = http.path.rstrip("/")
    return Route(
        operation=operation.name,
        method=http.method,
        path=_pattern(path),
        labels=tuple(label[1] for label in _LABEL.finditer(path)),
        query=tuple((name, value) for name, value in http.query_args.items() if name != "x-id"),
        required_query=tuple(shape.required_query_args) if shape else (),
        required_headers=tuple(shape.required_headers) if shape else (),
        literals=len(_LABEL.sub("", path)),
        deprecated=bool(operation.deprecated),
    )


def _pattern(path: str) -> re.Pattern[str]:
    parts, at = [], 0
    for label in _LABEL.finditer(path):
        parts += [re.escape(path[at : label.start()]), "(.+)" if label[2] else "([^/]+)"]
        at = label.end()
    return re.compile("".join(parts) + re.escape(path[at:]) + "/?", re.DOTALL)
