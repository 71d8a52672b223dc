"""The application's table `job_runs`, by bound parameters."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from opslib import database
from opslib.sources import table_rows
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

FAILED, UNFINISHED = ("failed", "error"), ("queued", "running")
ALL_TIME = timedelta(days=3650)
_TIMES = ("queued_at", "started_at", "finished_at", "last_queued", "last_success")


def rows_of_request(environment: Environment, request_id: str) -> pd.DataFrame:
    """Return the rows of `job_runs` that carry the request id, oldest first, at most 200 (queries/job_runs_of_request.sql).

    Raises DatabaseError when there is no way to the database or it refuses.
    """
    return database.fetch(environment, "job_runs_of_request", {"request_id": request_id})


def runs(
    environment: Environment, *, window: Window, job: str = "", status: str = "", most: int = table_rows.MOST
) -> pd.DataFrame:
    """Return the runs queued in the window, oldest first (queries/job_runs_page.sql); `status` may be several with commas.

    Columns: id int64, job_name, status str, queued_at, started_at, finished_at datetime64[ns, UTC], attempt int64,
    request_id, error, detail str or None. attrs as of `table_rows.rows`. Raises DatabaseError.
    """
    wanted = [part.strip() for part in status.split(",") if part.strip()]
    bound = {"job": job, "status": wanted}
    return _timed(table_rows.rows(environment, "job_runs_page", bound, window=window, by="queued_at", most=most))


def unfinished(environment: Environment, *, window: Window, job: str = "") -> pd.DataFrame:
    """Return the runs that have not ended, of any age up to the window's end (queries/job_runs_unfinished.sql)."""
    ever = Window(window.end - ALL_TIME, window.end, window.zone)
    return _timed(table_rows.rows(environment, "job_runs_unfinished", {"job": job}, window=ever, by="queued_at"))


def history(environment: Environment, *, window: Window, zone: str, job: str = "") -> pd.DataFrame:
    """Return how each job went in the window, a row for each day of the week (queries/job_history.sql).

    Columns: job_name str, weekday int64 (Monday 1), runs, failed, retried int64, median_s, p99_s float64 (seconds
    from start to end), last_queued, last_success datetime64[ns, UTC], by_clock bool (no request left it).
    """
    bound = {"job": job, "zone": zone}
    return _timed(table_rows.table(environment, "job_history", bound, window=window))


def clock_times(environment: Environment, *, window: Window, job: str = "") -> pd.DataFrame:
    """Return when the jobs that no request leaves were queued: id, job_name, queued_at (queries/job_clock_page.sql)."""
    return _timed(table_rows.rows(environment, "job_clock_page", {"job": job}, window=window, by="queued_at"))


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of times their type, which an empty or all-null column has not."""
    import pandas as pd

    for column in frame.columns.intersection(list(_TIMES)):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[ns, UTC]")
    return frame
