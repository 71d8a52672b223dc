"""What is wrong on the way from an alarm to a person, link by link: the templates beside what stands, and what went through lately."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.actions.stack_state import CALM
from opslib.alerting import deliveries, template, wanted
from opslib.alerting.delivery import SINKS, TOPICS
from opslib.alerting.pipeline_path import Fault, Path
from opslib.checks.wording import counted, listed, local, took

if TYPE_CHECKING:
    import pandas as pd


DEPLOY = "opslib alerts plan, then opslib alerts apply"
OVER_HAND = "opslib alerts plan --over-hand, then apply"
YOUNG = timedelta(minutes=20)  # a stack through which the first heartbeat may not have come yet
EARLY = f"It is not known yet whether alerts get through: no heartbeat came, and the stack is younger than {took(YOUNG.total_seconds())}."  # fmt: skip
_SERIOUS = {"critical": "critical", "error": "error"}


def faults(path: Path) -> list[Fault]:
    """Return all that is wrong, the worst first, in the order of the way."""
    links = (_stacks, _alarms, _rules, _topics, _subscriptions, _functions, _secrets, _queues, _lately, _escalation)
    found = [fault for link in links for fault in link(path)]
    return sorted(found, key=lambda fault: ("critical", "error", "warning").index(fault.severity))


def _stacks(path: Path) -> Iterator[Fault]:
    for one in path.rows("stacks"):
        place, look = (one.stack, one.region), f"aws cloudformation describe-stack-events --stack-name {one.stack} --region {one.region}"  # fmt: skip
        if not one.status:
            yield Fault("stack", *place, "critical", "There is no such stack: what it makes is missing.", DEPLOY)
        elif one.status not in CALM:
            busy = one.status.endswith("IN_PROGRESS")
            yield Fault("stack", *place, "warning" if busy else "critical", f"It is {one.status}.", look)
        elif one.differs:
            names = one.differs.split()
            yield Fault("stack", *place, "warning", f"Not as opslib.toml and the template have it: {listed(names, 3)}.", DEPLOY)  # fmt: skip
    for one in path.rows("by_hand"):
        yield Fault("by hand", f"{one.stack}/{one.name}", one.region, "warning", f"It was changed by hand: {one.what}.", _set_back(one.stack, one.region))  # fmt: skip


def _alarms(path: Path) -> Iterator[Fault]:
    there = path.of("alarms", "name")
    blind = {each.removeprefix("alarms of ").partition(":")[0] for each in _problems(path, "alarms")}
    if path.facts["alarms"].frame is None:
        return
    made = {(one.stack, one.region, one.name) for one in path.rows("resources") if one.physical}
    for one in path.rows("wanted"):
        place, severity, found = (one.name, one.region), _SERIOUS.get(one.severity, "warning"), there.get((one.name, one.region))  # fmt: skip
        if one.region in blind or (found is None and wanted.Place(one.stack, one.region) in path.absent):
            continue
        key = (one.stack, one.region, one.resource)
        if path.pending(*key) and (key not in made if found is None else found.enabled and found.acts_on):
            continue
        if found is None:
            yield Fault("alarm", *place, severity, "The alarm is not there.", _set_back(one.stack, one.region))
        elif not found.enabled:
            switch = f"aws cloudwatch enable-alarm-actions --alarm-names {one.name} --region {one.region}"
            yield Fault("alarm", *place, severity, "Its actions are switched off: it tells nobody.", switch)
        elif deaf := _lacking(one.topics, found.acts_on):
            yield Fault("alarm", *place, severity, f"It does not tell {deaf} when it goes on.", _set_back(one.stack, one.region))  # fmt: skip
        elif endless := _lacking(one.topics, found.ends_on):
            yield Fault("alarm", *place, "warning", f"It does not tell {endless} when it is over: what it opened stays open.", _set_back(one.stack, one.region))  # fmt: skip


def _rules(path: Path) -> Iterator[Fault]:
    there = path.of("rules", "rule")
    for one in path.made("rules"):
        found, place = there.get((one.physical, one.region)), (one.name, one.region)
        if found is None:
            yield from _missing(path, "rules", one, "error", "its events are told to nobody")
        elif found.state == "DISABLED":
            switch = f"aws events enable-rule --name {one.physical} --region {one.region}"
            yield Fault("rule", *place, "error", "The rule is switched off: its events are told to nobody.", switch)
        elif not found.targets:
            yield Fault("rule", *place, "error", "The rule has no target: its events are told to nobody.", _set_back(one.stack, one.region))  # fmt: skip


def _topics(path: Path) -> Iterator[Fault]:
    there = path.of("topics", "topic")
    for one in path.made("topics"):
        name = one.physical.rpartition(":")[2]
        found, place = there.get((name, one.region)), (name or TOPICS[one.name], one.region)
        if found is None:
            yield from _missing(path, "topics", one, "critical", "no alarm reaches anybody through it")
        elif mute := _lacking("cloudwatch events", found.publishers):
            yield Fault("topic", *place, "critical", f"Its policy does not let {mute} publish: what they tell is lost.", _set_back(one.stack, one.region))  # fmt: skip
        elif found.key and (mute := _lacking("cloudwatch events", found.key_users)):
            yield Fault("topic", *place, "critical", f"Its key does not let {mute} use it: what they tell is lost, and only an alarm's history says so.", _set_back(one.stack, one.region))  # fmt: skip


def _subscriptions(path: Path) -> Iterator[Fault]:
    heard = {
        (one.topic, one.endpoint.rpartition(":function:")[2], one.region): one for one in path.rows("subscriptions")
    }
    for one in path.made("topics"):
        topic = one.physical.rpartition(":")[2]
        if not topic or not path.saw("subscriptions", topic, one.region):
            continue
        for sink in (f"ops-notify-{sink.lower()}" for sink, (topics, _) in SINKS.items() if one.name in topics):
            found = heard.get((topic, sink, one.region))
            place = (f"{topic} to {sink}", one.region)
            if found is None:
                yield Fault("subscription", *place, "critical", f"{sink} does not hear {topic}.", _set_back(one.stack, one.region))  # fmt: skip
            elif found.confirmed and not found.undelivered:
                yield Fault("subscription", *place, "warning", "What cannot be delivered is kept by no queue.", _set_back(one.stack, one.region))  # fmt: skip
    for topic, endpoint, region in (key for key, one in heard.items() if not one.confirmed):
        fix = f"confirm it where it was sent, or aws sns list-subscriptions --region {region}, and delete it"
        severity = "critical" if endpoint.startswith("ops-notify-") else "warning"
        yield Fault("subscription", f"{topic} to {endpoint}", region, severity, "It was never confirmed: it hears nothing.", fix)  # fmt: skip


def _functions(path: Path) -> Iterator[Fault]:
    there = path.of("functions", "function")
    ours = base64.b64encode(hashlib.sha256(template.archive()).digest()).decode()
    for one in path.made("functions"):
        found, place = there.get((one.physical, one.region)), (one.physical, one.region)
        if found is None:
            yield from _missing(path, "functions", one, "critical", "its sink gets nothing")
            continue
        if found.state != "Active":
            yield Fault("function", *place, "critical", f"It is {found.state}.", f"aws lambda get-function-configuration --function-name {one.physical} --region {one.region}")  # fmt: skip
        if found.code != ours:
            yield Fault("function", *place, "warning", "It runs other code than this opslib's.", DEPLOY)
        if shut := _lacking(_callers(path, one), found.invokers):
            yield Fault(
                "permission", *place, "critical", f"It may not be called by {shut}.", _set_back(one.stack, one.region)
            )


def _callers(path: Path, function: Any) -> str:
    """Return who must be let in, as `sources.messaging` says it: "sns:ops-alerts events:*"."""
    place = wanted.Place(function.stack, function.region)
    given = wanted.expected(path.run.environment, place, "AWS::Lambda::Permission").values()
    ours = [one for one in given if one["FunctionName"] == {"Ref": function.name}]
    return " ".join(f"{one['Principal'].partition('.')[0]}:{TOPICS.get(one['SourceArn'].get('Ref', ''), '*')}" for one in ours)  # fmt: skip


def _secrets(path: Path) -> Iterator[Fault]:
    there = {one.secret: one for one in path.rows("secrets")}
    for one in path.rows("functions"):
        found, name = there.get(one.secret), one.secret.rpartition(":")[2] or "(none)"
        if found is None and path.saw("secrets", one.secret.rpartition("/")[2].rpartition(":")[2], one.region):
            yield Fault("secret", name, one.region, "critical", f"The secret of {one.function} is not there.", "make it again under this name, with the sink's address or key in it")  # fmt: skip
        elif found is not None and found.state != "there":
            fix = f"aws secretsmanager restore-secret --secret-id {one.secret} --region {one.region}" if found.state == "to be deleted" else "put the sink's address or key into it"  # fmt: skip
            yield Fault("secret", name, one.region, "critical", f"The secret of {one.function} is {found.state}.", fix)


def _queues(path: Path) -> Iterator[Fault]:
    ages = {(one.who, one.region): one.latest for one in path.rows("lately") if one.what == deliveries.OLDEST}
    there = path.of("queues", "url")
    for one in path.made("queues"):
        found = there.get((one.physical, one.region))
        if found is None:
            yield from _missing(path, "queues", one, "error", "what cannot be delivered is lost")
        elif found.waiting:
            age = took(ages.get((found.queue, one.region), float("nan")))
            said = f"{counted(found.waiting, 'alert')} {'was' if found.waiting == 1 else 'were'} not delivered; the oldest waits for {age}."  # fmt: skip
            do = f"read what nobody was told: aws sqs receive-message --queue-url {found.url} --max-number-of-messages 10 --visibility-timeout 0 --region {one.region}; when it is dealt with: aws sqs purge-queue --queue-url {found.url} --region {one.region}"  # fmt: skip
            yield Fault("dead letters", one.name, one.region, "critical", said, do)


def _lately(path: Path) -> Iterator[Fault]:
    counts = {(one.region, one.who, one.what): one for one in path.rows("lately")}
    young = {one.region: one.created for one in path.rows("stacks") if one.stack == wanted.DELIVERY and one.status}
    for (region, who, what), one in counts.items():
        if wanted.Place(wanted.DELIVERY, region) in path.absent or not path.saw("lately", f"{what} of {who}", region):
            continue
        function, when = f"ops-notify-{who}", local(one.last, path.window) if one.last == one.last and one.last else ""
        logs = f"aws logs tail /aws/lambda/{function} --since 1h --region {region}"
        if what.startswith("heartbeat") or what == "tick":
            if not when or path.window.end - one.last > deliveries.BEATS:
                yield _silent(path, who, what, region, when, young.get(region), logs)
        elif one.count and what in {"Errors", "Throttles"}:
            held = "failed" if what == "Errors" else "was held back"
            yield Fault(what.lower(), function, region, "warning", f"It {held} {counted(int(one.count), 'time')}, last at {when}.", logs)  # fmt: skip
        elif one.count and what == "NumberOfNotificationsFailedToRedriveToDlq":
            yield Fault("lost", who, region, "critical", f"{counted(int(one.count), 'alert')} of it went nowhere, not even into a queue; last at {when}.", _set_back(wanted.DELIVERY, region))  # fmt: skip
        elif one.count and what == "NumberOfNotificationsFailed":
            yield Fault("undelivered", who, region, "warning", f"{counted(int(one.count), 'delivery')} of it failed, last at {when}.".replace("deliverys", "deliveries"), "see dead letters")  # fmt: skip


def _silent(path: Path, who: str, what: str, region: str, when: str, created: Any, logs: str) -> Fault:
    said = "Nobody asks which warnings are still on" if what == "tick" else f"No {what.replace(' ', ' through ', 1)} reaches {who}"  # fmt: skip
    since = f" since {when}" if when else ""
    if created is not None and path.run.now - created < YOUNG and not when:
        return Fault(what, who, region, "warning", EARLY, "wait for it, and run this again")  # fmt: skip
    return Fault(what, who, region, "error" if what == "tick" else "critical", f"{said}{since}: alerts would not, either.", logs)  # fmt: skip


def _escalation(path: Path) -> Iterator[Fault]:
    levels = list(path.rows("escalation"))
    for one in levels[:1]:
        if one.status in {"maintenance", "disabled"}:
            yield Fault("escalation", f"PagerDuty's {one.service}", "PagerDuty", "critical", f"It is {one.status}: nobody is called.", "end it in PagerDuty: Services, Settings")  # fmt: skip
    reached = [one for one in levels if one.who]
    if levels and len(reached) < 2:
        said = "Nobody stands in it." if not reached else f"It has one level ({reached[0].who}): when they do not answer, nobody is called."  # fmt: skip
        yield Fault("escalation", levels[0].policy, "PagerDuty", "warning" if reached else "critical", said, "add a second level in PagerDuty: People, Escalation Policies")  # fmt: skip


def _set_back(stack: str, region: str) -> str:
    """Return how to undo what a hand did; CloudFormation compares what templates set, and of some types it reads nothing."""
    return f"{OVER_HAND}; where CloudFormation sees no change, set it back in {region} to what opslib alerts template {stack} says"


def _missing(path: Path, link: str, one: Any, severity: str, then: str) -> Iterator[Fault]:
    """Yield that a resource is not there, unless nobody could look."""
    name = one.physical.rpartition("/")[2].rpartition(":")[2]
    if not one.physical and path.pending(one.stack, one.region, one.name):
        return
    if not one.physical or path.saw(link, name, one.region):
        yield Fault(
            link.rstrip("s"),
            name or one.name,
            one.region,
            severity,
            f"It is not there: {then}.",
            _set_back(one.stack, one.region),
        )


def _problems(path: Path, name: str) -> list[str]:
    frame: pd.DataFrame | None = path.facts[name].frame
    return [] if frame is None else frame.attrs.get("problems", [])


def _lacking(wanted_words: str, found: str) -> str:
    """Return the words that are not among those found."""
    return " and ".join(word for word in wanted_words.split() if word not in found.split())
