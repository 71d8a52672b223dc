"""The stacks of alerts by one plan: the notifier's code is brought first, and afterwards alarms, subscriptions and code are looked at."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.actions import stack_state as state
from opslib.actions import stack_steps as following
from opslib.actions import stacks
from opslib.errors import SourceError
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Verification, register

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

NAME, TARGET = "deploy-alerts", "alerts"
ARCHIVE = "notifier.zip"
_ALARMS = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"}


def deploy(
    run: Run, found: Sequence[stacks.Standing], *, code: bytes, places: Iterable[tuple[str, str, str]], conditions: tuple[Condition, ...],
    limits: tuple[str, ...] = (), over_hand: bool = False, allow_loss: bool = False,
) -> Plan:  # fmt: skip
    """Plan to make or change the stacks that differ (s3:PutObject, CreateChangeSet, ExecuteChangeSet).

    `places` are region, bucket and key of the notifier's code; it is brought to those where it is not yet (HeadObject).
    """
    environment, sha = run.environment, hashlib.sha256(code).hexdigest()
    wanting = [place for place in places if not _is_there(environment, *place, sha)]
    text = base64.b64encode(code).decode()
    kept = {"code": state.keep(environment, text), "sha256": sha}
    rows = tuple(Change(f"s3://{bucket}/{key}", "not there", f"{len(code):,} bytes: the notifier's code, named by its content", "it stays, and nothing names it any more", "none") for _, bucket, key in wanting)  # fmt: skip
    look = f"aws cloudformation describe-stacks --region {environment.region}"
    return stacks.deploy(
        run, found, action=NAME, title=f"Deploy the alerts of {environment.name}", target=TARGET, parameters=kept, rows=rows,
        first=tuple(_bring(*place, sha) for place in wanting), conditions=conditions, limits=limits, over_hand=over_hand, allow_loss=allow_loss,
        verification=Verification("By each change set's own events; then that every alarm is there and acts, each topic has its functions, and they run this code.", look, 5.0, 1800.0),
    )  # fmt: skip


def _bring(region: str, bucket: str, key: str, sha: str) -> Step:
    asked = {"Bucket": bucket, "Key": key, "Body": f"fileb://{ARCHIVE}", "ChecksumSHA256": _base64(sha)}
    says = f"bring the notifier's code to {bucket} (opslib alerts template --to . writes {ARCHIVE})"
    return Step("s3", "PutObject", asked, says, f"https://{region}.console.aws.amazon.com/s3/object/{bucket}?prefix={key}", region)  # fmt: skip


def _is_there(environment: Environment, region: str, bucket: str, key: str, sha: str) -> bool:
    """Tell whether the code lies there; one of its name with another content is none, and is written over."""
    try:
        told = aws.ask(environment, "s3", "head_object", region=region, Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except SourceError as error:
        if "404" in error.what:
            return False
        raise
    return told.get("ChecksumSHA256") == _base64(sha)


def _base64(sha: str) -> str:
    return base64.b64encode(bytes.fromhex(sha)).decode()


def _complete(environment: Environment, plan: Plan, step: Step, kept: Kept) -> dict[str, Any]:
    if step.operation != "PutObject":
        return following.complete(environment, plan, step, kept)
    return {**step.arguments, "Body": base64.b64decode(state.kept(environment, plan.parameters["code"]))}


def _between(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    step = plan.steps[kept["steps done"] - 1]
    if step.operation != "PutObject":
        return following.look(environment, plan, step)
    where = f"s3://{step.arguments['Bucket']}/{step.arguments['Key']}"
    there = _is_there(environment, step.region, step.arguments["Bucket"], step.arguments["Key"], plan.parameters["sha256"])  # fmt: skip
    return Progress("done", f"{where} is there") if there else Progress("failed", f"{where} is not what was sent")


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """First by the stacks' events, then by what they made: a stack may be complete and its alarms tell nobody."""
    made = following.follow(environment, plan, kept)
    return _acting(environment, plan, made) if made.state == "done" else made


def _acting(environment: Environment, plan: Plan, made: Progress) -> Progress:
    regions: dict[str, dict[str, set[str]]] = {}
    for place in plan.before:
        name, _, region = place.partition(" ")
        for one in aws.pages(environment, "cloudformation", "list_stack_resources", "StackResourceSummaries", region=region, StackName=name):  # fmt: skip
            regions.setdefault(region, {}).setdefault(one["ResourceType"], set()).add(one["PhysicalResourceId"])
    wrong, late = [], []
    for region, kinds in regions.items():
        wrong += [*_silent(environment, region, kinds), *_unheard(environment, region, kinds)]
        late += list(_other_code(environment, region, kinds, plan.parameters["sha256"]))
    count = sum(len(names) for kinds in regions.values() for kind, names in kinds.items() if kind in _ALARMS)
    if wrong:
        return Progress("failed", f"the stacks are complete, and {'; '.join(wrong)}")
    if late:
        return Progress("going", "; ".join(late))
    return Progress("done", f"{made.says}; {count} alarms act on topics that both functions hear", {**made.evidence, "alarms": str(count)})  # fmt: skip


def _silent(environment: Environment, region: str, kinds: dict[str, set[str]]) -> Iterator[str]:
    """Yield the alarms of the stacks that are not there, or tell nobody."""
    found: dict[str, bool] = {}
    for kind, key in (("MetricAlarm", "MetricAlarms"), ("CompositeAlarm", "CompositeAlarms")):
        for one in aws.pages(environment, "cloudwatch", "describe_alarms", key, region=region, AlarmTypes=[kind]):
            acts = set(one["AlarmActions"]) & kinds.get("AWS::SNS::Topic", set(one["AlarmActions"]))
            found[one["AlarmName"]] = bool(acts) and one["ActionsEnabled"]
    wanted = sorted(name for kind in _ALARMS for name in kinds.get(kind, ()))
    for name in wanted:
        if not found.get(name):
            yield f"the alarm {name} {'tells nobody' if name in found else 'is not there'}"


def _unheard(environment: Environment, region: str, kinds: dict[str, set[str]]) -> Iterator[str]:
    """Yield the topics of the stacks that not every function of theirs hears."""
    functions = kinds.get("AWS::Lambda::Function", set())
    for topic in sorted(kinds.get("AWS::SNS::Topic", ())):
        told = aws.pages(environment, "sns", "list_subscriptions_by_topic", "Subscriptions", region=region, TopicArn=topic)  # fmt: skip
        hearing = {one["Endpoint"].rpartition(":")[2] for one in told if one["SubscriptionArn"].startswith("arn:")}
        for name in sorted(functions - hearing):
            yield f"{name} does not hear {topic.rpartition(':')[2]}"


def _other_code(environment: Environment, region: str, kinds: dict[str, set[str]], sha: str) -> Iterator[str]:
    for name in sorted(kinds.get("AWS::Lambda::Function", ())):
        told = aws.ask(environment, "lambda", "get_function_configuration", region=region, FunctionName=name)
        ready = told.get("State") == "Active" and told.get("LastUpdateStatus", "Successful") == "Successful"
        if told["CodeSha256"] != _base64(sha) or not ready:
            yield f"{name} {region} is {told.get('State')}, {told.get('LastUpdateStatus')} with code {told['CodeSha256'][:12]}"  # fmt: skip


register(Action(NAME, observe=following.observe, follow=_follow, keep=following.keep, undo=stacks.undo, between=_between, complete=_complete))  # fmt: skip
