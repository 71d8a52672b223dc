"""Alarms that go on when nothing comes: a zero is written before they are made, so that a new one waits as long as an old one.

They watch what we write ourselves (breaching, a namespace of our own): without a datapoint they would be on in their first
minute, before anything could come. The zero is one, whoever adds up what came reads none of it, and nothing is overdue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.plan import Progress, Step

if TYPE_CHECKING:
    from opslib.actions.stack_state import Touched
    from opslib.config import Environment

_SKEW, _AWS = timedelta(minutes=5), "AWS/"
_METRIC = {"Namespace", "MetricName", "Dimensions"}


def zeros(text: str, touched: Sequence[Touched], region: str) -> Iterator[Step]:
    """Yield the zeros for those alarms of a template that would be new or look at another metric, a step a namespace (cloudwatch:PutMetricData)."""
    resources = json.loads(text)["Resources"]
    found: dict[str, list[dict[str, Any]]] = {}
    for one in touched:
        other = one.action == "Add" or _METRIC & set(one.of)
        held = resources.get(one.name, {}).get("Properties", {}) if other else {}
        if held.get("TreatMissingData") == "breaching" and not held.get("Namespace", _AWS).startswith(_AWS):
            point = {"MetricName": held["MetricName"], "Dimensions": held["Dimensions"], "Value": 0.0}
            found.setdefault(held["Namespace"], []).append(point)
    for namespace, points in found.items():
        says = f"write a zero ahead of each alarm on silence ({len(points)}): it waits for the first beat instead of going on at once"  # fmt: skip
        yield Step("cloudwatch", "PutMetricData", {"Namespace": namespace, "MetricData": points}, says, "", region)


def seen(environment: Environment, step: Step, since: datetime) -> Progress:
    """Look whether alarms can see what was written (cloudwatch:GetMetricData): a new metric takes up to two minutes."""
    points = step.arguments["MetricData"]
    asked = [_query(number, step.arguments["Namespace"], point) for number, point in enumerate(points)]
    span = {"StartTime": since - _SKEW, "EndTime": aws.now(environment) + _SKEW}
    told = aws.ask(environment, "cloudwatch", "get_metric_data", region=step.region, MetricDataQueries=asked, **span)
    missing = sum(not one["Values"] for one in told["MetricDataResults"])
    said = f"{len(points) - missing} of {len(points)} zeros ahead of alarms are seen"
    return Progress("going" if missing else "done", said)


def _query(number: int, namespace: str, point: dict[str, Any]) -> dict[str, Any]:
    metric = {"Namespace": namespace, "MetricName": point["MetricName"], "Dimensions": point["Dimensions"]}
    return {"Id": f"zero{number}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "SampleCount"}}
