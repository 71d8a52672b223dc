"""Performance Insights (the `pi` API): what a database's sessions did, by wait event, SQL, user, host and database.

Its console has closed; what people look at now is CloudWatch Database Insights, over the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opslib.errors import SourceError
from opslib.sources import performance_insights_api as api

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.window import Window

LOAD, VCPUS = "db.load.avg", "os.general.numVCPUs.avg"
# by: (group, the dimension that is the key, the one that is the label)
GROUPS = {
    "wait_event": ("db.wait_event", "db.wait_event.name", "db.wait_event.name"),
    "sql": ("db.sql_tokenized", "db.sql_tokenized.id", "db.sql_tokenized.statement"),
    "user": ("db.user", "db.user.name", "db.user.name"),
    "host": ("db.host", "db.host.name", "db.host.name"),
    "database": ("db", "db.name", "db.name"),
}
SQL, WAIT = "db.sql_tokenized", "db.wait_event"
# column: statistic of a statement, as PostgreSQL's engine names it
STATISTICS = {
    "calls_per_s": "calls_per_sec",
    "latency_ms": "avg_latency_per_call",
    "rows_per_call": "rows_per_call",
    "hit_per_call": "shared_blks_hit_per_call",
    "read_per_call": "shared_blks_read_per_call",
}
QUERIES, LIMIT, CUT_BYTES = 15, 25, 500
_TIMES = "datetime64[ns, UTC]"


def load(environment: Environment, *, window: Window, by: str, instance: str = "", top: int = 7) -> pd.DataFrame:
    """Return average active sessions over time, whole and of the `top` busiest groups (pi:GetResourceMetrics).

    `by` is wait_event, sql, user, host or database; `instance` empty means the primary. Columns: time datetime64[ns, UTC]
    (start of the period); one float64 a group, the busiest first; other (total minus these, never below 0); total.
    attrs: instance, period (s), vcpus (0: not told), labels (column: label), problems. Raises SourceError.
    """
    import pandas as pd

    known = api.resource(environment, instance)
    window, problems = api.kept(environment, known, window)
    group, key, label = GROUPS[by]
    whole = len(api.slices_of(window, api.period_of(window))) == 1  # else each slice has a top of its own
    by_group: dict[str, Any] = {"Metric": LOAD, "GroupBy": {"Group": group, "Limit": top if whole else LIMIT}}
    queries = [{"Metric": LOAD}, by_group, {"Metric": VCPUS}]
    found, failed = api.series(environment, known.id, window=window, queries=queries)
    values: dict[str, dict[float, float]] = {"": {}, VCPUS: {}}
    labels: dict[str, str] = {}
    for one in found:
        dimensions = one["Key"].get("Dimensions") or {}
        name = VCPUS if one["Key"]["Metric"] == VCPUS else dimensions.get(key, "") if dimensions else ""
        if not dimensions or name:
            values.setdefault(name, {}).update(api.points(one))
            labels[name] = dimensions.get(label) or name
    told = [value for value in values.pop(VCPUS).values() if value == value]
    total = pd.Series(values.pop(""), dtype="float64").sort_index()
    if not total.notna().any():
        why = "; ".join(failed) or "the instance may be new, or Performance Insights was off then"
        raise SourceError(f"Performance Insights has no value of {known.name} in the window", why=why, sight="no_data")
    frame = _grouped(total, values, top)
    problems += failed + api.gaps(frame, window=window)
    names = [column for column in frame.columns if column not in ("time", "other", "total")]
    frame.attrs.update(instance=known.name, period=api.period_of(window), vcpus=int(max(told, default=0)),
                       labels={name: labels[name] for name in names}, problems=problems)  # fmt: skip
    return frame


def _grouped(total: pd.Series[float], groups: dict[str, dict[float, float]], top: int) -> pd.DataFrame:
    """Return time, the busiest groups, other and total; a group without a value where there is a total had none of it."""
    import pandas as pd

    loads = {name: sum(value for value in one.values() if value == value) for name, one in groups.items()}
    ranked = sorted(groups, key=lambda name: (-loads[name], name))[:top]
    frame = pd.DataFrame({name: pd.Series(groups[name], dtype="float64").reindex(total.index) for name in ranked}, index=total.index)  # fmt: skip
    frame = frame.fillna(0.0).where(total.notna(), axis=0)
    frame["other"] = (total - frame.sum(axis=1)).clip(lower=0.0)
    frame["total"] = total
    frame.insert(0, "time", pd.to_datetime(total.index, unit="s", utc=True).astype(_TIMES))
    return frame.reset_index(drop=True)


def counters(environment: Environment, *, window: Window, names: Sequence[str], instance: str = "") -> pd.DataFrame:
    """Return counters such as `db.User.numbackends.avg` over time: time, and a float64 column each.

    Names that the instance does not have are left out and stand in attrs["problems"]. Raises SourceError
    (pi:ListAvailableResourceMetrics, pi:GetResourceMetrics).
    """
    import pandas as pd

    known = api.resource(environment, instance)
    window, problems = api.kept(environment, known, window)
    kinds = sorted({name.partition(".")[0] for name in names})
    there = _available(environment, known.id, kinds)
    wanted = [name for name in names if name.rpartition(".")[0] in there]
    problems += [f"{known.name} has no counter {name}" for name in names if name not in wanted]
    values: dict[str, dict[float, float]] = {name: {} for name in wanted}
    for some in range(0, len(wanted), QUERIES):
        queries = [{"Metric": name} for name in wanted[some : some + QUERIES]]
        found, failed = api.series(environment, known.id, window=window, queries=queries)
        problems += failed
        for one in found:
            values[one["Key"]["Metric"]].update(api.points(one))
    frame = pd.DataFrame({name: pd.Series(one, dtype="float64") for name, one in values.items()}).sort_index()
    frame.insert(0, "time", pd.to_datetime(frame.index, unit="s", utc=True).astype(_TIMES))
    frame.attrs.update(instance=known.name, period=api.period_of(window), problems=problems)
    return frame.reset_index(drop=True)


def top_sql(environment: Environment, *, window: Window, instance: str = "", top: int = 10) -> pd.DataFrame:
    """Return the statements with the most load in the window (pi:DescribeDimensionKeys), their text whole.

    Columns: id, statement, wait (the busiest event) str; aas, wait_aas, calls_per_s, latency_ms, rows_per_call,
    hit_per_call, read_per_call (blocks) float64, NaN where there are no statistics; cut bool (the text could not be
    completed by pi:GetDimensionKeyDetails). attrs: instance, problems. Raises SourceError.
    """
    import pandas as pd

    known = api.resource(environment, instance)
    window, problems = api.kept(environment, known, window)
    there = _available(environment, known.id, [f"{SQL}.stats"])
    statistics = {
        column: f"{SQL}.stats.{name}" for column, name in STATISTICS.items() if f"{SQL}.stats.{name}" in there
    }
    asked: dict[str, Any] = {
        "Identifier": known.id, "Metric": LOAD, "StartTime": window.start, "EndTime": window.end,
        "GroupBy": {"Group": SQL, "Limit": min(top, LIMIT)}, "PartitionBy": {"Group": WAIT, "Limit": 10},
    }  # fmt: skip
    if statistics:
        asked["AdditionalMetrics"] = [f"{name}.avg" for name in statistics.values()]
    keys, waits, said = _keys(environment, asked)
    rows = [_statement(key, waits, statistics) for key in keys]
    columns = ["id", "statement", "aas", "wait", "wait_aas", *STATISTICS, "cut"]
    frame = pd.DataFrame(rows, columns=columns).sort_values("aas", ascending=False, ignore_index=True, kind="stable")
    problems += [said] if said else []
    problems += [f"{known.name} has no statistics of statements"] if not statistics else []
    problems += _completed(environment, known.id, frame)
    frame.attrs.update(instance=known.name, problems=problems)
    return frame


def _keys(environment: Environment, asked: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str], str]:
    """Return the keys, the wait events of their partitions, and what is wrong with the span."""
    told = api.pages(environment, "describe_dimension_keys", "Keys", **asked)
    waits = [str((each.get("Dimensions") or {}).get(f"{WAIT}.name", "")) for each in told.partitions]
    return told.items, waits, told.said


def _statement(key: dict[str, Any], waits: list[str], statistics: dict[str, str]) -> dict[str, Any]:
    dimensions, told = key.get("Dimensions") or {}, key.get("AdditionalMetrics") or {}
    parts = [value or 0.0 for value in key.get("Partitions") or ()]
    most = max(range(len(parts)), key=lambda place: parts[place], default=-1)
    text = str(dimensions.get(f"{SQL}.statement", ""))
    numbers = {
        column: float(told[f"{name}.avg"]) for column, name in statistics.items() if told.get(f"{name}.avg") is not None
    }
    return {
        "id": dimensions.get(f"{SQL}.id", ""), "statement": text, "aas": float(key.get("Total") or 0.0),
        "wait": waits[most] if 0 <= most < len(waits) else "", "wait_aas": float(parts[most]) if parts else 0.0,
        **{column: numbers.get(column, float("nan")) for column in STATISTICS},
        "cut": len(text.encode()) >= CUT_BYTES - 3,  # a character of four bytes may have been left out whole
    }  # fmt: skip


def _completed(environment: Environment, resource_id: str, frame: pd.DataFrame) -> list[str]:
    """Put the whole text where the answer had cut it; return what could not be completed."""

    def ask(sql_id: str) -> tuple[str, str]:
        asked = {
            "Identifier": resource_id,
            "Group": SQL,
            "GroupIdentifier": sql_id,
            "RequestedDimensions": ["statement"],
        }
        return sql_id, api.details(environment, **asked)

    cut = list(frame.loc[frame["cut"], "id"])
    answers, failed = api.at_once(ask, cut)
    for sql_id, text in answers:
        if text:
            frame.loc[frame["id"] == sql_id, ["statement", "cut"]] = [text, False]
    left = int(frame["cut"].sum())
    why = f": {failed[0].what}" if failed else ""
    return [f"the text of {left} statements ends after {CUT_BYTES} bytes{why}"] if left else []


def _available(environment: Environment, resource_id: str, kinds: Sequence[str]) -> set[str]:
    """Return the metrics that the instance has (pi:ListAvailableResourceMetrics), without their statistic."""
    asked = {"Identifier": resource_id, "MetricTypes": list(kinds)}
    told = api.pages(environment, "list_available_resource_metrics", "Metrics", **asked)
    return {str(each.get("Metric", "")) for each in told.items}
