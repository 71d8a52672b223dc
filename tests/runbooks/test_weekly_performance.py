"""weekly-performance on the sandbox: a quiet week needs nobody; what moved is named with its size, hour and deploy; holes are said."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opslib import aws
from opslib.errors import WindowError
from opslib.result import Result, Sight, Verdict
from opslib.run import Fact, Run, start
from opslib.runbooks import weekly_parts, weekly_performance
from opslib.runbooks.weekly_look import Week
from opslib.sandbox.control import Sandbox
from opslib.window import Window, parse

SECONDS, CALLS, LATENCY_MS = 20, 60, 150
DEPLOYED = pd.Timestamp("2026-10-30 07:00", tz="UTC")  # of api, the only change within hours
NOTEBOOK = Path(__file__).parents[2] / "notebooks/1-monitor/weekly-performance.ipynb"
BOUND = 400_000


@pytest.fixture(scope="module")
def run(sandbox: Sandbox) -> Run:
    return start()


@pytest.fixture(scope="module")
def week(run: Run) -> Week:
    window = weekly_performance.window_of(run)
    return weekly_performance.looked(run, window, run.facts(**weekly_performance.fetches(run, window)))


def planted(week: Week, change: Callable[[pd.DataFrame], None]) -> Result:
    """Return the report of a week whose metrics were changed."""
    told = week.facts["metrics"].frame
    assert told is not None
    frame = told.copy()
    frame.attrs = told.attrs
    change(frame)
    facts = {**week.facts, "metrics": Fact("metrics", frame)}
    return weekly_performance.told(weekly_performance.looked(week.run, week.window, facts))


def shortened(run: Run, *, hours: int) -> Window:
    """Return the report's window without its first hours: what is read twice is not asked for twice."""
    window = weekly_performance.window_of(run)
    return replace(window, start=window.start + timedelta(hours=hours))


def since(frame: pd.DataFrame, component: str, metric: str, factor: float, at: pd.Timestamp = DEPLOYED) -> None:
    frame.loc[frame.index >= at, (component, metric)] *= factor


def rows(result: Result, part: str, by: str) -> dict[str, dict[str, Any]]:
    table = result.part(part).table
    assert table is not None
    return {str(row[by]): row for row in table.to_dict("records")}


def test_a_week_as_the_one_before_needs_nobody(run: Run) -> None:
    result = weekly_performance.report(run)
    assert (result.verdict, result.sight, result.reason, result.next) == (Verdict.OK, Sight.COMPLETE, "", ())
    assert result.sentence == "Nothing needs a person: 14 of 14 components went as the week before."
    assert {part.verdict for part in result.parts} == {Verdict.OK}
    assert result.facts["deploys"] == "8" and result.facts["requests, as before"] == "329,367"
    assert result.part("capacity").sentence.startswith("database FreeStorageSpace reaches its limit in 285 days")
    assert result.part("delivery").sentence.endswith(
        "7 builds, 2 failed, 5 min each; the week before 5 builds, 0 failed, 4 min each."
    )


def test_the_week_is_seven_days_of_the_environments_calendar(run: Run) -> None:
    window = weekly_performance.window_of(run)
    assert window.text().startswith("2026-10-29 00:00–2026-11-05 00:00 JST")
    american = run.environment.model_copy(update={"timezone": "America/New_York"})
    now = run.now.replace(hour=15)
    shifted = weekly_performance.window_of(
        replace(run, environment=american, now=now)
    )  # winter time began on 1 November
    assert (shifted.seconds / 3600, shifted.text()[:33]) == (169, "2026-10-29 00:00–2026-11-05 00:00")


@pytest.mark.parametrize("span", ["24h", "29d"])
def test_a_window_that_cannot_be_compared_is_refused(run: Run, span: str) -> None:
    with pytest.raises(WindowError, match="cannot be compared"):
        weekly_performance.report(replace(run, window=parse(span, now=run.now, zone=run.environment.zone)))


def test_what_got_slower_is_named_with_its_size_hour_and_deploy(week: Week) -> None:
    def slower(frame: pd.DataFrame) -> None:
        since(frame, "load-balancer", "TargetResponseTime p90", 1.4)
        since(frame, "api", "CPUUtilization", 1.3)
        since(frame, "dns", "TimeToFirstByte", 0.7)

    result = planted(week, slower)
    assert (result.verdict, result.sight) == (Verdict.WARN, Sight.COMPLETE)
    assert result.sentence.startswith(
        "load-balancer: TargetResponseTime p90 rose 39 % to 461 ms since about 2026-10-30 16:00 JST, "
        "beside deploy of api (16:00); api: CPUUtilization rose from"
    )
    assert "Better: dns TimeToFirstByte fell" in result.sentence
    assert result.sentence.endswith("11 of 14 components went as the week before.")
    assert [finding.key for finding in result.findings] == ["weekly:load-balancer", "weekly:api"]
    assert result.next[0].command() == (
        "opslib open 2-investigate/first-look -p window=2026-10-30T06:00:00Z/2026-10-30T10:00:00Z"
    )
    moved = rows(result, "response", "metric")["TargetResponseTime p90"]
    assert moved["moved"] == "332 ms to 461 ms since 10-30 16:00" and moved["flagged"]
    beside = rows(result, "deploys", "what")["deploy of api (shop-api:2026.10.30-9)"]["moved beside it"]
    assert "load-balancer TargetResponseTime p90 rose 39 %" in beside
    assert {name: row["verdict"] for name, row in rows(result, "components", "component").items()}["dns"] == "OK · 正常"


