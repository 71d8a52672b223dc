"""Rows of the application's tables: the read replica first, page after page by key, complete or said to be not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opslib import database
from opslib.errors import DatabaseError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

PAGE, MOST = 10_000, 100_000
LATE_SECONDS = 30.0  # a replica that is further behind is said to be


def rows(
    environment: Environment, query: str, parameters: Mapping[str, Any], *, window: Window, by: str, most: int = MOST
) -> pd.DataFrame:
    """Return the rows of queries/<query>.sql in the window, ordered by (`by`, id), at most `most`.

    attrs: complete bool, problems list of str, read_from str, lag_s float (queries/replica_lag.sql).
    Raises DatabaseError when neither replica nor primary answers, or the statement fails.
    """
    start = {"start": window.start, "end": window.end, **parameters}
    return _read(environment, lambda connection: _pages(connection, query, start, by, most))


def table(environment: Environment, query: str, parameters: Mapping[str, Any], *, window: Window) -> pd.DataFrame:
    """Return the answer of one aggregate, queries/<query>.sql, over the window; attrs and errors as of `rows`."""
    bound = {"start": window.start, "end": window.end, **parameters}

    def ask(connection: Any) -> pd.DataFrame:
        frame = database.ask(connection, query, bound)
        frame.attrs.update(complete=True, problems=[])
        return frame

    return _read(environment, ask)


def like(pattern: str) -> str:
    """Return a shell-like pattern, of which only * is special, as the pattern of SQL's `like`."""
    plain = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return plain.replace("*", "%")


def _read(environment: Environment, read: Any) -> pd.DataFrame:
    """Read from the replica, or from the primary when there is none or it does not answer; say which."""
    problems: list[str] = []
    if environment.database and environment.database.replica_host:
        try:
            connection = database.connect(environment, replica=True)
        except DatabaseError as error:
            problems.append(f"the replica could not be read, the primary was: {error.why or error.what}")
        else:  # what it refuses or is too slow for is not asked of the primary again
            with connection:
                lag = database.ask(connection, "replica_lag", {}).iloc[0]
                behind = float("nan") if lag["lag_s"] is None else float(lag["lag_s"])
                return _told(read(connection), "replica" if lag["replica"] else "primary", behind, problems)
    with database.connect(environment) as connection:
        return _told(read(connection), "primary", 0.0, problems)


def _told(frame: pd.DataFrame, read_from: str, lag_s: float, problems: list[str]) -> pd.DataFrame:
    span = f"{lag_s:.0f} s" if lag_s == lag_s else "an unknown time"  # unknown: it has replayed nothing since its start
    late = [] if lag_s <= LATE_SECONDS else [f"the replica is {span} behind: newer rows are not in it yet"]
    frame.attrs.update(read_from=read_from, lag_s=lag_s, problems=[*frame.attrs["problems"], *problems, *late])
    return frame


def _pages(connection: Any, query: str, bound: dict[str, Any], by: str, most: int) -> pd.DataFrame:
    import pandas as pd

    frames: list[pd.DataFrame] = []
    count, after = 0, {"after_at": bound["start"], "after_id": -1}
    while True:
        page = database.ask(connection, query, {**bound, **after, "page": min(PAGE, most + 1 - count)})
        frames.append(page)
        count += len(page)
        if count > most or len(page) < PAGE:
            break
        after = {"after_at": page[by].iloc[-1], "after_id": int(page["id"].iloc[-1])}
    frame = pd.concat(frames, ignore_index=True).head(most)
    for column in frame.columns[frame.dtypes == "object"]:  # all null on one page, text on another
        frame[column] = frame[column].astype("str")
    more = [f"more than {most:,} rows: only the oldest {most:,} are seen"] if count > most else []
    frame.attrs.update(complete=not more, problems=more)
    return frame
