"""What a scenario says of an incident, turned into log lines, metric changes, SQL and events that agree."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from opslib.sandbox.life import incident_jobs, incident_sql
from opslib.sandbox.life.audit import AuditRow, audit_line, request_row
from opslib.sandbox.life.deploys import deploy
from opslib.sandbox.life.job_lines import batch_lines, worker_lines
from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.log_lines import LogLine, Scribe, compact
from opslib.sandbox.life.metrics import dimensions, job_series, key, request_series
from opslib.sandbox.life.overlays import MetricChange, Overlay
from opslib.sandbox.life.rhythm import MINUTE, NOW_MS, generator, iso, milliseconds
from opslib.sandbox.life.scenarios import SCENARIOS
from opslib.sandbox.life.shop import Failure, shop
from opslib.sandbox.life.store import Series, load_facts
from opslib.sandbox.life.traffic import Request, request_ids


def overlay(name: str, directory: Path) -> Overlay:
    """Return what a scenario changes of the base life that was built into the directory; "quiet-day:7" draws its noise anew."""
    name, _, seed = name.partition(":")
    if name not in SCENARIOS:
        raise ValueError(f"There is no scenario {name!r}; there are {', '.join(SCENARIOS)}.")
    incident = Incident(name, load_facts(directory))
    incident.out.noise_seed = int(seed or 0)
    import_module(f"opslib.sandbox.life.scenarios.{name.replace('-', '_')}").unfold(incident)
    return incident.overlay()


class Incident:
    """Collects what goes wrong; `overlay()` works out everything that follows from it."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.shop = shop()
        self.rng = generator(f"incident {name}")
        self.scribe = Scribe(self.shop)
        self.facts = facts
        self.out = Overlay(name, SCENARIOS[name])
        self.before: dict[str, Request] = {request.id: request for request in facts["requests"]}
        self.changed: dict[str, Request] = {}
        self.lost: dict[str, Request] = {}
        self.runs: dict[str, JobRun] = {}
        self.clock_runs: list[JobRun] = []
        self.rescheduled: dict[str, int] = {}  # job of the clock: from when on its runs are those of the incident

    def requests(self, route: str, since: str) -> list[Request]:
        """Return the base life's requests of a route from an instant on."""
        start = milliseconds(since)
        return [request for request in self.before.values() if request.route == route and request.start >= start]

    def fail(self, request: Request, kind: str, total: int, **extra: Any) -> Request:
        """Let a request end badly: one of the base life, or a new one."""
        failure = self.shop.failures[kind]
        order = request.order or self._next("next_order") if failure.order_status else request.order
        new = replace(request, total=total, status=failure.status, failure=kind, order=order, job=0, extra=extra)
        self.changed[new.id] = new
        return new

    def failure(self, kind: str, **about: Any) -> None:
        """Name a way to fail that an ordinary day does not know; `about` as in shop.toml."""
        self.shop = replace(self.shop, failures={**self.shop.failures, kind: Failure(kind, (), 0.0, **about)})
        self.scribe.shop = self.shop

    def slow(self, request: Request, total: int) -> Request:
        """Let a request take longer, its outcome unchanged."""
        run = next((run for run in self.facts["runs"] if run.request == request.id), None)
        late = total * 9 // 10 - request.total * 9 // 10
        if run:
            moved = replace(run, queued=run.queued + late, started=run.started + late, finished=run.finished + late)
            self.runs[request.id] = moved
        self.changed[request.id] = replace(request, total=total)
        return self.changed[request.id]

    def ask(self, request: Request, start: int, inquiry: str) -> Request:
        """Let the customer of a request write to the shop; the help desk gets a ticket."""
        about = self.shop.routes["POST /contact"]
        new = replace(self.again(request, start), route=about.key, total=int(about.median_ms), status=201)
        new.extra = {"inquiry": inquiry}
        queued = new.start + new.total * 9 // 10
        self.job(new, about.job, queued, queued + 600 + new.number % 900, queued + 1300 + new.number % 1900)
        self.changed[new.id] = new
        return new

    def again(self, request: Request, start: int) -> Request:
        """Return the same customer's next attempt, not yet ended."""
        return replace(request, start=start, id=request_ids(self.rng, 1)[0], order=0, job=0, failure="", extra={})

    def more(self, request: Request, start: int) -> Request:
        """Let the same thing be asked for once more, with the same outcome."""
        new = self.again(request, start)
        self.changed[new.id] = new
        return new

    def lose(self, request: Request) -> None:
        """Let a request of the base life never arrive."""
        self.lost[request.id] = request

    def job(self, request: Request, name: str, queued: int, started: int, finished: int, **more: Any) -> JobRun:
        """Leave a job to the worker on behalf of a request."""
        detail = f'{{"order_id": {request.order}}}' if request.order else "{}"
        run = JobRun(
            name, "succeeded", queued, started, finished, request=request.id, detail=detail, id=self._next("next_job")
        )
        if finished >= NOW_MS:
            more |= {"status": "running" if started < NOW_MS else "queued", "error": "", "attempt": 1}
        self.runs[request.id] = replace(run, **more)
        request.job = run.id
        return self.runs[request.id]

    def clock_job(self, name: str, since: str, runs: list[dict[str, Any]]) -> None:
        """Replace the runs of a job of the clock from an instant on: queued and took (ms), status, error, attempt, done."""
        job = next(job for job in self.shop.raw["batch_jobs"] if job["name"] == name)
        self.rescheduled[name] = milliseconds(since)
        self.out.dropped_texts += incident_jobs.texts_of(name)
        self.clock_runs += [incident_jobs.clock_run(job, self._next("next_job"), **run) for run in runs]

    def say(self, request: Request, by: str, at: int, level: str, message: str, **more: Any) -> None:
        """Add a line to what a request leaves."""
        record = self.scribe.record(request, by, at, level) | more | {"message": message}
        self.out.lines.append(self.scribe.put(request, by, at, compact(record)))

    def note(self, by: str, at: str, level: str, message: str, stream: str, **more: Any) -> None:
        """Add a line that belongs to no request."""
        record = {"time": iso(milliseconds(at)), "level": level, "service": by} | more | {"message": message}
        self.out.lines.append((f"/shop/{by}", milliseconds(at), stream, compact(record)))

    def deploy(self, service: str, at: str, version: str, by: str, note: str) -> list[str]:
        """Deploy a service: an event, and new tasks from then on; return their streams."""
        since = milliseconds(at)
        old, new = self.shop.tasks(service), self.shop.tasks(service, 1)
        event = deploy(service, since, version, by, note) | {"streams": new}
        self.out.events.setdefault("deploys", []).append(event)
        self.out.renamed[f"/shop/{service}"] = [(since, dict(zip(old, new, strict=True)))]
        return new

    def metric(self, namespace: str, name: str, where: str, since: str, **change: Any) -> None:
        """Change a metric from an instant on: factor, add, ramp (seconds)."""
        given = (
            dimensions(where, self.shop)
            if where in self.shop.raw["dimensions"]
            else {"ClusterName": "shop", "ServiceName": where}
        )
        self.out.changes.append(MetricChange(key(namespace, name, given), milliseconds(since) // 1000, **change))

    def _next(self, counter: str) -> int:
        self.facts[counter] += 1
        return int(self.facts[counter]) - 1

    def overlay(self) -> Overlay:
        """Return all that follows."""
        if not self.changed and not self.lost:
            return self.out
        out, ordered = self.out, sorted(self.changed.values(), key=lambda request: (request.start, request.id))
        out.dropped = frozenset(self.changed | self.lost)
        first = min(request.start for request in [*ordered, *self.lost.values()])
        out.since = (min(first, *self.rescheduled.values(), NOW_MS) - 1000) // MINUTE * MINUTE
        for request in ordered:
            out.lines += self.scribe.lines(request)
            if request.id in self.runs:
                out.lines += worker_lines(self.runs[request.id], request, self.scribe)
        for run in self.clock_runs:
            out.lines += batch_lines(run, self.shop)
        rows = self._audit(ordered, out.lines)
        for name, since in self.rescheduled.items():
            out.sql += incident_jobs.forget(name, since)
        out.sql += incident_sql.clock_jobs(self.clock_runs)
        out.sql += incident_sql.without(list(self.lost))
        out.sql += incident_sql.statements(ordered, self.before, self.runs, rows, self.shop) if ordered else []
        self._recount()
        return out

    def _audit(self, ordered: list[Request], lines: list[LogLine]) -> list[tuple[int, AuditRow]]:
        traces = {request.id: request.trace for request in ordered}
        rows = [_elsewhere(row, request) for request in ordered if (row := request_row(request, self.shop))]
        rows = sorted(row for row in rows + incident_jobs.audit_rows(self.clock_runs, self.shop) if row[0] < NOW_MS)
        numbered = [(self._next("next_audit"), row) for row in rows]
        lines += [audit_line(number, row, traces) for number, row in numbered]
        return numbered

    def _recount(self) -> None:
        """Make anew the metrics that are sums over requests and jobs."""
        requests = [request for request in (self.before | self.changed).values() if request.id not in self.lost]
        kept = [run for run in self.facts["runs"] if run.queued < self.rescheduled.get(run.job, NOW_MS)]
        runs = [run for run in kept if run.request not in self.out.dropped] + [*self.runs.values(), *self.clock_runs]
        for name, series in (request_series(requests, self.shop) | job_series(runs, MINUTE)).items():
            self.out.replaced[name] = _from(series, self.out.since // 1000)


def _elsewhere(row: AuditRow, request: Request) -> AuditRow:
    """Return the row with the address, browser and detail that the incident gives its request, if it does."""
    columns, places = row[1].split("\t"), {"ip": 5, "agent": 6, "detail": -1}
    for name, place in places.items():
        columns[place] = request.extra.get(name, columns[place])
    return row[0], "\t".join(columns)


def _from(series: Series, since: int) -> Series:
    first = int(np.searchsorted(series.timestamps, since))
    names = ("timestamps", "period", "count", "sum", "min", "max", "quantiles")
    return Series(series.unit, *(None if (part := getattr(series, name)) is None else part[first:] for name in names))
