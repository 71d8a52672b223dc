"""Runs of a job of the clock as an incident has them: instead of those of the base life from an instant on."""

import json
from collections.abc import Iterable
from typing import Any

from opslib.sandbox.life.audit import AuditRow, audit_row
from opslib.sandbox.life.incident_sql import literal
from opslib.sandbox.life.jobs import JobRun
from opslib.sandbox.life.rhythm import iso
from opslib.sandbox.life.shop import Shop

ENDED = ("succeeded", "failed")


def clock_run(job: dict[str, Any], number: int, queued: int, took: int, **more: Any) -> JobRun:
    """Return a run of a job of the clock; `done` is how far it came."""
    detail = {"title": job["title"], "unit": job["unit"], "done": more.pop("done", 0)}
    return JobRun(
        job["name"], more.pop("status", "succeeded"), queued, queued + 800, queued + 800 + took,
        detail=json.dumps(detail, ensure_ascii=False), id=number, **more,
    )  # fmt: skip


def texts_of(job: str) -> tuple[str, str]:
    """Return what the lines of a job of the clock hold, in its own group and in the audit group."""
    return f'"name":"{job}"', f'"actor":"batch:{job}"'


def forget(job: str, since: int) -> list[str]:
    """Return the SQL that takes away what the base life has of a job from an instant on."""
    at = literal(iso(since))
    return [
        f"delete from job_runs where job_name = {literal(job)} and queued_at >= {at}",
        f"delete from audit_logs where actor = {literal('batch:' + job)} and at >= {at}",
    ]


def audit_rows(runs: Iterable[JobRun], shop: Shop) -> list[AuditRow]:
    """Return the audit rows that ended runs leave."""
    agent, rows = shop.raw["agents"]["system"], []
    for run in runs:
        if run.status in ENDED:
            ip = f"{shop.raw['networks']['batch']}{sum(run.job.encode()) % 200 + 10}"
            outcome = "success" if run.status == "succeeded" else "failure"
            actor, target = f"batch:{run.job}", str(run.id)
            rows.append(audit_row(
                run.finished, actor, "system", "job.run", "job_run", target, ip, agent, outcome, r"\N", "{}",
            ))  # fmt: skip
    return rows
