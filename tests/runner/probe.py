"""A small runbook in plain Python; it writes the ledger by hand, as a real one's run does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opslib.runner import runbooks

SECRET = "Tr0ub4dor-and-3"
LEDGER = """import json
note = lambda **entry: open("ledger.jsonl", "a").write(json.dumps(entry) + "\\n") and None
note(event="start", environment=dict(name="local", account="000000000000", identity="arn:x", region="r", sandbox=True), window={}, versions=dict(python="3"))"""
RESULT = """note(event="result", name="probe", title="Probe", verdict=verdict, sight=sight, reason="", sentence="it was " + verdict,
     facts={}, next=[], data=[], parts=[])
note(event="calls", calls={"logs:StartQuery": 2}, usd=0.0001, seconds=1.0)
print("verdict card: " + verdict)"""
ACT = """import os, signal, sys, time
if act == "raise": raise ValueError("broken, password=" + bytes.fromhex("547230756234646f722d616e642d33").decode())
if act == "die": os.kill(os.getpid(), signal.SIGKILL)
if act == "sleep": open("sleeping", "w").close(); time.sleep(60)
if act == "leave": sys.exit(0)
if act == "flood": print("x" * 300_000)"""


def markdown(text: str, **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": f"m{abs(hash(text)) % 10**8}", "metadata": metadata, "source": text}


def code(text: str, *tags: str, cell_id: str = "") -> dict[str, Any]:
    metadata = {"tags": list(tags)} if tags else {}
    cell_id = cell_id or f"c{abs(hash(text)) % 10**8}"
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": metadata,
        "source": text,
        "outputs": [],
        "execution_count": None,
    }


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": runbooks.METADATA, "nbformat": 4, "nbformat_minor": 5}


PROBE = notebook(
    markdown("# Probe\n\n**READ-ONLY** · 試すための手順書です。\n\nUse it when testing. Not for operators."),
    code(
        'act: str = "none"  # what goes wrong\nverdict: str = "ok"  # what the check says\nsight: str = "complete"  # how well\n'
        'account: str = ""  # twelve digits\ndeep: bool = False  # look twice\nmany: int = 3  # how many\nshare: float = 0.5  # of all',
        "parameters",
        cell_id="parameters",
    ),
    code(LEDGER, "start", cell_id="start"),
    code(RESULT, "verdict", cell_id="verdict"),
    markdown("## What happens next?"),
    code(ACT, cell_id="act"),
    code('print("the end", account, many)', cell_id="end"),
)


def summary_in(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return content
