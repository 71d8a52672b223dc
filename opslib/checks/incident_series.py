"""What is measured around an incident as one wide frame: metrics, errors in the logs, tasks that died, builds that failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.sources import error_counts, metrics
from opslib.sources.metric_queries import table
from opslib.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from opslib.config import Environment
    from opslib.run import Fact, Run

HISTORY, GUARD = timedelta(hours=4), timedelta(minutes=20)  # the baseline: until a little before the incident's window
UNSETTLED = timedelta(minutes=2)  # CloudWatch's newest minutes are not whole yet
SEASONS = {"yesterday": timedelta(days=1), "last_week": timedelta(days=7)}
FINE = timedelta(hours=8)  # a longer window is read by five minutes
# Load comes from the callers: where only this is off, the caller that is off is the cause.
LOAD = re.compile(
    r"Request|Bytes|Connection(?!Error)|CacheMisses|CPUUtilization|Desired|DeploymentCount|IOPS|Allowance|JobsEnded"
)
# What no callee can do to a component: where this is off, the component is no mere symptom.
OWN = re.compile(
    r"CacheHitRate|HealthCheck|MemoryUtilization|RestartCount|tasks that died|builds|FreeStorage|Evictions|ReplicaLag"
)
_DATABASE = re.compile(
    r"psycopg|postgres|PSQL|SQLSTATE|QueryCanceled|row lock|lock timeout|deadlock|statement timeout|connection slots|too many clients|relation \"|HikariPool",
    re.I,
)
_REPLICA = re.compile(r"replica|standby|conflict with recovery|recovery conflict", re.I)
_CACHE = re.compile(r"redis|memcache|elasticache|\bcache\b|CacheUnavailable", re.I)
_FAILING = re.compile(r"time.?out|timed out|did not answer|unavailable|refused|reset|unreachable|\b50[0-9]\b", re.I)
INFRASTRUCTURE = {"database", "replica", "cache", "cdn", "frontend", "dns", "load-balancer", "jobs"}
MIXED = ("jobs", "JobDuration p90")  # of jobs of all kinds: it tells which ran, not whether they are slow
TRAFFIC, FAILED = ("load-balancer", "RequestCount"), ("load-balancer", "HTTPCode_Target_5XX_Count")
SHARES, FEW = (("load-balancer", "5XX share"), ("cdn", "5xxErrorRate")), 4.0  # errors in ten minutes
CALM_EXITS = ("ServiceSchedulerInitiated", "UserInitiated")


def span(incident: Window) -> Window:
    """Return the stretch that is read: the incident's window and the hours before it."""
    return Window(incident.start - HISTORY, incident.end, incident.zone)


def baseline(incident: Window) -> Window:
    """Return what the incident is compared with, beside the same hours of yesterday and of last week."""
    return Window(incident.start - HISTORY, incident.start - GUARD, incident.zone)


