"""One search of log groups for ids: what was looked at, what was found, what that took and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opslib.errors import SourceError
from opslib.sources import insights_quoting, logs
from opslib.sources.log_query import Pace
from opslib.stopping import Stop, Stopped
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

LINES = logs.ROWS_A_PAGE
COLUMNS = ["@timestamp", "@message", "@logStream", "@log", "@ptr"]


@dataclass
class Search:
    """What is searched for, in which groups, and all that came of it."""

    run: Run
    ids: list[str]
    groups: list[str]
    missing: list[str]
    windows: list[Window] = field(default_factory=list)
    whole: list[Window] = field(default_factory=list)
    frames: list[pd.DataFrame] = field(default_factory=list)
    longer: int = 0
    scanned: float = 0.0
    gigabytes: float = 0.0
    skipped: float = 0.0
    complete: bool = True
    problems: list[str] = field(default_factory=list)
    denied: SourceError | None = None

    @property
    def text(self) -> str:
        """Return the query."""
        named = " or ".join(f"@message like {insights_quoting.literal(name)}" for name in self.ids)
        return f"fields @timestamp, @message, @logStream, @log | filter {named} | sort @timestamp asc"

    @property
    def blind(self) -> bool:
        """Tell whether nothing at all could be seen so far."""
        return bool(self.problems) and not self.windows

    def look(
        self, windows: Sequence[Window], *, groups: list[str] | None = None, text: str = "",
        enough: Callable[[Sequence[pd.DataFrame]], bool] | None = None,
    ) -> None:  # fmt: skip
        """Search windows, newest first, all at once; a query that fails is kept as a problem, what others found stands.

        With `enough`, the others are stopped once what was found is enough and the windows next to it have been seen.
        """
        chosen = self.groups if groups is None else groups
        parts = [chosen[begin : begin + logs.GROUPS_A_QUERY] for begin in range(0, len(chosen), logs.GROUPS_A_QUERY)]
        stop, pace, pool = Stop(), Pace(), ThreadPoolExecutor(max_workers=16)
        jobs: dict[Future[logs.Answer], int] = {}
        hits: set[int] = set()
        try:
            for place, window in enumerate(windows):
                for part in parts:
                    jobs[pool.submit(stop.run, self._asking(part, window, text, pace))] = place
            for job in as_completed(jobs):
                if self._take(job, windows[jobs[job]], listed=not text):
                    hits.add(jobs[job])
                seen = {place for place in jobs.values() if all(one.done() for one in jobs if jobs[one] == place)}
                near = {place + step for place in hits for step in (-1, 0, 1)} & set(range(len(windows)))
                if enough and hits and near <= seen and enough(self.frames):
                    stop.set()
        except BaseException:
            stop.set()
            wait(jobs, timeout=5)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if groups is None and not text:  # an index finds where to look, not the lines without that field
            self.whole += [windows[place] for place in range(len(windows)) if self._all_seen(jobs, place)]

    def _asking(self, groups: list[str], window: Window, text: str, pace: Pace) -> Callable[[], logs.Answer]:
        run = self.run

        def ask() -> logs.Answer:
            return logs.query(
                run.environment, text or self.text, groups=groups, window=window, limit=LINES, deadline_s=run.deadline, pace=pace
            )  # fmt: skip

        return ask

    def _take(self, job: Future[logs.Answer], window: Window, *, listed: bool) -> bool:
        """Add an answer; return whether a line was in it."""
        try:
            answer = job.result()
        except Stopped:
            return False
        except SourceError as error:
            self.denied = self.denied or (error if error.sight == "denied" else None)
            self.problems.append(f"{window.text()}: {error.what}" + (f" ({error.why})" if error.why else ""))
            return False
        self.windows += [window] if listed and window not in self.windows else []
        self.scanned += answer.scanned
        self.gigabytes += answer.gigabytes
        self.skipped += answer.skipped_gigabytes
        self.complete &= answer.complete
        frame = self._uncut(answer.frame)
        if not len(frame):
            return False
        exact = frame["@message"].map(_whole(self.ids))
        self.longer += int((~exact).sum())
        self.frames += [frame[exact]] if exact.any() else []
        return bool(exact.any())

    def _uncut(self, frame: pd.DataFrame) -> pd.DataFrame:
        try:
            frame = logs.with_whole_messages(self.run.environment, frame)
        except SourceError as error:
            self.problems.append(f"long lines stay cut: {error.what}")
        if frame.attrs.get("still_cut"):
            self.problems.append(f"{frame.attrs['still_cut']} long lines stay cut")
        return frame

    @staticmethod
    def _all_seen(jobs: dict[Future[logs.Answer], int], place: int) -> bool:
        """Tell whether a window was searched: also one that failed, which is said and not asked again."""
        ended = [job for job in jobs if jobs[job] == place and job.done() and not job.cancelled()]
        return len(ended) > 0 and not any(isinstance(job.exception(), Stopped) for job in ended)

    def join(self, other: Search, chosen: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Take over what another search took and went through, and of its lines those that are chosen."""
        self.frames += [part for frame in other.frames if len(part := chosen(frame))]
        self.scanned += other.scanned
        self.gigabytes += other.gigabytes
        self.skipped += other.skipped
        self.complete &= other.complete
        self.problems += [f"other lines of the trace, {problem}" for problem in other.problems]


def _whole(ids: Sequence[str]) -> Any:
    """Return the test whether a message holds an id, and not only one that begins or ends like it."""
    named = "|".join(re.escape(name) for name in ids)
    pattern = re.compile(rf"(?<![0-9A-Za-z_-])(?:{named})(?![0-9A-Za-z_-])")
    return lambda message: bool(pattern.search(message))


def union(windows: Sequence[Window]) -> list[Window]:
    """Return windows that overlap or touch as one."""
    joined: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end), window.zone)
        else:
            joined.append(window)
    return joined


def unseen(seen: Sequence[Window], start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return the stretches of [start, end) that no window covers, of a second and more."""
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
