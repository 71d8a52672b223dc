"""Find every line of one request id: from the newest hour back, then all around what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib.errors import SourceError
from opslib.sources import insights_quoting, logs
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

WAVES = (timedelta(hours=1), timedelta(hours=24), timedelta(days=7))
ALWAYS = 2  # waves that are searched even after a hit: a job of the request may run hours later
AROUND = timedelta(minutes=15)
ROUNDS = 6  # an id that goes on and on is followed an hour and a half
LINES = logs.ROWS_A_PAGE
COLUMNS = ["@timestamp", "@message", "@logStream", "@log", "@ptr"]


@dataclass
class Search:
    """What is searched for one id, what was found, and what that took."""

    run: Run
    request_id: str
    groups: list[str]
    missing: list[str]
    query: str
    windows: list[Window] = field(default_factory=list)
    whole: list[Window] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    longer: int = 0
    scanned: float = 0.0
    gigabytes: float = 0.0
    complete: bool = True
    problems: list[str] = field(default_factory=list)

    def look(self, window: Window, groups: list[str] | None = None) -> None:
        """Search one window; a query that fails is kept as a problem, what others found stands."""
        chosen = self.groups if groups is None else groups
        for begin in range(0, len(chosen), logs.GROUPS_A_QUERY):
            part = chosen[begin : begin + logs.GROUPS_A_QUERY]
            try:
                deadline = self.run.deadline
                answer = logs.query(
                    self.run.environment, self.query, groups=part, window=window, limit=LINES, deadline_s=deadline
                )
            except SourceError as error:
                self.problems.append(f"{window.text()}: {error.what}" + (f" ({error.why})" if error.why else ""))
                if not self.windows and len(self.problems) > 1:
                    raise  # nothing was seen at all
            else:
                self._add(answer, window)
        if groups is None:
            self.whole.append(window)

    def _add(self, answer: logs.Answer, window: Window) -> None:
        self.windows.append(window)
        self.scanned += answer.scanned
        self.gigabytes += answer.gigabytes
        self.complete &= answer.complete
        if len(answer.frame):
            exact = answer.frame["@message"].map(_whole(self.request_id))
            self.longer += int((~exact).sum())
            self.frames += [answer.frame[exact]] if exact.any() else []


def request_lines(run: Run, request_id: str, *, patterns: Sequence[str]) -> pd.DataFrame:
    """Return all lines in which the id stands as a whole word, oldest first (Logs Insights over all groups at once).

    Columns: @timestamp datetime64[ns, UTC], @message, @logStream, @log, @ptr object. attrs: groups, missing,
    windows (texts), query, scanned (events), gigabytes, usd, complete, problems (texts), longer (lines whose id only
    begins like this one). Without a window the last 24 hours are searched, then 7 days, then the newest day of groups
    that had gone quiet before; what was found is followed 15 minutes beyond both ends, with a window too.
    Raises SourceError when nothing could be searched.
    """
    known = logs.log_groups(run.environment, patterns=patterns)
    needle = insights_quoting.literal(request_id)
    text = f"fields @timestamp, @message, @logStream, @log | filter @message like {needle} | sort @timestamp asc"
    search = Search(run, request_id, list(known["name"]), known.attrs["missing"], text)
    if search.groups and run.window:
        search.look(run.window)
    elif search.groups:
        _from_now_back(run, search)
    if search.problems and not search.windows:
        raise SourceError(
            "the logs could not be searched",
            why=search.problems[0],
            fix="run this cell again; narrow the window if it stays",
        )
    _follow(run, search)
    return _lines(run, search)


def next_wider(run: Run, frame: pd.DataFrame) -> tuple[Window, float]:
    """Return the next wider window after a miss, and what its scan would cost in US dollars."""
    if run.window:
        more = timedelta(seconds=run.window.seconds * 3)
        wider = run.window.widened(before=more, after=more)
        wider = Window(wider.start, min(wider.end, run.now), run.environment.zone)
    else:
        wider = Window(run.now - 4 * WAVES[-1], run.now, run.environment.zone)
    searched = max(sum(frame.attrs["seconds"]), 1.0)
    return wider, frame.attrs["usd"] / searched * wider.seconds


def _from_now_back(run: Run, search: Search) -> None:
    newer = run.now
    for number, reach in enumerate(WAVES):
        if search.frames and number >= ALWAYS:
            return
        window = Window(run.now - reach, newer, run.environment.zone)
        search.look(window)
        newer = window.start
    if not search.frames:
        _in_quiet_groups(run, search)


def _in_quiet_groups(run: Run, search: Search) -> None:
    """Loaded archives and retired services end long ago: look into the last day of each."""
    for group in search.groups:
        try:
            last = logs.last_event(run.environment, group)
        except SourceError as error:
            search.problems.append(f"older lines of {group}: {error.what}")
            continue
        if last and last < run.now - WAVES[-1]:
            end = last + timedelta(seconds=1)
            search.look(Window(end - WAVES[1], end, run.environment.zone), [group])


def _follow(run: Run, search: Search) -> None:
    """Lines may lie just outside the window that hit: look around them, over all groups, until nothing new comes."""
    for _ in range(ROUNDS):
        if not search.frames:
            return
        first = min(frame["@timestamp"].min() for frame in search.frames).to_pydatetime()
        last = max(frame["@timestamp"].max() for frame in search.frames).to_pydatetime()
        gaps = _unseen(search.whole, first - AROUND, min(last + AROUND, run.now))
        if not gaps:
            return
        for start, end in gaps:
            search.look(Window(start, end, run.environment.zone))
    search.problems.append("the id goes on beyond what was followed: name a window")


def _unseen(seen: list[Window], start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return the stretches of [start, end) that no window covers."""
    gaps, at = [], start
    for window in sorted(seen, key=lambda window: window.start):
        if window.start > at:
            gaps.append((at, min(window.start, end)))
        at = max(at, window.end)
        if at >= end:
            break
    if at < end:
        gaps.append((at, end))
    return [(begin, stop) for begin, stop in gaps if (stop - begin).total_seconds() >= 1]


def _whole(request_id: str) -> Any:
    """Return the test whether a message holds the id, and not only one that begins or ends like it."""
    pattern = re.compile(rf"(?<![0-9A-Za-z_-]){re.escape(request_id)}(?![0-9A-Za-z_-])")
    return lambda message: bool(pattern.search(message))


def _lines(run: Run, search: Search) -> pd.DataFrame:
    import pandas as pd

    if search.frames:
        found = pd.concat(search.frames, ignore_index=True).drop_duplicates("@ptr")
        frame = found.sort_values(["@timestamp", "@log", "@ptr"], kind="stable").reset_index(drop=True)[COLUMNS]
    else:
        frame = pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
    usd = search.gigabytes * logs.USD_PER_GB
    run.usd += usd
    frame.attrs.update(
        groups=search.groups, missing=search.missing, query=search.query, scanned=int(search.scanned), gigabytes=search.gigabytes, usd=usd,
        complete=search.complete, windows=[window.text() for window in search.windows], seconds=[window.seconds for window in search.windows],
        problems=search.problems, longer=search.longer,
    )  # fmt: skip
    return frame
