"""change.json is exactly what the steps of plans call, each as narrow as AWS allows; operator.json the way there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from policy_sentry.querying.actions import get_action_data

from opslib import actions, config, policies
from opslib.plan import SQL
from opslib.sandbox.control import Sandbox

BESIDE = {"iam:PassRole"}  # no call: a task definition names the roles of its tasks
UNSCOPED = {"logs:DeleteQueryDefinition", "logs:PutQueryDefinition"}  # AWS has neither resource nor condition for them
CHANGE = policies.policy("change")["Statement"]


def steps() -> set[str]:
    """Return service:Operation of every Step in the code of actions; a step that is not written out fails here."""
    found = set()
    for file in Path(actions.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Step":
                names = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
                if len(names) == 2:
                    found.add(":".join(names))
                else:  # a statement of SQL, or a promised step that is only completed
                    assert ast.unparse(node.args[0]) in {"SQL", "promised.service"}, ast.unparse(node)
    assert SQL == "postgresql"
    return found


def test_it_allows_what_plans_do_and_nothing_more() -> None:
    assert {action for statement in CHANGE for action in statement["Action"]} - BESIDE == steps()


@pytest.mark.parametrize("name", ["change", "operator"])
def test_each_action_is_scoped_as_aws_allows(name: str) -> None:
    for statement in policies.policy(name)["Statement"]:
        for action in statement["Action"]:
            service, operation = action.split(":")
            rows = get_action_data(service, operation)[service]
            formats = [re.sub(r"\\\$\\\{[^}]+\\\}", ".+", re.escape(row["resource_arn_format"])) for row in rows]
            texts = [
                re.sub(r"\{(change|stack)_role\}", "arn:aws:iam::1:role/x", text) for text in statement["Resource"]
            ]
            assert all(any(re.fullmatch(each, text) for each in formats) for text in texts), action
            narrowed = statement.get("Condition") or action in UNSCOPED
            assert "*" not in texts or (narrowed and formats == [re.escape("*")]), action


def test_they_are_filled_for_an_environment(live: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(live.directory))
    environment = config.load("sandbox")
    resources = {
        each["Sid"]: each["Resource"]
        for name in ("change", "operator")
        for each in policies.filled(name, environment)["Statement"]
    }
    assert "arn:aws:ecs:ap-northeast-1:000000000000:service/shop/web" in resources["Services"]
    assert resources["BecomeTheChangeRole"] == ["arn:aws:iam::000000000000:role/shop-change"]
    assert not [each for listed in resources.values() for each in listed if "{" in each]
    told = {each["Sid"]: each for each in policies.filled("change", environment)["Statement"]}
    names = told["WhereReadsGoByName"]["Condition"]["ForAllValues:StringEquals"]
    assert names["route53:ChangeResourceRecordSetsNormalizedRecordNames"] == ["db-read.shop.example"]
    assert told["WhereReadsGo"]["Resource"] == [
        "arn:aws:ssm:ap-northeast-1:000000000000:parameter/shop/prod/reads-from"
    ]
    bare = config.Environment(account="000000000000", region="eu-west-1")
    without = {each["Sid"] for each in policies.filled("change", bare)["Statement"]}
    assert not without & {
        "Database",
        "WhereReadsGo",
        "WhereReadsGoByName",
        "Services",
    }  # no zone of all names is left open
