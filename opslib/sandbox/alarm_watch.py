"""CloudWatch looks at every alarm, each minute, on periods that slide: they end with the minute, whatever the clock shows.

Alarms lie in ministack, which knows no periods and no missing data: it decides composite alarms, and carries out actions.
"""

import importlib
import logging
from typing import Any

from opslib.sandbox import alarm_rules
from opslib.sandbox.agenda import Agenda
from opslib.sandbox.apis.metric_data import MetricData
from opslib.sandbox.metrics_reading import Span, metric_key, statistics
from opslib.sandbox.metrics_store import AGAIN_SECONDS, Series
from opslib.sandbox.services import Services
from opslib.sandbox.state_files import ACCOUNT

logger = logging.getLogger(__name__)


class AlarmWatch:
    """Decides alarms by our metrics and CloudWatch's rules."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._again: dict[tuple[int, int, int, int, str], dict[int, float]] = {}  # of spans in which nothing is new
        self._cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
        self._scope: Any = importlib.import_module("ministack.core.responses").request_scope

    def install(self, agenda: Agenda) -> None:
        """Look at each minute from now on, and at an alarm when it is put; ministack does not look by itself."""
        self._cloudwatch._evaluate_alarm = self._first_look
        self._cloudwatch._evaluate_all_alarms = lambda: None
        agenda.every(60, self._look_at_all)

    def _look_at_all(self, at: float) -> None:
        for region in self._services.regions():
            with self._scope(ACCOUNT, region):
                for alarm in list(self._cloudwatch._alarms.values()):
                    try:
                        self._look(alarm, region, int(at))
                    except Exception:
                        logger.exception("the sandbox failed on the alarm %s", alarm["AlarmName"])

    def _first_look(self, alarm: dict[str, Any]) -> None:
        """Look at a new alarm at once, if there is anything to see: on a clock that stands no minute would come."""
        region = self._cloudwatch.get_region()
        now = int(self._services.home.state.clock.now().timestamp())
        if alarm["StateReason"].startswith("Unchecked"):
            self._look(alarm, region, now // 60 * 60, only_seen=True)

    def _look(self, alarm: dict[str, Any], region: str, at: int, *, only_seen: bool = False) -> None:
        period = alarm_rules.period(alarm)
        points = self.points(alarm, region, at - alarm["EvaluationPeriods"] * period, at)
        change = alarm_rules.look(alarm, points, last=at - period, at=at) if points or not only_seen else None
        if change is None:
            return
        alarm_rules.apply(alarm, change)
        item = alarm_rules.history_item(alarm["AlarmName"], "MetricAlarm", change)
        self._cloudwatch._history_entries().append(item)
        self._cloudwatch._dispatch_alarm_actions(alarm, change.before, change.after, change.reason)
        self._cloudwatch._evaluate_parent_alarms(alarm)

    def series(self, alarm: dict[str, Any], region: str) -> Series | None:
        """Return the metric that an alarm watches; None when there is no data of it, and for metric math."""
        key = metric_key(alarm.get("Namespace") or "", alarm.get("MetricName") or "", alarm.get("Dimensions"))
        return self._services.region(region).metrics.get(key)

    def points(self, alarm: dict[str, Any], region: str, start: int, end: int) -> dict[int, float]:
        """Return what an alarm looks at, its metric or its metric math, by start of period from `start` on."""
        if alarm.get("Metrics"):
            return MetricData(self._services.region(region).state).of_alarm(alarm["Metrics"], start, end)
        series, name, period = self.series(alarm, region), alarm_rules.statistic(alarm), alarm_rules.period(alarm)
        if series is None or alarm.get("Unit") not in (None, series.unit):
            return {}
        metrics = self._services.region(region).metrics
        with metrics.lock:
            if not metrics.repeats(series, start, end):
                return statistics(series, Span(start, end, period, start), name)
            key = (id(series), start % AGAIN_SECONDS, end - start, period, name)
            if key not in self._again:
                found = statistics(series, Span(start, end, period, start), name)
                self._again[key] = {at - start: value for at, value in found.items()}
            return {start + later: value for later, value in self._again[key].items()}
