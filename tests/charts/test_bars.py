"""Bars: the same bytes each time, failed on top in its own colour, nothing of it obeyed as markup."""

import pandas as pd

from opslib.charts.bars import bars
from opslib.charts.drawing import BAD

HOURS = pd.date_range("2026-11-05 09:00", periods=4, freq="h", tz="Asia/Tokyo")
COUNTS = pd.DataFrame({"ok": [5, 7, 6, 1], "failed": [0, 0, 2, 9]}, index=HOURS)
STEP = pd.Timedelta(hours=1)


def test_the_same_bytes_each_time() -> None:
    first, second = (bars(COUNTS, title="11 of 30 failed", unit="runs", step=STEP) for _ in range(2))
    assert (first.wide, first.narrow) == (second.wide, second.narrow) and first.wide != first.narrow
    assert BAD in first.wide and len(first.wide) < 60_000


def test_no_rows_is_an_empty_drawing() -> None:
    assert "<svg" in bars(COUNTS.head(0), title="nothing", unit="runs", step=STEP).wide


def test_a_series_without_failures_shows_no_red() -> None:
    assert BAD not in bars(COUNTS[["ok"]], title="all well", unit="runs", step=STEP).wide
