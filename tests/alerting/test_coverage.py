"""alarm-coverage: on the sandbox as it is nothing is wrong; every gap that is made is found, and what was not seen is no gap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opslib import aws, frames
from opslib.alerting import coverage
from opslib.alerting.coverage_parts import judged
from opslib.errors import ParameterError, SourceError, WindowError
from opslib.result import Result, Sight, Verdict
from opslib.run import Run, start
from opslib.runner import headless
from opslib.sandbox.control import Sandbox
from opslib.sources import alarms

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
SandboxFactory = Callable[..., Sandbox]


@pytest.fixture(scope="module")
def run(sandbox: Sandbox) -> Run:
    return start()


def alarm(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "region": "r", "state": "OK", "since": NOW - timedelta(days=9), "severity": "warning", "runbook": "x", "enabled": True,
        "actions": 1, "watches": f"AWS/RDS {name} A=b", "rule": "", **more,
    }  # fmt: skip


def history(*changes: tuple[str, float, str]) -> pd.DataFrame:
    """Return changes (name, hours ago, state after), oldest first."""
    rows = [
        {"at": NOW - timedelta(hours=ago), "name": name, "before": "OK" if after == "ALARM" else "ALARM", "after": after, "region": "r"}
        for name, ago, after in changes
    ]  # fmt: skip
    return frames.made(rows, alarms.HISTORY)


def test_firings_are_counted_within_any_24_hours() -> None:
    changes = [("a", ago, after) for hour in (60, 40, 39, 30, 17) for ago, after in ((hour, "ALARM"), (hour - 0.5, "OK"))]  # fmt: skip
    found = judged(frames.made([alarm("a"), alarm("b")], alarms.ALARMS), history(*changes), NOW).set_index("name")
    assert tuple(found.loc["a", ["fired", "busiest", "on_s", "quiet"]]) == (5, 4, 1800.0, False)  # 40 to 17 h ago
    assert tuple(found.loc["b", ["fired", "busiest", "quiet"]]) == (0, 0, True)


def test_who_tells_somebody_and_who_stands_still() -> None:
    rows = [
        alarm("mute", actions=0), alarm("off", enabled=False), alarm("child", actions=0), alarm("by-arn", actions=0), alarm("else", actions=0, region="other"),
        alarm("both", actions=2, watches="", rule='ALARM("child") OR ALARM(arn:aws:cloudwatch:r:1:alarm:by-arn) OR ALARM("else")'),
        alarm("long", state="ALARM"), alarm("short", state="ALARM", since=NOW - timedelta(hours=23)),
        alarm("blind", state="INSUFFICIENT_DATA"), alarm("idle", state="INSUFFICIENT_DATA", watches="AWS/Lambda Errors FunctionName=f"),
        alarm("bare", severity="", runbook=""),
    ]  # fmt: skip
    found = judged(frames.made(rows, alarms.ALARMS), None, NOW)
    assert set(found.loc[~found["tells"], "name"]) == {"mute", "off", "else"}
    assert set(found.loc[found["stuck"], "name"]) == {"long", "blind"}
    assert dict(found.loc[found["lacks"] != "", ["name", "lacks"]].to_numpy()) == {"bare": "severity and notebook"}


def test_the_template_covers_all_that_runs(run: Run) -> None:
    result = coverage.gaps(run)
    assert result.verdict is Verdict.OK and result.sight is Sight.COMPLETE, result.sentence
    assert result.facts["alarms"] == "114" and result.findings == ()
    assert (
        result.facts["things without"] == "2"
        and "without one: queue shop-jobs; queue shop-jobs-dead." in result.sentence
    )
    table = result.part("things").table
    assert table is not None and len(table) == 18
    bare = table[table["alarms"] == 0]
    assert list(table["thing"])[:2] == list(bare["thing"])  # what lacks an alarm stands on top
    assert list(bare["thing"]) == ["queue shop-jobs", "queue shop-jobs-dead"] and not bare["flagged"].any()
    assert set(bare["what is missing"]) == {"no alarm; opslib.toml does not name it"}
    assert dict(table[["thing", "alarms"]].to_numpy())["RDS instance shop-db-replica-1"] == 11
    rang = result.part("restless").table
    assert rang is not None and "sandbox-shop-db-db-load" in set(rang["alarm"])


@pytest.mark.parametrize("window", ["31d", "2026-10-01 10:00/2026-10-02 10:00 JST"])
def test_what_cloudwatch_has_forgotten_is_refused(sandbox: Sandbox, window: str) -> None:
    with pytest.raises(WindowError, match="before the history"):
        coverage.gaps(start(window=window))


def test_one_firing_is_no_flapping(run: Run) -> None:
    with pytest.raises(ParameterError, match="flapping = 1"):
        coverage.gaps(run, flapping=1)


def test_a_region_that_was_not_seen_has_no_gaps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = aws.pages

    def pages(environment: Any, *asked: Any, region: str = "", **more: Any) -> Iterator[Any]:
        if asked[0] == "lambda" or (asked[1] in {"describe_alarms", "list_rules"} and region == "us-east-1"):
            raise SourceError(f"{asked[1]} was denied", sight="denied")
        return real(environment, *asked, region=region, **more)

    monkeypatch.setattr(aws, "pages", pages)
    result = coverage.gaps(run)
    assert result.verdict is Verdict.UNKNOWN and result.sight is Sight.PARTIAL and result.findings == ()
    assert "alarms of us-east-1: describe_alarms was denied" in result.reason
    assert "functions: list_functions was denied" in result.reason
    assert "rules in us-east-1: list_rules was denied" in result.reason
    events = result.part("events")
    assert events.verdict is Verdict.UNKNOWN and events.sight is Sight.PARTIAL and events.table is not None
    assert set(events.table["region"]) == {"ap-northeast-1"} and not events.table["flagged"].any()


def test_what_is_denied_leaves_a_whole_record(
    running_sandbox: SandboxFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cell of the notebook asks for a part, also when no alarm could be seen."""
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    aws.forget()
    running_sandbox("frozen", "quiet-day").fault(service="cloudwatch", kind="access-denied")
    _, summary = headless.run("alarm-coverage", {})
    assert (summary["status"], summary["exit_code"]) == ("finished", 2), summary["error"]
    assert summary["results"][0]["sight"] == "denied"


