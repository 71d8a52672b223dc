"""Who is to blame before the application: on whole scenarios, on series made by hand, and when something cannot be seen."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import opslib
from opslib import aws, config_sections
from opslib.checks import frontend, frontend_parts
from opslib.checks.frontend_signals import Finding, findings, per_minute
from opslib.checks.frontend_story import blamed, error_of, readings
from opslib.result import Result, Sight, Source, Verdict
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW, UTC)
PARTS = [
    "suspects",
    "changes",
    "numbers",
    "requests",
    "errors",
    "hits",
    "builds",
    "build_log",
    "health",
    "certificates",
]


@pytest.fixture(scope="module", params=["quiet-day", "build-failure", "cdn-misses", "health-check-failure"])
def scenario(request: pytest.FixtureRequest, planted: Callable[[str], Sandbox]) -> tuple[str, Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(planted(request.param).directory))
        page = frontend.slow(opslib.start(env="sandbox"))
    return request.param, page


def test_the_planted_cause_is_named(scenario: tuple[str, Result]) -> None:
    name, page = scenario
    said = {
        "quiet-day": "As usual: DNS and certificate, the edge (CloudFront), the build (Amplify), the origin; if",
        "build-failure": "Look at the build (Amplify): build 365 of main failed 11:08 JST (npm error ERESOLVE unable to resolve dependency tree)",
        "cdn-misses": "Look at the edge (CloudFront): the distribution was changed at 11:15 JST and no longer caches pages",
        "health-check-failure": "Look at DNS and certificate: www.shop.example points at shop-web-2025",
    }  # fmt: skip
    assert said[name] in page.sentence and page.sight is Sight.COMPLETE and not page.blind
    assert page.verdict is (Verdict.OK if name == "quiet-day" else Verdict.CRITICAL)
    assert [part.name for part in page.parts] == PARTS and bool(page.next) == (name != "quiet-day")


def test_the_parts_show_it(scenario: tuple[str, Result]) -> None:
    name, page = scenario
    numbers, log = page.part("numbers").table, page.part("build_log").table
    assert numbers is not None and list(numbers.loc[numbers["off"] != "–", "what"]) == {
        "quiet-day": [], "build-failure": ["4xx at the edge", "4xx of Amplify"],
        "cdn-misses": ["cache hit rate", "latency of the origin as the edge sees it, p90"],
        "health-check-failure": ["checkers that reach the site", "requests at the edge"],
    }[name]  # fmt: skip
    assert (log is not None) == (name == "build-failure")
    if name == "build-failure":
        assert page.next[0].command() == "opslib open 3-remediate/redeploy-frontend -p way=retry -p job=365"
    assert page.part("health").verdict is (Verdict.CRITICAL if name == "health-check-failure" else Verdict.OK)


def test_it_is_the_origin(sandbox: Sandbox, tmp_path: Path) -> None:
    aws.forget()
    run = opslib.start(env="sandbox")
    run.folder = tmp_path
    page = frontend.slow(run)
    assert page.verdict is Verdict.CRITICAL and page.sentence.startswith(
        "Look at the origin: 5xx behind the load balancer"
    )
    assert page.next[0].runbook == "2-investigate/first-look"
    changes = page.part("changes").table
    assert (
        changes is not None
        and list(changes["what"]) == ["deploy"]
        and "api to shop-api:2026.11.05-1" in changes["change"].iloc[0]
    )
    again = frontend.slow(Run(run.environment, run.identity, run.now, run.window, replayed=tmp_path))
    assert {**again.as_json(), "data": []} == {**page.as_json(), "data": []}


def test_what_is_not_configured_is_not_called_usual(sandbox: Sandbox) -> None:
    aws.forget()
    run = opslib.start(env="sandbox", window="2026-11-05 00:30/01:30 UTC")
    whole = run.environment
    run.environment = whole.model_copy(update={"cdn": None, "frontend": None})
    page = frontend.slow(run)
    assert (
        page.verdict is Verdict.OK
        and "Not configured, so not looked at: the edge (CloudFront), the build (Amplify)." in page.sentence
    )
    run.environment = whole.model_copy(update={"frontend": config_sections.Frontend(app="dwrong")})
    page = frontend.slow(run)
    assert (
        page.verdict is Verdict.UNKNOWN
        and "CloudWatch has no point of frontend at all" in page.reason
        and "amplify jobs: ListJobs failed" in page.reason
    )


def test_a_denied_and_a_hung_source_leave_the_rest(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opslib.run.DEADLINE_SECONDS, "interactive", 5.0)
    aws.forget()
    sandbox.fault(service="amplify", kind="access-denied")
    sandbox.fault(service="cloudfront", operation="GetDistribution", kind="hang")
    try:
        page = frontend.slow(opslib.start(env="sandbox"))
    finally:
        sandbox.clear_faults()
    assert page.sight is Sight.PARTIAL and page.verdict is Verdict.CRITICAL and "Look at the origin" in page.sentence
    assert "amplify jobs: ListJobs was denied" in page.reason and "distribution: no answer" in page.reason
    assert page.part("builds").sight is Sight.DENIED and page.part("hits").verdict is Verdict.OK


def series(**columns: Any) -> pd.DataFrame:
    """Return three hours of minutes; a column is (component__metric) and a number, or a list of the last minutes."""
    index = pd.date_range(NOW - timedelta(hours=3), NOW, freq="1min", inclusive="left")
    noise = np.random.default_rng(5).normal(1, 0.02, len(index))
    frame = pd.DataFrame({tuple(name.split("__")): level * noise for name, level in columns.items()}, index=index)
    frame.columns = pd.MultiIndex.from_tuples(frame.columns, names=["component", "metric"])
    return frame


def off(frame: pd.DataFrame, usual: pd.DataFrame) -> list[Finding]:
    return findings(frame, usual, window=HOUR)


def test_a_number_is_off_since_the_minute_it_left() -> None:
    usual = series(cdn__CacheHitRate=92)
    now = usual.copy()
    now.iloc[-25:] = 40.0
    found = off(now, usual)
    assert [(one.signal.metric, one.since, one.until, one.critical) for one in found] == [
        ("CacheHitRate", now.index[-25], None, True)
    ]
    assert found[0].now == pytest.approx(40) and found[0].usual == pytest.approx(92, rel=0.02)
    assert not off(usual, usual) and not off(usual * 0.95, usual)


def test_what_is_over_says_until_when_and_what_was_before_the_window_is_not_told() -> None:
    usual = series(cdn__CacheHitRate=92)
    over, before = usual.copy(), usual.copy()
    over.iloc[-40:-20] = 40.0
    before.iloc[-120:-80] = 40.0
    found = off(over, usual)
    assert found[0].since == over.index[-40] and over.index[-22] <= found[0].until <= over.index[-10]
    assert not off(before, usual)


def test_without_last_week_the_hours_before_are_usual() -> None:
    now = series(cdn__CacheHitRate=92)
    now.iloc[-25:] = 40.0
    assert [one.signal.metric for one in off(now, pd.DataFrame())] == ["CacheHitRate"]


def test_coarse_steps_are_read_as_well() -> None:
    index = pd.date_range(NOW - timedelta(hours=26), NOW, freq="5min", inclusive="left")
    frame = pd.DataFrame({("cdn", "CacheHitRate"): 92.0, ("frontend", "4XXErrors"): 5.0}, index=index)
    usual = per_minute(frame, seconds=300)
    frame.iloc[-5:] = (40.0, 250.0)
    found = findings(per_minute(frame, seconds=300), usual, window=Window(NOW - timedelta(hours=24), NOW, UTC))
    assert [(one.signal.metric, one.since, one.now) for one in found] == [
        ("CacheHitRate", index[-5], 40),
        ("4XXErrors", index[-5], 50),
    ]


def test_gaps_and_a_single_odd_minute_are_nothing() -> None:
    usual = series(cdn__CacheHitRate=92, frontend__4XXErrors=1.0)
    now = usual.copy()
    now.iloc[-30:-20] = np.nan
    now.iloc[-12] = (0.0, 60.0)
    assert not off(now, usual)


def certificate(days: float, in_use: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        [{"domain": "www.x", "arn": "a", "days_left": days, "not_after": NOW + timedelta(days=days), "in_use": in_use}]
    )


@pytest.mark.parametrize(
    ("days", "in_use", "verdict"),
    [
        (-0.02, True, Verdict.CRITICAL),
        (6, True, Verdict.CRITICAL),
        (29, True, Verdict.WARN),
        (31, True, Verdict.OK),
        (-3, False, Verdict.OK),
    ],
)
def test_a_certificate_in_use_must_have_days_left(days: float, in_use: bool, verdict: Verdict) -> None:
    told = readings({"certificates": certificate(days, in_use)}, [], window=HOUR)
    assert told["dns"].verdict is verdict
    assert (blamed(told) is None) == (verdict is Verdict.OK)


def jobs(*states: str) -> pd.DataFrame:
    rows = [
        {"branch": "main", "job": str(9 - n), "status": state, "finished": NOW - timedelta(hours=n)}
        for n, state in enumerate(states)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("states", "said"), [
    (("RUNNING", "FAILED", "SUCCEED"), "build 8 of main failed"), (("FAILED", "FAILED"), "no build of the last 30 days succeeded"),
    (("SUCCEED", "FAILED"), ""), (("RUNNING",), ""), (("BRAND_NEW_STATE", "SUCCEED"), ""),
])  # fmt: skip
def test_the_newest_ended_build_counts(states: tuple[str, ...], said: str) -> None:
    told = readings({"amplify_jobs": jobs(*states)}, [], window=HOUR)["build"]
    assert said in "; ".join(told.said) and bool(told.said) == bool(said)
    assert told.verdict is (Verdict.WARN if said else Verdict.OK)


def test_the_edge_is_not_blamed_for_the_origins_errors() -> None:
    usual = series(**{"cdn__5xxErrorRate": 0.1, "load-balancer__5XX share": 0.1})
    now = usual.copy()
    now.iloc[-25:] = 8.0
    told = readings({}, off(now, usual), window=HOUR)
    assert (culprit := blamed(told)) is not None and culprit.suspect == "origin"


def test_the_telling_line_of_a_log() -> None:
    log = pd.DataFrame(
        {
            "line": [
                "t [INFO]: npm error code ERESOLVE",
                "t [INFO]: npm error could not resolve the peer react",
                "t [INFO]: !!! Error: exit code 1",
            ]
        }
    )
    assert error_of(log) == "npm error could not resolve the peer react"
    assert error_of(log.iloc[:1]) == "npm error code ERESOLVE" and error_of(None) == ""


def test_a_metric_that_nobody_pays_for_is_said() -> None:
    frames = {"series": series(cdn__Requests=600), "usual": series(cdn__Requests=600)}
    hits = frontend_parts.chart("hits", frames, [], [], HOUR, Source("x"), "")
    assert (hits.sight, "cost extra" in hits.reason) == (Sight.NO_DATA, True)
    numbers = frontend_parts.numbers(frames, [], HOUR, Source("x"), "")
    assert numbers.verdict is Verdict.OK and "cost extra" in numbers.reason


def test_no_metrics_are_no_calm() -> None:
    told = readings({}, [], window=HOUR)
    assert frontend.conclusion(told, None, measured=False)[0] is Verdict.UNKNOWN
