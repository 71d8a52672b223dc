"""What a line chart shows, read from the axes and the SVG that it becomes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from opslib.charts import time_axis
from opslib.charts import timeseries as charts
from opslib.charts.drawing import BAD, INK, Chart
from opslib.charts.time_axis import MAX_POINTS
from opslib.charts.timeseries import USUAL, Marker
from opslib.config import zone_named
from opslib.window import Window

START = datetime(2026, 11, 5, 1, 0, tzinfo=UTC)
JAPAN = zone_named("Asia/Tokyo")


def frame(count: int, seconds: int = 60, **columns: float) -> pd.DataFrame:
    index = pd.date_range(START, periods=count, freq=f"{seconds}s")
    return pd.DataFrame({name: np.full(count, value) for name, value in (columns or {"p99": 1.0}).items()}, index=index)


def timeseries(lines: pd.DataFrame, **more: object) -> Chart:
    """Return the chart once it is drawn: it is not before somebody looks."""
    chart = charts.timeseries(lines, **more)
    assert chart.html()
    return chart


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch):
    """Return a list that receives the axes of both drawings, as `draw` leaves them."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG as Canvas

    seen, plain = [], Canvas.print_svg  # the layout calls it, too, and leaves it before it ends
    monkeypatch.setattr(
        Canvas, "print_svg", lambda self, *a, **k: (plain(self, *a, **k), seen.append(self.figure.axes[0]))
    )
    return seen


def drawn(axes: object, label: str) -> np.ndarray:
    [line] = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(line.get_ydata(), dtype=float)


def test_everything_asked_for_is_drawn_in_both_widths(axes: list) -> None:
    end = START + timedelta(hours=1)
    chart = timeseries(
        frame(60), title="p99 of web rose", unit="seconds", threshold=2.0, baseline=frame(60)["p99"] * 0.9,
        markers=[Marker(START + timedelta(minutes=9), "deploy api"), Marker(START + timedelta(minutes=12), "在庫更新", "alarm")],
        window=Window(START, end, UTC), zone=JAPAN,
    )  # fmt: skip
    assert len(axes) == 2 and chart.title == "p99 of web rose" and 'alt="p99 of web rose"' in chart.html()
    for each in axes:
        texts = {text.get_text() for text in each.texts}
        assert texts == {"limit 2", "deploy api", "在庫更新"}
        assert (each.get_ylabel(), each.get_xlabel()) == ("seconds", "2026-11-05 JST")
        assert len(each.patches) == 1, "the window is shaded"
        assert {line.get_label() for line in each.get_lines()} >= {"p99", USUAL}
        colours = {line.get_color() for line in each.get_lines() if line.get_linestyle() == ":"}
        assert colours == {INK, BAD}


def test_missing_times_and_values_are_gaps_and_a_lone_point_is_seen(axes: list) -> None:
    given = frame(20)
    given.iloc[3:5] = np.nan
    timeseries(given.drop(given.index[[9, 11]]), title="t", unit="u")
    values = drawn(axes[0], "p99")
    assert np.isnan(values).sum() == 4 and len(values) == 20
    lone = [line for line in axes[0].get_lines() if line.get_marker() == "o"]
    assert [len(line.get_ydata()) for line in lone] == [1]


def test_long_series_become_means_and_say_so(axes: list) -> None:
    given = frame(3000)
    given["p99"] = np.arange(3000.0)
    timeseries(given, title="t", unit="u", baseline=pd.DataFrame({"low": given["p99"], "high": given["p99"] + 1}))
    values = drawn(axes[0], "p99")
    assert len(values) <= MAX_POINTS and values[1] == np.arange(10, 20).mean()
    assert axes[0].get_xlabel() == "2026-11-05 to 11-07 UTC · each point the mean of 10 min"


def test_labels_do_not_hide_each_other(axes: list) -> None:
    markers = [Marker(START + timedelta(minutes=n), f"change number {n}") for n in range(10)]
    timeseries(frame(60), title="t", unit="u", markers=[*markers, Marker(START - timedelta(days=1), "long ago")])
    for each in axes:
        renderer = FigureCanvasAgg(each.figure).get_renderer()
        boxes = [text.get_window_extent(renderer) for text in each.texts]
        assert each.texts[-1].get_text() == "and 4 more" and len(boxes) == 7
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


def test_texts_are_shown_not_obeyed() -> None:
    chart = timeseries(frame(3, **{"<script>$x^2$": 1.0, "b": 2.0}), title='"><b>', unit="u")
    assert "<script>" not in chart.wide and '"><b>' not in chart.html()


@pytest.mark.filterwarnings("error")  # on stderr a warning would stand in the record
@pytest.mark.parametrize("hours", [0.03, 0.5, 3, 26, 80, 400, 4000])
def test_ticks_are_round_local_times(hours: float) -> None:
    last = START.astimezone(JAPAN) + timedelta(hours=hours)
    for most in (5, 9):
        ticks = time_axis._ticks(START.astimezone(JAPAN), last, most)
        assert 1 <= len(ticks) <= most + 1 and all(tick.second % 10 == 0 for tick in ticks)
    timeseries(frame(100, int(hours * 36)), title="t", unit="u", zone=JAPAN)


def test_where_nothing_happened_the_axis_is_not_negative(axes: list) -> None:
    timeseries(frame(60) * 0, title="t", unit="errors")
    assert len(axes) == 2 and all(
        tick >= 0 for each in axes for tick in each.get_yticks() if each.get_ylim()[0] <= tick
    )


def test_no_data_is_said(axes: list) -> None:
    timeseries(frame(0), title="t", unit="u", markers=[Marker(START, "deploy")])
    timeseries(frame(9) * np.nan, title="t", unit="u", threshold=1.0)
    timeseries(frame(9) * np.nan, title="t", unit="u", baseline=frame(9)["p99"], zone=JAPAN)
    assert len(axes) == 6 and all("no data" in {text.get_text() for text in each.texts} for each in axes)


def test_the_same_picture_twice() -> None:
    first, second = (timeseries(frame(50), title="t", unit="bytes", threshold=3.0) for _ in range(2))
    assert (first.wide, first.narrow) == (second.wide, second.narrow)


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (40, "40"), (1200, "1,200"), (12_000, "12 k"), (3.12e11, "312 G"), (0, "0")]
)
def test_numbers_on_the_axis(value: float, text: str) -> None:
    assert time_axis.number_text(value) == text
