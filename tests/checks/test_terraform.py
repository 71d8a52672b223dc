"""A Terraform plan file: what it would do is said without a value of it; what is no plan is said too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opslib import run as runs
from opslib.checks import terraform
from opslib.result import Sight, Verdict
from opslib.sandbox.control import Sandbox


def change(address: str, actions: list[str], before: Any, after: Any, **more: Any) -> dict[str, Any]:
    about = {"address": address, "type": address.split(".")[0], **more}
    return {**about, "change": {"actions": actions, "before": before, "after": after, "after_unknown": {}}}


PLAN: dict[str, Any] = {
    "format_version": "1.2", "terraform_version": "1.9.8", "timestamp": "2026-11-05T02:30:00Z", "errored": False, "complete": True,
    "resource_changes": [
        change("aws_sqs_queue.jobs", ["update"], {"visibility_timeout_seconds": 60, "name": "jobs"}, {"visibility_timeout_seconds": 300, "name": "jobs"}),
        change("aws_db_instance.main", ["delete", "create"], {"password": "planted-secret"}, {"password": "planted-other"}, action_reason="replace_because_cannot_update"),
        change("aws_sns_topic.new", ["create"], None, {"name": "new"}),
        change("aws_s3_bucket.logs", ["no-op"], {"bucket": "logs"}, {"bucket": "logs"}),
    ],
    "resource_drift": [change("aws_ssm_parameter.limit", ["update"], {"value": "200"}, {"value": "150"})],
}  # fmt: skip


def written(folder: Path, content: str) -> str:
    file = folder / "plan.json"
    file.write_text(content)
    return str(file)


def test_what_a_plan_would_do(sandbox: Sandbox, tmp_path: Path) -> None:
    found = terraform.planned(runs.start(), file=written(tmp_path, json.dumps(PLAN)))
    assert found.verdict is Verdict.WARN and found.sight is Sight.COMPLETE
    assert found.sentence == (
        "1 to create, 1 to replace, 1 to update. GONE or made anew, with what they hold: aws_db_instance.main. "
        "Changed by hand since the last run: aws_ssm_parameter.limit."
    )
    assert found.table is not None
    rows = {row["address"]: row for row in found.table.to_dict("records")}
    assert rows["aws_sqs_queue.jobs"]["differs"] == "visibility_timeout_seconds" and "aws_s3_bucket.logs" not in rows
    assert rows["aws_db_instance.main"]["because"] == "replace because cannot update"
    assert "planted" not in found.table.to_csv() + found.sentence  # names of attributes, no values


def test_what_only_adds_is_well_and_a_broken_one_is_not_seen_whole(sandbox: Sandbox, tmp_path: Path) -> None:
    harmless = {**PLAN, "resource_changes": PLAN["resource_changes"][2:3], "resource_drift": []}
    run = runs.start()
    assert terraform.planned(run, file=written(tmp_path, json.dumps(harmless))).verdict is Verdict.OK
    errored = terraform.planned(run, file=written(tmp_path, json.dumps({**harmless, "errored": True})))
    assert errored.sight is Sight.PARTIAL and "ended with an error" in errored.reason


def test_what_is_no_plan_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    run = runs.start()
    assert terraform.planned(run).sentence == "No Terraform plan is named: there is none to read."
    for content in ("{", "[]", "{}", '{"terraform_version": "1", "resource_changes": [{}]}'):
        found = terraform.planned(run, file=written(tmp_path, content))
        assert (
            found.verdict is Verdict.UNKNOWN and found.sight is Sight.ERROR and "is no Terraform plan" in found.sentence
        )
    assert "cannot be read" in terraform.planned(run, file=str(tmp_path / "away")).sentence
