"""ECS, scaling and the cache as sources over the frozen sandbox, and answers that lack what is optional."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from opslib import aws, config, config_sections
from opslib.errors import SourceError
from opslib.sandbox.control import Sandbox
from opslib.sources import autoscaling, ecs, elasticache, metrics
from opslib.window import Window

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
MORNING = Window(NOW - timedelta(hours=3), NOW, UTC)
MONTH = Window(NOW - timedelta(days=30), NOW, UTC)


@pytest.fixture
def environment(sandbox: Sandbox) -> config.Environment:
    return config.load("sandbox")


def stubbed(environment: config.Environment, service: str, *answers: tuple[str, dict[str, Any]]) -> Stubber:
    stub = Stubber(aws.client(environment, service))
    for operation, answer in answers:
        stub.add_response(operation, answer)
    return stub


def test_services_with_what_runs_in_them(environment: config.Environment) -> None:
    found = ecs.services(environment).set_index("service")
    assert list(found.index) == ["web", "api", "worker", "batch", "auth", "notifier"]
    assert (found["running"] == found["desired"]).all() and set(found["rollout_state"]) == {"COMPLETED"}
    assert found.loc["api", "image"].endswith("/shop-api:2026.11.05-1") and found["circuit_breaker"].all()
    assert found.attrs["problems"] == [] and str(found["since"].dtype) == "datetime64[ns, UTC]"


def test_deployments_of_the_window_with_what_they_brought(environment: config.Environment) -> None:
    morning = ecs.deployments(environment, window=MORNING)
    assert list(morning["service"]) == ["api"] and morning["status"].iloc[0] == "SUCCESSFUL"
    assert morning["image"].iloc[0].endswith(":2026.11.05-1")
    assert morning["finished"].iloc[0].isoformat() == "2026-11-05T02:01:00+00:00"
    month = ecs.deployments(environment, window=MONTH)
    assert len(month) == 37 and month["started"].is_monotonic_decreasing and (month["image"] != "").all()


def test_running_and_stopped_tasks(environment: config.Environment) -> None:
    tasks = ecs.tasks(environment)
    assert len(tasks) == 18 and set(tasks["health"]) == {"HEALTHY"} and tasks["started"].notna().all()
    assert (
        set(ecs.tasks(environment, service="web")["service"]) == {"web"}
        and tasks["digest"].str.startswith("sha256:").all()
    )
    stopped = ecs.stopped_tasks(environment, window=MORNING)
    assert not len(stopped) and stopped.attrs["seen_from"] == "2026-11-05T01:40:00+00:00"


def test_events_and_targets(environment: config.Environment) -> None:
    events = ecs.events(environment, window=MORNING)
    assert "has reached a steady state." in set(events["message"]) and events["at"].is_monotonic_decreasing
    targets = ecs.target_health(environment)
    assert list(targets["state"]) == ["healthy"] * 4 and targets["target"].str.endswith(":3000").all()


def test_scaling_tells_from_what_to_what(environment: config.Environment) -> None:
    week = autoscaling.activities(environment, window=Window(NOW - timedelta(days=7), NOW, UTC))
    assert len(week) == 28 and set(zip(week["from"], week["to"], strict=True)) == {(6, 8), (8, 6), (4, 6), (6, 4)}
    assert set(week["status"]) == {"Successful"} and week["at"].is_monotonic_decreasing
    targets = autoscaling.targets(environment).set_index("service")
    assert targets.loc["web"].to_dict() == {"minimum": 4, "maximum": 10, "suspended": ""}


def test_nodes_and_events_of_the_cache(environment: config.Environment) -> None:
    nodes = elasticache.nodes(environment).set_index("node")
    assert nodes["role"].to_dict() == {"shop-cache-001": "primary", "shop-cache-002": "replica"}
    events = elasticache.events(environment, window=Window(NOW - timedelta(days=14), NOW, UTC))
    assert set(events["node"]) == {"shop-cache"} and len(events) == 14 and events.attrs["problems"] == []
    assert elasticache.events(environment, window=MONTH).attrs["problems"] == ["ElastiCache keeps 14 days of events"]


def test_metrics_of_each_node_apart(environment: config.Environment) -> None:
    found = metrics.series(environment, window=MORNING, components=("cache",), apart=True)
    assert set(found.columns.get_level_values(0)) == {"shop-cache-001", "shop-cache-002"}
    together = metrics.series(environment, window=MORNING, components=("cache",))["cache", "CacheMisses"]
    summed = found.xs("CacheMisses", axis=1, level=1).sum(axis=1)
    assert (summed - together).abs().max() < 1e-6


def test_absent_members_are_read_as_unknown(environment: config.Environment) -> None:
    bare = {"services": [{"serviceName": "web"}], "failures": [{"arn": "arn:x/api", "reason": "MISSING"}]}
    with stubbed(environment, "ecs", ("describe_services", bare), ("describe_services", bare)):
        found = ecs.services(environment)
        assert found.iloc[0][["service", "desired", "rollout_state", "image"]].to_list() == ["web", 0, "", ""]
        assert found.attrs["problems"] == ["service api: MISSING"]
        assert not len(ecs.events(environment, window=MORNING))
    task = {
        "taskArn": "arn:x/t1",
        "group": "service:web",
        "stoppingAt": NOW - timedelta(minutes=1),
        "stopCode": "NoveltyReason",
    }
    by_hand = {"taskArn": "arn:x/t2", "group": "family:migration"}
    tasks = {"tasks": [task, by_hand]}
    with stubbed(environment, "ecs", ("list_tasks", {"taskArns": ["t1"], "nextToken": "2"}), ("list_tasks", {"taskArns": ["t2"]}),
                 ("describe_tasks", tasks)):  # fmt: skip
        found = ecs.stopped_tasks(environment, window=MORNING)
        assert len(found) == 1 and found["stop_code"].iloc[0] == "NoveltyReason" and found["exit_code"].isna().all()
    target = {"TargetHealthDescriptions": [{"Target": {"Id": "10.0.0.1"}}]}
    with stubbed(environment, "elbv2", ("describe_target_health", target)):
        assert ecs.target_health(environment).iloc[0].to_list() == ["10.0.0.1", "unknown", "", ""]


def test_a_full_list_of_events_says_that_it_is_cut(environment: config.Environment) -> None:
    said = [
        {"id": str(n), "createdAt": NOW - timedelta(minutes=n), "message": f"(service web) said {n}"}
        for n in range(1, 101)
    ]
    with stubbed(environment, "ecs", ("describe_services", {"services": [{"serviceName": "web", "events": said}]})):
        found = ecs.events(environment, window=MORNING)
    assert len(found) == 100 and "begin inside the window" in found.attrs["problems"][0]


def test_more_than_ten_services_and_a_hundred_tasks_take_several_calls(environment: config.Environment) -> None:
    many = environment.model_copy(
        update={"services": config_sections.Services(cluster="shop", names=tuple(f"s{n}" for n in range(23)))}
    )
    before = aws.calls().get("ecs:DescribeServices", 0)
    assert len(ecs.services(many).attrs["problems"]) == 23
    assert aws.calls()["ecs:DescribeServices"] - before == 3


def test_without_services_and_cache_there_is_nothing_to_ask(environment: config.Environment) -> None:
    none = environment.model_copy(
        update={"services": config_sections.Services(), "cache": config_sections.Cache(), "load_balancer": None}
    )
    frames = [ecs.services(none), ecs.tasks(none), ecs.events(none, window=MORNING), ecs.deployments(none, window=MORNING),
              ecs.target_health(none), autoscaling.activities(none, window=MORNING), elasticache.nodes(none),
              elasticache.events(none, window=MORNING)]  # fmt: skip
    assert [len(frame) for frame in frames] == [0] * 8


def test_denied_is_said(environment: config.Environment, sandbox: Sandbox) -> None:
    sandbox.fault(service="ecs", kind="access-denied")
    try:
        with pytest.raises(SourceError) as caught:
            ecs.services(environment)
    finally:
        sandbox.clear_faults()
    assert caught.value.sight == "denied" and "DescribeServices" in caught.value.what
