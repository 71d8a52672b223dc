"""The evidence of the weekly report: the numbers of each tier with one chart, statements, jobs, builds, capacity, deploys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opslib.charts.markers import markers
from opslib.charts.timeseries import timeseries
from opslib.checks import over_time
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, took
from opslib.display import FLAG
from opslib.result import Result, Sight, Source, Verdict
from opslib.runbooks.first_look_story import amount
from opslib.runbooks.weekly_look import Row, Week, named

if TYPE_CHECKING:
    from opslib.charts.drawing import Chart
    from opslib.run import Fact

DRAWN = "6h"  # a point: 28 a week, or the notebook becomes heavy
SOON, NEAR, FAR = 7.0, 30.0, 365.0  # days until a limit
SLOWER, STEPS = 0.25, 4.0  # a job or a statement: a quarter more, and four times what its days differ by
FEW, TIMES = 3, 3.0  # failed runs that are told: three at least, and three times the week before
TITLES = {
    "components": "Every component against the week before", "response": "Response time and errors", "services": "Services",
    "database": "Database", "statements": "Statements", "cache": "Cache", "delivery": "CDN and front end", "jobs": "Background jobs",
    "capacity": "Capacity", "deploys": "Deploys",
}  # fmt: skip


def numbers(week: Week, name: str, components: tuple[str, ...], drawn: tuple[str, str] | None = None) -> Result:
    """Show the figures of some components for both weeks, and what moved most, else `drawn`, over time."""
    rows = week.of(*components)
    if not rows:
        return Result(name, TITLES[name], Verdict.UNKNOWN, f"{TITLES[name]}: not seen.", *unseen(week.facts["metrics"]))
    moved = sorted((row for row in rows if row.move), key=lambda row: (not row.worse, -row.size))
    said = [
        f"{name} {week.told(found)}"
        for worse in (True, False)
        for name in components
        if (found := week.moved(name, worse=worse))
    ]
    sentence = f"{listed(said, 3)}." if said else f"All {len(rows)} numbers as the week before."
    shown = pd.DataFrame({
        "component": [row.of.component for row in rows], "metric": [row.of.metric for row in rows],
        "this week": [row.figures()[1] for row in rows], "before": [row.figures()[0] for row in rows],
        "change": [row.change() for row in rows], "moved": [row.levels(week.window) for row in rows], FLAG: [row.worse for row in rows],
    })  # fmt: skip
    idle = [name for name, told in (("component", len(components) > 1), ("moved", bool(moved))) if not told]
    shown = shown.drop(columns=idle)  # a phone shows four columns
    shown.attrs["rows"] = len(shown)
    verdict = Verdict.WARN if any(row.worse for row in rows) else Verdict.OK
    shown_one = moved[0] if moved else week.rows.get(drawn) if drawn else None
    chart = None if shown_one is None else _chart(week, shown_one)
    return Result(name, TITLES[name], verdict, sentence, table=shown, chart=chart, sources=source(week))


def _chart(week: Week, row: Row) -> Chart:
    one, scale = row.of, 1e3 if row.of.unit == "seconds" and row.now < 1 else 1e-9 if row.of.unit == "bytes" else 1.0
    unit = {1e3: "milliseconds", 1e-9: "GB"}.get(scale, one.unit)

    def coarse(frame: pd.DataFrame) -> pd.Series[float]:
        return (frame[one.component, one.metric] * scale).resample(DRAWN, origin="start").mean()

    return timeseries(
        coarse(week.now).to_frame("this week"),
        title=f"{one.component} {one.metric} against the week before, by six hours",
        unit=unit,
        markers=markers(changes=week.beside(row)),
        zone=week.window.zone,
        baseline=coarse(week.before).rename("the week before").to_frame(),
    )


def unseen(fact: Fact) -> tuple[Sight, str]:
    """Return how a source failed, and why."""
    if fact.error is None:
        return Sight.NO_DATA, "CloudWatch has no point of it"
    return Sight(fact.sight), " — ".join(part for part in (fact.error.what, fact.error.why) if part)


def source(week: Week) -> tuple[Source, ...]:
    """Return where the numbers are from."""
    note = "by the hour, and the same hours a week before; hit rates and shares of errors from sums"
    return (Source("CloudWatch GetMetricData", week.run.identity.account, week.run.environment.region, week.window.text(), note=note),)  # fmt: skip


def statements(week: Week) -> Result:
    """Show the statements with the most load in the last three days, and what a call took in the three days before."""
    title, late, early = TITLES["statements"], week.facts.get("statements"), week.facts.get("statements_before")
    if late is None or early is None:
        return Result("statements", title, Verdict.OK, "No database is configured.")
    if late.frame is None:
        return Result("statements", title, Verdict.UNKNOWN, f"{title}: not seen.", *unseen(late))
    frame, problems = late.frame, list(late.frame.attrs.get("problems", []))
    problems += [early.error.what] if early.error else []
    told = pd.DataFrame(columns=["id", "latency_ms"]) if early.frame is None else early.frame
    before = frame["id"].map(told.set_index("id")["latency_ms"]).astype("float64")
    slower = (frame["latency_ms"] / before - 1 > SLOWER) & (frame["latency_ms"] - before >= 1.0)
    shown = pd.DataFrame({
        "statement": [shortened(" ".join(text.split()), 160) for text in frame["statement"]], "sessions": frame["aas"].round(2), "waits for": frame["wait"],
        "calls/s": frame["calls_per_s"].round(1), "ms a call": frame["latency_ms"].round(1), "ms before": before.round(1), FLAG: slower,
    })  # fmt: skip
    said = [
        f"{shortened(' '.join(row.statement.split()), 60)} takes {row.latency_ms:.1f} ms a call, {was:.1f} before"
        for row, was in zip(frame[slower].itertuples(), before[slower], strict=True)
    ]
    calm = f"The {len(frame)} busiest statements take what they took." if len(frame) else "No statement had a load."
    where = (Source("Performance Insights", week.run.identity.account, week.run.environment.region, note="the last three days against the three before: Performance Insights keeps seven in its standard mode"),)  # fmt: skip
    sight = (Sight.PARTIAL, listed(problems)) if problems else (Sight.COMPLETE, "")
    verdict = Verdict.WARN if said else Verdict.OK
    return Result("statements", title, verdict, f"{listed(said, 2)}." if said else calm, *sight, table=shown, sources=where)  # fmt: skip


def jobs(week: Week) -> Result:
    """Show runs, failures and durations of each job for both weeks."""
    title, now, before = TITLES["jobs"], week.facts.get("jobs"), week.facts.get("jobs_before")
    if now is None or before is None:
        return Result("jobs", title, Verdict.OK, "No database with jobs is configured.")
    if now.frame is None or before.frame is None:
        return Result("jobs", title, Verdict.UNKNOWN, f"{title}: not seen.", *unseen(now if now.error else before))
    table = by_job(now.frame, before.frame)
    said = [f"{job} failed {row.failed} times, {row.failed_before} before" for job, row in table[table["failing"]].iterrows()]  # fmt: skip
    said += [f"{job} takes {took(row.took)}, {took(row.took_before)} before" for job, row in table[table["slower"]].iterrows()]  # fmt: skip
    totals = f"{counted(int(table['runs'].sum()), 'run')}, {int(table['failed'].sum())} failed; the week before {int(table['runs_before'].sum()):,} and {int(table['failed_before'].sum())}"
    shown = pd.DataFrame({
        "job": table.index, "runs": table["runs"].to_numpy(), "before": table["runs_before"].to_numpy(), "failed": table["failed"].to_numpy(),
        "failed before": table["failed_before"].to_numpy(), "takes": [took(each) for each in table["took"]],
        "took": [took(each) for each in table["took_before"]], FLAG: (table["failing"] | table["slower"]).to_numpy(),
    })  # fmt: skip
    where = (Source("PostgreSQL", week.run.identity.account, week.run.environment.region, week.window.text(), note="table job_runs, by job and day"),)  # fmt: skip
    return Result("jobs", title, Verdict.WARN if said else Verdict.OK, f"{listed([*said, totals], 4)}.", table=shown, sources=where)  # fmt: skip


def by_job(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Return a row a job: runs, failed, took (the median of its days' medians, s), each also `_before`; failing, slower bool."""
    rows = {}
    for job in sorted({*now["job_name"], *before["job_name"]}):
        ours, theirs = (frame[frame["job_name"] == job] for frame in (now, before))
        days = [np.log(part["median_s"].dropna().clip(lower=0.001).to_numpy(dtype=float)) for part in (ours, theirs)]
        medians = [float(np.median(part)) if len(part) else float("nan") for part in days]
        spread = max((1.4826 * float(np.median(np.abs(part - np.median(part)))) if len(part) else 0.0) for part in days)
        runs, failed = ((int(ours[name].sum()), int(theirs[name].sum())) for name in ("runs", "failed"))
        more = failed[0] - failed[1] > STEPS / 2 * np.sqrt(failed[0] + failed[1] + 1.0)
        rows[job] = {
            "runs": runs[0], "runs_before": runs[1], "failed": failed[0], "failed_before": failed[1],
            "took": float(np.exp(medians[0])), "took_before": float(np.exp(medians[1])),
            "failing": bool(more and failed[0] >= max(FEW, TIMES * failed[1])),
            "slower": bool(medians[0] - medians[1] > max(np.log1p(SLOWER), STEPS * spread)),
        }  # fmt: skip
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[
        "runs", "runs_before", "failed", "failed_before", "took", "took_before", "failing", "slower",
    ])  # fmt: skip
    return table.sort_values(["failing", "slower", "failed", "runs"], ascending=False, kind="stable")


