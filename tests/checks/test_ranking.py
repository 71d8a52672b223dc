"""The ranking against made-up systems: it finds the planted cause, and nothing where nothing is planted."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opslib.checks.ranking import rank_components
from opslib.window import Window
from tests.checks.synthetic_systems import FAULTS, System, draw

SEEDS = range(40)


def ranked(system: System, **more: Any) -> pd.DataFrame:
    return rank_components(system.series, incident=system.incident, baseline=system.baseline, **more)


def sigma_first(system: System) -> str:
    """Return what three sigma would blame: the component with the largest deviation in standard deviations."""
    index = system.series.index
    base = system.series[(index >= system.baseline[0]) & (index < system.baseline[1])]
    during = system.series[(index >= system.incident[0]) & (index < system.incident[1])]
    far = ((during - base.mean()) / base.std().replace(0.0, np.nan)).abs().max()
    return str(far.groupby(level=0).max().idxmax())


@pytest.mark.parametrize("fault", FAULTS)
def test_with_the_call_graph_the_cause_is_first_in_nearly_every_drawn_system(fault: str) -> None:
    systems = [draw(seed, fault=fault) for seed in SEEDS]
    first = sum(ranked(system, calls=system.calls)["component"][0] == system.cause for system in systems)
    sigma = sum(sigma_first(system) == system.cause for system in systems)
    assert first >= 0.85 * len(systems)
    assert first > sigma


def test_without_the_call_graph_who_was_off_first_is_blamed() -> None:
    systems = [draw(seed, lag=2) for seed in SEEDS]
    first = sum(ranked(system)["component"][0] == system.cause for system in systems)
    assert first >= 0.7 * len(systems)
    assert first > sum(sigma_first(system) == system.cause for system in systems)


def test_nothing_is_off_where_nothing_is_planted() -> None:
    systems = [draw(seed, fault="none") for seed in range(1000, 1060)]
    alarmed = sum(ranked(system, calls=system.calls)["score"][0] >= 1.0 for system in systems)
    assert alarmed <= 8  # most of them: a daily season of which the frame holds no other day


def frame(minutes: int = 300, **columns: Any) -> pd.DataFrame:
    index = pd.date_range("2026-03-02T00:00Z", periods=minutes, freq="min")
    return pd.DataFrame({tuple(name.split("__")): values for name, values in columns.items()}, index=index)


BASE = ("2026-03-02T00:00Z", "2026-03-02T04:00Z")
LATE = ("2026-03-02T04:00Z", "2026-03-02T05:00Z")


def noisy(level: float, deviation: float, seed: int, size: int = 300) -> np.ndarray:
    return level + deviation * np.random.default_rng(seed).normal(size=size)


def test_units_and_offsets_do_not_change_the_order() -> None:
    system = draw(3, fault="shift")
    scaled = system.series * ([1e-6, 1e9, 3.0] * 40)[: system.series.shape[1]]
    plain, other = (
        ranked(system, calls=system.calls),
        rank_components(scaled, incident=system.incident, baseline=system.baseline, calls=system.calls),
    )
    assert plain["component"][0] == other["component"][0] == system.cause


def test_a_counter_that_grows_as_ever_is_not_off_and_one_that_grows_faster_is() -> None:
    grows = np.cumsum(np.random.default_rng(1).uniform(5, 9, 300))
    faster = grows + np.concatenate([np.zeros(250), np.cumsum(np.full(50, 60.0))])
    reset = np.where(np.arange(300) < 260, grows, grows - grows[260])
    found = rank_components(
        frame(a__total=grows, b__total=faster, c__total=reset), incident=LATE, baseline=BASE
    ).set_index("component")
    assert found.loc["b", "score"] > 1.0
    assert found.loc["b", "since"] == pd.Timestamp("2026-03-02T04:10Z")
    assert found.loc[["a", "c"], "score"].max() < 1.0


def test_the_season_is_no_finding_when_the_frame_holds_other_days() -> None:
    minutes = 3 * 1440
    day = 100 + 60 * np.sin(np.arange(minutes) * 2 * np.pi / 1440)
    off = noisy(50, 2, 1, minutes)
    off[-30:] += 14
    index = pd.date_range("2026-03-02T00:00Z", periods=minutes, freq="min")
    series = pd.DataFrame({("web", "rps"): day + noisy(0, 2, 2, minutes), ("db", "cpu"): off}, index=index)
    for baseline in [(index[0], index[-60]), (index[-180], index[-60])]:
        found = rank_components(series, incident=(index[-60], index[-1]), baseline=baseline)
        assert list(found["component"]) == ["db", "web"]
        assert found["score"][1] < 1.0


def test_gaps_constant_and_silent_series_are_no_finding() -> None:
    gaps = noisy(10, 1, 4)
    gaps[::3] = np.nan
    gaps[245:290] = np.nan
    silent = noisy(10, 1, 5)
    silent[240:] = np.nan
    found = rank_components(
        frame(a__x=gaps, b__x=np.full(300, 7.0), c__x=silent, d__x=np.full(300, np.nan)), incident=LATE, baseline=BASE
    )
    assert set(found["component"]) == {"a", "b", "c", "d"}
    assert found["score"].max() < 1.0
    assert found["since"].isna().all()


def test_errors_that_only_speak_when_they_happen_count_from_zero() -> None:
    errors = np.full(300, np.nan)
    errors[[20, 90, 170]] = 1.0
    errors[255:] = 9.0
    found = rank_components(frame(a__errors=errors, b__x=noisy(5, 1, 6)), incident=LATE, baseline=BASE)
    assert found.loc[0, ["component", "since"]].tolist() == ["a", pd.Timestamp("2026-03-02T04:15Z")]


def test_an_outlier_in_the_baseline_does_not_hide_the_fault() -> None:
    values = noisy(10, 1, 7)
    values[30:36] = 5000.0
    values[250:] += 12
    found = rank_components(frame(a__x=values, b__x=noisy(10, 1, 8)), incident=LATE, baseline=BASE)
    assert found["component"][0] == "a"
    assert found["score"][0] > 1.0


def test_a_louder_caller_is_a_symptom_of_what_it_calls() -> None:
    loud, quiet = noisy(100, 1, 9), noisy(100, 10, 10)
    loud[252:] += 900
    quiet[251:] += 90
    series = frame(web__latency=loud, db__latency=quiet, cache__latency=noisy(3, 0.1, 11))
    found = rank_components(series, incident=LATE, baseline=BASE, calls={"web": ("db", "cache")})
    assert found[["component", "symptom_of"]].head(2).values.tolist() == [["db", ""], ["web", "db"]]
    later = series.copy()
    later["db", "latency"] = later["db", "latency"].shift(30)
    assert rank_components(later, incident=LATE, baseline=BASE, calls={"web": ("db", "cache")})["component"][0] == "web"


def test_a_side_that_is_good_is_no_finding() -> None:
    series = frame(cache__hits=noisy(50, 1, 12) + np.where(np.arange(300) > 250, 20, 0))
    assert rank_components(series, incident=LATE, baseline=BASE)["score"][0] >= 1.0
    series.attrs["bad"] = {("cache", "hits"): "low"}
    assert rank_components(series, incident=LATE, baseline=BASE)["score"][0] < 1.0


def test_windows_slices_naive_times_and_numbers_name_the_same_rows() -> None:
    values = noisy(10, 1, 13)
    values[250:] += 20
    series = frame(a__x=values)
    at = [datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (0, 4, 5)]
    windows = [Window(at[0], at[1], UTC), Window(at[1], at[2], UTC)]
    expected = rank_components(series, incident=LATE, baseline=BASE)
    assert rank_components(series, incident=windows[1], baseline=windows[0]).equals(expected)
    assert rank_components(series, incident=slice(at[1], at[2]), baseline=slice(None, at[1])).equals(expected)
    naive = series.tz_localize(None)
    assert rank_components(naive, incident=LATE, baseline=BASE)["score"][0] == expected["score"][0]
    numbered = series.reset_index(drop=True)
    assert rank_components(numbered, incident=(240, 300), baseline=(0, 240))["since"][0] == 250


def test_a_window_without_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no row in the incident"):
        rank_components(frame(a__x=noisy(1, 1, 1)), incident=("2027-01-01", "2027-01-02"), baseline=BASE)


def test_frames_of_any_make_are_read() -> None:
    values = noisy(10, 1, 13)
    values[250:] += 20
    series = frame(a__x=values)
    expected = rank_components(series, incident=LATE, baseline=BASE)
    objects = series.set_axis(pd.Index(list(series.index.to_pydatetime()), dtype=object))
    for other in (
        objects,
        pd.concat([series, series.iloc[50:90]]),
        series.iloc[::-1],
        series * 1e-200,
        series.astype("Float64"),
    ):
        pd.testing.assert_frame_equal(rank_components(other, incident=LATE, baseline=BASE), expected)
    nothing = rank_components(series.iloc[:, :0], incident=LATE, baseline=BASE)
    assert len(nothing) == 0 and list(nothing.columns) == list(expected.columns) and nothing.attrs["off"] == []
    silent = rank_components(series * np.nan, incident=LATE, baseline=BASE)
    assert silent["since"].isna().all() and silent["score"][0] == 0.0
    with pytest.raises(ValueError, match="no row"):
        rank_components(pd.DataFrame(), incident=LATE, baseline=BASE)