@pytest.fixture(scope="module")
def broken() -> Iterator[Result]:
    """Return what is said of an account in which one thing of each kind was broken."""
    with Sandbox(clock="running", scenario="quiet-day") as live, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(live.directory))
        aws.forget()
        cloudwatch = live.client("cloudwatch")
        there = {one["AlarmName"]: one for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
                 for one in page["MetricAlarms"]}  # fmt: skip
        cloudwatch.delete_alarms(AlarmNames=["sandbox-severe-cache"])  # AWS deletes no child of a composite alarm
        cloudwatch.delete_alarms(AlarmNames=[name for name in there if "shop-cache-002" in name])
        cloudwatch.disable_alarm_actions(
            AlarmNames=["sandbox-api-memory-utilization", "sandbox-shop-db-cpu-utilization"]
        )
        severe = cloudwatch.describe_alarms(AlarmNames=["sandbox-severe-services"], AlarmTypes=["CompositeAlarm"])[
            "CompositeAlarms"
        ][0]
        kept = {name: severe[name] for name in ("AlarmName", "AlarmDescription", "AlarmRule", "AlarmActions")}
        cloudwatch.put_composite_alarm(**kept, ActionsEnabled=False)
        _again(cloudwatch, there["sandbox-shop-db-read-latency"], AlarmName="slow-reads", AlarmDescription="by hand")
        _again(cloudwatch, there["sandbox-api-cpu-utilization"], Threshold=99.0)
        cloudwatch.delete_alarms(AlarmNames=["sandbox-shop-db-read-latency", "sandbox-jobs-failed"])
        live.client("sqs").create_queue(QueueName="orders")
        _break_rules(live.client("events"))
        for _ in range(4):
            for state in ("ALARM", "OK"):
                live.advance("7m")
                cloudwatch.set_alarm_state(AlarmName="sandbox-web-cpu-utilization", StateValue=state, StateReason="test")  # fmt: skip
        patch.setattr(aws, "pages", _deletes_one_meanwhile(live.client("events")))
        yield coverage.gaps(start(env="sandbox"))
    aws.forget()


def _deletes_one_meanwhile(events: Any) -> Callable[..., Iterator[Any]]:
    """Return how pages are asked for while a rule is deleted that was just listed, as AWS answers (ministack tells no targets): the others are seen."""
    real = aws.pages
    events.put_rule(Name="fleeting", EventPattern=json.dumps({"source": ["aws.rds"], "detail-type": ["other"]}))

    def pages(environment: Any, *asked: Any, **more: Any) -> Iterator[Any]:
        if more.get("Rule") == "fleeting":
            raise SourceError(
                "ListTargetsByRule failed: ResourceNotFoundException", why="Rule fleeting does not exist."
            )
        return real(environment, *asked, **more)

    return pages


