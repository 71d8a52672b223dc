"""Failed jobs: what is unusual is told from what is usual, and what did not come or end is named."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import psycopg
import pytest

import opslib
from opslib.checks import job_story, jobs
from opslib.result import Sight, Verdict
from opslib.sandbox.control import Sandbox
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
DAY = Window(NOW - timedelta(days=1), NOW, timezone(timedelta(hours=9), "JST"))


def table(rows: list[tuple[str, str, float, float]], **more: Any) -> pd.DataFrame:
    """Runs from (job, status, queued minutes ago, seconds it took)."""
    queued = pd.to_datetime([NOW - timedelta(minutes=ago) for _, _, ago, _ in rows], utc=True).astype(
        "datetime64[ns, UTC]"
    )
    took = pd.to_timedelta([seconds for *_, seconds in rows], unit="s")
    frame = pd.DataFrame({"id": range(len(rows)), "job_name": [row[0] for row in rows], "status": [row[1] for row in rows],
                          "queued_at": queued, "started_at": queued, "finished_at": queued + took, "attempt": 1,
                          "request_id": None, "error": ["boom" if row[1] == "failed" else None for row in rows]})  # fmt: skip
    return frame.assign(**more)


def usual(
    job: str, *, runs: int = 100, failed: int = 0, median: float = 10.0, p99: float = 20.0, clock: bool = True
) -> pd.DataFrame:
    last = pd.Timestamp(NOW - timedelta(days=2))
    return pd.DataFrame([{"job_name": job, "weekday": day, "runs": runs, "failed": failed, "retried": 0, "median_s": median, "p99_s": p99,
                          "last_queued": last, "last_success": last, "by_clock": clock} for day in range(1, 8)])  # fmt: skip


def every(job: str, minutes: int, *, days: float = 15, without: tuple[int, ...] = ()) -> pd.DataFrame:
    """A job of the clock queued every so often up to now, but for those so many minutes ago."""
    ago = [minute for minute in range(minutes // 2, int(days * 1440), minutes) if minute not in without]
    times = pd.to_datetime([NOW - timedelta(minutes=minute) for minute in reversed(ago)], utc=True)
    return pd.DataFrame({"id": range(len(ago)), "job_name": job, "queued_at": times})


def state(runs: pd.DataFrame, habits: pd.DataFrame) -> str:
    return str(job_story.by_job(runs, job_story.habits_of(habits, [4, 5]))["state"].iloc[0])


def test_a_job_of_the_clock_fails_until_it_succeeds() -> None:
    assert state(table([("a", "succeeded", 60, 9), ("a", "failed", 30, 9)]), usual("a", failed=2)) == "failing"
    assert state(table([("a", "failed", 60, 9), ("a", "succeeded", 30, 9)]), usual("a")) == "failed, then succeeded"


def test_jobs_that_requests_leave_may_fail_as_often_as_usual() -> None:
    some = [("a", "failed" if n % 25 == 0 else "succeeded", 600 - n, 1) for n in range(500)]
    calm = table(some, request_id="req-000000000001")
    assert state(calm, usual("a", failed=3, clock=False)) == "as usual"
    burst = table([*some, *[("a", "failed", 50 - n, 1) for n in range(45)]], request_id="req-000000000001")
    assert state(burst, usual("a", failed=1, clock=False)) == "failing"


def test_a_slow_job_is_told_by_its_own_history() -> None:
    runs = table([("a", "succeeded", 60 - n, 50) for n in range(5)])
    assert (
        state(runs, usual("a", median=10, p99=20)) == "slow"
        and state(runs, usual("a", median=40, p99=90)) == "as usual"
    )


def test_a_day_without_an_end_tells_no_duration() -> None:
    habits = usual("a", median=10.0)
    habits.loc[0, ["median_s", "p99_s"]] = float("nan")
    assert job_story.habits_of(habits, [1, 2]).loc["a", "median_s"] == 10.0


def test_one_error_whatever_its_numbers() -> None:
    assert job_story.kind_of("Mismatch: 2 payments differ by ¥4,180\nat x") == job_story.kind_of(
        "Mismatch: 31 payments differ by ¥12"
    )
    assert job_story.kind_of("no row 'A'") != job_story.kind_of("no column 'A'")


@pytest.mark.parametrize(("minutes", "gone"), [(15, (7,)), (60, (30, 90)), (1440, (720,))])
def test_a_run_that_did_not_come_is_named_at_its_time(minutes: int, gone: tuple[int, ...]) -> None:
    found = job_story.missed(every("a", minutes, days=22, without=gone), window=DAY, zone="Asia/Tokyo")
    expected = [NOW - timedelta(minutes=minute) for minute in reversed(gone) if minute > min(max(minutes / 5, 2), 60)]
    assert [due.to_pydatetime() for due in found["due"]] == expected
    assert not len(job_story.missed(every("a", minutes, days=22), window=DAY, zone="Asia/Tokyo"))


def test_a_job_of_other_days_is_not_missed() -> None:
    weekly = every("a", 7 * 1440, days=30)
    assert not len(job_story.missed(weekly, window=DAY, zone="Asia/Tokyo"))


def test_a_run_hangs_by_its_own_p99() -> None:
    habits = job_story.habits_of(usual("slow", p99=3600), [4])
    hanging = job_story.stuck(
        table([("slow", "running", 100, 0), ("new", "queued", 100, 0), ("new", "queued", 5, 0)]), habits, window=DAY
    )
    assert list(hanging["job"]) == ["new"] and hanging["for_s"].iloc[0] == 6000


def test_the_planted_failures_are_found_with_their_request(sandbox: Sandbox) -> None:
    result = jobs.failed(opslib.start(env="sandbox"))
    assert result.verdict is Verdict.CRITICAL and result.sight is Sight.COMPLETE
    assert result.sentence.startswith(
        "stock-release fails since 11:02 JST: 72 of 78 runs in the window, all with one error: "
    )
    assert "row lock on orders" in result.sentence and result.next[0].runbook == "2-investigate/trace-request"
    example = result.part("example").table
    assert example is not None and example["line"].str.contains("StockReleaseJob.java:49").sum() == 1
    assert "Every job of the clock came" in result.part("missing").sentence


def test_an_ordinary_day_needs_nobody(sandbox: Sandbox) -> None:
    result = jobs.failed(opslib.start(env="sandbox", window="2026-11-04 00:00/10:00 JST"))
    assert result.verdict is Verdict.OK and result.sentence.startswith("Nothing to do: ")


def test_one_job_alone(sandbox: Sandbox) -> None:
    result = jobs.failed(opslib.start(env="sandbox", window="3h"), job="stock-sync")
    assert result.verdict is Verdict.OK and result.facts["runs"] == "12"


def test_a_missing_grant_is_a_gap_not_a_good_day(sandbox: Sandbox) -> None:
    with psycopg.connect(**sandbox.postgres_dsn("postgres"), autocommit=True) as connection:
        connection.execute("revoke select on job_runs from ops_reader")
        try:
            result = jobs.failed(opslib.start(env="sandbox"))
        finally:
            connection.execute("grant select on job_runs to ops_reader")
    assert (result.verdict, result.sight) == (
        Verdict.UNKNOWN,
        Sight.DENIED,
    ) and "grant the reader role SELECT" in result.reason
    assert [part.name for part in result.parts] == ["runs", "jobs", "errors", "missing", "example"]


def test_denied_logs_take_only_the_example_along(sandbox: Sandbox) -> None:
    sandbox.fault(service="logs", operation="StartQuery", kind="access-denied")
    try:
        result = jobs.failed(opslib.start(env="sandbox"))
    finally:
        sandbox.clear_faults()
    assert (
        result.verdict is Verdict.CRITICAL
        and result.sight is Sight.PARTIAL
        and "StartQuery was denied" in result.reason
    )
    assert result.part("example").sight is Sight.DENIED and result.part("runs").chart is not None
