"""reboot-database: “available” right after the call is no success; the events are, and a database that answers."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from botocore.exceptions import ClientError

from opslib.actions import database
from opslib.database import connect
from opslib.errors import ParameterError, Refused
from opslib.journal import Journal
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox


def status(live: Sandbox, name: str = "shop-db") -> str:
    return str(
        live.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"]
    )


def test_a_reboot_is_seen_by_its_events(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = database.reboot(run)
    assert not plan.blocked and plan.steps[0].command(run.environment) == (
        "aws rds reboot-db-instance --db-instance-identifier shop-db --region ap-northeast-1"
    )
    assert plan._repr_mimebundle_()["text/html"].index("NO WAY BACK") < 900
    session = connect(run.environment)
    seen: list[str] = []
    answer = applied(plan, lambda: seen.append(status(live)))
    assert answer.verdict == "ok" and "DB instance shutdown, DB instance restarted; it answers" in answer.sentence
    result = next(one for one in Journal.of(run.environment).entries() if one["event"] == "result")
    assert result["kept"] == {"status after the call": "available"} and seen == ["rebooting"]  # the waiter's trap
    assert float(answer.facts["followed for"].split()[0]) >= 1.5
    with pytest.raises(psycopg.OperationalError):
        session.execute("select 1")  # it was cut
    with pytest.raises(Refused, match="no way back"):
        plan.undo()


def test_a_failover_needs_two_zones(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    zone = live.client("rds").describe_db_instances()["DBInstances"][0]["AvailabilityZone"]
    answer = applied(database.reboot(run, failover=True))
    assert answer.verdict == "ok" and "failover completed" in answer.sentence, answer.sentence
    assert live.client("rds").describe_db_instances()["DBInstances"][0]["AvailabilityZone"] != zone
    single = database.reboot(run, instance="shop-db-replica-1", failover=True)
    assert [one.what for one in single.blocked] == ["there is a standby to fail over to"]
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        live.client("rds").reboot_db_instance(DBInstanceIdentifier="shop-db-replica-1", ForceFailover=True)


def test_one_that_never_ends_is_unknown(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    live.outcome(instance="shop-db-replica-1", reboot="stuck")
    answer = applied(database.reboot(run, instance="shop-db-replica-1"))
    assert answer.verdict == "unknown" and "last: rebooting" in answer.sentence, answer.sentence
    assert [one.what for one in database.reboot(run, instance="shop-db-replica-1").blocked] == [
        "the instance is available"
    ]


def test_a_reboot_by_somebody_else_is_another_state(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    plan = database.reboot(run)
    live.client("rds").reboot_db_instance(DBInstanceIdentifier="shop-db")
    live.advance("2m")
    assert "last restart was" in applied(plan).sentence


def test_one_that_ends_badly_is_a_failure(run: Run, live: Sandbox, applied: Callable[..., Result]) -> None:
    live.outcome(instance="shop-db", reboot="incompatible-parameters")
    answer = applied(database.reboot(run))
    assert answer.verdict == "critical" and "incompatible-parameters" in answer.sentence


def test_no_such_instance(run: Run) -> None:
    with pytest.raises(ParameterError, match="shop-db, shop-db-replica-1"):
        database.reboot(run, instance="shop-bd")
