"""What of the alerts went through lately, by the metrics of the notifiers, SNS, Lambda and the queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.alerting.alarms import GLOBAL
from opslib.alerting.delivery import SINKS, TOPICS
from opslib.sources.metric_answers import readings
from opslib.sources.metric_queries import Metric, Stat
from opslib.sources.metrics import grid_for

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

BEATS = timedelta(minutes=45)  # three heartbeats: as long as the alarms on them wait
COUNTS = {"region": "str", "who": "str", "what": "str", "count": "float64", "last": "time", "latest": "float64"}
_OF_FUNCTIONS = ("Invocations", "Errors", "Throttles")
_OF_TOPICS = ("NumberOfNotificationsFailed", "NumberOfNotificationsFailedToRedriveToDlq")
OLDEST = "ApproximateAgeOfOldestMessage"


def lately(environment: Environment, *, window: Window, queues: Iterable[tuple[str, str]] = ()) -> pd.DataFrame:
    """Return how often each thing was told, failed or was held back in a window (cloudwatch:GetMetricData).

    Columns: region, who (slack, pagerduty, a topic, or a queue of `queues`, which are regions and names), what (alert,
    "heartbeat ops-alerts", tick; the metric's name of AWS's own) str; count (of a queue's age: seconds) float64; last
    datetime64[ns, UTC], the last minute with one, NaT for none; latest float64, the value of the last minute. attrs:
    problems (list of str). Raises SourceError.
    """
    home = environment.region
    wanted = {
        _metric("" if key[0] == home else key[0], *key[1:]): key for key in _wanted(environment, queues)
    }  # empty: it is waited for
    grid = grid_for(window, now=aws.now(environment))
    found, _ = readings(environment, list(wanted), grid)
    rows, problems = [], []
    for metric, (region, who, what, *_) in wanted.items():
        points = {at: value for at, value in found[metric].only().items() if grid.start <= at < grid.end}
        on = [at for at, value in points.items() if value]
        last, latest = (max(on) if on else None), (points[max(points)] if points else float("nan"))
        rows.append({"region": region, "who": who, "what": what, "count": sum(points.values()), "last": _moment(last), "latest": latest})  # fmt: skip
        problems += [f"{what} of {who} in {region}: {found[metric].problem}"] if found[metric].problem else []
    frame = frames.made(rows, COUNTS)
    frame.attrs["problems"] = problems
    return frame


def kinds(environment: Environment, sink: str) -> list[str]:
    """Return what a sink's function counts: alerts, a heartbeat a topic, and where warnings are raised the tick of that."""
    topics = SINKS[{"slack": "Slack", "pagerduty": "PagerDuty"}[sink]][0]
    tick = ["tick"] if sink == "pagerduty" and environment.alerts.raise_after_minutes else []
    return ["alert", *(f"heartbeat {TOPICS[topic]}" for topic in topics), *tick]


def _wanted(environment: Environment, queues: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str, str, tuple[tuple[str, str], ...], str]]:  # fmt: skip
    """Yield region, who, what, namespace, dimensions and statistic of each metric."""
    for region in dict.fromkeys((environment.region, GLOBAL)):
        for sink in map(str.lower, SINKS):
            for kind in kinds(environment, sink):
                yield region, sink, kind, "Ops/Alerting", (("Sink", sink), ("Kind", kind)), "Sum"
            for name in _OF_FUNCTIONS:
                yield region, sink, name, "AWS/Lambda", (("FunctionName", f"ops-notify-{sink}"),), "Sum"
        for topic in TOPICS.values():
            for name in _OF_TOPICS:
                yield region, topic, name, "AWS/SNS", (("TopicName", topic),), "Sum"
    for region, queue in queues:
        yield region, queue, OLDEST, "AWS/SQS", (("QueueName", queue),), "Maximum"


def _metric(region: str, who: str, what: str, namespace: str, dimensions: tuple[tuple[str, str], ...], statistic: str) -> Metric:  # fmt: skip
    name = "Told" if namespace == "Ops/Alerting" else what
    return Metric(who, what, "", "", region, (("one", (Stat(namespace, name, dimensions, statistic),)),))


def _moment(at: int | None) -> Any:
    import pandas as pd

    return None if at is None else pd.Timestamp(at, unit="s", tz="UTC")
