"""Carry out a plan: check everything again, take the lock, note the intent, call, note the result, follow to the end.

Nothing here changes the world before its intent lies on the disk, and nothing is called a success that was not seen.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws, config, locks
from opslib.errors import IdentityError, OpsError, RecordError, Refused
from opslib.journal import Entry, Journal, canonical, person
from opslib.open_incidents import folder_of
from opslib.plan import ACTIONS, Action, Kept, Plan, Progress
from opslib.plan_card import local_time
from opslib.result import Result, Sight, Verdict

if TYPE_CHECKING:
    from opslib.run import Run

NEEDS_HASH = "OPSLIB_APPLY must hold the full hash of the plan, all 64 digits"
NOT_DONE, UNKNOWN, DONE = "not done", "unknown", "done"
_VERDICTS = {
    "done": (Verdict.OK, Sight.COMPLETE, "done and seen"), "failed": (Verdict.CRITICAL, Sight.COMPLETE, "failed"),
    "unknown": (Verdict.UNKNOWN, Sight.PARTIAL, "unknown: check"), "refused": (Verdict.WARN, Sight.COMPLETE, "nothing was changed"),
}  # fmt: skip


@dataclass
class Work:
    """One application of a plan: where it notes, how it waits and what it says."""

    plan: Plan
    environment: config.Environment
    confirmed_by: str
    pause: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = print
    kept: Kept = field(default_factory=dict)

    @property
    def action(self) -> Action:
        """Return how this kind of change looks at the world."""
        return ACTIONS[self.plan.action]

    def note(self, event: str, *, at: datetime, **facts: Any) -> None:
        """Write into the journal of the environment, and into that of the incident."""
        for journal in journals(self.plan):
            journal.append(
                event, at=at, plan=self.plan.sealed, action=self.plan.action, target=self.plan.target, **facts
            )


def typed(plan: Plan, phrase: str) -> Result:
    """Apply a plan whose phrase a person typed, into this cell alone; every other phrase answers with it."""
    assert plan.run is not None
    run, zone = plan.run, plan.run.environment.zone
    if plan.blocked:
        return _answer(plan, "refused", "There is nothing to apply: a condition does not hold.")
    if run.replayed:
        return _answer(plan, "refused", "This is a replay of a record: it can change nothing.")
    if phrase.strip() != plan.phrase:
        new = f"this is a new plan, made {local_time(plan.made_at, zone)}; type {plan.phrase!r} between the quotes, run only this cell"
        return _answer(plan, "refused", f"Nothing was changed: {new}.")
    if why := _nobody_types(phrase):
        return _answer(plan, "refused", f"Nothing was changed: {why}.")
    return run.record(carry_out(Work(plan, run.environment, f"typed: {phrase.strip()}")))


def confirmed(plan: Plan, run: Run) -> Result:
    """Apply a plan whose full hash OPSLIB_APPLY holds: what `opslib apply` runs, and nothing else does."""
    said, plan = os.environ.get("OPSLIB_APPLY", ""), replace(plan, run=run)
    if run.replayed:
        return _answer(plan, "refused", "This is a replay of a record: it can change nothing.")
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
        state, says = _steps(work, clients, now)
        return _answer(work.plan, state, says, work.kept) if state != DONE else _followed(work)


def _ready(work: Work, stack: ExitStack) -> tuple[datetime, Callable[[str, str], Any]]:
    """Check everything, hold the lock, become the change role; raises OpsError while nothing is changed."""
    plan, environment = work.plan, work.environment
    now = _checked(plan, environment)
    lasts = timedelta(seconds=plan.verification.timeout_s) + timedelta(minutes=5)
    holder = f"{person()}: {plan.phrase}"
    guard = stack.enter_context(locks.held(environment, plan.target, holder=holder, now=now, lasts=lasts))
    _unchanged(plan, work)
    clients = aws.change_clients(environment, name=plan.incident or plan.action, person=person())
    locks.mark_applied(environment, plan.sealed, holder=holder, now=now)
    work.note("apply", at=now, confirmed_by=work.confirmed_by, lock=guard, content=plan.content())
    work.say(f"  lock: {guard}")
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
        for entry in Journal.of(_named(plan)).entries()
        if entry.get("plan") == plan.sealed and entry["event"] == "result"
    ]
    return dict(found[-1]["kept"]) if found else None


def journals(plan: Plan) -> list[Journal]:
    """Return where a plan's application is noted."""
    own = [Journal.of(_named(plan))]
    if plan.incident:
        own.append(Journal(folder_of(plan.environment, plan.incident) / own[0].file.name))
    return own


def unsettled(entries: list[Entry]) -> list[Entry]:
    """Return the intents without a result: the process died in between, and nobody knows whether the call was made."""
    settled = {(entry.get("plan"), entry.get("step")) for entry in entries if entry["event"] == "result"}
    return [entry for entry in entries if entry["event"] == "intent" and (entry["plan"], entry["step"]) not in settled]


