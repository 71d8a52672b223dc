"""CloudWatch alarms: what ministack lacks of them; the rest is ministack's, over the states of shop_alarms."""

import importlib
from typing import Any

from opslib.sandbox.metrics_reading import metric_key
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.state_files import ACCOUNT


class AlarmsOfMetric:
    """DescribeAlarmsForMetric."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation(
        "cloudwatch",
        "DescribeAlarmsForMetric",
        modelled="namespace, name and exactly the dimensions; Statistic, ExtendedStatistic, Period",
        source="API reference",
        difference="alarms on metric math are not found by their metrics",
        tested=("test_alarms_of_a_metric",),
    )
    def describe_alarms_for_metric(self, p: Params) -> dict[str, Any]:
        """Answer the alarms that watch one metric."""
        cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
        scope: Any = importlib.import_module("ministack.core.responses").request_scope
        with scope(ACCOUNT, self._state.name):
            alarms = [dict(alarm) for alarm in cloudwatch._alarms.values()]
        return {"MetricAlarms": [_shown(alarm) for alarm in alarms if _watches(alarm, p)]}


def _watches(alarm: dict[str, Any], p: Params) -> bool:
    wanted = metric_key(p["Namespace"], p["MetricName"], p.get("Dimensions"))
    held = metric_key(alarm.get("Namespace") or "", alarm.get("MetricName") or "", alarm.get("Dimensions"))
    also = ("Statistic", "ExtendedStatistic", "Period")
    return wanted == held and all(p.get(name) in (None, alarm.get(name)) for name in also)


def _shown(alarm: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in alarm.items() if value is not None}


APIS = (AlarmsOfMetric,)
