"""What the daily report says of each component: against its baseline, its limits, and what its own checks say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opslib.checks import database_disk, database_verdict, frontend_signals, frontend_story, jobs, service_story
from opslib.checks.database_story import storage
from opslib.checks.request_story import shortened
from opslib.checks.wording import listed, local
from opslib.result import Verdict
from opslib.runbooks.first_look import FELT
from opslib.runbooks.first_look_story import Story, amount
from opslib.sources.metric_queries import Metric, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from opslib.checks import job_story
    from opslib.run import Fact, Run
    from opslib.window import Window

LONGEST = 170  # characters of what one check says
LASTING = 3  # points beyond a limit before it counts
WORST = [Verdict.CRITICAL, Verdict.WARN, Verdict.UNKNOWN, Verdict.OK]
# What is said of a component that is as usual.
TELLING = {
    "load-balancer": ("TargetResponseTime p90", "5XX share"), "database": ("DBLoad", "DatabaseConnections"), "replica": ("ReplicaLag",),
    "cache": ("CacheHitRate", "Evictions"), "cdn": ("CacheHitRate", "5xxErrorRate"), "frontend": ("Latency p90", "5XXErrors"),
    "dns": ("HealthCheckPercentageHealthy",), "jobs": ("JobsFailed",), "": ("CPUUtilization", "MemoryUtilization"),
}  # fmt: skip
SUSPECT_OF = {"dns": "dns", "cdn": "edge", "frontend": "build"}
Opinion = tuple[Verdict, str]


@dataclass(frozen=True)
class Line:
    """One row of the report: a component, how bad, what is said, what else explains it, whether it is over."""

    component: str
    verdict: Verdict
    sentence: str
    symptom_of: str = ""
    past: bool = False


@dataclass(frozen=True)
class Look:
    """What the report was drawn from. `recent` is the last hour, in which what is off now is looked for."""

    run: Run
    window: Window
    recent: Window
    facts: Mapping[str, Fact]
    measured: pd.DataFrame  # a row each five minutes, what is counted by the minute
    usual: pd.DataFrame  # the same of last week, under the same times
    story: Story | None
    jobs: job_story.Story | None
    logs: Fact | None = None  # why a service is off, where one is

    @cached_property
    def metrics(self) -> dict[tuple[str, str], Metric]:
        """Return the metrics of the environment by component and name."""
        return {(one.component, one.metric): one for one in table(self.run.environment)}

    @cached_property
    def services(self) -> pd.DataFrame | None:
        """Return the judgement of each service."""
        told, stopped, deployed = (self.facts[name].frame for name in ("services", "stopped_tasks", "deployments"))
        if told is None or stopped is None or deployed is None:
            return None
        last = deployed.groupby("service").head(1)  # newest first: what was mended since is no news
        load = self.measured.tail(2) if len(self.measured) else None
        return service_story.read(told, stopped, last, load, window=self.window, now=self.run.now, said={})

    @cached_property
    def readings(self) -> dict[str, frontend_story.Reading]:
        """Return what speaks against DNS, edge and build in the last hour."""
        known: dict[str, Any] = {name: fact.frame for name, fact in self.facts.items() if fact.frame is not None}
        frames: dict[str, Any] = {name: known[name] for name in ("distribution", "health") if name in known}
        if "builds" in known:
            frames["amplify_jobs"] = known["builds"]
        found = frontend_signals.findings(self.measured, self.usual, window=self.recent) if len(self.measured) else []
        return frontend_story.readings(frames, found, window=self.recent)

    def lines(self) -> list[Line]:
        """Return a line for each component that is configured, in the order of the metrics' table."""
        found = [self._line(name) for name in dict.fromkeys(component for component, _ in self.metrics)]
        return [
            self._with_symptoms(line, [other for other in found if other.symptom_of == line.component])
            for line in found
        ]

    def _with_symptoms(self, line: Line, symptoms: list[Line]) -> Line:
        """What a component does to others makes it as urgent as they are."""
        if not symptoms:
            return line
        verdict = min([line.verdict, *(other.verdict for other in symptoms)], key=WORST.index)
        return replace(line, verdict=verdict, sentence=f"{line.sentence}{self._blamed(line.component)}")

    def _blamed(self, name: str) -> str:
        """Return the change just before, for the likeliest cause."""
        story = self.story
        if story is None or story.cause is None or story.cause["component"] != name or not len(story.suspects):
            return ""
        return f"; just before: {story.suspect_text(short=True)}"

    def _line(self, name: str) -> Line:
        off, symptom_of = self._off(name)
        now = off or self._limits(name)
        past = [] if now else self._past(name)
        opinions = sorted([*now, *self._own(name), *past], key=lambda one: WORST.index(one[0]))
        if opinions:
            only_past = bool(past) and all(one in past for one in opinions)
            return Line(
                name,
                opinions[0][0],
                listed([shortened(text, LONGEST) for _, text in opinions], 3),
                symptom_of,
                only_past,
            )
        if name not in self.measured.columns.get_level_values(0):
            reason = self.facts["metrics"].error
            return Line(
                name, Verdict.UNKNOWN, f"not seen: {reason.what if reason else 'CloudWatch has no point of it'}"
            )
        return Line(name, Verdict.OK, self._calm(name))

    def _off(self, name: str) -> tuple[list[Opinion], str]:
        """Return what the ranking found off in the last hour, and which component explains it."""
        if self.story is None:
            return [], ""
        mine = self.story.off[self.story.off["component"] == name]
        if not len(mine):
            return [], ""
        row = mine.iloc[0]
        felt = any(
            (name, metric) in FELT for component, metric, *_ in self.story.ranked.attrs["off"] if component == name
        )
        told = self.story.amounts(name, row["metric"], row["since"])
        text = f"off since about {local(row['since'], self.recent)}: {row['metric']} {told}".strip()
        if row["symptom_of"]:
            text = f"symptom of {row['symptom_of']}, {text}"
        return [(Verdict.CRITICAL if felt else Verdict.WARN, text)], str(row["symptom_of"])

    def _limits(self, name: str) -> list[Opinion]:
        """Return which metric stands beyond its limit now."""
        for metric in self._limited(name):
            column = self.measured[name, metric.metric].dropna()
            for verdict, limit in ((Verdict.CRITICAL, metric.critical), (Verdict.WARN, metric.warn)):
                if (
                    limit is not None
                    and len(column) >= LASTING
                    and _beyond(column.tail(LASTING), limit, metric.bad).all()
                ):
                    now = amount(float(column.iloc[-1]), metric.unit)
                    return [(verdict, f"{metric.metric} is {now}, beyond the limit of {amount(limit, metric.unit)}")]
        return []

    def _past(self, name: str) -> list[Opinion]:
        """Return the last stretch in which a metric stood beyond its limit, where it did not last week, and that is over."""
        for metric in self._limited(name):
            column, limit = self.measured[name, metric.metric], metric.warn
            if limit is None:
                continue
            before = self.usual.get((name, metric.metric), column * 0)
            over = _beyond(column, limit, metric.bad) & ~_beyond(
                before.rolling(7, center=True, min_periods=1).median(), limit, metric.bad
            )
            held = over.rolling(LASTING).sum() == LASTING
            inside = held[held & (held.index >= self.window.start)]
            if len(inside):
                last = inside.index[-1]
                first = over[:last][~over[:last]].index
                began = over.index[over.index > first[-1]][0] if len(first) else over.index[0]
                when = f"{local(began, self.window)} to {local(last, self.window)}"
                return [
                    (Verdict.WARN, f"{metric.metric} was beyond {amount(limit, metric.unit)} from {when}; over now")
                ]
        return []

    def _limited(self, name: str) -> list[Metric]:
        return [one for (component, metric), one in self.metrics.items()
                if component == name and one.warn is not None and (name, metric) in self.measured.columns]  # fmt: skip

    def _own(self, name: str) -> list[Opinion]:
        """Return what the checks of the component's own kind say."""
        found: list[Opinion] = []
        if self.services is not None and len(self.services):
            mine = self.services[self.services["service"] == name]
            found += [
                (Verdict(row.verdict), f"{row.state}: {row.why}") for row in mine.itertuples() if row.verdict != "ok"
            ]
        if name in SUSPECT_OF:
            reading = self.readings[SUSPECT_OF[name]]
            found += [(reading.verdict, listed(reading.said, 2))] if reading.said else []
        if name == "jobs" and self.jobs is not None:
            verdict, sentence = jobs.conclusion(self.jobs, runs=self._runs(), window=self.window)
            said = sentence.removeprefix(jobs.LOOK).rstrip(".")
            found += [(verdict, said)] if verdict is not Verdict.OK else []
        return found + self._database(name)

    def _database(self, name: str) -> list[Opinion]:
        database = self.run.environment.database
        if name not in ("database", "replica") or database is None:
            return []
        of = {database.instance} if name == "database" else set(database.replicas)
        found = [
            (verdict, text)
            for verdict, text in database_verdict.status_clauses(self.facts["instances"])
            if text.split()[0] in of
        ]
        free = self._column(name, "FreeStorageSpace")
        if free is not None:
            size = database_disk.size_of(self.facts["instances"], next(iter(of)))
            found += database_verdict.storage_clauses(storage(free), size)
        lag = self._column("replica", "ReplicaLag") if name == "replica" else None
        if lag is not None:
            found += database_verdict.lag_clauses(lag, None, ", ".join(of), self.recent)
        return found

    def _column(self, component: str, metric: str) -> Any:
        return self.measured[component, metric] if (component, metric) in self.measured.columns else None

    def _runs(self) -> int:
        frame = self.facts["job_runs"].frame
        return 0 if frame is None else len(frame)

    def _calm(self, name: str) -> str:
        """Return the telling numbers of the day against the same day of last week."""
        if name == "jobs" and self.jobs is not None:
            return (
                jobs.conclusion(self.jobs, runs=self._runs(), window=self.window)[1]
                .removeprefix(jobs.NOTHING)
                .rstrip(".")
            )
        said = []
        for metric in TELLING.get(name, TELLING[""]):
            column = self._column(name, metric)
            if column is not None:
                unit = self.metrics[name, metric].unit
                before = self.usual.get((name, metric))
                known = before is not None and before.notna().any()
                was = f", usually {amount(_middle(before), unit).removesuffix(f' {unit}')}" if known else ""
                said.append(f"{metric} {amount(_middle(column), unit)}{was}")
        return f"as usual: {'; '.join(said)}" if said else "as usual"


def _middle(column: pd.Series[float]) -> float:
    middle = float(column.median())
    return middle if middle else float(column.mean())


def _beyond(column: Any, limit: float, bad: str) -> Any:
    return column <= limit if bad == "low" else column >= limit
