"""SNS, SQS, Lambda, EventBridge and secrets as messages pass them: who may, who hears, what waits, what is switched off."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib import aws, frames
from opslib.errors import OpsError
from opslib.sources import regions
from opslib.sources.inventory import EDGE

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

Place = tuple[str, str]  # region, and ARN, URL or name
TOPICS = {"region": "str", "topic": "str", "publishers": "str", "key": "str", "key_users": "str"}
SUBSCRIPTIONS = {"region": "str", "topic": "str", "protocol": "str", "endpoint": "str", "confirmed": "bool", "undelivered": "str"}  # fmt: skip
QUEUES = {"region": "str", "queue": "str", "url": "str", "waiting": "int64"}
FUNCTIONS = {"region": "str", "function": "str", "state": "str", "code": "str", "secret": "str", "invokers": "str", "updated": "time"}  # fmt: skip
RULES = {"region": "str", "rule": "str", "state": "str", "schedule": "str", "targets": "int64"}
EVENT_RULES = {"region": "str", "rule": "str", "state": "str", "pattern": "str", "targets": "str"}
SECRETS = {"region": "str", "secret": "str", "state": "str", "changed": "time"}
_ABSENT = ("NotFound", "NonExistentQueue", "QueueDoesNotExist")
_KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")  # without both a service cannot publish to an encrypted topic


def topics(environment: Environment, places: Sequence[Place]) -> pd.DataFrame:
    """Return the topics by their ARNs, and the services that their policies let publish (sns:GetTopicAttributes, kms:GetKeyPolicy).

    Here and below: those that are not there have no row; attrs: problems (list of str, what did not answer). Raises
    SourceError when nothing answered. Columns: region, topic (name), publishers, key, key_users (services that the
    policy of a key of our own lets use it), lists parted by spaces, str.
    """

    def ask(region: str, arn: str) -> Iterator[dict[str, Any]]:
        told = aws.ask(environment, "sns", "get_topic_attributes", region=region, TopicArn=arn)["Attributes"]
        key = told.get("KmsMasterKeyId", "")
        users = _key_users(environment, region, key) if key and "alias/aws/" not in key else []
        publishers = [service for service, _ in granted(told.get("Policy", ""), "sns:Publish")]
        yield {"topic": _last(arn), "publishers": _words(publishers), "key": key, "key_users": _words(users)}

    return _each(places, ask, TOPICS)


def subscriptions(environment: Environment, places: Sequence[Place]) -> pd.DataFrame:
    """Return who hears the topics of these ARNs (sns:ListSubscriptionsByTopic, GetSubscriptionAttributes).

    Columns: region, topic, protocol, endpoint (an address loses what is behind its host), undelivered (name of the queue
    for what it did not take) str; confirmed bool.
    """

    def ask(region: str, arn: str) -> Iterator[dict[str, Any]]:
        for one in aws.pages(environment, "sns", "list_subscriptions_by_topic", "Subscriptions", region=region, TopicArn=arn):  # fmt: skip
            confirmed, redrive = one["SubscriptionArn"].startswith("arn:"), ""  # else it says PendingConfirmation
            if confirmed:
                asked = {"region": region, "SubscriptionArn": one["SubscriptionArn"]}
                told = aws.ask(environment, "sns", "get_subscription_attributes", **asked)["Attributes"]
                confirmed = told.get("PendingConfirmation") != "true"
                redrive = json.loads(told.get("RedrivePolicy") or "{}").get("deadLetterTargetArn", "")
            yield {
                "topic": _last(arn), "protocol": one["Protocol"], "endpoint": _shown(one["Endpoint"]), "confirmed": confirmed,
                "undelivered": _last(redrive),
            }  # fmt: skip

    return _each(places, ask, SUBSCRIPTIONS)


def queues(environment: Environment, places: Sequence[Place]) -> pd.DataFrame:
    """Return how many messages are in the queues of these URLs, those just taken and not yet deleted too (sqs:GetQueueAttributes).

    Columns: region, queue (name), url str; waiting int64, which AWS calls approximate.
    """
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]

    def ask(region: str, url: str) -> Iterator[dict[str, Any]]:
        told = aws.ask(environment, "sqs", "get_queue_attributes", region=region, QueueUrl=url, AttributeNames=names)
        waiting = sum(int(told.get("Attributes", {}).get(name, 0)) for name in names)
        yield {"queue": url.rpartition("/")[2], "url": url, "waiting": waiting}

    return _each(places, ask, QUEUES)


def functions(environment: Environment, places: Sequence[Place]) -> pd.DataFrame:
    """Return the functions by name: their code and who may call them (lambda:GetFunctionConfiguration, GetPolicy).

    Columns: region, function, state (Active, or what AWS says instead), code (sha256 in base64), secret (the ARN in the
    variable SECRET), invokers ("sns:ops-alerts events:*", services with what they may call it for) str; updated time.
    """

    def ask(region: str, name: str) -> Iterator[dict[str, Any]]:
        told = aws.ask(environment, "lambda", "get_function_configuration", region=region, FunctionName=name)
        updating = told.get("LastUpdateStatus", "Successful")
        state = told.get("State", "Active") if updating == "Successful" else f"update {updating}"
        held = told.get("Environment", {}).get("Variables", {})
        yield {
            "function": told["FunctionName"], "state": state, "code": told["CodeSha256"], "secret": held.get("SECRET", ""),
            "invokers": _words(sorted(_invokers(environment, region, name))), "updated": told["LastModified"],
        }  # fmt: skip

    return _each(places, ask, FUNCTIONS)


def rules(environment: Environment, places: Sequence[Place]) -> pd.DataFrame:
    """Return the rules by name (events:DescribeRule, ListTargetsByRule): region, rule, state, schedule str; targets int64."""

    def ask(region: str, name: str) -> Iterator[dict[str, Any]]:
        told = aws.ask(environment, "events", "describe_rule", region=region, Name=name)
        targets = list(aws.pages(environment, "events", "list_targets_by_rule", "Targets", region=region, Rule=name))
        yield {"rule": name, "state": told["State"], "schedule": told.get("ScheduleExpression", ""), "targets": len(targets)}  # fmt: skip

    return _each(places, ask, RULES)


def event_rules(environment: Environment, *, about: Collection[str]) -> pd.DataFrame:
    """Return the rules for events of these sources in the region and in us-east-1 (events:ListRules, ListTargetsByRule).

    Columns: region, rule, state, pattern (as `canonical` writes it), targets (ARNs, parted by spaces) str; attrs and errors
    as above.
    """

    def ask(region: str, _: str) -> Iterator[dict[str, Any]]:
        for one in aws.pages(environment, "events", "list_rules", "Rules", region=region):
            pattern = json.loads(one.get("EventPattern") or "{}")
            if any(source in about for source in pattern.get("source", []) if isinstance(source, str)):
                try:
                    targets = sorted(each["Arn"] for each in aws.pages(environment, "events", "list_targets_by_rule", "Targets", region=region, Rule=one["Name"]))  # fmt: skip
                except OpsError as error:
                    if not _is_absent(error):
                        raise
                    continue  # it was deleted meanwhile: the others are there
                yield {"rule": one["Name"], "state": one["State"], "pattern": canonical(pattern), "targets": _words(targets)}  # fmt: skip

    return _each([(region, "rules") for region in dict.fromkeys((environment.region, EDGE))], ask, EVENT_RULES)


def canonical(pattern: Any) -> str:
    """Return an event pattern as JSON that is the same for all patterns of the same meaning: keys and lists in order."""

    def ordered(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: ordered(part[key]) for key in sorted(part)}
        return sorted(map(ordered, part), key=json.dumps) if isinstance(part, list) else part

    return json.dumps(ordered(pattern), ensure_ascii=False)


def secrets(environment: Environment, places: Sequence[Place]) -> pd.DataFrame:
    """Return whether secrets and parameters of these ARNs are there; nobody asks for a value (secretsmanager:DescribeSecret, ssm:DescribeParameters).

    Columns: region, secret (ARN), state ("there", "to be deleted" or "empty") str; changed time.
    """

    def ask(_: str, arn: str) -> Iterator[dict[str, Any]]:
        service, region, name = arn.split(":")[2], arn.split(":")[3], arn.partition(":parameter")[2]
        if service == "ssm":
            asked = [{"Key": "Name", "Option": "Equals", "Values": [name, name.lstrip("/")]}]
            for one in aws.pages(environment, "ssm", "describe_parameters", "Parameters", region=region, ParameterFilters=asked):  # fmt: skip
                yield {"secret": arn, "state": "there", "changed": one["LastModifiedDate"]}
            return
        told = aws.ask(environment, "secretsmanager", "describe_secret", region=region, SecretId=arn)
        held = any("AWSCURRENT" in stages for stages in told.get("VersionIdsToStages", {}).values())
        state = "to be deleted" if told.get("DeletedDate") else "there" if held else "empty"
        yield {"secret": arn, "state": state, "changed": told.get("LastChangedDate")}

    return _each(places, ask, SECRETS)


def granted(policy: str, action: str) -> list[Place]:
    """Return the services that a resource's policy lets do something, each with the ARN that it must do it for, else "*".

    Who is let in without being a service is left out; a service that any statement denies is out.
    """
    found: dict[Place, None] = {}
    denied: set[str] = set()
    for one in json.loads(policy or "{}").get("Statement", []):
        if not any(fnmatchcase(action.lower(), each.lower()) for each in _listed(one.get("Action", []))):
            continue
        principal = one.get("Principal", {})
        services = [_listed(principal.get("Service", []))] if isinstance(principal, Mapping) else [["*"]]
        for service in (name.partition(".")[0] for names in services for name in names):
            if one["Effect"] == "Deny":
                denied.add(service)
            else:
                found |= dict.fromkeys((service, source) for source in _sources(one.get("Condition", {})))
    return [place for place in found if not denied & {place[0], "*"} and place[0] != "*"]


def _sources(condition: Mapping[str, Any]) -> list[str]:
    for keys in condition.values():
        for name, values in keys.items():
            if name.lower() == "aws:sourcearn":
                return _listed(values)
    return ["*"]


def _key_users(environment: Environment, region: str, key: str) -> list[str]:
    policy = aws.ask(environment, "kms", "get_key_policy", region=region, KeyId=key, PolicyName="default")["Policy"]
    may = [{service for service, _ in granted(policy, action)} for action in _KEY_ACTIONS]
    return sorted(set.intersection(*may))


def _invokers(environment: Environment, region: str, name: str) -> list[str]:
    """Return who may call a function; one without any permission has no policy."""
    try:
        policy = aws.ask(environment, "lambda", "get_policy", region=region, FunctionName=name)["Policy"]
    except OpsError as error:
        if _is_absent(error):
            return []
        raise
    return [f"{service}:{_last(source)}" for service, source in granted(policy, "lambda:InvokeFunction")]


def _each(places: Sequence[Place], ask: Callable[[str, str], Iterator[dict[str, Any]]], types: Mapping[str, str]) -> pd.DataFrame:  # fmt: skip
    """Ask for every place at once."""
    rows: list[dict[str, Any]] = []
    errors: dict[Place, OpsError] = {}
    answers = regions.at_once({place: partial(lambda *one: list(ask(*one)), *place) for place in places}, needed=list(places))  # fmt: skip
    for place, answer in answers.items():
        if not isinstance(answer, OpsError):
            rows += [{"region": place[0], **row} for row in answer]
        elif not _is_absent(answer):
            errors[place] = answer
    if errors and len(errors) == len(answers):
        raise next(iter(errors.values()))
    frame = frames.made(rows, types)
    frame.attrs["problems"] = [f"{_last(place[1].rpartition('/')[2])} in {place[0]}: {error.what}" for place, error in errors.items()]  # fmt: skip
    return frame


def _is_absent(error: OpsError) -> bool:
    return any(word in error.what for word in _ABSENT)


def _last(arn: str) -> str:
    return arn.rpartition(":")[2].rpartition("/")[2]


def _shown(endpoint: str) -> str:
    """Return an endpoint without what may be a key in its address."""
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if rest else endpoint


def _words(names: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(names))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
