"""One run of a runbook: environment, identity, window, and what it keeps for the record."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import aws, config, frames, rate_budget
from opslib.errors import OpsError, RecordError, SourceError
from opslib.result import Result
from opslib.stopping import Stop
from opslib.window import Window, parse

if TYPE_CHECKING:
    import pandas as pd

DEADLINE_SECONDS = {"interactive": 10.0, "headless": 60.0}
STOPPING_SECONDS = 5.0


@dataclass(frozen=True)
class Fact:
    """What one source answered: a frame, or the reason why there is none."""

    name: str
    frame: pd.DataFrame | None = None
    error: OpsError | None = None

    @property
    def sight(self) -> str:
        """Return complete, or how the source failed: denied or error."""
        return "complete" if self.error is None else getattr(self.error, "sight", "error")


@dataclass
class Run:
    """What `opslib.start()` returns; every check takes it first."""

    environment: config.Environment
    identity: aws.Identity
    now: datetime
    window: Window | None
    folder: Path | None = None
    replayed: Path | None = None
    mode: str = "interactive"
    began: float = field(default_factory=time.monotonic)
    usd: float = 0.0

    def window_or(self, default: str) -> Window:
        """Return the given window, or the default span back from now."""
        return self.window or parse(default, now=self.now, zone=self.environment.zone)

    @property
    def deadline(self) -> float:
        """Return how many seconds one source may take: short while somebody waits, longer on schedule."""
        return DEADLINE_SECONDS[self.mode]

    def facts(self, *, deadline_s: float | None = None, **fetches: Callable[[], pd.DataFrame]) -> dict[str, Fact]:
        """Ask several sources at once and keep their answers as data/<name>.csv.

        A source that is denied, fails or gives no answer within the deadline becomes a Fact with an error; the
        others stand. In a replay the answers come from the record instead.
        """
        if self.replayed:
            return {name: self._remembered(name) for name in fetches}
        limit = deadline_s or self.deadline
        pool, stop = ThreadPoolExecutor(max_workers=max(len(fetches), 1)), Stop()
        waiting = {name: pool.submit(stop.run, fetch) for name, fetch in fetches.items()}
        try:
            end = time.monotonic() + limit
            answers = {name: _outcome(name, future, end - time.monotonic(), limit) for name, future in waiting.items()}
        except BaseException:
            stop.set()
            wait(waiting.values(), timeout=STOPPING_SECONDS)  # what runs at AWS is stopped before the cell ends
            raise
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        for fact in answers.values():
            self._keep(fact)
        return answers

    def keep(self, name: str, frame: pd.DataFrame) -> str:
        """Keep a frame as data/<name>.csv and return that path, relative to the record; empty without a record."""
        self._keep(Fact(name, frame))
        return f"data/{name}.csv" if self.folder else ""

    def record(self, result: Result) -> Result:
        """Write the result into the run's ledger, from which summary.json is made, and return it."""
        kept = tuple(name for name in result.data if name)
        result = replace(result, data=kept)
        self._note({"event": "result", **result.as_json()})
        self._note(
            {
                "event": "calls",
                "calls": aws.calls(),
                "usd": round(self.usd, 6),
                "seconds": round(time.monotonic() - self.began, 3),
            }
        )
        return result

    def _keep(self, fact: Fact) -> None:
        if not self.folder:
            return
        try:
            if fact.frame is not None:
                frames.write(self.folder / "data" / f"{fact.name}.csv", fact.frame)
            elif fact.error is not None:
                frames.write_error(self.folder / "data" / f"{fact.name}.json", fact.error, fact.sight)
        except OSError as error:
            why = f"{error.strerror}: {self.folder}"
            raise RecordError(
                f"data/{fact.name} cannot be kept", why=why, fix="make room on the disk, then run again"
            ) from None

    def _remembered(self, name: str) -> Fact:
        assert self.replayed is not None
        found = frames.read(self.replayed / "data" / f"{name}.csv")
        return Fact(name, error=found) if isinstance(found, OpsError) else Fact(name, found)

    def _note(self, entry: Mapping[str, Any]) -> None:
        if self.folder:
            with (self.folder / "ledger.jsonl").open("a", encoding="utf-8") as ledger:
                ledger.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from opslib.display import banner_html, banner_text

        return {"text/html": banner_html(self), "text/plain": banner_text(self)}


