"""redeploy-frontend and invalidate-cdn: followed by their id; a failed build is a failure; paths are checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from opslib.actions import cdn, frontend
from opslib.applying import unsettled
from opslib.errors import ParameterError
from opslib.journal import Journal
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox


def test_the_same_commit_is_built_again(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    last = live.client("amplify").list_jobs(appId="d2shopexample", branchName="main")["jobSummaries"][0]
    plan = frontend.redeploy(run)
    assert plan.steps[0].arguments["jobType"] == "RETRY" and plan.steps[0].arguments["jobId"] == last["jobId"]
    answer = applied(plan)
    assert answer.verdict == "ok" and "SUCCEED" in answer.sentence, answer.sentence
    before = plan.parameters["served"]
    assert len(before) == 21 and re.search(rf"answers 200 with build \w{{21}}, before it was {before}", answer.sentence)
    assert answer.facts["commit"] == last["commitId"][:8] and answer.facts["job"] != last["jobId"]
    assert plan.undo().steps[0].arguments["jobType"] == "RETRY"


@pytest.mark.parametrize(
    ("site", "verdict", "said"),
    [("old", "unknown", "the one that it served before"), ("broken", "critical", "the new build does not answer")],
)
def test_a_job_that_succeeded_is_no_success_until_the_site_serves_it(
    run: Run, live: Sandbox, applied: Callable[..., Result], site: str, verdict: str, said: str
) -> None:
    plan = frontend.redeploy(run)
    live.outcome(site=site, branch="main")
    answer = applied(plan)
    assert "SUCCEED" in answer.sentence and answer.verdict == verdict and said in answer.sentence, answer.sentence


def test_a_site_that_cannot_be_asked_leaves_the_end_unknown(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    plan = frontend.redeploy(run)
    live.fault(service="site", kind="drop")
    answer = applied(plan)
    assert answer.verdict == "unknown" and "the site did not answer" in answer.sentence, answer.sentence
    assert [entry["plan"] for entry in unsettled(Journal.of(run.environment).entries())] == [plan.sealed]


def test_a_site_that_answers_again_is_seen(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    live.fault(service="site", kind="status", status=502)
    plan = frontend.redeploy(run)
    assert "the site answers 502" in plan.changes[0].now
    assert applied(plan, live.clear_faults).verdict == "ok"


def test_without_an_address_the_plan_says_how_to_give_one(run: Run) -> None:
    assert run.environment.frontend
    named = run.environment.frontend.model_copy(update={"site": ""})
    alone = replace(run, environment=run.environment.model_copy(update={"frontend": named}))
    assert "add `site = " in frontend.redeploy(alone).changes[0].now


def test_a_release_says_that_it_may_bring_more(run: Run) -> None:
    plan = frontend.redeploy(run, way="release")
    assert "jobId" not in plan.steps[0].arguments and "nobody has released yet" in plan.changes[0].impact


def test_a_job_under_way_is_no_plan_and_a_cancelled_one_no_success(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    amplify = live.client("amplify")
    plan = frontend.redeploy(run)

    def cancel() -> None:
        assert [one.what for one in frontend.redeploy(run, way="release").blocked] == ["no other job is under way"]
        newest = amplify.list_jobs(appId="d2shopexample", branchName="main")["jobSummaries"][0]["jobId"]
        amplify.stop_job(appId="d2shopexample", branchName="main", jobId=newest)

    answer = applied(plan, cancel)
    assert answer.verdict == "critical" and "CANCELLED" in answer.sentence


def test_a_job_by_somebody_else_in_between_is_refused(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = frontend.redeploy(run)
    live.client("amplify").start_job(appId="d2shopexample", branchName="main", jobType="RELEASE")
    assert "the state has changed" in applied(plan).sentence


@pytest.mark.parametrize(("given", "why"), [({"way": "push"}, "way='push'"), ({"job": "99999"}, "no job '99999'")])
def test_what_does_not_exist_is_said(run: Run, given: dict[str, str], why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        frontend.redeploy(run, **given)


def test_an_invalidation_is_followed_to_its_end(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = cdn.invalidate(run, paths="/index.html /assets/*")
    assert not plan.undo_draft.action and "cannot be cancelled" in plan.undo_draft.says
    assert "at most US$0.010" in plan.limits[0] and plan._repr_mimebundle_()["text/html"].index("NO WAY BACK") < 900
    answer = applied(plan)
    assert answer.verdict == "ok" and "Completed" in answer.sentence
    assert "applied before" in applied(plan).sentence


def test_everything_at_once_is_a_stampede(run: Run) -> None:
    assert "STAMPEDE" in cdn.invalidate(run, paths="/*").changes[0].impact


def test_what_is_under_way_counts(run: Run, applied: Callable[..., Result]) -> None:
    applied(cdn.invalidate(run, paths=" ".join(f"/a{number}/*" for number in range(14))), None)
    wide = " ".join(f"/b{number}/*" for number in range(16))
    assert [one.what for one in cdn.invalidate(run, paths=wide).blocked] == ["CloudFront takes so many at once"]


@pytest.mark.parametrize(
    "paths",
    [
        "",
        "index.html",
        "/a b c\x00",
        "/as*sets",
        "/日本",
        "/%zz",
        "https://www.shop.example/",
        '/x"y',
        "/a//../<script>",
    ],
)
def test_no_path(paths: str) -> None:
    with pytest.raises(ParameterError):
        cdn.checked(paths)


def test_paths_are_listed_once() -> None:
    assert cdn.checked("/a /b /a /%E6%97%A5/*") == ["/a", "/b", "/%E6%97%A5/*"]
