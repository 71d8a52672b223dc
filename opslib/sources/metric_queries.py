"""Which metrics there are of an environment, and the queries that ask CloudWatch for them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from opslib.config import Environment
from opslib.errors import ParameterError

QUERIES_A_CALL, POINTS_A_CALL = 500, 100_800
Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stat:
    """One statistic of one CloudWatch metric."""

    namespace: str
    name: str
    dimensions: Dimensions
    statistic: str

    def query(self, period: int) -> dict[str, Any]:
        """Return it as a MetricStat."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions]
        metric = {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions}
        return {"Metric": metric, "Period": period, "Stat": self.statistic}


@dataclass(frozen=True)
class Metric:
    """One row of the table for one environment: a statistic, or metric math over several.

    `bad` is the direction that is bad: high, low or empty. `empty` is what no point means, None a gap.
    `variables` are the stats that each name of the expression stands for; several are summed.
    """

    component: str
    metric: str
    unit: str
    bad: str
    region: str
    variables: tuple[tuple[str, tuple[Stat, ...]], ...]
    expression: str = ""
    label: str = ""  # a dynamic label, for a search with many answers
    warn: float | None = None
    critical: float | None = None
    empty: float | None = None

    @property
    def stats(self) -> list[Stat]:
        """Return the statistics that it is made of."""
        return [stat for _, stats in self.variables for stat in stats]


def table(environment: Environment, components: Sequence[str] = (), *, apart: bool = False) -> tuple[Metric, ...]:
    """Return the metrics of an environment, all or those of some components, in the order of metrics_table.toml.

    `apart` tells nodes and replicas from each other: each is a component, named after itself. Raises ParameterError for a component that the environment does not have.
    """
    sets = [(group["component"], list(_metrics(group, environment, apart))) for group in _groups()]
    found = [
        (name if apart and name != "{each}" else metric.component, metric) for name, some in sets for metric in some
    ]
    known = list(dict.fromkeys(component for component, _ in found))
    for unknown in sorted(set(components) - set(known)):
        raise ParameterError(
            f"component {unknown!r} has no metrics in {environment.name!r}",
            why=f"configured are {', '.join(known) or 'none'}",
            fix="choose one of these, or add its section to opslib.toml",
        )
    return tuple(metric for component, metric in found if not components or component in components)


@lru_cache(maxsize=1)
def _groups() -> list[dict[str, Any]]:
    text = resources.files("opslib.sources").joinpath("metrics_table.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["group"])


def _metrics(group: Mapping[str, Any], environment: Environment, apart: bool) -> Iterator[Metric]:
    """Yield a group's metrics: for each service its own, for nodes and replicas one over all unless `apart`."""
    items = _items(environment, group["each"]) if "each" in group else [""]
    places = [
        (each, place) for each in items if (place := _dimensions(group["dimensions"], environment, each)) is not None
    ]
    own = group["component"] == "{each}" or (apart and "each" in group)
    for chosen in [[one] for one in places] if own else [places]:
        if chosen:
            component = chosen[0][0] if own else group["component"]
            yield from (_metric(row, group, component, [place for _, place in chosen]) for row in group["metrics"])


def _metric(row: Mapping[str, Any], group: Mapping[str, Any], component: str, places: list[Dimensions]) -> Metric:
    def stats(name: str, statistic: str) -> tuple[Stat, ...]:
        return tuple(Stat(group["namespace"], name, place, statistic) for place in places)

    rest = {key: row[key] for key in ("warn", "critical", "empty") if key in row}
    if "of" in row:
        variables = tuple((name, stats(of, "Sum")) for name, of in row["of"].items())
        expression = row["expression"]
    else:
        one = stats(row.get("name", row["metric"]), row["stat"])
        variables = tuple((f"each{n}", (stat,)) for n, stat in enumerate(one))
        expression = f"{row['over']}([{', '.join(name for name, _ in variables)}])" if len(one) > 1 else ""
    return Metric(
        component, row["metric"], row["unit"], row["bad"], group.get("region", ""), variables, expression, **rest
    )


def _dimensions(given: Mapping[str, str], environment: Environment, each: str) -> Dimensions | None:
    found = []
    for name, path in given.items():
        value = each if path == "{each}" else path if "." not in path else _at(environment, path.rstrip("?"))
        if value:
            found.append((name, str(value)))
        elif not path.endswith("?"):
            return None
    return tuple(found)


def _items(environment: Environment, path: str) -> list[str]:
    found = _at(environment, path)
    return list(found.values() if isinstance(found, dict) else found or ())


def _at(environment: Environment, path: str) -> Any:
    """Return what stands at `section.field`; None where the section is not configured."""
    found: Any = environment
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def batches(metrics: Iterable[Metric], *, points: int) -> Iterator[list[Metric]]:
    """Yield the metrics in as few calls as 500 queries and 100,800 points allow."""
    batch: list[Metric] = []
    asked = 0
    for metric in metrics:
        size = len(metric.stats) + bool(metric.expression)
        if batch and (asked + size > QUERIES_A_CALL or (len(batch) + 1) * points > POINTS_A_CALL):
            yield batch
            batch, asked = [], 0
        batch.append(metric)
        asked += size
    if batch:
        yield batch


def queries(batch: Sequence[Metric], period: int) -> tuple[list[dict[str, Any]], dict[str, Metric]]:
    """Return one call's MetricDataQueries, each statistic once, and which metric each returned id is."""
    ids: dict[Stat, str] = {}
    for stat in (stat for metric in batch for stat in metric.stats):
        ids.setdefault(stat, f"s{len(ids)}")
    shown: dict[str, Metric] = {}
    expressions = []
    for number, metric in enumerate(batch):
        if metric.expression:
            shown[f"e{number}"] = metric
            label = {"Label": metric.label} if metric.label else {}
            expressions.append({"Id": f"e{number}", "Expression": _expression(metric, ids), "Period": period, **label})
        else:
            shown[ids[metric.stats[0]]] = metric
    asked = [{"Id": key, "MetricStat": stat.query(period), "ReturnData": key in shown} for stat, key in ids.items()]
    return asked + expressions, shown


def _expression(metric: Metric, ids: Mapping[Stat, str]) -> str:
    """Put the ids into the expression; several stats of one name are summed."""
    import re

    named = {
        name: ids[stats[0]] if len(stats) == 1 else f"SUM([{', '.join(ids[stat] for stat in stats)}])"
        for name, stats in metric.variables
    }
    return re.sub(r"[a-z][a-z0-9]*", lambda word: named.get(word[0], word[0]), metric.expression)
