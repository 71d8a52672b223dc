"""Many reports in one run: each in a process forked from one that has imported everything, two at once a core."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from opslib.errors import OpsError
from opslib.runner import forking, headless, summary

NO_REPORT, LOCKED = summary.NO_REPORT, 75
PER_CORE = 2  # a report waits for half its time: for AWS, the database, the disk, its kernel's start and end
WORDS = {
    NO_REPORT: "without a report",
    LOCKED: "locked",
    summary.CRITICAL: "critical",
    summary.SOME_BLIND: "partly blind",
    summary.FINE: "fine",
}  # worst first; fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How one report of a batch ended: with a record and its summary, or with an error and none."""

    runbook: str
    exit_code: int
    record: Path | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def run(
    asked: Sequence[tuple[str, Mapping[str, Any]]], *, env: str = "", at_once: int = 0, **limits: Any
) -> Iterator[Outcome]:
    """Run (name, given parameters) each as `headless.run` would, and yield what became of it as it ends.

    Everything is checked before anything runs; raises OpsError then. `limits` are those of `headless.run`. A signal
    ends what runs with a record that says so, and begins no more.
    """
    ready = [headless.Job.of(name, given, env=env) for name, given in asked]
    headless.adopt_abandoned()
    forking.warm()
    return _outcomes(ready, at_once or PER_CORE * cores(), limits)


def worst(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of all: no report, then locked, critical, blind, fine."""
    return min((outcome.exit_code for outcome in outcomes), key=list(WORDS).index)


def cores() -> int:
    """Return how many cores there are; only Linux knows how many of them are this process's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outcomes(ready: list[headless.Job], at_once: int, limits: dict[str, Any]) -> Iterator[Outcome]:
    running: dict[Any, tuple[headless.Job, Any]] = {}  # by the pipe
    stopped: list[int] = []

    def stop(number: int, _: Any) -> None:
        stopped.append(number)
        for _, process in running.values():
            os.kill(process.pid, number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        while running or ready:
            while ready and len(running) < at_once and not stopped:
                receiver, sender = forking.FORK.Pipe(duplex=False)
                process: Any = forking.FORK.Process(target=_work, args=(ready[0], sender, limits))
                process.start()
                sender.close()
                running[receiver] = (ready.pop(0), process)
                if stopped:  # meanwhile
                    os.kill(process.pid, stopped[0])
            for ended in wait(list(running)):
                yield _outcome(*running.pop(ended), ended)
            while stopped and ready:
                yield Outcome(ready.pop(0).runbook, NO_REPORT, error=f"not begun: {signal.Signals(stopped[0]).name}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(job: headless.Job, sender: Any, limits: dict[str, Any]) -> None:
    forking.unhandled()
    try:
        record, told = job.run(**limits, forked=True)
        sender.send(Outcome(job.runbook, told["exit_code"], record, told))
    except OpsError as error:
        code = LOCKED if isinstance(error, headless.Locked) else NO_REPORT
        sender.send(Outcome(job.runbook, code, error=error.text()))


def _outcome(job: headless.Job, process: Any, receiver: Any) -> Outcome:
    try:
        outcome: Outcome = receiver.recv()
        process.join()
        return outcome
    except EOFError:  # it was killed: what it left becomes a record that says so
        process.join()
        left = headless.left_by(process.pid)
    if left is None:
        return Outcome(job.runbook, NO_REPORT, error=f"its process ended with {process.exitcode} and left nothing")
    record, told = headless.adopt(left)
    return Outcome(job.runbook, told["exit_code"], record, told)
