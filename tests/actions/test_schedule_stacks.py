"""The schedules of an environment by one plan: refused, planned, made and seen, changed, and taken back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opslib.applying import results_of, way_back
from opslib.errors import ConfigError, OpsError
from opslib.plan import ACTIONS, Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.scheduling import deploying
from tests.warm_commands import OPSLIB

Apply = Callable[..., Result]
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
MORNING = '[[schedule]]\nname = "morning"\nnotebook = "1-monitor/daily-health"\ncron = "30 8 * * mon-fri"\n'
NIGHTLY = '[[schedule]]\nname = "nightly"\nnotebook = "1-monitor/alarm-coverage"\ncron = "0 3 * * *"\n'
STACK, NAME = "schedules-sandbox", "schedules-sandbox-morning"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.setenv("OPSLIB_ROOT", str(root))

    def write(*schedules: str) -> None:
        head = f'default = "sandbox"\nnotebook_paths = ["{NOTEBOOKS}"]\n'
        (root / "opslib.toml").write_text(head + "".join(schedules))

    write(MORNING, NIGHTLY)
    return write


def changed(run: Run, **runner: Any) -> Run:
    assert run.environment.runner
    run.environment = run.environment.model_copy(update={"runner": run.environment.runner.model_copy(update=runner)})
    return run


def status(live: Sandbox) -> str:
    told = live.client("cloudformation").list_stacks()["StackSummaries"]
    return str(next((one["StackStatus"] for one in told if one["StackName"] == STACK), "not there"))


def seen(plan: Plan, run: Run) -> str:
    """Look once more how a plan went that was applied."""
    found = ACTIONS[plan.action].follow(run.environment, plan, results_of(plan) or {})
    return f"{found.state}: {found.says}"


def test_without_a_schedule_there_is_nothing_to_apply(run: Run, project: Callable[..., None]) -> None:
    project()
    plan = deploying.deploy(run)
    [blocked] = plan.blocked
    assert blocked.what == "something is scheduled" and "has no [[schedule]] for sandbox" in blocked.found and not plan.steps  # fmt: skip


def test_times_that_scheduler_cannot_say_are_refused_before_anything_is_asked(run: Run, project: Callable[..., None], live: Sandbox) -> None:  # fmt: skip
    project(MORNING, NIGHTLY.replace("0 3 * * *", "0 3 1 * mon"))
    with pytest.raises(ConfigError, match=r"\[\[schedule\]\] nightly: key 'cron' is wrong"):
        deploying.deploy(run)
    assert status(live) == "not there"


@pytest.mark.parametrize(
    ("runner", "found"),
    [({"task_definition": "shop-nothing"}, "there is no such task definition"), ({"container": "opslib"}, "its containers are batch")],
)  # fmt: skip
def test_a_task_that_cannot_be_started_blocks(run: Run, project: Callable[..., None], runner: dict[str, str], found: str) -> None:  # fmt: skip
    [blocked] = deploying.deploy(changed(run, **runner)).blocked
    assert blocked.found.startswith(found)


def test_a_task_that_cannot_be_looked_at_is_no_missing_task(run: Run, project: Callable[..., None], live: Sandbox) -> None:  # fmt: skip
    live.fault(service="ecs", operation="DescribeTaskDefinition", kind="access-denied")
    with pytest.raises(OpsError, match="DescribeTaskDefinition was denied"):
        deploying.deploy(run)


def test_they_are_made_seen_changed_and_taken_back(run: Run, project: Callable[..., None], live: Sandbox, applied: Apply) -> None:  # fmt: skip
    plan = deploying.deploy(run)
    assert [step.operation for step in plan.steps] == ["CreateChangeSet", "ExecuteChangeSet"] and not plan.blocked
    assert [one.target for one in plan.changes] == [STACK] and status(live) == "not there"
    [times] = [one.found for one in plan.conditions if "can say every time" in one.what]
    assert times == f"{NAME} cron(30 8 ? * MON,TUE,WED,THU,FRI *); {STACK}-nightly cron(0 3 * * ? *), in Asia/Tokyo"
    answer = applied(plan)
    assert answer.verdict == "ok" and answer.facts["schedules"] == "2", answer.sentence
    told = live.client("scheduler").get_schedule(Name=NAME)
    assert (told["State"], told["ScheduleExpression"], told["ScheduleExpressionTimezone"]) == ("ENABLED", "cron(30 8 ? * MON,TUE,WED,THU,FRI *)", "Asia/Tokyo")  # fmt: skip
    target = told["Target"]
    assert json.loads(target["Input"])["containerOverrides"] == [{"name": "batch", "command": ["opslib", "run", "--due", "--env", "sandbox", "morning"]}]  # fmt: skip
    assert target["EcsParameters"]["NetworkConfiguration"]["awsvpcConfiguration"]["Subnets"] == ["subnet-0a1", "subnet-0c2"]  # fmt: skip
    assert target["DeadLetterConfig"]["Arn"].startswith("arn:aws:sqs:") and ":role/" in target["RoleArn"]
    assert [one.what for one in deploying.deploy(run).blocked] == ["something is to be changed"]

    tells_what_is_otherwise(plan, run, live)
    project(MORNING.replace("30 8", "45 7"), NIGHTLY)
    change = deploying.deploy(run)
    assert [one.target.rpartition(" ")[2] for one in change.changes] == ["(AWS::Scheduler::Schedule)"]
    assert applied(change).verdict == "ok"
    scheduler = live.client("scheduler")
    assert scheduler.get_schedule(Name=NAME)["ScheduleExpression"].startswith("cron(45 7 ")
    assert applied(way_back(change)).verdict == "ok"
    assert scheduler.get_schedule(Name=NAME)["ScheduleExpression"].startswith("cron(30 8 ")

    gone = way_back(plan)
    assert [step.operation for step in gone.steps] == ["DeleteStack"]
    assert applied(gone).verdict == "ok" and status(live) == "DELETE_COMPLETE"
    assert not scheduler.list_schedules(NamePrefix=STACK)["Schedules"]


def tells_what_is_otherwise(plan: Plan, run: Run, live: Sandbox) -> None:
    """A stack may be complete and its schedules say something else: each such way is told by its name, and mended here."""
    assert seen(plan, run).startswith("done")
    scheduler = live.client("scheduler")
    told = scheduler.get_schedule(Name=NAME)
    names = ("Name", "State", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "Description")  # fmt: skip
    kept = {name: told[name] for name in names}
    other = {**kept["Target"], "Input": kept["Target"]["Input"].replace("morning", "evening")}
    for spoilt, said in (({"State": "DISABLED"}, "state is DISABLED, not ENABLED"), ({"ScheduleExpressionTimezone": "UTC"}, "timezone is UTC, not Asia/Tokyo"), ({"Target": other}, "input is")):  # fmt: skip
        scheduler.update_schedule(**{**kept, **spoilt})
        assert seen(plan, run).startswith(f"failed: the stack is complete, and {NAME}: {said}")
    scheduler.delete_schedule(Name=NAME)
    assert seen(plan, run) == f"failed: the stack is complete, and the schedule {NAME} is not there"
    scheduler.create_schedule(**kept)
    assert seen(plan, run).startswith("done")


def test_the_command_plans_and_only_the_full_hash_applies(run: Run, project: Callable[..., None], live: Sandbox) -> None:  # fmt: skip
    def opslib(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        program = [*OPSLIB, *words]
        return subprocess.run(program, env={**os.environ, **environ}, capture_output=True, text=True, check=False)

    planned = opslib("schedule", "plan")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    said = re.search(r"OPSLIB_APPLY=([0-9a-f]{64}) opslib schedule apply (\w+)", planned.stdout)
    assert said, planned.stdout
    tried = opslib("schedule", "apply", said[2], OPSLIB_APPLY="0" * 64)
    assert tried.returncode == 3 and "full hash" in tried.stderr
    assert status(live) in {"not there", "DELETE_COMPLETE"}
