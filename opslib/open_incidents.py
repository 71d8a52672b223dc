"""Which incident a run or a change belongs to: the one that is open; of several nothing is guessed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from opslib.config import reports_folder
from opslib.errors import ParameterError

RECORD, USED = "record.json", ".use"
ID = re.compile(r"INC-[0-9]{8}-[0-9]{6}-[a-z0-9]+(?:-[a-z0-9]+)*")


def home(environment: str) -> Path:
    """Return the folder of an environment's incident records."""
    return reports_folder() / environment / "incidents"


def folder_of(environment: str, incident: str) -> Path:
    """Return the folder of one incident; raises ParameterError for what is no id, so that no path leaves its home."""
    if len(incident) > 100 or not ID.fullmatch(incident):
        raise ParameterError(
            f"{incident[:120]!r} is no incident id",
            fix="for example INC-20261105-024000-checkout-slow: opslib incident list",
        )
    return home(environment) / incident


def opened(environment: str) -> list[str]:
    """Return the ids of the incidents that are open, oldest first."""
    return [file.parent.name for file in sorted(home(environment).glob(f"INC-*/{RECORD}")) if _is_open(file)]


def in_force(environment: str) -> tuple[str, str]:
    """Return the incident that runs and changes join, and why there is none: (id, "") or ("", reason).

    OPSLIB_INCIDENT counts before `opslib incident use`, and that before "the only one open". Raises ParameterError
    when OPSLIB_INCIDENT names none that is open: a record must not go astray.
    """
    known = opened(environment)
    named = os.environ.get("OPSLIB_INCIDENT", "")
    if named:
        if named not in known:
            raise ParameterError(
                f"OPSLIB_INCIDENT={named!r} is not open", fix=f"open are: {', '.join(known) or 'none'}"
            )
        return named, ""
    used = _used(environment)
    if used in known:
        return used, ""
    if len(known) == 1:
        return known[0], ""
    return "", f"{len(known)} incidents are open: opslib incident use ID" if known else "no incident is open"


def _used(environment: str) -> str:
    try:
        return (home(environment) / USED).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _is_open(file: Path) -> bool:
    try:
        return bool(
            json.loads(file.read_text(encoding="utf-8")).get("state") == "open" and ID.fullmatch(file.parent.name)
        )
    except (OSError, ValueError):
        return False
