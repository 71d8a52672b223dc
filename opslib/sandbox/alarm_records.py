"""An alarm as DescribeAlarms gives it, made of what PutMetricAlarm is given and checked as CloudWatch checks it."""

from collections.abc import Mapping
from typing import Any

from opslib.sandbox.metrics_reading import DAY, HOUR, SIMPLE, check_statistic
from opslib.sandbox.service_errors import NotModelled, ServiceError

OPERATORS = ("GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold")
MISSING = ("breaching", "notBreaching", "ignore", "missing")
ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
SUPPRESSOR = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_METRIC = ("MetricName", "Namespace", "Dimensions", "Period", "Statistic", "ExtendedStatistic", "Unit")
_KEPT = ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp", "StateTransitionedTimestamp")
_UNCHECKED = "Unchecked: Initial alarm creation"


def metric_alarm(p: Mapping[str, Any], *, region: str, account: str, now: float) -> dict[str, Any]:
    """Return a new alarm, in no state yet, from the parameters of PutMetricAlarm; raises ServiceError as AWS refuses them."""
    _check(p)
    record = _common(p, region, account, now) | {"EvaluationPeriods": int(p["EvaluationPeriods"])}
    record |= {name: p[name] for name in ("DatapointsToAlarm", "EvaluateLowSampleCountPercentile") if p.get(name)}
    record |= {"ComparisonOperator": p["ComparisonOperator"], "Threshold": float(p["Threshold"])}
    record["TreatMissingData"] = p.get("TreatMissingData") or "missing"
    if p.get("Metrics"):
        return record | {"Metrics": p["Metrics"], "Dimensions": []}
    watched = {name: p[name] for name in _METRIC if p.get(name)}
    return record | {"Dimensions": []} | watched | {"Period": int(p["Period"])}


def composite_alarm(p: Mapping[str, Any], *, region: str, account: str, now: float) -> dict[str, Any]:
    """Return a new composite alarm, in no state yet, from the parameters of PutCompositeAlarm."""
    suppressor = {name: p[name] for name in SUPPRESSOR if p.get(name) is not None}
    if suppressor and len(suppressor) < len(SUPPRESSOR):
        raise _refused(f"{', '.join(SUPPRESSOR)} must be given together")
    return _common(p, region, account, now) | {"AlarmRule": p["AlarmRule"]} | suppressor


def keep_state(record: dict[str, Any], existing: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a record in the state of the one that it takes the place of."""
    return record | {name: existing[name] for name in _KEPT if existing and name in existing}


def queries(alarm: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what GetMetricData would be asked for an alarm's values: the one query that returns data is the alarm's."""
    if alarm.get("Metrics"):
        return list(alarm["Metrics"])
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions") if alarm.get(name)}
    stat = {"Metric": metric, "Period": alarm["Period"], "Stat": statistic_of(alarm)}
    return [{"Id": "m1", "MetricStat": stat | ({"Unit": alarm["Unit"]} if alarm.get("Unit") else {})}]


def statistic_of(alarm: Mapping[str, Any]) -> str:
    """Return the statistic of an alarm on one metric."""
    return str(alarm.get("ExtendedStatistic") or alarm["Statistic"])


def period_of(alarm: Mapping[str, Any]) -> int:
    """Return the seconds of one datapoint; for metric math, those of its longest metric."""
    if not alarm.get("Metrics"):
        return int(alarm["Period"])
    found = [query.get("Period") or (query.get("MetricStat") or {}).get("Period") or 0 for query in alarm["Metrics"]]
    return max(int(period) for period in found)


def _common(p: Mapping[str, Any], region: str, account: str, now: float) -> dict[str, Any]:
    name = p["AlarmName"]
    return {
        "AlarmName": name, "AlarmArn": f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
        **({"AlarmDescription": p["AlarmDescription"]} if p.get("AlarmDescription") else {}),
        "ActionsEnabled": p.get("ActionsEnabled") not in (False, "false"), **{each: list(p.get(each) or ()) for each in ACTIONS},
        "StateValue": "INSUFFICIENT_DATA", "StateReason": _UNCHECKED, "StateUpdatedTimestamp": now,
        "StateTransitionedTimestamp": now, "AlarmConfigurationUpdatedTimestamp": now,
    }  # fmt: skip


def _check(p: Mapping[str, Any]) -> None:
    for name in ("EvaluationPeriods", "ComparisonOperator"):
        if not p.get(name):
            raise _refused(f"The parameter {name} is required.", "MissingParameter")
    if p["ComparisonOperator"] not in OPERATORS or p.get("Threshold") is None:
        raise NotModelled("cloudwatch", "PutMetricAlarm", "alarms on anomaly detection are not modelled")
    if "WallClockWindow" in (p.get("EvaluationWindow") or {}):
        raise NotModelled("cloudwatch", "PutMetricAlarm", "alarms on wall clock windows are not modelled")
    if (p.get("TreatMissingData") or "missing") not in MISSING:
        raise _refused(f"The value {p['TreatMissingData']} is not supported for TreatMissingData parameter.")
    if p.get("DatapointsToAlarm") and int(p["DatapointsToAlarm"]) > int(p["EvaluationPeriods"]):
        raise _refused("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if p.get("Metrics"):
        _check_math(p)
    else:
        _check_metric(p)
    period = period_of(p)
    _check_span(period, int(p["EvaluationPeriods"]))


def _check_math(p: Mapping[str, Any]) -> None:
    if any(p.get(name) for name in _METRIC):
        raise _refused("Metrics cannot be combined with MetricName, Namespace, Dimensions, Period, Statistic or Unit.")
    if sum(query.get("ReturnData") is not False for query in p["Metrics"]) != 1:
        raise _refused("Exactly one element of the metrics list should return data.")
    for query in p["Metrics"]:
        if bool(query.get("Expression")) == bool(query.get("MetricStat")):
            raise _refused(f"Either MetricStat or Expression is required in {query['Id']}.")
        if query.get("MetricStat"):
            check_statistic(query["MetricStat"]["Stat"], "PutMetricAlarm")


def _check_metric(p: Mapping[str, Any]) -> None:
    for name in ("MetricName", "Namespace", "Period"):
        if not p.get(name):
            raise _refused(f"The parameter {name} is required for alarms based on metrics.", "MissingParameter")
    if bool(p.get("Statistic")) == bool(p.get("ExtendedStatistic")):
        raise _refused("Either Statistic or ExtendedStatistic must be given, and not both.", "InvalidParameterCombination")  # fmt: skip
    if p.get("Statistic") and p["Statistic"] not in SIMPLE:
        raise _refused(f"The value {p['Statistic']} is not supported for Statistic.")
    if p.get("ExtendedStatistic"):
        check_statistic(p["ExtendedStatistic"], "PutMetricAlarm")


def _check_span(period: int, count: int) -> None:
    if period not in (10, 20, 30) and (period <= 0 or period % 60):
        raise _refused("Period must be 10, 20, 30 or a multiple of 60.")
    days, most = (7, 7 * DAY) if period >= HOUR else (1, DAY)
    if count * period > most:
        said = "a day" if days == 1 else "7 days"
        raise _refused(f"Metrics cannot be checked across more than {said} (EvaluationPeriods * Period must be <= {most}).")  # fmt: skip


def _refused(message: str, code: str = "ValidationError") -> ServiceError:
    return ServiceError(code, message)
