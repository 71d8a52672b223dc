"""summary.json: what a run found and what became of it, for programs; made from run.json, the ledger and the cells."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from opslib.config import project_root
from opslib.result import BLIND, Sight, Verdict
from opslib.runner import records

_VERDICTS = [Verdict.CRITICAL, Verdict.WARN, Verdict.UNKNOWN, Verdict.OK]
_SIGHTS = [Sight.ERROR, Sight.DENIED, Sight.PARTIAL, Sight.NO_DATA, Sight.COMPLETE]
NO_REPORT, CRITICAL, SOME_BLIND, FINE = 3, 1, 2, 0


def ledger_of(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of the ledger; a line cut off by the death of the kernel is left out."""
    try:
        lines = (folder / records.LEDGER).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [entry for entry in map(_entry, lines) if entry]


def build(
    state: Mapping[str, Any],
    ledger: list[dict[str, Any]],
    cells: list[dict[str, Any]],
    *,
    status: str,
    error: str,
    parameters: Mapping[str, Any],
    seconds: float | None = None,
) -> dict[str, Any]:
    """Return the summary of a run, not yet redacted. `seconds` is the time of the work; else the time until now."""
    results = _latest(ledger)
    start = _last(ledger, "start")
    calls = _last(ledger, "calls")
    where = start.get("environment", {})
    verdict, blind = _verdict(results, status), sum(map(_is_blind, results))
    began, ended = datetime.fromisoformat(state["started"]), datetime.now(UTC)
    return {
        **{name: state[name] for name in ("schema", "run_id", "runbook", "env", "mode", "operator")},
        **{name: where.get(name, "") for name in ("account", "identity", "region")}, "sandbox": where.get("sandbox", False),
        "window": start.get("window", {}), "parameters": dict(parameters), "scheduled": state.get("scheduled", ""),
        "status": status, "error": error, "verdict": verdict, "sight": _sight(results),
        "blind": f"{blind} of {len(results)} checks blind", "exit_code": exit_code(verdict, blind, status),
        "results": results, "cells": cells, "calls": calls.get("calls", {}), "usd": calls.get("usd", 0.0),
        "start": {name: value for name, value in start.items() if name not in {"event", "versions"}},
        "versions": start.get("versions", {}), "commit": commit(),
        "timing": {
            "started": began.isoformat(timespec="seconds"), "ended": ended.isoformat(timespec="seconds"),
            "seconds": round(seconds if seconds is not None else (ended - began).total_seconds(), 1),
        },
    }  # fmt: skip


def exit_code(verdict: str, blind: int, status: str) -> int:
    """Return 3 when the run did not finish, else 1 for critical, else 2 when a check is blind, else 0."""
    if status != records.FINISHED:
        return NO_REPORT
    return CRITICAL if verdict == Verdict.CRITICAL else SOME_BLIND if blind else FINE


@lru_cache(maxsize=1)
def commit() -> str:
    """Return the commit of the runbooks, with `+dirty` when files differ; empty outside a checkout."""
    git = ["git", "-C", str(project_root())]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip() + ("+dirty" if changed.stdout.strip() else "") if head.returncode == 0 else ""


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _last(ledger: list[dict[str, Any]], event: str) -> dict[str, Any]:
    return next((entry for entry in reversed(ledger) if entry["event"] == event), {})


def _latest(ledger: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one result a check, in the order in which they were first asked: a cell run twice counts once."""
    found: dict[str, dict[str, Any]] = {}
    for entry in ledger:
        if entry["event"] == "result":
            found[entry["name"]] = {name: value for name, value in entry.items() if name != "event"}
    return list(found.values())


def _verdict(results: list[dict[str, Any]], status: str) -> str:
    said = {result["verdict"] for result in results}
    worst = next((str(verdict) for verdict in _VERDICTS if verdict in said), str(Verdict.UNKNOWN))
    return str(Verdict.UNKNOWN) if status != records.FINISHED and worst == Verdict.OK else worst


def _sight(results: list[dict[str, Any]]) -> str:
    seen = {sight for result in results for sight in _sights(result)}
    return next((str(sight) for sight in _SIGHTS if sight in seen), str(Sight.NO_DATA))


def _sights(result: Mapping[str, Any]) -> set[str]:
    return {result["sight"]}.union(*(_sights(part) for part in result.get("parts", [])))


def _is_blind(result: Mapping[str, Any]) -> bool:
    return bool(_sights(result) & {str(sight) for sight in BLIND}) or result["verdict"] == Verdict.UNKNOWN
