"""What changed: deploys, builds, scaling, configuration, maintenance, in one table over all sources that can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.sources import amplify, audit, autoscaling, cloudfront, ecs, elasticache, rds
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.run import Fact, Run

BEFORE = timedelta(hours=3)
CHANGES = {"at": "time", "began": "time", "component": "str", "kind": "str", "what": "str", "by": "str", "ref": "str"}
LATE = timedelta(minutes=3)  # an onset is known to a few minutes
LONG_AGO = timedelta(minutes=60)
ACTS = {"staff_imports": "*.import", "staff_settings": "setting.*"}  # what staff do that changes how the shop works
_ROUTINE = ("backup",)  # what RDS does each night


def fetches(run: Run, window: Window) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what to ask for about the window and the three hours before, each under the name that it is kept by."""
    env, wide = run.environment, Window(window.start - BEFORE, window.end, window.zone)
    acts = ACTS if env.database else {}
    return {
        "deployments": partial(ecs.deployments, env, window=wide),
        "builds": partial(amplify.jobs, env, window=wide),
        "scaling": partial(autoscaling.activities, env, window=wide),
        "database_events": partial(rds.events, env, window=wide),
        "cache_events": partial(elasticache.events, env, window=wide),
        "distribution": partial(cloudfront.distribution, env),
        "invalidations": partial(cloudfront.invalidations, env, most=20),
        **{name: partial(audit.rows, env, window=wide, action=action, most=500) for name, action in acts.items()},
    }


def as_table(environment: Environment, facts: Mapping[str, Fact], window: Window) -> pd.DataFrame:
    """Return what the sources that answered tell of the window and the three hours before, newest first.

    Columns: at (a deployment that succeeded: its end), began datetime64[ns, UTC]; component, kind, what, by, ref str. A source without an answer adds no row.
    """
    rows: list[dict[str, Any]] = []
    for name, read in _READERS.items():
        fact = facts.get(name)
        if fact is not None and fact.frame is not None:
            rows += [row for row in map(partial(read, environment), fact.frame.to_dict("records")) if row]
    start = window.start - BEFORE
    kept = [row for row in rows if row["at"] == row["at"] and start <= row["at"] < window.end]
    return frames.made(sorted(kept, key=lambda row: row["at"], reverse=True), CHANGES)


def suspects(
    changes: pd.DataFrame,
    *,
    component: str,
    onset: Any,
    calls: Mapping[str, Sequence[str]],
    within: timedelta = LONG_AGO,
) -> pd.DataFrame:
    """Return the changes that may have caused what began at `onset` in a component, the likeliest first.

    Those of the hour before (`within`), and of three minutes after as an onset is not known better; nearer in time and
    in the call graph is likelier. What began before and ended after was at work when it began.
    """
    ahead = (onset - changes["at"]).dt.total_seconds()
    ahead = ahead.where((changes["began"] > onset) | (ahead > 0), 0.0)
    near = changes[(ahead >= -LATE.total_seconds()) & (ahead <= within.total_seconds())]
    distance = near["component"].map(lambda other: _distance(component, str(other), calls))
    order = (ahead.loc[near.index].abs() / (within.total_seconds() / 6) + 2.0 * distance).sort_values(kind="stable")
    return near.loc[order.index]


def _distance(component: str, other: str, calls: Mapping[str, Sequence[str]]) -> int:
    """Return 0 for the same component, 1 for one that calls it or is called by it, 2 for all else."""
    if component == other:
        return 0
    return 1 if other in calls.get(component, ()) or component in calls.get(other, ()) else 2


def _deployment(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    reason = f": {row['reason']}" if row["reason"] else ""
    version = str(row["image"]).rsplit("/", 1)[-1] or row["task_definition"]
    return _change(row["at"], row["service"], "deploy", f"{version} ({row['status']}{reason})", row["id"]) | {
        "began": row["started"]
    }


def _build(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    what = f"build {row['job']} of {row['branch']} {row['status']}: {row['message']}"
    ended = row["finished"] == row["finished"] and row["finished"] is not None
    change = _change(row["finished"] if ended else row["started"], "frontend", "build", what, row["commit"][:12])
    return change | {"began": row["started"]}


def _scaling(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    sizes = (
        f"{row['from']:.0f} to {row['to']:.0f} tasks"
        if row["to"] == row["to"] and row["from"] == row["from"]
        else "tasks"
    )
    return _change(row["at"], row["service"], "scaling", f"{sizes}: {row['cause']}", "")


def _database(environment: Environment, row: dict[str, Any]) -> dict[str, Any]:
    if row["category"] in _ROUTINE:
        return {}
    named = environment.database
    component = "replica" if named and row["instance"] in named.replicas else "database"
    return _change(row["at"], component, row["category"] or "event", row["message"], row["instance"])


def _cache(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    return _change(row["at"], "cache", "event", row["message"], row["node"])


def _distribution(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    what = f"the distribution was changed; its cache policy is {row['cache_policy']} now"
    return _change(row["last_modified"], "cdn", "configuration", what, row["distribution"])


def _invalidation(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    return _change(row["created"], "cdn", "invalidation", f"invalidation {row['status']}", row["id"])


def _act(_: Environment, row: dict[str, Any]) -> dict[str, Any]:
    what = f"{row['target_type'] or ''} {row['target_id'] or ''} by {row['actor']}".strip()
    return _change(row["at"], "", str(row["action"]), what, str(row["request_id"] or "")) | {"by": str(row["actor"])}


def _change(at: Any, component: str, kind: str, what: str, ref: str) -> dict[str, Any]:
    return {"at": at, "began": at, "component": component, "kind": kind, "what": what, "by": "", "ref": ref}


_READERS: dict[str, Callable[[Environment, dict[str, Any]], dict[str, Any]]] = {
    "deployments": _deployment,
    "builds": _build,
    "scaling": _scaling,
    "database_events": _database,
    "cache_events": _cache,
    "distribution": _distribution,
    "invalidations": _invalidation,
    **dict.fromkeys(ACTS, _act),
}
