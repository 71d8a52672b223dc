"""Builds the base life: requests first, then everything that follows from them."""

import gc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opslib.sandbox.life import audit, deploys, history, jobs, metrics, staff, tables, traffic
from opslib.sandbox.life.job_lines import batch_lines, worker_lines
from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.log_lines import LogLine, Scribe
from opslib.sandbox.life.rhythm import HOUR, LOGS_START, NOW_MS
from opslib.sandbox.life.shop import GROUPS, Shop, shop
from opslib.sandbox.life.store import Life, group_log, save
from opslib.sandbox.life.traffic import Request

Progress = Callable[[str, float], None]
FACTS_FROM = NOW_MS - 3 * HOUR


def _silent(what: str, share: float) -> None:
    """Report nothing."""


def _number_orders(requests: Iterable[Request], first: int, given: Shop) -> int:
    """Give an order id to every checkout that got as far as a draft; return the next one."""
    for request in requests:
        failure = given.failures.get(request.failure)
        if given.routes[request.route].target == "order" and (failure is None or failure.order_status):
            request.order = first
            first += 1
    return first


def request_logs(requests: Iterable[Request], runs: dict[str, JobRun], scribe: Scribe) -> Iterable[LogLine]:
    """Yield the lines of requests and of the worker jobs that they left."""
    for request in requests:
        yield from scribe.lines(request)
        if request.id in runs:
            yield from worker_lines(runs[request.id], request, scribe)


def build(directory: Path, progress: Progress = _silent, *, scale: float = 1.0) -> None:
    """Write the base life into the directory; equal bytes each time."""
    collecting = gc.isenabled()
    gc.disable()  # a million rows and no cycles: the collector would take a third of the time
    try:
        _build(directory, progress, scale)
    finally:
        if collecting:
            gc.enable()


def _build(directory: Path, progress: Progress, scale: float) -> None:
    given = shop()
    (directory / "tables").mkdir(parents=True, exist_ok=True)
    progress("requests", 0.0)
    customers = traffic.customer_requests(scale, given)
    audited = sum(1 for request in customers if given.routes[request.route].audit)
    clocked = jobs.batch_runs(scale, given)
    first = given.raw["shop"]["first_order"]
    acts = staff.staff_actions(scale, round(127_000 * scale), given)
    wanted = round(given.raw["shop"]["audit_rows"] * scale)
    known = audited + sum(run.status in ("succeeded", "failed") for run in clocked) + len(acts)
    past = history.past(max(0, wanted - known), given)
    requests = sorted(customers + staff.staff_requests(acts), key=lambda request: (request.start, request.id))
    next_order = _number_orders(requests, first + int((past.order > 0).sum()), given)
    runs = clocked + jobs.past_worker_runs(past, given) + jobs.recent_worker_runs(requests, given)
    jobs.number_runs(runs, requests)
    progress("tables", 0.15)
    _write_tables(directory / "tables", past, requests, runs, given)
    progress("audit log", 0.3)
    others = audit.other_rows(requests, acts, runs, given)
    traces = {request.id: request.trace for request in requests}
    audit_lines = list(audit.write(directory / "tables" / "audit_logs.copy", past, others, given, traces))
    progress("logs", 0.7)
    logs = _logs(requests, runs, audit_lines, given)
    progress("metrics", 0.9)
    events = deploys.events()
    life = Life(logs, metrics.base(requests, runs, given), events)
    save(directory, life, _facts(requests, runs, next_order, len(past.at) + len(others), scale))
    progress("done", 1.0)


def _write_tables(
    directory: Path, past: history.Past, requests: list[Request], runs: list[JobRun], given: Shop
) -> None:
    tables.write_users(directory, past, requests, given)
    tables.write_products(directory, given)
    tables.write_orders(directory, tables.all_orders(past, requests, given), given)
    tables.write_job_runs(directory, runs)
    (directory / "order.txt").write_text("\n".join(tables.TABLES) + "\n")


def _logs(requests: list[Request], runs: list[JobRun], audit_lines: list[LogLine], given: Shop) -> dict[str, Any]:
    by_group: dict[str, list[LogLine]] = {name: [] for name in GROUPS}
    by_group["/shop/audit"] = audit_lines
    recent = {run.request: run for run in runs if run.request and run.queued >= LOGS_START}
    for line in request_logs(requests, recent, Scribe(given)):
        by_group[line[0]].append(line)
    for run in runs:
        if not run.request and run.started >= LOGS_START:
            by_group["/shop/batch"] += batch_lines(run, given)
    return {
        name: group_log(name, (line for line in lines if line[1] < NOW_MS)) for name, lines in by_group.items()
    }  # fmt: skip


def _facts(
    requests: list[Request], runs: list[JobRun], next_order: int, audit_rows: int, scale: float
) -> dict[str, Any]:
    recent = [request for request in requests if request.start >= FACTS_FROM]
    names = {request.id for request in recent}
    return {
        "requests": recent,
        "runs": [run for run in runs if run.request in names or run.finished >= FACTS_FROM],
        "next_order": next_order, "next_job": len(runs) + 1, "next_audit": audit_rows + 1, "scale": scale,
    }  # fmt: skip
