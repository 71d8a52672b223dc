"""Carry out a plan: check everything again, take the lock, note the intent, call, note the result, follow to the end.

Everything that can stand against it is looked at before the first call.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from opslib import aws, config, locks, open_incidents, redact
from opslib.errors import IdentityError, OpsError, ParameterError, Refused
from opslib.journal import Entry, Journal, canonical, person
from opslib.open_incidents import folder_of
from opslib.plan import ACTIONS, Kept, Plan
from opslib.plan_card import local_time
from opslib.result import Result, Sight, Verdict
from opslib.stepping import DONE, NOT_DONE, Work, clock, make, named, out_of_time, until

NEEDS_HASH = "OPSLIB_APPLY must hold the full hash of the plan, all 64 digits"
_VERDICTS = {
    "done": (Verdict.OK, Sight.COMPLETE, "done and seen"), "failed": (Verdict.CRITICAL, Sight.COMPLETE, "failed"),
    "unknown": (Verdict.UNKNOWN, Sight.PARTIAL, "unknown: check"), "refused": (Verdict.WARN, Sight.COMPLETE, "nothing was changed"),
}  # fmt: skip


def typed(plan: Plan, phrase: str) -> Result:
    """Apply a plan whose phrase a person typed, into this cell alone; every other phrase answers with it."""
    assert plan.run is not None
    run, zone = plan.run, plan.run.environment.zone
    if plan.blocked:
        return _answer(plan, "refused", "There is nothing to apply: a condition does not hold.")
    if run.replayed:
        return _remembered(plan, run.replayed, applied=phrase.strip() == plan.phrase)
    if phrase.strip() != plan.phrase:
        new = f"this is a new plan, made {local_time(plan.made_at, zone)}; type {plan.phrase!r} between the quotes, run only this cell"
        return _answer(plan, "refused", f"Nothing was changed: {new}.")
    if why := _nobody_types(phrase):
        return _answer(plan, "refused", f"Nothing was changed: {why}.")
    before = results_of(plan)
    answer = carry_out(Work(plan, run.environment, f"typed: {phrase.strip()}"))
    return answer if before is not None else run.record(answer)  # a second try is no result: what was done stays one


def confirmed(plan: Plan) -> Result:
    """Apply a plan whose full hash OPSLIB_APPLY holds: what `opslib apply` runs, and nothing else does."""
    assert plan.run is not None
    run, said = plan.run, os.environ.get("OPSLIB_APPLY", "")
    if run.replayed:
        return _remembered(plan, run.replayed, applied=True)
    if said != plan.sealed:
        return run.record(_answer(plan, "refused", f"Nothing was changed: {NEEDS_HASH}."))
    return run.record(carry_out(Work(plan, run.environment, "OPSLIB_APPLY, headless")))


def carry_out(work: Work) -> Result:
    """Check, lock, apply and follow; the answer says what was done and how it was seen. Raises nothing expected."""
    with ExitStack() as stack:
        try:
            now, clients = _ready(work, stack)
        except OpsError as error:
            return _refused(work, error)
        state, says = make(work, clients, now)
        return _answer(work.plan, state, says, work.kept) if state != DONE else _followed(work)


def _ready(work: Work, stack: ExitStack) -> tuple[datetime, Callable[[str, str], Any]]:
    """Check everything, hold the lock, become the change role; raises OpsError while nothing is changed."""
    plan, environment = work.plan, work.environment
    work.incident, alone = (plan.incident, "") if plan.incident else open_incidents.in_force(environment.name)
    now = _checked(plan, environment)
    lasts = timedelta(seconds=plan.verification.timeout_s) + timedelta(minutes=5)
    holder = f"{person()}: {plan.phrase}"
    guard = stack.enter_context(locks.held(environment, plan.target, holder=holder, now=now, lasts=lasts))
    _unchanged(plan, work)
    clients = aws.change_clients(environment, name=work.incident or plan.action, person=person())
    locks.mark_applied(environment, plan.sealed, holder=holder, now=now)
    work.note("apply", at=now, confirmed_by=work.confirmed_by, lock=guard, content=plan.content())
    work.say(f"  lock: {guard}\n  incident: {work.incident or alone}")
    return now, clients


def way_back(plan: Plan) -> Plan:
    """Return the plan that undoes an applied one, with the very steps it promised where they were known."""
    if not plan.undo_draft.action:
        raise Refused("there is no way back", why=plan.undo_draft.says, fix=plan.verification.look)
    action, kept = ACTIONS[plan.action], results_of(plan)
    if kept is None:
        raise Refused("this plan was not applied", why="the journal has no result of it", fix="apply it first")
    assert action.undo is not None and plan.run is not None
    return action.undo(plan.run, plan, kept)


def results_of(plan: Plan) -> Kept | None:
    """Return what the journal keeps of the answers to a plan's steps; None when it has none."""
    found = [
        entry
        for entry in Journal.of(named(plan)).entries()
        if entry.get("plan") == plan.sealed and entry["event"] == "result"
    ]
    return dict(found[-1]["kept"]) if found else None


