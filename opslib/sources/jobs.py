"""The application's table `job_runs`, by bound parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib import database

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment


def rows_of_request(environment: Environment, request_id: str) -> pd.DataFrame:
    """Return the rows of `job_runs` that carry the request id, oldest first, at most 200 (queries/job_runs_of_request.sql).

    Raises DatabaseError when there is no way to the database or it refuses.
    """
    return database.fetch(environment, "job_runs_of_request", {"request_id": request_id})
