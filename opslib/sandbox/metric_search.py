"""SEARCH of metric math, and the labels of what it finds."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from opslib.sandbox.metric_expressions import MathError, Unknown
from opslib.sandbox.metric_math import Line
from opslib.sandbox.metrics_store import MetricKey

_SCHEMA = re.compile(r"\{([^}]*)\}(.*)", re.DOTALL)
_TERM = re.compile(
    r"\s*(?:AND\s+)?(?:\"(?P<quoted>[^\"]+)\"|(?P<bare>[\w.:/-]+))\s*=\s*(?P<value>\"[^\"]*\"|[\w.:/%-]+)"
)
_PART = re.compile(r"\$\{([^}]*)\}")
MOST = 500


def search(
    given: list[Any], keys: Iterable[MetricKey], read: Callable[[MetricKey, str, int], dict[int, float]]
) -> list[Line]:
    """Return the metrics of a schema whose properties are as asked, at most 500: SEARCH('{NS,Dim} Name="x"', 'Stat', period)."""
    if len(given) != 3 or not isinstance(given[0], str) or not isinstance(given[2], float):
        raise Unknown("SEARCH without a statistic and a period is not modelled")
    text, statistic, period = given[0], str(given[1]), int(given[2])
    found = _SCHEMA.fullmatch(text.strip())
    if not found:
        raise Unknown("SEARCH without a {schema} is not modelled")
    namespace, *names = [name.strip().strip('"') for name in found[1].split(",")]
    terms = _terms(found[2])
    chosen = [
        key for key in keys
        if key[0] == namespace and sorted(names) == [name for name, _ in key[2]] and all(_has(key, *term) for term in terms)
    ][:MOST]  # fmt: skip
    lines = [_line(key, statistic, period, read) for key in chosen]
    for line in lines:
        differing = [name for name in line.about if len({other.about.get(name) for other in lines}) > 1]
        line.label = " ".join(line.about[name] for name in differing) or line.about["MetricName"]
    return lines


def _terms(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        term = _TERM.match(text, at)
        if not term:
            raise Unknown(f"SEARCH is modelled with Name=value terms only, not {text[at:].strip()!r}")
        found.append((term["quoted"] or term["bare"], term["value"].strip('"')))
        at = term.end()
    return found


def _has(key: MetricKey, name: str, value: str) -> bool:
    return (key[1] if name == "MetricName" else dict(key[2]).get(name)) == value


def _line(key: MetricKey, statistic: str, period: int, read: Callable[[MetricKey, str, int], dict[int, float]]) -> Line:
    namespace, name, dimensions = key
    about = {"MetricName": name} | {f"Dim.{dimension}": value for dimension, value in dimensions}
    line = Line(read(key, statistic, period), period, name, about)
    line.about |= {"Namespace": namespace, "Stat": statistic, "Period": str(period)}
    return line


def label(given: str, line: Line, otherwise: str) -> str:
    """Return the label of a result: the default, the given one, or a dynamic one such as ${PROP('Dim.JobName')}."""
    if not given:
        return line.label or otherwise
    if "${" not in given:
        return given
    return _PART.sub(lambda part: _dynamic(part[1].strip(), line, otherwise), given)


def _dynamic(part: str, line: Line, otherwise: str) -> str:
    if part == "LABEL":
        return line.label or otherwise
    if named := re.fullmatch(r"PROP\('([^']+)'\)", part):
        if named[1] not in line.about:
            raise MathError(f"the label names an unknown property {named[1]}")
        return line.about[named[1]]
    values = list(line.points.values())
    folds = {"MIN": min, "MAX": max, "SUM": sum, "LAST": lambda of: of[-1], "AVG": lambda of: sum(of) / len(of)}
    if part not in folds:
        raise Unknown(f"the label ${{{part}}} is not modelled")
    return f"{folds[part](values):g}" if values else "--"
