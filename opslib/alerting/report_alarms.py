"""The alarms of dead men: each scheduled report that came says so by a metric, and its silence is an alarm."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from opslib import cron
from opslib.alerting.alarms import ALERTS, Alarm, metric_alarm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opslib.config import Environment
    from opslib.config_sections import Schedule

NAMESPACE, SUCCESS, OVERDUE = "Ops/Reports", "Success", "Overdue"
_HOUR, _FEW = timedelta(hours=1), timedelta(minutes=5)
LATEST = timedelta(hours=1)  # after its time, tries and all
MOST = timedelta(days=7)  # an alarm looks back no further
WATCHED = timedelta(hours=26)  # so often at least somebody looks for rare reports: daily, and two hours late


def report_alarms(environment: Environment, schedules: Iterable[Schedule]) -> list[Alarm]:
    """Return one alarm a schedule, on when its report does not come; it acts on `ops-alerts`.

    They count datapoints: a new one waits for its first report since a zero is written ahead of it (`stack_alarms`).
    """
    return [_alarm(environment, schedule) for schedule in schedules]


def gap(environment: Environment, schedule: Schedule) -> timedelta:
    """Return the longest time between two of its reports."""
    return cron.longest_gap(schedule.cron, environment.zone, since=datetime(2026, 1, 1, tzinfo=UTC))


def is_rare(environment: Environment, schedule: Schedule) -> bool:
    """Tell whether reports come less often than an alarm looks back.

    Then each call of `opslib run --due` says whether one is overdue, and the alarm is on when it is, or nobody says so.
    """
    return gap(environment, schedule) + LATEST + _HOUR > MOST  # and the hour under way


def unwatched(environment: Environment, schedules: Sequence[Schedule]) -> bool:
    """Tell whether one is rare and none comes daily, also at weekends: then nobody would look whether it is overdue."""
    rare = any(is_rare(environment, one) for one in schedules)
    return rare and all(gap(environment, one) + LATEST > WATCHED for one in schedules)


def alarm_name(environment: Environment, name: str) -> str:
    """Return the name of the alarm of a report's silence."""
    return f"{environment.name}-report-{name}"


def _alarm(environment: Environment, schedule: Schedule) -> Alarm:
    silent = gap(environment, schedule) + LATEST
    period = _HOUR if silent > timedelta(days=1) or gap(environment, schedule) >= _HOUR else _FEW
    count = math.ceil(silent / period) + 1  # the period under way has no datapoint yet
    say = f"No report {schedule.name} for {_words(count * period)}: nobody looks. Look why: opslib run --due {schedule.name}"
    row = {
        "ns": NAMESPACE, "metric": SUCCESS, "stat": "SampleCount", "period": int(period.total_seconds()), "op": "<", "threshold": 1, "m": count, "n": count,
        "missing": "breaching", "component": "reports", "severity": "error", "runbook": schedule.notebook.removesuffix(".ipynb"), "say": say,
    }  # fmt: skip
    if is_rare(environment, schedule):
        say = f"Report {schedule.name} is overdue, or for {_words(WATCHED)} nobody looked whether it is: opslib run --due {schedule.name}"
        row |= {
            "metric": OVERDUE,
            "stat": "Minimum",
            "period": 3600,
            "op": ">=",
            "m": WATCHED // _HOUR,
            "n": WATCHED // _HOUR,
            "say": say,
        }
    name = alarm_name(environment, schedule.name)
    dimensions = {"Environment": environment.name, "Report": schedule.name}
    properties = metric_alarm(name, row, dimensions, environment.name, ALERTS)
    return Alarm(name, environment.region, "reports", "error", properties, row)


def _words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} h" if hours >= 2 else f"{hours * 60:.0f} min"
