"""Runs of jobs: those of the clock in batch, those that requests leave to the worker."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opslib.sandbox.life.history import Past
from opslib.sandbox.life.rhythm import DAY, HISTORY_START, JAPAN, MINUTE, NOW_MS, Ints, durations, generator
from opslib.sandbox.life.shop import Shop
from opslib.sandbox.life.traffic import Request

RETRY_MS = 15_000


@dataclass(slots=True)
class JobRun:
    """One run of a job, as its row in job_runs says."""

    job: str
    status: str
    queued: int
    started: int
    finished: int
    attempt: int = 1
    request: str = ""
    error: str = ""
    detail: str = "{}"
    id: int = 0

    def attempts(self) -> list[tuple[int, int]]:
        """Return when each attempt began and ended."""
        span, last = self.finished - self.started, self.attempt - 1
        pause = min(RETRY_MS, span * 2 // 5 // last) if last else 0
        length = (span - pause * last) // self.attempt
        return [
            (self.started + n * (length + pause), self.started + n * (length + pause) + length) for n in range(last + 1)
        ]


def _due(job: dict[str, Any]) -> Ints:
    """Return when a job of the clock is due."""
    first = (HISTORY_START + JAPAN) // DAY * DAY - JAPAN
    if "every" in job:
        due = np.arange(first + job["offset"] * MINUTE, NOW_MS, job["every"] * MINUTE, dtype=np.int64)
    else:
        hour, minute = map(int, job["at"].split(":"))
        due = np.arange(first + (60 * hour + minute) * MINUTE, NOW_MS, DAY, dtype=np.int64)
        due = due[np.isin(((due + JAPAN) // DAY + 3) % 7, job["days"])]
    return due[due >= HISTORY_START]


def batch_runs(scale: float, shop: Shop) -> list[JobRun]:
    """Return the runs of all jobs of the clock in 120 days; of a small life, every tenth at least."""
    runs, every = [], min(10, max(1, round(1 / scale)))
    for job in shop.raw["batch_jobs"]:
        rng = generator(f"batch {job['name']}")
        due = _due(job)[::-every][::-1]
        length = durations(rng.random(len(due)), job["median_s"] * 1000.0, job["p99_s"] * 1000.0)
        delay = 300 + (rng.random(len(due)) * 1800).astype(np.int64)
        luck, amount = rng.random(len(due)), (rng.random(len(due)) * 2400 + 200).astype(np.int64)
        for at, wait, took, share, done in zip(
            due.tolist(), delay.tolist(), length.tolist(), luck.tolist(), amount.tolist(), strict=True
        ):
            status = "failed" if share < job["fail_p"] else "succeeded"
            if at + wait + took > NOW_MS - 1000:
                status = "running" if at + wait < NOW_MS else "queued"
            done = done // 2 if status == "failed" else done
            detail = json.dumps({"title": job["title"], "unit": job["unit"], "done": done}, ensure_ascii=False)
            error = job["error"] if status == "failed" else ""
            runs.append(JobRun(job["name"], status, at, at + wait, at + wait + took, 1, "", error, detail))
    return runs


def worker_runs(purpose: str, name: str, asked: Sequence[tuple[int, str, str]], shop: Shop) -> list[JobRun]:
    """Return the runs of one worker job for (enqueued at, request id, detail)."""
    job, rng, count = shop.raw["worker_jobs"][name], generator(f"{purpose} {name}"), len(asked)
    low, high = job["delay_ms"]
    delays = (low + (high - low) * rng.random(count) ** 2).astype(np.int64).tolist()
    lengths = durations(rng.random(count), job["median_ms"], job["p99_ms"]).tolist()
    runs = []
    for (at, request, detail), delay, length, share in zip(
        asked, delays, lengths, rng.random(count).tolist(), strict=True
    ):
        failed = share < job["fail_p"]
        tries = 3 if failed else 2 if share < job["fail_p"] + job["retry_p"] else 1
        started, finished = at + delay, at + delay + length * tries + RETRY_MS * (tries - 1)
        status, error = ("failed", job["error"]) if failed else ("succeeded", "")
        if finished >= NOW_MS:
            status, error, tries = ("running" if started < NOW_MS else "queued"), "", 1
        runs.append(JobRun(name, status, at, started, finished, tries, request, error, detail))
    return runs


def past_worker_runs(past: Past, shop: Shop) -> list[JobRun]:
    """Return the worker's runs for what customers did before the kept logs."""
    runs = []
    for index, route in enumerate(past.routes):
        if not route.job:
            continue
        rows = np.nonzero((past.route == index) & past.succeeded)[0]
        asked = [
            (at, past.request_id(row), f'{{"order_id": {order}}}' if order else "{}")
            for row, at, order in zip(rows.tolist(), past.at[rows].tolist(), past.order[rows].tolist(), strict=True)
        ]
        runs += worker_runs("past", route.job, asked, shop)
    return runs


def recent_worker_runs(requests: Iterable[Request], shop: Shop) -> list[JobRun]:
    """Return the worker's runs for the requests of the kept logs."""
    asked: dict[str, list[tuple[int, str, str]]] = {}
    for request in requests:
        job = shop.routes[request.route].job
        if job and not request.failure:
            detail = f'{{"order_id": {request.order}}}' if request.order else "{}"
            asked.setdefault(job, []).append((request.start + request.total * 9 // 10, request.id, detail))
    return [run for name in sorted(asked) for run in worker_runs("recent", name, asked[name], shop)]


def number_runs(runs: list[JobRun], requests: Iterable[Request]) -> None:
    """Give the runs their ids in the order of their queueing, and tell the requests."""
    runs.sort(key=lambda run: (run.queued, run.job, run.request))
    for number, run in enumerate(runs, start=1):
        run.id = number
    by_request = {run.request: run.id for run in runs if run.request}
    for request in requests:
        request.job = by_request.get(request.id, 0)