def unsettled(entries: list[Entry]) -> list[Entry]:
    """Return the last intent of each change whose end nobody knows: it died, it got no answer, it was not seen to its end.

    One that is still under way stands among them; one that a person has looked at since (`settle`) does not.
    """
    intents = {entry["plan"]: entry for entry in entries if entry["event"] == "intent"}
    ended = {entry["plan"] for entry in entries if entry["event"] == "verified" and entry["outcome"] != "unknown"}
    ended |= {entry["plan"] for entry in entries if entry["event"] == "result" and entry["outcome"] == NOT_DONE}
    ended |= {entry["plan"] for entry in entries if entry["event"] == "checked"}
    return [intent for plan, intent in intents.items() if plan not in ended]


def settle(environment: config.Environment, change: str, says: str) -> Entry:
    """Note what a person found who looked how a change ended; `change` are the first digits of its hash.

    Raises ParameterError when it is not one of those whose end is unknown, or when nothing is said.
    """
    own = Journal.of(environment)
    found = [entry for entry in unsettled(own.entries()) if change and str(entry["plan"]).startswith(change)]
    if len(found) != 1 or not says.strip():
        raise ParameterError(
            f"{len(found)} changes of unknown end begin with {change!r}",
            fix='opslib journal --checked HASH --says "what you saw"',
        )
    about = {name: found[0][name] for name in ("plan", "action", "target")}
    kept = [
        own,
        *(Journal(folder_of(environment.name, one) / own.file.name) for one in open_incidents.opened(environment.name)),
    ]
    told = [each for each in kept if any(entry.get("plan") == about["plan"] for entry in each.entries())]
    noted = [each.append("checked", at=aws.now(environment), says=says, **about) for each in told]
    return noted[0]


def _checked(plan: Plan, environment: config.Environment) -> datetime:
    """Hold the plan against its own hash, the clock, the account and the journal; return the environment's time."""
    if plan.hash != plan.sealed:
        raise Refused(
            "the plan was edited after it was made",
            why="its hash is another one; where it held personal data its record was redacted",
            fix="make a new plan, in a notebook",
        )
    if plan.incident and plan.incident not in open_incidents.opened(plan.environment):
        raise Refused("the plan's incident is closed", why=plan.incident, fix="make a new plan")
    if plan.action not in ACTIONS:
        raise Refused(f"the plan's action {plan.action!r} is not known here", fix="make a new plan with this version")
    try:
        known = aws.asked_anew(environment)
    except IdentityError as error:
        raise Refused(error.what, why=error.why, fix=error.fix) from None
    if (plan.account, plan.region, plan.environment) != (known.account, environment.region, environment.name):
        here = f"{environment.name}, account {known.account}, {environment.region}"
        raise Refused(
            "the plan is for another place",
            why=f"{plan.environment}, account {plan.account}, {plan.region}; here is {here}",
        )
    now = aws.now(environment)
    if now >= datetime.fromisoformat(plan.expires):
        why = f"at {local_time(plan.expires, environment.zone)}; it is {now.astimezone(environment.zone):%H:%M:%S}"
        raise Refused("the plan has expired", why=why, fix="make a new one: run the cells above again")
    return now


