"""The cache: how much of what is asked it answers, what it throws out, and who pays for that."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks import cache_parts as parts
from opslib.checks.cache_parts import BAD, EVICTIONS, FELL, FULL, FULL_FROM, LATEST, MANY, NAME, POOR, RATE, TITLE
from opslib.checks.wording import listed, local
from opslib.result import Next, Result, Sight, Verdict
from opslib.run import Fact, Run
from opslib.sources import elasticache, metrics

if TYPE_CHECKING:
    import pandas as pd

    from opslib.window import Window

BEFORE = timedelta(minutes=30)  # an event so long before a fall may be its cause


def hit_rate(run: Run) -> Result:
    """Say how much the cache answers now and usually, whether it evicts, and what happened to it; 3 hours by default.

    The hit rate is made of sums of hits and misses, over nodes and over time: a mean of ratios would be wrong. Critical:
    under 60 %, or far below usual while it evicts. Parts: hit_rate, evictions, memory, database, nodes, events.
    """
    env, window = run.environment, run.window_or("3h")
    if not env.cache.nodes:
        return run.record(parts.nothing("no cache is configured", "name its nodes in the section cache of opslib.toml"))
    asked = ("cache",)
    behind = ("database",) if env.database and env.database.instance else asked
    facts = run.facts(
        deadline_s=2 * run.deadline, whole=partial(metrics.series, env, window=window, components=asked),
        usual=partial(metrics.baseline, env, window=window, components=asked),
        by_node=partial(metrics.series, env, window=window, components=asked, apart=True),
        behind=partial(metrics.series, env, window=window, components=behind),
        nodes=partial(elasticache.nodes, env), cache_events=partial(elasticache.events, env, window=window),
    )  # fmt: skip
    whole = facts["whole"].frame
    if whole is None or ("cache", RATE) not in whole:
        error = facts["whole"].error
        return run.record(
            parts.nothing(
                error.what if error else "CloudWatch has no point of it",
                error.fix if error else "",
                facts["whole"].sight,
            )
        )
    return run.record(_told(run, facts, whole["cache"], window))


def _told(run: Run, facts: dict[str, Fact], whole: pd.DataFrame, window: Window) -> Result:
    before = facts["usual"].frame
    now, usual = (
        parts.share(whole.tail(LATEST)),
        parts.share(before["cache"].tail(LATEST))
        if before is not None and ("cache", RATE) in before
        else parts.share(whole.head(len(whole) // 3)),
    )
    since = _since(whole[RATE], usual)
    evicted = float(whole[EVICTIONS].sum()) if EVICTIONS in whole else float("nan")
    full = float(whole[FULL].tail(LATEST).mean()) if FULL in whole else float("nan")
    evicts = EVICTIONS in whole and whole[EVICTIONS].tail(LATEST).mean() >= MANY
    fell = usual - now
    bad = now < BAD or (fell >= 2 * FELL and evicts)
    verdict = (
        Verdict.CRITICAL
        if bad
        else Verdict.WARN
        if now < POOR or fell >= FELL or evicts or full >= FULL_FROM
        else Verdict.OK
    )
    reasons = [f"{name}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    reasons += [
        problem for fact in facts.values() if fact.frame is not None for problem in fact.frame.attrs.get("problems", [])
    ]
    events = facts["cache_events"].frame
    tiles = {
        "hit rate, last 10 min": f"{now:.1f} %", "usually": f"{usual:.1f} %", "evicted keys": f"{evicted:,.0f}", "memory": f"{full:.0f} %",
        "connections": f"{whole['CurrConnections'].tail(LATEST).mean():.0f}" if "CurrConnections" in whole else "–",
    }  # fmt: skip
    said = [
        f"The cache answers {now:.0f} % of what is asked, usually {usual:.0f} %"
        + (f", since {local(since, window)}" if since is not None and fell >= FELL else "")
    ]
    said += [f"it evicted {evicted:,.0f} keys"] if evicts else []
    said += [f"memory is at {full:.0f} %"] if full >= FULL_FROM else []
    said += _cause(events, since, window) if fell >= FELL else []
    behind = _behind(facts["behind"].frame, since)
    said += [behind] if behind and fell >= FELL else []
    steps = (
        Next("2-investigate/slow-database", {"window": window.as_parameter()}, "see what the database reads instead of the cache"),
        Next("3-remediate/route-reads-to-replica", {"to": "replica"}, "take reads off the primary until the cache is warm"),
    )  # fmt: skip
    replica = bool(run.environment.database and run.environment.database.replicas) and behind
    return Result(
        NAME, TITLE, verdict, "; ".join(said) + ".", Sight.PARTIAL if reasons else Sight.COMPLETE, "; ".join(dict.fromkeys(reasons)), tiles,
        sources=(parts.source(run, window, "AWS/ElastiCache"),), next=steps[: 2 if replica else 1] if bad else (), data=("data/by_node.csv" if run.folder else "",),
        parts=parts.every(run, facts, whole, window, since),
    )  # fmt: skip


def _since(rate: pd.Series[Any], usual: float) -> Any:
    """Return when the hit rate fell for good: the begin of the last stretch that is far below usual to its end."""
    low = rate.dropna() < usual - FELL
    if not len(low) or not low.iloc[-1]:
        return None
    good = low[~low]
    return low.index[low.index > good.index[-1]][0] if len(good) else low.index[0]


def _cause(events: pd.DataFrame | None, since: Any, window: Window) -> list[str]:
    """Return what ElastiCache said in the half hour before the fall."""
    if events is None or since is None:
        return []
    near = events[(events["at"] <= since) & (events["at"] >= since - BEFORE)]
    told = dict.fromkeys(row.message.rstrip(".") for row in near.itertuples())
    return [f"just before, at {local(near['at'].min(), window)}: {listed(list(told), 2)}"] if told else []


def _behind(series: pd.DataFrame | None, since: Any) -> str:
    """Return how much more the database reads than before the fall."""
    if series is None or ("database", "ReadIOPS") not in series or since is None:
        return ""
    reads = series["database", "ReadIOPS"]
    before, now = reads[reads.index < since].tail(60).mean(), reads.tail(LATEST).mean()
    return f"the database reads {now / before:.1f} times as much as before" if before > 0 and now > 1.3 * before else ""
