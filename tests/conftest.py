"""What all tests share: no AWS settings of the developer, and one frozen sandbox with the planted incident."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from opslib.sandbox.control import Sandbox


@pytest.fixture(scope="session", autouse=True)
def no_aws_variables() -> Iterator[None]:
    """Take away what could lead a test to a real account, or past the environment's own configuration."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "OPSLIB_ENV", "OPSLIB_SANDBOX", "PG")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def sandbox(no_aws_variables: None) -> Iterator[Sandbox]:
    """One frozen sandbox with `checkout-locks`, shared by all tests that only read; OPSLIB_SANDBOX points at it.

    A test that injects faults, changes settings or counts calls takes that back, or starts its own.
    """
    with Sandbox(clock="frozen", scenario="checkout-locks") as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(running.directory))
        yield running


SandboxFactory = Callable[..., Sandbox]


@pytest.fixture
def running_sandbox(no_aws_variables: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxFactory]:
    """Start sandboxes of the test's own, with a running clock unless told otherwise; the last one is OPSLIB_SANDBOX."""
    with ExitStack() as stack:

        def start(clock: str = "running", scenario: str = "checkout-locks", directory: Path | None = None) -> Sandbox:
            started = stack.enter_context(Sandbox(clock=clock, scenario=scenario, directory=directory))
            monkeypatch.setenv("OPSLIB_SANDBOX", str(started.directory))
            return started

        yield start
