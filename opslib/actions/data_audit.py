"""Who changes which rows by which statement, put where nobody can rewrite it: before the change, and how it ended after.

Neither is written while rows are locked: S3 may take its seconds, and customers wait for those rows. The plan holds the
rows' hashes, and the transaction changes these rows or none: so what is audited before it begins leaves nothing out.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from opslib import aws
from opslib.errors import OpsError
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
    return f"audited before it begins: {_place(environment)}; without that nothing is changed"


def announce(environment: Environment, plan: Plan) -> None:
    """Put what is about to be changed (s3:PutObject with If-None-Match under Object Lock): of rows their keys and hashes.

    It may tell of a change that was not made: `complete`, or the journal, says how it ended. Raises SourceError, and
    nothing is begun.
    """
    rows = [[key, before] for key, before in plan.before["rows"].items()]
    _put(environment, plan, f"{plan.sealed}.json", rows)


def complete(environment: Environment, plan: Plan, images: list[Image]) -> str:
    """Put what was changed, after the commit; return why that failed, for the journal, or an empty text."""
    rows = [[json.dumps(one.key, sort_keys=True), _hash(one.before), _hash(one.after)] for one in images]
    try:
        _put(environment, plan, f"{plan.sealed}-done.json", rows)
    except OpsError as error:  # it is made and announced; the journal and the images here know the rest
        return f"the audit of its end could not be written: {error.what}"
    return ""


def _put(environment: Environment, plan: Plan, name: str, rows: list[list[str]]) -> None:
    if not environment.incident_bucket:
        return
    now = aws.now(environment)
    told = {
        "plan": plan.sealed, "action": plan.action, "table": plan.target, "statement": text(plan.parameters.get("statement", "")),
        "at": now.isoformat(timespec="seconds"), "by": person(), "identity": plan.made_by, "incident": plan.incident,
        "of": plan.parameters.get("of", ""), "rows": rows,
    }  # fmt: skip
    aws.ask(
        environment, "s3", "put_object", Bucket=environment.incident_bucket, Key=f"{_folder(environment)}/{name}",
        Body=canonical(told).encode(), IfNoneMatch="*", ChecksumAlgorithm="SHA256", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=now + KEPT,
    )  # fmt: skip


def _folder(environment: Environment) -> str:
    return f"opslib/incidents/{environment.name}/data-fixes"


def _place(environment: Environment) -> str:
    return f"s3://{environment.incident_bucket}/{_folder(environment)}"


def _hash(image: str) -> str:
    """Of a row that is not there: empty."""
    return hashlib.sha256(image.encode()).hexdigest() if image else ""
