"""Needs are read off the code: what a runbook really calls is among them."""

import pytest

import opslib
from opslib import aws
from opslib.checks import audit, jobs
from opslib.doctor import needs
from opslib.doctor.findings import action_of
from opslib.runner import runbooks
from opslib.sandbox.control import Sandbox


def of(name: str) -> needs.Needs:
    return needs.of_notebook(runbooks.read(runbooks.find(name)[1]))


def test_a_runbook_needs_what_its_checks_reach_and_no_more() -> None:
    found = of("failed-jobs")
    assert ("logs", "start_query") in found.calls and "job_runs_page" in found.queries and "job.id" in found.fields
    assert not any(service in {"ecs", "rds", "cloudfront", "amplify"} for service, _ in found.calls)
    assert "audit_logs_page" not in found.queries and "database" in found.sections


@pytest.mark.parametrize("name", ["failed-jobs", "who-did-what"])
def test_what_is_called_was_foretold(sandbox: Sandbox, name: str) -> None:
    before = aws.calls()
    run = opslib.start(env="sandbox", window="3h")
    _ = jobs.failed(run) if name == "failed-jobs" else audit.who(run)
    called = {call for call, count in aws.calls().items() if count > before.get(call, 0)}
    foretold = {f"{service}:{needs.operations(service)[operation]}" for service, operation in of(name).calls}
    assert called <= foretold


def test_an_action_is_named_as_iam_names_it() -> None:
    assert action_of("elbv2", "describe_target_health") == "elasticloadbalancing:DescribeTargetHealth"
    assert action_of("pi", "get_resource_metrics") == "pi:GetResourceMetrics"
