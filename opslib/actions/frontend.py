"""The front end on Amplify: build and deploy again, the same commit or the newest of the branch."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from opslib import aws, console, redact
from opslib import plan as plans
from opslib.errors import ConfigError, OpsError, ParameterError
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register
from opslib.sources import site

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

WAYS = ("retry", "release")
_RUNNING = {"CREATED", "PENDING", "PROVISIONING", "RUNNING", "CANCELLING"}
_JOBS = 50
_SETTLES = timedelta(minutes=3)  # so long the edges of Amplify may go on with what was there before


def redeploy(run: Run, *, way: str = "retry", job: str = "") -> Plan:
    """Plan to build and deploy the branch that customers see (amplify:StartJob).

    `retry` takes the commit of a job (empty: of the last one) again; `release` takes whatever is newest on the branch.
    Raises ParameterError for a job that is not there, ConfigError without `frontend`, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    if way not in WAYS:
        raise ParameterError(f"way={way!r} is not known", fix=f"one of {', '.join(WAYS)}")
    environment = run.environment
    named = environment.frontend
    if named is None:
        raise ConfigError(
            f"environment {environment.name!r} has no front end", fix=f"add [env.{environment.name}.frontend] with app"
        )
    jobs = _jobs(environment)
    chosen = next((one for one in jobs if one["jobId"] == job), None) if job else next(iter(jobs), None)
    if way == "retry" and chosen is None:
        raise ParameterError(
            f"there is no job {job or 'yet'!r} of {named.branch}",
            fix=f"the last are {', '.join(one['jobId'] for one in jobs[:5]) or 'none'}",
        )
    good = next((one for one in jobs if one["status"] == "SUCCEED"), None)
    told = _about(chosen) if way == "retry" and chosen else f"whatever is newest on {named.branch} when it starts"
    served, seen = _served(environment)
    step = _step(environment, way, chosen["jobId"] if way == "retry" and chosen else "", told)
    back = (_step(environment, "retry", good["jobId"], _about(good)),) if good else ()
    return plans.propose(
        run, action="redeploy-frontend", title=f"Build and deploy {named.branch} again: {'the same commit' if way == 'retry' else 'the newest commit'}",
        target=named.branch, parameters={"app": named.app, "served": served.build if served else "", "answered": served.status if served else 0}, before=_before(environment, jobs),
        changes=(Change(f"{named.app}/{named.branch}", f"{f'the last is {_about(jobs[0])}' if jobs else 'never built'}; {seen}", told, f"retry {_about(good)}" if good else "none",
                        _impact(way, chosen)),),
        conditions=_conditions(environment, jobs), steps=(step,),
        limits=("CloudFront may serve the old files until they expire: opslib open invalidate-cdn", "environment variables and build image are those of now, not those of then",
                *_blind(served)),
        verification=Verification("The job is followed by its id until it succeeds, fails or is cancelled; then the site is fetched until it serves another build than now.", _look(environment), 15.0, 2400.0),
        undo_draft=Undo(f"retry {_about(good)}", "redeploy-frontend", back) if good else Undo("no job of this branch has ever succeeded"),
    )  # fmt: skip


def _impact(way: str, chosen: dict[str, Any] | None) -> str:
    if way == "release":
        return "commits that nobody has released yet may go out with it"
    again = "; a commit that broke the build breaks it again" if chosen and chosen["status"] == "FAILED" else ""
    return f"the site stays as it is until the job succeeds{again}"


def _conditions(environment: Environment, jobs: list[dict[str, Any]]) -> tuple[Condition, ...]:
    named = environment.frontend
    assert named is not None
    branch = aws.ask(environment, "amplify", "get_branch", appId=named.app, branchName=named.branch)["branch"]
    busy = [one["jobId"] for one in jobs if one["status"] in _RUNNING]
    automatic = "on: a push builds by itself" if branch.get("enableAutoBuild") else "off"
    return (
        Condition(
            "the branch is there",
            f"{branch['branchName']}, stage {branch.get('stage', 'not told')}, automatic builds {automatic}",
            True,
        ),
        Condition("no other job is under way", f"job {', '.join(busy)} is" if busy else "none", not busy),
    )


