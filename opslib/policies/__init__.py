"""The IAM policies that ship; a name in braces stands for what an environment names.

read.json is all that sources ask, change.json what the change role may do and nothing more, operator.json what a person
needs beside read.json to apply plans: the way into that role, locks, the place of closed incident records, and what a
plan of the alerts or schedules looks at. runner.json is what a scheduled run needs beside read.json: its lock and memory, its report's
place, its metric, and its word to people. stack.json is for the role of CloudFormation itself (`alerts.stack_role`): what
the stacks of alerts and schedules are made of, by the names that they give; a key has no name, so it is any key.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from opslib.errors import ParameterError

if TYPE_CHECKING:
    from opslib.config import Environment

_NAME = re.compile(r"\{(\w+)\}")


def policy(name: str) -> dict[str, Any]:
    """Return a policy as it ships, with names in braces; raises ParameterError for one that does not."""
    file = resources.files(__name__).joinpath(f"{name}.json")
    if not re.fullmatch("[a-z]+", name) or not file.is_file():
        raise ParameterError(f"there is no policy {name!r}", fix="choose read, change, operator, runner or stack")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def filled(name: str, environment: Environment) -> dict[str, Any]:
    """Return a policy for one environment: a resource a name, and no statement for what it does not have, nor an open condition."""
    whole, known = policy(name), _known(environment)
    statements = []
    for statement in whole["Statement"]:
        listed = [resource for one in statement["Resource"] for resource in _expanded(one, known)]
        asked = {
            operator: {key: [each for one in values for each in _expanded(one, known)] for key, values in keys.items()}
            for operator, keys in statement.get("Condition", {}).items()
        }
        if listed and all(values for keys in asked.values() for values in keys.values()):
            statements.append({**statement, "Resource": listed, **({"Condition": asked} if asked else {})})
    return {**whole, "Statement": statements}


def _expanded(resource: str, known: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the resource for every value of the first name in it, then of the next."""
    if not (found := _NAME.search(resource)):
        return [resource]
    texts = [resource.replace(found[0], value) for value in known[found[1]]]
    return list(dict.fromkeys(one for text in texts for one in _expanded(text, known)))


def _known(environment: Environment) -> dict[str, tuple[str, ...]]:
    database = environment.database
    by_token = database.user if database and (database.auth == "iam" or environment.sandbox) else ""
    one = {
        "environment": environment.name, "report_bucket": environment.report_bucket, "account": environment.account, "region": environment.region, "cluster": environment.services.cluster,
        "app": environment.frontend.app if environment.frontend else "", "distribution": environment.cdn.distribution if environment.cdn else "",
        "database_user": by_token, "branch": environment.frontend.branch if environment.frontend else "", "change_role": environment.change_role,
        "instance": database.instance if database else "", "read_switch": database.read_switch.lstrip("/") if database else "",
        "read_record": database.read_record.rstrip(".").lower() if database else "", "lock_bucket": environment.lock_bucket, "incident_bucket": environment.incident_bucket, "incident_log_group": environment.incident_log_group,
        "stack_role": environment.alerts.stack_role, "pagerduty_token": environment.alerts.pagerduty_token,
    }  # fmt: skip
    return {name: (value,) if value else () for name, value in one.items()} | {
        "log_group": environment.log_groups,
        "service": environment.services.names,
        "replica": database.replicas if database else (),
        "job_log_group": environment.alerts.job_log_groups,
        "code_bucket": tuple(environment.alerts.code_buckets.values()),
        "alert_secret": tuple(
            name
            for name in (environment.alerts.slack_secret, environment.alerts.pagerduty_secret)
            if name and not name.startswith("arn:")
        ),
        "health_check": tuple(environment.health_checks.values()),
    }
