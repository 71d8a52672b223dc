"""The database instance: reboot it, with or without a failover to the other zone; a Plan without a way back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib import aws, console
from opslib import plan as plans
from opslib.errors import OpsError, ParameterError
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register
from opslib.sources import postgres, rds
from opslib.window import Window

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

_PASSING = {"available", "rebooting", "modifying", "maintenance", "storage-optimization", "backing-up"}
_SOON = timedelta(hours=1)


def reboot(run: Run, *, instance: str = "", failover: bool = False) -> Plan:
    """Plan to reboot a database instance (rds:RebootDBInstance); empty: the primary.

    `failover` makes the standby of a Multi-AZ instance the new primary. Raises ParameterError for an instance that the
    configuration does not name or RDS does not know, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment = run.environment
    name = instance or rds.primary(environment)
    told, since = _instance(environment, name), aws.now(environment) - timedelta(hours=1)
    zones = f"{told['AvailabilityZone']} to {told.get('SecondaryAvailabilityZone', 'the other zone')}"
    way = f"fail over from {zones}, and reboot" if failover else f"reboot in {told['AvailabilityZone']}"
    asked = {"DBInstanceIdentifier": name, **({"ForceFailover": True} if failover else {})}
    moved = " and “failover completed”" if failover else ""
    return plans.propose(
        run, action="reboot-database", title=f"Reboot the database {name}{' with a failover' if failover else ''}", target=name,
        parameters={"failover": failover, "since": since.isoformat()}, before=_before(environment, told, since),
        changes=(Change(name, _now(told), way, "none: a reboot cannot be taken back", _impact(environment, told, failover)),),
        conditions=_conditions(environment, told, failover), steps=(Step("rds", "RebootDBInstance", asked, way, console.rds(environment.region, name)),),
        limits=("every session is cut and every open transaction rolled back: opslib open slow-database shows whose",
                "a reboot lasts as long as its recovery: minutes after heavy writing; caches in memory are cold afterwards",
                "connection pools must connect anew; after a failover the name points elsewhere within a minute, and who keeps old addresses stays away"),
        verification=Verification(
            f"RDS says available right after the call as well: it counts only after its event “restarted”{moved} since this plan. Then the database must answer.",
            f"aws rds describe-events --source-type db-instance --source-identifier {name} --duration 60 --region {environment.region}", 10.0, 1800.0),
        undo_draft=Undo("a reboot cannot be taken back: every session is cut"),
    )  # fmt: skip


def _instance(environment: Environment, name: str) -> dict[str, Any]:
    named = environment.database
    known = [one for one in (named.instance, *named.replicas) if one] if named else []
    if name not in known:
        raise ParameterError(f"{name!r} is no database instance of {environment.name}", fix=f"there are: {', '.join(known) or 'none'}")  # fmt: skip
    return dict(aws.ask(environment, "rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"][0])


def _groups(told: dict[str, Any]) -> list[str]:
    return [f"{one['DBParameterGroupName']} {one['ParameterApplyStatus']}" for one in told.get("DBParameterGroups", [])]


def _now(told: dict[str, Any]) -> str:
    standby = (
        f"standby in {told.get('SecondaryAvailabilityZone', 'another zone')}" if told.get("MultiAZ") else "no standby"
    )
    return f"{told['DBInstanceStatus']}, {told['DBInstanceClass']}, {told['AvailabilityZone']}, {standby}"


def _conditions(environment: Environment, told: dict[str, Any], failover: bool) -> tuple[Condition, ...]:
    soon, waiting = _maintenance(environment, told["DBInstanceIdentifier"])
    two = bool(told.get("MultiAZ"))
    return (
        Condition("the instance is available", told["DBInstanceStatus"], told["DBInstanceStatus"] == "available"),
        Condition("no maintenance begins within the hour", waiting or "none is pending", not soon),
        Condition("what waits for a reboot", f"comes with it: {', '.join(_groups(told))}", True),
        *([Condition("there is a standby to fail over to", "Multi-AZ" if two else "single zone: RDS would refuse", two)] if failover else []),
    )  # fmt: skip


