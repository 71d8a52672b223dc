"""The alerts of an environment by one plan: planned and refused, made, seen to act, changed by a threshold, and taken back."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from opslib import redact
from opslib.alerting import deploying, template
from opslib.applying import results_of, way_back
from opslib.errors import ConfigError, OpsError, Refused
from opslib.plan import ACTIONS, Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from tests.warm_commands import OPSLIB

Apply = Callable[..., Result]
STACKS = ["alerts-delivery", "alerts-services", "alerts-application", "alerts-delivery us-east-1", "alerts-us-east-1 us-east-1"]  # fmt: skip


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock="running", scenario="quiet-day") as running:
        yield running


@pytest.fixture
def scheduled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose one report is due every half hour, and never comes."""
    written = '[[schedule]]\nname = "looks"\nnotebook = "2-investigate/first-look"\ncron = "*/30 * * * *"\n'
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    file = tmp_path / "opslib.toml"
    file.write_text(f'default = "sandbox"\n{written}')
    return file


def with_alerts(run: Run, **changed: Any) -> Run:
    """Return the run with other alert settings of its environment."""
    alerts = run.environment.alerts.model_copy(update=changed)
    run.environment = run.environment.model_copy(update={"alerts": alerts})
    return run


def status(live: Sandbox, name: str) -> str:
    told = live.client("cloudformation").list_stacks()["StackSummaries"]
    return str(next((one["StackStatus"] for one in told if one["StackName"] == name), "not there"))


@pytest.mark.parametrize(
    ("changed", "what", "remedy"),
    [
        ({"code_buckets": {"ap-northeast-1": "shop-ops-code"}}, r"opslib.toml, \[env.sandbox.alerts\]: code_buckets is missing", "us-east-1"),
        ({"code_buckets": {"ap-northeast-1": "shop-ops-nowhere"}}, "there is no bucket shop-ops-nowhere", "aws s3 mb"),
        ({"slack_secret": ""}, "slack_secret is missing", 'slack_secret = "NAME"'),
        ({"pagerduty_secret": "ops/pagerdutty"}, "there is no secret ops/pagerdutty in ap-northeast-1", "replicate"),
    ],
)  # fmt: skip
def test_what_the_configuration_lacks_is_said_before_anything(run: Run, changed: dict[str, Any], what: str, remedy: str) -> None:  # fmt: skip
    with pytest.raises(ConfigError, match=what) as told:
        deploying.deploy(with_alerts(run, **changed))
    assert remedy in told.value.text()


def test_an_arn_serves_both_regions_and_is_not_looked_up(run: Run) -> None:
    arn = "arn:aws:ssm:ap-northeast-1:000000000000:parameter/ops/slack"
    wanted = list(deploying.stacks_of(with_alerts(run, slack_secret=arn).environment))
    assert [one.values["SlackSecret"] for one in wanted if one.name == "alerts-delivery"] == [arn, arn]


