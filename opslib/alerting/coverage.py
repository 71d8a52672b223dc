"""What has no alarm, which alarms tell nobody, never went on, flap, or have stood still: what runs and the template against what is there."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.alerting import alarms as wanted
from opslib.alerting import coverage_events
from opslib.alerting import coverage_parts as parts
from opslib.alerting.coverage_parts import Cover
from opslib.checks.wording import counted, listed, took
from opslib.errors import ParameterError, WindowError
from opslib.result import Finding, Next, Result, Sight, Source, Verdict
from opslib.sources import alarms, inventory, messaging

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from opslib.config import Environment
    from opslib.run import Fact, Run

NAME, TITLE = "alarm-coverage", "Alarm coverage"
HISTORY_KEPT = timedelta(days=30)
TEMPLATE = {"name": "str", "region": "str", "component": "str", "rule": "str", "watches": "str"}


def gaps(run: Run, *, flapping: int = 4) -> Result:
    """Say what has no alarm and which alarms are of no use; 30 days of history, as long as CloudWatch keeps it.

    An alarm flaps that goes on `flapping` times within 24 hours, and is stuck when it was in ALARM or without data for
    a day. Critical: there is no alarm, or a critical one tells nobody. Parts: things, events, useless, firings, restless, quiet.
    Raises WindowError for a longer window, ParameterError for fewer than 2 times.
    """
    window = run.window_or("30d")
    if window.start < run.now - HISTORY_KEPT - timedelta(minutes=1):
        raise WindowError("the window begins before the history of alarms", why="CloudWatch keeps it for 30 days", fix='window = "30d"')  # fmt: skip
    if flapping < 2:
        raise ParameterError(f"flapping = {flapping} would call every alarm that went on a flapping one", fix="2 or more")  # fmt: skip
    env = run.environment
    facts = run.facts(
        deadline_s=2 * run.deadline, alarms=partial(alarms.alarms, env), alarm_history=partial(alarms.history, env, window=window),
        template=partial(template, env), log_groups=partial(inventory.log_groups, env),
        event_rules=partial(messaging.event_rules, env, about=coverage_events.SOURCES), template_rules=partial(coverage_events.template, env),
        **{kind: partial(ask, env) for kind, ask in inventory.KINDS.items()},
    )  # fmt: skip
    if (there := facts["alarms"].frame) is None:
        return run.record(_blind(facts["alarms"]))
    cover = Cover(run, window, facts, parts.judged(there, facts["alarm_history"].frame, run.now), flapping)
    run.keep("alarms_judged", cover.alarms)
    return run.record(_told(cover))


def template(environment: Environment) -> pd.DataFrame:
    """Return the alarms that the templates make for an environment (alerting/alarms.toml).

    Columns: name, region, component, rule, watches str, the last two as in `sources.alarms`. Raises ConfigError.
    """
    rows = [
        {"name": one.name, "region": one.region, "component": one.component, "rule": alarms.rule(one.properties),
         "watches": alarms.watched(one.properties)}
        for one in wanted.alarms(environment)
    ]  # fmt: skip
    return frames.made(rows, TEMPLATE)


def _blind(fact: Fact) -> Result:
    said = f"{fact.error.what}: {fact.error.why or fact.error.fix}" if fact.error else ""
    unseen = (Verdict.UNKNOWN, "The alarms could not be seen.", Sight(fact.sight), said)
    names = ("things", "events", "useless", "firings", "restless", "quiet")
    return Result(NAME, TITLE, *unseen, parts=tuple(Result(name, name.capitalize(), *unseen) for name in names))


def _told(cover: Cover) -> Result:
    found, every = cover.alarms, len(cover.alarms)
    unseen = _unseen(cover.facts)
    bare, missing = cover.bare, cover.missing
    silent, edited = found[~found["tells"]], cover.edited
    lacking, restless, stuck = found[found["lacks"] != ""], cover.flaps, found[found["stuck"]]
    said = _clauses(cover)
    critical = not every or bool((silent["severity"] == "critical").any())
    verdict = Verdict.CRITICAL if critical else Verdict.WARN if said else Verdict.OK
    calm = f"All that opslib.toml names has an alarm, {counted(every, 'alarm')} tell somebody, none flaps or is stuck"
    quiet = int(found["quiet"].sum())
    tiles = {
        "alarms": str(every), "things without": str(len(bare) + len(cover.strange)), "rows of the template missing": str(len(missing)), "event rules amiss": str(len(cover.amiss)) if cover.told_rules else "–", "tell nobody": str(len(silent)),
        "flap": str(len(restless)) if cover.told_history else "–", "stuck for a day": str(len(stuck)), "never on": str(quiet) if cover.told_history else "–",
    }  # fmt: skip
    beside = f" Not named there, and without one: {listed(cover.strange, 3)}." if cover.strange and not said else ""
    rest = f" {quiet} of {every} never went on in {took(cover.window.seconds)}." if cover.told_history and every else ""
    shown = dict.fromkeys([*restless["name"], *stuck.loc[stuck["state"] == "ALARM", "name"]])
    steps = tuple(Next("2-investigate/first-look", {"report": name}, "see what moves it") for name in list(shown)[:2])
    return Result(
        NAME, TITLE, verdict, f"{'; '.join(said) or calm}.{beside}{rest}", Sight.PARTIAL if unseen else Sight.COMPLETE, listed(unseen, 5), tiles,
        sources=_sources(cover), next=steps, data=("data/alarms.csv", "data/alarms_judged.csv", "data/template.csv") if cover.run.folder else (),
        parts=(parts.things(cover), coverage_events.events(cover.facts["template_rules"], cover.facts["event_rules"]), parts.useless(cover, edited, lacking), parts.firings(cover), parts.restless(cover), parts.quiet(cover)),
        findings=tuple(_findings(cover, edited)),
    )  # fmt: skip


def _clauses(cover: Cover) -> list[str]:
    """Return what is wrong, the worst first."""
    found = cover.alarms
    if not len(found):
        return ["There is no alarm at all: nobody would be told of anything"]

    def of(names: Any, what: str, plural: str) -> list[str]:
        names = [str(name) for name in names]
        return [f"{counted(len(names), 'alarm')} {what if len(names) == 1 else plural}: {listed(names, 3)}"] if names else []  # fmt: skip

    said = of(found.loc[~found["tells"], "name"], "tells nobody", "tell nobody")
    said += [f"without an alarm: {listed(list(cover.bare), 3)}"] if cover.bare else []
    said += [f"{len(cover.missing)} of {len(cover.template)} rows of the template are missing: {listed(cover.missing, 3)}"] if cover.missing else []  # fmt: skip
    said += [f"no metric filter counts {listed(cover.uncounted, 2)}"] if cover.uncounted else []
    said += [f"{counted(len(cover.amiss), 'rule')} for events {'is' if len(cover.amiss) == 1 else 'are'} not as the template has {'it' if len(cover.amiss) == 1 else 'them'}: {listed([f'{name} ({why})' for (name, _), why in cover.amiss.items()], 3)}"] if cover.amiss else []  # fmt: skip
    said += of((f"{one.name} ({one.busiest} times in 24 h)" for one in cover.flaps.itertuples()), "flaps", "flap")
    stuck = found[found["stuck"]]
    said += of(stuck.loc[stuck["state"] == "ALARM", "name"], "is on for a day or longer", "are on for a day or longer")
    said += of(stuck.loc[stuck["state"] != "ALARM", "name"], "sees no data for a day or longer", "see no data for a day or longer")  # fmt: skip
    said += of(cover.edited, "is not as the template has it", "are not as the template has them")
    said += of(found.loc[found["lacks"] != "", "name"], "names no severity or no notebook", "name no severity or no notebook")  # fmt: skip
    return [said[0][0].upper() + said[0][1:], *said[1:]] if said else []


def _findings(cover: Cover, edited: list[str]) -> list[Finding]:
    """Return each gap under a key that stays the same in every run."""
    found = cover.alarms
    rows = [("bare", name, f"{name} has no alarm") for name in cover.bare]
    rows += [("missing", name, f"the template's alarm {name} is missing") for name in cover.missing]
    rows += [("uncounted", name, f"no metric filter with an alarm counts the lines of {name}") for name in cover.uncounted]  # fmt: skip
    rows += [("rule", f"{name}:{region}", f"the rule {name} for events in {region}: {why}") for (name, region), why in cover.amiss.items()]  # fmt: skip
    rows += [("silent", name, f"alarm {name} tells nobody") for name in found.loc[~found["tells"], "name"]]
    rows += [("flaps", name, f"alarm {name} flaps") for name in cover.flaps["name"]]
    rows += [("stuck", name, f"alarm {name} is stuck") for name in found.loc[found["stuck"], "name"]]
    rows += [("edited", name, f"alarm {name} is not as the template has it") for name in edited]
    return [Finding(f"coverage:{kind}:{name}"[:255], "warning", text) for kind, name, text in rows]


def _unseen(facts: Mapping[str, Fact]) -> list[str]:
    """Return what could not be seen, each with its reason."""
    told = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in facts.items() if fact.error is not None]
    for fact in facts.values():
        told += [] if fact.frame is None else fact.frame.attrs.get("problems", [])
    return list(dict.fromkeys(told))


def _sources(cover: Cover) -> tuple[Source, ...]:
    account, region = cover.run.identity.account, cover.run.environment.region
    kinds = "ECS, Elastic Load Balancing, RDS, ElastiCache, CloudFront, Route 53, Amplify, Lambda, SQS, CloudWatch Logs"
    note = "CloudWatch keeps the history of alarms for 30 days"
    return (
        Source("CloudWatch DescribeAlarms, DescribeAlarmHistory", account, region, cover.window.text(), note=note),
        Source("EventBridge ListRules, ListTargetsByRule", account, f"{region}, {wanted.GLOBAL}"),
        Source(f"the lists of {kinds}", account, region, note=f"of {region}; CloudFront and Route 53 of {inventory.EDGE}"),
    )  # fmt: skip
