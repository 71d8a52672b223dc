"""Reads to the replica, and back: by the application's own switch, or by the weights of a DNS name; a Plan. Never a promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib import aws, console
from opslib import plan as plans
from opslib.actions import replica_health as health
from opslib.errors import ConfigError, ParameterError, Refused
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register
from opslib.sources.route53 import REGION

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.config_sections import Database
    from opslib.run import Run

WAYS = ("switch", "dns")
PRIMARY = "primary"
Record = dict[str, Any]


def route_reads(run: Run, *, to: str = "replica", way: str = "switch") -> Plan:
    """Plan to let the application read from the replica, or from the primary again.

    `switch` sets the SSM parameter `read_switch` (ssm:PutParameter) to the word `to`; `dns` gives the records of
    `read_record` that lead there all the weight (route53:ChangeResourceRecordSets). Raises ParameterError, ConfigError
    when the environment names no such switch, record or replica, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    if way not in WAYS:
        raise ParameterError(f"way={way!r} is not known", fix=f"one of {', '.join(WAYS)}")
    if to not in {PRIMARY, "replica"}:  # a word that the application does not know might stop its reads
        raise ParameterError(f"to={to!r} is not known", fix="replica or primary")
    database = _database(run.environment)
    planned = _by_switch(run.environment, database, to) if way == "switch" else _by_dns(run.environment, database, to)
    return _proposed(run, to, way, planned)


def _proposed(run: Run, to: str, way: str, planned: dict[str, Any]) -> Plan:
    environment, back = run.environment, to == PRIMARY
    reading, seen = health.reading(environment)
    replica = _database(environment).replicas[0]
    callers = (
        ", ".join(name for name, called in environment.services.calls.items() if "replica" in called)
        or "the application"
    )
    impact = f"reads of {callers}: {'the primary carries them again' if back else 'customers may not see for a moment what they have just done'}"
    target = planned.pop("target")
    return plans.propose(
        run, action="route-reads", title=f"Reads to the {to}", target=target,
        changes=(Change(target, planned.pop("now"), planned.pop("proposed"), planned["undo_draft"].says, impact),),
        conditions=(*planned.pop("conditions"), *(health.conditions(environment, replica) if not back else ())),
        limits=(*planned.pop("limits"), "the replica is not promoted: promotion cannot be taken back, and is no first aid for reads",
                *(() if reading is not None else (f"{seen}; the outcome will be said as unknown",)),
                *(() if back else ("put it back when the primary has room again: opslib open route-reads-to-replica -p to=primary",))),
        **planned, parameters={"to": to, "way": way, "reading": reading},
    )  # fmt: skip


def _database(environment: Environment) -> Database:
    found = environment.database
    if found is None or not found.replicas:
        raise ConfigError(f"environment {environment.name!r} names no replica", fix="add `replicas` to its [database]")
    return found


def _by_switch(environment: Environment, database: Database, to: str) -> dict[str, Any]:
    name = database.read_switch
    if not name:
        raise ConfigError("the application's switch is not known", fix='add `read_switch = "/…"` to [database], or way="dns"')  # fmt: skip
    told, region = _parameter(environment, name), environment.region
    address = console.parameter(region, name)
    plain = told["Type"] == "String"
    stands = told["Value"] if plain else "not shown"
    back = (_put(name, stands, address),) if plain else ()
    return {
        "target": name, "now": f"{stands}, version {told['Version']}", "proposed": to, "before": _switch(told), "steps": (_put(name, to, address),),
        "conditions": (Condition("the switch is a plain word", told["Type"], plain), Condition("it stands elsewhere", stands, stands != to)),
        "limits": ("it works when the application reads its switch: at once, at its next look, or at its next start (opslib open restart-service)",),
        "verification": Verification("The parameter is read again; then the sessions of others on the replica are counted until they are more than now, or fewer when going back.",
                                     f"aws ssm get-parameter --name {name} --region {region}", 10.0, 300.0),
        "undo_draft": Undo(f"set {name} to {stands} again", "route-reads", back) if plain else Undo("its value is not plain text"),
    }  # fmt: skip


def _put(name: str, value: str, address: str) -> Step:
    asked = {"Name": name, "Value": value, "Overwrite": True}
    return Step("ssm", "PutParameter", asked, f"set {name} to {value}", address)


def _parameter(environment: Environment, name: str) -> dict[str, Any]:
    return dict(aws.ask(environment, "ssm", "get_parameter", Name=name)["Parameter"])


def _switch(told: dict[str, Any]) -> dict[str, Any]:
    return {"value": told["Value"] if told["Type"] == "String" else "", "version": told["Version"]}


def _by_dns(environment: Environment, database: Database, to: str) -> dict[str, Any]:
    name = database.read_record
    if not name:
        raise ConfigError("the DNS name of reads is not known", fix='add `read_record = "…"` to [database], or way="switch"')  # fmt: skip
    zone, records = _records(environment, name)
    replicas = [one["SetIdentifier"] for one in records if _leads(one, database.replicas)]
    chosen = [one["SetIdentifier"] for one in records if (one["SetIdentifier"] in replicas) == (to != PRIMARY)]
    after = [{**one, "Weight": 100 if one["SetIdentifier"] in chosen else 0} for one in records]
    longest = max((int(one.get("TTL", 60)) for one in records), default=0)
    both = 0 < len(replicas) < len(records)
    return {
        "target": name, "now": _weights(records), "proposed": _weights(after), "before": _dns(records), "steps": (_change(zone, after),),
        "conditions": (
            Condition("weighted records lead to both", ", ".join(f"{one['SetIdentifier']} to {_value(one)}" for one in records) or "none", both),
            Condition("they are other weights", "yes" if after != records else "they stand so already", after != records),
            Condition("names are asked again soon", f"TTL {longest} s", longest <= 300),
        ),
        "limits": (f"pools keep their connections: only new ones go elsewhere, at the earliest {longest} s after the change",),
        "verification": Verification("Until Route 53 says INSYNC; the weights are read again; then the sessions of others on the replica are counted until they are more than now, or fewer when going back.",
                                     f"aws route53 list-resource-record-sets --hosted-zone-id {zone} --start-record-name {name} --max-items 4", 10.0, 600.0),
        "undo_draft": Undo(f"put the weights back: {_weights(records)}", "route-reads", (_change(zone, records),)),
    }  # fmt: skip


