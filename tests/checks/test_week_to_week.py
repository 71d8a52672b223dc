"""week_to_week on made-up weeks: real moves are found with their hour, noise and single bad days are not."""

import numpy as np
import pandas as pd
import pytest

from opslib.checks.week_to_week import Move, move, rarely, runway, weighted

HOURS = pd.date_range("2026-10-29 00:00", periods=168, freq="h", tz="UTC")
START = 100  # an hour in the fifth day


def week(seed: int, *, noise: float = 0.06, days: float = 0.02) -> pd.Series:
    """Return a week with a course by the day, hours that differ, and days that differ."""
    rng = np.random.default_rng(seed)
    course = 100 * (1 + 0.5 * np.sin(np.arange(168) * 2 * np.pi / 24))
    return pd.Series(course * np.exp(rng.normal(0, noise, 168) + np.repeat(rng.normal(0, days, 7), 24)), index=HOURS)


def moved(factor: float, *, start: int = START, end: int = 168, seed: int = 1) -> Move | None:
    now = week(seed)
    now.iloc[start:end] *= factor
    return move(now, week(seed + 1000), least=1.0)


@pytest.mark.parametrize("factor", [1.4, 0.6])
def test_a_move_is_found_with_its_size_and_hour(factor: float) -> None:
    found = moved(factor)
    assert found is not None and found.since is not None
    assert abs(found.since - HOURS[START]) <= pd.Timedelta(hours=2)
    assert found.share == pytest.approx(factor - 1, abs=0.06)


def test_a_whole_week_that_is_slower_has_no_moment() -> None:
    found = moved(1.3, start=0)
    assert found is not None and found.since is None and found.share == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("start", "end"), [(60, 70), (160, 168)])
def test_what_is_over_or_only_began_is_no_move(start: int, end: int) -> None:
    assert moved(3.0, start=start, end=end) is None


def test_noise_moves_nothing() -> None:
    found = [seed for seed in range(300) if moved(1.0, seed=seed)]
    assert len(found) <= 3, found


def test_weeks_that_differ_by_themselves_hide_a_small_move() -> None:
    wild = [move(week(seed, days=0.2) * 1.15, week(seed + 1000, days=0.2), least=1.0) for seed in range(100)]
    assert sum(one is not None for one in wild) <= 3


def test_small_numbers_and_unknown_weeks_are_not_told() -> None:
    now, before = week(1) * 1.5, week(2)
    assert move(now / 1000, before / 1000, least=1.0) is None  # half as much again of nothing
    assert move(now, before.where(before.index < HOURS[60]), least=1.0) is None


def test_rare_events_are_told_beyond_chance() -> None:
    none = pd.Series(0.0, index=HOURS)
    few, many = none.copy(), none.copy()
    few.iloc[[5, 9, 80]], many.iloc[20:40] = 1.0, 2.0
    assert rarely(few, none, least=1.0) is None
    found = rarely(many, few, least=1.0)
    assert found is not None and (found.before, found.now) == (3.0, 40.0)


def test_a_runway_is_the_time_to_the_limit_and_noise_has_none() -> None:
    falling = pd.Series(np.linspace(100.0, 86.0, 168), index=HOURS)
    found = runway(falling + week(1) / 100, limit=0.0)
    assert found is not None and found.a_day == pytest.approx(-2.0, abs=0.1) and found.days == pytest.approx(43, abs=2)
    assert runway(falling, limit=200.0) is None  # it goes the other way
    assert runway(week(3), limit=1000.0) is None


def test_a_share_of_a_quiet_hour_counts_little() -> None:
    shares, all_of = pd.Series([0.0, 100.0]), pd.Series([999.0, 1.0])
    assert weighted(shares, all_of) == pytest.approx(0.1)
    assert np.isnan(weighted(shares, all_of * 0))
