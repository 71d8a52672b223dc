"""Run what is due: each schedule alone by its lock, tried again when it leaves no report, and remembered when it does."""

from __future__ import annotations

import itertools
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import aws, cron, journal, locks
from opslib.alerting.report_alarms import LATEST, OVERDUE, alarm_name, is_rare
from opslib.errors import OpsError, Refused
from opslib.runner import headless, records
from opslib.runner.batch import LOCKED, NO_REPORT, Outcome
from opslib.scheduling import delivery, telling
from opslib.scheduling.agenda import WINDOW, Scheduled, agenda, named
from opslib.scheduling.due import Due, due, has_time, looked, pause
from opslib.scheduling.memory import Memory, recalled, remember

if TYPE_CHECKING:
    from opslib.config import Environment

_SPARE = timedelta(minutes=5)  # beside its tries and pauses, in which a run delivers


class Ended(OpsError):
    """A signal came while no notebook ran: nothing more is begun."""

    SAID = "ended by "


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
            if stopped or (outcome and _was_ended(outcome)):
                return
        _say_what_is_overdue(environment)


def _say_what_is_overdue(environment: Environment) -> None:
    """Watch, by whatever runs more often, the reports that come too seldom for an alarm to miss them itself."""
    for one in agenda(environment):
        if not is_rare(environment, one.schedule):
            continue
        try:
            covered = recalled(environment, one.schedule.name).covered
            since = cron.latest(one.schedule.cron, aws.now(environment) - LATEST, environment.zone)
            overdue = (
                covered is not None and covered < since
            )  # before its first run nobody knows when it began to be awaited
            delivery.measure(environment, OVERDUE, one.schedule.name, float(overdue))
        except OpsError as error:
            sys.stderr.write(f"whether {one.schedule.name} is overdue could not be said: {error.text()}\n")


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
    except Ended as error:
        return Outcome(name, NO_REPORT, error=f"{name}: {error.text()}")
    except OpsError as error:
        return _not_begun(environment, one, error)


def _not_begun(environment: Environment, one: Scheduled, error: OpsError) -> Outcome:
    """Leave a record that nothing could be begun, one for each of the schedule's times, and tell it if that can be.

    What is remembered cannot be read, so what is due is not known: any record of this schedule since its last time stands.
    """
    name, now = one.schedule.name, datetime.now(UTC)  # AWS may not tell its own
    outcome, found = (
        Outcome(name, NO_REPORT, error=f"{name}: {error.text()}"),
        due(one, Memory(), now, environment.zone),
    )
    if found is None or _left_since(found.at, one):
        return outcome
    try:
        record, summary = headless.Job.of(one.runbook, _given(one, found), env=environment.name, scheduled=found.about(name)).not_begun(error.text())  # fmt: skip
        outcome = replace(outcome, record=record, summary=summary)
        delivery.publish(environment, "ops-alerts", telling.failure(environment, one, found, outcome, 0))
    except OpsError as other:
        return _nobody_told(environment, outcome, other)
    return outcome


def _left_since(at: datetime, one: Scheduled) -> bool:
    """Tell whether a run of this schedule left a record since a moment."""
    stamp, runbook = f"{at:%Y%m%dT%H%M%SZ}", one.runbook.rpartition("/")[2]
    since = itertools.takewhile(lambda folder: folder.name >= stamp, records.folders())  # the newest come first
    return any(f"_{runbook}_" in folder.name and _is_of(folder, one) for folder in since)


def _is_of(record: Path, one: Scheduled) -> bool:
    try:
        return str(records.summary_of(record).get("scheduled", "")).startswith(f"{one.schedule.name} of ")
    except OpsError:
        return False


def _nobody_told(environment: Environment, outcome: Outcome, error: OpsError) -> Outcome:
    """Say on the spot that nobody was told, and what will tell it: the alarm of this report's silence."""
    alarm = alarm_name(environment, outcome.runbook)
    said = f"nobody was told: {error.text()}\nthe alarm {alarm} will tell, when no report has come for long enough"
    return replace(outcome, error=f"{outcome.error}\n{said}".strip())


def _due(environment: Environment, one: Scheduled) -> tuple[Due | None, Memory]:
    """Return the run that is due, and what is remembered; none when its tries are over and that was told."""
    memory = recalled(environment, one.schedule.name)
    found = due(one, memory, aws.now(environment), environment.zone)
    over = found and found.at == memory.at and memory.tries > one.schedule.retries
    return (None if over and memory.told else found), memory  # the next one covers its window, too


