"""A Terraform plan, read and kept with the record: what it would create, change, replace and destroy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from opslib.checks.wording import listed
from opslib.result import Result, Sight, Source, Verdict
from opslib.sources import terraform

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run

NAME, TITLE = "terraform-plan", "The Terraform plan"
_LOSES = ["replace", "delete"]


def planned(run: Run, *, file: str = "") -> Result:
    """Say what the plan of a file (`terraform show -json`) would do; nothing here carries it out.

    Warns when it replaces or destroys anything, and when something was changed by hand. Table: address, type, action,
    differs, because, by_hand. Without a file it says so.
    """
    if not file:
        return run.record(Result(NAME, TITLE, Verdict.OK, "No Terraform plan is named: there is none to read."))
    fact = run.facts(terraform=partial(terraform.changes, file))["terraform"]
    if fact.frame is None:
        said = fact.error.what if fact.error else "it could not be read"
        return run.record(Result(NAME, TITLE, Verdict.UNKNOWN, f"{said}.", Sight(fact.sight), fact.error.why if fact.error else ""))  # fmt: skip
    kept = "data/terraform.csv" if run.folder else ""
    return run.record(_told(fact.frame, file, kept))


def _told(frame: pd.DataFrame, file: str, kept: str) -> Result:
    own, by_hand = frame[~frame["by_hand"]], frame[frame["by_hand"]]
    counts = own["action"].value_counts()
    lost, problems = own[own["action"].isin(_LOSES)], frame.attrs.get("problems", [])
    said = ", ".join(f"{count} to {action}" for action, count in counts.sort_index().items()) or "nothing to change"
    sentence = f"{said[0].upper()}{said[1:]}."
    sentence += f" GONE or made anew, with what they hold: {listed(list(lost['address']))}." if len(lost) else ""
    sentence += f" Changed by hand since the last run: {listed(list(by_hand['address']))}." if len(by_hand) else ""
    verdict = Verdict.WARN if len(lost) or len(by_hand) or problems else Verdict.OK
    facts = {
        "terraform": frame.attrs.get("version", ""),
        "made": frame.attrs.get("made", ""),
        "sha256": frame.attrs.get("sha256", "")[:16],
    }
    sight = Sight.PARTIAL if problems else Sight.COMPLETE
    source = Source(f"terraform show -json: {file}", note="read only; values are not kept")
    return Result(NAME, TITLE, verdict, sentence, sight, "; ".join(problems), facts={key: value for key, value in facts.items() if value},
                  table=frame, sources=(source,), data=(kept,))  # fmt: skip