def _named(plan: Plan) -> config.Environment:
    return plan.run.environment if plan.run else config.load(plan.environment)


def _checked(plan: Plan, environment: config.Environment) -> datetime:
    """Hold the plan against its own hash, the clock, the account and the journal; return the environment's time."""
    if plan.hash != plan.sealed:
        raise Refused("the plan was edited after it was made", why="its hash is another one", fix="make a new plan")
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
    return "; ".join(f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names)[:600]


def _steps(work: Work, clients: Callable[[str, str], Any], at: datetime) -> tuple[str, str]:
    """Make the calls one by one and stop at the first that is not done."""
    answers: list[Any] = []
    for number, step in enumerate(work.plan.steps, 1):
        command = step.command(work.environment)
        try:
            work.note("intent", at=at, step=number, call=f"{step.service}:{step.operation}", command=command)
        except RecordError as error:
            return (
                "failed",
                f"{number - 1} of {len(work.plan.steps)} steps were done; the next was not tried: {error.what}, {error.why}.",
            )
        work.say(f"  step {number} of {len(work.plan.steps)}: {step.says}")
        outcome, answer, why = _call(clients, step, work.environment)
        answers += [answer] if outcome == DONE else []
        work.kept = work.action.keep(answers) if outcome == DONE else work.kept
        at = _noted_result(work, at, step=number, outcome=outcome, why=why, kept=work.kept)
        if outcome != DONE:
            done = f"{number - 1} of {len(work.plan.steps)} steps were done; step {number} ({step.says})"
            if outcome == UNKNOWN:
                return (
                    "unknown",
                    f"{done} got no answer, and may have been carried out: {why}. Check: {work.plan.verification.look}",
                )
            return "failed", f"{done} was refused: {why}. What came after it was not tried."
    return DONE, ""


def _noted_result(work: Work, at: datetime, **facts: Any) -> datetime:
    try:
        at = _clock(work.environment, at, 0.0)
        work.note("result", at=at, **facts)
    except RecordError as error:
        sys.stderr.write(f"{error.why}: the change WAS made and its result could not be noted\n")
    return at


def _call(clients: Callable[[str, str], Any], step: Any, environment: config.Environment) -> tuple[str, Any, str]:
    """Make one call: done, not done (AWS said no), or unknown (no answer, or an error of AWS's own)."""
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

    try:
        answer = getattr(clients(step.service, step.region), xform_name(step.operation))(**step.arguments)
        return DONE, answer, ""
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = aws.explain(error, environment)
        return (UNKNOWN if status >= 500 and status != 501 else NOT_DONE), None, f"{told.what}: {told.why}"
    except (EndpointConnectionError, ConnectTimeoutError) as error:  # it was never sent
        return NOT_DONE, None, str(error)
    except BotoCoreError as error:
        return UNKNOWN, None, str(error)


def _followed(work: Work) -> Result:
    """Look until the change is seen to be done or failed; time that runs out is unknown, not success."""
    seen, began = work.plan.verification, aws.now(work.environment)
    now, last = began, Progress("going", "")
    try:
        while True:
            last = _look(work, last, now, began)
            late = (now - began).total_seconds() >= seen.timeout_s
            if last.state != "going" or late:
                break
            work.pause(seen.every_s)
            now = _clock(work.environment, now, seen.every_s)
    except BaseException as error:
        work.note("verified", at=now, outcome="unknown", says=f"following was stopped: {type(error).__name__}")
        raise
    state = last.state if last.state != "going" else "unknown"
    says = (
        last.says
        if state != "unknown"
        else f"Not seen to its end within {seen.timeout_s / 60:g} minutes; last: {last.says}. Check: {seen.look}"
    )
    work.note("verified", at=now, outcome=state, says=says, evidence=last.evidence)
    return _answer(work.plan, state, says, {**work.kept, **last.evidence}, minutes=(now - began).total_seconds() / 60)


def _look(work: Work, last: Progress, now: datetime, began: datetime) -> Progress:
    try:
        found = work.action.follow(work.environment, work.plan, work.kept)
    except OpsError as error:
        found = Progress("going", f"could not look: {error.what}")
    if found.says != last.says:
        work.say(f"  {(now - began).total_seconds():5.0f} s  {found.says}")
    return found


def _clock(environment: config.Environment, before: datetime, passed_s: float) -> datetime:
    try:
        aws.asked_anew(environment)
        return aws.now(environment)
    except OpsError:  # the clock does not answer: count what was waited
        return before + timedelta(seconds=passed_s)


def _refused(work: Work, error: OpsError) -> Result:
    """Say what stands against it. Everything that raises does so before the first call, or it is noted there."""
    at = datetime.fromisoformat(work.plan.made_at)
    try:
        work.note("refused", at=_clock(work.environment, at, 0.0), what=error.what, why=error.why)
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
