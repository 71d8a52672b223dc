"""How CloudWatch decides an alarm's state, M out of the last N datapoints, and the words it says it with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

_WORDS = {
    "GreaterThanThreshold": ("greater than", lambda value, limit: value > limit),
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", lambda value, limit: value >= limit),
    "LessThanThreshold": ("less than", lambda value, limit: value < limit),
    "LessThanOrEqualToThreshold": ("less than or equal to", lambda value, limit: value <= limit),
}
_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class Change:
    """One change of state: at (epoch seconds), states, reason and its data as CloudWatch gives them."""

    at: float
    before: str
    after: str
    reason: str
    data: dict[str, Any]


def period(alarm: Mapping[str, Any]) -> int:
    """Return the seconds of one datapoint; metric math goes by that of its metrics."""
    found = [each["MetricStat"]["Period"] for each in alarm.get("Metrics", ()) if each.get("MetricStat")]
    return int(max(found) if found else alarm["Period"])


def statistic(alarm: Mapping[str, Any]) -> str:
    """Return the name of the statistic; metric math has none."""
    return str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "")


def breaches(alarm: Mapping[str, Any], value: float) -> bool:
    """Say whether a value is on the wrong side of the threshold."""
    return bool(_WORDS[alarm["ComparisonOperator"]][1](value, alarm["Threshold"]))


def changes(
    alarm: Mapping[str, Any], points: Mapping[int, float], *, start: int, end: float, lag: float
) -> Iterator[Change]:
    """Yield what becomes of an alarm's state while its periods end, `lag` seconds after each.

    alarm: as DescribeAlarms gives it, with the state to begin with; points: statistic by start of period.
    """
    step, count, alarm = period(alarm), alarm["EvaluationPeriods"], dict(alarm)
    lasts = range(start // step * step, int(end - lag) - step + 1, step)
    recent = [points.get(lasts.start + n * step) for n in range(1 - count, len(lasts))]
    known = list(accumulate((value is not None for value in recent), initial=0))
    bad = list(accumulate((value is not None and breaches(alarm, value) for value in recent), initial=0))
    for n, last in enumerate(lasts):
        if alarm["StateValue"] != _state(alarm, bad[n + count] - bad[n], known[n + count] - known[n]):
            change = look(alarm, points, last=last, at=last + step + lag)
            assert change is not None
            yield change
            alarm["StateValue"] = change.after


def look(alarm: Mapping[str, Any], points: Mapping[int, float], *, last: int, at: float) -> Change | None:
    """Return what becomes of an alarm's state when CloudWatch looks at it once, or None when it stays.

    points: statistic by start of period; last: the start of the newest of the periods; at: when it looks.
    """
    step, count = period(alarm), alarm["EvaluationPeriods"]
    recent = [last - n * step for n in range(count)]
    known = [(when, points[when]) for when in recent if when in points]
    bad = [pair for pair in known if breaches(alarm, pair[1])]
    after = _state(alarm, len(bad), len(known))
    if after == alarm["StateValue"]:
        return None
    return Change(at, alarm["StateValue"], after, *_told(alarm, after, known, bad, recent, at))


def _state(alarm: Mapping[str, Any], bad: int, known: int) -> str:
    count, treat = alarm["EvaluationPeriods"], alarm.get("TreatMissingData") or "missing"
    state, missing, enough = alarm["StateValue"], count - known, alarm.get("DatapointsToAlarm") or count
    if treat == "breaching":
        bad += missing
    elif not known and treat != "notBreaching":
        return state if treat == "ignore" else "INSUFFICIENT_DATA"
    return "ALARM" if bad >= enough else "OK"


def _told(
    alarm: Mapping[str, Any], after: str, known: Sequence[tuple[int, float]], bad: Sequence[tuple[int, float]], recent: Sequence[int], at: float
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    count = alarm["EvaluationPeriods"]
    enough = alarm.get("DatapointsToAlarm") or count
    chosen = bad if after == "ALARM" else [pair for pair in known if pair not in bad]
    words, missing = _WORDS[alarm["ComparisonOperator"]][0], count - len(known)
    if after == "INSUFFICIENT_DATA":
        reason = f"Insufficient Data: {_counted(missing, 'datapoint')} {_were(missing)} unknown."
    elif not chosen:
        treated = _TREATED.get(alarm.get("TreatMissingData", ""), "Missing")
        reason = (
            f"Threshold Crossed: no datapoints were received for {_counted(missing, 'period')} and "
            f"{_counted(missing, 'missing datapoint')} {_were(missing)} treated as [{treated}]."
        )
    else:
        least = enough if after == "ALARM" else count - enough + 1
        listed = ", ".join(f"{value} ({datetime.fromtimestamp(when, UTC):%d/%m/%y %H:%M:%S})" for when, value in chosen)
        way = "OK -> ALARM" if after == "ALARM" else "ALARM -> OK"
        reason = (
            f"Threshold Crossed: {len(chosen)} out of the last {_counted(count, 'datapoint')} [{listed}] {_were(len(chosen))} "
            f"{'' if after == 'ALARM' else 'not '}{words} the threshold ({alarm['Threshold']}) "
            f"(minimum {_counted(least, 'datapoint')} for {way} transition)."
        )
    return reason, _data(alarm, known, recent, at)


def _data(
    alarm: Mapping[str, Any], known: Sequence[tuple[int, float]], recent: Sequence[int], at: float
) -> dict[str, Any]:
    return {
        "version": "1.0",
        "queryDate": stamp(at),
        "startDate": stamp(recent[-1]),
        **({"statistic": statistic(alarm)} if statistic(alarm) else {}),
        "period": period(alarm),
        "recentDatapoints": [value for _, value in reversed(known)],
        "threshold": alarm["Threshold"],
        "evaluatedDatapoints": [{"timestamp": stamp(when), "value": value} for when, value in known],
    }


def apply(alarm: dict[str, Any], change: Change) -> None:
    """Let an alarm be in the state that a change led to."""
    alarm["StateValue"], alarm["StateReason"] = change.after, change.reason
    alarm["StateReasonData"] = json.dumps(change.data)
    alarm["StateUpdatedTimestamp"] = alarm["StateTransitionedTimestamp"] = change.at


def history_item(name: str, kind: str, change: Change) -> dict[str, Any]:
    """Return a change as an item of DescribeAlarmHistory."""
    new = {"stateValue": change.after, "stateReason": change.reason, "stateReasonData": change.data}
    said = {"version": "1.0", "oldState": {"stateValue": change.before}, "newState": new}
    return {
        "AlarmName": name,
        "AlarmType": kind,
        "Timestamp": f"{datetime.fromtimestamp(change.at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from {change.before} to {change.after}",
        "HistoryData": json.dumps(said),
    }


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def moment_words(at: float) -> str:
    """Return an instant as a composite alarm's reason says it: Thursday 05 November, 2026 02:08:27 UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%A %d %B, %Y %H:%M:%S} UTC"


def stamp(at: float) -> str:
    """Return an instant as reason data has it."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
