"""CloudWatch alarms: what ministack lacks of them; the rest is ministack's, over the states of shop_alarms."""

import importlib
from contextlib import AbstractContextManager
from typing import Any

from opslib.sandbox import alarm_store
from opslib.sandbox.metrics_reading import metric_key
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.state_files import ACCOUNT


class Alarms:
    """PutMetricAlarm, PutCompositeAlarm and DescribeAlarmsForMetric."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @operation(
        "cloudwatch",
        "PutMetricAlarm",
        modelled="metrics with statistics or percentiles, metric math, M of N, missing data, tags; the limits of periods",
        source="API reference",
        difference="alarms on anomaly detection, SQL and PromQL, and wall clock windows answer SandboxNotModelled",
        tested=(
            "test_a_stack_makes_all_of_its_resources",
            "test_a_change_is_made_in_place_and_a_broken_one_is_taken_back",
            "test_alarms_look_each_minute_on_periods_that_slide",
        ),
    )
    def put_metric_alarm(self, p: Params) -> None:
        """Make an alarm, or change it and leave its state."""
        with self._scope():
            alarm_store.put_metric_alarm(p)

    @operation(
        "cloudwatch",
        "PutCompositeAlarm",
        modelled="rules of AND, OR, NOT, AT_LEAST, ALARM, OK, INSUFFICIENT_DATA, TRUE, FALSE; actions suppressor; tags",
        source="API reference",
        tested=(
            "test_a_stack_makes_all_of_its_resources",
            "test_a_change_is_made_in_place_and_a_broken_one_is_taken_back",
        ),
    )
    def put_composite_alarm(self, p: Params) -> None:
        """Make a composite alarm, or change it; its rule is evaluated at once."""
        with self._scope():
            alarm_store.put_composite_alarm(p)

    def _scope(self) -> AbstractContextManager[None]:
        scope: Any = importlib.import_module("ministack.core.responses").request_scope
        held: AbstractContextManager[None] = scope(ACCOUNT, self._state.name)
        return held

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
        with self._scope():
            alarms = [dict(alarm) for alarm in alarm_store.cloudwatch()._alarms.values()]
        return {"MetricAlarms": [_shown(alarm) for alarm in alarms if _watches(alarm, p)]}


def _watches(alarm: dict[str, Any], p: Params) -> bool:
    wanted = metric_key(p["Namespace"], p["MetricName"], p.get("Dimensions"))
    held = metric_key(alarm.get("Namespace") or "", alarm.get("MetricName") or "", alarm.get("Dimensions"))
    also = ("Statistic", "ExtendedStatistic", "Period")
    return wanted == held and all(p.get(name) in (None, alarm.get(name)) for name in also)


def _shown(alarm: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in alarm.items() if value is not None}


APIS = (Alarms,)
