"""Run what is due: each schedule alone by its lock, tried again when it leaves no report, and remembered when it does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws, journal, locks
from opslib.errors import OpsError, Refused
from opslib.runner import headless, records
from opslib.runner.batch import LOCKED, NO_REPORT, Outcome
from opslib.scheduling.agenda import WINDOW, Scheduled, named
from opslib.scheduling.due import Due, due
from opslib.scheduling.memory import Memory, recalled, remember

if TYPE_CHECKING:
    from opslib.config import Environment

_SPARE = timedelta(minutes=5)  # beside its tries, in which a run delivers


class Ended(OpsError):
    """A signal came between two cells' worth of work: nothing more is begun."""


def run_due(environment: Environment, names: tuple[str, ...] = ()) -> Iterator[Outcome]:
    """Run every schedule of an environment that is due, or those of some names, and yield what became of each.

    Everything is checked before anything runs; raises ConfigError then. What befalls one stops no other; a signal does.
    """
    listed = named(environment, names)
    headless.adopt_abandoned()
    with _stoppable() as stopped:
        for one in listed:
            outcome = _outcome(environment, one)
            if outcome:
                yield outcome
            if stopped or (outcome and outcome.summary.get("status") == records.INTERRUPTED):
                return


def _outcome(environment: Environment, one: Scheduled) -> Outcome | None:
    name = one.schedule.name
    try:
        if not _due(environment, one)[0]:
            return None  # without a lock: whoever holds it may be about to remember
        with _alone(environment, one):
            found, memory = _due(environment, one)
            return _tried(environment, one, found, memory) if found else None
    except headless.Locked as error:
        return Outcome(name, LOCKED, error=error.text())
    except OpsError as error:
        return Outcome(name, NO_REPORT, error=f"{name}: {error.text()}")


def _due(environment: Environment, one: Scheduled) -> tuple[Due | None, Memory]:
    """Return the run that is due and may be tried, and what is remembered."""
    memory = recalled(environment, one.schedule.name)
    found = due(one, memory, aws.now(environment), environment.zone)
    if found and found.at == memory.at and memory.tries > one.schedule.retries:
        return None, memory  # the next one covers its window, too
    return found, memory


def _tried(environment: Environment, one: Scheduled, found: Due, memory: Memory) -> Outcome:
    """Run until there is a report or no try is left; a signal leaves the rest of the tries to the next call."""
    begun = memory.tries if found.at == memory.at else 0
    outcome = Outcome(one.schedule.name, NO_REPORT)
    for number in range(begun + 1, one.schedule.retries + 2):
        memory = replace(memory, at=found.at, tries=number, told=False)
        remember(environment, one.schedule.name, memory)  # before: a try that is killed must count
        outcome = _once(environment, one, found)
        if outcome.exit_code != NO_REPORT:
            remember(environment, one.schedule.name, replace(memory, covered=found.window.end))
            break
        if outcome.summary.get("status") == records.INTERRUPTED:
            break
    return outcome


def _once(environment: Environment, one: Scheduled, found: Due) -> Outcome:
    given = {**one.values, **({WINDOW: found.window.as_parameter()} if one.follows else {})}
    limit = one.schedule.timeout_s
    try:
        job = headless.Job.of(one.runbook, given, env=environment.name)
        record, summary = job.run(cell_seconds=limit, run_seconds=limit)
    except Ended:
        raise
    except OpsError as error:
        return Outcome(one.schedule.name, NO_REPORT, error=error.text())
    return Outcome(one.schedule.name, int(summary["exit_code"]), record, summary)


@contextmanager
def _alone(environment: Environment, one: Scheduled) -> Iterator[None]:
    """Keep a second run of this schedule out, on all machines with `lock_bucket`; raises Locked."""
    if not one.schedule.lock:
        yield
        return
    lasts = timedelta(seconds=one.schedule.timeout_s * (one.schedule.retries + 1)) + _SPARE
    held = locks.held(environment, f"schedule {one.schedule.name}", holder=journal.person(), now=aws.now(environment), lasts=lasts)  # fmt: skip
    try:
        held.__enter__()
    except Refused as error:
        raise headless.Locked(f"another run of {one.schedule.name} is under way", why=error.why, fix="wait") from None
    try:
        yield
    finally:
        held.__exit__(None, None, None)


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Let a signal between runs end the work where it stands; one during a run is the run's own."""
    stopped: list[int] = []

    def stop(number: int, _: Any) -> None:
        stopped.append(number)
        raise Ended(f"ended by {signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
