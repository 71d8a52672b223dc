"""The application's table `audit_logs`, by bound parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib import database

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment


def rows_of_request(environment: Environment, request_id: str) -> pd.DataFrame:
    """Return the rows of `audit_logs` that carry the request id, oldest first, at most 200 (queries/audit_logs_of_request.sql).

    Raises DatabaseError when there is no way to the database or it refuses.
    """
    return database.fetch(environment, "audit_logs_of_request", {"request_id": request_id})