def start(*, env: str = "", window: str = "") -> Run:
    """Begin a run: validate the configuration, ask STS who we are, refuse a wrong account, resolve the window.

    `env` empty means OPSLIB_ENV, else the default of opslib.toml, else the running sandbox. `window` is a span back
    from now ("3h") or two times with a zone ("2026-11-02 10:00/11:30 JST"); empty leaves it to the check.
    Raises ConfigError, SandboxDown, IdentityError or WindowError before anything else happens.
    """
    if record := os.environ.get("OPSLIB_REPLAY"):
        return _replay(Path(record), window)
    environment = config.load(env)
    identity = aws.identity(environment)
    now = aws.now(environment)
    chosen = parse(window, now=now, zone=environment.zone) if window.strip() else None
    folder, mode = _record_folder()
    run = Run(environment, identity, now, chosen, folder=folder, mode=mode)
    run._note(_started(run))
    return run


def _record_folder() -> tuple[Path | None, str]:
    """The kernel's folder is the record's when run.json lies in it, both headless and in the lab."""
    try:
        state = json.loads(Path("run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, "interactive"
    return Path.cwd(), str(state.get("mode", "interactive"))


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python and of what a record owes its numbers to; their metadata is read once."""
    import platform
    from importlib.metadata import version

    named = {name: version(name) for name in ("opslib", "boto3", "pandas", "matplotlib", "psycopg")}
    return {"python": platform.python_version(), **named}


def _started(run: Run) -> dict[str, Any]:
    shown = {"start": run.window.start, "end": run.window.end} if run.window else {}
    return {
        "event": "start",
        "environment": {
            "name": run.environment.name,
            "account": run.identity.account,
            "identity": run.identity.arn,
            "region": run.environment.region,
            "sandbox": run.environment.sandbox,
        },
        "environment_settings": json.loads(
            run.environment.model_dump_json(exclude={"database", "aws_config_file", "aws_credentials_file"})
        ),
        "now": run.now.isoformat(),
        "window": {name: moment.isoformat() for name, moment in shown.items()} | {"zone": run.environment.timezone},
        "versions": versions(),
    }


def _replay(record: Path, window: str) -> Run:
    """Stand a finished run up again from its own summary: no AWS, no database."""
    try:
        summary = json.loads((record / "summary.json").read_text(encoding="utf-8"))
        began = next(entry for entry in [summary.get("start") or summary] if "environment" in entry)
        environment = config.Environment(**{**began["environment_settings"], "name": began["environment"]["name"]})
        now = datetime.fromisoformat(began["now"])
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise RecordError(
            f"{record} cannot be replayed", why=str(error), fix="choose a record whose run got past start()"
        ) from None
    identity = aws.Identity(began["environment"]["account"], began["environment"]["identity"], now - now, now)
    chosen = parse(window, now=now, zone=environment.zone) if window.strip() else None
    return Run(environment, identity, now, chosen, replayed=record)


def _outcome(name: str, future: Any, left: float, limit: float) -> Fact:
    try:
        return Fact(name, future.result(timeout=max(left, 0.0)))
    except FutureTimeout:
        why = rate_budget.refusals() or f"{name} took longer"
        return Fact(name, error=SourceError(f"no answer in {limit:g} s", why=why, fix="run this cell again"))
    except OpsError as error:
        return Fact(name, error=error)
    except Exception as error:  # a source that breaks takes only its own part along, and says so
        said = f"{type(error).__name__}: {error}"
        return Fact(name, error=SourceError(f"{name} broke unexpectedly", why=said, fix="tell the authors of opslib"))
