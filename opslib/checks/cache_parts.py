"""The evidence under `slow-cache`: each part answers one question with one chart or table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.charts.timeseries import Marker, timeseries
from opslib.checks.wording import counted, listed, local
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.sources import metrics

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run
    from opslib.window import Window

NAME, TITLE = "slow-cache", "Cache"
PARTS = {"hit_rate": "Hit rate", "evictions": "Evictions", "memory": "Memory", "database": "The database behind it", "nodes": "Nodes", "events": "What ElastiCache says"}  # fmt: skip
RATE, MISSES, EVICTIONS, FULL = "CacheHitRate", "CacheMisses", "Evictions", "DatabaseMemoryUsagePercentage"
LATEST = 10  # minutes
POOR, BAD, FELL = 80.0, 60.0, 8.0  # percent; and percentage points below what is usual
FULL_FROM, MANY = 95.0, 100  # percent; keys a minute


def _part(
    name: str, verdict: Verdict, sentence: str, sight: Sight = Sight.COMPLETE, reason: str = "", **more: Any
) -> Result:
    return Result(name, PARTS[name], verdict, sentence, sight, reason, **more)


def share(frame: pd.DataFrame) -> float:
    """Return the hit rate over all rows, in percent, from the sums: misses over what was asked."""
    known = frame[[RATE, MISSES]].dropna()
    known = known[known[RATE] < 100]
    asked = (known[MISSES] / (1 - known[RATE] / 100)).sum()
    return (
        float(100 * (1 - known[MISSES].sum() / asked)) if asked else float("nan") if frame[RATE].isna().all() else 100.0
    )


def every(run: Run, facts: dict[str, Fact], whole: pd.DataFrame, window: Window, since: Any) -> tuple[Result, ...]:
    """Return all parts; `since` is when the hit rate fell, None when it did not."""
    nodes, events, usual = facts["by_node"].frame, facts["cache_events"].frame, facts["usual"].frame
    markers = (
        [] if events is None else [Marker(at.to_pydatetime(), "cache event") for at in events["at"].drop_duplicates()]
    )
    band = metrics.band(usual["cache", RATE]) if usual is not None and ("cache", RATE) in usual else None

    def chart(name: str, metric: str, unit: str, sentence: str, high: bool, **more: Any) -> Result:
        lines = _by_node(nodes, whole, metric)
        drawn = timeseries(lines, title=sentence, unit=unit, markers=markers, zone=run.environment.zone, **more)
        return _part(
            name,
            Verdict.WARN if high else Verdict.OK,
            sentence,
            chart=drawn,
            sources=(source(run, window, f"AWS/ElastiCache {metric}"),),
        )

    full = whole[FULL].tail(LATEST).mean() if FULL in whole else float("nan")
    told = [
        f"{node} {share(nodes[node].tail(LATEST)):.0f} %"
        for node in run.environment.cache.nodes
        if nodes is not None and (node, RATE) in nodes
    ]
    lost = whole[EVICTIONS] if EVICTIONS in whole else whole[RATE] * 0
    when = f" since {local(since, window)}" if since is not None else ""
    return (
        chart("hit_rate", RATE, "percent", f"Hit rate in the last ten minutes: {listed(told) or '–'}{when}.", since is not None, baseline=band, threshold=POOR),
        chart("evictions", EVICTIONS, "keys a minute", f"{lost.sum():,.0f} keys were evicted, at most {lost.max():,.0f} in a minute.", bool(lost.tail(LATEST).mean() >= MANY)),
        chart("memory", FULL, "percent", f"Memory in use: {full:.0f} %; from 100 % on every new key costs an old one.", bool(full >= FULL_FROM), threshold=FULL_FROM),
        _database(run, facts["behind"], window), _nodes(run, facts["nodes"], window), _events(run, facts["cache_events"], window),
    )  # fmt: skip


def _by_node(nodes: pd.DataFrame | None, whole: pd.DataFrame, metric: str) -> pd.DataFrame:
    import pandas as pd

    if nodes is None or metric not in nodes.columns.get_level_values(1):
        return whole[[metric]].set_axis(["cache"], axis=1) if metric in whole else pd.DataFrame()
    found = nodes.xs(metric, axis=1, level=1)
    found.columns = pd.Index([str(name) for name in found.columns])
    return found


def _database(run: Run, fact: Fact, window: Window) -> Result:
    series, name = fact.frame, "database"
    if series is None or ("database", "ReadIOPS") not in series:
        return _part(
            name,
            Verdict.UNKNOWN,
            "What the database reads is not known.",
            Sight.NO_DATA,
            "no database instance is configured, or no answer",
        )
    reads = series["database", "ReadIOPS"]
    sentence = f"The database reads {reads.tail(LATEST).mean():,.0f} times a second now, {reads.head(60).mean():,.0f} in the window's first hour."
    drawn = timeseries(
        series[[("database", "ReadIOPS")]].set_axis(["ReadIOPS"], axis=1),
        title=sentence,
        unit="reads a second",
        zone=run.environment.zone,
    )
    return _part(name, Verdict.OK, sentence, chart=drawn, sources=(source(run, window, "AWS/RDS ReadIOPS"),))


def _nodes(run: Run, fact: Fact, window: Window) -> Result:
    name, frame = "nodes", fact.frame
    if frame is None:
        return _unseen(name, fact)
    odd = frame["status"] != "available"
    sentence = (
        f"{counted(len(frame), 'node')}: "
        + listed([f"{row.node} is {row.role or 'a node'}, {row.type}, {row.status}" for row in frame.itertuples()])
        + "."
    )
    shown = frame.assign(**{FLAG: odd}) if len(frame) else None
    return _part(name, Verdict.WARN if odd.any() else Verdict.OK, sentence, table=shown,
                  sources=(source(run, window, "elasticache:DescribeCacheClusters, DescribeReplicationGroups"),))  # fmt: skip


def _events(run: Run, fact: Fact, window: Window) -> Result:
    import pandas as pd

    name, frame = "events", fact.frame
    if frame is None:
        return _unseen(name, fact)
    zone = run.environment.timezone
    shown = pd.DataFrame({
        f"at ({zone})": [moment.tz_convert(zone).strftime("%m-%d %H:%M:%S") for moment in frame["at"]], "node": frame["node"], "message": frame["message"],
    })  # fmt: skip
    sentence = (
        f"{counted(len(frame), 'event')} in the window."
        if len(frame)
        else "Nothing happened to the cache in the window."
    )
    return _part(
        name,
        Verdict.OK,
        sentence,
        table=shown if len(shown) else None,
        sources=(source(run, window, "elasticache:DescribeEvents"),),
    )


def _unseen(name: str, fact: Fact) -> Result:
    why = fact.error.what if fact.error else "no answer"
    return _part(name, Verdict.UNKNOWN, "This could not be seen.", Sight(fact.sight), why)


def nothing(why: str, fix: str, sight: str = "no_data") -> Result:
    """Return the answer when there is nothing to judge by."""
    seen = Sight(sight if sight != "complete" else "no_data")
    empty = tuple(
        Result(part, said, Verdict.UNKNOWN, "Nothing to show.", seen, "see the verdict") for part, said in PARTS.items()
    )
    return Result(
        NAME,
        TITLE,
        Verdict.UNKNOWN,
        "The cache could not be seen.",
        seen,
        " — ".join(filter(None, (why, fix))),
        parts=empty,
    )


def source(run: Run, window: Window, api: str) -> Source:
    """Return where an answer is from."""
    return Source(api, run.identity.account, run.environment.region, window.text())
