"""What all tests share: no AWS settings of the developer, and one frozen sandbox with the planted incident."""

import gc
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion import rewrite

from opslib.sandbox import lifecycle
from opslib.sandbox.cache import locked
from opslib.sandbox.control import Sandbox, start, stop
from tests import warm_sandboxes
from tests.chromium import browser, page
from tests.warm_sandboxes import SHARED

__all__ = ["browser", "page"]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that a test starts would compile opslib anew
sys.dont_write_bytecode = False  # and each worker every test file

# Files of more than 5 s, longest first. A file is a worker's (--dist loadfile), and xdist would begin with those of
# most tests: the long ones of a single test came last, and the other worker stood idle meanwhile.
LONGEST = [
    f"tests/{name}.py"
    for name in (
        "runbooks/test_first_look", "scheduling/test_running", "scheduling/test_delivery", "faults/test_scheduled_runs", "sandbox/test_process",
        "checks/test_suspicious", "actions/test_alert_drill", "actions/test_alert_stacks", "alerting/test_pipeline", "notebooks/test_outputs_hold",
        "notebooks/test_outputs_hold_elsewhere", "browser/test_lab", "sandbox/test_from_nothing", "test_end_to_end",
        "doctor/test_doctor", "checks/test_ranking", "faults/test_no_secret_leaves", "checks/test_database",
        "runbooks/test_daily_health", "browser/test_first_aid", "incidents/test_alarm_to_closed", "sandbox/test_gateway",
        "actions/test_schedule_stacks", "runbooks/test_weekly_performance", "checks/test_services", "alerting/test_end_to_end_alerts", "sandbox/test_gateway_alarms", "sources/test_logs",
        "runner/test_headless", "incidents/test_incidents", "runner/test_batch", "planning/test_plan", "planning/test_by_hand",
        "checks/test_frontend", "sandbox/test_delivery", "actions/test_data", "actions/test_services", "alerting/test_notifier",
        "actions/test_database", "actions/test_rollout", "doctor/test_init", "faults/test_log_checks",
    )
]  # fmt: skip


STARTED = lifecycle.launch


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the sandboxes that all workers share; supervisors are forked from one of its processes."""
    if not hasattr(config, "workerinput"):
        os.environ[SHARED] = tempfile.mkdtemp(prefix="opslib-tests-")
        Path(os.environ[SHARED], "main.pid").write_text(str(os.getpid()))
    else:
        _rewrite_a_share(config, config.workerinput)
    lifecycle.launch = warm_sandboxes.launch


def _rewrite_a_share(config: pytest.Config, worker: dict[str, Any]) -> None:
    """Rewrite the assertions of a share of the test files of a fresh clone: else each worker rewrites all of them."""
    for file in sorted(Path(__file__).parent.rglob("test_*.py"))[int(worker["workerid"][2:]) :: worker["workercount"]]:
        cached = rewrite.get_cache_dir(file) / (file.stem + rewrite.PYC_TAIL)
        if rewrite.try_makedirs(cached.parent) and not cached.exists():
            stat, code = rewrite._rewrite_test(file, config)
            rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, stat, cached)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End them, once all workers have ended."""
    if not hasattr(config, "workerinput"):
        shared = Path(os.environ.pop(SHARED))
        for directory in filter(Path.is_dir, shared.iterdir()):
            stop(directory)
        shutil.rmtree(shared, ignore_errors=True)


def pytest_xdist_auto_num_workers() -> int:
    """Have two workers a core: half of the time a test waits, for a deadline, a budget, a browser or a server."""
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: the longest first, then those of most tests, and last the one that looks at all calls made."""
    tests = Counter(item.location[0] for item in items)
    place = {file: number for number, file in enumerate(LONGEST)} | {"tests/test_policies.py": len(LONGEST) + 1}
    items.sort(key=lambda item: (place.get(item.location[0], len(LONGEST)), -tests[item.location[0]]))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is imported and collected: a seventh of a worker's time went into that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def no_aws_variables() -> Iterator[None]:
    """Take away what could lead a test to a real account, or past the environment's own configuration."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "OPSLIB_ENV", "OPSLIB_SANDBOX", "PG")):
                patch.delenv(name)
        # Also before it is started: a fixture that points elsewhere meanwhile must leave it as it was.
        patch.setenv("OPSLIB_SANDBOX", str(Path(os.environ[SHARED], os.environ.get("PYTEST_XDIST_WORKER", "main"))))
        yield


@pytest.fixture
def started_supervisors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let supervisors be started as processes of their own, as users do, not forked."""
    monkeypatch.setattr(lifecycle, "launch", STARTED)


@pytest.fixture(scope="session")
def sandbox(no_aws_variables: None) -> Iterator[Sandbox]:
    """One frozen sandbox with `checkout-locks`, shared by all tests that only read; OPSLIB_SANDBOX points at it.

    A test that injects faults, changes settings or counts calls takes that back, or starts its own.
    """
    directory = Path(os.environ[SHARED], os.environ.get("PYTEST_XDIST_WORKER", "main"))
    with Sandbox(clock="frozen", scenario="checkout-locks", directory=directory) as running:
        yield running


@pytest.fixture(scope="session")
def planted(no_aws_variables: None) -> Callable[[str], Sandbox]:
    """Return frozen sandboxes by scenario, each started once for all workers, for tests that only read.

    Whoever injects faults, writes, or counts calls starts one of their own: another worker may be reading here.
    """

    @cache
    def named(scenario: str) -> Sandbox:
        directory = Path(os.environ[SHARED], scenario)
        found = Sandbox(clock="frozen", scenario=scenario, directory=directory)
        with locked(Path(f"{directory}.lock"), exclusive=True):  # the first to come starts it
            found.info = start(directory, clock="frozen", scenario=scenario)
        return found

    return named


SandboxFactory = Callable[..., Sandbox]


@pytest.fixture
def running_sandbox(no_aws_variables: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxFactory]:
    """Start sandboxes of the test's own, with a running clock unless told otherwise; the last one is OPSLIB_SANDBOX."""
    with ExitStack() as stack:

        def begin(clock: str = "running", scenario: str = "checkout-locks", directory: Path | None = None) -> Sandbox:
            started = stack.enter_context(Sandbox(clock=clock, scenario=scenario, directory=directory))
            monkeypatch.setenv("OPSLIB_SANDBOX", str(started.directory))
            return started

        yield begin