def _change(zone: str, records: list[Record]) -> Step:
    batch = {
        "Comment": "opslib: route-reads",
        "Changes": [{"Action": "UPSERT", "ResourceRecordSet": one} for one in records],
    }
    asked = {"HostedZoneId": zone, "ChangeBatch": batch}
    return Step(
        "route53", "ChangeResourceRecordSets", asked, f"weights {_weights(records)}", console.route53(zone), REGION
    )


def _records(environment: Environment, name: str) -> tuple[str, list[Record]]:
    """Return the zone of a name and its weighted records (route53:ListHostedZones, ListResourceRecordSets)."""
    wanted = name.rstrip(".") + "."
    zones = aws.pages(environment, "route53", "list_hosted_zones", "HostedZones", region=REGION)
    fitting = [zone for zone in zones if f".{wanted}".endswith(f".{zone['Name']}")]
    if not fitting:
        raise ParameterError(f"no hosted zone of this account holds {name}", why="`read_record` of [database] names it")
    zone = max(fitting, key=lambda each: len(each["Name"]))["Id"].rpartition("/")[2]
    asked = {"HostedZoneId": zone, "StartRecordName": wanted}
    found = []
    for record in aws.pages(environment, "route53", "list_resource_record_sets", "ResourceRecordSets", region=REGION, **asked):  # fmt: skip
        if record["Name"] != wanted:
            break  # in the order of names
        found += [record] if "Weight" in record else []
    return zone, found


def _leads(record: Record, replicas: tuple[str, ...]) -> bool:
    return any(_value(record).startswith(f"{name}.") for name in replicas)


def _value(record: Record) -> str:
    return ", ".join(each["Value"] for each in record.get("ResourceRecords", [])) or str(
        record.get("AliasTarget", {}).get("DNSName", "")
    )


def _weights(records: list[Record]) -> str:
    return ", ".join(f"{one['SetIdentifier']} {one['Weight']}" for one in records)


def _dns(records: list[Record]) -> dict[str, Any]:
    return {"records": [[one["SetIdentifier"], one["Weight"], one.get("TTL"), _value(one)] for one in records]}


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    if plan.parameters["way"] == "switch":
        return _switch(_parameter(environment, plan.target))
    return _dns(_records(environment, plan.target)[1])


def _keep(answers: list[Any]) -> Kept:
    told = answers[0]
    return {"change": told["ChangeInfo"]["Id"]} if "ChangeInfo" in told else {"version": told["Version"]}


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    found = _observe(environment, plan)
    if plan.parameters["way"] == "switch":
        wanted = {"value": plan.steps[0].arguments["Value"], "version": kept["version"]}
        said = f"{plan.target} is {found['value']}, version {found['version']}"
    else:
        told = aws.ask(environment, "route53", "get_change", region=REGION, Id=kept["change"])["ChangeInfo"]["Status"]
        if told != "INSYNC":
            return Progress("going", f"Route 53 says {told}")
        wanted = _dns([one["ResourceRecordSet"] for one in plan.steps[0].arguments["ChangeBatch"]["Changes"]])
        said = f"Route 53 says INSYNC, weights {', '.join(f'{one[0]} {one[1]}' for one in found['records'])}"
    if found != wanted:
        return Progress("failed", f"{said}: somebody else changed it meanwhile")
    return _moved(environment, plan, said)


def _moved(environment: Environment, plan: Plan, said: str) -> Progress:
    """A word that was written is no read that moved: the sessions on the replica are the evidence."""
    (now, seen), before = health.reading(environment), plan.parameters["reading"]
    evidence = {"sessions": health.sessions(environment)}
    if before is None or environment.database is None or not environment.database.replica_host:
        return Progress("unknown", f"{said}; {seen}: whether reads moved is not known", evidence)
    back = plan.parameters["to"] == PRIMARY
    moved = now is not None and (now < before or now == 0 if back else now > before)
    return Progress("done" if moved else "going", f"{said}; {seen}, {before} before", evidence)


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    """Plan to put back what stood there, unless somebody has changed it since."""
    environment, way, step = run.environment, plan.parameters["way"], plan.undo_draft.steps[0]
    found = _observe(environment, plan)
    mine = found["version"] == kept["version"] if way == "switch" else found == _dns([one["ResourceRecordSet"] for one in plan.steps[0].arguments["ChangeBatch"]["Changes"]])  # fmt: skip
    if not mine:
        raise Refused("somebody has changed it since", why=str(found), fix=plan.verification.look)
    to = str(plan.before["value"]) if way == "switch" else PRIMARY if plan.parameters["to"] != PRIMARY else "replica"
    planned = _by_switch(environment, _database(environment), to) if way == "switch" else _by_dns(environment, _database(environment), to)  # fmt: skip
    return _proposed(run, to, way, {**planned, "steps": (step,), "proposed": step.says})


register(Action("route-reads", observe=_observe, follow=_follow, keep=_keep, undo=_undo))