def _tried(environment: Environment, one: Scheduled, found: Due, memory: Memory) -> Outcome:
    """Run until there is a report that was delivered, or no try is left; a signal leaves those to the next call."""
    name, begun = one.schedule.name, memory.tries if found.at == memory.at else 0
    outcome = Outcome(name, NO_REPORT, error=memory.why or "its last try ended without a word")
    for number in range(begun + 1, one.schedule.retries + 2):
        memory = replace(memory, at=found.at, tries=number, told=False, why="")
        remember(environment, name, memory)  # before: a try that is killed must count
        outcome, told = _once(environment, one, found, memory)
        if outcome.exit_code != NO_REPORT:
            blind = telling.is_blind(outcome.summary)
            lies = delivery.kept_as(one, outcome.record) if outcome.record else {}
            remember(environment, name, replace(looked(memory, found, blind=blind), findings=told, **lies))
            return outcome
        if _was_ended(outcome) or number > one.schedule.retries or not _paused(environment, one, found, number):
            break
    return _told(environment, one, found, outcome, memory)


def _paused(environment: Environment, one: Scheduled, found: Due, tries: int) -> bool:
    """Wait before another try, when there is time for one."""
    if not has_time(one, found, tries, aws.now(environment), environment.zone):
        return False
    if seconds := pause(one, tries).total_seconds():
        sys.stderr.write(f"{one.schedule.name} left no report: tried again in {seconds:g} s\n")
        time.sleep(seconds)  # a signal ends it
    return True


def _told(environment: Environment, one: Scheduled, found: Due, outcome: Outcome, memory: Memory) -> Outcome:
    """Tell that there is no report; that it could not be told is remembered, and said on the spot."""
    try:
        delivery.publish(environment, "ops-alerts", telling.failure(environment, one, found, outcome, memory.tries))
        remember(environment, one.schedule.name, replace(memory, told=True))
    except OpsError as error:
        with suppress(OpsError):  # the next call tells it then, without the reason
            remember(environment, one.schedule.name, replace(memory, why=telling.reason(outcome)))
        return _nobody_told(environment, outcome, error)
    return outcome


def _was_ended(outcome: Outcome) -> bool:
    return outcome.summary.get("status") == records.INTERRUPTED or f"{Ended.SAID}SIG" in outcome.error


def _once(environment: Environment, one: Scheduled, found: Due, memory: Memory) -> tuple[Outcome, dict[str, str]]:
    """Run and deliver; a report that reached nobody is none."""
    name, limit = one.schedule.name, one.schedule.timeout_s
    outcome = Outcome(name, NO_REPORT)
    try:
        _bring_last(environment, name, memory)
        record, summary = headless.Job.of(one.runbook, _given(one, found), env=environment.name, scheduled=found.about(name)).run(cell_seconds=limit, run_seconds=limit)  # fmt: skip
        outcome = Outcome(name, int(summary["exit_code"]), record, summary)
        told = {} if outcome.exit_code == NO_REPORT else delivery.deliver(environment, one, found, record, summary, memory)  # fmt: skip
    except OpsError as error:
        said = f"it was made and not delivered: {error.text()}" if outcome.record else error.text()
        return replace(outcome, exit_code=NO_REPORT, error=said), {}
    return outcome, told


def _bring_last(environment: Environment, name: str, memory: Memory) -> None:
    try:
        delivery.bring(environment, memory)
    except Ended:
        raise
    except OpsError as error:  # the report says less, and comes
        sys.stderr.write(f"{name}: the last record could not be brought here: {error.text()}\n")


def _given(one: Scheduled, found: Due) -> dict[str, Any]:
    return {**one.values, **({WINDOW: found.window.as_parameter()} if one.follows else {})}


@contextmanager
def _alone(environment: Environment, one: Scheduled) -> Iterator[None]:
    """Keep a second run of this schedule out, on all machines with `lock_bucket`; raises Locked."""
    if not one.schedule.lock:
        yield
        return
    pauses = sum((pause(one, tries) for tries in range(1, one.schedule.retries + 1)), _SPARE)
    lasts = timedelta(seconds=one.schedule.timeout_s * (one.schedule.retries + 1)) + pauses
    holder = f"{journal.person()}, run {secrets.token_hex(4)}"  # no two are the same, be it of one person at one time
    held = locks.held(environment, f"schedule {one.schedule.name}", holder=holder, now=aws.now(environment), lasts=lasts)  # fmt: skip
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
        raise Ended(f"{Ended.SAID}{signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
