"""Find every line of one request id: from the newest hour back, then all around the hit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.sources import insights_quoting, logs
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

WAVES = (timedelta(hours=1), timedelta(hours=24), timedelta(days=7))
AROUND = timedelta(minutes=15)
LINES = logs.ROWS_A_PAGE


@dataclass
class Search:
    """What was searched for one id, and what that took."""

    groups: list[str]
    missing: list[str]
    query: str
    windows: list[Window] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    scanned: float = 0.0
    gigabytes: float = 0.0
    complete: bool = True

    def add(self, answer: logs.Answer, window: Window) -> None:
        """Count one answer in."""
        self.windows.append(window)
        self.scanned += answer.scanned
        self.gigabytes += answer.gigabytes
        self.complete &= answer.complete
        if len(answer.frame):
            self.frames.append(answer.frame)


def request_lines(run: Run, request_id: str, *, patterns: Sequence[str]) -> pd.DataFrame:
    """Return all lines in which the id stands as a whole word, oldest first (Logs Insights over all groups at once).

    Columns: @timestamp datetime64[ns, UTC], @message, @logStream, @log, @ptr object. attrs: groups, missing,
    windows (texts), query, scanned (events), gigabytes, usd, complete. Without a window the last hour, 24 hours and
    7 days are searched one after another, then the newest day of groups that had gone quiet before.
    """
    known = logs.log_groups(run.environment, patterns=patterns)
    needle = insights_quoting.literal(request_id)
    text = f"fields @timestamp, @message, @logStream, @log | filter @message like {needle} | sort @timestamp asc"
    search = Search(list(known["name"]), known.attrs["missing"], text)
    if search.groups and run.window:
        _look(run, search, search.groups, run.window)
    elif search.groups:
        _from_now_back(run, search, known)
    return _lines(run, search, request_id)


def next_wider(run: Run, frame: pd.DataFrame) -> tuple[Window, float]:
    """Return the next wider window after a miss, and what its scan would cost in US dollars."""
    reach = run.window.seconds if run.window else WAVES[-1].total_seconds()
    back = timedelta(seconds=min(reach * 4, 90 * 86400))
    wider = Window(run.now - back, run.now, run.environment.zone)
    searched = max(sum(frame.attrs["seconds"]), 1.0)
    return wider, frame.attrs["usd"] / searched * back.total_seconds()


def _from_now_back(run: Run, search: Search, known: Any) -> None:
    newer = run.now
    for reach in WAVES:
        window = Window(run.now - reach, newer, run.environment.zone)
        _look(run, search, search.groups, window)
        if search.frames:
            return _complete_around(run, search, newest=run.now)
        newer = window.start
    for group in search.groups:  # loaded archives and retired services end long ago
        last = logs.last_event(run.environment, group)
        if last and last < run.now - WAVES[-1]:
            end = last + timedelta(seconds=1)
            _look(run, search, [group], Window(end - WAVES[1], end, run.environment.zone))
    if search.frames:
        _complete_around(run, search, newest=run.now)


def _complete_around(run: Run, search: Search, *, newest: Any) -> None:
    """Lines may lie just outside the wave that hit: look around the hit, over all groups."""
    first = min(frame["@timestamp"].min() for frame in search.frames).to_pydatetime()
    last = max(frame["@timestamp"].max() for frame in search.frames).to_pydatetime()
    window = Window(first - AROUND, min(last + AROUND, newest), run.environment.zone)
    if window.end > window.start and not any(
        seen.start <= window.start and seen.end >= window.end for seen in search.windows
    ):
        _look(run, search, search.groups, window)


def _look(run: Run, search: Search, groups: list[str], window: Window) -> None:
    for begin in range(0, len(groups), logs.GROUPS_A_QUERY):
        part = groups[begin : begin + logs.GROUPS_A_QUERY]
        search.add(logs.query(run.environment, search.query, groups=part, window=window, limit=LINES), window)


def _lines(run: Run, search: Search, request_id: str) -> pd.DataFrame:
    import pandas as pd

    columns = ["@timestamp", "@message", "@logStream", "@log", "@ptr"]
    frame = (
        pd.concat(search.frames, ignore_index=True)
        if search.frames
        else pd.DataFrame({name: pd.Series(dtype="object") for name in columns})
    )
    if len(frame):
        whole = re.compile(rf"(?<![0-9A-Za-z_-]){re.escape(request_id)}(?![0-9A-Za-z_-])")
        frame = frame[frame["@message"].map(lambda message: bool(whole.search(message)))]
        frame = (
            frame.drop_duplicates("@ptr")
            .sort_values(["@timestamp", "@log", "@ptr"], kind="stable")
            .reset_index(drop=True)[columns]
        )
    usd = search.gigabytes * logs.USD_PER_GB
    run.usd += usd
    frame.attrs.update(
        groups=search.groups, missing=search.missing, query=search.query, scanned=int(search.scanned), gigabytes=search.gigabytes, usd=usd,
        complete=search.complete, windows=[window.text() for window in search.windows], seconds=[window.seconds for window in search.windows],
    )  # fmt: skip
    return frame
