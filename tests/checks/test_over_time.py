"""Counts over time: each moment once, in the hour or day of the reader's zone."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pandas as pd

from opslib.checks import over_time
from opslib.window import Window

RUN: Any = SimpleNamespace(environment=SimpleNamespace(timezone="Asia/Tokyo"))
END = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)


def window(**span: float) -> Window:
    return Window(END - timedelta(**span), END, timezone(timedelta(hours=9)))


def test_every_moment_is_counted_once_in_its_local_hour() -> None:
    at = pd.Series(pd.to_datetime(["2026-11-05T01:59:59Z", "2026-11-05T02:00:00Z", "2026-11-05T02:39:00Z"]))
    found = over_time.counts(RUN, window(hours=2), {"ok": at, "failed": at.head(0)})
    assert list(found["ok"]) == [0, 1, 2] and list(found["failed"]) == [0, 0, 0]
    assert [f"{begin:%H:%M}" for begin in found.index] == ["09:00", "10:00", "11:00"]


def test_a_long_window_is_counted_by_local_days() -> None:
    at = pd.Series(pd.to_datetime(["2026-11-04T14:59:59Z", "2026-11-04T15:00:00Z"]))
    found = over_time.counts(RUN, window(days=7), {"ok": at})
    assert found["ok"].sum() == 2 and list(found["ok"].tail(2)) == [1, 1] and found.index.freqstr == "D"


def test_no_moment_is_a_dash() -> None:
    assert list(over_time.local_times(RUN, pd.Series([None, None], dtype="object"))) == ["–", "–"]