def builds(week: Week) -> tuple[str, pd.DataFrame | None]:
    """Return what is said of the front end's builds of both weeks, and the window's."""
    every = week.facts["builds"].frame
    if every is None or not len(every):
        return ("no build in two weeks" if every is not None else "builds not seen"), every
    every = every.assign(seconds=(every["finished"] - every["started"]).dt.total_seconds())
    now = every[every["started"] >= week.window.start]
    before = every[(every["started"] >= week.window.start - week.back) & (every["started"] < week.window.end - week.back)]  # fmt: skip

    def said(part: pd.DataFrame) -> str:
        good = part.loc[part["status"] == "SUCCEED", "seconds"]
        takes = f", {took(float(good.median()))} each" if len(good) else ""
        return f"{counted(len(part), 'build')}, {int((part['status'] == 'FAILED').sum())} failed{takes}"

    return f"{said(now)}; the week before {said(before)}", now


def delivery(week: Week) -> Result:
    """Show the CDN, the front end and its builds."""
    from dataclasses import replace

    seen = numbers(week, "delivery", ("cdn", "frontend", "dns"))
    sentence, found = builds(week)
    told = replace(seen, sentence=f"{seen.sentence} {sentence[0].upper()}{sentence[1:]}.")
    return told if found is not None else replace(told, sight=Sight(week.facts["builds"].sight), reason=unseen(week.facts["builds"])[1])  # fmt: skip


