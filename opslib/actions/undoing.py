"""The way back of a change that was applied, today or weeks ago: found in the journal, planned like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib import actions
from opslib import plan as plans
from opslib.applying import way_back
from opslib.errors import OpsError
from opslib.journal import Entry, Journal
from opslib.plan import Condition, Plan, Undo, Verification

if TYPE_CHECKING:
    from opslib.run import Run


def undo(run: Run, *, change: str = "") -> Plan:
    """Plan the way back of an applied change, named by the first digits of its hash; empty: of the last one.

    Where there is none (nothing was applied, the change has no way back, the moment has passed) the plan says so and
    cannot be applied.
    """
    if run.replayed:
        return plans.remembered(run)
    actions.load()
    applied = [entry for entry in Journal.of(run.environment).entries() if entry["event"] == "apply"]
    found = [entry for entry in applied if str(entry["plan"]).startswith(change)]
    if not found or (change and len({entry["plan"] for entry in found}) > 1):
        why = (
            f"{len(found)} of {len(applied)} applied changes begin with {change!r}"
            if change
            else "nothing was changed from here: opslib journal"
        )
        return _none(run, "there is one change to undo", why)
    try:
        return way_back(_of(found[-1], run))
    except OpsError as error:
        return _none(
            run,
            f"the change of {found[-1]['at']} ({found[-1]['action']} {found[-1]['target']}) has a way back",
            f"{error.what}: {error.why}",
        )


def _of(entry: Entry, run: Run) -> Plan:
    return plans.shown(plans.from_content({**entry["content"], "sealed": entry["plan"]}), run)


def _none(run: Run, what: str, why: str) -> Plan:
    return plans.propose(
        run, action="undo-change", title="Undo a change", target="none", parameters={}, before={}, changes=(), conditions=(Condition(what, why, False),),
        steps=(), limits=(), verification=Verification("Nothing is done.", "opslib journal"), undo_draft=Undo("nothing is done"),
    )  # fmt: skip