def _step(environment: Environment, way: str, job: str, told: str) -> Step:
    named = environment.frontend
    assert named is not None
    asked = {
        "appId": named.app,
        "branchName": named.branch,
        "jobType": way.upper(),
        "jobReason": "opslib: redeployed by hand",
    }
    address = console.amplify(environment.region, named.app, named.branch)
    return Step("amplify", "StartJob", {**asked, "jobId": job} if job else asked, f"{way}: {told}", address)


def _jobs(environment: Environment) -> list[dict[str, Any]]:
    named = environment.frontend
    assert named is not None
    return list(
        islice(
            aws.pages(environment, "amplify", "list_jobs", "jobSummaries", appId=named.app, branchName=named.branch),
            _JOBS,
        )
    )


def _about(job: dict[str, Any]) -> str:
    message = str(job.get("commitMessage", "")).splitlines()[:1]
    return f"job {job['jobId']} ({job['status']}, {str(job.get('commitId', ''))[:8] or 'commit unknown'}{f': {redact.cut(message[0], 60)}' if message else ''})"


def _before(environment: Environment, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"jobs": [[one["jobId"], one["status"]] for one in jobs[:3]]}


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    return _before(environment, _jobs(environment))


def _look(environment: Environment) -> str:
    named = environment.frontend
    assert named is not None
    return f"aws amplify list-jobs --app-id {named.app} --branch-name {named.branch} --max-results 3 --region {environment.region}"


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    told = aws.ask(
        environment, "amplify", "get_job", appId=plan.parameters["app"], branchName=plan.target, jobId=kept["job"]
    )["job"]
    status = told["summary"]["status"]
    steps = ", ".join(f"{step['stepName']} {step['status']}" for step in told.get("steps", []))
    said = f"job {kept['job']} {status}{f': {steps}' if steps else ''}"
    if status != "SUCCEED":
        return Progress("going" if status in _RUNNING else "failed", said)
    state, seen = _site(environment, plan)
    fresh = aws.now(environment) - told["summary"]["endTime"] < _SETTLES
    shown = {"done": "another build", "failed": "does not answer"}.get(state, "not known")
    evidence = {"job": kept["job"], "commit": str(told["summary"].get("commitId", ""))[:8], "site": shown}
    return Progress(
        "going" if fresh and state != "done" and _named(environment) else state, f"{said}; {seen}", evidence
    )


def _site(environment: Environment, plan: Plan) -> tuple[str, str]:
    """Return what the site itself says of a job that succeeded: another build than before is the evidence, nothing else is."""
    before, (now, seen) = plan.parameters["served"], _served(environment)
    if now is None:
        return "unknown", f"{seen}: whether the new build is served is not known"
    if now.status >= 500 or (now.status >= 400 and now.status != plan.parameters["answered"]):
        return "failed", f"{seen}: the new build does not answer"
    if now.build and (before or plan.parameters["answered"] not in range(200, 400)) and now.build != before:
        return "done", f"{seen}, before it {f'was {before}' if before else 'did not answer'}"
    why = "the one that it served before" if now.build and now.build == before else "which tells no build from another"
    return "unknown", f"{seen}, {why}: whether the new build is served is not known"


def _served(environment: Environment) -> tuple[site.Page | None, str]:
    """Return what the site answers, and how that is said; a site that cannot be asked is no reason against a deploy."""
    try:
        page = site.page(environment)
    except OpsError as error:
        return None, f"{error.what} ({error.why or error.fix})"
    return page, f"the site answers {page.says()}"


def _blind(served: site.Page | None) -> tuple[str, ...]:
    """Say before the change what its end will not show."""
    if served is None or served.build or served.status >= 400:
        return ()  # that it answers again, or another build, is what will be seen
    return (
        "the site names no build now: without one before, nothing shows which is served after; a successful job will be said as unknown",
    )


def _named(environment: Environment) -> bool:
    return bool(environment.frontend and environment.frontend.site)


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    return redeploy(run, way="retry", job=plan.undo_draft.steps[0].arguments["jobId"])


register(
    Action(
        "redeploy-frontend",
        observe=_observe,
        follow=_follow,
        keep=lambda answers: {"job": answers[0]["jobSummary"]["jobId"]},
        undo=_undo,
    )
)
