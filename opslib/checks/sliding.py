"""When something happens too often within any span of time: sliding windows over rows, wherever a burst begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COLUMNS = ["group", "reached", "since", "until", "peak"]


def episodes(
    at: pd.Series, group: pd.Series, *, span: pd.Timedelta, least: float, value: pd.Series | None = None, weight: pd.Series | None = None
) -> pd.DataFrame:  # fmt: skip
    """Return when a group holds at least `least` within any closed span [t - span, t].

    What is held: rows; with `value` its different values; with `weight` its sum. The series share an index; a missing
    group is none. Columns: group, reached (the instant at which it was too many), since and until (the first and the
    last row of it), peak (the most there were). Spans that overlap are one episode. Fixed bins would miss a burst that
    lies over an edge.
    """
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(group)
    kept = codes >= 0
    codes, moment = codes[kept], nanoseconds(at)[kept]
    worth = np.ones(len(codes)) if weight is None else weight.to_numpy(dtype="float64")[kept]
    values = np.arange(len(codes)) if value is None else pd.factorize(value[kept], use_na_sentinel=False)[0]
    level, time, owner = _levels(codes, moment, values, worth, span.value)
    above = level >= least
    begins = np.flatnonzero(above & ~np.r_[False, above[:-1]])
    ends = np.flatnonzero(~above & np.r_[False, above[:-1]])
    found, order = [], np.lexsort((moment, codes))
    codes, moment = codes[order], moment[order]
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        first, last = np.searchsorted(codes, owner[begin]), np.searchsorted(codes, owner[begin], side="right")
        mine = moment[first:last]
        since = mine[np.searchsorted(mine, time[begin] - span.value)]
        until = mine[np.searchsorted(mine, time[end]) - 1]
        found.append([int(owner[begin]), time[begin], since, until, float(level[begin:end].max())])
    return _typed(_joined(found), names)


def nanoseconds(at: pd.Series) -> np.ndarray:
    """Return moments as int64 nanoseconds since 1970."""
    import numpy as np

    return np.asarray(at.astype("datetime64[ns, UTC]").astype("int64"))


def _levels(
    codes: np.ndarray, moment: np.ndarray, values: np.ndarray, worth: np.ndarray, span: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how much each group holds after each change, when, and whose: a value is held from a row for a span."""
    import numpy as np

    order = np.lexsort((moment, values, codes))
    codes, moment, values, worth = codes[order], moment[order], values[order], worth[order]
    again = np.zeros(len(codes), dtype=bool)  # the value is still held from its row before
    same = (codes[1:] == codes[:-1]) & (values[1:] == values[:-1])
    again[1:] = same & (moment[1:] - moment[:-1] <= span)
    lasts = np.r_[again[1:], False] if len(again) else again
    time = np.r_[moment[~again], moment[~lasts] + span + 1]
    owner = np.r_[codes[~again], codes[~lasts]]
    change = np.r_[worth[~again], -worth[~lasts]]
    order = np.lexsort((change, time, owner))
    return np.cumsum(change[order]), time[order], owner[order]


def _joined(found: list[list[float]]) -> list[list[float]]:
    """Make one of episodes of a group that share rows."""
    joined: list[list[float]] = []
    for one in found:
        last = joined[-1] if joined else None
        if last and last[0] == one[0] and one[2] <= last[3]:
            last[3], last[4] = max(last[3], one[3]), max(last[4], one[4])
        else:
            joined.append(one)
    return joined


def _typed(found: list[list[float]], names: pd.Index) -> pd.DataFrame:
    import pandas as pd

    if not found:  # mostly so, and a conversion costs more than the search
        kinds = dict.fromkeys(COLUMNS[1:4], "datetime64[ns, UTC]")
        return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "object")) for name in COLUMNS})
    frame = pd.DataFrame(found, columns=COLUMNS)
    frame["group"] = [names[int(code)] for code in frame["group"]]
    for column in ("reached", "since", "until"):
        frame[column] = pd.to_datetime(frame[column].astype("int64"), utc=True).astype("datetime64[ns, UTC]")
    return frame.sort_values(["since", "reached"], kind="stable", ignore_index=True)


def runs(ends: np.ndarray, length: int) -> list[tuple[int, int]]:
    """Return (first, last) places of rows in windows of `length` rows of which the last are marked, overlapping ones as one."""
    import numpy as np

    found: list[tuple[int, int]] = []
    for end in np.flatnonzero(ends).tolist():
        first = end - length + 1
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found