def test_fewer_hits_are_told_in_points(week: Week) -> None:
    def missed(frame: pd.DataFrame) -> None:
        column = ("cache", "CacheHitRate")
        frame.loc[frame.index >= DEPLOYED, column] -= 5.0

    result = planted(week, missed)
    assert result.sentence.startswith("cache: CacheHitRate fell from 92.4 % to 87.4 % since about 2026-10-30 1")
    assert result.next[0].runbook == "2-investigate/slow-cache"


def test_storage_that_ends_soon_is_urgent(week: Week) -> None:
    def filling(frame: pd.DataFrame) -> None:
        column = ("database", "FreeStorageSpace")
        frame[column] = [30e9 - 25e9 * hour / len(frame) for hour in range(len(frame))]

    result = planted(week, filling)
    assert result.verdict is Verdict.CRITICAL
    assert "database FreeStorageSpace reaches its limit in 3 days" in result.sentence


def test_days_without_data_are_said(week: Week) -> None:
    def silent(frame: pd.DataFrame) -> None:
        of = [name for name in frame.columns if name[0] == "load-balancer"]
        frame.loc[frame.index[-60:], of] = float("nan")

    result = planted(week, silent)
    assert (result.verdict, result.sight) == (Verdict.UNKNOWN, Sight.PARTIAL)
    assert result.reason == "no data for 60 of 168 hours of this week: load-balancer"
    assert result.sentence.startswith("Nothing that could be seen needs a person, but not all could be seen")


def test_without_the_week_before_nothing_is_called_well(week: Week) -> None:
    def young(frame: pd.DataFrame) -> None:
        frame.loc[frame.index[:168]] = float("nan")

    result = planted(week, young)
    assert (result.verdict, result.sight) == (Verdict.UNKNOWN, Sight.PARTIAL)
    assert "no data for 168 of 168 hours of the week before" in result.reason
    assert {row["sentence"] for row in rows(result, "components", "component").values()} == {
        "the week before is not known"
    }


@pytest.mark.parametrize(
    ("service", "operation", "said", "part"),
    [
        ("cloudwatch", "GetMetricData", "metrics", "response"),
        ("pi", "DescribeDimensionKeys", "statements", "statements"),
        ("ecs", "ListServiceDeployments", "deployments", "deploys"),
        ("amplify", "ListJobs", "builds", "delivery"),
    ],
)
def test_what_is_denied_is_said_and_the_rest_stands(
    sandbox: Sandbox, run: Run, service: str, operation: str, said: str, part: str
) -> None:
    other = replace(run, window=shortened(run, hours=1))  # read by no test before
    sandbox.fault(service=service, operation=operation, kind="access-denied")
    try:
        result = weekly_performance.report(other)
    finally:
        sandbox.clear_faults()
    assert (result.verdict, result.sight) == (Verdict.UNKNOWN, Sight.PARTIAL)
    assert said in result.reason
    assert result.part(part).sight in (Sight.DENIED, Sight.PARTIAL)
    assert result.part("jobs").verdict is Verdict.OK


def test_it_takes_no_more_than_20_seconds_and_60_calls(sandbox: Sandbox, run: Run, deadlines: list[float]) -> None:
    other = replace(run, window=shortened(run, hours=2))
    sandbox.settings(latency_ms=LATENCY_MS)
    began, before = time.monotonic(), sum(aws.calls().values())
    try:
        weekly_performance.report(other)
    finally:
        seconds, calls = time.monotonic() - began, sum(aws.calls().values()) - before
        sandbox.settings(latency_ms=0)
    print(f"weekly-performance: {seconds:.1f} s, {calls} calls at {LATENCY_MS} ms")
    assert calls <= CALLS
    assert sum(deadlines) < SECONDS


def test_a_job_that_fails_or_drags_is_told() -> None:
    days = pd.DataFrame({"job_name": ["mail"] * 7 + ["report"] * 7, "runs": 20, "failed": 0, "median_s": [9.0, 10, 11, 10, 9, 10, 11] * 2})  # fmt: skip
    now = days.copy()
    now.loc[:2, "failed"], now.loc[7:, "median_s"] = 4, now.loc[7:, "median_s"] * 2
    told = weekly_parts.by_job(now, days)
    assert (told.loc["mail", "failing"], told.loc["mail", "slower"]) == (True, False)
    assert (told.loc["report", "failing"], told.loc["report", "slower"]) == (False, True)
    assert not weekly_parts.by_job(days, days)[["failing", "slower"]].to_numpy().any()


def test_a_replay_says_the_same(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "20261105T024000Z_weekly-performance_aaaaaaaa"
    folder.mkdir()
    first = weekly_performance.report(replace(run, folder=folder, usd=0.0))
    bare = run.environment.model_copy(update={"database": None})  # a record does not keep it
    again = weekly_performance.report(replace(run, environment=bare, folder=None, replayed=folder))
    assert again.as_json() | {"data": []} == first.as_json() | {"data": []}


def test_the_notebook_stays_light() -> None:
    assert NOTEBOOK.stat().st_size <= BOUND
    asked = [
        part for cell in json.loads(NOTEBOOK.read_text())["cells"] for part in cell["source"] if "week.part(" in part
    ]
    assert len(asked) == 10
