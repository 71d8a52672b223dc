"""A drill of the alerts: its alarm is set on and off and an event is put, and each part of the way is seen in the notifiers' own log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib import plan as plans
from opslib.actions.alert_stacks import TARGET
from opslib.errors import SourceError
from opslib.journal import digest
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

NAME, SOURCE = "drill-alerts", "ops.drill"
PATIENCE = timedelta(minutes=5)  # Lambda tries three times within three minutes
ON, OFF, EVENT = "ALARM", "OK", "INFO"  # what the notifier says of each part
_SAID = {ON: "the alarm", OFF: "its end", EVENT: "the event"}
Part = Mapping[str, Any]  # region, sink, topic, state; sent: whether something must have gone out, and not only come in


def drill(run: Run, *, alarm: str, regions: Sequence[str], parts: Iterable[Part]) -> Plan:
    """Plan to set the drill's alarm on and off and to put an event (cloudwatch:SetAlarmState, events:PutEvents).

    `parts` are what must come of it: region, sink, topic, state, sent.
    """
    environment, now = run.environment, aws.now(run.environment)
    name = f"DRILL-{digest([alarm, now.isoformat(), list(regions)])[:8]}"
    before = {region: _alarm(environment, region, alarm) for region in regions}
    gone = [region for region, state in before.items() if not state]
    on = [region for region, state in before.items() if state == ON]
    conditions = (
        Condition("the alerts are deployed", f"no alarm {alarm} in {', '.join(gone)}: opslib alerts plan" if gone else f"{alarm} is there", not gone),
        Condition("no other drill is under way", f"{alarm} is on in {', '.join(on)}" if on else "none is", not on),
    )  # fmt: skip
    rows = [Change(f"{alarm} in {region}", before[region] or "not there", f"on, then off; and a DRILL event ({name})", "none: what was told stays told", "Slack gets five messages, PagerDuty one incident of severity info that is closed again") for region in regions]  # fmt: skip
    look = f"aws logs filter-log-events --log-group-name /aws/lambda/ops-notify-pagerduty --filter-pattern '{{ $.title = \"{alarm}\" }}' --region {environment.region}"
    return plans.propose(
        run, action=NAME, title=f"Drill the alerts of {environment.name}", target=TARGET, parameters={"drill": name, "alarm": alarm, "parts": [dict(part) for part in parts]},
        before=before, changes=tuple(rows), conditions=conditions, steps=() if gone else (*_begins(alarm, regions, name), *_ends(alarm, regions, name)),
        limits=("who is on call may be woken: PagerDuty's urgency of severity info is set there", "an alarm that stays on when this ends in the middle goes off by itself: it has no data"),
        verification=Verification(f"Each part by the line that a notifier writes when a sink took it; what did not come within {PATIENCE.seconds // 60} minutes failed.", look, 10.0, 1200.0),
        undo_draft=Undo("what people were told stays told; the drill's alarm is off again when it ends"),
    )  # fmt: skip


def _begins(alarm: str, regions: Sequence[str], name: str) -> Iterator[Step]:
    for region in regions:
        yield _set(alarm, region, ON, name)
        detail = {"eventTypeCategory": "issue", "service": "DRILL", "eventTypeCode": name, "eventDescription": f"{name}: a test of the alerting; nothing is wrong."}  # fmt: skip
        entry = {"Source": SOURCE, "DetailType": "AWS Health Event", "Detail": json.dumps(detail)}
        yield Step("events", "PutEvents", {"Entries": [entry]}, f"put an event of a drill in {region}", "", region)


def _ends(alarm: str, regions: Sequence[str], name: str) -> Iterator[Step]:
    for region in regions:
        yield _set(alarm, region, OFF, name)


def _set(alarm: str, region: str, state: str, name: str) -> Step:
    asked = {"AlarmName": alarm, "StateValue": state, "StateReason": f"{name}: a test of the alerting; nothing is wrong."}  # fmt: skip
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{alarm}"
    return Step("cloudwatch", "SetAlarmState", asked, f"set {alarm} to {state} in {region}", console, region)


def _alarm(environment: Environment, region: str, name: str) -> str:
    told = aws.ask(environment, "cloudwatch", "describe_alarms", region=region, AlarmNames=[name])["MetricAlarms"]
    return ON if told and told[0]["StateValue"] == ON else "off" if told else ""


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    return {region: _alarm(environment, region, plan.parameters["alarm"]) for region in plan.before}


def _keep(answers: list[Any]) -> Kept:
    """Keep when AWS answered each call, and how many events it did not take: it says so in an answer that is a success."""
    at = [parsedate_to_datetime(one["ResponseMetadata"]["HTTPHeaders"]["date"]).isoformat() for one in answers]
    return {"steps done": len(answers), "at": at, "refused": sum(one.get("FailedEntryCount", 0) for one in answers)}


def _between(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """The end is told only after the beginning came, or nobody could tell whether it did; it is told in any case."""
    done = kept["steps done"]
    if kept["refused"]:
        return Progress("failed", "EventBridge did not take the event")
    if plan.steps[done].arguments.get("StateValue") != OFF or plan.steps[done - 1].arguments.get("StateValue") == OFF:
        return Progress("done", plan.steps[done - 1].says)
    found = _looked(environment, plan, kept, {ON, EVENT})
    return Progress("done", found.says) if found.state == "failed" else found


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    return _looked(environment, plan, kept, {ON, EVENT, OFF})


def _looked(environment: Environment, plan: Plan, kept: Kept, states: set[str]) -> Progress:
    parts = [part for part in plan.parameters["parts"] if part["state"] in states]
    waited = aws.now(environment) - datetime.fromisoformat(kept["at"][-1])
    late = waited >= PATIENCE
    evidence, missing, keys = {}, [], {}
    for region, sink in dict.fromkeys((part["region"], part["sink"]) for part in parts):
        own = [part for part in parts if (part["region"], part["sink"]) == (region, sink)]
        lines, why = _lines(environment, plan, region, sink, late=late)
        came = [(part, line) for part in own if (line := _of(part, lines))]
        took = [max(0.0, line["timestamp"] / 1000 - _called(plan, kept, part)) for part, line in came]
        evidence[f"{sink} {region}"] = f"{len(came)} of {len(own)}" + (f", the slowest after {max(took):.0f} s" if took else "")  # fmt: skip
        lacking = [
            f"{_SAID[part['state']]} by {part['topic']}" for part in own if part not in [each for each, _ in came]
        ]
        missing += (
            [f"{sink} in {region} {'did not get' if late else 'waits for'} {', '.join(lacking)}{why}"]
            if lacking
            else []
        )
        keys[region, sink] = {line["said"]["key"] for part, line in came if part["state"] != EVENT and line["said"]["sent"]}  # fmt: skip
    missing += [f"{sink} in {region} was told the end by another key" for (region, sink), found in keys.items() if len(found) > 1]  # fmt: skip
    told = "; ".join(f"{who}: {what}" for who, what in evidence.items())
    if not missing:
        return Progress("done", f"every part came through, and what PagerDuty opened is closed by the same key: {told}" if OFF in states else told, evidence)  # fmt: skip
    return Progress("failed" if late else "going", f"{'; '.join(missing)}. Came: {told}", evidence)


def _of(part: Part, lines: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first line that tells a part: it came by this topic, and something went out where that is wanted."""
    wanted = (part["topic"], part["state"])
    return next((line for line in lines if (line["said"].get("topic"), line["said"].get("state")) == wanted and line["said"].get("sent") >= part["sent"]), None)  # fmt: skip


