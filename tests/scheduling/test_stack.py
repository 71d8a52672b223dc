"""The template of schedules: CloudFormation takes it, its times are cron's own, and each way to spoil it breaks a rule."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import cron
from opslib.alerting.report_alarms import report_alarms
from opslib.alerting.template import text
from opslib.config import Environment
from opslib.config_sections import Schedule
from opslib.errors import ConfigError
from opslib.scheduling import stack
from tests.scheduling.stack_rules import ROLES, broken

RUNNER = {"task_definition": "ops-reports", "container": "opslib", "subnets": ("subnet-0a1b2c3d",), "security_groups": ("sg-0a1b2c3d",)}  # fmt: skip
FULL: dict[str, Any] = {
    "name": "prod", "account": "123456789012", "region": "ap-northeast-1", "timezone": "Asia/Tokyo", "lock_bucket": "ops-locks",
    "services": {"cluster": "shop"}, "runner": RUNNER,
}  # fmt: skip
TIMES = {"morning": ("30 8 * * mon-fri", "cron(30 8 ? * MON,TUE,WED,THU,FRI *)"), "often": ("*/15 * * * *", "cron(0,15,30,45 * * * ? *)")}  # fmt: skip


def scheduled(name: str, expression: str) -> Schedule:
    return Schedule(name=name, notebook="1-monitor/daily-health", cron=expression)


def made(**changed: Any) -> dict[str, Any]:
    listed = [scheduled(name, expression) for name, (expression, _) in TIMES.items()]
    return stack.template(Environment(**{**FULL, **changed}), listed, ROLES)


def rules(template: dict[str, Any]) -> list[str]:
    return broken(template, {name: said for name, (_, said) in TIMES.items()})


def test_cloudformation_accepts_it(tmp_path: Path) -> None:
    file = tmp_path / "schedules.json"
    file.write_text(text(made()))
    asked = [str(Path(sys.executable).with_name("cfn-lint")), "-r", "ap-northeast-1", "--", str(file)]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_our_rules_hold() -> None:
    assert rules(made()) == []


def grants(template: dict[str, Any]) -> list[dict[str, Any]]:
    return template["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]  # type: ignore[no-any-return]


def morning(template: dict[str, Any]) -> dict[str, Any]:
    return next(one["Properties"] for one in template["Resources"].values() if one["Properties"].get("Name") == "schedules-prod-morning")  # type: ignore[no-any-return]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda it: morning(it)["Target"].pop("DeadLetterConfig"), "morning is lost"),
        (lambda it: it["Resources"].pop("Undelivered"), "there is no queue"),
        (lambda it: it["Resources"].pop("UndeliveredAlarm"), "nobody is told"),
        (lambda it: grants(it)[0].update(Resource="*"), "the role may do otherwise"),
        (lambda it: grants(it)[0].pop("Condition"), "the role may do otherwise"),
        (lambda it: grants(it)[1].update(Resource="arn:aws:iam::123456789012:role/*"), "the role may do otherwise"),
        (lambda it: grants(it)[1].pop("Condition"), "the role may do otherwise"),
        (lambda it: grants(it).pop(), "the role may do otherwise"),
        (lambda it: it["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"), "others than this account"),
        (lambda it: morning(it).update(ScheduleExpressionTimezone="UTC"), "morning comes at another time"),
        (lambda it: morning(it).update(FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}), "morning comes at another time"),
        (lambda it: morning(it)["Target"].update(Input=morning(it)["Target"]["Input"].replace("--due", "--each")), "morning runs another command"),
        (lambda it: morning(it)["Target"].update(Input=morning(it)["Target"]["Input"].replace('"prod"', '"dev"')), "morning runs another command"),
        (lambda it: morning(it)["Target"]["EcsParameters"].update(LaunchType="EC2"), "morning starts another task"),
        (lambda it: morning(it).update(Name="schedules-prod-other"), "other schedules"),
    ],
)  # fmt: skip
def test_a_spoilt_template_breaks_a_rule(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    template = copy.deepcopy(made())
    spoil(template)
    assert any(said in one for one in rules(template)), rules(template)


def comes(expression: str, moment: datetime) -> bool:
    """Tell whether EventBridge Scheduler calls at a moment, by AWS's reading of its six fields."""
    fields = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) \*\)", expression)
    assert fields and (fields[3] == "?") != (fields[5] == "?")
    weekday = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")[moment.weekday()]
    values = (moment.minute, moment.hour, moment.day, moment.month, weekday)
    return all(field in "*?" or str(value) in field.split(",") for field, value in zip(fields.groups(), values, strict=True))  # fmt: skip


