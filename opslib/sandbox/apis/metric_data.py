"""CloudWatch GetMetricData: statistics, metric math and SEARCH, page by page."""

import re
from typing import Any

from opslib.sandbox.metric_expressions import MathError, Unknown, parse
from opslib.sandbox.metric_math import Line, Scope, Value
from opslib.sandbox.metric_search import label, search
from opslib.sandbox.metrics_reading import (
    DAY,
    Span,
    check_period,
    check_statistic,
    epoch,
    is_kept,
    metric_key,
    span,
    statistics,
)
from opslib.sandbox.metrics_store import MetricKey
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import state_of, token
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import NotModelled, ServiceError

MAX_POINTS = 100_800
_ID = re.compile(r"[a-z]\w*", re.ASCII)


class MetricData:
    """GetMetricData."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation(
        "cloudwatch",
        "GetMetricData",
        modelled="metrics with several statistics and percentiles; metric math: + - * / ^, comparisons, && ||, arrays, "
        "METRICS, SUM, AVG, MIN, MAX, FILL, IF, RATE, ABS, PERIOD; SEARCH by schema and properties; labels; ReturnData, "
        "ScanBy, MaxDatapoints with NextToken and PartialData",
        source="API reference and metric math syntax",
        difference="other functions, SQL, SEARCH by words and series of different periods in one expression answer "
        "SandboxNotModelled; FILL of a series without any point stays empty; periods are aligned to their length",
        tested=(
            "test_metric_data_pages_equal_the_whole",
            "test_metric_data_percentiles",
            "test_metric_math",
            "test_search_finds_metrics",
            "test_unknown_metric_math_is_refused",
        ),
    )
    def get_metric_data(self, p: Params) -> dict[str, Any]:
        """Answer one page of several metrics."""
        _check(p["MetricDataQueries"])
        return _page(_Request(self._state, p).results(), p)

    def of_alarm(self, queries: list[Params], start: int, end: int) -> dict[int, float]:
        """Return the values of the one query that returns data, in periods that begin at `start`, as alarms slide."""
        asked = {"MetricDataQueries": queries, "StartTime": start, "EndTime": end}
        [(_, _, points)] = _Request(self._state, asked, aligned=False).results()
        return dict(points)


class _Request:
    """One request's queries, each worked out once and when first needed."""

    def __init__(self, state: RegionState, p: Params, *, aligned: bool = True) -> None:
        self._state, self._p, self._aligned = state, p, aligned
        self._now = state.clock.now().timestamp()
        self._queries = {query["Id"]: query for query in p["MetricDataQueries"]}
        self._values: dict[str, Value] = {}
        self._open: list[str] = []

    def results(self) -> list[tuple[str, str, list[tuple[int, float]]]]:
        """Return id, label and points of each series that is to be returned; SEARCH may give none, or many."""
        found = []
        for name, query in self._queries.items():
            if query.get("ReturnData") is False:
                continue
            try:
                value = self._value(name)
                if isinstance(value, float):
                    raise MathError("The expression must return a time series, not a number")
                for line in value if isinstance(value, list) else [value]:
                    points = sorted(line.points.items(), reverse=self._p.get("ScanBy") != "TimestampAscending")
                    found.append((name, label(query.get("Label", ""), line, name), points))
            except MathError as error:
                raise ServiceError("ValidationError", f"Error in expression '{name}': {error}") from error
            except Unknown as error:
                detail = f"{name} = {query.get('Expression', query.get('Label'))}: {error}"
                raise NotModelled("cloudwatch", "GetMetricData", detail) from error
        return found

    def _value(self, name: str) -> Value:
        if name not in self._queries:
            raise MathError(f"Unknown identifier '{name}'")
        if name in self._open:
            raise MathError(f"'{name}' refers to itself")
        if name not in self._values:
            query = self._queries[name]
            self._open.append(name)
            self._values[name] = (
                self._worked_out(query["Expression"]) if query.get("Expression") else self._metric(query)
            )
            self._open.pop()
        return self._values[name]

    def _worked_out(self, text: str) -> Value:
        if re.match(r"\s*SELECT\b", text, re.IGNORECASE):
            raise Unknown("SQL is not modelled")
        scope = Scope(value_of=self._value, metrics=self._metrics, times=self._times, search=self._search)
        value = scope.work_out(parse(text))
        if isinstance(value, Line):
            value.label = ""  # a result of mathematics is called by its id
        return value

    def _metric(self, query: Params) -> Line:
        asked_of = query["MetricStat"]
        metric = asked_of["Metric"]
        key = metric_key(metric["Namespace"], metric["MetricName"], metric.get("Dimensions"))
        points = self._points(key, asked_of["Stat"], asked_of["Period"], asked_of.get("Unit"))
        about = {"MetricName": key[1], "Namespace": key[0], "Stat": asked_of["Stat"], "Period": str(asked_of["Period"])}
        dimensions = {f"Dim.{name}": value for name, value in key[2]}
        return Line(points, asked_of["Period"], key[1], about | dimensions)

    def _points(self, key: MetricKey, stat: str, period: int, unit: str | None = None) -> dict[int, float]:
        check_period(period, "ValidationError")
        series = self._state.metrics.get(key)
        asked = self._asked(period)
        if series is None or not is_kept(asked, self._now) or unit not in (None, series.unit):
            return {}
        with self._state.metrics.lock:
            return statistics(series, asked, stat)

    def _metrics(self, part: str = "") -> list[Line]:
        values = [
            self._value(name) for name, query in self._queries.items() if query.get("MetricStat") and part in name
        ]
        return [value for value in values if isinstance(value, Line)]

    def _times(self, period: int) -> range:
        asked = self._asked(period)
        return range(asked.anchor, asked.end, period)

    def _asked(self, period: int) -> Span:
        start, end = epoch(self._p["StartTime"]), epoch(self._p["EndTime"])
        return span(start, end, period, self._now, aligned=self._aligned)

    def _search(self, given: list[Any]) -> list[Line]:
        if len(given) > 1:
            check_statistic(str(given[1]), "GetMetricData")
        return search(given, self._state.metrics.keys(int(self._now - 14 * DAY)), self._points)


