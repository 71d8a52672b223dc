"""route-reads: the switch and the weights, read back; a replica that is behind or away is no plan; put back by its own plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from opslib import aws
from opslib.actions import replica, replica_health
from opslib.config import Environment
from opslib.errors import ConfigError, ParameterError, Refused
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox

SWITCH = "/shop/prod/reads-from"


def blocked(run: Run, **given: str) -> list[str]:
    return [one.what for one in replica.route_reads(run, **given).blocked]


def changed(environment: Environment, **database: object) -> Environment:
    assert environment.database is not None
    return environment.model_copy(update={"database": environment.database.model_copy(update=database)})


def switch(live: Sandbox) -> str:
    return str(live.client("ssm").get_parameter(Name=SWITCH)["Parameter"]["Value"])


def test_the_switch_is_set_read_back_and_put_back(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = replica.route_reads(run)
    assert not plan.blocked, plan.blocked
    assert plan.steps[0].command(run.environment) == (
        f"aws ssm put-parameter --name {SWITCH} --value replica --overwrite --region ap-northeast-1"
    )
    assert "behind by the positions in the log" in str(plan.conditions)
    answer = applied(plan)
    assert answer.verdict == "ok" and f"{SWITCH} is replica, version 2" in answer.sentence, answer.sentence
    assert "4 sessions of others on the replica, 0 before" in answer.sentence
    assert "primary " in answer.facts["sessions"] and "replica " in answer.facts["sessions"]
    assert "not seen" not in answer.facts["sessions"] and switch(live) == "replica"
    assert blocked(run) == ["it stands elsewhere"]
    counted = live.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/RDS", MetricName="DatabaseConnections", Period=60, Statistics=["Maximum"],
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "shop-db-replica-1"}],
        StartTime=aws.now(run.environment) - timedelta(minutes=5), EndTime=aws.now(run.environment) + timedelta(minutes=1),
    )["Datapoints"]  # fmt: skip
    assert max(one["Maximum"] for one in counted) > 30  # 12 of others, and 24 that came
    back = applied(plan.undo())
    assert back.verdict == "ok" and switch(live) == "primary" and "0 sessions of others" in back.sentence
    with pytest.raises(Refused, match="somebody has changed it"):
        plan.undo()


def test_a_switch_that_nobody_follows_is_no_success(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    moved = changed(run.environment, read_switch="/shop/prod/somebody-elses")
    live.client("ssm").put_parameter(Name="/shop/prod/somebody-elses", Value="primary", Type="String", Overwrite=True)
    answer = applied(replica.route_reads(replace(run, environment=moved)))
    assert answer.verdict == "unknown" and "0 sessions of others on the replica, 0 before" in answer.sentence


def test_without_a_way_to_the_replica_the_plan_says_that_its_end_is_not_seen(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    plan = replica.route_reads(
        replace(run, environment=changed(run.environment, replica_host="")), to="replica", way="dns"
    )
    assert plan.parameters["reading"] is None and "said as unknown" in str(plan.limits)


def test_somebody_elses_change_is_another_state(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = replica.route_reads(run)
    put = lambda: live.client("ssm").put_parameter(Name=SWITCH, Value="primary", Overwrite=True)  # noqa: E731
    put()
    assert "version was" in applied(plan).sentence and switch(live) == "primary"


def test_the_weights_are_followed_until_they_are_everywhere(
    run: Run, live: Sandbox, applied: Callable[..., Result]
) -> None:
    plan = replica.route_reads(run, way="dns")
    assert not plan.blocked and "primary 0, replica 100" in plan.changes[0].proposed
    asked: list[str] = []
    answer = applied(plan, lambda: asked.append("looked while PENDING"))
    assert answer.verdict == "ok" and asked, answer.sentence
    assert "INSYNC, weights primary 0, replica 100" in answer.sentence
    assert blocked(run, way="dns") == ["they are other weights"]
    assert applied(plan.undo()).verdict == "ok"
    assert "primary 100, replica 0" in replica.route_reads(run, way="dns").changes[0].now


def test_a_replica_that_is_away_is_no_plan_but_going_back_is(run: Run, live: Sandbox) -> None:
    live.client("rds").reboot_db_instance(DBInstanceIdentifier="shop-db-replica-1")
    live.advance("30s")
    assert "the replica is available" in blocked(run)
    assert blocked(run, to="primary") == ["it stands elsewhere"]  # it says so, and asks nothing of the replica


def test_a_lag_that_nobody_knows_is_no_plan(run: Run) -> None:
    lost = replace(run, environment=changed(run.environment, replica_host="127.0.0.1", replica_port=9))
    assert blocked(lost) == ["it is hardly behind"]  # asked, and no answer: the metric alone does not do
    by_metric = replica_health._lag(changed(run.environment, replica_host=""))
    assert "ReplicaLag 1.2 s" in by_metric.found and by_metric.holds  # nobody can be asked: the metric is all there is
    silent = replica_health._lag(changed(run.environment, replica_host="", replicas=("shop-db-replica-9",)))
    assert "ReplicaLag not seen" in silent.found and not silent.holds
    wrong = changed(run.environment, replica_port=run.environment.database.port)  # type: ignore[union-attr]
    assert not replica_health._lag(wrong).holds  # that server is a primary


def test_denied_it_says_so_and_changes_nothing(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = replica.route_reads(run)
    live.fault(service="ssm", operation="PutParameter", kind="access-denied")
    answer = applied(plan)
    assert answer.verdict == "critical" and "denied" in answer.sentence and switch(live) == "primary"


def test_what_is_not_configured_is_said(run: Run) -> None:
    with pytest.raises(ParameterError, match="way='vpn'"):
        replica.route_reads(run, way="vpn")
    with pytest.raises(ParameterError, match="replica or primary"):
        replica.route_reads(run, to="replcia")
    for away, why in (({"replicas": ()}, "no replica"), ({"read_switch": ""}, "read_switch")):
        with pytest.raises(ConfigError) as raised:
            replica.route_reads(replace(run, environment=changed(run.environment, **away)))
        assert why in f"{raised.value.what} {raised.value.fix}"