@pytest.mark.parametrize("text", ["30 8 * * mon-fri", "*/15 9-17 * * *", "0 0 */2 jan-mar *", "5/20 6 1,15 * *", "0 12 * * 0", "0 12 * * 7", "0 12 * * 5-7", "0 12 * * */2", "7 3 31 * *"])  # fmt: skip
def test_scheduler_calls_when_cron_would(text: str) -> None:
    said, moment, end = cron.for_scheduler(text), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    theirs = [at for minutes in range(int((end - moment).total_seconds() // 60)) if comes(said, at := moment + timedelta(minutes=minutes))]  # fmt: skip
    ours, at = [], moment - timedelta(seconds=1)
    while (at := cron.following(text, at, UTC)) < end:
        ours.append(at)
    assert theirs == ours and ours


@pytest.mark.parametrize(
    ("expression", "why"),
    [("0 8 1 * mon", "cannot hold day of month '1' and day of week 'mon' together"), ("0 8 */2 * mon", "together"), ("1-59 1-22 2-31 2-12 *", "Scheduler takes 256")],
)  # fmt: skip
def test_what_scheduler_cannot_say_is_refused_by_its_schedule(expression: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)) as told:
        stack.template(Environment(**FULL), [scheduled("both", expression)], ROLES)
    assert "opslib.toml, [[schedule]] both: key 'cron' is wrong" in told.value.text() and "write two schedules" in told.value.text()  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "what", "fix"),
    [
        ({"runner": None}, "runner is missing", "add [env.prod.runner] with task_definition, container, subnets and security_groups"),
        ({"lock_bucket": ""}, "lock_bucket is missing", 'add lock_bucket = "BUCKET"'),
        ({"services": {}}, "no cluster is named", "add cluster"),
        ({"timezone": "+09:00"}, "key 'timezone' is wrong", "Asia/Tokyo"),
        ({"name": "an-environment-of-quite-some-length-and-more-than-that"}, "key 'name' is wrong", "shorter"),
    ],
)  # fmt: skip
def test_what_the_configuration_lacks_is_said(changed: dict[str, Any], what: str, fix: str) -> None:
    with pytest.raises(ConfigError) as told:
        made(**changed)
    assert what in told.value.text() and fix in told.value.text()


def test_jst_is_tokyo_to_scheduler_and_a_cluster_of_its_own_is_taken() -> None:
    assert rules(made(timezone="JST")) == []
    template = made(services={"cluster": "other"}, runner={**RUNNER, "cluster": "shop"})
    assert rules(template) == []


def test_where_every_report_is_rare_a_task_asks_daily_whether_one_is_overdue() -> None:
    listed = [scheduled("monthly", "0 9 1 * *"), scheduled("weekly", "0 9 * * mon")]
    watch = stack.template(Environment(**FULL), listed, ROLES)["Resources"]["Watch"]["Properties"]
    assert (watch["Name"], watch["ScheduleExpression"], watch["ScheduleExpressionTimezone"]) == ("schedules-prod-Watch", "cron(0 12 * * ? *)", "Asia/Tokyo")  # fmt: skip
    assert json.loads(watch["Target"]["Input"])["containerOverrides"][0]["command"] == [
        "opslib",
        "run",
        "--due",
        "--env",
        "prod",
    ]
    assert watch["Target"]["DeadLetterConfig"] == morning(made())["Target"]["DeadLetterConfig"]
    assert "Watch" not in made()["Resources"]  # what comes daily says it
    alarms = report_alarms(
        Environment(**FULL), [*listed, scheduled("daily", "30 8 * * *"), scheduled("twice", "0 8,9 * * mon")]
    )
    assert [one.row["metric"] for one in alarms] == ["Overdue", "Overdue", "Success", "Overdue"]
    assert all(one.row["period"] * one.row["n"] <= 7 * 86_400 for one in alarms)  # CloudWatch looks back no further
    for other, there in (
        ("30 8 * * mon-fri", True),
        ("30 8 * * *", False),
    ):  # from Friday to Monday nobody would say it
        beside = stack.template(Environment(**FULL), [*listed, scheduled("other", other)], ROLES)["Resources"]
        assert ("Watch" in beside) is there, other


def test_public_addresses_are_given_only_where_wanted() -> None:
    given = [morning(made(runner={**RUNNER, "public_ip": wanted}))["Target"]["EcsParameters"]["NetworkConfiguration"]["AwsvpcConfiguration"] for wanted in (False, True)]  # fmt: skip
    assert [one["AssignPublicIp"] for one in given] == ["DISABLED", "ENABLED"]