def _unchanged(plan: Plan, work: Work) -> None:
    """With the lock held: not applied before, and the state is still the one that the plan was made for."""
    entries = [entry for entry in Journal.of(work.environment).entries() if entry.get("plan") == plan.sealed]
    if any(entry["event"] in {"apply", "intent"} for entry in entries):
        raise Refused(
            "this plan was applied before", why=f"at {entries[0]['at']} by {entries[0]['by']}", fix="make a new plan"
        )
    found = work.action.observe(work.environment, plan)
    if canonical(found) != canonical(plan.before):
        raise Refused(
            "the state has changed since the plan was made", why=_difference(plan.before, found), fix="make a new plan"
        )


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return redact.cut("; ".join(f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names), 600)


def _followed(work: Work) -> Result:
    """Look until the change is seen to be done or failed; time that runs out is unknown, not success."""
    began = aws.now(work.environment)
    last, now = until(work, work.action.follow, began)
    state = last.state if last.state != "going" else "unknown"
    says = last.says if last.state != "going" else out_of_time(work.plan, last)
    work.note("verified", at=now, outcome=state, says=says, evidence=last.evidence)
    minutes = (now - began).total_seconds() / 60
    return _answer(work.plan, state, says, last.evidence, minutes=minutes)


def _refused(work: Work, error: OpsError) -> Result:
    """Say what stands against it. Everything that raises does so before the first call, or it is noted there."""
    at = datetime.fromisoformat(work.plan.made_at)
    try:
        work.note("refused", at=clock(work.environment, at, 0.0), what=error.what, why=error.why)
    except OpsError as broken:
        work.say(f"  and it could not be noted: {broken.what}")
    said = f"Nothing was changed: {error.what}{f' ({error.why})' if error.why else ''}."
    return _answer(work.plan, "refused", f"{said} {error.fix}".strip())


def _answer(plan: Plan, state: str, says: str, evidence: Kept | None = None, minutes: float | None = None) -> Result:
    verdict, sight, word = _VERDICTS[state]
    facts = {"outcome": word} | {
        name.replace("_", " "): str(value) for name, value in (evidence or {}).items() if value != ""
    }
    if minutes is not None:
        facts["followed for"] = f"{minutes:.1f} min"
    reason = "" if sight is Sight.COMPLETE else "its end was not seen"
    return Result(
        f"apply-{plan.action}",
        plan.title,
        verdict,
        says,
        sight,
        reason,
        facts=facts if evidence is not None or state != "refused" else {},
    )


def _remembered(plan: Plan, record: Path, *, applied: bool) -> Result:
    """In a replay nothing is applied: what came of it then is drawn again from the record."""
    kept = json.loads((record / "summary.json").read_text(encoding="utf-8"))["results"]
    told = [one for one in kept if one["name"] == f"apply-{plan.action}"]
    if not applied or not told:
        return _answer(plan, "refused", "This is a replay of a record: it can change nothing.")
    last = told[-1]
    verdict, sight = Verdict(last["verdict"]), Sight(last["sight"])
    return Result(last["name"], last["title"], verdict, last["sentence"], sight, last["reason"], facts=last["facts"])


def _nobody_types(phrase: str) -> str:
    """Return why no person can have typed this phrase here and now; empty when one did.

    A runner's kernel has nobody to ask, and a cell that takes the phrase from the plan was not typed.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if shell is None or (kernel is None and not sys.stdin.isatty()):
        return "no person is at this program: opslib plan, then OPSLIB_APPLY=<full hash> opslib apply RECORD"
    if kernel is not None and not getattr(kernel, "_allow_stdin", False):
        return "this notebook runs without a person: only opslib apply can apply its plan"
    source = shell.history_manager.input_hist_raw[-1] if kernel is not None else phrase
    return "" if phrase in source else "the phrase must be typed into the cell, not computed"
