"""One process that is the sandbox: `python -m opslib.sandbox.supervisor DIR`. Its death by any signal ends all of it.

It tells its progress on standard output, a JSON object a line: {"step", "seconds"} and last {"ready"} or {"error"}.
"""

import argparse
import asyncio
import gc
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from opslib.sandbox import base_life, cache, live_sessions, postgres_replica, state_files
from opslib.sandbox.errors import SandboxError
from opslib.sandbox.lifeline import Reaper
from opslib.sandbox.postgres import SUPERUSER, Postgres, copy_data, cut_sessions, new_passwords, run_as_owner

LOCK_SECONDS = 15.0
POSTGRES = {"max_connections": "400"}  # as the parameter group of shop-db says


class Reporter:
    """Tells the starter what is being done."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def step(self, text: str) -> None:
        """Name the step that begins."""
        self._say({"step": text, "seconds": round(time.monotonic() - self._begun, 1)})

    def ready(self) -> None:
        """Say that everything answers, and say nothing more: the starter goes away."""
        self._say({"ready": True})
        os.dup2(2, 1)

    def failed(self, message: str) -> None:
        """Say why there will be no sandbox."""
        self._say({"error": message})

    @staticmethod
    def _say(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)


class Supervisor:
    """Builds up a sandbox; what was built up is taken down in reverse order by the stack."""

    def __init__(
        self, directory: Path, *, clock: str, scenario: str, report: Reporter, stack: ExitStack, replica: bool = False,
        live: bool = False,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.clock = clock
        self.scenario = scenario
        self.report = report
        self.stack = stack
        self.extras = {"replica": replica, "live": live}
        self.started = datetime.now(UTC).isoformat(timespec="seconds")

    def run(self) -> None:
        """Start everything, then serve until told to stop."""
        _checked_scenario(self.scenario)
        work = self._claim()
        base = base_life.ensure(work, self.report.step)
        self.report.step("copying the database")
        life, overlay = self._load_life(base, work)
        self.report.step("starting PostgreSQL")
        server, passwords = self._start_postgres(base, work)
        self.report.step(f"applying the scenario {self.scenario}")
        run_as_owner(server, passwords[SUPERUSER], overlay.sql)
        replica = self._start_replica(server, passwords, work) if self.extras["replica"] else None
        if self.extras["live"]:
            live_sessions.hold(server, passwords, overlay.events.get("live_sessions", ()), self.stack)
        self.report.step("starting the gateway")
        self._serve(life, overlay, (server, replica), passwords, work)

    def _claim(self) -> Path:
        """Take the directory and a work folder; from here on the reaper cleans up whatever happens."""
        lock = _claim_directory(self.directory)
        stale = [place(self.directory) for place in (state_files.sandbox_json, state_files.profile_folder, state_files.messages_file)]  # fmt: skip
        work, work_lock = cache.new_work_folder()
        reaper = Reaper(work, stale, [lock, work_lock])
        self.stack.callback(reaper.dismiss)
        self.stack.callback(shutil.rmtree, work, ignore_errors=True)
        _remove(stale)
        self.stack.callback(_remove, stale)
        return work

    def _load_life(self, base: base_life.BaseLife, work: Path) -> tuple[Any, Any]:
        """Load logs and metrics here while another thread waits for the copy of the database."""
        from opslib.sandbox import life as shop

        with ThreadPoolExecutor(1) as pool, cache.locked(cache.root() / "lock", exclusive=False):
            copying = pool.submit(copy_data, base.data, work / "data")
            life, overlay = shop.load(base.life), shop.overlay(self.scenario, base.life)
            copying.result()
        return life, overlay

    def _start_postgres(self, base: base_life.BaseLife, work: Path) -> tuple[Postgres, dict[str, str]]:
        log = self.directory / "postgres.log"
        log.unlink(missing_ok=True)
        server = Postgres(work / "data", log)
        self.stack.callback(server.stop)
        server.start(POSTGRES, superuser_password=base.superuser_password)
        return server, new_passwords(server, base.superuser_password)

    def _start_replica(self, server: Postgres, passwords: dict[str, str], work: Path) -> Postgres:
        self.report.step("copying the replica")
        log = self.directory / "postgres-replica.log"
        replica = postgres_replica.start(server, passwords[SUPERUSER], work / "replica", log, POSTGRES)
        self.stack.callback(replica.stop)
        return replica

    def _serve(
        self, life: Any, overlay: Any, servers: tuple[Postgres, Postgres | None], passwords: dict[str, str], work: Path
    ) -> None:
        server, replica = servers
        from opslib.sandbox.clock import Clock  # before the gateway: time is set before anything reads it

        clock = Clock.start(frozen=self.clock == "frozen")
        self.stack.callback(clock.stop)
        from opslib.sandbox.gateway import make_app, serve
        from opslib.sandbox.rds_state import RdsState
        from opslib.sandbox.settings import Settings

        def announce(port: int) -> None:
            state_files.write(
                self.directory, endpoint=f"http://127.0.0.1:{port}", clock=self.clock, scenario=self.scenario,
                started=self.started, planted=overlay.planted, postgres_port=server.port, passwords=passwords,
                work=str(work), replica_port=replica.port if replica else 0, **self.extras,
            )  # fmt: skip
            self.report.ready()

        async def until_stopped() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            orderly = threading.Event()
            _watch(server, orderly, lambda: loop.call_soon_threadsafe(stop.set))
            await serve(app, 0, on_ready=announce, stop=stop)
            orderly.set()

        kept = state_files.messages_file(self.directory)
        app = make_app(life=life, overlay=overlay, clock=clock, settings=Settings(), messages=kept)
        cut = app.services.home.state.part(RdsState).cut
        for name, database in ((postgres_replica.PRIMARY, server), (postgres_replica.NAME, replica)):
            if database:
                cut[name] = partial(cut_sessions, database, passwords[SUPERUSER])
        if replica and self.clock == "running":
            app.follow_reads(
                {
                    postgres_replica.PRIMARY: partial(_reads, server, passwords),
                    postgres_replica.NAME: partial(_reads, replica, passwords),
                }
            )
        asyncio.run(until_stopped())


def _reads(server: Postgres, passwords: dict[str, str]) -> Any:
    connection = server.connect(live_sessions.OWNER, passwords[live_sessions.OWNER])
    connection.execute("SELECT set_config('application_name', 'api', false)")
    return connection


def _watch(server: Postgres, orderly: threading.Event, ended: Callable[[], object]) -> None:
    """Call `ended` when PostgreSQL ends by itself: half a sandbox is none."""
    process = server.process
    assert process is not None

    def wait() -> None:
        process.wait()
        if not orderly.is_set():
            print(f"PostgreSQL ended with {process.returncode}", file=sys.stderr, flush=True)
            ended()

    threading.Thread(target=wait, daemon=True).start()


def _checked_scenario(name: str) -> None:
    from opslib.sandbox import life as shop

    base, _, seed = name.partition(":")
    if base not in shop.SCENARIOS or (seed and not (base == "quiet-day" and seed.isdigit())):
        raise SandboxError(f"There is no scenario {name!r}; there are {', '.join(shop.SCENARIOS)}.")


def _claim_directory(directory: Path) -> int:
    """Hold the directory's lock; the reaper of a killed sandbox may still be at work, so wait a little."""
    directory.mkdir(parents=True, exist_ok=True)
    path = state_files.lock_file(directory)
    deadline = time.monotonic() + LOCK_SECONDS
    while (lock := cache.try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise SandboxError(f"Another sandbox runs in {directory}.")
        time.sleep(0.05)
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _stop_on_signal(number: int, frame: FrameType | None) -> NoReturn:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # the clean-up is not interrupted by a second one
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sandbox until it is told to stop."""
    parser = argparse.ArgumentParser(prog="opslib.sandbox.supervisor")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--clock", choices=("running", "frozen"), default="running")
    parser.add_argument("--scenario", default="checkout-locks")
    parser.add_argument("--replica", action="store_true")
    parser.add_argument("--live", action="store_true")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_on_signal)
    gc.set_threshold(100_000, 20, 50)  # a query makes rows by the hundred thousand, and none of them is in a circle
    report = Reporter()
    with ExitStack() as stack:
        supervisor = Supervisor(
            given.directory.resolve(), clock=given.clock, scenario=given.scenario, report=report, stack=stack,
            replica=given.replica, live=given.live,
        )  # fmt: skip
        try:
            supervisor.run()
        except SandboxError as problem:
            report.failed(str(problem))
            return 1
        except Exception as problem:
            traceback.print_exc()
            report.failed(f"{type(problem).__name__}: {problem}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
