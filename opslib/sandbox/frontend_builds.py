"""The builds of the shop's Amplify app: those of the life, and those that are started here; their state follows the clock."""

import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.sandbox.region_state import RegionState

APP = "d2shopexample"
REPOSITORY = "https://github.com/hinata-market/shop-web"
QUEUE, USUAL, DEPLOY = timedelta(seconds=20), timedelta(seconds=220), timedelta(seconds=25)
NPM_FAILED = (
    "npm error code ECONNRESET",
    "npm error network request for package next failed, reason: socket hang up",
)


@dataclass
class Build:
    """One job; `seconds` is how long it runs if nobody stops it, `cause` the last lines of its log when it fails."""

    branch: str
    id: int
    started: datetime
    seconds: float
    commit: str
    message: str
    kind: str = "RELEASE"
    fails_in: str = ""  # BUILD or DEPLOY
    cause: tuple[str, ...] = ()
    stopped: datetime | None = None
    queue: timedelta = field(default=QUEUE)
    serves: str = ""  # old: the site goes on with the build before; broken: it fails when it is served

    @property
    def end(self) -> datetime:
        """Return when it ends, or ended."""
        return self.stopped or self.started + timedelta(seconds=self.seconds)

    def status(self, now: datetime) -> str:
        """Return the job's status at an instant."""
        if now >= self.end:
            return "CANCELLED" if self.stopped else "FAILED" if self.fails_in else "SUCCEED"
        return "PENDING" if now < self.started + self.queue else "RUNNING"

    def steps(self, now: datetime) -> list[tuple[str, datetime, datetime, str]]:
        """Return (name, start, end, status) of the steps that have begun."""
        begins = self.started + self.queue
        if self.stopped and self.stopped <= begins:
            return []
        built = self.end if self.fails_in == "BUILD" or self.stopped else max(begins, self.end - DEPLOY)
        found = []
        for name, start, end in (("BUILD", begins, built), ("DEPLOY", built, self.end)):
            if now < start or (name == "DEPLOY" and (self.fails_in == "BUILD" or self.stopped)):
                break
            ended = now >= end
            failed = "CANCELLED" if self.stopped else "FAILED" if self.fails_in == name else "SUCCEED"
            found.append((name, start, end if ended else now, failed if ended else "RUNNING"))
        return found

    def log(self, step: str) -> str:
        """Return what a step wrote."""
        lines = [f"# Cloning repository: {REPOSITORY}", f"# Switching to commit: {self.commit}", f"# {self.message}"]
        lines += ["# Retrieved cache", "# Starting phase: preBuild", "# Executing command: npm ci"]
        if step == "DEPLOY":
            lines = ["# Starting deployment", "# Uploading build artifacts"]
        if self.fails_in == step:
            lines += [*self.cause, f"!!! {step.title()} failed", "!!! Error: Command failed with exit code 1"]
        elif step == "BUILD":
            lines += [
                "added 812 packages in 21s",
                "# Executing command: npm run build",
                "Compiled successfully",
                "# Completed phase: build",
            ]
        else:
            lines += ["# Deployment successfully completed"]
        at = self.started + self.queue
        return "".join(
            f"{at + timedelta(seconds=n):%Y-%m-%dT%H:%M:%S.000Z} [INFO]: {line}\n" for n, line in enumerate(lines)
        )


class Builds:
    """All jobs of the app, and its settings."""

    def __init__(self, state: RegionState) -> None:
        self.state = state
        self.environment: dict[str, str] = {
            "NEXT_PUBLIC_API": "https://www.shop.example/api",
            "NODE_OPTIONS": "--max-old-space-size=6144",
        }
        self.build_spec = ""
        self.branch_settings: dict[str, dict[str, Any]] = {}
        self.jobs = [_of_life(event) for event in state.events.get("amplify_builds", [])]

    def of(self, branch: str) -> list[Build]:
        """Return a branch's jobs, newest first."""
        return sorted((job for job in self.jobs if job.branch == branch), key=lambda job: -job.id)

    @property
    def branches(self) -> list[str]:
        """Return the branches, main first."""
        return sorted({"main", *(job.branch for job in self.jobs)}, key=lambda name: (name != "main", name))

    def start(self, branch: str, kind: str, retried: Build | None, said: str = "") -> Build:
        """Start a job: the newest commit of the branch, or that of an earlier job; a broken commit breaks again."""
        source = retried or next(iter(self.of(branch)), None)
        told = self.state.take("build", branch=branch)
        broken = source.fails_in if source and source.cause not in ((), NPM_FAILED) else ""
        fails_in = told if told in ("BUILD", "DEPLOY") else "" if told else broken
        commit = source.commit if source else hashlib.sha1(branch.encode()).hexdigest()
        message = said or (source.message if source else "first build")
        log = tuple(self.state.take("build_log", branch=branch).splitlines())
        cause = () if not fails_in else source.cause if source and broken else log or NPM_FAILED
        seconds = 1900.0 if told == "slow" else 95.0 if fails_in == "BUILD" else USUAL.total_seconds()
        number = max((job.id for job in self.jobs), default=0) + 1
        made = Build(branch, number, self.state.clock.now(), seconds, commit, message, kind, fails_in, cause)
        made.serves = self.state.take("site", branch=branch)
        self.jobs.append(made)
        return made

    def log_url(self, job: Build, step: str) -> str:
        """Return where a step's log lies; on AWS a presigned URL of S3, here the gateway's own."""
        return f"http://127.0.0.1:{os.environ.get('GATEWAY_PORT', '0')}/_sandbox/build-log?job={job.id}&step={step}"


def _of_life(event: dict[str, Any]) -> Build:
    started, ended = (datetime.fromisoformat(event[name]).astimezone(UTC) for name in ("started", "finished"))
    failed = event["status"] == "FAILED"
    cause = tuple(event.get("cause", NPM_FAILED)) if failed else ()
    fails_in = event.get("fails_in", "BUILD") if failed else ""
    seconds, kind = (ended - started).total_seconds(), event.get("type", "RELEASE")
    return Build(
        event["branch"], int(event["id"]), started, seconds, event["commit"], event["message"], kind, fails_in, cause
    )
