"""When an alarm changes its state, worked by hand, and in which words."""

from itertools import pairwise
from typing import Any

import pytest

from opslib.sandbox import alarm_rules

BASE = {
    "Period": 60, "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 8.0, "Statistic": "Average",
    "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "missing", "StateValue": "OK",
}  # fmt: skip
AT = 1_793_844_000  # 2026-11-05 02:00:00 UTC


def run(values: str, **alarm: Any) -> list[alarm_rules.Change]:
    """Let minutes pass: a digit is a datapoint, a dot none."""
    points = {AT + 60 * n: float(value) for n, value in enumerate(values) if value != "."}
    given = {**BASE, **alarm}
    end = AT + 60 * len(values) + 20
    return list(alarm_rules.changes(given, points, start=AT + 120, end=end, lag=20))


@pytest.mark.parametrize(
    ("values", "alarm", "expected"),
    [
        ("1119991111", {}, {4: "ALARM", 7: "OK"}),  # two of three, then two of three again
        ("1119191111", {}, {5: "ALARM", 6: "OK"}),
        ("1111911111", {}, {}),  # one is not enough
        ("1119911111", {"DatapointsToAlarm": None}, {}),  # three of three
        ("1119991111", {"DatapointsToAlarm": None}, {5: "ALARM", 6: "OK"}),
        ("8888888888", {}, {}),  # not above: equal
        ("1118811111", {"ComparisonOperator": "GreaterThanOrEqualToThreshold"}, {4: "ALARM", 6: "OK"}),
        ("9991119999", {"ComparisonOperator": "LessThanThreshold"}, {4: "ALARM", 7: "OK"}),
        ("9998819999", {"ComparisonOperator": "LessThanOrEqualToThreshold"}, {4: "ALARM", 7: "OK"}),
        ("111.......", {}, {5: "INSUFFICIENT_DATA"}),
        ("111....111", {}, {5: "INSUFFICIENT_DATA", 7: "OK"}),
        ("1119.9....", {}, {5: "ALARM", 6: "OK", 8: "INSUFFICIENT_DATA"}),
        ("199.......", {"TreatMissingData": "ignore"}, {2: "ALARM", 4: "OK"}),
        ("111.......", {"TreatMissingData": "breaching"}, {4: "ALARM"}),
        ("119.......", {"TreatMissingData": "notBreaching"}, {}),
        ("199.......", {"TreatMissingData": "notBreaching"}, {2: "ALARM", 4: "OK"}),
    ],
)  # fmt: skip
def test_states(values: str, alarm: dict[str, Any], expected: dict[int, str]) -> None:
    found = run(values, **alarm)
    assert {int(change.at - AT - 80) // 60: change.after for change in found} == expected
    assert all(new.before == old.after for old, new in pairwise(found))


def test_the_words_are_cloudwatchs() -> None:
    alarm, okay = run("1119991111")
    assert alarm.reason == (
        "Threshold Crossed: 2 out of the last 3 datapoints [9.0 (05/11/26 02:04:00), 9.0 (05/11/26 02:03:00)] were greater "
        "than the threshold (8.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert okay.reason == (
        "Threshold Crossed: 2 out of the last 3 datapoints [1.0 (05/11/26 02:07:00), 1.0 (05/11/26 02:06:00)] were not "
        "greater than the threshold (8.0) (minimum 2 datapoints for ALARM -> OK transition)."
    )
    [lost] = run("111...")
    assert lost.reason == "Insufficient Data: 3 datapoints were unknown."
    [alone, _] = run("1195", EvaluationPeriods=1, DatapointsToAlarm=1)
    assert "1 out of the last 1 datapoint [9.0 (05/11/26 02:02:00)] was greater than" in alone.reason
    quiet = run("119" + "." * 5, TreatMissingData="notBreaching", EvaluationPeriods=1, DatapointsToAlarm=1)[-1]
    assert quiet.reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching]."
    )


def test_the_data_of_a_reason() -> None:
    [alarm, *_] = run("1119.9111")
    assert alarm.data == {
        "version": "1.0", "queryDate": "2026-11-05T02:06:20.000+0000", "startDate": "2026-11-05T02:03:00.000+0000",
        "statistic": "Average", "period": 60, "recentDatapoints": [9.0, 9.0], "threshold": 8.0,
        "evaluatedDatapoints": [
            {"timestamp": "2026-11-05T02:05:00.000+0000", "value": 9.0}, {"timestamp": "2026-11-05T02:03:00.000+0000", "value": 9.0},
        ],
    }  # fmt: skip
