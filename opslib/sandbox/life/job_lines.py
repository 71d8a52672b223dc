"""The lines of job runs in /shop/worker, /shop/notifier and /shop/batch."""

import hashlib
from collections.abc import Iterator
from typing import Any

from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.log_lines import LogLine, Scribe, compact
from opslib.sandbox.life.rhythm import NOW_MS, iso
from opslib.sandbox.life.shop import Shop, placeholders
from opslib.sandbox.life.traffic import Request


def worker_lines(run: JobRun, request: Request, scribe: Scribe) -> Iterator[LogLine]:
    """Yield what the worker and the notifier write about a run."""
    job = scribe.shop.raw["worker_jobs"][run.job]
    facts = {"order": request.order, **request.extra}

    def line(by: str, at: int, level: str, message: str, **more: Any) -> LogLine:
        record = {"time": iso(at), "level": level, "service": by, "request_id": request.id, "trace_id": request.trace}
        record |= {"user_id": request.user} if request.user else {}
        record |= {"job": {"id": run.id, "name": run.job, "attempt": more.pop("attempt", run.attempt)}}
        return scribe.put(request, by, at, compact(record | more | {"message": message}))

    if run.status == "queued":
        return
    for number, (began, ended) in enumerate(run.attempts(), start=1):
        yield line("worker", began, "info", f"job started: {run.job} ({job['title']})", attempt=number)
        if run.status == "running":
            return
        if number < run.attempt or run.status == "failed":
            what = f"attempt {number} of 3 failed" + ("" if number == run.attempt else "; it will be tried again")
            more = _error(job, facts) | {"attempt": number, "duration_ms": ended - began}
            yield line("worker", ended, "error", what, **more)
    if run.status == "failed":
        yield line("worker", run.finished, "error", f"job failed for good: {run.job} ({job['title']})")
        return
    yield line("worker", run.finished, "info", f"job succeeded: {run.job}", duration_ms=run.finished - run.started)
    sent = run.finished + 60 + request.number % 240
    if "mail" in job and sent < NOW_MS:
        subject = placeholders(job["mail"]) % facts
        yield line("notifier", sent, "info", f"メールを送信しました: {subject}", duration_ms=40 + request.number % 180)


def _error(job: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    message = placeholders(job["error"]) % facts
    kind = message.split(":")[0].rsplit(".", 1)[-1]
    error = {"kind": kind, "message": message, "stack": job["stack"].strip("\n")}
    return {"error": error} | ({"wait": facts["job_wait"]} if "job_wait" in facts else {})


def batch_lines(run: JobRun, shop: Shop) -> Iterator[LogLine]:
    """Yield what one run of a job of the clock writes; each run is a task of its own."""
    job = next(job for job in shop.raw["batch_jobs"] if job["name"] == run.job)
    stream = f"batch/{run.job}/{hashlib.sha256(f'{run.job} {run.queued}'.encode()).hexdigest()[:12]}"
    done = int(run.detail.rsplit(" ", 1)[1].rstrip("}"))
    if run.status == "queued":
        return

    def line(at: int, level: str, message: str, **more: Any) -> LogLine:
        record: dict[str, Any] = {"time": iso(at), "level": level, "service": "batch"}
        record |= {"job": {"id": run.id, "name": run.job, "attempt": run.attempt}}
        return "/shop/batch", at, stream, compact(record | more | {"message": message})

    yield line(run.started, "info", f"job started: {run.job} ({job['title']})")
    for part in (1, 2):
        at = run.started + (run.finished - run.started) * part // 3
        if at < NOW_MS:
            yield line(at, "info", f"{job['title']}: {done * part // 2:,} {job['unit']}", done=done * part // 2)
    took = {"duration_ms": run.finished - run.started}
    if run.status == "succeeded":
        yield line(run.finished, "info", f"job succeeded: {run.job}: {done:,} {job['unit']}", **took)
    elif run.status == "failed":
        kind, _, text = run.error.partition(": ")
        where = '  File "/app/shop/jobs/run.py", line 52, in main\n    job.run()'
        trace = f"Traceback (most recent call last):\n{where}\n{run.error}"
        yield "/shop/batch", run.finished - 3, stream, trace
        error = {"kind": kind, "message": text, "stack": trace}
        yield line(run.finished, "error", f"job failed: {run.job} ({job['title']})", error=error, **took)
