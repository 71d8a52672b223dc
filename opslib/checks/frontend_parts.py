"""The evidence under `slow-frontend`: who is suspected, what changed, the numbers and their charts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.charts.timeseries import Marker, timeseries
from opslib.checks.frontend_signals import SIGNALS, Finding
from opslib.checks.frontend_story import SUSPECTS, Reading, number, signal_text
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, local
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd


PAID = ("CacheHitRate", "OriginLatency p90")
CHARTS = {
    "requests": ("Requests at the edge", "cdn", ("Requests",), "requests a minute"),
    "errors": ("Errors at the edge", "cdn", ("4xxErrorRate", "5xxErrorRate"), "% of requests"),
    "hits": ("Cache hit rate", "cdn", ("CacheHitRate",), "% of requests"),
}  # fmt: skip


def suspects(told: dict[str, Reading], source: Source, window: Window) -> Result:
    """Show every suspect with what speaks against it."""
    import pandas as pd

    rows = [
        {"suspect": SUSPECTS[name].removeprefix("the "), "reading": str(reading.verdict), "since": local(reading.since, window) if reading.since is not None else "–",
         "evidence": "; ".join(reading.said) or "nothing is off", FLAG: reading.verdict is Verdict.CRITICAL}
        for name, reading in told.items()
    ]  # fmt: skip
    off = listed([SUSPECTS[name] for name, reading in told.items() if reading.verdict is not Verdict.OK])
    sentence = f"{off[0].upper()}{off[1:]}: not as usual." if off else "Nothing on the way to the customer is off."
    verdict = max(
        (reading.verdict for reading in told.values()), key=[Verdict.OK, Verdict.WARN, Verdict.CRITICAL].index
    )
    return Result("suspects", "Who is to blame", verdict, sentence, table=pd.DataFrame(rows), sources=(source,))


def chart(
    name: str,
    frames: dict[str, pd.DataFrame],
    found: list[Finding],
    markers: list[Marker],
    window: Window,
    source: Source,
    blind: str,
    *,
    shaded: bool = True,
) -> Result:
    """Show one or two metrics over the time that was asked for, the window shaded, with the same minutes of last week."""
    title, component, metrics, unit = CHARTS[name]
    series, usual = frames.get("series"), frames.get("usual")
    shown = [] if series is None else [metric for metric in metrics if (component, metric) in series.columns]
    if series is None or not shown:
        why = blind or _no_data(component, metrics[0])
        return Result(
            name, title, Verdict.UNKNOWN, f"{title}: not measured.", Sight.ERROR if blind else Sight.NO_DATA, why
        )
    off = [one for one in found if one.signal.component == component and one.signal.metric in shown]
    if off:
        said = "; ".join(signal_text(one, window) for one in off)
    else:
        recent = series.loc[series.index >= window.start, component]
        means = ", ".join(
            f"{metric if len(shown) > 1 else ''} {number(float(recent[metric].mean()))}".strip() for metric in shown
        )
        said = f"{title}: {means} ({unit}), as usual"
    sentence = f"{said[0].upper()}{said[1:]}."
    verdict = (
        Verdict.CRITICAL
        if any(one.critical and one.until is None for one in off)
        else Verdict.WARN
        if off
        else Verdict.OK
    )
    last_week = (
        None
        if usual is None
        else usual.reindex(columns=[(component, metric) for metric in shown])
        .droplevel(0, axis=1)
        .dropna(axis=1, how="all")
    )
    drawn = timeseries(
        series[component][shown], title=sentence, unit=unit, baseline=last_week, markers=markers, window=window if shaded else None, zone=window.zone
    )  # fmt: skip
    return Result(name, title, verdict, sentence, chart=drawn, sources=(source,))


def _no_data(component: str, metric: str) -> str:
    if metric in PAID:
        return "CloudFront tells it only with additional metrics, which cost extra (cloudfront:CreateMonitoringSubscription)"
    return f"CloudWatch has no point of {component} {metric} here: it is not configured, or nobody came"


def numbers(
    frames: dict[str, pd.DataFrame],
    found: list[Finding],
    window: Window,
    source: Source,
    blind: str,
    *,
    without: str = "",
) -> Result:
    """Show every number on the way to the customer beside the same minutes of last week, without those of one component."""
    import pandas as pd

    series, usual = frames.get("series"), frames.get("usual")
    if series is None:
        return Result(
            "numbers",
            "Numbers",
            Verdict.UNKNOWN,
            "The metrics could not be seen.",
            Sight.ERROR,
            blind or "no component is configured",
        )
    off = {one.signal: one for one in found}
    rows, absent = [], []
    for signal in (one for one in SIGNALS if one.component != without):
        name = (signal.component, signal.metric)
        if name not in series.columns:
            absent.append(_no_data(*name))
            continue
        one, recent = off.get(signal), slice(window.start, window.end)
        before = usual.loc[recent, name].mean() if usual is not None and name in usual.columns else float("nan")
        rows.append(
            {"what": signal.words, "now": number(one.now if one else float(series.loc[recent, name].mean())),
             "usually": number(one.usual if one else float(before)), "unit": signal.unit, "off": _span(one, window), FLAG: bool(one and one.critical and one.until is None)}
        )  # fmt: skip
    many = f"{len(found)} of {counted(len(rows), 'number')} {'is' if len(found) == 1 else 'are'} not as usual."
    sentence = many if found else f"All {counted(len(rows), 'number')} are as usual."
    verdict = Verdict.CRITICAL if any(row[FLAG] for row in rows) else Verdict.WARN if found else Verdict.OK
    return Result(
        "numbers",
        "Numbers",
        verdict,
        sentence,
        reason="; ".join(dict.fromkeys(absent)),
        table=pd.DataFrame(rows),
        sources=(source,),
    )


def _span(one: Finding | None, window: Window) -> str:
    if one is None:
        return "–"
    return (
        f"since {local(one.since, window)}"
        if one.until is None
        else f"{local(one.since, window)} to {local(one.until, window)}"
    )


def changes(frames: dict[str, pd.DataFrame], window: Window, source: Source) -> tuple[Result, list[Marker]]:
    """Show what changed in the window and the two hours before, oldest first; the chart's markers come from it."""
    import pandas as pd

    found: list[tuple[Any, str, str]] = []
    for site in _rows(frames, "distribution"):
        found.append(
            (site.last_modified, "distribution", f"configuration changed; cache policy of pages: {site.cache_policy}")
        )
    for job in _rows(frames, "amplify_jobs"):
        found.append(
            (
                job.finished,
                "build",
                f"build {job.job} of {job.branch} {job.status.lower()}: {shortened(job.message, 60)}",
            )
        )
    for one in _rows(frames, "invalidations"):
        found.append((one.created, "invalidation", f"{one.id} {one.status}"))
    for one in _rows(frames, "deployments"):
        found.append((one.at, "deploy", f"{one.service} to {one.image.rpartition('/')[2]}, {one.status.lower()}"))
    recent = sorted(
        (each for each in found if each[0] == each[0] and window.start - timedelta(hours=2) <= each[0] < window.end),
        key=lambda each: each[0],
    )
    table = pd.DataFrame([{"when": local(at, window), "what": what, "change": text} for at, what, text in recent])
    sentence = f"{counted(len(recent), 'change')} of distribution, builds, edge caches and services since {local(window.start - timedelta(hours=2), window)}."
    result = Result(
        "changes",
        "What changed",
        Verdict.OK,
        sentence,
        table=table if len(table) else None,
        sources=(source,),
    )
    return result, [Marker(at.to_pydatetime(), text) for at, _, text in recent]


def _rows(frames: dict[str, pd.DataFrame], name: str) -> list[Any]:
    frame = frames.get(name)
    return [] if frame is None else list(frame.itertuples())
