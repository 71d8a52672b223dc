"""The evidence of alarm coverage: each thing with its alarms, each alarm with what speaks against it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opslib.alerting import coverage_events
from opslib.checks import over_time
from opslib.checks.request_story import shortened
from opslib.checks.wording import counted, listed, took
from opslib.display import FLAG
from opslib.result import Result, Sight, Verdict
from opslib.sources import inventory

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from opslib.run import Fact, Run
    from opslib.window import Window

DAY = timedelta(hours=24)
STUCK = ("ALARM", "INSUFFICIENT_DATA")
# Functions and queues tell nothing while they rest, and of the cache only a replica is behind.
SPARSE = ("AWS/Lambda ", "AWS/SQS ", "AWS/ElastiCache ReplicationLag ")
_CHILD = re.compile(r'ALARM\s*\(\s*"?(?:[^")]*:alarm:)?([^")]+?)"?\s*\)')


def judged(alarms: pd.DataFrame, history: pd.DataFrame | None, now: Any) -> pd.DataFrame:
    """Return the alarms with what can be said of each.

    More columns: fired (times it went on), busiest (most of them within 24 hours) int64; on_s (median seconds it stayed
    on, NaN when it never went off) float64; tells (acts itself, or through a composite one that acts), stuck (24 hours
    in ALARM or without data that should be there), quiet (never on) bool; lacks (of severity and notebook, what its description leaves out) str.
    """
    found = alarms.copy()
    found.attrs = {}
    keys = list(zip(found["name"], found["region"], strict=True))
    times = _on_times(history)
    found["fired"] = [len(times.get(key, ())) for key in keys]
    found["busiest"] = [_busiest([at for at, _ in times.get(key, ())]) for key in keys]
    found["on_s"] = [_median([took_s for _, took_s in times.get(key, ()) if took_s is not None]) for key in keys]
    acts = found["enabled"] & (found["actions"] > 0)
    heard = {(child, one.region) for one in found[acts].itertuples() if not one.watches for child in _CHILD.findall(one.rule)}  # fmt: skip
    found["tells"] = [acting or key in heard for acting, key in zip(acts, keys, strict=True)]
    idle = (found["state"] == "INSUFFICIENT_DATA") & found["watches"].str.startswith(SPARSE)
    found["stuck"] = found["state"].isin(STUCK) & (now - found["since"] >= DAY) & ~idle
    found["quiet"] = (found["fired"] == 0) & (found["state"] != "ALARM")
    found["lacks"] = [" and ".join(word for word, said in (("severity", one.severity), ("notebook", one.runbook)) if not said) for one in found.itertuples()]  # fmt: skip
    return found


def _on_times(history: pd.DataFrame | None) -> dict[tuple[str, str], list[tuple[Any, float | None]]]:
    """Return for each alarm when it went on and how many seconds it stayed so, None where the end is not in the history."""
    found: dict[tuple[str, str], list[tuple[Any, float | None]]] = {}
    for row in [] if history is None else history.itertuples():  # oldest first
        told = found.setdefault((row.name, row.region), [])
        if row.after == "ALARM":
            told.append((row.at, None))
        elif row.before == "ALARM" and told and told[-1][1] is None:
            told[-1] = (told[-1][0], (row.at - told[-1][0]).total_seconds())
    return found


def _busiest(moments: list[Any]) -> int:
    return max((sum(start <= other < start + DAY for other in moments) for start in moments), default=0)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else float("nan")


@dataclass(frozen=True)
class Cover:
    """What runs, what the template has, and the alarms that there are, judged."""

    run: Run
    window: Window
    facts: Mapping[str, Fact]
    alarms: pd.DataFrame
    flapping: int

    @property
    def told_history(self) -> bool:
        """Tell whether the history of the alarms could be seen."""
        return self.facts["alarm_history"].frame is not None

    @property
    def told_rules(self) -> bool:
        """Tell whether the rules for events could be seen."""
        return self.facts["event_rules"].frame is not None

    @cached_property
    def amiss(self) -> dict[tuple[str, str], str]:
        """Return what is wrong with rules for events of the templates, by name and region."""
        rules, there = coverage_events.seen(self.facts["template_rules"], self.facts["event_rules"]), self.facts["event_rules"].frame  # fmt: skip
        return {} if rules is None or there is None else coverage_events.amiss(rules, there)

    @cached_property
    def unseen(self) -> set[str]:
        """Return the regions whose alarms could not be seen: nothing is missing there that nobody looked for."""
        frame = self.facts["alarms"].frame
        problems = [] if frame is None else frame.attrs.get("problems", [])
        return {problem.partition(":")[0].removeprefix("alarms of ") for problem in problems}

    @cached_property
    def template(self) -> pd.DataFrame:
        """Return the rows of the template in the regions that could be seen."""
        frame = self.facts["template"].frame
        return self.alarms.head(0) if frame is None else frame[~frame["region"].isin(self.unseen)]

    @cached_property
    def flaps(self) -> pd.DataFrame:
        """Return the alarms that flap, the worst first."""
        found = self.alarms[self.alarms["busiest"] >= self.flapping]
        return found.sort_values(["busiest", "name"], ascending=[False, True])

    @cached_property
    def missing(self) -> list[str]:
        """Return the template's alarms that neither are there by name nor have one that looks at the same."""
        names = set(zip(self.alarms["name"], self.alarms["region"], strict=True))
        same = {(one.watches, one.region) for one in self.alarms.itertuples() if one.watches}
        return [one.name for one in self.template.itertuples() if (one.name, one.region) not in names and (one.watches, one.region) not in same]  # fmt: skip

    @cached_property
    def edited(self) -> list[str]:
        """Return the alarms that have a name of the template's, and another rule or another metric."""
        rules = {(one.name, one.region): (one.rule, one.watches) for one in self.template.itertuples()}
        return [one.name for one in self.alarms.itertuples() if rules.get((one.name, one.region), (one.rule, one.watches)) != (one.rule, one.watches)]  # fmt: skip

    @cached_property
    def things(self) -> list[dict[str, Any]]:
        """Return each thing: kind, name, whether opslib.toml names it, its alarms, the template's that are missing."""
        frames = [fact.frame for kind in inventory.KINDS if (fact := self.facts[kind]).frame is not None]
        rows = [row for frame in frames if frame is not None for row in frame.to_dict("records") if row["region"] not in self.unseen]  # fmt: skip
        gone = self.template[self.template["name"].isin(self.missing)]
        return [{**row, "alarms": len(_about(self.alarms, row)), "missing": list(_about(gone, row)["name"])} for row in rows]  # fmt: skip

    @property
    def bare(self) -> list[str]:
        """Return the things of this environment that no alarm looks at."""
        return [f"{row['kind']} {row['name']}" for row in self.things if row["named"] and not row["alarms"]]

    @property
    def strange(self) -> list[str]:
        """Return the things without an alarm that opslib.toml does not name: another team's, or forgotten."""
        return [f"{row['kind']} {row['name']}" for row in self.things if not row["named"] and not row["alarms"]]

    @cached_property
    def counted(self) -> list[str]:
        """Return the log groups whose lines a metric filter counts into a metric that has an alarm."""
        frame = self.facts["log_groups"].frame
        watched = {place.rpartition(" ")[0] if "=" in place else place for text in self.alarms["watches"] for place in text.split(" | ")}  # fmt: skip
        return [] if frame is None else [one.group for one in frame.itertuples() if watched & set(one.metrics.split(" | ")) - {""}]  # fmt: skip

    @property
    def uncounted(self) -> list[str]:
        """Return the log groups of opslib.toml's job_log_groups that are not counted so, or do not exist."""
        known = self.facts["log_groups"].frame is not None
        return [name for name in self.run.environment.alerts.job_log_groups if name not in self.counted] if known else []  # fmt: skip


