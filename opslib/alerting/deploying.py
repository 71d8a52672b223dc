"""The alerts of an environment as one plan: each template beside the stack that stands, in its region and in us-east-1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib import plan as plans
from opslib.actions import alert_stacks, stacks
from opslib.actions.stack_state import LONGEST
from opslib.alerting import template
from opslib.alerting.alarms import GLOBAL
from opslib.alerting.delivery import LOG_GROUPS, SINKS
from opslib.checks.wording import listed
from opslib.config import FILE_NAME
from opslib.errors import ConfigError, SourceError
from opslib.plan import Condition
from opslib.sources import logs

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.plan import Plan
    from opslib.run import Run

DELIVERY = "alerts-delivery"
_IN_LINK = (
    50,
    700,
)  # log groups, as one query takes, and characters of their names: escaped they are three times as long


def deploy(run: Run, *, over_hand: bool = False, allow_loss: bool = False) -> Plan:
    """Plan to make the environment's alert stacks what the templates say, by change sets (cloudformation:CreateChangeSet).

    `over_hand` sets back what was changed by hand, `allow_loss` lets go of queues and keys with what they hold.
    Raises ConfigError for what opslib.toml lacks, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment = run.environment
    wanted = list(stacks_of(environment))
    found = [stacks.standing(environment, one) for one in wanted]
    places = [(one.region or environment.region, one.values["CodeBucket"], one.values["CodeKey"]) for one in wanted if one.name == DELIVERY]  # fmt: skip
    return alert_stacks.deploy(
        run, found, code=template.archive(), places=places, conditions=(_ours(environment, found), _short(found)), limits=tuple(_taken(environment, found)),
        over_hand=over_hand, allow_loss=allow_loss,
    )  # fmt: skip


def stacks_of(environment: Environment) -> Iterator[stacks.Wanted]:
    """Yield every stack in the order in which it is made: in each region first how alerts reach people.

    Asks for the secrets' ARNs by their names (secretsmanager:DescribeSecret), the buckets (s3:HeadBucket) and log groups.
    Raises ConfigError, SourceError.
    """
    made, role = template.templates(environment), environment.alerts.stack_role
    groups = ",".join(_linked(environment)[0])
    for region in dict.fromkeys((environment.region, GLOBAL)):
        place = region if region != environment.region else ""
        values = _values(environment, region, made[DELIVERY], groups)
        yield stacks.Wanted(DELIVERY, template.text(made[DELIVERY]), values, place, role=role)
        for name, body in made.items():
            if name != DELIVERY and (name == f"alerts-{GLOBAL}") == bool(place):
                yield stacks.Wanted(name, template.text(body), {}, place, role=role)


def _values(environment: Environment, region: str, delivery: dict[str, Any], groups: str) -> dict[str, str]:
    bucket = environment.alerts.code_buckets.get(region, "")
    if not bucket:
        raise _lacks(environment, f'code_buckets = {{ "{region}" = "BUCKET" }}', f"Lambda of {region} takes code from a bucket of {region} alone")  # fmt: skip
    _look_at(environment, region, bucket)
    secrets = {f"{sink}Secret": _secret(environment, region, sink) for sink in SINKS}
    return {"CodeBucket": bucket, "CodeKey": delivery["Parameters"]["CodeKey"]["Default"], LOG_GROUPS: groups, **secrets}  # fmt: skip


def _linked(environment: Environment) -> tuple[list[str], list[str]]:
    """Return the log groups that messages link to, and those for which a link has no room (logs:DescribeLogGroups)."""
    told = logs.log_groups(environment, patterns=environment.log_groups)["name"]
    names = [name for name in sorted(told) if not name.startswith("/aws/lambda/ops-notify-")]
    count = sum(len(",".join(names[: place + 1])) <= _IN_LINK[1] for place in range(min(len(names), _IN_LINK[0])))
    return names[:count], names[count:]


