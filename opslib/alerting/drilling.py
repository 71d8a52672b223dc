"""A drill of an environment's alerts: what must come of it, by each topic to each sink, in its region and in us-east-1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opslib import plan as plans
from opslib.actions import alert_drill
from opslib.alerting.alarms import GLOBAL
from opslib.alerting.delivery import SINKS, TOPICS, drill_alarm
from opslib.errors import ParameterError

if TYPE_CHECKING:
    from opslib.plan import Plan
    from opslib.run import Run


def drill(run: Run, *, region: str = "") -> Plan:
    """Plan a drill that proves the way from an alarm and an event to Slack and PagerDuty and back, in one region or both.

    Raises ParameterError for a region without alerts, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    known = list(dict.fromkeys((run.environment.region, GLOBAL)))
    if region and region not in known:
        raise ParameterError(
            f"there are no alerts in {region}", fix=f"choose {' or '.join(known)}, or leave region empty"
        )
    regions = [region] if region else known
    parts = [part for each in regions for part in _parts(each)]
    return alert_drill.drill(run, alarm=drill_alarm(run.environment), regions=regions, parts=parts)


def _parts(region: str) -> Iterator[dict[str, Any]]:
    """Yield the alarm and its end by both topics and the event by the calm one; of that one PagerDuty's function sends none."""
    for sink, (topics, _) in SINKS.items():
        for topic in topics:
            states = [alert_drill.ON, alert_drill.OFF] + [alert_drill.EVENT] * (topic == "Alerts")
            sent = sink == "Slack" or topic == "Critical"
            for state in states:
                yield {"region": region, "sink": sink.lower(), "topic": TOPICS[topic], "state": state, "sent": sent}
