"""The evidence under `slow-database`: each part answers one question with one chart or table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opslib.charts.stacked import stacked
from opslib.charts.timeseries import Marker, timeseries
from opslib.checks.database_story import Surge, growth, now_of
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, ended, local, took
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run

TITLES = {
    "waits": "Load by wait event", "statements": "Top statements", "who": "Who", "changes": "What changed",
    "connections": "Connections", "storage": "Storage", "replica": "Replica",
}  # fmt: skip
GB = 1e9
MEANING = {
    "Lock": "locks that other transactions hold",
    "IO:DataFileRead": "blocks read from the disk",
    "IO:WAL": "the log to be written",
    "IO:BufFile": "temporary files",
    "IO": "the disk",
    "LWLock": "PostgreSQL's own locks",
    "Client": "the client",
    "Timeout": "a pause of their own",
    "CPU": "the CPU",
}


def meaning(wait: str) -> str:
    """Return what sessions with this wait event wait for, in words."""
    return next((said for name, said in MEANING.items() if wait.startswith(name)), wait)


def unseen(fact: Fact, name: str, title: str = "") -> Result:
    """Return a part that could not be seen, with its reason."""
    error = fact.error
    said = " — ".join(part for part in (error.what, error.why, error.fix) if part) if error else "no answer"
    title = title or TITLES[name]
    return Result(name, title, Verdict.UNKNOWN, f"{title}: not seen.", Sight(fact.sight), said)


def seen(frame: pd.DataFrame) -> tuple[Sight, str]:
    """Return how much of it the frame is, by the problems it came with."""
    problems = list(frame.attrs.get("problems", []))
    return (Sight.PARTIAL, "; ".join(problems)) if problems else (Sight.COMPLETE, "")


def insights(run: Run, window: Window, query: str) -> tuple[Source, ...]:
    """Return where an answer of Performance Insights is from."""
    note = "CloudWatch Database Insights shows the same"
    return (Source("Performance Insights", run.identity.account, run.environment.region, window.text(), query, note),)


def waits(run: Run, fact: Fact, rise: Surge | None, window: Window, vcpus: int, markers: Sequence[Marker]) -> Result:
    """Show what the sessions did over time, against the number of CPUs."""
    if fact.frame is None:
        return unseen(fact, "waits")
    frame = fact.frame
    most, mean = float(frame["total"].max()), float(frame["total"].mean())
    against = f" on {vcpus} vCPUs ({most / vcpus:.1f} each)" if vcpus else ""
    kinds = growth(frame, rise)
    first = kinds.iloc[0]
    grown = (
        f"; {first['group']} grew most, from {first['before']:.1f} to {first['since']:.1f}"
        if rise and first["before"] == first["before"]
        else ""
    )
    sentence = f"At most {most:.1f} active sessions{against}, {mean:.1f} on average{grown}."
    chart = stacked(
        frame.set_index("time").drop(columns="total"), title=sentence, line=vcpus, line_label=f"{vcpus} vCPUs",
        since=rise.since.to_pydatetime() if rise else None, markers=markers, zone=window.zone,
    )  # fmt: skip
    verdict = Verdict.WARN if vcpus and most > vcpus else Verdict.OK
    sight, reason = seen(frame)
    return Result("waits", TITLES["waits"], verdict, sentence, sight, reason, chart=chart, sources=insights(run, window, "db.load.avg by db.wait_event"))  # fmt: skip


def statements(run: Run, now: Fact, before: Fact | None, window: Window) -> Result:
    """Show which statements made the load, how long a call takes, and what each took before."""
    import pandas as pd

    if now.frame is None:
        return unseen(now, "statements")
    frame = now.frame
    if not len(frame):
        return Result("statements", TITLES["statements"], Verdict.OK, "No statement had a load.", *seen(frame))
    old = None if before is None or before.frame is None else before.frame.set_index("id")
    total = float(frame["aas"].sum())
    shown = pd.DataFrame({
        "statement": [shortened(" ".join(text.split()), 300) for text in frame["statement"]], "sessions": frame["aas"].round(2),
        "before": _before(frame, old, "aas", 2), "waits for": frame["wait"], "calls/s": frame["calls_per_s"].round(1),
        "ms a call": frame["latency_ms"].round(1), "ms before": _before(frame, old, "latency_ms", 1),
        "rows a call": frame["rows_per_call"].round(0), "blocks a call": (frame["hit_per_call"] + frame["read_per_call"]).round(0),
        FLAG: (frame.index == 0) & (frame["aas"] > 0.5 * total),
    })  # fmt: skip
    if old is None:
        shown = shown.drop(columns=["before", "ms before"])
    first = frame.iloc[0]
    share = f"{first['aas'] / total:.0%} of the load of these {len(frame)}" if total else "no load"
    sentence = f"{share} is {shortened(' '.join(first['statement'].split()), 90)}."
    sight, reason = seen(frame)
    verdict = Verdict.WARN if total and first["aas"] / total > 0.5 else Verdict.OK
    return Result("statements", TITLES["statements"], verdict, sentence, sight, reason, table=shown, sources=insights(run, window, "db.load.avg by db.sql_tokenized, statistics of statements"))  # fmt: skip


def _before(frame: pd.DataFrame, old: pd.DataFrame | None, column: str, digits: int) -> Any:
    """Return a column as it was before, by statement; one that was not among the top then is not known."""
    import pandas as pd

    nothing = pd.Series(float("nan"), index=frame.index)
    return nothing if old is None else frame["id"].map(old[column]).astype("float64").round(digits)


def who(run: Run, facts: dict[str, Fact], rise: Surge | None, window: Window) -> Result:
    """Show which users and which hosts made the load, before and since."""
    import pandas as pd

    found = {name: facts[name].frame for name in ("users", "hosts")}
    if found["users"] is None and found["hosts"] is None:
        return unseen(facts["users"], "who")
    rows = []
    for name, frame in found.items():
        if frame is not None:
            table = growth(frame, rise)
            rows += [(name[:-1], row.group, row.before, row.since) for row in table.itertuples() if row.group != "other" or row.since > 0.05]  # fmt: skip
    if not rows:
        return unseen(facts["users"], "who")
    shown = pd.DataFrame(rows, columns=["kind", "who", "sessions before", "sessions"]).round(2)
    if rise is None or rise.before:
        shown = shown.drop(columns="sessions before")
    first = next((row for row in rows if row[0] == "user"), rows[0])
    hosts = [row for row in rows if row[0] == "host" and row[1] != "other"]
    even = len(hosts) > 1 and max(row[3] for row in hosts) < 0.5 * sum(row[3] for row in hosts)
    where = f"; {counted(len(hosts), 'host')} share it" if even else f"; most from {hosts[0][1]}" if hosts else ""
    sentence = f"{first[1]} has {first[3]:.1f} active sessions{where}."
    problems = [f"{name}: {facts[name].error.what}" for name in found if facts[name].error]  # type: ignore[union-attr]
    problems += [problem for frame in found.values() if frame is not None for problem in frame.attrs["problems"]]
    sight = Sight.PARTIAL if problems else Sight.COMPLETE
    return Result("who", TITLES["who"], Verdict.OK, sentence, sight, "; ".join(dict.fromkeys(problems)), table=shown, sources=insights(run, window, "db.load.avg by db.user and db.host"))  # fmt: skip


def changes(run: Run, facts: dict[str, Fact], rise: Surge | None, window: Window) -> Result:
    """Show deployments and what RDS says happened in the window; the last one before the rise is marked."""
    import pandas as pd

    rows = []
    for deployment in _rows(facts["deployments"]):
        rows.append((deployment.at,
                     deployment.service, f"deployment {deployment.status.lower()}: {deployment.image.rpartition('/')[2]}"))  # fmt: skip
    rows += [(event.at, event.instance, event.message) for event in _rows(facts["events"])]
    rows = sorted((row for row in rows if row[0] >= window.start), key=lambda row: row[0])
    reasons = [f"{name}: {facts[name].error.what}" for name in ("deployments", "events") if facts[name].error]  # type: ignore[union-attr]
    sight, reason = (Sight.PARTIAL, "; ".join(reasons)) if reasons else (Sight.COMPLETE, "")
    if not rows:
        said = "No deployment, no event of RDS in the window."
        return Result(
            "changes", TITLES["changes"], Verdict.OK, said, sight, reason, sources=_events_source(run, window)
        )
    before = [place for place, row in enumerate(rows) if rise and row[0] <= rise.since]
    shown = pd.DataFrame({
        f"time ({run.environment.timezone})": [f"{row[0].tz_convert(run.environment.timezone):%m-%d %H:%M}" for row in rows],
        "what": [row[1] for row in rows], "event": [row[2] for row in rows],
        FLAG: [bool(before) and place == before[-1] for place in range(len(rows))],
    })  # fmt: skip
    sentence = (
        f"{counted(len(rows), 'change')}, the last at {local(rows[-1][0], window)}: {rows[-1][1]}, {ended(rows[-1][2])}"
    )
    if before:
        last = rows[before[-1]]
        ago = took((rise.since - last[0]).total_seconds()) if rise else ""
        sentence = f"{last[1]}, {last[2]}, {ago} before the load rose."
    return Result("changes", TITLES["changes"], Verdict.OK, sentence, sight, reason, table=shown, sources=_events_source(run, window))  # fmt: skip


def _rows(fact: Fact) -> list[Any]:
    return [] if fact.frame is None else list(fact.frame.itertuples())


def _events_source(run: Run, window: Window) -> tuple[Source, ...]:
    return (Source("ECS ListServiceDeployments, RDS DescribeEvents", run.identity.account, run.environment.region, window.text()),)  # fmt: skip


def connections(run: Run, used: pd.Series[float], most: float, fact: Fact, window: Window) -> Result:
    """Show the connections against how many there may be."""
    if not len(used.dropna()):
        return unseen(fact, "connections")
    now, peak = now_of(used), float(used.max())
    share = f" of {most:,.0f} ({now / most:.0%})" if most else ""
    sentence = f"{now:,.0f} connections now{share}, at most {peak:,.0f} in the window."
    chart = timeseries(
        used.to_frame("connections"), title=sentence, unit="connections", threshold=most or None, zone=window.zone
    )
    verdict = Verdict.OK if not most or now < 0.8 * most else Verdict.WARN if now < 0.95 * most else Verdict.CRITICAL
    source = Source("CloudWatch AWS/RDS", run.identity.account, run.environment.region, window.text(), "DatabaseConnections; max_connections by Performance Insights")  # fmt: skip
    reason = "" if most else "how many there may be is not known"
    return Result("connections", TITLES["connections"], verdict, sentence, Sight.COMPLETE if most else Sight.PARTIAL, reason, chart=chart, sources=(source,))  # fmt: skip
