"""Amplify Hosting: the jobs that build and deploy the front end, their steps, and the end of a step's log."""

from __future__ import annotations

import urllib.parse
import urllib.request
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

JOBS = {"branch": "str", "job": "str", "type": "str", "status": "str", "started": "time", "finished": "time",
        "commit": "str", "message": "str"}  # fmt: skip
STEPS = {
    "step": "str",
    "status": "str",
    "started": "time",
    "finished": "time",
    "seconds": "float64",
    "reason": "str",
    "log_url": "str",
}
LONGEST = timedelta(hours=2)  # Amplify ends a build after 120 minutes at the latest
LOG_BYTES, LOG_SECONDS = 4_000_000, 8


def jobs(environment: Environment, *, window: Window, every_branch: bool = False) -> pd.DataFrame:
    """Return the jobs of the branch that customers see, or of all, that ran in the window, newest first (amplify:ListJobs).

    Columns: branch, job, type, status, commit, message str; started, finished datetime64[ns, UTC], finished NaT while it
    runs. Without `frontend` in the configuration there are none. Raises SourceError.
    """
    named = environment.frontend
    if named is None:
        return frames.made([], JOBS)
    names = (
        [
            branch["branchName"]
            for branch in aws.pages(environment, "amplify", "list_branches", "branches", appId=named.app)
        ]
        if every_branch
        else [named.branch]
    )
    rows = [row for name in names for row in _jobs_of(environment, named.app, name, window)]
    return frames.made(sorted(rows, key=lambda row: row["started"], reverse=True), JOBS)


def _jobs_of(environment: Environment, app: str, branch: str, window: Window) -> list[dict[str, Any]]:
    found = []
    for job in aws.pages(environment, "amplify", "list_jobs", "jobSummaries", appId=app, branchName=branch):
        if job["startTime"] < window.start - LONGEST:
            break  # newest first: all that follow are older
        if job["startTime"] < window.end and job.get("endTime", window.end) >= window.start:
            found.append(
                {"branch": branch, "job": job["jobId"], "type": job.get("jobType", ""), "status": job["status"], "started": job["startTime"],
                 "finished": job.get("endTime"), "commit": job.get("commitId", ""), "message": job.get("commitMessage", "")}
            )  # fmt: skip
    return found


def job_steps(environment: Environment, *, branch: str, job: str) -> pd.DataFrame:
    """Return the steps of a job in their order (amplify:GetJob).

    Columns: step, status, reason, log_url str; started, finished datetime64[ns, UTC]; seconds float64. `log_url` is a
    presigned address that lasts an hour. Raises SourceError.
    """
    app = environment.frontend.app if environment.frontend else ""
    told = aws.ask(environment, "amplify", "get_job", appId=app, branchName=branch, jobId=job)["job"]
    rows = [
        {"step": step["stepName"], "status": step["status"], "started": step.get("startTime"), "finished": step.get("endTime"),
         "seconds": _seconds(step.get("startTime"), step.get("endTime")), "reason": step.get("statusReason", ""), "log_url": step.get("logUrl", "")}
        for step in told.get("steps", [])
    ]  # fmt: skip
    return frames.made(rows, STEPS)


def steps_of(environment: Environment, *, jobs: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Return the steps of the first `most` of some jobs, as `jobs` returns them, without addresses of logs (amplify:GetJob).

    Columns: branch, job str, and those of `job_steps` but log_url; attrs left_out, how many jobs were not asked about.
    Raises SourceError.
    """
    import pandas as pd

    told = [
        job_steps(environment, branch=job.branch, job=job.job).assign(branch=job.branch, job=job.job)
        for job in jobs.head(most).itertuples()
    ]
    columns = {"branch": "str", "job": "str", **STEPS}
    found = pd.concat(told, ignore_index=True) if told else frames.made([], columns)
    found = found[list(columns)].drop(columns="log_url")
    found.attrs = {"left_out": max(0, len(jobs) - most)}
    return found


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None


def log_tail(environment: Environment, *, branch: str, job: str, lines: int = 40) -> pd.DataFrame:
    """Return the last lines of the log of a job's last step, the failed one if any (amplify:GetJob, then the presigned address).

    Columns: line str; attrs step, total. Only addresses of AWS, or of the sandbox, are fetched. Raises SourceError.
    """
    steps = job_steps(environment, branch=branch, job=job)
    failed = steps[steps["status"] == "FAILED"]
    chosen = failed if len(failed) else steps
    if not len(chosen) or not chosen["log_url"].iloc[-1]:
        raise SourceError(f"job {job} of {branch} has no log", why="no step of it has written one")
    text = _fetched(environment, str(chosen["log_url"].iloc[-1]))
    all_lines = [line for line in text.splitlines() if line.strip()]
    frame = frames.made([{"line": line} for line in all_lines[-lines:]], {"line": "str"})
    frame.attrs |= {"step": str(chosen["step"].iloc[-1]), "total": len(all_lines)}
    return frame


def failed_logs(environment: Environment, *, jobs: pd.DataFrame, most: int = 5, lines: int = 30) -> pd.DataFrame:
    """Return the last lines of the logs of the first `most` of some failed jobs, one after another (as `log_tail`).

    Columns: job, line str; attrs problems, the logs that could not be read. Raises SourceError when none could.
    """
    rows, problems = [], []
    for job in jobs.head(most).itertuples():
        try:
            tail = log_tail(environment, branch=job.branch, job=job.job, lines=lines)
            rows += [{"job": job.job, "line": line} for line in tail["line"]]
        except SourceError as error:
            problems.append(f"log of build {job.job}: {error.why or error.what}")
            if len(problems) == min(most, len(jobs)):
                raise
    found = frames.made(rows, {"job": "str", "line": "str"})
    found.attrs |= {"problems": problems}
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None  # a presigned address leads nowhere else


def _fetched(environment: Environment, url: str) -> str:
    address = urllib.parse.urlsplit(url)
    host = address.hostname or ""
    ours = environment.sandbox and host == "127.0.0.1"
    if not ours and not (address.scheme == "https" and host.endswith((".amazonaws.com", ".cloudfront.net"))):
        raise SourceError("the build's log was not fetched", why=f"{host or url!r} is no address of AWS")
    direct = [urllib.request.ProxyHandler({})] if ours else []
    try:
        with urllib.request.build_opener(_NoRedirect, *direct).open(url, timeout=LOG_SECONDS) as answer:
            return str(answer.read(LOG_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        why = f"{type(error).__name__}: {getattr(error, 'code', '') or getattr(error, 'reason', '')}"  # the address itself is a secret
        raise SourceError(
            "the build's log could not be read", why=why, fix="open the job in the Amplify console"
        ) from None
