"""Services and cache: each planted failure is named with its cause, and what cannot be seen is said."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import opslib
from opslib import frames
from opslib.checks import service_story, services
from opslib.errors import ParameterError
from opslib.result import Result, Sight, Verdict
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.sources import ecs
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(hours=3), NOW, UTC)


def on(sandbox: Sandbox) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        return opslib.start()


@pytest.fixture(scope="module")
def bad_image(planted: Callable[[str], Sandbox]) -> Run:
    return on(planted("bad-image"))


@pytest.fixture(scope="module")
def memory_leak(planted: Callable[[str], Sandbox]) -> Run:
    return on(planted("memory-leak"))


def test_an_image_that_cannot_start(bad_image: Run) -> None:
    found = services.health(bad_image)
    assert (found.verdict, found.sight, found.reason) == (Verdict.CRITICAL, Sight.COMPLETE, "")
    assert found.sentence.startswith(
        "auth: tasks do not live: 1 of 2 tasks runs; 22 tasks ended since 11:12 JST, all with exit code 1"
    )
    assert "SIGNING_KEY_ID is not set" in found.sentence and "no circuit breaker" in found.sentence
    assert found.next[0].runbook == "3-remediate/roll-out-image"
    assert found.next[0].parameters["image"].endswith("shop-auth:2026.11.03-4")
    table = found.part("services").table
    assert table is not None and list(table.loc[table["flagged"], "service"]) == ["auth"]
    assert found.part("words").sentence.startswith("8 of 8 tasks ended with: panic:")
    assert found.part("deployments").verdict is Verdict.WARN and "in progress" in found.part("deployments").sentence


def test_one_service_is_judged_alone(bad_image: Run) -> None:
    assert services.health(bad_image, service="web").verdict is Verdict.OK
    assert services.health(bad_image, service="auth").verdict is Verdict.CRITICAL
    with pytest.raises(ParameterError, match="there is no service 'wob'"):
        services.health(bad_image, service="wob")


def test_a_crash_loop_goes_on_with_the_clock_and_ends_with_the_old_image() -> None:
    with Sandbox(clock="frozen", scenario="bad-image") as own:
        client = own.client("ecs")
        own.advance("10m")
        before = client.describe_services(cluster="shop", services=["auth"])["services"][0]
        new, old = before["deployments"]
        assert (new["rolloutState"], old["runningCount"]) == ("IN_PROGRESS", 1) and new["failedTasks"] > 22
        good = before["taskDefinition"].rpartition(":")
        client.update_service(cluster="shop", service="auth", taskDefinition=f"{good[0]}:{int(good[2]) - 1}")
        own.advance("3m")
        after = client.describe_services(cluster="shop", services=["auth"])["services"][0]
        assert (after["runningCount"], len(after["deployments"])) == (2, 1)
        assert after["deployments"][0]["rolloutState"] == "COMPLETED"


def test_a_memory_leak(memory_leak: Run) -> None:
    found = services.health(memory_leak)
    assert found.verdict is Verdict.CRITICAL and found.sight is Sight.COMPLETE
    assert found.sentence.startswith(
        "api: out of memory: 6 of 6 tasks run; 11 tasks ended since 11:03 JST, 11 of them killed"
    )
    assert "the deployment of shop-api:2026.11.05-1 began at 10:39 JST" in found.sentence
    assert [step.runbook for step in found.next] == ["3-remediate/restart-service", "3-remediate/roll-out-image"]
    assert found.part("memory").chart is not None and "→ 93 %" in found.part("memory").sentence


def test_an_ordinary_cluster(sandbox: Sandbox) -> None:
    found = services.health(opslib.start())
    assert (found.verdict, found.next) == (Verdict.OK, ())
    assert found.sentence == "6 services as wanted: 18 of 18 tasks run, none failed."


def asked_with(sandbox: Sandbox, window: str = "2h", **fault: str) -> Result:
    run = opslib.start(window=window)
    sandbox.fault(kind="access-denied", **fault)
    try:
        return services.health(run)
    finally:
        sandbox.clear_faults()


def test_what_is_denied_is_said_and_the_rest_stands(sandbox: Sandbox) -> None:
    blind = asked_with(sandbox, service="ecs", operation="DescribeServices")
    assert (blind.verdict, blind.sight) == (
        Verdict.UNKNOWN,
        Sight.DENIED,
    ) and "DescribeServices was denied" in blind.reason
    partial = asked_with(sandbox, service="ecs", operation="ListTasks")
    assert (partial.verdict, partial.sight) == (Verdict.UNKNOWN, Sight.PARTIAL)
    assert partial.reason == "stopped_tasks: ListTasks was denied"
    assert partial.part("stopped").sight is Sight.DENIED and partial.part("services").verdict is Verdict.OK
    no_metrics = asked_with(
        sandbox, "101m", service="cloudwatch"
    )  # nobody has asked for these before: answers are kept
    assert no_metrics.sight is Sight.PARTIAL and no_metrics.part("memory").sight is Sight.DENIED


def test_an_old_window_says_that_stopped_tasks_are_forgotten(sandbox: Sandbox) -> None:
    found = services.health(opslib.start(window="2026-11-04 10:00/12:00 JST"))
    assert found.sight is Sight.PARTIAL and "for an hour only" in found.reason


def judged(**facts: object) -> pd.Series:
    service = {
        "service": "web", "desired": 4, "running": 4, "rollout_state": "COMPLETED", "since": NOW - timedelta(days=2), "image": "x/web:1",
        "circuit_breaker": True, "pending": 0, "deployments": 1, "failed_tasks": 0, "minimum_healthy": 100, **facts,
    }  # fmt: skip
    some, none = frames.made([service], ecs.SERVICES), frames.made([], ecs.STOPPED)
    return service_story.read(
        some, none, frames.made([], ecs.DEPLOYMENTS), None, window=WINDOW, now=pd.Timestamp(NOW), said={}
    ).iloc[0]


@pytest.mark.parametrize(
    ("facts", "state", "verdict"),
    [
        ({}, "as usual", "ok"),
        ({"desired": 0, "running": 0}, "switched off", "warn"),
        ({"running": 0}, "down", "critical"),
        ({"running": 3}, "short of tasks", "warn"),
        ({"running": 2}, "short of tasks", "critical"),
        ({"rollout_state": "IN_PROGRESS", "since": NOW - timedelta(minutes=3)}, "being deployed", "ok"),
        ({"rollout_state": "IN_PROGRESS", "since": NOW - timedelta(hours=1)}, "deployment hangs", "warn"),
        (
            {"rollout_state": "IN_PROGRESS", "since": NOW - timedelta(hours=1), "running": 3},
            "deployment hangs",
            "critical",
        ),
        ({"rollout_state": "FAILED"}, "rolled back", "warn"),
    ],
)
def test_states(facts: dict[str, object], state: str, verdict: str) -> None:
    found = judged(**facts)
    assert (found["state"], found["verdict"]) == (state, verdict)
