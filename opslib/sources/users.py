"""The application's table `users`, by bound parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib import database

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

SHOWN = (
    "id",
    "status",
    "plan",
    "locale",
    "created_at",
    "last_login_at",
)  # no name, no address: the id is enough to act on


def user(environment: Environment, user_id: str) -> pd.DataFrame:
    """Return the one user of that id with the columns of SHOWN that the table has (queries/user_by_id.sql)."""
    frame = database.fetch(environment, "user_by_id", {"user_id": user_id})
    return frame[[column for column in SHOWN if column in frame.columns]]