def _maintenance(environment: Environment, name: str) -> tuple[bool, str]:
    """Return whether maintenance comes soon, and what is pending; a reboot does not apply it, and may collide with it."""
    frame = rds.pending_maintenance(environment)
    rows = frame[frame["instance"] == name].to_dict("records")
    soon = any(row["at"] == row["at"] and row["at"] <= aws.now(environment) + _SOON for row in rows)
    said = [f"{row['description']} ({row['at'].astimezone(environment.zone):%Y-%m-%d %H:%M %Z})" if row["at"] == row["at"]
            else f"{row['description']} (not scheduled)" for row in rows]  # fmt: skip
    return soon, ", ".join(said)


def _impact(environment: Environment, told: dict[str, Any], failover: bool) -> str:
    role = "replica" if told.get("ReadReplicaSourceDBInstanceIdentifier") else "database"
    callers = [name for name, called in environment.services.calls.items() if role in called]
    lasts = "one to two minutes" if failover else "one to five minutes"
    return f"NO DATABASE for {', '.join(callers) or 'whoever uses it'} for {lasts}"


def _restarts(environment: Environment, name: str, since: datetime) -> list[tuple[datetime, str]]:
    now = aws.now(environment)
    frame = rds.events(environment, window=Window(since, now, environment.zone)) if since < now else None
    rows = frame[frame["instance"] == name].to_dict("records") if frame is not None else []
    words = ("restarted", "shutdown", "failover")
    return [(row["at"], row["message"]) for row in rows if any(word in row["message"].lower() for word in words)]


def _before(environment: Environment, told: dict[str, Any], since: datetime) -> dict[str, Any]:
    """A reboot by somebody else in the meantime is another state, although the status is the same."""
    last = [
        f"{at.isoformat()} {message}" for at, message in _restarts(environment, told["DBInstanceIdentifier"], since)
    ]
    return {
        "status": told["DBInstanceStatus"], "class": told["DBInstanceClass"], "zone": told["AvailabilityZone"],
        "Multi-AZ": bool(told.get("MultiAZ")), "parameters": _groups(told), "last restart": last[-1] if last else "",
    }  # fmt: skip


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    since = datetime.fromisoformat(plan.parameters["since"])
    return _before(environment, _instance(environment, plan.target), since)


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """A status says nothing of its age; the events of RDS do."""
    told = _instance(environment, plan.target)
    status, since = told["DBInstanceStatus"], datetime.fromisoformat(plan.made_at)
    said = [message for _, message in _restarts(environment, plan.target, since)]
    if status not in _PASSING:
        return Progress("failed", f"the instance is {status}")
    wanted = ["restarted", *(["failover completed"] if plan.parameters["failover"] else [])]
    missing = [word for word in wanted if not any(word in message.lower() for message in said)]
    if status != "available" or missing:
        waits = f"no event “{missing[0]}” yet" if missing else "its events are there"
        return Progress("going", f"{status}; {waits}")
    return _answers(environment, plan, f"available in {told['AvailabilityZone']}; events: {', '.join(said)}")


def _answers(environment: Environment, plan: Plan, said: str) -> Progress:
    named = environment.database
    replica = named is not None and plan.target in named.replicas
    if replica and named is not None and not named.replica_host:
        return Progress("done", f"{said}; whether it answers is not looked at: no replica_host is configured")
    try:
        postgres.connections(environment, replica=replica)
    except OpsError as error:
        return Progress("going", f"{said}; it does not answer yet: {error.what}")
    return Progress("done", f"{said}; it answers", {"events": said.partition("events: ")[2]})


register(
    Action(
        "reboot-database",
        observe=_observe,
        follow=_follow,
        keep=lambda answers: {"status after the call": answers[0]["DBInstance"]["DBInstanceStatus"]},
    )
)
