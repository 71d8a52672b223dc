"""GetMetricData asked and read to the end: pages, messages and status codes; nothing is asked twice."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.errors import OpsError
from opslib.sources import raw_answers, regions
from opslib.sources.metric_queries import POINTS_A_CALL, Metric, batches, queries

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.sources.metrics import Grid

USD_PER_METRIC = 0.01 / 1000  # of each page asked for; expressions are free
REMEMBERED_SECONDS = 300
_STATUS = {
    "PartialData": "only a part of its points was answered",
    "InternalError": "CloudWatch failed on it twice (InternalError)",
    "Forbidden": "CloudWatch forbids it (Forbidden)",
}
_lock = threading.Lock()
_asked: dict[tuple[Any, ...], Future[Reading]] = {}


@dataclass
class Reading:
    """What was answered to one metric: points (epoch seconds: value) by label, and what is wrong with the answer."""

    points: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    problem: str = ""
    error: OpsError | None = None  # the whole call failed

    def only(self) -> dict[int, float]:
        """Return the points of the one series there is, or none."""
        return next(iter(self.points.values()), {})


def readings(
    environment: Environment, metrics: Sequence[Metric], grid: Grid
) -> tuple[dict[Metric, Reading], dict[str, Any]]:
    """Return a reading of each metric, and calls, metrics and US dollars that it took; 0 for what was asked before.

    Regions and batches are asked at once. Raises SourceError when every call failed; if only some did, the readings
    of the others stand, and those of the failed say why.
    """
    era = time.monotonic() // REMEMBERED_SECONDS
    keys = {metric: (environment, metric, grid, era) for metric in metrics}
    with _lock:
        for old in [key for key in _asked if key[-1] != era]:
            del _asked[old]
        mine = [metric for metric in metrics if keys[metric] not in _asked]
        _asked.update({keys[metric]: Future() for metric in mine})
        waiting = {metric: _asked[keys[metric]] for metric in metrics}
    spent = _ask_all(environment, grid, {metric: waiting[metric] for metric in mine})
    found = {metric: future.result() for metric, future in waiting.items()}
    with _lock:  # what went wrong is asked anew next time
        for metric in metrics:
            if found[metric].problem:
                _asked.pop(keys[metric], None)
    errors = [reading.error for reading in found.values() if reading.error]
    if errors and len(errors) == len(found):
        raise errors[0]
    asked = sum(spent)
    return found, {"calls": len(spent), "metrics": asked, "usd": round(asked * USD_PER_METRIC, 6)}


def _ask_all(environment: Environment, grid: Grid, waiting: Mapping[Metric, Future[Reading]]) -> list[int]:
    """Answer every future, whatever happens, each region's batches at once; return how many metrics each call asked for."""
    by_region: dict[str, list[Metric]] = defaultdict(list)
    for metric in waiting:
        by_region[metric.region].append(metric)
    spent: list[int] = []
    work = {
        (region, tuple(batch)): partial(_answer, environment, region, batch, grid, spent)
        for region, metrics in by_region.items()
        for batch in batches(metrics, points=grid.points)
    }
    for (region, batch), answer in regions.at_once(work, needed=[key for key in work if not key[0]]).items():
        for metric in batch:
            if isinstance(answer, OpsError):
                problem = f"{region or environment.region}: {answer.what}"
                waiting[metric].set_result(Reading(problem=problem, error=answer))
            else:
                waiting[metric].set_result(answer[metric])
    return list(spent)


def _answer(
    environment: Environment, region: str, batch: Sequence[Metric], grid: Grid, spent: list[int]
) -> dict[Metric, Reading]:
    """Ask one batch; what CloudWatch itself failed on is asked once more."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = aws.client(environment, "cloudwatch", region=region)
        raw_answers.read_fast(client, "cloudwatch.GetMetricData")
        found = _read(client, batch, grid, spent)
        again = [metric for metric in batch if found[metric].problem == _STATUS["InternalError"]]
        return found | (_read(client, again, grid, spent) if again else {})
    except (BotoCoreError, ClientError) as error:
        raise aws.explain(error, environment) from None


def _read(client: Any, batch: Sequence[Metric], grid: Grid, spent: list[int]) -> dict[Metric, Reading]:
    """Read one batch to its last page; PartialData is only a problem where no page follows."""
    asked, shown = queries(batch, grid.period)
    counted = sum("MetricStat" in query for query in asked) or len(asked)
    start, end = (datetime.fromtimestamp(at, UTC) for at in (grid.start, grid.end))
    found = {metric: Reading() for metric in batch}
    page: dict[str, Any] = {}
    said: list[str] = []
    while True:
        more = {"NextToken": page["NextToken"]} if page else {}
        answer = client.get_metric_data(
            MetricDataQueries=asked, StartTime=start, EndTime=end, ScanBy="TimestampAscending", MaxDatapoints=POINTS_A_CALL, **more
        )  # fmt: skip
        page = raw_answers.content(answer)
        spent.append(counted)
        said += [_words(message) for message in page.get("Messages") or ()]
        for result in page.get("MetricDataResults") or ():
            _take(found[shown[result["Id"]]], result)
        if not page.get("NextToken"):
            break
    for reading in found.values():
        reading.problem = "; ".join(part for part in (reading.problem, *dict.fromkeys(said)) if part)
    return found


def _take(reading: Reading, result: Mapping[str, Any]) -> None:
    points = reading.points[result.get("Label", "")]
    points.update(zip(map(_seconds, result["Timestamps"]), map(float, result["Values"]), strict=True))
    status = result.get("StatusCode", "Complete")
    reading.problem = "" if status == "Complete" else _STATUS.get(status, f"its answer ended as {status}")
    reading.problem = "; ".join(part for part in (reading.problem, *map(_words, result.get("Messages") or ())) if part)


def _seconds(moment: float | datetime) -> int:
    return int(moment.timestamp() if isinstance(moment, datetime) else moment)


def _words(message: Mapping[str, str]) -> str:
    return ": ".join(part for part in (message.get("Code", ""), message.get("Value", "")) if part)