def _about(alarms: pd.DataFrame, thing: Mapping[str, Any]) -> pd.DataFrame:
    """Return the alarms that look at a metric with all dimensions of a thing."""
    pairs = set(thing["dimensions"].split(","))

    def looks(watches: str) -> bool:
        return any(pairs <= set(place.rpartition(" ")[2].split(",")) for place in watches.split(" | "))

    return alarms[alarms["watches"].map(looks).astype(bool) & (alarms["region"] == thing["region"])]


def things(cover: Cover) -> Result:
    """Show everything that runs with the number of its alarms, what lacks something first."""
    import pandas as pd

    rows = []
    for one in cover.things:
        note = "" if one["alarms"] else "no alarm" if one["named"] else "no alarm; opslib.toml does not name it"
        note = "; ".join(filter(None, [note, f"missing: {listed(one['missing'], 3)}" if one["missing"] else ""]))
        bad = bool(one["missing"]) or (one["named"] and not one["alarms"])
        rows.append((f"{one['kind']} {one['name']}", one["alarms"], note, bad))
    told = {name for one in cover.things for name in one["missing"]}
    if rest := [name for name in cover.missing if name not in told]:
        rows.append(("what is of no one thing", 0, f"missing: {listed(rest, 3)}", True))
    if (groups := cover.facts["log_groups"].frame) is not None:
        note = f"no metric filter with an alarm: {listed(cover.uncounted, 3)}" if cover.uncounted else ""
        rows.append((f"log groups, {len(cover.counted)} of {len(groups)} with a metric filter", len(cover.counted), note, bool(cover.uncounted)))  # fmt: skip
    gaps = [fact.error.what for kind in (*inventory.KINDS, "log_groups") if (fact := cover.facts[kind]).error]
    sentence = f"{sum(one['alarms'] > 0 for one in cover.things)} of {counted(len(cover.things), 'thing')} that run have an alarm"
    sentence += f"; of those without, opslib.toml does not name {len(cover.strange)}" if cover.strange else ""
    table = pd.DataFrame(sorted(rows, key=lambda row: (not row[3], not row[2], row[0])), columns=["thing", "alarms", "what is missing", FLAG])  # fmt: skip
    bad = bool(cover.bare or cover.missing or cover.uncounted)
    return Result("things", "What has no alarm?", Verdict.WARN if bad else Verdict.OK, f"{sentence}.", Sight.PARTIAL if gaps else Sight.COMPLETE,
                  listed(gaps), table=table if rows else None)  # fmt: skip


