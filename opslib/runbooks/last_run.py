"""What changed since the last run of the same runbook, from its record."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.checks.wording import counted, listed, local
from opslib.config import reports_folder
from opslib.display import HEADINGS
from opslib.errors import OpsError

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Fact, Run
    from opslib.window import Window

_KEPT = {"component": "str", "verdict": "str"}


def answer(run: Run, name: str) -> pd.DataFrame:
    """Return the components and verdicts of the newest finished record of a runbook in this environment, none on a first run.

    Columns: component, verdict str; attrs now (ISO time of that run's clock, empty on a first run).
    """
    for folder in _newest(run.environment.name, name):
        summary = _summary(folder)
        if summary.get("status") != "finished" or folder == run.folder:
            continue
        told = frames.read(folder / "data" / "components.csv")
        if not isinstance(told, OpsError):
            kept = told[list(_KEPT)].copy()
            kept.attrs = {"now": str((summary.get("start") or {}).get("now", ""))}
            return kept
    first = frames.made([], _KEPT)
    first.attrs = {"now": ""}
    return first


def _newest(environment: str, name: str) -> list[Path]:
    found = (reports_folder() / environment).glob(f"[0-9]*/[0-9]*/[0-9]*/*_{name}_*")
    return sorted(found, key=lambda folder: folder.name, reverse=True)[:20]


def _summary(folder: Path) -> dict[str, Any]:
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) and (folder / "data" / "components.csv").is_file() else {}


def changed(fact: Fact, rows: pd.DataFrame, window: Window) -> tuple[str, str]:
    """Return since when, and in a few words what is new: the components whose verdict is another one."""
    before = fact.frame
    if before is None:
        return HEADINGS["last-run"][0], "not known"
    if not before.attrs.get("now"):
        return HEADINGS["last-run"][0], "first run · 初回"
    then = dict(zip(before["component"], before["verdict"], strict=True))
    other = [row.component for row in rows.itertuples() if then.get(row.component, row.verdict) != row.verdict]
    said = f"{counted(len(other), 'change')}: {listed(other, 3)}" if other else "no change"
    return f"since the run of {local(datetime.fromisoformat(before.attrs['now']), window)}", said
