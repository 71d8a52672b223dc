"""What the runs of a window say, against each job's own history: pure functions over the frames of sources/jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.sources.jobs import FAILED, UNFINISHED
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

HISTORY = timedelta(days=28)
FAILING, RECOVERED, SLOW, USUAL = "failing", "failed, then succeeded", "slow", "as usual"
WORST_FIRST = (FAILING, RECOVERED, SLOW, USUAL)
FEW, SHARE, TIMES = 3, 0.05, 5.0  # failing: at least 3, more than 5 %, and 5 times the usual share
_ID = re.compile(r"\b(?:[a-z]+-)?[0-9a-f]{8,}\b|'[^']*'|\"[^\"]*\"|[\d,.]*\d", re.I)


@dataclass(frozen=True)
class Story:
    """jobs: a row a job; errors: a row a job and kind of error; missed, stuck: a row a run that did not come or end."""

    jobs: pd.DataFrame
    errors: pd.DataFrame
    missed: pd.DataFrame
    stuck: pd.DataFrame


def read(
    runs: pd.DataFrame, unfinished: pd.DataFrame, usual: pd.DataFrame, clock: pd.DataFrame, *, window: Window, zone: str
) -> Story:
    """Read the runs of a window against the history before it; an unfinished run counts as stuck by its job's own p99."""
    days = sorted({(window.start + timedelta(hours=n)).astimezone(window.zone).isoweekday() for n in range(168)
                   if window.start + timedelta(hours=n) < window.end})  # fmt: skip
    habits = habits_of(usual, days)
    return Story(
        by_job(runs, habits),
        by_error(runs),
        missed(clock, window=window, zone=zone),
        stuck(unfinished, habits, window=window),
    )


