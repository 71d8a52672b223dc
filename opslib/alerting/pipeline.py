"""Is the way from an alarm to a person whole, and did it work lately: what the templates want beside what stands, in both regions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.alerting import deliveries, pipeline_parts, wanted
from opslib.alerting.alarms import GLOBAL
from opslib.alerting.delivery import SINKS
from opslib.alerting.pipeline_path import KINDS, Fault, Path
from opslib.checks.wording import counted, listed, local, took
from opslib.display import FLAG
from opslib.result import Finding, Next, Result, Sight, Source, Verdict
from opslib.sources import alarms, messaging, pagerduty

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

NAME, TITLE = "alert-pipeline", "Alert pipeline"
LINKS = {  # of the way, and the kinds of fault that each has
    "stacks": ("stack", "by hand"), "alarms": ("alarm",), "rules": ("rule",), "topics": ("topic",), "subscriptions": ("subscription", "undelivered", "lost"),
    "functions": ("function", "permission", "errors", "throttles"), "secrets": ("secret",), "queues": ("queue", "dead letters"),
    "heartbeats": ("heartbeat ops-alerts", "heartbeat ops-critical", "tick"),
}  # fmt: skip


def whole(run: Run, *, drift: bool = True) -> Result:
    """Say whether alerts reach people and whether they did within the window (24 hours), link by link.

    `drift` also asks CloudFormation what was changed by hand, for which it takes up to half a minute. Critical: an alert
    would not arrive, or did not. Parts: links, lately, escalation. The table of the result is what is wrong, with what to do.
    """
    window, env = run.window_or("24h"), run.environment
    facts = run.facts(
        deadline_s=2 * run.deadline, stacks=partial(wanted.standing, env), resources=partial(wanted.resources, env),
        alarms=partial(alarms.alarms, env, also=(GLOBAL,)), wanted=partial(wanted.alarms, env),
    )  # fmt: skip
    path = Path(run, window, facts)
    places = {link: [(one.region, one.physical) for one in path.made(link) if one.physical] for link in KINDS}
    names = [(region, url.rpartition("/")[2]) for region, url in places["queues"]]
    standing = [wanted.Place(one.stack, one.region) for one in path.rows("stacks") if one.status]
    more: dict[str, Any] = {link: partial(getattr(messaging, link), env, places[link]) for link in KINDS}
    more["escalation"] = partial(pagerduty.levels, env)
    more["lately"] = partial(deliveries.lately, env, window=window, queues=names)
    if drift:
        more["by_hand"] = partial(wanted.by_hand, env, standing)
    facts |= run.facts(deadline_s=max(2 * run.deadline, 40.0 if drift else 0.0), **more)
    held = [(one.region, one.secret) for one in Path(run, window, facts).rows("functions") if one.secret]
    facts |= run.facts(secrets=partial(messaging.secrets, env, held))
    return run.record(_told(Path(run, window, facts)))


def _told(path: Path) -> Result:
    found, unseen = pipeline_parts.faults(path), _unseen(path)
    bad = [fault for fault in found if fault.severity != "warning"]
    verdict = Verdict.CRITICAL if bad else Verdict.WARN if found else Verdict.OK
    return Result(
        NAME, TITLE, verdict, _sentence(path, found, bool(unseen)), _sight(path, unseen), listed(unseen, 5), _tiles(path, found), table=_table(found), sources=_sources(path),
        next=_next(found), data=tuple(f"data/{name}.csv" for name in path.facts) if path.run.folder else (),
        parts=(_links(path, found), _lately(path), _escalation(path)), findings=tuple(Finding(one.key, one.severity, f"{one.name} {one.region}: {one.what} Do: {one.do}") for one in found),
    )  # fmt: skip


def _next(found: list[Fault]) -> tuple[Next, ...]:
    """Return the notebook that mends it, where one does; the other faults say themselves what to do."""
    if not found:
        return (Next("1-monitor/alarm-coverage", {}, "see what has no alarm"),)
    over_hand = {"over_hand": "true"} if any(one.do.startswith(pipeline_parts.OVER_HAND) for one in found) else {}
    ours = over_hand or any(one.do == pipeline_parts.DEPLOY for one in found)
    return (Next("1-monitor/deploy-alerts", over_hand, "make the stacks what opslib.toml says"),) if ours else ()


def _sentence(path: Path, found: list[Fault], blind: bool) -> str:
    regions = " and ".join(dict.fromkeys((path.run.environment.region, GLOBAL)))
    if path.absent:
        head = "Nobody is told of anything" if any(one.stack == wanted.DELIVERY for one in path.absent) else "Alarms are missing"  # fmt: skip
        places = [f"{one.stack} in {one.region}" for one in sorted(path.absent)]
        return f"{head}: {len(places)} of {len(list(path.rows('stacks')))} stacks do not stand: {listed(places, 5)}."
    if found and all(one.what == pipeline_parts.EARLY for one in found):
        return f"Whether alerts reach people is not known yet: the stacks stand in {regions}, and no heartbeat came through all of them so far."
    if found:
        said = [f"{one.name} in {one.region}: {one.what.rstrip('.')}" for one in found[:2]]
        more = f"; {len(found) - 2} more below" if len(found) > 2 else ""
        head = "Alerts do not all reach people" if found[0].severity != "warning" else "Alerts reach people, and something is not as it should be"  # fmt: skip
        return f"{head}: {'; '.join(said)}{more}."
    if blind:
        return f"Nothing wrong was seen of the way in {regions}, but not all of it could be looked at."
    return f"From every alarm to {' and '.join(SINKS)} the way is whole in {regions}; {_last(path)}."


def _last(path: Path) -> str:
    """Return when something went through last."""
    rows = [one for one in path.rows("lately") if one.last == one.last and one.last is not None]
    beat = max((one.last for one in rows if one.what.startswith("heartbeat")), default=None)
    told = max((one.last for one in rows if one.what == "alert"), default=None)
    alert = f"the last alert at {local(told, path.window)}" if told is not None else "no alert was sent in this window"
    return f"the last heartbeat came through at {local(beat, path.window)}, {alert}" if beat is not None else alert


def _unseen(path: Path) -> list[str]:
    told = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in path.facts.items() if fact.error is not None]  # fmt: skip
    for fact in path.facts.values():
        told += [] if fact.frame is None else fact.frame.attrs.get("problems", [])
    return list(dict.fromkeys(told))


def _sight(path: Path, unseen: list[str]) -> Sight:
    """A stack that nobody could look at leaves nothing to see of what it made."""
    if path.facts["stacks"].frame is None or path.facts["resources"].frame is None:
        fact = path.facts["stacks"] if path.facts["stacks"].error else path.facts["resources"]
        return Sight(fact.sight)
    return Sight.PARTIAL if unseen else Sight.COMPLETE


def _tiles(path: Path, found: list[Fault]) -> dict[str, str]:
    stacks = list(path.rows("stacks"))
    waiting = sum(one.waiting for one in path.rows("queues"))
    told = sum(one.count for one in path.rows("lately") if one.what == "alert")
    seen = path.facts["lately"].frame is not None
    return {
        "stacks": f"{sum(bool(one.status) for one in stacks)} of {len(stacks)}" if stacks else "–", "wrong": str(len(found)),
        "not delivered": str(waiting) if path.facts["queues"].frame is not None else "–", "alerts handled": f"{told:.0f}" if seen else "–",
    }  # fmt: skip


def _table(found: list[Fault]) -> pd.DataFrame | None:
    import pandas as pd

    where: dict[tuple[str, str, bool], dict[str, None]] = {}  # what is the same of several is said once
    for one in found:
        where.setdefault((one.what, one.do, one.severity != "warning"), {})[f"{one.name} ({one.region})"] = None
    rows = [(", ".join(names), *said) for said, names in where.items()]
    return pd.DataFrame(rows, columns=["where", "what is wrong", "what to do", FLAG]) if rows else None


def _links(path: Path, found: list[Fault]) -> Result:
    """Show each link of the way, in both regions: how many of it there should be, how many there are, and what is wrong."""
    import pandas as pd

    rows = []
    for link, kinds in LINKS.items():
        for region in dict.fromkeys((path.run.environment.region, GLOBAL)):
            wrong = [one for one in found if one.link in kinds and one.region == region]
            should, there = _wanted(path, link, region), _there(path, link, region)
            said = listed(list(dict.fromkeys(one.name for one in wrong)), 3)
            if there != str(should) and there != "–" and not wrong:
                said = "what its stack would make"
            serious = any(one.severity != "warning" for one in wrong) or (bool(said) and not wrong)
            rows.append((link, region, str(should), there, said, serious))
    table = pd.DataFrame(rows, columns=["link", "region", "wanted", "there", "something is wrong with", FLAG])
    broken = [row for row in rows if row[4]]
    sentence = f"{len(rows) - len(broken)} of {len(rows)} links are whole." if broken else "Every link is whole."
    unseen = _unseen(path)
    verdict = Verdict.CRITICAL if any(row[5] for row in rows) else Verdict.WARN if broken else Verdict.OK
    return Result("links", "Is every link there?", verdict, sentence, Sight.PARTIAL if unseen else Sight.COMPLETE, listed(unseen, 3), table=table)  # fmt: skip


def _wanted(path: Path, link: str, region: str) -> int:
    """Return how many of a link the templates want in a region."""
    environment = path.run.environment
    bodies = [body["Resources"].values() for place, body in path.bodies.items() if place.region == region]
    if link == "stacks":
        return len(bodies)
    if link == "heartbeats":
        return sum(len(deliveries.kinds(environment, sink.lower())) - 1 for sink in SINKS)  # but for alerts themselves
    kinds = {"alarms": ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"), "secrets": (KINDS["functions"],), "subscriptions": ("AWS::SNS::Subscription",)}  # fmt: skip
    return sum(one["Type"] in kinds.get(link, (KINDS.get(link),)) for body in bodies for one in body)


def _there(path: Path, link: str, region: str) -> str:
    """Return how many of a link there are in a region; a dash for what nobody could see."""
    fact = {"heartbeats": "lately"}.get(link, link)
    if path.facts[fact].frame is None:
        return "–"
    rows = [one for one in path.rows(fact) if one.region == region]
    if link == "stacks":
        return str(sum(bool(one.status) for one in rows))
    if link == "alarms":
        names = {one.name for one in path.rows("wanted") if one.region == region}
        return str(sum(one.name in names for one in rows))
    if link == "heartbeats":
        return str(sum((one.what.startswith("heartbeat") or one.what == "tick") and _is_recent(path, one.last) for one in rows))  # fmt: skip
    if link == "subscriptions":
        return str(sum(one.endpoint.rpartition(":")[2].startswith("ops-notify-") for one in rows))
    return str(len(rows))


def _is_recent(path: Path, moment: Any) -> bool:
    return moment == moment and moment is not None and path.window.end - moment <= deliveries.BEATS


def _lately(path: Path) -> Result:
    """Show what went through each function and what did not."""
    import pandas as pd

    title, fact = "Did it work lately?", path.facts["lately"]
    if fact.frame is None:
        return Result("lately", title, Verdict.UNKNOWN, "It could not be seen.", Sight(fact.sight), fact.error.what if fact.error else "")  # fmt: skip
    counts = {(one.region, one.who, one.what): one for one in path.rows("lately")}
    rows: list[tuple[Any, ...]] = []
    for region, who in dict.fromkeys((region, who) for region, who, what in counts if what == "alert"):
        of = {what: counts[region, who, what] for place, name, what in counts if (place, name) == (region, who)}
        beats = [of[what].last for what in of if what.startswith("heartbeat") and of[what].last == of[what].last and of[what].last]  # fmt: skip
        shown = [local(moment, path.window) if moment == moment and moment is not None else "–" for moment in (of["alert"].last, max(beats, default=None))]  # fmt: skip
        rows.append((f"{who} ({region})", int(of["alert"].count), *shown, int(of["Errors"].count), int(of["Throttles"].count)))  # fmt: skip
    table = pd.DataFrame(
        rows, columns=["sink", "alerts handled", "last alert", "last heartbeat", "failed", "held back"]
    )
    problems = fact.frame.attrs.get("problems", [])
    beat = any(row[3] != "–" for row in rows)
    sentence = f"{counted(sum(row[1] for row in rows), 'alert')} handled, {sum(row[4] for row in rows)} tries failed{'' if beat else ', and no heartbeat came through'}."  # fmt: skip
    wrong = not beat or any(row[4] or row[5] for row in rows)
    return Result("lately", title, Verdict.WARN if wrong else Verdict.OK, sentence, Sight.PARTIAL if problems else Sight.COMPLETE, listed(problems, 3), table=table)  # fmt: skip


def _escalation(path: Path) -> Result:
    """Show whom PagerDuty calls, and who is next."""
    import pandas as pd

    title, fact, rows = "Who is called?", path.facts["escalation"], list(path.rows("escalation"))
    if fact.frame is None:
        return Result("escalation", title, Verdict.UNKNOWN, "Whom PagerDuty calls could not be seen.", Sight(fact.sight), f"{fact.error.what}: {fact.error.why}" if fact.error else "")  # fmt: skip
    wrong = [fault for fault in pipeline_parts.faults(path) if fault.link == "escalation"]
    verdict = Verdict.OK if not wrong else Verdict.CRITICAL if any(one.severity == "critical" for one in wrong) else Verdict.WARN  # fmt: skip
    sentence = wrong[0].what if wrong else f"{len(rows)} levels: when {rows[0].who} does not answer in {took(60 * rows[0].minutes)}, {rows[1].who} is called."  # fmt: skip
    table = pd.DataFrame([(one.level, one.who or "nobody", took(60 * one.minutes)) for one in rows], columns=["level", "who", "until the next"])  # fmt: skip
    return Result("escalation", title, verdict, sentence, table=table)


def _sources(path: Path) -> tuple[Source, ...]:
    account, regions = path.run.identity.account, f"{path.run.environment.region}, {GLOBAL}"
    return (
        Source("CloudFormation DescribeStacks, GetTemplate, ListStackResources, DetectStackDrift", account, regions),
        Source("SNS, SQS, Lambda, EventBridge, KMS, Secrets Manager: their descriptions; no message and no sink's secret is read", account, regions),
        Source("CloudWatch DescribeAlarms, GetMetricData", account, regions, path.window.text()),
        Source("PagerDuty REST API v2: services, escalation_policies", note="with a read-only key, fetched for this"),
    )  # fmt: skip
