"""Sliding windows against the plain definition: every window is counted, one by one."""

import random

import numpy as np
import pandas as pd
import pytest

from opslib.checks import sliding

SPAN = pd.Timedelta(minutes=10)


def drawn(seed: int) -> pd.DataFrame:
    dice = random.Random(seed)
    count = dice.randrange(1, 60)
    at = pd.to_datetime([1_762_300_000 + dice.randrange(3600) for _ in range(count)], unit="s", utc=True)
    return pd.DataFrame({
        "at": at, "who": [dice.choice(["a", "b", None]) for _ in range(count)],
        "what": [dice.choice("uvwxyz") for _ in range(count)], "much": [dice.randrange(1, 9) for _ in range(count)],
    })  # fmt: skip


def held(frame: pd.DataFrame, who: str, end: pd.Timestamp, kind: str) -> float:
    some = frame[(frame["who"] == who) & (frame["at"] >= end - SPAN) & (frame["at"] <= end)]
    return {"rows": len(some), "what": some["what"].nunique(), "much": some["much"].sum()}[kind]


@pytest.mark.parametrize("kind", ["rows", "what", "much"])
@pytest.mark.parametrize("seed", range(40))
def test_an_episode_is_where_the_definition_says(seed: int, kind: str) -> None:
    frame, least = drawn(seed), {"rows": 5, "what": 4, "much": 21}[kind]
    more = {"what": {"value": frame["what"]}, "much": {"weight": frame["much"]}}.get(kind, {})
    found = sliding.episodes(frame["at"], frame["who"], span=SPAN, least=least, **more)
    for who in ("a", "b"):
        ends = sorted(set(frame.loc[frame["who"] == who, "at"]))
        high = [end for end in ends if held(frame, who, end, kind) >= least]
        mine = found[found["group"] == who]
        assert all(((mine["since"] <= end) & (mine["until"] >= end)).any() for end in high)
        assert len(mine) == 0 or min(high) == mine["reached"].min()
        assert bool(high) == bool(len(mine))
        if high:
            assert mine["peak"].max() == max(held(frame, who, end, kind) for end in ends)
        for one in mine.itertuples():
            assert held(frame, who, one.reached, kind) >= least and one.reached - one.since <= SPAN
    assert not found["group"].isna().any()


def test_a_burst_over_the_edge_of_any_bin_is_one() -> None:
    at = pd.Series(pd.to_datetime(["2026-11-05 00:59:50", "2026-11-05 00:59:55", "2026-11-05 01:00:05"], utc=True))
    found = sliding.episodes(at, pd.Series(["a"] * 3), span=pd.Timedelta(seconds=15), least=3)
    assert len(found) == 1 and found["since"][0] == at[0] and found["until"][0] == at[2]
    assert not len(sliding.episodes(at, pd.Series(["a"] * 3), span=pd.Timedelta(seconds=14), least=3))


def test_the_same_thing_at_both_ends_of_a_span_is_one_thing() -> None:
    at = pd.Series(pd.to_datetime(["2026-11-05 01:00:00", "2026-11-05 01:10:00"], utc=True))
    who, same, two = pd.Series(["a", "a"]), pd.Series(["x", "x"]), pd.Series(["x", "y"])
    assert not len(sliding.episodes(at, who, span=SPAN, least=2, value=same))
    assert len(sliding.episodes(at, who, span=SPAN, least=2, value=two)) == 1


def test_bursts_that_share_no_row_are_two() -> None:
    at = pd.Series(pd.to_datetime([f"2026-11-05 01:{minute:02}:00" for minute in (0, 1, 2, 30, 31, 32)], utc=True))
    found = sliding.episodes(at, pd.Series(["a"] * 6), span=SPAN, least=3)
    assert list(found["since"]) == [at[0], at[3]] and list(found["until"]) == [at[2], at[5]]


def test_nothing_is_no_episode() -> None:
    nothing = pd.Series(pd.to_datetime([], utc=True))
    found = sliding.episodes(nothing, pd.Series([], dtype="str"), span=SPAN, least=1)
    assert (
        not len(found) and list(found.columns) == sliding.COLUMNS and str(found["since"].dtype) == "datetime64[ns, UTC]"
    )


def test_windows_of_rows_that_overlap_are_one() -> None:
    marked = np.array([False, False, True, True, False, False, False, True])
    assert sliding.runs(marked, 3) == [(0, 3), (5, 7)]
