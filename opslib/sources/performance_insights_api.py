"""How the `pi` API is asked: by resource id, in slices it does not cut, page by page, and its answers checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from opslib import aws
from opslib.errors import OpsError, SourceError
from opslib.sources import rds

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

POINTS = 300  # a slice: answers of about 350 points and more lose the rest without a word (boto3 issue 3784)
PAGE, WORKERS = 25, 4
LATE = 3  # periods at the end of a window that may not be counted yet
_PERIODS = ((timedelta(minutes=5), 1), (timedelta(hours=5), 60), (timedelta(hours=24), 300), (timedelta(days=12), 3600))
Slice = tuple[datetime, datetime]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Resource:
    """An instance as Performance Insights knows it: by an id of its own, with so many days kept."""

    name: str
    id: str
    days: int


@lru_cache(maxsize=32)
def resource(environment: Environment, instance: str) -> Resource:
    """Return an instance, empty for the primary (rds:DescribeDBInstances).

    Raises SourceError when it does not exist or has Performance Insights off.
    """
    wanted = instance or rds.primary(environment)
    frame = rds.instances(environment)
    found = frame[frame["instance"] == wanted]
    if not len(found):
        fix = "correct `instance` or `replicas` of [database]"
        raise SourceError(f"there is no database instance {wanted} in {environment.region}", fix=fix)
    if found["insights"].iloc[0] == "off":
        command = f"aws rds modify-db-instance --db-instance-identifier {wanted} --enable-performance-insights"
        raise SourceError(f"Performance Insights is off for {wanted}", fix=command, sight="no_data")
    return Resource(wanted, str(found["resource_id"].iloc[0]), int(found["insights_days"].iloc[0]) or 7)


def kept(environment: Environment, known: Resource, window: Window) -> tuple[Window, list[str]]:
    """Return the part of the window whose data is still kept, and what is said of the rest; raises when nothing is."""
    oldest = aws.now(environment) - timedelta(days=known.days)
    period = period_of(window)
    if slices_of(window, period)[0][0] >= oldest:
        return window, []
    said = f"Performance Insights keeps {known.days} days of {known.name}: the window's older part is not in it"
    start = datetime.fromtimestamp(math.ceil(oldest.timestamp() / period) * period, UTC)
    if start >= window.end:
        raise SourceError(said.partition(":")[0], why="the window is older", fix="CloudWatch's DBLoad goes back further", sight="no_data")  # fmt: skip
    return replace(window, start=start), [said]


def period_of(window: Window) -> int:
    """Return the seconds of a point: finer for a shorter window, as Performance Insights allows."""
    return next((period for limit, period in _PERIODS if window.end - window.start <= limit), 86_400)


def slices_of(window: Window, period: int) -> list[Slice]:
    """Return the window, widened to whole periods, in pieces of at most 300 points."""
    first = math.floor(window.start.timestamp() / period) * period
    last = math.ceil(window.end.timestamp() / period) * period
    moments = [datetime.fromtimestamp(edge, UTC) for edge in [*range(first, last, POINTS * period), last]]
    return list(pairwise(moments))


def series(
    environment: Environment, resource_id: str, *, window: Window, queries: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the series of all slices (pi:GetResourceMetrics) and what is missing of them; raises when all failed."""
    period = period_of(window)
    slices = slices_of(window, period)

    def ask(piece: Slice) -> Told:
        span = {"StartTime": piece[0], "EndTime": piece[1], "PeriodInSeconds": period, "PeriodAlignment": "START_TIME"}
        return pages(environment, "get_resource_metrics", "MetricList", Identifier=resource_id, MetricQueries=list(queries), **span)  # fmt: skip

    answers, failed = at_once(ask, slices)
    if failed and not answers:
        raise failed[0]
    problems = [told.said for told in answers if told.said]
    problems += [f"{len(failed)} of {len(slices)} slices of the window are missing: {failed[0].what}"] if failed else []
    return [one for told in answers for one in told.items], problems


@dataclass
class Told:
    """The items of all pages, the keys of their partitions, and what is wrong with the span answered (empty: nothing)."""

    items: list[dict[str, Any]] = field(default_factory=list)
    partitions: list[dict[str, Any]] = field(default_factory=list)
    said: str = ""


def pages(environment: Environment, operation: str, member: str, **asked: Any) -> Told:
    """Return all pages of an operation; boto3 has no paginator for these. Raises SourceError."""
    told = Told()
    following: dict[str, str] = {}
    while True:
        page = _called(environment, operation, **asked, MaxResults=PAGE, **following)
        told.items += page.get(member) or ()
        told.partitions = told.partitions or page.get("PartitionKeys") or []
        start, end = page.get("AlignedStartTime"), page.get("AlignedEndTime")
        if start and end and (start > asked["StartTime"] or end < asked["EndTime"]):
            told.said = f"asked for {_span(asked['StartTime'], asked['EndTime'])}, answered {_span(start, end)}"
        if not page.get("NextToken"):
            return told
        following = {"NextToken": page["NextToken"]}


def details(environment: Environment, **asked: Any) -> str:
    """Return the whole value of the one dimension asked for (pi:GetDimensionKeyDetails), empty when it is not available."""
    found = _called(environment, "get_dimension_key_details", **asked).get("Dimensions") or ()
    return next((str(each["Value"]) for each in found if each.get("Value") and each.get("Status") != "PROCESSING"), "")


def _called(environment: Environment, operation: str, **asked: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(aws.client(environment, "pi"), operation)(ServiceType="RDS", **asked)
    except (BotoCoreError, ClientError) as error:
        raise _explained(error, environment) from None
    return answer


def at_once(ask: Callable[[Item], Any], items: Sequence[Item]) -> tuple[list[Any], list[OpsError]]:
    """Ask for every item, a few at a time; return the answers in order, and the errors of those without one."""
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        waiting = [pool.submit(ask, item) for item in items]
    answers: list[Any] = []
    failed: list[OpsError] = []
    for each in waiting:
        try:
            answers.append(each.result())
        except OpsError as error:
            failed.append(error)
    return answers, failed


def points(one: dict[str, Any]) -> dict[float, float]:
    """Return the values of a series by epoch second; a missing value and NaN are NaN."""
    found = {}
    for each in one.get("DataPoints") or ():
        value = each.get("Value")
        found[each["Timestamp"].timestamp()] = float("nan") if value is None else float(value)
    return found


def gaps(frame: pd.DataFrame, *, window: Window) -> list[str]:
    """Return what is said of periods of the window that have no value; the newest few may just not be counted yet."""
    period = period_of(window)
    slices = slices_of(window, period)
    expected = round((slices[-1][1] - slices[0][0]).total_seconds() / period)
    missing = expected - int(frame["total"].notna().sum())
    if missing <= LATE:
        return []
    return [f"{missing:,} of {expected:,} periods of {period} s have no value"]


def _explained(error: Exception, environment: Environment) -> OpsError:
    """The API calls a denial NotAuthorizedException, which elsewhere is a failed login."""
    response = getattr(error, "response", None) or {}
    if response.get("Error", {}).get("Code") == "NotAuthorizedException":
        operation, why = getattr(error, "operation_name", "pi"), str(response["Error"].get("Message", ""))
        fix = f"allow pi:{operation} for this role: policies/read.json has the line"
        return SourceError(f"{operation} was denied", why=why, fix=fix, sight="denied")
    return aws.explain(error, environment)


def _span(start: datetime, end: datetime) -> str:
    return f"{start.astimezone(UTC):%m-%d %H:%M:%S}–{end.astimezone(UTC):%m-%d %H:%M:%S} UTC"