def useless(cover: Cover, edited: list[str], lacking: pd.DataFrame) -> Result:
    """Show the alarms that tell nobody, differ from the template or do not say what to open."""
    import pandas as pd

    rows = []
    rules = dict(zip(cover.template["name"], cover.template["rule"], strict=True))
    for one in cover.alarms.itertuples():
        why = [] if one.tells else ["its actions are switched off" if not one.enabled else "it has no action"]
        why += [f"the template has: {shortened(rules[one.name], 60)}"] if one.name in edited else []
        why += [f"its description names no {one.lacks}"] if one.lacks else []
        if why:
            rows.append({"alarm": one.name, "severity": one.severity, "rule": shortened(one.rule, 60), "what is wrong": "; ".join(why), FLAG: not one.tells})  # fmt: skip
    title = "Which alarms tell nobody, or not enough?"
    if not rows:
        return Result("useless", title, Verdict.OK, "Every alarm tells somebody, is as the template has it, and names severity and notebook.")  # fmt: skip
    silent = cover.alarms[~cover.alarms["tells"]]
    verdict = Verdict.CRITICAL if (silent["severity"] == "critical").any() else Verdict.WARN
    sentence = f"{counted(len(silent), 'alarm')} without a way to anybody, {len(edited)} not as in the template, {len(lacking)} without severity or notebook."  # fmt: skip
    return Result("useless", title, verdict, sentence, table=pd.DataFrame(sorted(rows, key=lambda row: not row[FLAG])))


