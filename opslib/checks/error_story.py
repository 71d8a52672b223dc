"""Errors now against errors before: which patterns are new, which grew, since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib.sources.log_lines import FAILING

if TYPE_CHECKING:
    import pandas as pd

NEW, GREW, USUAL, FEW = "new", "grew", "usual", "rare"
FEW_LINES = 5  # an unseen pattern with fewer lines is shown, and raises nobody
TIMES, SURE = 3.0, 4.0  # grown: three times as many, and four standard deviations of a Poisson count
MOST_FEWER = 3.0  # an incident writes more lines, too: it must not excuse itself
PATTERNS_A_KIND = 6  # a kind with more of them names what it is about in words: they are one pattern
KEY = ["service", "kind", "pattern"]


@dataclass(frozen=True)
class Story:
    """patterns: KEY, level, lines, requests, one column a baseline, state, since, example; worst first.

    `bins`: lines by time (index aware, one column a row number of `patterns`).
    """

    patterns: pd.DataFrame
    bins: pd.DataFrame
    baselines: tuple[str, ...]

    @property
    def off(self) -> pd.DataFrame:
        """Return the patterns that are new or grew."""
        return self.patterns[self.patterns["state"].isin([NEW, GREW])]


def read(now: pd.DataFrame, course: pd.DataFrame, baselines: Mapping[str, pd.DataFrame]) -> Story:
    """Compare counts of one window with those of equally long ones before; without any baseline nothing is new."""
    import pandas as pd

    named = tuple(baselines)
    merged = _merged(now, course, *baselines.values())
    table = _summed(merged[0])
    for name, frame in zip(named, merged[2:], strict=True):
        before = frame.groupby(KEY)["lines"].sum()
        table[name] = (
            pd.Series(table.set_index(KEY).index.map(before).to_numpy(), index=table.index).fillna(0).astype("int64")
        )
    usual = (
        (table[list(named)] * _fewer(now, baselines)).max(axis=1).round().astype("int64") if named else table["lines"]
    )
    table["state"] = [
        _state(int(lines), float(expected)) for lines, expected in zip(table["lines"], usual, strict=True)
    ]
    table["more"] = table["lines"] - usual
    rank, touched = (
        table["state"].map({NEW: 0, GREW: 1, FEW: 2, USUAL: 3}),
        table["requests"].where(table["requests"] > 0, table["lines"]),
    )
    touched = touched.where(
        table["kind"] != "", touched / 2
    )  # the named error says more than the access line it ends in
    failing = ~table["level"].isin(FAILING)
    order = pd.DataFrame({"rank": rank, "failing": failing, "touched": -touched, "lines": -table["lines"], "pattern": table["pattern"]})  # fmt: skip
    table = table.loc[order.sort_values(list(order.columns), kind="stable").index].reset_index(drop=True)
    bins = _bins(table, merged[1])
    table["since"] = [
        _onset(bins[place], float(lines - more)) if state == GREW else first
        for place, (state, lines, more, first) in enumerate(
            zip(table["state"], table["lines"], table["more"], table["first"], strict=True)
        )
    ]
    return Story(table, bins, named)


def _fewer(now: pd.DataFrame, baselines: Mapping[str, pd.DataFrame]) -> list[float]:
    """Return how many times as many log lines of any kind the window has as each baseline: at night, and before a log began, fewer can fail."""
    lines = float(now.attrs.get("scanned", 0))
    then = [float(frame.attrs.get("scanned", 0)) for frame in baselines.values()]
    return [min(MOST_FEWER, max(1.0, lines / count)) if lines and count else 1.0 for count in then]


def _state(lines: int, expected: float) -> str:
    if not expected:
        return NEW if lines >= FEW_LINES else FEW
    grown = lines >= TIMES * expected and lines > expected + SURE * (expected + 1) ** 0.5
    return GREW if grown else USUAL


def _merged(*counted: pd.DataFrame) -> list[pd.DataFrame]:
    """Let a kind with many patterns have one: what they begin with."""
    import os

    import pandas as pd

    every = pd.concat([frame[KEY] for frame in counted], ignore_index=True).drop_duplicates()
    many: dict[Any, str] = {}
    for (service, kind), patterns in every[every["kind"] != ""].groupby(["service", "kind"])["pattern"]:
        if len(patterns) > PATTERNS_A_KIND:
            many[service, kind] = os.path.commonprefix(list(patterns)) + "…"  # noqa: RUF071 characters are meant
    renamed = []
    for frame in counted:
        given = zip(frame["service"], frame["kind"], frame["pattern"], strict=True)
        names = [many.get((service, kind), pattern) for service, kind, pattern in given]
        renamed.append(frame.assign(pattern=pd.Series(names, dtype="object", index=frame.index)))
    return renamed


def _summed(frame: pd.DataFrame) -> pd.DataFrame:
    ranked = frame.assign(failing=frame["level"].isin(FAILING)).sort_values(["failing", "lines"], kind="stable")
    grouped = ranked.groupby(KEY, sort=False)
    table = grouped.agg(
        level=("level", "last"), lines=("lines", "sum"), requests=("requests", "sum"), first=("first", "min"), example=("example", "last")
    )  # fmt: skip
    return table.reset_index()


def _bins(table: pd.DataFrame, course: pd.DataFrame) -> pd.DataFrame:
    """Return lines by time and pattern, 0 where none were written."""
    import pandas as pd

    if not len(course):
        return pd.DataFrame({place: pd.Series(dtype="float64") for place in range(len(table))})
    wide = course.pivot_table(index="at", columns=KEY, values="lines", aggfunc="sum")
    step = f"{course.attrs['minutes']}min"
    wide = wide.reindex(pd.date_range(wide.index.min(), wide.index.max(), freq=step), fill_value=0).fillna(0)
    keys = list(table[KEY].itertuples(index=False, name=None))
    return pd.DataFrame({place: wide.get(key, 0.0) for place, key in enumerate(keys)}, index=wide.index)


def _onset(counts: Any, expected: float) -> Any:
    """Return since when more is written than halfway between usual and now: where the largest surplus begins."""
    import pandas as pd

    if not len(counts):
        return pd.NaT
    halfway = (expected / len(counts) + float(counts.mean())) / 2
    best = total = 0.0
    start = since = counts.index[0]
    for at, count in counts.items():
        if total <= 0:
            total, start = 0.0, at
        total += float(count) - halfway
        if total > best:
            best, since = total, start
    return since