def habits_of(usual: pd.DataFrame, days: list[int]) -> pd.DataFrame:
    """Return the habits by job: runs, failed, share (of these days of the week when they had 20 runs), median_s, p99_s."""
    import pandas as pd

    rows = {}
    for job, frame in usual.groupby("job_name"):
        same = frame[frame["weekday"].isin(days)]
        basis = same if same["runs"].sum() >= 20 else frame
        timed = basis.dropna(subset=["median_s"])  # a day on which none has ended tells no duration
        rows[job] = {
            "runs": int(frame["runs"].sum()), "share": float(basis["failed"].sum() / basis["runs"].sum()),
            "median_s": float((timed["median_s"] * timed["runs"]).sum() / timed["runs"].sum()) if len(timed) else float("nan"), "p99_s": float(basis["p99_s"].max()),
            "last_success": frame["last_success"].max(), "by_clock": bool(frame["by_clock"].all()),
        }  # fmt: skip
    columns = ["runs", "share", "median_s", "p99_s", "last_success", "by_clock"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def by_job(runs: pd.DataFrame, habits: pd.DataFrame) -> pd.DataFrame:
    """Return a row a job that ran: state, runs, failed, usual_failed (share), since, last_success, took_s, usual_s, retried."""
    import pandas as pd

    rows = [
        _job(str(job), frame, habits.loc[job] if job in habits.index else None)
        for job, frame in runs.groupby("job_name")
    ]
    columns = [
        "job", "state", "runs", "failed", "share", "usual_share", "since", "last_success", "took_s", "usual_s", "retried", "by_clock",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    rank = table["state"].map({state: place for place, state in enumerate(WORST_FIRST)})
    order = table.assign(rank=rank).sort_values(["rank", "failed", "job"], ascending=[True, False, True])
    return order.drop(columns="rank").reset_index(drop=True)


def _job(job: str, frame: pd.DataFrame, habit: Any) -> dict[str, Any]:
    ended = frame[~frame["status"].isin(UNFINISHED)].sort_values(["finished_at", "id"])
    failed, good = ended[ended["status"].isin(FAILED)], ended[~ended["status"].isin(FAILED)]
    share = len(failed) / len(ended) if len(ended) else 0.0
    usual = float(habit["share"]) if habit is not None else 0.0
    took = float((good["finished_at"] - good["started_at"]).dt.total_seconds().median()) if len(good) else float("nan")
    before = habit["last_success"] if habit is not None else None
    by_clock = bool(frame["request_id"].isna().all())
    return {
        "job": job, "state": _state(ended, share, usual, took, habit, by_clock), "runs": len(frame), "failed": len(failed), "share": share,
        "usual_share": usual if habit is not None else float("nan"), "since": failed["finished_at"].min(),
        "last_success": good["finished_at"].max() if len(good) else before, "took_s": took,
        "usual_s": float(habit["median_s"]) if habit is not None else float("nan"), "retried": int((frame["attempt"] > 1).sum()),
        "by_clock": by_clock,
    }  # fmt: skip


def _state(ended: pd.DataFrame, share: float, usual: float, took: float, habit: Any, by_clock: bool) -> str:
    failed = ended["status"].isin(FAILED)
    if by_clock and len(ended) and bool(failed.iloc[-1]):
        return FAILING
    if failed.sum() >= FEW and share > max(SHARE, TIMES * usual):
        return RECOVERED if not failed.tail(max(FEW, int(1 / share))).any() else FAILING
    if by_clock and failed.any():
        return RECOVERED
    late = habit is not None and took > 2 * float(habit["median_s"]) and took > 0.8 * float(habit["p99_s"])
    return SLOW if late and len(ended) >= FEW else USUAL


def by_error(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a job and kind of error: runs, first, last, example, run id, request_id; texts that differ in numbers, ids and quoted words are one."""
    import pandas as pd

    failed = runs[runs["status"].isin(FAILED)]
    kinds = failed.assign(kind=failed["error"].fillna("").map(kind_of))
    rows = [
        {"job": job, "runs": len(frame), "first": frame["finished_at"].min(), "last": frame["finished_at"].max(),
         "error": frame["error"].fillna("").iloc[-1] or "(no error text)", "id": int(frame["id"].iloc[-1]),
         "request_id": next(iter(frame["request_id"].dropna().iloc[::-1]), ""), "attempts": int(frame["attempt"].max())}
        for (job, _), frame in kinds.sort_values(["finished_at", "id"]).groupby(["job_name", "kind"])
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["job", "runs", "first", "last", "error", "id", "request_id", "attempts"])
    return table.sort_values(["runs", "job"], ascending=[False, True], ignore_index=True)


def kind_of(error: str) -> str:
    """Return the first line of an error without its numbers, ids and quoted words."""
    return _ID.sub("#", error.strip().splitlines()[0] if error.strip() else "")


def missed(clock: pd.DataFrame, *, window: Window, zone: str) -> pd.DataFrame:
    """Return the runs that a job's own rhythm promised in the window and that never came: job, due, last, every.

    Promised is what was queued at the same local time one and two weeks before; late is more than a fifth of the usual
    gap, between 2 and 60 minutes.
    """
    import pandas as pd

    rows = []
    for job, frame in clock.groupby("job_name"):
        times = frame["queued_at"].dt.tz_convert(zone).sort_values()
        gap = times.diff().median()
        if pd.isna(gap):
            continue
        grace = min(max(gap / 5, pd.Timedelta(minutes=2)), pd.Timedelta(hours=1))
        for due in _promised(times, window, grace, zone):
            if not _near(times, due, grace):
                rows.append(
                    {
                        "job": job,
                        "due": due.tz_convert("UTC"),
                        "last": times[times < due].max().tz_convert("UTC"),
                        "every": gap,
                    }
                )
    table = pd.DataFrame(rows, columns=["job", "due", "last", "every"])
    return table.sort_values(["due", "job"], ignore_index=True)


def _promised(times: Any, window: Window, grace: Any, zone: str) -> list[Any]:
    """Local clock times of a week ago that also were two weeks ago, moved into the window."""
    import pandas as pd

    week = pd.Timedelta(days=7)
    naive = times.dt.tz_localize(None)  # the same time on the clock, whatever summer time does
    start, end = (pd.Timestamp(moment).tz_convert(zone).tz_localize(None) for moment in (window.start, window.end))
    last = naive[(naive >= start - week) & (naive < end - week)]
    late = [moment + week for moment in last if moment + week + grace < end and _near(naive, moment - week, grace)]
    return list(pd.DatetimeIndex(late).tz_localize(zone, ambiguous=True, nonexistent="shift_forward"))


def _near(times: Any, moment: Any, grace: Any) -> bool:
    place = int(times.searchsorted(moment - grace))
    return place < len(times) and times.iloc[place] <= moment + grace


def stuck(unfinished: pd.DataFrame, habits: pd.DataFrame, *, window: Window) -> pd.DataFrame:
    """Return the unfinished runs older than three times their job's p99 (10 minutes at least): job, state, since, for_s, usual_s, id."""
    import pandas as pd

    since = unfinished["started_at"].fillna(unfinished["queued_at"])
    table = pd.DataFrame({
        "job": unfinished["job_name"], "state": unfinished["status"], "since": since,
        "for_s": (pd.Timestamp(window.end) - since).dt.total_seconds(), "id": unfinished["id"],
        "usual_s": unfinished["job_name"].map(habits["median_s"]), "request_id": unfinished["request_id"],
    })  # fmt: skip
    limit = unfinished["job_name"].map(habits["p99_s"]).fillna(1200.0).clip(lower=200.0) * 3
    return table[table["for_s"] > limit].reset_index(drop=True)