def _break_rules(events: Any) -> None:
    """Switch one off, let one be gone, one match less and one tell somebody else; another name is no gap."""
    events.disable_rule(Name="alerts-application-BuildFailed")
    events.remove_targets(Rule="alerts-application-ServiceStuck", Ids=["notify"])
    events.delete_rule(Name="alerts-application-ServiceStuck")
    less = {"source": ["aws.rds", "ops.drill"], "detail-type": ["RDS DB Instance Event"], "detail": {"EventCategories": ["failure"]}}  # fmt: skip
    events.put_rule(Name="alerts-application-DatabaseEvent", EventPattern=json.dumps(less))
    events.put_targets(Rule="alerts-application-DeploymentFailed", Targets=[{"Id": "notify", "Arn": "arn:aws:sqs:ap-northeast-1:000000000000:orders"}])  # fmt: skip
    health = events.describe_rule(Name="alerts-application-Health")["EventPattern"]
    events.put_rule(Name="ours", EventPattern=health)
    events.put_targets(Rule="ours", Targets=events.list_targets_by_rule(Rule="alerts-application-Health")["Targets"])
    events.disable_rule(Name="alerts-application-Health")


def _again(cloudwatch: Any, alarm: dict[str, Any], **other: Any) -> None:
    taken = ("AlarmName", "AlarmDescription", "AlarmActions", "Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Period",
             "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData")  # fmt: skip
    cloudwatch.put_metric_alarm(**{name: alarm[name] for name in taken if name in alarm} | other)


@pytest.mark.parametrize(
    "key",
    [
        "bare:cache node shop-cache-002", "missing:sandbox-shop-cache-002-evictions", "missing:sandbox-jobs-failed", "uncounted:/shop/worker",
        *(f"rule:{name}:ap-northeast-1" for name in ("BuildFailed", "ServiceStuck", "DatabaseEvent", "DeploymentFailed")), "silent:sandbox-api-memory-utilization", "edited:sandbox-api-cpu-utilization", "flaps:sandbox-web-cpu-utilization",
    ],
)  # fmt: skip
def test_each_gap_is_found(broken: Result, key: str) -> None:
    assert f"coverage:{key}" in {finding.key for finding in broken.findings}, broken.sentence


def test_what_is_as_good_is_no_gap(broken: Result) -> None:
    keys = {finding.key for finding in broken.findings}
    assert "coverage:missing:sandbox-shop-db-read-latency" not in keys  # slow-reads looks at the same
    assert "coverage:silent:sandbox-shop-db-cpu-utilization" not in keys  # its composite alarm tells
    assert "coverage:rule:Health:ap-northeast-1" not in keys  # the rule of another name matches and tells the same
    events = broken.part("events").table
    assert events is not None and broken.facts["event rules amiss"] == "4"
    assert {row["rule"]: row["what is wrong"] for row in events[events["flagged"]].to_dict("records")} == {
        "BuildFailed": "switched off: alerts-application-BuildFailed", "ServiceStuck": "no rule matches these events",
        "DatabaseEvent": "matches other events: alerts-application-DatabaseEvent", "DeploymentFailed": "does not tell ops-alerts: alerts-application-DeploymentFailed",
    }  # fmt: skip
    assert not [key for key in keys if "orders" in key]  # a queue that opslib.toml does not name is told, and no gap
    things = broken.part("things").table
    assert things is not None
    assert dict(things[["thing", "what is missing"]].to_numpy())["queue orders"] == "no alarm; opslib.toml does not name it"  # fmt: skip


def test_the_worst_comes_first_and_is_critical(broken: Result) -> None:
    assert broken.verdict is Verdict.CRITICAL
    assert broken.sentence.startswith("2 alarms tell nobody: ") and broken.facts["flap"] == "1"
    useless = broken.part("useless").table
    assert useless is not None
    wrong = dict(useless[["alarm", "what is wrong"]].to_numpy())
    assert wrong["slow-reads"] == "its description names no severity and notebook"
    assert wrong["sandbox-severe-services"] == "its actions are switched off"
    assert wrong["sandbox-api-cpu-utilization"].startswith("the template has: Average > 80")
    assert broken.next[0].parameters == {"report": "sandbox-web-cpu-utilization"}