def _look_at(environment: Environment, region: str, bucket: str) -> None:
    try:
        told = aws.ask(environment, "s3", "head_bucket", region=region, Bucket=bucket)
    except SourceError as error:
        if "404" not in error.what:
            raise
        fix = f"aws s3 mb s3://{bucket} --region {region}, or correct alerts.code_buckets of [env.{environment.name}]"
        raise ConfigError(f"there is no bucket {bucket}", why="the notifier's code is to lie there", fix=fix) from None
    if (there := told.get("BucketRegion", region)) != region:
        raise ConfigError(f"the bucket {bucket} is in {there}", why=f"Lambda of {region} takes code from a bucket of {region} alone", fix=f"correct alerts.code_buckets of [env.{environment.name}]")  # fmt: skip


def _secret(environment: Environment, region: str, sink: str) -> str:
    """Return the ARN of a sink's secret: an ARN serves every region, a name is looked up in each."""
    key = f"{sink.lower()}_secret"
    name: str = getattr(environment.alerts, key)
    if not name:
        raise _lacks(environment, f'{key} = "NAME"', f"what leads to {sink} lies in Secrets Manager or SSM, and is only named here")  # fmt: skip
    if name.startswith("arn:"):
        return name
    try:
        return str(aws.ask(environment, "secretsmanager", "describe_secret", region=region, SecretId=name)["ARN"])
    except SourceError as error:
        if "ResourceNotFound" not in error.what:
            raise
        fix = f"make it there, or aws secretsmanager replicate-secret-to-regions --secret-id {name} --add-replica-regions Region={region}"  # fmt: skip
        raise ConfigError(f"there is no secret {name} in {region}", why=f"alerts.{key} of [env.{environment.name}] names it", fix=fix) from None  # fmt: skip


def _lacks(environment: Environment, line: str, why: str) -> ConfigError:
    place = f"{FILE_NAME}, [env.{environment.name}.alerts]"
    return ConfigError(f"{place}: {line.partition(' ')[0]} is missing", why=why, fix=f"add {line}")


def _ours(environment: Environment, found: list[stacks.Standing]) -> Condition:
    """The names of the stacks are the same for every environment: two of them in one account would undo each other."""
    theirs = []
    for one in found:
        wanted, said = json.loads(one.wanted.text), json.loads(one.text) if one.text else {}
        if said and said.get("Description") != wanted["Description"]:
            theirs.append(f"{one.place}: {said.get('Description')}")
    return Condition("the stacks that stand are those of this environment", "; ".join(theirs) or "they are", not theirs)


def _short(found: list[stacks.Standing]) -> Condition:
    """A template that is too long is known before the stacks ahead of it are made."""
    long = [f"{one.place} has {size:,} bytes" for one in found if (size := len(one.wanted.text.encode())) > LONGEST]
    says = f"{'; '.join(long)}: name fewer services in one environment" if long else "they are"
    return Condition(f"the templates have at most {LONGEST:,} bytes, as a call takes", says, not long)


def _taken(environment: Environment, found: list[stacks.Standing]) -> Iterator[str]:
    """Yield what links of messages leave out, and what stands already under a name that a new stack would give."""
    held, left = _linked(environment)
    if left:
        yield f"links of messages have room for {len(held)} of {len(held) + len(left)} log groups, and leave out {listed(left, 3)}: name fewer in log_groups"
    for region in {one.wanted.region: None for one in found if one.new}:
        names = {properties["AlarmName"] for one in found if one.new and one.wanted.region == region
                 for resource in json.loads(one.wanted.text)["Resources"].values() if "AlarmName" in (properties := resource.get("Properties", {}))}  # fmt: skip
        told = {one["AlarmName"] for key, kind in (("MetricAlarms", "MetricAlarm"), ("CompositeAlarms", "CompositeAlarm"))
                for one in aws.pages(environment, "cloudwatch", "describe_alarms", key, region=region, AlarmTypes=[kind], AlarmNamePrefix=f"{environment.name}-")}  # fmt: skip
        if taken := names & told:
            yield f"{len(taken)} alarms in {region or environment.region} have the names of new ones and belong to no stack: where CloudFormation refuses a name that is taken, it rolls that stack back and says so; delete them first"  # fmt: skip
