"""Amplify Hosting: the app, its branches and jobs that take their minutes."""

from datetime import timedelta
from typing import Any

from opslib.sandbox.frontend_builds import APP, REPOSITORY, Build, Builds
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.region_state import RegionState
from opslib.sandbox.service_errors import ServiceError
from opslib.sandbox.state_files import ACCOUNT, REGION

API = "API reference"
ARN = f"arn:aws:amplify:{REGION}:{ACCOUNT}:apps/{APP}"
RUNNING = ("PENDING", "RUNNING")


class AmplifyApi:
    """The one app of the shop, in its own region."""

    def __init__(self, state: RegionState) -> None:
        self._state = state

    @property
    def _builds(self) -> Builds:
        return self._state.part(Builds)

    def _app(self, p: Params) -> Builds:
        if self._state.name != REGION or p.get("appId") != APP:
            raise ServiceError("NotFoundException", f"App {p.get('appId')} not found", status=404)
        return self._builds

    def _job(self, p: Params) -> Build:
        builds = self._app(p)
        for job in builds.of(_branch(builds, p)):
            if str(job.id) == p["jobId"]:
                return job
        raise ServiceError("NotFoundException", f"Job {p['jobId']} not found", status=404)

    @operation(
        "amplify",
        "ListApps",
        modelled="the one app, in its region",
        source=API,
        tested=("test_the_app_and_its_branches",),
    )
    def list_apps(self, p: Params) -> dict[str, Any]:
        """Answer the apps of the region."""
        return {"apps": [self._shown()] if self._state.name == REGION else []}

    @operation("amplify", "GetApp", modelled="settings, the production branch and how its last job ended", source=API,
               difference="no domains, no custom rules", tested=("test_the_app_and_its_branches",))  # fmt: skip
    def get_app(self, p: Params) -> dict[str, Any]:
        """Answer one app."""
        self._app(p)
        return {"app": self._shown()}

    def _shown(self) -> dict[str, Any]:
        builds = self._builds
        ended = [job for job in builds.of("main") if job.status(self._state.clock.now()) not in RUNNING]
        last = {"branchName": "main"} | (
            {"status": ended[0].status(ended[0].end), "lastDeployTime": ended[0].end} if ended else {}
        )
        born = self._state.clock.now() - timedelta(days=400)
        return {
            "appId": APP, "appArn": ARN, "name": "shop-web", "description": "", "repository": REPOSITORY, "platform": "WEB_COMPUTE",
            "createTime": born, "updateTime": born, "environmentVariables": builds.environment, "defaultDomain": f"{APP}.amplifyapp.com",
            "enableBranchAutoBuild": True, "enableBranchAutoDeletion": False, "enableBasicAuth": False, "customRules": [],
            "productionBranch": last, "buildSpec": builds.build_spec, "jobConfig": {"buildComputeType": "STANDARD_8GB"},
        }  # fmt: skip

    @operation("amplify", "ListBranches", modelled="main and the feature branches that were built, in pages", source=API,
               tested=("test_the_app_and_its_branches",))  # fmt: skip
    def list_branches(self, p: Params) -> dict[str, Any]:
        """Answer the branches."""
        builds = self._app(p)
        names, following = page("branches", builds.branches, p.get("nextToken"), _limit(p))
        return {"branches": [self._branch_shown(name) for name in names]} | (
            {"nextToken": following} if following else {}
        )

    @operation(
        "amplify",
        "GetBranch",
        modelled="settings, the active job",
        source=API,
        tested=("test_the_app_and_its_branches",),
    )
    def get_branch(self, p: Params) -> dict[str, Any]:
        """Answer one branch."""
        return {"branch": self._branch_shown(_branch(self._app(p), p))}

    @operation("amplify", "UpdateBranch", modelled="environment variables, build settings, automatic builds", source=API,
               difference="other members are ignored; nothing is built by it", tested=("test_a_branch_is_changed",))  # fmt: skip
    def update_branch(self, p: Params) -> dict[str, Any]:
        """Change some settings of a branch."""
        builds = self._app(p)
        name = _branch(builds, p)
        known = ("environmentVariables", "buildSpec", "enableAutoBuild", "stage", "description")
        builds.branch_settings.setdefault(name, {}).update({key: p[key] for key in known if key in p})
        builds.branch_settings[name]["updateTime"] = self._state.clock.now()
        return {"branch": self._branch_shown(name)}

    def _branch_shown(self, name: str) -> dict[str, Any]:
        jobs = self._builds.of(name)
        born = jobs[-1].started if jobs else self._state.clock.now()
        return {
            "branchArn": f"{ARN}/branches/{name.replace('/', '%2F')}", "branchName": name, "description": "", "displayName": name.replace("/", "-"),
            "stage": "PRODUCTION" if name == "main" else "DEVELOPMENT", "enableNotification": False, "createTime": born,
            "updateTime": jobs[0].end if jobs else born, "environmentVariables": {}, "enableAutoBuild": True, "customDomains": [],
            "framework": "Next.js - SSR", "activeJobId": str(jobs[0].id) if jobs else "", "totalNumberOfJobs": str(len(jobs)),
            "enableBasicAuth": False, "ttl": "5", "enablePullRequestPreview": False,
        } | self._builds.branch_settings.get(name, {})  # fmt: skip

    @operation(
        "amplify",
        "ListJobs",
        modelled="newest first, pages of at most 50",
        source=API,
        tested=("test_jobs_are_listed_newest_first_in_pages",),
    )
    def list_jobs(self, p: Params) -> dict[str, Any]:
        """Answer a branch's jobs."""
        builds = self._app(p)
        jobs, following = page("jobs", builds.of(_branch(builds, p)), p.get("nextToken"), _limit(p))
        return {"jobSummaries": [self._summary(job) for job in jobs]} | ({"nextToken": following} if following else {})

    @operation("amplify", "GetJob", modelled="the steps BUILD and DEPLOY with their logs", source=API,
               difference="no artifacts, no VERIFY; logUrl leads to the gateway, not to S3", tested=("test_a_job_takes_its_minutes", "test_a_failed_job_has_a_log"))  # fmt: skip
    def get_job(self, p: Params) -> dict[str, Any]:
        """Answer one job with its steps."""
        job, builds = self._job(p), self._builds
        steps = [
            {"stepName": name, "startTime": start, "endTime": end, "status": status, "logUrl": builds.log_url(job, name)}
            for name, start, end, status in job.steps(self._state.clock.now())
        ]  # fmt: skip
        return {"job": {"summary": self._summary(job), "steps": steps}}

    def _summary(self, job: Build) -> dict[str, Any]:
        status = job.status(self._state.clock.now())
        ended = {} if status in RUNNING else {"endTime": job.end}
        return {
            "jobArn": f"{ARN}/branches/{job.branch.replace('/', '%2F')}/jobs/{job.id:010d}", "jobId": str(job.id), "commitId": job.commit,
            "commitMessage": job.message, "commitTime": job.started - timedelta(seconds=40), "startTime": job.started,
            "status": status, "jobType": job.kind,
        } | ended  # fmt: skip

    @operation("amplify", "StartJob", modelled="RELEASE and RETRY; one job of a branch at a time; a commit that broke breaks again", source=API,
               difference="no MANUAL, no WEB_HOOK; the newest commit is that of the last job",
               tested=("test_a_job_takes_its_minutes", "test_one_job_at_a_time", "test_a_broken_commit_breaks_again", "test_what_a_build_comes_to_can_be_planned"))  # fmt: skip
    def start_job(self, p: Params) -> dict[str, Any]:
        """Start a job and answer it."""
        builds, kind = self._app(p), p.get("jobType")
        name = _branch(builds, p)
        if kind not in ("RELEASE", "RETRY"):
            raise ServiceError(
                "BadRequestException", f"Job type {kind} cannot be started for a branch with a repository", status=400
            )
        if kind == "RETRY" and not p.get("jobId"):
            raise ServiceError("BadRequestException", "JobId is required when job type is RETRY", status=400)
        retried = self._job(p) if kind == "RETRY" else None
        with self._state.lock:
            if any(job.status(self._state.clock.now()) in RUNNING for job in builds.of(name)):
                why = f"The branch {name} already have pending or running jobs. Please finish pending or running jobs or stop the job"
                raise ServiceError("LimitExceededException", why, status=429)
            return {"jobSummary": self._summary(builds.start(name, kind, retried, p.get("commitMessage", "")))}

    @operation("amplify", "StopJob", modelled="a pending or running job is cancelled", source=API, difference="at once, without CANCELLING",
               tested=("test_a_job_is_stopped",))  # fmt: skip
    def stop_job(self, p: Params) -> dict[str, Any]:
        """Cancel a job."""
        job, now = self._job(p), self._state.clock.now()
        if job.status(now) not in RUNNING:
            raise ServiceError("BadRequestException", f"Job {job.id} is already finished", status=400)
        job.stopped = now
        return {"jobSummary": self._summary(job)}


def _branch(builds: Builds, p: Params) -> str:
    if p["branchName"] in builds.branches:
        return str(p["branchName"])
    raise ServiceError("NotFoundException", f"Branch {p['branchName']} not found for app {p['appId']}", status=404)


def _limit(p: Params) -> int:
    return min(int(p.get("maxResults") or 50), 50) or 50


APIS = (AmplifyApi,)