def fetches(run: Run, incident: Window) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what to ask for, each under the name that it is kept by."""
    period = 60 if incident.seconds <= FINE.total_seconds() else 300
    whole = span(incident)
    around = Window(incident.start - timedelta(hours=1), incident.end, incident.zone)
    asked: dict[str, Callable[[], pd.DataFrame]] = {
        "metrics": partial(metrics.series, run.environment, window=whole, period=period)
    }
    for name, back in SEASONS.items():
        then = Window(around.start - back, around.end - back, around.zone)
        asked[f"metrics_{name}"] = partial(metrics.series, run.environment, window=then, period=period)
    asked["errors"] = partial(
        error_counts.by_minute, run, window=Window(incident.start - HISTORY / 2, incident.end, incident.zone)
    )
    return asked


def assembled(run: Run, facts: Mapping[str, Fact], incident: Window) -> pd.DataFrame:
    """Return the wide frame for the ranking, whatever of the facts there is.

    Index: minutes, UTC; columns MultiIndex (component, metric). attrs: bad (per column: high, low), load and own (sets
    of columns), period.
    """
    import pandas as pd

    known = [facts[name].frame for name in ("metrics_last_week", "metrics_yesterday", "metrics")]
    wide = [frame for frame in known if frame is not None]
    series = pd.concat(wide) if wide else _empty(incident)
    series = series[~series.index.duplicated(keep="last")].sort_index()
    since = pd.Timestamp(incident.start - HISTORY)
    told = facts["errors"].frame
    first = max(since, pd.Timestamp(told.attrs["since"])) if told is not None else since
    for name, frame in _events_as_series(run.environment, facts).items():
        if frame is not None and len(frame):
            series = _joined(series, frame, since=first if name == "errors" else since)
    if MIXED in series.columns:
        series = series.drop(columns=[MIXED])
    series = _enough(_in_proportion(series, incident))
    newest = min(incident.end, run.now - UNSETTLED)
    series = series[series.index < newest]
    series.attrs = _about(run.environment, series)
    return series


def _in_proportion(series: pd.DataFrame, incident: Window) -> pd.DataFrame:
    """Take warnings down where there are more customers than in the baseline: a wrong password is one in so many."""
    import numpy as np

    if TRAFFIC not in series.columns:
        return series
    base = baseline(incident)
    calm = series.loc[(series.index >= base.start) & (series.index < base.end), TRAFFIC].median()
    more = (series[TRAFFIC].rolling(15, min_periods=1).mean() / max(float(calm), 1.0)).clip(lower=1.0).fillna(1.0)
    for column in [column for column in series.columns if column[1].startswith("warnings ")]:
        series[column] = np.rint(series[column] / more)
    return series


def _enough(series: pd.DataFrame) -> pd.DataFrame:
    """Take the share of errors for none where it is of very few: at night one error in a minute is a hundred percent."""
    if FAILED in series.columns:
        few = series[FAILED].fillna(0.0).rolling(10, min_periods=1).sum() < FEW
        for column in [column for column in SHARES if column in series.columns]:
            series[column] = series[column].mask(few & series[column].notna(), 0.0)
    return series


def _empty(incident: Window) -> pd.DataFrame:
    import pandas as pd

    index = pd.date_range(span(incident).start, incident.end, freq="min", inclusive="left")
    return pd.DataFrame(index=index, columns=pd.MultiIndex.from_tuples([], names=["component", "metric"]))


def _joined(series: pd.DataFrame, counts: pd.DataFrame, *, since: Any) -> pd.DataFrame:
    """Add counted events (at, component, metric, count) as series: 0 where nothing was counted."""
    rows = series.index[series.index >= since]
    if not len(rows):
        return series
    step = rows[1] - rows[0] if len(rows) > 1 else timedelta(minutes=1)
    counts = counts.assign(at=counts["at"].dt.floor(step))
    added = counts.pivot_table(index="at", columns=["component", "metric"], values="count", aggfunc="sum")
    return series.join(added.reindex(rows).fillna(0.0))


def _events_as_series(environment: Environment, facts: Mapping[str, Fact]) -> dict[str, pd.DataFrame | None]:
    known = {name: fact.frame for name, fact in facts.items() if fact.frame is not None}
    return {
        "errors": _errors(environment, known["errors"]) if "errors" in known else None,
        "tasks": _died(known["stopped_tasks"]) if "stopped_tasks" in known else None,
        "builds": _broken_builds(environment, known["builds"]) if "builds" in known else None,
    }


def _errors(environment: Environment, errors: pd.DataFrame) -> pd.DataFrame | None:
    if not len(errors):
        return None
    return errors.assign(at=errors["minute"], count=errors["lines"].astype(float), component=attributed(environment, errors),
                         metric=[error_name(row) for row in errors.itertuples()])  # fmt: skip


def error_name(row: Any) -> str:
    """Return how a kind of error is called among the metrics."""
    what = row.kind or (f"in job {row.job}" if row.job else "without a kind")
    return f"{'warnings' if row.level.startswith('WARN') else 'errors'} {what}"


def attributed(environment: Environment, errors: pd.DataFrame) -> list[str]:
    """Return the component that each kind of error speaks of: what it names as failing, else the one that wrote it."""
    outside = third_parties(environment)
    return [_speaks_of(row, outside) for row in errors.itertuples()]


def third_parties(environment: Environment) -> list[str]:
    """Return what the services call that is neither a service nor a part of the environment."""
    called = {name for below in environment.services.calls.values() for name in below}
    return sorted(called - set(environment.services.names) - INFRASTRUCTURE)


def _speaks_of(row: Any, outside: list[str]) -> str:
    said = f"{row.kind} {row.said} {row.waited}"
    if not row.level.startswith("WARN"):
        if _FAILING.search(said) and (
            named := next((name for name in outside if name.split("-")[0] in said.lower()), "")
        ):
            return named
        for component, words in (("replica", _REPLICA), ("database", _DATABASE), ("cache", _CACHE)):
            if words.search(said):
                return component
    return "jobs" if row.job else str(row.service)


def _died(stopped: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks that did not stop because somebody wanted it."""
    bad = stopped[
        ~stopped["stop_code"].isin(CALM_EXITS)
        | stopped["reason"].str.contains("OutOfMemory|OOM|unhealthy|failed", case=False)
    ]
    return bad.assign(at=bad["stopped"], component=bad["service"], metric="tasks that died", count=3.0)


def _broken_builds(environment: Environment, builds: pd.DataFrame) -> pd.DataFrame | None:
    """Return the minutes in which the last finished build of the customers' branch was one that failed."""
    import pandas as pd

    branch = environment.frontend.branch if environment.frontend else ""
    ended = builds[(builds["branch"] == branch) & builds["finished"].notna()].sort_values("finished")
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(ended.itertuples()):
        if row.status == "FAILED":
            until = ended["finished"].iloc[number + 1] if number + 1 < len(ended) else row.finished + timedelta(hours=3)
            minutes = pd.date_range(
                row.finished.floor("min"), min(until, row.finished + timedelta(hours=3)), freq="min"
            )
            rows += [
                {"at": minute, "component": "frontend", "metric": "builds that failed", "count": 4.0}
                for minute in minutes
            ]
    return pd.DataFrame(rows) if rows else None


def _about(environment: Environment, series: pd.DataFrame) -> dict[str, Any]:
    bad: dict[tuple[str, str], str] = {
        (each.component, each.metric): each.bad for each in table(environment) if each.bad
    }
    counted = [
        (c, m) for c, m in series.columns if m.startswith(("errors ", "warnings ", "tasks that died", "builds that"))
    ]
    own = {(c, m) for c, m in series.columns if OWN.search(m)} | {
        (c, m) for c, m in counted if m.startswith("warnings ")
    }
    own |= {
        (c, m) for c, m in counted if c == "jobs" and m != "errors without a kind" and not m.startswith("errors in job")
    }
    services = {*environment.services.names, "load-balancer", "cdn", "frontend", "cache"}
    load = {(c, m) for c, m in series.columns if LOAD.search(m) and c in services}
    return {"bad": bad | dict.fromkeys(counted, "high"), "load": load, "own": own}
