"""Find every line of one request id: where its own time or an index points, else from the newest hour back.

Then all around what was found, and by the trace ids that stand there. Slices of time are searched at once, newest
first; the rest is stopped when a hit and what lies next to it have been seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from opslib.errors import SourceError
from opslib.sources import insights_quoting, log_lines, logs, request_times
from opslib.sources.request_looks import COLUMNS, Search, union, unseen
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

WAVES = (timedelta(hours=1), timedelta(hours=24), timedelta(days=7))
SLICES = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=12))
AROUND = timedelta(minutes=15)
ROUNDS = 6  # an id that goes on and on is followed an hour and a half
TRACES = 3  # other ids that are followed
ID_FIELDS = ("request_id", "requestId")
_PARENT = re.compile(r'"parent_?request_?id"\s*:\s*"([^"\\]{6,128})"', re.I)


def request_lines(run: Run, request_id: str, *, patterns: Sequence[str]) -> pd.DataFrame:
    """Return all lines in which the id stands as a whole word, oldest first (Logs Insights over all groups at once).

    Columns: @timestamp datetime64[ns, UTC], @message, @logStream, @log, @ptr object. attrs: groups, missing,
    windows (texts), seconds, query, scanned (events), gigabytes, skipped_gigabytes, usd, complete, problems (texts),
    longer (lines whose id only begins like this one), linked (other request ids of the same trace: lines).
    Without a window: the time inside the id, else the last hour, the last day, 7 days, and the newest day of groups
    that had gone quiet before. A search ends early only when the request's own answer was found, or older than a day.
    Lines of the same trace without a request id belong to it.
    Raises SourceError when nothing could be searched.
    """
    known = logs.log_groups(run.environment, patterns=patterns)
    search = Search(run, request_times.forms(request_id), list(known["name"]), known.attrs["missing"])
    if search.groups and run.window:
        search.look(_slices(run.window, -(-run.window.seconds // 12) if run.window.seconds > 6 * 3600 else 1e9))
    elif search.groups:
        _from_now_back(run, search, _oldest(run, known))
    if search.problems and not search.windows:
        raise search.denied or SourceError(
            "the logs could not be searched",
            why=search.problems[0],
            fix="run this cell again; narrow the window if it stays",
        )
    _follow(run, search)
    linked = _traces(run, search)
    return _lines(run, search, linked)


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


def _from_now_back(run: Run, search: Search, oldest: datetime) -> None:
    zone = run.environment.zone
    moment = request_times.moment_in(search.ids[0], now=run.now, reach=WAVES[-1])
    if moment:
        search.look([Window(moment - request_times.BEFORE, min(moment + request_times.AFTER, run.now), zone)])
        if search.frames:
            return
    newer, pool = run.now, ThreadPoolExecutor(max_workers=1)
    indexed = pool.submit(_index_text, run, search)  # while the last hour is searched, which costs little
    pool.shutdown(wait=False)
    for reach, width in zip(WAVES, SLICES, strict=True):
        last = reach is WAVES[-1] or run.now - reach <= oldest
        waves = _slices(Window(run.now - (WAVES[-1] if last else reach), newer, zone), width.total_seconds(), oldest)
        search.look(waves, enough=_begun if reach is not WAVES[-1] else bool)
        newer = waves[-1].start
        if last or (search.frames and (_begun(search.frames) or reach is WAVES[1])) or search.blind:
            break
        if reach is WAVES[0] and (text := indexed.result()) and not search.frames:
            search.look([Window(run.now - WAVES[-1], newer, zone)], text=text)
            if search.frames:
                return
    if not search.frames and not search.blind:
        _in_quiet_groups(run, search)


def _slices(window: Window, seconds: float, oldest: datetime | None = None) -> list[Window]:
    """Cut a window into slices, newest first; what lies before the oldest group is one with the slice before it."""
    slices, end = [], window.end
    while end > window.start:
        start = max(window.start, end - timedelta(seconds=seconds)) if seconds < window.seconds else window.start
        if oldest and start <= oldest:
            start = window.start  # AWS refuses a query that ends before all of its groups began
        slices.append(Window(start, end, window.zone))
        end = start
    return slices


def _oldest(run: Run, known: pd.DataFrame) -> datetime:
    """Return when the first of the groups begins: when it was made, or what its retention still keeps."""
    begins = [
        max(row.created.to_pydatetime(), run.now - timedelta(days=row.retention_days))
        if row.retention_days == row.retention_days
        else row.created.to_pydatetime()
        for row in known.itertuples()
    ]
    return min(begins, default=datetime.fromtimestamp(0, UTC))


def _index_text(run: Run, search: Search) -> str:
    """Return a query that an index answers when every group has one; it finds where to look, not every line."""
    try:
        covered = logs.indexed_fields(run.environment, search.groups, since=run.now - WAVES[-1])
    except SourceError:
        return ""  # an index only makes it cheaper
    named = [name for name in ID_FIELDS if name in covered]
    chosen = " or ".join(f"{name} in {insights_quoting.literals(search.ids)}" for name in named)
    return f"fields @timestamp, @message, @logStream, @log | filter {chosen} | sort @timestamp asc" if named else ""


def _begun(frames: Sequence[pd.DataFrame]) -> bool:
    """Tell whether the request's own answer was found; if only a job's lines were, it began earlier."""
    lines = [log_lines.parsed(frame) for frame in frames]
    return any((part["route"] != "").any() for part in lines) and any(part["status"].notna().any() for part in lines)


def _in_quiet_groups(run: Run, search: Search) -> None:
    """Loaded archives and retired services end long ago: look into the last day of each."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        asked = {group: pool.submit(logs.last_event, run.environment, group) for group in search.groups}
    for group, answer in asked.items():
        try:
            last = answer.result()
        except SourceError as error:
            search.problems.append(f"older lines of {group}: {error.what}")
            continue
        if last and last < run.now - WAVES[-1]:
            end = last + timedelta(seconds=1)
            search.look([Window(end - WAVES[1], end, run.environment.zone)], groups=[group])


