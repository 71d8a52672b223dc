"""The steps of a plan that is being applied: intent on the disk, call, result on the disk, look until it is seen.

Nothing here changes the world before its intent is noted, and nothing is called a success that was not seen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opslib import aws, config
from opslib.errors import OpsError, RecordError, Unanswered
from opslib.journal import Journal
from opslib.open_incidents import folder_of, opened
from opslib.plan import ACTIONS, Action, Kept, Plan, Progress, Step

NOT_DONE, UNKNOWN, DONE = "not done", "unknown", "done"
Follow = Callable[[config.Environment, Plan, Kept], Progress]


@dataclass
class Work:
    """One application of a plan: where it notes, how it waits and what it says."""

    plan: Plan
    environment: config.Environment
    confirmed_by: str
    pause: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = print
    kept: Kept = field(default_factory=dict)
    incident: str = ""  # the one that is joined; of a plan that names none, the one in force when it is applied

    @property
    def action(self) -> Action:
        """Return how this kind of change looks at the world."""
        return ACTIONS[self.plan.action]

    def note(self, event: str, *, at: datetime, **facts: Any) -> None:
        """Write into the journal of the environment, and into that of the incident."""
        for journal in journals(self.plan, self.incident or self.plan.incident):
            journal.append(
                event, at=at, plan=self.plan.sealed, action=self.plan.action, target=self.plan.target, **facts
            )


def make(work: Work, clients: Callable[[str, str], Any], at: datetime) -> tuple[str, str]:
    """Make the calls one by one and stop at the first that is not done, or whose effect is not seen."""
    answers: list[Any] = []
    steps = work.plan.steps
    for number, step in enumerate(steps, 1):
        before = f"{number - 1} of {len(steps)} steps were done; step {number} ({step.says})"
        try:
            work.note(
                "intent",
                at=at,
                step=number,
                call=f"{step.service}:{step.operation}",
                command=step.command(work.environment),
            )
        except RecordError as error:
            return "failed", f"{before} was not tried: {error.what}, {error.why}."
        work.say(f"  step {number} of {len(steps)}: {step.says}")
        outcome, answer, why = _performed(work, step) if work.action.perform else _call(clients, step, work)
        answers += [answer] if outcome == DONE else []
        work.kept = work.action.keep(answers) if outcome == DONE else work.kept
        at = _noted_result(work, at, step=number, outcome=outcome, why=why, kept=work.kept)
        if outcome == UNKNOWN:
            return (
                "unknown",
                f"{before} got no answer, and may have been carried out: {why}. Check: {work.plan.verification.look}",
            )
        if outcome == NOT_DONE:
            return "failed", f"{before} was refused: {why}. What came after it was not tried."
        if work.action.between and number < len(steps):
            last, at = until(work, work.action.between, at)
            if last.state != "done":
                state, said = (
                    ("unknown", out_of_time(work.plan, last)) if last.state == "going" else (last.state, last.says)
                )
                work.note("verified", at=at, outcome=state, says=said)
                return state, f"{number} of {len(steps)} steps were done, and the next was not tried: {said}"
    return DONE, ""


def until(work: Work, follow: Follow, began: datetime) -> tuple[Progress, datetime]:
    """Look again and again, until it is no longer going or the time is up."""
    seen, now, last = work.plan.verification, began, Progress("going", "")
    try:
        while True:
            last = _look(work, follow, last, now, began)
            if last.state != "going" or (now - began).total_seconds() >= seen.timeout_s:
                return last, now
            work.pause(seen.every_s)
            now = clock(work.environment, now, seen.every_s)
    except BaseException as error:
        work.note("verified", at=now, outcome="unknown", says=f"following was stopped: {type(error).__name__}")
        raise


def out_of_time(plan: Plan, last: Progress) -> str:
    """Return what is said when the end was not seen: it is unknown."""
    minutes = plan.verification.timeout_s / 60
    return f"Not seen to its end within {minutes:g} minutes; last: {last.says}. Check: {plan.verification.look}"


def clock(environment: config.Environment, before: datetime, passed_s: float) -> datetime:
    """Return the environment's time, asked anew; when it does not answer, what was and what was waited."""
    try:
        aws.asked_anew(environment)
        return aws.now(environment)
    except OpsError:  # the clock does not answer: count what was waited
        return before + timedelta(seconds=passed_s)


def journals(plan: Plan, incident: str) -> list[Journal]:
    """Return where a plan's application is noted: in the incident only while it is open, as a closed record never changes."""
    own = [Journal.of(named(plan))]
    if incident in opened(plan.environment):
        own.append(Journal(folder_of(plan.environment, incident) / own[0].file.name))
    return own


def named(plan: Plan) -> config.Environment:
    """Return the environment that a plan is for."""
    return plan.run.environment if plan.run else config.load(plan.environment)


def _noted_result(work: Work, at: datetime, **facts: Any) -> datetime:
    try:
        at = clock(work.environment, at, 0.0)
        work.note("result", at=at, **facts)
    except RecordError as error:
        sys.stderr.write(f"{error.why}: the change WAS made and its result could not be noted\n")
    return at


def _performed(work: Work, step: Step) -> tuple[str, Any, str]:
    assert work.action.perform is not None
    try:
        return DONE, work.action.perform(work.environment, work.plan, step), ""
    except Unanswered as error:
        return UNKNOWN, None, f"{error.what}: {error.why}"
    except OpsError as error:
        return NOT_DONE, None, f"{error.what}: {error.why}"


def _call(clients: Callable[[str, str], Any], step: Step, work: Work) -> tuple[str, Any, str]:
    """Make one call: done, not done (AWS said no), or unknown (no answer, or an error of AWS's own)."""
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

    complete, environment = work.action.complete, work.environment
    try:
        asked = complete(environment, work.plan, step, work.kept) if complete else step.arguments
    except OpsError as error:
        return NOT_DONE, None, f"{error.what}: {error.why}"
    try:
        answer = getattr(clients(step.service, step.region), xform_name(step.operation))(**asked)
        return DONE, answer, ""
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = aws.explain(error, environment)
        return (UNKNOWN if status >= 500 and status != 501 else NOT_DONE), None, f"{told.what}: {told.why}"
    except (EndpointConnectionError, ConnectTimeoutError) as error:  # it was never sent
        return NOT_DONE, None, str(error)
    except BotoCoreError as error:
        return UNKNOWN, None, str(error)


def _look(work: Work, follow: Follow, last: Progress, now: datetime, began: datetime) -> Progress:
    try:
        found = follow(work.environment, work.plan, work.kept)
    except OpsError as error:
        found = Progress("going", f"could not look: {error.what}")
    if found.says != last.says:
        work.say(f"  {(now - began).total_seconds():5.0f} s  {found.says}")
    return found