def _check(queries: list[Params]) -> None:
    if len(queries) > 500:
        raise ServiceError("ValidationError", "The collection MetricDataQueries must not have a size greater than 500.")
    ids = [query["Id"] for query in queries]
    seen: set[str] = set()
    for each in ids:
        if not _ID.fullmatch(each) or each in seen:
            message = f"The value {each} for parameter MetricDataQueries.Id is invalid or not unique."
            raise ServiceError("ValidationError", message)
        seen.add(each)
    for query in queries:
        if bool(query.get("Expression")) == bool(query.get("MetricStat")):
            raise ServiceError("ValidationError", f"Either MetricStat or Expression is required in {query['Id']}.")
        if query.get("MetricStat"):
            check_statistic(query["MetricStat"]["Stat"], "GetMetricData")


def _page(whole: list[tuple[str, str, list[tuple[int, float]]]], p: Params) -> dict[str, Any]:
    given, room = p.get("NextToken"), min(p.get("MaxDatapoints") or MAX_POINTS, MAX_POINTS)
    refusal = ServiceError("InvalidNextToken", "The next token specified is invalid.")
    start = state_of("metric data", given, refusal) if given else 0
    results, at = [], 0
    for name, words, values in whole:
        part = values[max(0, start - at) : max(0, start + room - at)]
        if part or (not values and not given):
            complete = not values or at + len(values) <= start + room
            results.append(_result(name, words, part, complete))
        at += len(values)
    following = {"NextToken": token("metric data", start + room)} if at > start + room else {}
    return {"MetricDataResults": results, "Messages": []} | following


def _result(name: str, words: str, part: list[tuple[int, float]], complete: bool) -> dict[str, Any]:
    return {
        "Id": name,
        "Label": words,
        "Timestamps": [at for at, _ in part],
        "Values": [value for _, value in part],
        "StatusCode": "Complete" if complete else "PartialData",
    }


APIS = (MetricData,)
