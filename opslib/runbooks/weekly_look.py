"""What the weekly report sees: each component's numbers against the week before, what moved, and the change beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from opslib.checks import changes, week_to_week
from opslib.checks.week_to_week import Move, Runway
from opslib.checks.wording import local
from opslib.runbooks.first_look_story import amount
from opslib.sources import metrics
from opslib.sources.metric_queries import Metric, table

if TYPE_CHECKING:
    from opslib.run import Fact, Run
    from opslib.window import Window

# What a week is told by, in the order that is shown; "" is every service. Percentiles are those the alarms stand on.
SHOWN = {
    "load-balancer": ("RequestCount", "TargetResponseTime p50", "TargetResponseTime p90", "TargetResponseTime p99", "5XX share"),
    "": ("CPUUtilization", "MemoryUtilization", "RestartCount"),
    "database": ("CPUUtilization", "DBLoad", "DatabaseConnections", "ReadLatency p90", "WriteLatency p90", "FreeableMemory", "FreeStorageSpace"),
    "replica": ("ReplicaLag", "CPUUtilization", "DBLoad", "FreeStorageSpace"),
    "cache": ("CacheHitRate", "Evictions", "EngineCPUUtilization", "DatabaseMemoryUsagePercentage"),
    "cdn": ("Requests", "5xxErrorRate", "CacheHitRate", "OriginLatency p90"),
    "frontend": ("Requests", "Latency p90", "5XXErrors"),
    "dns": ("TimeToFirstByte", "HealthCheckPercentageHealthy"),
    "jobs": ("JobsEnded", "JobsFailed"),
}  # fmt: skip
# Shares are added up by what they are shares of; the cache's look-ups follow from its misses.
SHARE_OF = {("load-balancer", "5XX share"): "RequestCount", ("cdn", "CacheHitRate"): "Requests", ("cdn", "5xxErrorRate"): "Requests"}  # fmt: skip
# What is too little to tell, in the metric's unit (of what is counted: an hour).
LEAST = {"percent": 2.0, "seconds": 0.02, "milliseconds": 20.0, "sessions": 0.2, "connections": 5.0, "bytes": 1e9, "keys": 20.0, "responses": 10.0}  # fmt: skip
LEAST_OF = {"5XX share": 0.2, "5xxErrorRate": 0.2, "ReplicaLag": 1.0, "ReadLatency p90": 0.002, "WriteLatency p90": 0.002}  # fmt: skip
LIMITS = {
    "FreeStorageSpace": 0.0,
    "MaximumUsedTransactionIDs": 2.0e9,
}  # beyond the table's critical limit: where it ends
NEARING = (
    "MemoryUtilization", "FreeStorageSpace", "DatabaseConnections", "MaximumUsedTransactionIDs", "DatabaseMemoryUsagePercentage",
)  # fmt: skip
HOLE = 2  # hours without a point that nobody need be told of
BESIDE, MOST_BESIDE = timedelta(hours=2), 3  # an onset is known to the hour, and may come an hour after its cause
MADE = "deploy|build|configuration|setting"  # kinds of changes that people make
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Row:
    """One metric of one component: the window's whole figure, that of the week before, and the move if it is no noise."""

    of: Metric
    now: float
    before: float
    move: Move | None

    @property
    def worse(self) -> bool:
        """Tell whether it moved in the direction that is bad."""
        rise = self.move is not None and self.move.now > self.move.before
        return self.move is not None and bool(self.of.bad) and rise == (self.of.bad == "high")

    @property
    def size(self) -> float:
        """Return how far it moved, up and down alike."""
        assert self.move is not None
        return abs(math.log(min(max(1 + self.move.share, 1e-3), 1e3)))

    def figures(self) -> tuple[str, str]:
        """Return both figures for a table: the week before, and this one; nobody takes sessions for anything else."""
        was, is_ = (self._amount(value).removesuffix(f" {self.of.unit}") for value in (self.before, self.now))
        return was, is_

    def change(self) -> str:
        """Return by how much the whole figure differs: points of a percentage, else the share."""
        if self.now != self.now or self.before != self.before:
            return "–"
        by = self.now - self.before
        if self.of.unit == "percent":
            return f"{by:+.1f} points" if abs(by) >= 0.05 else "as before"
        share = by / self.before if self.before else float("inf") if by else 0.0
        return "new" if share == float("inf") else f"{100 * share:+.0f} %" if abs(share) >= 0.005 else "as before"

    def text(self) -> str:
        """Return how it moved: "p90 rose 39 % to 460 ms"."""
        assert self.move is not None
        verb = "rose" if self.move.now > self.move.before else "fell"
        was, is_ = self._amount(self.move.before), self._amount(self.move.now)
        if self.of.unit == "percent" or self.move.share == float("inf"):
            return f"{self.of.metric} {verb} from {was} to {is_}"
        return f"{self.of.metric} {verb} {100 * abs(self.move.share):.0f} % to {is_}"

    def levels(self, window: Window) -> str:
        """Return the move in a cell: "331 ms to 457 ms since 11-03 15:00"; empty when there is none."""
        if self.move is None:
            return ""
        since = "" if self.move.since is None else f" since {window.local(self.move.since):%m-%d %H:%M}"
        return f"{self._amount(self.move.before)} to {self._amount(self.move.now)}{since}"

    def _amount(self, value: float) -> str:
        return f"{value:.2f} %" if self.of.metric in LEAST_OF and self.of.unit == "percent" else amount(value, self.of.unit)  # fmt: skip


