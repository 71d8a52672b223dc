"""A drill proves the way to Slack and PagerDuty and back, and names the part that failed; the stacks are as they are deployed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opslib.alerting import drilling
from opslib.errors import ParameterError
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from tests.alerting.alert_path import AWAY, HOME, SINKS, AlertPath

Apply = Callable[..., Result]
ALARM = "sandbox-alerting-DRILL"
NAMES = {"slack": "Slack", "pagerduty": "PagerDuty"}


@pytest.fixture(scope="module")
def path(no_aws_variables: None) -> Iterator[AlertPath]:
    """One sandbox for all; its clock stands but for `advance`, so that what functions sleep takes no time."""
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        yield AlertPath(sandbox)


@pytest.fixture(scope="module")
def live(path: AlertPath) -> Sandbox:
    return path.sandbox


@pytest.fixture(autouse=True)
def calm(path: AlertPath, run: Run) -> Iterator[None]:
    path.sandbox.clear_messages()
    yield
    path.sandbox.clear_faults()
    for sink in NAMES.values():
        path.purge(f"{sink}Failed")


def drills(path: AlertPath) -> list[tuple[str, str, int]]:
    return [(one["severity"], one["status"], one["triggers"]) for one in path.sandbox.incidents() if one["key"].endswith(ALARM)]  # fmt: skip


def test_planning_tells_nobody(path: AlertPath, run: Run) -> None:
    plan = drilling.drill(run)
    assert [f"{step.operation} {step.arguments.get('StateValue', '')} {step.region}".replace("  ", " ") for step in plan.steps] == [
        f"SetAlarmState ALARM {HOME}", f"PutEvents {HOME}", f"SetAlarmState ALARM {AWAY}", f"PutEvents {AWAY}", f"SetAlarmState OK {HOME}", f"SetAlarmState OK {AWAY}",
    ]  # fmt: skip
    assert "--state-value ALARM" in plan.steps[0].command(run.environment) and not plan.undo_draft.action
    alone = drilling.drill(run, region=AWAY)
    assert {step.region for step in alone.steps} == {AWAY} == {part["region"] for part in alone.parameters["parts"]}
    with pytest.raises(ParameterError, match="there are no alerts in eu-west-1"):
        drilling.drill(run, region="eu-west-1")
    path.sandbox.advance("2m")
    assert not path.sandbox.messages("slack") and not drills(path)


def test_every_part_comes_through(path: AlertPath, run: Run, applied: Apply) -> None:
    answer = applied(drilling.drill(run))
    assert answer.verdict == "ok", answer.sentence
    assert {name: text.partition(",")[0] for name, text in answer.facts.items() if text.count(" of ")} == {f"{sink} {region}": "5 of 5" for sink in SINKS for region in (HOME, AWAY)}  # fmt: skip
    assert drills(path) == [("info", "resolved", 1)] * 2
    told = path.taken("slack", "DRILL")
    assert len(told) == 10 and sum("OK · 正常" in one["text"] for one in told) == 4
    path.sandbox.advance("1m")
    again = applied(drilling.drill(run))
    assert again.verdict == "ok", "the lines of the first drill are not those of the second"
    assert len(path.taken("slack", "DRILL")) == 20


@pytest.mark.parametrize(("sink", "status", "why"), [("slack", 500, "HTTP 500 after"), ("slack", 404, "refuses it for good: HTTP 404"), ("pagerduty", 500, "HTTP 500 after")])  # fmt: skip
def test_a_sink_that_fails_is_named_and_the_other_is_whole(path: AlertPath, run: Run, applied: Apply, sink: str, status: int, why: str) -> None:  # fmt: skip
    other = {"slack": "pagerduty", "pagerduty": "slack"}[sink]
    path.sandbox.fault(service=sink, kind="status", status=status)
    answer = applied(drilling.drill(run))
    assert answer.verdict == "critical", answer.sentence
    assert f"{sink} in {HOME} did not get " in answer.sentence and "the alarm by ops-critical" in answer.sentence
    assert why in answer.sentence and f"{other} in" not in answer.sentence
    assert answer.facts[f"{other} {HOME}"].startswith("5 of 5")


def test_a_path_that_is_cut_is_named(path: AlertPath, run: Run, applied: Apply) -> None:
    """Nothing comes in at PagerDuty's function by one topic: no error anywhere, and yet it is told."""
    sns = path.client("sns")
    heard: Any = next(one for one in sns.list_subscriptions()["Subscriptions"] if one["TopicArn"].endswith("ops-critical") and one["Endpoint"].endswith("pagerduty"))  # fmt: skip
    sns.unsubscribe(SubscriptionArn=heard["SubscriptionArn"])
    answer = applied(drilling.drill(run))
    sns.subscribe(TopicArn=heard["TopicArn"], Protocol="lambda", Endpoint=heard["Endpoint"])
    assert answer.verdict == "critical"
    assert f"pagerduty in {HOME} did not get the alarm by ops-critical, its end by ops-critical" in answer.sentence


def test_without_its_alarm_there_is_no_drill(path: AlertPath, run: Run) -> None:
    path.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])
    plan = drilling.drill(run)
    assert [one.what for one in plan.blocked] == ["the alerts are deployed"] and "opslib alerts plan" in plan.blocked[
        0
    ].found
    assert not plan.steps
