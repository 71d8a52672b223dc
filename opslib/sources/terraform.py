"""A Terraform plan as `terraform show -json PLAN` writes it: read, never carried out, and no value of it is kept."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.config import project_root
from opslib.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

CHANGES = {"address": "str", "type": "str", "action": "str", "differs": "str", "because": "str", "by_hand": "bool"}


def changes(file: str) -> pd.DataFrame:
    """Return what a plan would change, and what was changed by hand before it (resource_changes, resource_drift).

    Columns: address, type, action (create, update, replace, delete, forget, import), differs (names of attributes, as
    values may be secret), because str; by_hand bool (Terraform found it so, and did not do it). attrs: sha256, version,
    made (ISO or empty), problems. A relative path is one of the project. Raises SourceError.
    """
    try:
        raw = (project_root() / file).read_bytes()
        plan = json.loads(raw)
        planned, drifted = plan.get("resource_changes", []), plan.get("resource_drift", [])
        rows = [_row(one, by_hand=False) for one in planned] + [_row(one, by_hand=True) for one in drifted]
        version = str(plan["terraform_version"])
    except OSError as error:
        raise SourceError(f"{file} cannot be read", why=str(error.strerror)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "terraform show -json PLANFILE > plan.json"
        raise SourceError(f"{file} is no Terraform plan", why=f"{type(error).__name__}: {error}", fix=fix) from None
    frame = frames.made([row for row in rows if row["action"] not in {"no-op", "read"}], CHANGES)
    problems = ["Terraform says that this plan ended with an error"] if plan.get("errored") else []
    problems += ["Terraform says that it is not complete: it defers changes"] if plan.get("complete") is False else []
    frame.attrs.update(
        sha256=hashlib.sha256(raw).hexdigest(), version=version, made=str(plan.get("timestamp", "")), problems=problems
    )
    return frame


def _row(told: dict[str, Any], *, by_hand: bool) -> dict[str, Any]:
    change = told["change"]
    actions = change["actions"]
    action = (
        "replace"
        if set(actions) == {"create", "delete"}
        else "import"
        if change.get("importing") and actions == ["no-op"]
        else actions[0]
    )
    before, after, unknown = (change.get(name) or {} for name in ("before", "after", "after_unknown"))
    names = sorted(
        name for name in {**before, **after, **unknown} if before.get(name) != after.get(name) or unknown.get(name)
    )
    return {
        "address": told["address"], "type": told["type"], "action": action, "because": str(told.get("action_reason", "")).replace("_", " "),
        "differs": ", ".join(names) if action in {"update", "replace"} else "", "by_hand": by_hand,
    }  # fmt: skip
