"""Puts alarms into ministack's store, of the region that is in scope; PutMetricAlarm and stacks come here alike."""

import importlib
import json
import time
from typing import Any

from opslib.sandbox import alarm_records
from opslib.sandbox.operations import Params
from opslib.sandbox.service_errors import ServiceError


def cloudwatch() -> Any:
    """Return ministack's module, whose store holds the alarms."""
    return importlib.import_module("ministack.services.cloudwatch")


def put_metric_alarm(p: Params) -> dict[str, Any]:
    """Put in an alarm and return it; one that is there keeps its state, until CloudWatch next looks at it."""
    store = cloudwatch()
    record = alarm_records.metric_alarm(p, **_place(store))
    existing = store._alarms.get(p["AlarmName"])
    _tag(store, record, p, is_new=existing is None, composite=False)
    record = store._alarms[p["AlarmName"]] = alarm_records.keep_state(record, existing)
    if existing is None:
        store._record_history(record["AlarmName"], *[record["StateValue"]] * 2, record["StateReason"])
    store._evaluate_alarm(record)
    return record


def put_composite_alarm(p: Params) -> dict[str, Any]:
    """Put in a composite alarm, whose rule is evaluated at once, and return it."""
    store = cloudwatch()
    record = alarm_records.composite_alarm(p, **_place(store))
    existing = store._composite_alarms.get(p["AlarmName"])
    _check_rule(store, record)
    _tag(store, record, p, is_new=existing is None, composite=True)
    record = store._composite_alarms[p["AlarmName"]] = alarm_records.keep_state(record, existing)
    state = store._composite_rule_state(record)
    if existing is None or state != record["StateValue"]:
        said = "was updated and its new" if existing else "was created and its"
        reason = f"{record['AlarmArn']} {said} alarm rule evaluates to {state}"
        store._transition_composite(record, state, reason, store._matching_children(record, state))
    return record


def _place(store: Any) -> dict[str, Any]:
    return {"region": store.get_region(), "account": store.get_account_id(), "now": time.time()}


def _check_rule(store: Any, record: dict[str, Any]) -> None:
    try:
        refs = list(dict.fromkeys(store._rule_refs(store._parse_alarm_rule(record["AlarmRule"]))))
    except ValueError as error:
        raise ServiceError("ValidationError", str(error)) from error
    held = [*store._alarms, *store._composite_alarms]
    prefix = record["AlarmArn"].removesuffix(record["AlarmName"])
    missing = [ref for ref in refs if store._rule_ref_name(ref) not in held]
    if missing:
        named = ", ".join(ref if ref.startswith("arn:") else prefix + ref for ref in missing)
        message = f"Could not save the composite alarm as alarms [{named}] in the alarm rule do not exist"
        raise ServiceError("ValidationError", message)


def _tag(store: Any, record: dict[str, Any], p: Params, *, is_new: bool, composite: bool) -> None:
    """Tags count when an alarm is made; ministack knows which AWS refuses."""
    tags = p.get("Tags")
    refused = store._alarm_tags_refusal(tags, None, is_new, False, True, composite=composite)
    if refused:
        told = json.loads(refused[2])
        raise ServiceError(told["__type"].rpartition("#")[2], told.get("message", ""), status=refused[0])
    if is_new and tags:
        store._resource_tags[record["AlarmArn"]] = {tag["Key"]: tag["Value"] for tag in tags}
