"""What a first look found out, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from opslib.checks import incident_series
from opslib.checks.changes import suspects
from opslib.checks.wording import local, took
from opslib.sources.metric_queries import table

if TYPE_CHECKING:
    from opslib.run import Run
    from opslib.window import Window

_COUNTED = frozenset(
    {"runs", "responses", "keys", "errors", "restarts", "requests", "misses", "connections refused", "packets"}
)


@dataclass(frozen=True)
class Story:
    """What was found out: series, ranking, changes, errors, and what follows from them."""

    run: Run
    incident: Window
    series: pd.DataFrame
    ranked: pd.DataFrame
    changed: pd.DataFrame
    errors: pd.DataFrame | None

    @cached_property
    def off(self) -> pd.DataFrame:
        """Return the components that are off, the likeliest cause first."""
        return self.ranked[self.ranked["since"].notna()]

    @property
    def cause(self) -> Any:
        """Return the row of the likeliest cause, None when nothing is off."""
        return self.off.iloc[0] if len(self.off) else None

    @property
    def symptoms(self) -> list[str]:
        """Return the components that another one explains."""
        return list(self.off.loc[self.off["symptom_of"] != "", "component"])

    @cached_property
    def suspects(self) -> pd.DataFrame:
        """Return the changes that may have caused it, the likeliest first."""
        calls = self.run.environment.services.calls
        return suspects(self.changed, component=self.cause["component"], onset=self.cause["since"], calls=calls)

    @cached_property
    def units(self) -> dict[tuple[str, str], str]:
        """Return the unit of each metric of the table."""
        return {(each.component, each.metric): each.unit for each in table(self.run.environment)}

    @cached_property
    def sums(self) -> set[tuple[str, str]]:
        """Return the metrics that are counted in each minute; the others are states, such as a queue's depth."""
        return {(each.component, each.metric) for each in table(self.run.environment)
                if {stat.statistic for stat in each.stats} == {"Sum"}}  # fmt: skip

    def measured(self, component: str, metric: str, since: Any) -> tuple[float, float]:
        """Return the median since the onset, and the usual one: in the baseline. Counts are means a minute."""
        column = self.series[component, metric]
        base = incident_series.baseline(self.incident)
        then = column[(column.index >= base.start) & (column.index < base.end)]
        now = column[column.index >= since]
        rare = bool(then.median() == 0)
        return (float(now.mean()), float(then.mean())) if rare else (float(now.median()), float(then.median()))

    def unit(self, component: str, metric: str) -> str:
        """Return the unit of a series; what is counted is counted a minute."""
        if metric.startswith(("errors", "warnings")):
            return "lines a minute"
        named = self.units.get((component, metric), "")
        return f"{named} a minute" if named in _COUNTED and (component, metric) in self.sums else named

    def amounts(self, component: str, metric: str, since: Any) -> str:
        """Return "11.2 sessions, usually 0.9"; nothing for what is a state."""
        if "that died" in metric or "that failed" in metric:
            return ""
        now, usual = self.measured(component, metric, since)
        unit = self.unit(component, metric)
        return f"{amount(now, unit)}, usually {amount(usual, unit).removesuffix(f' {unit}')}"

    def said(self) -> list[str]:
        """Return the sentences: cause, what changed before, symptoms, what else is off."""
        top = self.cause
        told = self.amounts(top["component"], top["metric"], top["since"])
        sentences = [
            f"{top['component']} is off since {local(top['since'], self.incident)}: {top['metric']}{f' {told}' if told else ''}."
        ]
        if text := self.suspect_text():
            sentences.append(f"Just before: {text}.")
        if self.symptoms:
            sentences.append(f"Only symptoms: {', '.join(self.symptoms)}.")
        others = [name for name in self.off["component"][1:] if name not in self.symptoms]
        return sentences + ([f"Off as well: {', '.join(others)}."] if others else [])

    @staticmethod
    def _named(change: Any) -> str:
        return f"{change['kind']} of {change['component']}" if change["component"] else str(change["kind"])

    def suspect_text(self, *, short: bool = False) -> str:
        """Return the likeliest change before, empty if there is none."""
        if self.cause is None or not len(self.suspects):
            return ""
        first = self.suspects.iloc[0]
        ahead = (self.cause["since"] - first["at"]).total_seconds()
        minutes = round(abs(ahead) / 60)  # an onset is known to the minute
        when = f"{minutes} min {'before' if ahead >= 0 else 'after it was first seen'}" if minutes else "that minute"
        if short:
            return f"{self._named(first)}, {local(first['at'], self.incident)}"
        return f"{self._named(first)} at {local(first['at'], self.incident)} ({when}): {first['what'].rstrip('.')}"


def amount(value: float, unit: str) -> str:
    """Return a number as people say it: 3.2 s, 92 %, 12 GB, none."""
    if value != value:
        return "–"
    if unit in ("seconds", "milliseconds", "microseconds"):
        seconds = value / {"seconds": 1, "milliseconds": 1e3, "microseconds": 1e6}[unit]
        return took(seconds) if seconds >= 10 else f"{seconds:.2g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
    if unit == "bytes":
        return f"{value / 1e9:,.1f} GB"
    if unit == "percent":
        return f"{value:.1f} %"
    if value == 0 and (unit in ("sessions", "connections") or unit.endswith(" a minute")):
        return "none"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}" if abs(value) < 10 else f"{value:.1f}"
    return f"{number} {unit}" if unit in ("sessions", "connections") or unit.endswith(" a minute") else number