def capacity(week: Week) -> Result:
    """Show what nears its limit at the pace of the two weeks, and when it is there."""
    left = [pair for pair in week.runways() if pair[1].days < FAR]
    title = TITLES["capacity"]
    if not left:
        return Result("capacity", title, Verdict.OK, "Nothing nears its limit within a year.", sources=source(week))
    first, when = left[0]
    verdict = Verdict.CRITICAL if when.days < SOON else Verdict.WARN if when.days < NEAR else Verdict.OK
    ends = [(week.window.end + timedelta(days=each.days)).astimezone(week.window.zone) for _, each in left]
    shown = pd.DataFrame({
        "component": [one.component for one, _ in left], "metric": [one.metric for one, _ in left],
        "now": [amount(each.now, one.unit) for one, each in left], "limit": [amount(each.limit, one.unit) for one, each in left],
        "a day": [f"{'+' if each.a_day > 0 else '-'}{amount(abs(each.a_day), one.unit)}" for one, each in left],
        "days left": [f"{each.days:,.0f}" for _, each in left], "reached": [f"{end:%Y-%m-%d}" for end in ends], FLAG: [each.days < NEAR for _, each in left],
    })  # fmt: skip
    sentence = f"{first.component} {first.metric} reaches its limit in {when.days:,.0f} days at the pace of these weeks, the soonest of {len(left)}."
    return Result("capacity", title, verdict, sentence, table=shown, sources=source(week))


def deploys(week: Week) -> Result:
    """Show what was deployed, built and set in the week, and which numbers moved beside it."""
    beside: dict[Any, list[Row]] = {}
    for row in week.rows.values():
        for at in week.beside(row).index:
            beside.setdefault(at, []).append(row)
    made = week.changed["kind"].isin(("deploy", "build", "configuration")) | week.changed.index.isin(list(beside))
    inside = week.changed[(week.changed["at"] >= week.window.start) & made]
    reasons = [f"{name}: {unseen(week.facts[name])[1]}" for name in ("deployments", "builds") if week.facts[name].error]
    sight = (Sight.PARTIAL, listed(reasons)) if reasons else (Sight.COMPLETE, "")
    shown = pd.DataFrame({
        f"time ({week.run.environment.timezone})": over_time.local_times(week.run, inside["at"]), "what": [named(row) for _, row in inside.iterrows()],
        "moved beside it": [listed([f"{row.of.component} {row.text()}" for row in beside.get(at, [])], 3) or "nothing" for at in inside.index],
        FLAG: [any(row.worse for row in beside.get(at, [])) for at in inside.index],
    })  # fmt: skip
    kinds = inside["kind"].value_counts()
    counts = f"{counted(int(kinds.get('deploy', 0)), 'deploy')} and {counted(int(kinds.get('build', 0)), 'build')} in the week"
    moved = f"numbers moved beside {len(beside)} of them" if beside else "no number moved beside any of them"
    sentence = f"{counts}; {moved}."
    return Result("deploys", TITLES["deploys"], Verdict.OK, sentence, *sight, table=shown if len(shown) else None)
