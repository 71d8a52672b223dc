"""Performance Insights: the load of a database by wait event, SQL, user and host; its counters; statements whole."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from opslib.sandbox import database_load, load_counters, load_dimensions
from opslib.sandbox.database_load import Load
from opslib.sandbox.load_dimensions import GROUPS, invalid_argument
from opslib.sandbox.metrics_reading import epoch
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page, state_of
from opslib.sandbox.rds_state import RdsState
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import NotModelled, ServiceError

API = "API reference; service model"
PERIODS = (1, 60, 300, 3600, 86400)
CAP = 350  # points of a series in one answer; the rest is left out without a word
LOAD = "db.load.avg"


@dataclass(frozen=True)
class Span:
    """The stretch of time of a question, aligned to its period."""

    start: int
    end: int
    period: int


class PerformanceInsightsApi:
    """What the `pi` API answers about the instances of a region."""

    def __init__(self, state: RegionState) -> None:
        self._state = state
        self._rds = state.part(RdsState)

    @operation(
        "pi",
        "GetResourceMetrics",
        modelled="db.load.avg whole and by group with Filter and Limit, counters; periods, alignment, pages",
        source=f"{API}; boto/boto3 issue 3784 for the cut at 350 points",
        difference="below a minute the minute's value repeats; statistics of statements only by DescribeDimensionKeys",
        tested=("test_load_sums_up_to_cloudwatch", "test_points_are_cut_without_a_word", "test_limits_of_pi"),
    )
    def get_resource_metrics(self, p: Params) -> dict[str, Any]:
        """Answer one page of series."""
        instance, span = self._instance(p), self._span(p)
        if len(p["MetricQueries"]) > 15:
            raise _validation("metricQueries", "Member must have length less than or equal to 15")
        series = [one for query in p["MetricQueries"] for one in self._series(instance, span, query)]
        shown, following = _page("resource metrics", series, p)
        late = 0 if p.get("PeriodAlignment") == "START_TIME" else span.period
        metrics = [
            {"Key": key, "DataPoints": [{"Timestamp": at + late, "Value": value} for at, value in points[:CAP]]}
            for key, points in shown
        ]
        return self._aligned(p, span) | {"Identifier": p["Identifier"], "MetricList": metrics} | following

    @operation(
        "pi",
        "DescribeDimensionKeys",
        modelled="db.load.avg by group with PartitionBy, Filter and statistics of statements; pages",
        source=API,
        difference="statistics follow from the load and a fixed latency of each statement",
        tested=("test_top_statements_with_statistics", "test_limits_of_pi"),
    )
    def describe_dimension_keys(self, p: Params) -> dict[str, Any]:
        """Answer one page of the groups with the most load."""
        instance, span, group = self._instance(p), self._span(p), p["GroupBy"]
        if p["Metric"] != LOAD:
            raise invalid_argument(f"{p['Metric']} is not a valid metric to describe dimension keys of")
        _check_limits(group, p.get("PartitionBy") or {})
        load, values = self._load(instance, span)
        columns = load_dimensions.passing(load.sessions, p.get("Filter"))
        mean = values.mean(axis=0) if len(values) else np.zeros(len(load.sessions))
        parts = load_dimensions.top(load.sessions, values, columns, p["PartitionBy"]) if p.get("PartitionBy") else []
        keys = []
        for found in load_dimensions.top(load.sessions, values, columns, group):
            key: dict[str, Any] = {
                "Dimensions": load_dimensions.shown(found.dimensions),
                "Total": _total(mean, found.columns),
            }
            if wanted := p.get("AdditionalMetrics"):
                told = load_dimensions.statistics(load.sessions, mean, found.columns, wanted, group["Group"])
                key |= {"AdditionalMetrics": told} if told else {}
            if parts:
                key["Partitions"] = [_total(mean, sorted({*found.columns} & {*part.columns})) for part in parts]
            keys.append(key)
        shown, following = _page("dimension keys", keys, p)
        split = {"PartitionKeys": [{"Dimensions": load_dimensions.shown(part.dimensions)} for part in parts]}
        return self._aligned(p, span) | {"Keys": shown} | (split if parts else {}) | following

    @operation(
        "pi",
        "GetDimensionKeyDetails",
        modelled="the whole text of a statement of db.sql or db.sql_tokenized",
        source=API,
        difference="no execution plans and no lock snapshots",
        tested=("test_a_cut_statement_is_told_whole",),
    )
    def get_dimension_key_details(self, p: Params) -> dict[str, Any]:
        """Answer the whole value of some dimensions of a key."""
        instance, group = self._instance(p), p["Group"]
        if group not in ("db.sql", "db.sql_tokenized"):
            raise NotModelled("pi", "GetDimensionKeyDetails", f"knows no group {group}")
        known = [*database_load.ordinary(instance), *database_load.added(instance, self._state.events)]
        values = (load_dimensions.values_of(session) for session in known)
        found = next((each for each in values if each[f"{group}.id"] == p["GroupIdentifier"]), None)
        if found is None:
            raise invalid_argument(f"There is no key {p['GroupIdentifier']} in {group}")
        wanted = [name if name.startswith("db.") else f"{group}.{name}" for name in p["RequestedDimensions"]]
        if wrong := [name for name in wanted if name not in GROUPS[group]]:
            raise invalid_argument(f"{wrong[0]} is not a valid dimension of {group}")
        return {"Dimensions": [{"Value": found[name], "Dimension": name, "Status": "AVAILABLE"} for name in wanted]}

    @operation(
        "pi",
        "ListAvailableResourceMetrics",
        modelled="types os, db, db.sql.stats, db.sql_tokenized.stats; pages",
        source=API,
        difference="ten counters; statistics of statements as PostgreSQL names them",
        tested=("test_what_can_be_asked_is_listed",),
    )
    def list_available_resource_metrics(self, p: Params) -> dict[str, Any]:
        """Answer one page of the metrics that an instance has."""
        self._instance(p)
        found = []
        for kind in p["MetricTypes"]:
            if kind in ("os", "db"):
                named = [
                    (name, *about[:2]) for name, about in load_counters.COUNTERS.items() if name.startswith(f"{kind}.")
                ]
                found += [("db.load", "AAS", "Average active sessions"), *named] if kind == "db" else named
            elif kind in ("db.sql.stats", "db.sql_tokenized.stats"):
                found += [(f"{kind}.{name}", *about) for name, about in load_dimensions.STATISTICS.items()]
            else:
                raise invalid_argument(f"{kind} is not a valid metric type")
        shown, following = _page("available metrics", found, p)
        return {
            "Metrics": [{"Metric": name, "Unit": unit, "Description": said} for name, unit, said in shown]
        } | following

    @operation(
        "pi",
        "ListAvailableResourceDimensions",
        modelled="the groups of db.load and their dimensions",
        source=API,
        tested=("test_what_can_be_asked_is_listed",),
    )
    def list_available_resource_dimensions(self, p: Params) -> dict[str, Any]:
        """Answer the dimensions by which a metric can be grouped."""
        self._instance(p)
        groups = [
            {"Group": group, "Dimensions": [{"Identifier": name} for name in names]} for group, names in GROUPS.items()
        ]
        known = [name for name in p["Metrics"] if name in ("db.load", LOAD)]
        return {"MetricDimensions": [{"Metric": name, "Groups": groups} for name in known]}

    @operation(
        "pi",
        "GetResourceMetadata",
        modelled="which features an instance has",
        source=API,
        tested=("test_what_can_be_asked_is_listed",),
    )
    def get_resource_metadata(self, p: Params) -> dict[str, Any]:
        """Answer the features of an instance."""
        advanced = self._rds.instances[self._instance(p)].get("DatabaseInsightsMode") == "advanced"
        status = {"SQL_STATISTICS": "ENABLED", "ANALYSIS_REPORTS": "ENABLED" if advanced else "UNSUPPORTED"}
        return {"Identifier": p["Identifier"], "Features": {name: {"Status": each} for name, each in status.items()}}

    def _instance(self, p: Params) -> str:
        if p["ServiceType"] != "RDS":
            raise NotModelled("pi", "DOCDB", "the sandbox has no DocumentDB")
        found = self._rds.by_resource_id(p["Identifier"])
        if found is None:
            raise invalid_argument(
                f"{p['Identifier']} is not a valid identifier: give the DbiResourceId of an instance"
            )
        if not found.get("PerformanceInsightsEnabled"):
            raise invalid_argument(f"Performance Insights is not enabled for {p['Identifier']}")
        return str(found["DBInstanceIdentifier"])

    def _span(self, p: Params) -> Span:
        start, end, now = epoch(p["StartTime"]), epoch(p["EndTime"]), self._state.clock.now().timestamp()
        if start >= end:
            raise invalid_argument("StartTime must be before EndTime")
        kept = (self._rds.by_resource_id(p["Identifier"]) or {}).get("PerformanceInsightsRetentionPeriod", 7)
        if start < now - kept * 86400 - 60:
            raise invalid_argument(f"StartTime is earlier than the retention of {kept} days")
        period = p.get("PeriodInSeconds") or next((each for each in PERIODS[1:] if (end - start) / each <= 200), 86400)
        if period not in PERIODS:
            raise invalid_argument(f"{period} is not a valid period: {', '.join(map(str, PERIODS))}")
        return Span(int(start // period * period), int(-(-end // period) * period), period)

    def _series(self, instance: str, span: Span, query: Params) -> list[tuple[dict[str, Any], list[tuple[int, float]]]]:
        name, _, statistic = query["Metric"].rpartition(".")
        if statistic not in load_counters.STATISTICS or (name == "db.load" and statistic != "avg"):
            raise invalid_argument("The specified statistic is not a known statistic")
        if name in load_counters.COUNTERS:
            told = load_counters.values(self._state, instance, name, span.start, span.end, span.period)
            return [({"Metric": query["Metric"]}, [(at, round(value, 6)) for at, value in told.items()])]
        if name != "db.load":
            raise invalid_argument(f"{query['Metric']} is not a valid metric")
        _check_limits(query.get("GroupBy") or {})
        load, values = self._load(instance, span)
        columns = load_dimensions.passing(load.sessions, query.get("Filter"))
        times = self._times(load, span)
        found = [({"Metric": LOAD}, _points(times, values[:, columns]))]
        for group in (
            load_dimensions.top(load.sessions, values, columns, query["GroupBy"]) if query.get("GroupBy") else ()
        ):
            key = {"Metric": LOAD, "Dimensions": load_dimensions.shown(group.dimensions)}
            found.append((key, _points(times, values[:, group.columns])))
        return found

    def _load(self, instance: str, span: Span) -> tuple[Load, Any]:
        load = database_load.load(self._state.metrics, self._state.events, instance, span.start, span.end)
        return load, database_load.binned(load, span.start, span.period)[1]

    def _times(self, load: Load, span: Span) -> list[int]:
        return [int(at) for at in database_load.binned(load, span.start, span.period)[0]]

    def _aligned(self, p: Params, span: Span) -> dict[str, Any]:
        return {"AlignedStartTime": span.start, "AlignedEndTime": span.end}


APIS = (PerformanceInsightsApi,)


def _points(times: list[int], values: Any) -> list[tuple[int, float]]:
    return [(at, round(float(value), 6)) for at, value in zip(times, values.sum(axis=1), strict=True)]


def _total(mean: Any, columns: list[int]) -> float:
    return round(float(mean[columns].sum()), 6)


def _check_limits(*groups: Params) -> None:
    for group in groups:
        if not 1 <= group.get("Limit", 10) <= 25:
            raise _validation("groupBy.limit", "Member must have value less than or equal to 25")


def _validation(where: str, constraint: str) -> ServiceError:
    return ServiceError(
        "ValidationException",
        f"1 validation error detected: Value at '{where}' failed to satisfy constraint: {constraint}",
    )


def _page(kind: str, items: list[Any], p: Params) -> tuple[list[Any], dict[str, str]]:
    if p.get("MaxResults") is not None and not 0 <= p["MaxResults"] <= 25:
        raise _validation("maxResults", "Member must have value less than or equal to 25")
    if p.get("NextToken"):  # refused here: Performance Insights has an error of its own for it
        state_of(kind, p["NextToken"], invalid_argument("The NextToken is not valid"))
    shown, following = page(kind, items, p.get("NextToken"), p.get("MaxResults") or 25)
    return shown, {"NextToken": following} if following else {}
