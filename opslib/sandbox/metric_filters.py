"""Metric filters: what is put into a log group is counted into the metrics of its filters, which ministack keeps."""

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opslib.sandbox import json_pattern
from opslib.sandbox.filter_pattern import Matcher, compile_pattern, is_json
from opslib.sandbox.metrics_reading import metric_key
from opslib.sandbox.metrics_store import MetricKey, Point
from opslib.sandbox.service_errors import invalid
from opslib.sandbox.state_files import ACCOUNT

if TYPE_CHECKING:
    from opslib.sandbox.services import Services

MOST_DIMENSIONS = 3
Counted = dict[tuple[MetricKey, str], list[Point]]  # by metric and unit


class MetricFilters:
    """The filters of all regions."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    def install(self) -> None:
        """Count what is put from now on."""
        self._services.arrived = self.count

    def count(self, region: str, group: str, events: Sequence[tuple[int, str]]) -> None:
        """Count events (time in ms, message) that were put into a group, each at its own time."""
        scope: Callable[..., Any] = importlib.import_module("ministack.core.responses").request_scope
        with scope(ACCOUNT, region):
            kept = [each for (name, _), each in _held().items() if name == group]
        for each in kept:
            for (key, unit), points in counted(each, events).items():
                self._services.region(region).metrics.put(key, unit, points)


def _held() -> Any:
    """Return ministack's filters of the region in scope, by group and name."""
    return importlib.import_module("ministack.services.cloudwatch_logs")._metric_filters


_compiled: Callable[[str], Matcher] = functools.cache(lambda pattern: compile_pattern(pattern, "PutMetricFilter"))


def counted(kept: Mapping[str, Any], events: Sequence[tuple[int, str]]) -> Counted:
    """Return what a filter, as DescribeMetricFilters gives it, makes of some events."""
    matches, found = _compiled(kept.get("filterPattern") or ""), Counted()
    about = kept["metricTransformations"][0]
    for at, message in events:
        value, dimensions = _measured(about, message) if matches(message) else (about.get("defaultValue"), [])
        if value is not None:
            key = metric_key(about["metricNamespace"], about["metricName"], dimensions)
            point = Point(at // 1000, 1.0, float(value), float(value), float(value))
            found.setdefault((key, about.get("unit") or "None"), []).append(point)
    return found


def _measured(about: Mapping[str, Any], message: str) -> tuple[float | None, list[dict[str, str]]]:
    """Return value and dimensions of a line that matches; no value where a field is not there, or is no number."""
    given, wanted = about["metricValue"], about.get("dimensions") or {}
    held = json_pattern.fields(message) if wanted or given.startswith("$") else None
    taken = {name: json_pattern.selector(path)(held) for name, path in wanted.items()}
    if any(value is json_pattern.MISSING for value in taken.values()):
        return None, []
    value = json_pattern.selector(given)(held) if given.startswith("$") else given
    dimensions = [{"Name": name, "Value": str(text)} for name, text in taken.items()]
    return _number(value), dimensions


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def check(given: Mapping[str, Any]) -> None:
    """Refuse what CloudWatch Logs refuses of a filter, and what nobody models; given as PutMetricFilter has it."""
    pattern = given.get("filterPattern") or ""
    compile_pattern(pattern, "PutMetricFilter")
    if len(given.get("metricTransformations") or ()) != 1:
        raise invalid("A metric filter must have exactly one metric transformation.")
    about = given["metricTransformations"][0]
    paths = list((about.get("dimensions") or {}).values())
    if len(paths) > MOST_DIMENSIONS:
        raise invalid(f"A metric transformation can have at most {MOST_DIMENSIONS} dimensions.")
    if paths and about.get("defaultValue") is not None:
        raise invalid("Invalid metric transformation: a default value cannot be used with dimensions.")
    value = str(about["metricValue"])
    paths += [value] if value.startswith("$") else []
    if paths and not is_json(pattern):
        raise invalid("Invalid metric transformation: fields can be taken of JSON patterns only.")
    for path in paths:
        json_pattern.selector(path)
    if not value.startswith("$") and _number(value) is None:
        raise invalid(f"Invalid metric transformation: '{value}' is neither a number nor a field.")


def take_place(name: str, group: str, created: int) -> None:
    """Let a filter that a stack has made take the place of the life's own, made at `created` ms, of the same lines."""
    held = _held()
    made = held[group, name]
    for key, other in list(held.items()):
        alike = all(made.get(part) == other.get(part) for part in ("logGroupName", "filterPattern"))
        if key != (group, name) and alike and other["creationTime"] == created:
            del held[key]