def _follow(run: Run, search: Search) -> None:
    """Lines may lie just outside the window that hit: look around each, over all groups, until nothing new comes."""
    for _ in range(ROUNDS):
        gaps = [gap for near in _near(run, search.frames) for gap in unseen(search.whole, near.start, near.end)]
        if not gaps:
            return
        search.look([Window(start, end, run.environment.zone) for start, end in reversed(gaps)])
        if search.blind:
            return
    search.problems.append("the id goes on beyond what was followed: name a window")


def _near(run: Run, frames: Sequence[pd.DataFrame]) -> list[Window]:
    stamps = [stamp.to_pydatetime() for frame in frames for stamp in frame["@timestamp"].dt.floor("s").unique()]
    zone = run.environment.zone
    return union([Window(stamp - AROUND, min(stamp + AROUND, run.now), zone) for stamp in stamps if stamp < run.now])


def _traces(run: Run, search: Search) -> dict[str, int]:
    """Search the trace ids of the found lines; keep lines of no other request, and return the other requests."""
    linked: dict[str, int] = {}
    traces: dict[str, None] = {}
    for frame in search.frames:
        traces |= dict.fromkeys(trace for trace in log_lines.parsed(frame)["trace_id"] if trace)
        linked |= dict.fromkeys((found for line in frame["@message"] for found in _PARENT.findall(line)), 0)
    others = [trace for trace in traces if trace not in search.ids and _may_be_asked(trace)][:TRACES]
    if others:
        hop = Search(run, [form for trace in others for form in request_times.forms(trace)], search.groups, [])
        hop.look(_near(run, search.frames))
        search.join(hop, _belongs(search.ids, linked))
    return {name: count for name, count in linked.items() if name not in search.ids and name not in traces}


def _belongs(ids: Sequence[str], linked: dict[str, int]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def chosen(frame: pd.DataFrame) -> pd.DataFrame:
        names = log_lines.parsed(frame.reset_index(drop=True))["request_id"]
        for name in names[(names != "") & ~names.isin(ids)]:
            linked[name] = linked.get(name, 0) + 1
        return frame[((names == "") | names.isin(ids)).to_numpy()]

    return chosen


def _may_be_asked(trace: str) -> bool:
    return bool(re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._:=@/+-]{7,127}", trace))


def _lines(run: Run, search: Search, linked: dict[str, int]) -> pd.DataFrame:
    import pandas as pd

    if search.frames:
        found = pd.concat(search.frames, ignore_index=True).drop_duplicates("@ptr")
        frame = found.sort_values(["@timestamp", "@log", "@ptr"], kind="stable").reset_index(drop=True)[COLUMNS]
    else:
        frame = pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
    usd, windows = search.gigabytes * logs.USD_PER_GB, union(search.windows)
    run.usd += usd
    frame.attrs.update(
        groups=search.groups, missing=search.missing, query=search.text, scanned=int(search.scanned), gigabytes=search.gigabytes,
        skipped_gigabytes=search.skipped, usd=usd, complete=search.complete, windows=[window.text() for window in windows],
        seconds=[window.seconds for window in windows], problems=search.problems, longer=search.longer, linked=linked,
    )  # fmt: skip
    return frame
