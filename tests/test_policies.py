"""The read policy: exactly the reading calls that opslib makes, each as narrow as AWS allows, and nothing that changes."""

import re
from functools import cache

import pytest
from policy_sentry.querying.actions import get_action_data

from opslib import aws, config, policies
from opslib.errors import ParameterError
from opslib.sandbox.control import Sandbox
from tests.aws_calls import called

PREFIXES = {"elbv2": "elasticloadbalancing"}
RENAMED = {
    "s3:ListObjectVersions": "s3:ListBucketVersions", "s3:ListObjectsV2": "s3:ListBucket", "s3:HeadObject": "s3:GetObject", "s3:HeadBucket": "s3:ListBucket",
}  # fmt: skip
# The doctor tries only what a runbook reaches; locks, closed incidents and the alerts' stacks are for whoever may change;
# what schedules know is a scheduled run's; the notifier has a role of its own.
ELSEWHERE = ("doctor/probes.py", "locks.py", "incidents/", "scheduling/", "actions/alert_stacks.py", "actions/alert_drill.py", "actions/schedule_stacks.py", "alerting/deploying.py", "alerting/notifier.py")  # fmt: skip
BESIDE = {"rds-db:connect"}  # no API call: the database session of the reader, whose grants are PostgreSQL's
OF_TESTS = {"cloudwatch:GetMetricStatistics", "ssm:AddTagsToResource"}  # to compare with; a step of a plan made there
STATEMENTS = policies.policy("read")["Statement"]
ALLOWED = {action for statement in STATEMENTS for action in statement["Action"]}


@cache
def known(action: str) -> tuple[str, tuple[str, ...]]:
    """Return access level and ARN formats of an action; "*" among them means that AWS takes it without a resource."""
    service, name = action.split(":")
    rows = get_action_data(service, name)[service]
    return rows[0]["access_level"], tuple(row["resource_arn_format"] for row in rows)


def iam_action(call: str) -> str:
    service, name = call.split(":")
    return RENAMED.get(call, f"{PREFIXES.get(service, service)}:{name}")


@cache
def reads() -> dict[str, list[str]]:
    """Return the reading actions of the program with the modules that ask for them."""
    found = {
        iam_action(call): sorted(each for each in modules if not each.startswith(ELSEWHERE))
        for call, modules in called().items()
    }
    return {action: modules for action, modules in found.items() if modules and known(action)[0] in ("Read", "List")}


def test_every_reading_call_is_allowed() -> None:
    missing = {action: modules for action, modules in reads().items() if action not in ALLOWED}
    assert not missing, "add to opslib/policies/read.json"


def test_nothing_else_is_allowed() -> None:
    assert set(reads()) >= ALLOWED - BESIDE, "remove from opslib/policies/read.json"


def test_who_plans_alerts_and_schedules_may_read_what_that_takes() -> None:
    operator = {action for statement in policies.policy("operator")["Statement"] for action in statement["Action"]}
    asked = {iam_action(call) for call, modules in called().items() if modules & {"actions/alert_stacks.py", "actions/alert_drill.py", "actions/schedule_stacks.py", "alerting/deploying.py", "scheduling/deploying.py"}}  # fmt: skip
    assert {"secretsmanager:DescribeSecret", "scheduler:GetSchedule"} <= asked
    assert not {each for each in asked if known(each)[0] in ("Read", "List")} - ALLOWED - operator


@pytest.mark.parametrize("name", ["operator", "runner"])
def test_who_may_hear_that_nothing_is_known_may_list_the_bucket(name: str) -> None:
    """S3 tells others of what is not there that it is denied: no schedule's first run would begin, no lock be had again."""
    given = {(action, resource) for one in policies.policy(name)["Statement"] for action in one["Action"] for resource in one["Resource"]}  # fmt: skip
    assert [resource for action, resource in given if action == "s3:GetObject" and "{lock_bucket}/" in resource]
    assert ("s3:ListBucket", "arn:aws:s3:::{lock_bucket}") in given


@pytest.mark.parametrize("action", sorted(ALLOWED - BESIDE))
def test_nothing_that_is_allowed_changes_anything(action: str) -> None:
    assert known(action)[0] in ("Read", "List") and "*" not in action


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement["Sid"])
def test_what_aws_can_scope_is_scoped(statement: dict[str, list[str]]) -> None:
    for action in set(statement["Action"]) - BESIDE:
        formats = [re.sub(r"\\\$\\\{[^}]+\\\}", ".+", re.escape(each)) for each in known(action)[1]]
        fits = [resource for resource in statement["Resource"] if any(re.fullmatch(each, resource) for each in formats)]
        assert fits, action
        assert statement["Resource"] != ["*"] or "*" in known(action)[1], action


def test_it_is_filled_for_an_environment(sandbox: Sandbox) -> None:
    environment = config.load("sandbox")
    resources = [
        each for statement in policies.filled("read", environment)["Statement"] for each in statement["Resource"]
    ]
    assert not [each for each in resources if "{" in each]
    assert "arn:aws:amplify:ap-northeast-1:000000000000:apps/d2shopexample" in resources
    bare = config.Environment(account="000000000000", region="eu-west-1", log_groups=("/shop/api", "/shop/web"))
    statements = {each["Sid"]: each["Resource"] for each in policies.filled("read", bare)["Statement"]}
    assert not statements.keys() & {"FrontEnd", "Edge", "Services", "HealthChecks", "DatabaseSessionAsReader"}
    assert statements["Logs"][:2] == [
        f"arn:aws:logs:eu-west-1:000000000000:log-group:/shop/{name}" for name in ("api", "web")
    ]
    with pytest.raises(ParameterError):
        policies.filled("../read", bare)


def test_what_was_called_in_this_process_was_foreseen() -> None:
    planned = {
        action
        for name in ("change", "runner")
        for statement in policies.policy(name)["Statement"]
        for action in statement["Action"]
    }
    assert set(aws.calls()) <= set(called()) | planned | OF_TESTS  # steps of plans name AWS's operations, not boto3's
