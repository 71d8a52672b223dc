"""The evidence under a first look: which components, the telling measurement, what changed, what the logs say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from opslib.charts.time_axis import number_text
from opslib.charts.timeseries import Marker, timeseries
from opslib.checks import incident_series
from opslib.checks.wording import counted, listed, local
from opslib.display import FLAG
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.runbooks.first_look_story import Story

if TYPE_CHECKING:
    from opslib.run import Fact
    from opslib.runbooks.starting_point import StartingPoint

_AT = re.compile(r" \(\d\d/\d\d/\d\d [\d:]+\)| at \w+day \d\d \w+, \d{4} [\d:]+ UTC")
_PLACE, _POINT = re.compile(r"arn:aws\S*:alarm:"), re.compile(r"\d+\.\d+(?:E-?\d+)?")
TITLES = {
    "components": "Which components are off", "evidence": "The telling measurement", "changes": "What changed", "errors": "What the logs say",
    "alarms": "Alarms",
}  # fmt: skip


def components(story: Story) -> Result:
    """Show the components that are off in rank order: cause or symptom, what is off, how far."""
    off = story.off
    if not len(off):
        return Result("components", TITLES["components"], Verdict.OK, "No component is off.")
    local_time = f"since ({story.run.environment.timezone})"
    shown = pd.DataFrame({
        "component": off["component"], local_time: [f"{story.incident.local(since):%H:%M}" for since in off["since"]],
        "what": [_role(row) for row in off.itertuples()], "most telling": off["metric"],
        "now, and usually": [story.amounts(row.component, row.metric, row.since) for row in off.itertuples()],
        "also off": [_others(story, row) for row in off.itertuples()], FLAG: [row.symptom_of == "" for row in off.itertuples()],
    })  # fmt: skip
    roots = int((off["symptom_of"] == "").sum())
    sentence = f"{counted(len(off), 'component')} off, {roots} of them not explained by another one."
    return Result("components", TITLES["components"], Verdict.WARN, sentence, table=shown)


def _role(row: Any) -> str:
    return (
        f"symptom of {row.symptom_of}" if row.symptom_of else "likeliest cause" if row.Index == 0 else "off by itself"
    )


def _others(story: Story, row: Any) -> str:
    named = [
        metric
        for component, metric, *_ in story.ranked.attrs["off"]
        if component == row.component and metric != row.metric
    ]
    return listed(named, 1)


def evidence(story: Story) -> Result:
    """Draw the most telling series of the likeliest cause against last week, with the changes before."""
    title = TITLES["evidence"]
    if story.cause is None:
        return Result("evidence", title, Verdict.OK, "Nothing is off, so nothing stands out.")
    component, metric, since = story.cause["component"], story.cause["metric"], story.cause["since"]
    column = story.series[component, metric].dropna()
    start = story.incident.start - timedelta(hours=1)
    shown = column[column.index >= start].to_frame(f"{component} {metric}")
    back = column[column.index < story.incident.start - incident_series.HISTORY]
    week = incident_series.SEASONS["last_week"]
    usual = back.set_axis(back.index + week)
    usual = usual[(usual.index >= start) & (usual.index < story.incident.end)]
    near = story.suspects.head(3)
    markers = [Marker(row.at.to_pydatetime(), f"{row.kind} {row.component}".strip()) for row in near.itertuples()]
    unit = story.unit(component, metric)
    told = story.amounts(component, metric, since)
    sentence = f"{component}: {metric} {told or 'began'} since {local(since, story.incident)}."
    chart = timeseries(
        shown, title=sentence, unit=unit, baseline=usual if len(usual) else None, markers=markers, window=story.incident, zone=story.run.environment.zone
    )  # fmt: skip
    return Result("evidence", title, Verdict.WARN, sentence, chart=chart)


def changes(story: Story, facts: Mapping[str, Fact]) -> Result:
    """Show what changed in the window and the three hours before; who may be to blame first."""
    gaps = [
        f"{name}: {fact.error.what}"
        for name, fact in facts.items()
        if fact.error is not None and not name.startswith(("metrics", "errors", "alarm"))
    ]
    sight, reason = (Sight.PARTIAL, listed(gaps)) if gaps else (Sight.COMPLETE, "")
    found = story.changed
    if not len(found):
        sentence = "Nothing is known to have changed in the window or the three hours before."
        return Result("changes", TITLES["changes"], Verdict.OK, sentence, sight, reason)
    suspected = story.suspects.index if story.cause is not None else found.index[:0]
    ordered = found.loc[[*suspected, *found.index.difference(suspected)]]
    shown = pd.DataFrame({
        f"at ({story.run.environment.timezone})": [f"{story.incident.local(at):%m-%d %H:%M}" for at in ordered["at"]],
        "component": ordered["component"], "kind": ordered["kind"], "what": ordered["what"], "ref": ordered["ref"],
        FLAG: ordered.index.isin(suspected[:1]),
    })  # fmt: skip
    text = story.suspect_text()
    sentence = f"{counted(len(found), 'change')}" + (
        f"; likeliest to blame: {text}." if text else "; none just before."
    )
    return Result(
        "changes", TITLES["changes"], Verdict.WARN if text else Verdict.OK, sentence, sight, reason, table=shown
    )


def errors(story: Story, fact: Fact) -> Result:
    """Show the kinds of errors and warnings in the window against the time before, the newest ones first."""
    title = TITLES["errors"]
    if story.errors is None:
        said = f"{fact.error.what} — {fact.error.why}" if fact.error else "no answer"
        return Result("errors", title, Verdict.UNKNOWN, "The logs could not be searched.", Sight(fact.sight), said)
    source = Source("CloudWatch Logs Insights", story.run.identity.account, story.run.environment.region, fact.frame.attrs["window"],
                    fact.frame.attrs["query"], usd=fact.frame.attrs["usd"]) if fact.frame is not None else None  # fmt: skip
    shown = kinds(story)
    sources = (source,) if source else ()
    if not len(shown):
        return Result("errors", title, Verdict.OK, "No error and no warning is in the logs.", sources=sources)
    grown = shown[shown["grown"]]
    sentence = f"{counted(len(shown), 'kind')} of errors and warnings, {len(grown)} of them more than usual."
    table_ = shown.rename(columns={"grown": FLAG}).drop(columns=["component"])
    return Result("errors", title, Verdict.WARN if len(grown) else Verdict.OK, sentence, table=table_, sources=sources)


def kinds(story: Story) -> pd.DataFrame:
    """Return a row for each kind of error: component, service, kind, counts now and before, what it said, an example."""
    found = story.errors
    if found is None or not len(found):
        return pd.DataFrame(
            columns=["component", "service", "kind", "in the window", "in as long before", "said", "example", "grown"]
        )
    found = found.assign(
        component=incident_series.attributed(story.run.environment, found),
        kind=[incident_series.error_name(row) for row in found.itertuples()],
    )
    now = found["minute"] >= story.incident.start
    scale = story.incident.seconds / (incident_series.HISTORY / 2).total_seconds()
    groups = ["component", "service", "kind"]
    rows = (
        found[now]
        .groupby(groups)
        .agg(**{"in the window": ("lines", "sum"), "said": ("said", "last"), "example": ("example", "last")})
    )
    before = found[~now].groupby(groups)["lines"].sum() * scale
    rows["in as long before"] = before.reindex(rows.index).fillna(0.0).round(1)
    rows["grown"] = rows["in the window"] > 3 * rows["in as long before"] + 3
    order = ["in the window", "in as long before", "said", "example", "grown"]
    return rows[order].sort_values("in the window", ascending=False, kind="stable").reset_index()


def rang(story: Story, fact: Fact) -> Result:
    """Show which alarms changed their state in the window."""
    title = TITLES["alarms"]
    if fact.frame is None:
        said = f"{fact.error.what} — {fact.error.why}" if fact.error else "no answer"
        return Result("alarms", title, Verdict.UNKNOWN, "The alarms could not be asked.", Sight(fact.sight), said)
    found = fact.frame
    names = sorted(set(found.loc[found["after"] == "ALARM", "name"]))
    if not names:
        return Result("alarms", title, Verdict.OK, "No alarm rang in the window.")
    shown = pd.DataFrame({
        f"at ({story.run.environment.timezone})": [f"{story.incident.local(at):%H:%M}" for at in found["at"]],
        "alarm": found["name"], "from": found["before"], "to": found["after"],
        "reason": [_why(str(reason)) for reason in found["reason"]],
    })  # fmt: skip
    return Result(
        "alarms", title, Verdict.WARN, f"{counted(len(names), 'alarm')} rang: {', '.join(names)}.", table=shown
    )


def _why(reason: str) -> str:
    """Return CloudWatch's reason without what the table says already: whose account it is, and when; and figures that can be read."""
    plain = _PLACE.sub("", _AT.sub("", reason.split(" (minimum")[0])).removeprefix("Threshold Crossed: ")
    return _POINT.sub(lambda found: number_text(float(found[0])), plain)


def trace(point: StartingPoint) -> tuple[Next, ...]:
    """Return the step to the request that the report names, if it names one."""
    if not point.request_id:
        return ()
    return (
        Next(
            "2-investigate/trace-request", {"request_id": point.request_id}, "follow the request that the report names"
        ),
    )


def empty() -> tuple[Result, ...]:
    """Return the parts of a look that could see nothing."""
    return tuple(
        Result(name, title, Verdict.UNKNOWN, "Nothing to show: no source answered.", Sight.NO_DATA, "see the verdict")
        for name, title in TITLES.items()
    )
