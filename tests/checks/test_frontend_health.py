"""Is the front end well: on whole scenarios, with builds made by hand, and when something is denied."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import opslib
from opslib import aws
from opslib.checks import frontend_builds, frontend_health
from opslib.checks.frontend_story import Reading
from opslib.result import Result, Sight, Source, Verdict
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
DAY = Window(NOW - timedelta(days=1), NOW, UTC)
PARTS = ["builds", "build_time", "deploys", "failures", "build_log", "numbers", "errors", "hits", "health", "certificates"]  # fmt: skip
SCENARIOS = ["quiet-day", "build-failure", "cdn-misses", "health-check-failure"]


@pytest.fixture(scope="module", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest, planted: Callable[[str], Sandbox]) -> tuple[str, Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(planted(request.param).directory))
        site = frontend_health.health(opslib.start(env="sandbox"))
    return request.param, site


def test_what_is_off_is_said_and_what_is_well(scenario: tuple[str, Result]) -> None:
    name, site = scenario
    said, well, steps = {
        "quiet-day": ("Well: the build", "the build (Amplify), the edge (CloudFront), DNS and certificate.", []),
        "build-failure": (
            "The build (Amplify): build 365 of main failed 11:08 JST (npm error ERESOLVE unable to resolve dependency tree)",
            "Well: the edge (CloudFront), DNS and certificate.", ["3-remediate/redeploy-frontend"],
        ),
        "cdn-misses": (
            "The edge (CloudFront): the distribution was changed at 11:15 JST and no longer caches pages",
            "Well: the build (Amplify), DNS and certificate.", ["2-investigate/slow-frontend"],
        ),
        "health-check-failure": (
            "DNS and certificate: www.shop.example points at shop-web-2025", "Well: the build (Amplify)", ["2-investigate/slow-frontend"],
        ),
    }[name]  # fmt: skip
    assert site.sentence.startswith(said) and well in site.sentence
    assert site.sight is Sight.COMPLETE and not site.blind
    assert site.verdict is (Verdict.OK if name == "quiet-day" else Verdict.CRITICAL)
    assert [part.name for part in site.parts] == PARTS and [one.runbook for one in site.next] == steps


def test_the_evidence_is_under_it(scenario: tuple[str, Result]) -> None:
    name, site = scenario
    broken = name == "build-failure"
    failed, deploys = site.part("failures").table, site.part("deploys").table
    assert failed is not None and deploys is not None
    assert list(failed["build"]) == (["365"] if broken else []) + ["361", "357"]
    assert all("npm error" in why for why in failed["why"]) and set(failed["step"]) == {"BUILD"}
    assert site.part("failures").verdict is (Verdict.WARN if broken else Verdict.OK)
    assert list(deploys["build"]) == (["365"] if broken else []) + ["364"]
    assert deploys["step BUILD"].iloc[0].startswith("failed") == broken and deploys["step DEPLOY"].iloc[-1] == "25 s"
    assert site.part("deploys").sentence.startswith(f"1 of {'2 builds' if broken else '1 build'} of the window")
    assert site.part("build_time").sentence == "A build took 4.3 min until a week ago, in the last seven days 4.6 min: as usual."  # fmt: skip
    numbers = site.part("numbers").table
    assert numbers is not None and "latency of the origin as the edge sees it, p90" in set(numbers["what"])
    assert (site.part("build_log").table is not None) == broken
    assert site.part("hits").verdict is (Verdict.CRITICAL if name == "cdn-misses" else Verdict.OK)
    assert site.part("health").verdict is (Verdict.CRITICAL if name == "health-check-failure" else Verdict.OK)


def test_a_service_that_fails_behind_the_front_end_is_not_its_trouble(sandbox: Sandbox, tmp_path: Path) -> None:
    """And a replay draws the same without AWS; no address of a log is kept."""
    aws.forget()
    run = opslib.start(env="sandbox")
    run.folder = tmp_path
    site = frontend_health.health(run)
    assert site.verdict is Verdict.OK and site.part("numbers").table is not None
    assert not any("load balancer" in text for text in site.part("numbers").table["what"])
    assert {"steps", "reasons"} <= {file.stem for file in (tmp_path / "data").glob("*.csv")}
    assert not any("/_sandbox/build-log" in file.read_text() for file in (tmp_path / "data").iterdir())
    again = frontend_health.health(Run(run.environment, run.identity, run.now, run.window, replayed=tmp_path))
    assert (again.sentence, again.verdict, again.facts) == (site.sentence, site.verdict, site.facts)


def test_what_is_denied_is_told_and_the_rest_stands(monkeypatch: pytest.MonkeyPatch, no_aws_variables: None) -> None:
    with Sandbox(clock="frozen", scenario="build-failure") as own:
        monkeypatch.setenv("OPSLIB_SANDBOX", str(own.directory))
        aws.forget()
        own.fault(service="amplify", operation="GetJob", kind="access-denied")
        own.fault(service="cloudwatch", operation="GetMetricData", kind="access-denied")
        site = frontend_health.health(opslib.start(env="sandbox"))
        assert site.sight is Sight.PARTIAL and site.verdict is Verdict.WARN  # it failed; nobody sees whom it hurts
        assert "build 365 of main failed" in site.sentence
        for words in ("series:", "steps:", "reasons:", "build log:"):
            assert words in site.reason
        assert site.part("deploys").sight is Sight.DENIED and "GetJob" in site.part("deploys").reason
        assert {site.part(name).verdict for name in ("numbers", "errors", "hits", "deploys")} == {Verdict.UNKNOWN}
        assert site.part("failures").table is not None and site.part("certificates").verdict is Verdict.OK
        own.fault(service="amplify", kind="access-denied")
        blind = frontend_health.health(opslib.start(env="sandbox"))
        assert blind.part("builds").sight is Sight.DENIED and "amplify jobs:" in blind.reason
        assert {blind.part(name).verdict for name in ("build_time", "deploys", "failures")} == {Verdict.UNKNOWN}
    aws.forget()


def jobs(*rows: tuple[float, float, str]) -> pd.DataFrame:
    """Return jobs from (days ago, minutes, status), the newest first."""
    told = [
        {"branch": "main", "job": str(number), "type": "RELEASE", "status": status, "commit": "c", "message": "m",
         "started": NOW - timedelta(days=days, minutes=minutes), "finished": NOW - timedelta(days=days)}
        for number, (days, minutes, status) in enumerate(rows)
    ]  # fmt: skip
    frame = pd.DataFrame(told)
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("started", "finished")})


def read(frame: pd.DataFrame) -> Reading:
    told = Reading("build")
    frontend_builds.judge(told, frame, DAY)
    return told


MONTH = [(8.0 + day, 4.0, "SUCCEED") for day in range(10)]


@pytest.mark.parametrize(
    ("recent", "said"),
    [
        ([(0.5, 4.2, "SUCCEED")], []),
        ([(0.5, 7.9, "SUCCEED")], []),
        ([(0.5, 9.0, "SUCCEED")], ["build 0 took 9.0 min, usually 4.0 min"]),
        ([(2.0, 9.0, "SUCCEED")], []),  # before the window
        ([(day + 0.5, 5.3, "SUCCEED") for day in range(5)], ["builds take 5.3 min since a week, before 4.0 min"]),
        ([(day + 0.5, 4.9, "SUCCEED") for day in range(5)], []),  # less than a minute more
        ([(0.2, 4.0, "SUCCEED"), (0.5, 1.0, "FAILED"), (0.6, 1.0, "FAILED")], ["2 of 3 builds failed"]),
        ([(0.2, 4.0, "SUCCEED"), (0.5, 1.0, "FAILED")], []),  # one is an accident
    ],
)  # fmt: skip
def test_builds_against_their_own_past(recent: list[tuple[float, float, str]], said: list[str]) -> None:
    told = read(jobs(*recent, *MONTH))
    assert told.said == said and told.verdict is (Verdict.WARN if said else Verdict.OK)


def test_too_few_builds_are_no_measure() -> None:
    few = jobs((0.5, 20.0, "SUCCEED"), *MONTH[:4])
    assert read(few).said == [] and frontend_builds.times(few, DAY) is None
    assert "too few to say what is usual" in frontend_builds.build_time(few, DAY, Source("x")).sentence
    none = frontend_builds.build_time(few.iloc[:0], DAY, Source("x"))
    assert (none.verdict, none.sight) == (Verdict.UNKNOWN, Sight.NO_DATA)


def test_nothing_seen_is_not_well() -> None:
    told = {name: Reading(name) for name in ("build", "edge", "dns")}
    assert frontend_health.conclusion(told, absent=[], seen=False)[0] is Verdict.UNKNOWN
    verdict, sentence = frontend_health.conclusion(told, absent=["edge"], seen=True)
    assert verdict is Verdict.OK and sentence.endswith("Not configured, so not looked at: the edge (CloudFront).")
