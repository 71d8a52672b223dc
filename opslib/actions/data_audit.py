"""Who changed which rows by which statement, put where nobody can rewrite it, before the change is committed."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from opslib import aws
from opslib.journal import canonical, person
from opslib.redact import text

if TYPE_CHECKING:
    from opslib.actions.data_rows import Image
    from opslib.config import Environment
    from opslib.plan import Plan

KEPT = timedelta(days=400)


def where(environment: Environment) -> str:
    """Return the limit that the plan states: where the audit goes, or that there is none but the journal."""
    if not environment.incident_bucket:
        return "audited in the journal of this machine only: no incident_bucket is configured"
    return f"audited before the commit: {_place(environment)}; without that nothing is committed"


def write(environment: Environment, plan: Plan, images: list[Image]) -> None:
    """Put the audit of a change (s3:PutObject with If-None-Match under Object Lock): of rows their keys and hashes.

    It is written before the commit, so it may tell of a change that was not made: the journal says how it ended.
    Raises SourceError, and the transaction is rolled back.
    """
    if not environment.incident_bucket:
        return
    now = aws.now(environment)
    told = {
        "plan": plan.sealed, "action": plan.action, "table": plan.target, "statement": text(plan.parameters.get("statement", "")),
        "at": now.isoformat(timespec="seconds"), "by": person(), "identity": plan.made_by, "incident": plan.incident,
        "of": plan.parameters.get("of", ""), "rows": [[json.dumps(one.key, sort_keys=True), _hash(one.before), _hash(one.after)] for one in images],
    }  # fmt: skip
    aws.ask(
        environment, "s3", "put_object", Bucket=environment.incident_bucket, Key=f"{_folder(environment)}/{plan.sealed}.json",
        Body=canonical(told).encode(), IfNoneMatch="*", ChecksumAlgorithm="SHA256", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=now + KEPT,
    )  # fmt: skip


def _folder(environment: Environment) -> str:
    return f"opslib/incidents/{environment.name}/data-fixes"


def _place(environment: Environment) -> str:
    return f"s3://{environment.incident_bucket}/{_folder(environment)}"


def _hash(image: str) -> str:
    """Of a row that is not there: empty."""
    return hashlib.sha256(image.encode()).hexdigest() if image else ""