def test_messages_link_to_the_log_groups_that_the_patterns_match(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console takes no pattern, and without groups there would be no link to the logs."""
    run.environment = run.environment.model_copy(update={"log_groups": ("/shop/a*", "/shop/web", "/nobody/*")})
    told = [one.values["LogGroups"] for one in deploying.stacks_of(run.environment) if one.name == "alerts-delivery"]
    assert told == ["/shop/api,/shop/audit,/shop/auth,/shop/web"] * 2
    assert not [limit for limit in deploying.deploy(run).limits if "log groups" in limit]
    monkeypatch.setattr(deploying, "_IN_LINK", (50, 25))
    [limit] = [limit for limit in deploying.deploy(run).limits if "log groups" in limit]
    assert "room for 2 of 4 log groups, and leave out /shop/auth; /shop/web" in limit


def test_all_is_planned_and_the_code_comes_first(run: Run, live: Sandbox) -> None:
    plan = deploying.deploy(run)
    assert [one.target.rpartition("/")[0] or one.target for one in plan.changes] == ["s3://shop-ops-code/opslib", "s3://shop-ops-code-us-east-1/opslib", *STACKS]  # fmt: skip
    made, delivery = ["CreateChangeSet", "ExecuteChangeSet"], ["CreateChangeSet", "PutMetricData", "ExecuteChangeSet"]
    assert [step.operation for step in plan.steps] == ["PutObject"] * 2 + [*delivery, *made * 2, *delivery, *made]
    commands = [step.command(run.environment) for step in plan.steps]
    assert commands[0].startswith("aws s3api put-object --bucket shop-ops-code --key opslib/notifier-")
    assert "--parameters '[{" in commands[2] and "--parameters" not in commands[5] and "--region us-east-1" in commands[9]  # fmt: skip
    assert "put-metric-data --namespace Ops/Alerting --metric-data '[{" in commands[3] and '"Value": 0.0' in commands[3]
    assert plan.undo_draft.says.startswith(", ".join(STACKS) + " deleted")
    assert any("alarms in ap-northeast-1 have the names of new ones" in limit for limit in plan.limits)
    assert not plan.blocked and status(live, "alerts-delivery") == "not there"


def test_what_changed_since_is_not_planned_over(run: Run, live: Sandbox, applied: Apply) -> None:
    plan = deploying.deploy(run)
    cloud = live.client("cloudformation")
    body = json.dumps({"Description": "of others", "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "tries-other"}}}})  # fmt: skip
    cloud.create_stack(StackName="alerts-services", TemplateBody=body)
    live.advance("5m")
    answer = applied(plan)
    assert answer.verdict == "warn" and "the state has changed since the plan was made" in answer.sentence
    theirs = next(one for one in deploying.deploy(run).blocked if "of this environment" in one.what)
    assert theirs.found == "alerts-services: of others"
    cloud.delete_stack(StackName="alerts-services")
    live.advance("5m")
    objects = live.client("s3").list_objects_v2(Bucket="shop-ops-code").get("Contents", [])
    assert not objects, "nothing was brought by a plan that was refused"


def test_a_template_that_no_call_takes_is_known_before_anything_is_made(run: Run) -> None:
    services = run.environment.services
    many = services.model_copy(update={"names": tuple(f"service-{number}" for number in range(20))})
    run.environment = run.environment.model_copy(update={"services": many})
    [blocked] = deploying.deploy(run).blocked
    assert "51,200 bytes" in blocked.what and blocked.found.startswith("alerts-services has 1") and "fewer services" in blocked.found  # fmt: skip


def opslib(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    program = [*OPSLIB, *words]
    return subprocess.run(program, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


def test_the_command_plans_and_only_the_full_hash_applies(run: Run, live: Sandbox) -> None:
    planned = opslib("alerts", "plan")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    said = re.search(r"OPSLIB_APPLY=([0-9a-f]{64}) opslib alerts apply (\w+)", planned.stdout)
    assert said, planned.stdout
    for wrong in ("true", "0" * 64):
        tried = opslib("alerts", "apply", said[2], OPSLIB_APPLY=wrong)
        assert tried.returncode == 3 and "full hash" in tried.stderr
    assert status(live, "alerts-delivery") == "not there"


def seen(plan: Plan, run: Run) -> str:
    """Look once more how a plan went that was applied."""
    found = ACTIONS[plan.action].follow(run.environment, plan, results_of(plan) or {})
    return f"{found.state}: {found.says}"


def test_they_are_made_seen_to_act_changed_and_taken_back(run: Run, live: Sandbox, applied: Apply, scheduled: Path) -> None:  # fmt: skip
    plan = deploying.deploy(run)
    live.clear_messages()
    answer = applied(plan)
    assert answer.verdict == "ok" and answer.facts["stacks"] == "5", answer.sentence
    assert int(answer.facts["alarms"]) > 140
    new_alarms_on_silence_wait(live)
    code = live.client("s3").get_object(Bucket="shop-ops-code", Key=plan.steps[0].arguments["Key"])["Body"].read()
    assert "opslib/alerting/notifier.py" in zipfile.ZipFile(io.BytesIO(code)).namelist()
    idle = deploying.deploy(run)
    assert [one.what for one in idle.blocked] == ["something is to be changed"] and not idle.steps and not idle.changes

    tells_what_no_longer_acts(plan, run, live)
    sets_back_what_a_hand_did(run, live, applied)
    does_not_set_back_what_was_not_shown(run, live, applied)
    with_alerts(run, thresholds={"api-cpu-utilization": 71})
    change = deploying.deploy(run)
    assert [one.target.partition(" ")[0] for one in change.changes] == [f"alerts-services/{template.logical('sandbox-api-cpu-utilization')}"]  # fmt: skip
    assert [step.operation for step in change.steps] == ["CreateChangeSet", "ExecuteChangeSet"], "the code is there"
    usual = run.environment
    elsewhere = deploying.deploy(with_alerts(run, raise_after_minutes=31)).text()
    assert "SlackSecret" in elsewhere and redact.text(elsewhere) == elsewhere, (
        "a record keeps it whole: it can be applied from there"
    )
    run.environment = usual
    assert applied(change).verdict == "ok"
    assert threshold(live) == 71
    by_hand(live, "sandbox-web-cpu-utilization", 98.0)
    way = way_back(change)
    assert way.limits == (f"changed by hand, and left so: alerts-services/{template.logical('sandbox-web-cpu-utilization')}",)  # fmt: skip
    back = applied(way)
    assert back.verdict == "ok" and threshold(live) == 80, back.sentence
    assert threshold(live, "sandbox-web-cpu-utilization") == 98, "what somebody else did meanwhile is not undone"
    waits_for_another_metric_too(run, live, applied, scheduled)

    gone = way_back(plan)
    assert [step.operation for step in gone.steps] == ["DeleteStack"] * 5
    assert applied(gone).verdict == "ok"
    assert live.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/ops-notify")["logGroups"]
    assert status(live, "alerts-delivery") == "DELETE_COMPLETE" and not live.client("sns").list_subscriptions()["Subscriptions"]  # fmt: skip


def new_alarms_on_silence_wait(live: Sandbox) -> None:
    """Nobody is told in the first hour, of the report that has not come either; a heartbeat that stops, and it, are told."""
    live.advance("1h")
    assert live.messages("slack") == [] and live.incidents() == []
    [told] = live.client("cloudformation").describe_stack_resources(StackName="alerts-delivery", LogicalResourceId="Heartbeat")["StackResources"]  # fmt: skip
    rule = told["PhysicalResourceId"].rpartition("|")[2]
    live.client("events").disable_rule(Name=rule)
    live.advance("65m")
    paged = {one["key"].rpartition(":")[2] for one in live.incidents() if one["status"] == "triggered"}
    assert {f"sandbox-alerting-slack-heartbeat-ops-{topic}" for topic in ("alerts", "critical")} <= paged
    assert "sandbox-report-looks" in json.dumps(live.messages("slack"))
    live.client("events").enable_rule(Name=rule)
    live.advance("20m")


def threshold(live: Sandbox, name: str = "sandbox-api-cpu-utilization") -> float:
    [alarm] = live.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return float(alarm["Threshold"])


def by_hand(live: Sandbox, name: str, limit: float) -> None:
    """Give an alarm another threshold, past CloudFormation."""
    watch = live.client("cloudwatch")
    [alarm] = watch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    given = watch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    watch.put_metric_alarm(**{key: value for key, value in alarm.items() if key in given} | {"Threshold": limit})


def tells_what_no_longer_acts(plan: Plan, run: Run, live: Sandbox) -> None:
    """A stack that is complete may tell nobody all the same: each such way is told by its name, and mended here."""
    assert seen(plan, run).startswith("done")
    watch, sns, functions = live.client("cloudwatch"), live.client("sns"), live.client("lambda")
    [alarm] = watch.describe_alarms(AlarmNames=["sandbox-api-cpu-utilization"])["MetricAlarms"]
    watch.disable_alarm_actions(AlarmNames=[alarm["AlarmName"]])
    assert seen(plan, run) == "failed: the stacks are complete, and the alarm sandbox-api-cpu-utilization tells nobody"
    watch.enable_alarm_actions(AlarmNames=[alarm["AlarmName"]])
    heard = next(one for one in sns.list_subscriptions()["Subscriptions"] if one["TopicArn"].endswith("ops-critical") and one["Endpoint"].endswith("pagerduty"))  # fmt: skip
    sns.unsubscribe(SubscriptionArn=heard["SubscriptionArn"])
    assert seen(plan, run) == "failed: the stacks are complete, and ops-notify-pagerduty does not hear ops-critical"
    sns.subscribe(TopicArn=heard["TopicArn"], Protocol="lambda", Endpoint=heard["Endpoint"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("opslib/alerting/notifier.py", "def handler(event, context):\n    return None\n")
    functions.update_function_code(FunctionName="ops-notify-slack", ZipFile=out.getvalue())
    assert seen(plan, run).startswith("going: ops-notify-slack")
    archive = live.client("s3").get_object(Bucket="shop-ops-code", Key=plan.steps[0].arguments["Key"])["Body"].read()
    functions.update_function_code(FunctionName="ops-notify-slack", ZipFile=archive)
    functions.get_waiter("function_updated_v2").wait(FunctionName="ops-notify-slack")
    assert seen(plan, run).startswith("done")


def sets_back_what_a_hand_did(run: Run, live: Sandbox, applied: Apply) -> None:
    """The templates are as they were, and an alarm's threshold, one that is gone and a rule that is off are set back."""
    watch, name, gone = live.client("cloudwatch"), "sandbox-api-cpu-utilization", "sandbox-web-memory-utilization"
    by_hand(live, name, 99.0)
    watch.delete_alarms(AlarmNames=[gone])
    [told] = live.client("cloudformation").describe_stack_resources(StackName="alerts-application", LogicalResourceId="Health")["StackResources"]  # fmt: skip
    rule = {"Name": told["PhysicalResourceId"].rpartition("|")[2]}
    live.client("events").disable_rule(**rule)
    assert [one.what for one in deploying.deploy(run).blocked] == ["something is to be changed"]
    plan = deploying.deploy(run, over_hand=True)
    changed = {one.target.partition(" ")[0]: one.now for one in plan.changes}
    assert changed == {
        "alerts-delivery/PagerDutyOnCritical": "changed by hand: deleted",  # what was mended above is another one
        f"alerts-services/{template.logical(name)}": "changed by hand: Threshold differs",
        f"alerts-services/{template.logical(gone)}": "changed by hand: deleted",
        "alerts-application/Health": "changed by hand: State differs",
    }
    assert [step.arguments.get("DeploymentMode") for step in plan.steps] == ["REVERT_DRIFT", None] * 3 and not plan.blocked  # fmt: skip
    answer = applied(plan)
    assert answer.verdict == "ok", answer.sentence
    assert threshold(live) == 80 and watch.describe_alarms(AlarmNames=[gone])["MetricAlarms"]
    assert live.client("events").describe_rule(**rule)["State"] == "ENABLED"
    with pytest.raises(Refused, match="nothing to go back from"):
        way_back(plan)


def does_not_set_back_what_was_not_shown(run: Run, live: Sandbox, applied: Apply) -> None:
    """A change set that sets drift back is of the whole stack: what a hand did since the plan was made ends it."""
    name, since = "sandbox-api-cpu-utilization", "sandbox-web-cpu-utilization"
    by_hand(live, name, 99.0)
    plan = deploying.deploy(run, over_hand=True)
    by_hand(live, since, 98.0)
    answer = applied(plan)
    assert answer.verdict == "critical" and f"{template.logical(since)}, changed by hand since: Threshold differs" in answer.sentence  # fmt: skip
    assert (threshold(live, name), threshold(live, since)) == (99, 98)
    by_hand(live, name, 80.0)
    by_hand(live, since, 80.0)


def waits_for_another_metric_too(run: Run, live: Sandbox, applied: Apply, scheduled: Path) -> None:
    """A report that becomes rare is watched by another metric, which has no datapoint yet: its alarm is not on at once."""
    scheduled.write_text(scheduled.read_text().replace("*/30 * * * *", "0 9 1 * *"))
    rare = deploying.deploy(with_alerts(run, thresholds={}))
    assert [step.operation for step in rare.steps] == ["CreateChangeSet", "PutMetricData", "ExecuteChangeSet"]
    assert applied(rare).verdict == "ok"
    live.advance("5m")
    [alarm] = live.client("cloudwatch").describe_alarms(AlarmNames=["sandbox-report-looks"])["MetricAlarms"]
    assert (alarm["MetricName"], alarm["StateValue"]) == ("Overdue", "OK")


def test_a_stack_that_fails_is_told_with_its_reason(run: Run, live: Sandbox, applied: Apply) -> None:
    """An alarm of that name stands already: CloudFormation says so, rolls back, and what comes after is not tried.

    A log group that stacks left standing is none of that: it is taken over, with what is in it.
    """
    logs, group = live.client("logs"), {"logGroupName": "/aws/lambda/ops-notify-slack"}
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(**group)
    logs.create_log_stream(**group, logStreamName="of before")
    name = "sandbox-alerting-slack-failed"
    watched = {"Namespace": "Test", "MetricName": "Other", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    live.client("cloudwatch").put_metric_alarm(AlarmName=name, Threshold=1, ComparisonOperator="LessThanThreshold", **watched)  # fmt: skip
    plan = deploying.deploy(run)
    answer = applied(plan)
    assert answer.verdict == "critical" and name in answer.sentence and "the next was not tried" in answer.sentence
    assert status(live, "alerts-services") in {"not there", "DELETE_COMPLETE"}
    live.client("cloudwatch").delete_alarms(AlarmNames=[name])
    answer = applied(deploying.deploy(run))
    assert answer.verdict == "ok", answer.sentence
    assert "of before" in {one["logStreamName"] for one in logs.describe_log_streams(**group)["logStreams"]}


def test_a_right_that_is_missing_changes_nothing(run: Run, live: Sandbox) -> None:
    live.fault(service="s3", operation="HeadBucket", kind="access-denied")
    with pytest.raises(OpsError, match=r"HeadBucket (was denied|failed: 403)"):
        deploying.deploy(run)
