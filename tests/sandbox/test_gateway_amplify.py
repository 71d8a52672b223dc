"""The front end's builds through a real boto3 client."""

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.gateway_process import Gateway, running

APP = "d2shopexample"
MAIN = {"appId": APP, "branchName": "main"}


def advance(gateway: Gateway, seconds: float) -> None:
    gateway.admin("POST", "advance", {"seconds": seconds})


def status(gateway: Gateway, job: str) -> str:
    return gateway.client("amplify").get_job(**MAIN, jobId=job)["job"]["summary"]["status"]


@pytest.fixture
def idle(gateway: Gateway) -> Iterator[Gateway]:
    """The gateway with no job running before and after."""
    yield gateway
    advance(gateway, 600)


def test_the_app_and_its_branches(gateway: Gateway) -> None:
    amplify = gateway.client("amplify")
    app = amplify.get_app(appId=APP)["app"]
    assert [each["appId"] for each in amplify.list_apps()["apps"]] == [APP]
    assert (app["productionBranch"]["branchName"], app["productionBranch"]["status"]) == ("main", "FAILED")
    first = amplify.list_branches(appId=APP, maxResults=1)
    rest = amplify.list_branches(appId=APP, maxResults=1, nextToken=first["nextToken"])
    assert [each["branchName"] for each in first["branches"] + rest["branches"]] == ["main", "feature/gift"]
    assert amplify.get_branch(appId=APP, branchName="feature/gift")["branch"]["totalNumberOfJobs"] == "1"
    assert gateway.client("amplify", region="us-east-1").list_apps()["apps"] == []
    with pytest.raises(amplify.exceptions.NotFoundException, match="App other not found"):
        amplify.get_app(appId="other")


def test_a_branch_is_changed(gateway: Gateway) -> None:
    amplify = gateway.client("amplify")
    amplify.update_branch(appId=APP, branchName="feature/gift", environmentVariables={"A": "1"}, buildSpec="version: 1")
    branch = amplify.get_branch(appId=APP, branchName="feature/gift")["branch"]
    assert (branch["environmentVariables"], branch["buildSpec"]) == ({"A": "1"}, "version: 1")


def test_jobs_are_listed_newest_first_in_pages(gateway: Gateway) -> None:
    pages = list(
        gateway.client("amplify").get_paginator("list_jobs").paginate(**MAIN, PaginationConfig={"PageSize": 25})
    )
    ids = [int(job["jobId"]) for page in pages for job in page["jobSummaries"]]
    assert len(pages) == 3 and ids[-60:] == list(range(60, 0, -1))


def test_a_job_takes_its_minutes(idle: Gateway) -> None:
    amplify = idle.client("amplify")
    job = amplify.start_job(**MAIN, jobType="RETRY", jobId="59", jobReason="INC-1")["jobSummary"]
    assert (job["status"], job["commitId"], job["jobType"]) == (
        "PENDING",
        f"{59:040x}",
        "RETRY",
    ) and "endTime" not in job
    seen: list[Any] = []
    for seconds in (0, 30, 180, 60):
        advance(idle, seconds)
        told = amplify.get_job(**MAIN, jobId=job["jobId"])["job"]
        seen.append((told["summary"]["status"], [(step["stepName"], step["status"]) for step in told["steps"]]))
    assert seen == [
        ("PENDING", []), ("RUNNING", [("BUILD", "RUNNING")]), ("RUNNING", [("BUILD", "SUCCEED"), ("DEPLOY", "RUNNING")]),
        ("SUCCEED", [("BUILD", "SUCCEED"), ("DEPLOY", "SUCCEED")]),
    ]  # fmt: skip


def test_one_job_at_a_time(idle: Gateway) -> None:
    amplify = idle.client("amplify")
    amplify.start_job(**MAIN, jobType="RETRY", jobId="59")
    with pytest.raises(amplify.exceptions.LimitExceededException, match="pending or running jobs") as error:
        amplify.start_job(**MAIN, jobType="RELEASE")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_a_job_is_stopped(idle: Gateway) -> None:
    amplify = idle.client("amplify")
    job = amplify.start_job(**MAIN, jobType="RETRY", jobId="59")["jobSummary"]["jobId"]
    advance(idle, 60)
    amplify.stop_job(**MAIN, jobId=job)
    advance(idle, 600)
    assert status(idle, job) == "CANCELLED"
    with pytest.raises(ClientError, match="already finished"):
        amplify.stop_job(**MAIN, jobId=job)


def test_a_broken_commit_breaks_again() -> None:
    with running() as gateway:
        amplify = gateway.client("amplify")
        again = amplify.start_job(**MAIN, jobType="RELEASE")["jobSummary"]
        advance(gateway, 600)
        assert again["commitId"] == f"{60:040x}" and status(gateway, again["jobId"]) == "FAILED"
        good = amplify.start_job(**MAIN, jobType="RETRY", jobId="59")["jobSummary"]["jobId"]
        advance(gateway, 600)
        assert status(gateway, good) == "SUCCEED"
        with pytest.raises(ClientError, match="JobId is required"):
            amplify.start_job(**MAIN, jobType="RETRY")


def test_a_failed_job_has_a_log(gateway: Gateway) -> None:
    steps = gateway.client("amplify").get_job(**MAIN, jobId="60")["job"]["steps"]
    assert [(step["stepName"], step["status"]) for step in steps] == [("BUILD", "FAILED")]
    with urllib.request.urlopen(steps[0]["logUrl"], timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    assert lines[-3].endswith("npm error code ERESOLVE") and lines[-1].endswith("exit code 1")


@pytest.mark.parametrize(("outcome", "job", "steps"), [
    ("DEPLOY", "FAILED", [("BUILD", "SUCCEED"), ("DEPLOY", "FAILED")]), ("BUILD", "FAILED", [("BUILD", "FAILED")]), ("slow", "RUNNING", [("BUILD", "RUNNING")]),
])  # fmt: skip
def test_what_a_build_comes_to_can_be_planned(outcome: str, job: str, steps: list[tuple[str, str]]) -> None:
    with running() as gateway:
        amplify = gateway.client("amplify")
        gateway.admin("POST", "outcomes", {"branch": "main", "build": outcome})
        made = amplify.start_job(**MAIN, jobType="RETRY", jobId="59")["jobSummary"]["jobId"]
        advance(gateway, 600)
        told = amplify.get_job(**MAIN, jobId=made)["job"]
        assert told["summary"]["status"] == job
        assert [(step["stepName"], step["status"]) for step in told["steps"]] == steps
