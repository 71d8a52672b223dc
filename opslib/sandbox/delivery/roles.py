"""What a role may do by its own policies: asked where AWS acts as a function's role."""

import importlib
from typing import Any

from opslib.sandbox.delivery.ground import ministack, region_of
from opslib.sandbox.state_files import ACCOUNT


def role_may(role: str, action: str, resource: str) -> bool:
    """Say whether the inline policies of a role allow something; a role that nobody made may do all (AWS would not take it)."""
    iam: Any = importlib.import_module("ministack.core.iam_evaluator")
    found = next((each for each in ministack("iam")._roles._data.values() if each.get("Arn") == role), None)
    if found is None or found.get("AttachedPolicies"):  # what AWS's managed policies say is not known here
        return True
    asked = iam.EvalContext(
        principal_arn=role, principal_type="AssumedRole", principal_account=ACCOUNT, action=action, resource_arn=resource,
        region=region_of(resource),
    )  # fmt: skip
    policies = [iam.parse_policy_document(document) for document in found["InlinePolicies"].values()]
    return bool(iam.evaluate(asked, policies).decision == "Allow")