@dataclass(frozen=True)
class Week:
    """What the report was drawn from; `now` and `before` have a row an hour under the same times."""

    run: Run
    window: Window
    back: timedelta
    facts: Mapping[str, Fact]
    now: pd.DataFrame
    before: pd.DataFrame

    @cached_property
    def rows(self) -> dict[tuple[str, str], Row]:
        """Return the rows of what is shown, by component and metric, in that order."""
        named = {(one.component, one.metric): one for one in table(self.run.environment)}
        order = [
            (name, metric)
            for name in dict.fromkeys(component for component, _ in named)
            for metric in SHOWN.get(name, SHOWN[""])
        ]
        return {key: self._row(named[key]) for key in order if key in named and key in self.now.columns}

    @cached_property
    def changed(self) -> pd.DataFrame:
        """Return what was deployed, built or set in the window, newest first."""
        return changes.as_table(self.run.environment, self.facts, self.window)

    def components(self) -> list[str]:
        """Return the components that are configured, in the order of the metrics' table."""
        return list(dict.fromkeys(one.component for one in table(self.run.environment)))

    def of(self, *names: str) -> list[Row]:
        """Return the rows of some components."""
        return [row for (component, _), row in self.rows.items() if component in names]

    def beside(self, row: Row) -> pd.DataFrame:
        """Return the changes that lie at a row's move, the likeliest first; none when it has no moment."""
        if row.move is None or row.move.since is None:
            return self.changed.head(0)
        found = changes.suspects(
            self.changed[self.changed["kind"].str.match(MADE)], component=row.of.component, onset=row.move.since + HOUR,
            calls=self.run.environment.services.calls, within=BESIDE,
        )  # fmt: skip
        return found.head(MOST_BESIDE)

    def told(self, rows: list[Row], *, beside: bool = True) -> str:
        """Return how some metrics of a component moved, since when the first of them did, and what changed beside that."""
        first = rows[0]
        assert first.move is not None
        since = "" if first.move.since is None else f" since about {local(first.move.since, self.window)}"
        near = [
            f"{change['kind']} of {change['component'] or change['what']} ({self.window.local(change['at']):%H:%M})"
            for _, change in self.beside(first).iterrows()
        ]
        more = f" and {len(rows) - MOST_BESIDE} more" if len(rows) > MOST_BESIDE else ""
        said = ", ".join(row.text() for row in rows[:MOST_BESIDE])
        return f"{said}{more}{since}" + (f", beside {', '.join(near)}" if near and beside else "")

    def moved(self, name: str, *, worse: bool) -> list[Row]:
        """Return the metrics of a component that got worse, or better, what moved most first."""
        rows = [row for row in self.of(name) if row.move and row.of.bad and row.worse == worse]
        return sorted(rows, key=lambda row: -row.size)

    def hole(self, name: str, frame: pd.DataFrame) -> int:
        """Return how many hours a component told nothing in."""
        ours = [key for key in self.rows if key[0] == name]
        return (
            int(frame.reindex(columns=pd.MultiIndex.from_tuples(ours)).isna().all(axis=1).sum()) if ours else len(frame)
        )

    def runways(self) -> list[tuple[Metric, Runway]]:
        """Return what nears its limit, over both weeks: the soonest first."""
        whole = pd.concat([self.before.set_axis(self.before.index - self.back), self.now])
        found = []
        for one in table(self.run.environment):
            limit = LIMITS.get(one.metric, 100.0 if one.unit == "percent" else one.critical)
            if one.metric in NEARING and limit is not None and (one.component, one.metric) in whole.columns:
                left = week_to_week.runway(whole[one.component, one.metric], limit=limit)
                found += [(one, left)] if left is not None else []
        return sorted(found, key=lambda pair: pair[1].days)

    def _row(self, one: Metric) -> Row:
        key = (one.component, one.metric)
        now, before = self.now[key], self.before[key]
        least = LEAST_OF.get(one.metric, LEAST.get(one.unit, 0.0))
        return Row(one, self._figure(one, self.now), self._figure(one, self.before), _move(one, now, before, least))

    def _figure(self, one: Metric, frame: pd.DataFrame) -> float:
        column = frame[one.component, one.metric]
        if metrics.is_sum(one):
            return float(column.sum(min_count=1))
        if one.metric == "FreeStorageSpace":
            return float(column.dropna().iloc[-1]) if column.notna().any() else float("nan")
        if one.unit != "percent" or one.metric.endswith("Utilization"):
            return float(column.median())
        return week_to_week.weighted(column, _weights(one, frame))


def named(change: Any) -> str:
    """Return a change in a few words: "deploy of api (shop-api:2026.11.03-10)"."""
    version = str(change["what"]).split(" (")[0] if change["kind"] == "deploy" else ""
    return f"{change['kind']} of {change['component']}" + (f" ({version})" if version else "")


def _weights(one: Metric, frame: pd.DataFrame) -> pd.Series[float] | None:
    """Return what a share is a share of, by the hour."""
    if (one.component, one.metric) == ("cache", "CacheHitRate"):
        missed = 1 - frame["cache", "CacheHitRate"] / 100
        return frame["cache", "CacheMisses"] / missed.where(missed > 0)
    whole = (one.component, SHARE_OF.get((one.component, one.metric), ""))
    return frame[whole] if whole in frame.columns else None


def _move(one: Metric, now: pd.Series[float], before: pd.Series[float], least: float) -> Move | None:
    """Return the move; a rate that should be high is judged by what it lacks, as 98 to 96 % doubles the misses."""
    if metrics.is_sum(one) and not before.median() and not now.median():
        return week_to_week.rarely(now, before, least=least)
    if one.unit != "percent" or one.bad != "low":
        return week_to_week.move(now, before, least=least)
    lacks = week_to_week.move(100 - now, 100 - before, least=least)
    return lacks and Move(lacks.since, 100 - lacks.before, 100 - lacks.now, lacks.share, lacks.spread)