def _lines(environment: Environment, plan: Plan, region: str, sink: str, *, late: bool) -> tuple[list[dict[str, Any]], str]:  # fmt: skip
    """Return the lines of this drill in a notifier's log, and in words what the notifier says that it could not do: asked when it is late."""
    asked = {"logGroupName": f"/aws/lambda/ops-notify-{sink}", "startTime": int(datetime.fromisoformat(plan.made_at).timestamp() * 1000)}  # fmt: skip
    pattern = f'{{ ($.title = "{plan.parameters["alarm"]}") || ($.drill = "{plan.parameters["drill"]}") }}'
    try:
        found = list(aws.pages(environment, "logs", "filter_log_events", "events", region=region, filterPattern=pattern, **asked))  # fmt: skip
        failed = late and list(aws.pages(environment, "logs", "filter_log_events", "events", region=region, filterPattern='"not delivered"', **asked))  # fmt: skip
    except SourceError as error:
        return [], f" ({error.what}: {error.why})"
    said = [{"timestamp": one["timestamp"], "said": json.loads(one["message"])} for one in found]
    why = json.loads(failed[-1]["message"])["message"] if failed else ""
    return said, f" ({why})" if why else ""


def _called(plan: Plan, kept: Kept, part: Part) -> float:
    """Return when AWS had the call that a part comes of, in seconds."""
    for step, at in zip(plan.steps, kept["at"], strict=False):
        if step.region == part["region"] and step.arguments.get("StateValue", EVENT) == part["state"]:
            return datetime.fromisoformat(at).astimezone(UTC).timestamp()
    return datetime.fromisoformat(kept["at"][0]).timestamp()


register(Action(NAME, observe=_observe, follow=_follow, keep=_keep, between=_between))
