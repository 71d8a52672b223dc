"""The stacked area: order and colours by kind of wait, gaps that stay gaps, the same bytes each time."""

import pandas as pd
import pytest

from opslib.charts.stacked import _colours, ordered, stacked

TIMES = pd.date_range("2026-11-05T00:00Z", periods=60, freq="min")


def frame(**columns: float) -> pd.DataFrame:
    return pd.DataFrame({name.replace("__", ":"): value for name, value in columns.items()}, index=TIMES).astype(
        "float64"
    )


def test_cpu_is_at_the_bottom_locks_above_and_other_on_top() -> None:
    names = [
        "other",
        "Lock:tuple",
        "Timeout:VacuumDelay",
        "IO:WALWrite",
        "CPU",
        "Lock:transactionid",
        "IO:DataFileRead",
    ]
    assert ordered(names) == [
        "CPU", "IO:WALWrite", "IO:DataFileRead", "Timeout:VacuumDelay", "Lock:tuple", "Lock:transactionid", "other",
    ]  # fmt: skip
    colours = dict(zip(names, _colours(names), strict=True))
    assert colours["CPU"] == "#0b7a55" and colours["Lock:tuple"] == "#b3261e" and colours["IO:WALWrite"] == "#0072B2"
    assert colours["Lock:transactionid"] != colours["Lock:tuple"] and colours["other"] == colours["Timeout:VacuumDelay"]


def test_names_that_are_no_wait_events_have_colours_of_their_own() -> None:
    assert len({*_colours(["shop_api", "shop_batch", "other"])}) == 3
    assert ordered(["b", "a", "other"]) == ["b", "a", "other"]


def test_the_title_is_the_alt_text_and_the_bytes_are_the_same_each_time() -> None:
    def draw() -> str:
        return stacked(frame(CPU=1, Lock__tuple=2, other=0.1), title="Locks & <b>", line=4, line_label="4 vCPUs").html()

    assert draw() == draw() and 'alt="Locks &amp; &lt;b&gt;"' in draw()


def test_a_gap_is_no_dip() -> None:
    whole, holed = frame(CPU=1, other=1), frame(CPU=1, other=1)
    holed.iloc[20:30] = float("nan")
    nought = holed.fillna(0.0)
    drawn = [stacked(each, title="t").wide for each in (whole, holed, nought)]
    assert len({*drawn}) == 3


@pytest.mark.parametrize("empty", [frame(CPU=1).iloc[:0], frame(CPU=float("nan"))])
def test_nothing_is_drawn_as_no_data(empty: pd.DataFrame) -> None:
    assert stacked(empty, title="t", line=4, line_label="4").html()


def test_a_week_of_minutes_is_thinned() -> None:
    times = pd.date_range("2026-11-01T00:00Z", periods=5000, freq="min")
    wide = stacked(pd.DataFrame({"CPU": 1.0, "other": 0.5}, index=times), title="t").wide
    assert len(wide) < 40_000
