"""Application Auto Scaling of the ECS services: their limits, and what was scaled when and why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws, frames

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

BEFORE = timedelta(days=2)  # how far back we look for what a service was scaled from
TARGETS = {"service": "str", "minimum": "int64", "maximum": "int64", "suspended": "str"}
ACTIVITIES = {"at": "time", "service": "str", "from": "float64", "to": "float64", "cause": "str", "status": "str"}
_COUNT = re.compile(r"desired count to (\d+)")


def targets(environment: Environment) -> pd.DataFrame:
    """Return the services that scale by themselves (application-autoscaling:DescribeScalableTargets).

    Columns: service str; minimum, maximum int64; suspended str, the kinds of scaling that are switched off.
    Raises SourceError.
    """
    rows = []
    for each in _asked(environment, "describe_scalable_targets", "ScalableTargets"):
        off = [
            kind.removesuffix("Suspended") for kind, is_off in sorted(each.get("SuspendedState", {}).items()) if is_off
        ]
        rows.append(
            {"service": _service(each), "minimum": each["MinCapacity"], "maximum": each["MaxCapacity"], "suspended": ", ".join(off)}
        )  # fmt: skip
    return frames.made(rows, TARGETS)


def activities(environment: Environment, *, window: Window) -> pd.DataFrame:
    """Return what was scaled in the window, newest first (application-autoscaling:DescribeScalingActivities; six weeks).

    Columns: at datetime64[ns, UTC]; service, cause, status str; from, to float64: tasks wanted before and after, NaN
    where the activities do not tell. Raises SourceError.
    """
    rows: list[dict[str, Any]] = []
    for each in _asked(environment, "describe_scaling_activities", "ScalingActivities"):
        if each["StartTime"] < window.start - BEFORE:
            break  # newest first: all that follow are older
        count = _COUNT.search(each.get("Description", ""))
        later = next((row for row in reversed(rows) if row["service"] == _service(each)), None)
        if later is not None and count and later["from"] is None:
            later["from"] = int(count[1])
        rows.append({"at": each["StartTime"], "service": _service(each), "from": None, "to": int(count[1]) if count else None,
                     "cause": each.get("Cause", ""), "status": each.get("StatusCode", "")})  # fmt: skip
    return frames.made([row for row in rows if window.start <= row["at"] < window.end], ACTIVITIES)


def _asked(environment: Environment, operation: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield what concerns the configured cluster: one account may have several."""
    cluster = environment.services.cluster
    if not cluster:
        return
    found = aws.pages(environment, "application-autoscaling", operation, key, ServiceNamespace="ecs")
    yield from (each for each in found if each.get("ResourceId", "").startswith(f"service/{cluster}/"))


def _service(each: dict[str, Any]) -> str:
    return str(each["ResourceId"].rpartition("/")[2])