def firings(cover: Cover) -> Result:
    """Draw how often alarms went on, by day, critical ones apart."""
    title, fact = "How often do they ring?", cover.facts["alarm_history"]
    if fact.frame is None:
        return Result("firings", title, Verdict.UNKNOWN, "It could not be seen.", Sight(fact.sight), fact.error.what if fact.error else "")  # fmt: skip
    on = fact.frame[fact.frame["after"] == "ALARM"]
    severe = on["name"].isin(cover.alarms.loc[cover.alarms["severity"] == "critical", "name"])
    counts = over_time.counts(cover.run, cover.window, {"other": on.loc[~severe, "at"], "critical": on.loc[severe, "at"]})  # fmt: skip
    total = counts.sum(axis=1)
    most = f", most on {total.idxmax():%m-%d} ({total.max()})" if len(on) else ""
    sentence = f"Alarms went on {counted(len(on), 'time')} in {took(cover.window.seconds)}{most}."
    chart = over_time.chart(counts, title=sentence, unit="times") if len(on) else None
    return Result("firings", title, Verdict.OK, sentence, chart=chart)


def restless(cover: Cover) -> Result:
    """Show the alarms that went on, and those that stand still in ALARM or without data."""
    import pandas as pd

    title, fact = "Which flap, and which are stuck?", cover.facts["alarm_history"]
    found = cover.alarms[(cover.alarms["fired"] > 0) | cover.alarms["stuck"]]
    found = found.sort_values(["stuck", "busiest", "fired", "name"], ascending=[False, False, False, True])
    bad = found["stuck"] | (found["busiest"] >= cover.flapping)
    sentence = f"{len(cover.flaps)} went on {cover.flapping} times or more within 24 hours; {int(found['stuck'].sum())} stood still for a day or longer."  # fmt: skip
    sight, reason = (Sight.PARTIAL, fact.error.what) if fact.error else (Sight.COMPLETE, "")
    if not len(found):
        return Result("restless", title, Verdict.OK, sentence, sight, reason)
    ages = [took((cover.run.now - one.since).total_seconds()) for one in found.itertuples()]
    table = pd.DataFrame({
        "alarm": found["name"], "state": found["state"], "for": ages, "went on": found["fired"], "most in 24 h": found["busiest"],
        "stays on": [took(value) for value in found["on_s"]], "rule": [shortened(rule, 60) for rule in found["rule"]], FLAG: bad,
    })  # fmt: skip
    return Result("restless", title, Verdict.WARN if bad.any() else Verdict.OK, sentence, sight, reason, table=table)


def quiet(cover: Cover) -> Result:
    """Show by component how many alarms never went on, and how many are too new to tell."""
    import pandas as pd

    title, fact = "Which never ring?", cover.facts["alarm_history"]
    if fact.frame is None:
        return Result("quiet", title, Verdict.UNKNOWN, "It could not be seen.", Sight(fact.sight), fact.error.what if fact.error else "")  # fmt: skip
    known = dict(zip(cover.template["name"], cover.template.get("component", []), strict=False))
    component = [known.get(one.name) or one.component or "other" for one in cover.alarms.itertuples()]
    new = cover.alarms["quiet"] & (cover.alarms["updated"] > cover.window.start)
    rows = cover.alarms.assign(component=component, new=new, old=cover.alarms["quiet"] & ~new, blind=cover.alarms["state"] == "INSUFFICIENT_DATA")  # fmt: skip
    tally = rows.groupby("component").agg(alarms=("name", "size"), quiet=("old", "sum"), new=("new", "sum"), blind=("blind", "sum")).reset_index()  # fmt: skip
    span = took(cover.window.seconds)
    sentence = f"{int(rows['old'].sum())} of {counted(len(rows), 'alarm')} never went on in {span}; {int(new.sum())} more were made or edited within it."  # fmt: skip
    table = tally.rename(columns={"quiet": "never on", "new": "too new to tell", "blind": "without data"})
    return Result("quiet", title, Verdict.OK, sentence, table=pd.DataFrame(table) if len(table) else None)
