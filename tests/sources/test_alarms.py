"""Alarms and their history as frames, against what the sandbox's metrics say, and with a region failing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib import aws, config
from opslib.charts.markers import markers
from opslib.errors import SourceError
from opslib.sandbox.control import Sandbox, add_fault, clear_faults
from opslib.sources import alarms, metrics
from opslib.window import Window, parse

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
HOURS = parse("3h", now=NOW, zone=UTC)


@pytest.fixture
def environment(sandbox: Sandbox) -> Iterator[config.Environment]:
    yield config.load("sandbox")
    clear_faults(sandbox.directory)


def test_what_is_on_comes_first_with_component_and_runbook(environment: config.Environment) -> None:
    frame = alarms.alarms(environment)
    on = frame[frame["state"] == "ALARM"]
    assert list(on["name"]) == [
        "sandbox-load-balancer-response-time", "sandbox-severe-database", "sandbox-shop-db-db-load", "sandbox-jobs-failed",
        "sandbox-load-balancer-error-ratio", "sandbox-severe-load-balancer",
    ]  # fmt: skip
    assert list(on.index) == [*range(6)] and len(frame) == 114
    load, ratio = on.iloc[2], on.iloc[4]
    assert (load["component"], load["metric"], load["threshold"], load["severity"]) == (
        "database",
        "DBLoad",
        4.0,
        "critical",
    )
    assert (load["runbook"], load["rule"]) == ("2-investigate/slow-database", "Average > 4, 15 of 15 x 60 s")
    assert load["since"] == datetime(2026, 11, 5, 2, 19, 33, tzinfo=UTC) and "15 out of the last 15" in load["reason"]
    assert (ratio["component"], ratio["rule"]) == ("load-balancer", "error-ratio > 1, 2 of 3 x 300 s")
    of_all = frame.loc[frame["component"] == "", "name"].str.removeprefix("sandbox-")
    assert set(of_all.str.partition("-")[0]) == {"severe", "cluster"}
    assert set(frame.loc[frame["metric"].isin(["JobsFailed", "EngineCPUUtilization"]), "component"]) == {
        "jobs",
        "cache",
    }
    assert set(frame.loc[frame["region"] == "us-east-1", "component"]) == {"cdn", "dns", ""}
    assert frame["enabled"].all() and frame.attrs["problems"] == []


def test_history_agrees_with_the_series(environment: config.Environment) -> None:
    changes = alarms.history(environment, window=HOURS)
    assert changes["at"].is_monotonic_increasing and set(changes["after"]) == {"ALARM", "OK"}
    load = metrics.series(environment, window=HOURS, components=("database",))["database", "DBLoad"]
    on = changes[changes["name"] == "sandbox-shop-db-db-load"].iloc[0]["at"]
    above = (load > 4).rolling(15).sum() == 15  # true at the start of the fifteenth minute
    first = above[above].index[0]
    assert first + timedelta(minutes=1) <= on < first + timedelta(minutes=2)


def test_the_window_is_half_open(environment: config.Environment) -> None:
    moment = datetime(2026, 11, 5, 2, 19, 33, tzinfo=UTC)
    hour = timedelta(hours=1)
    assert "sandbox-shop-db-db-load" in set(
        alarms.history(environment, window=Window(moment, moment + hour, UTC))["name"]
    )
    assert "sandbox-shop-db-db-load" not in set(
        alarms.history(environment, window=Window(moment - hour, moment, UTC))["name"]
    )
    nothing = alarms.history(environment, window=parse("1m", now=NOW - timedelta(hours=9), zone=UTC))
    assert nothing.empty and list(nothing.columns) == list(alarms.HISTORY)


def test_a_region_that_fails_is_said(environment: config.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    real = aws.pages

    def pages(
        given: Any, service: str, operation: str, key: str, /, *, region: str = "", **asked: Any
    ) -> Iterator[Any]:
        if region == "us-east-1":
            raise SourceError("DescribeAlarms was denied", sight="denied")
        return real(given, service, operation, key, region=region, **asked)

    monkeypatch.setattr(aws, "pages", pages)
    frame = alarms.alarms(environment)
    assert frame.attrs["problems"] == ["alarms of us-east-1: DescribeAlarms was denied"] and len(frame) == 107


def test_denied_everywhere_is_an_error(sandbox: Sandbox, environment: config.Environment) -> None:
    add_fault(sandbox.directory, service="cloudwatch", kind="access-denied")
    with pytest.raises(SourceError, match="DescribeAlarms was denied") as error:
        alarms.alarms(environment)
    assert error.value.sight == "denied"


@pytest.mark.parametrize(
    ("alarm", "expected"),
    [
        ({"AlarmDescription": None}, {"severity": "", "runbook": "", "metric": "", "component": ""}),
        ({"AlarmDescription": "runbook=2-investigate/first-look; severity=warning."}, {"severity": "warning.", "runbook": "2-investigate/first-look"}),
        ({"Metrics": [
            {"Id": "a", "MetricStat": {"Metric": {"Namespace": "AWS/RDS", "MetricName": "ReadIOPS", "Dimensions": [
                {"Name": "DBInstanceIdentifier", "Value": "shop-db"}]}, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
            {"Id": "e", "Expression": "a / 2", "Label": "half"}]}, {"metric": "half", "component": "database"}),
    ],
)  # fmt: skip
def test_optional_members_may_be_absent(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch, alarm: dict[str, Any], expected: dict[str, str]
) -> None:
    whole = {"AlarmName": "x", "StateUpdatedTimestamp": NOW, **alarm}
    monkeypatch.setattr(aws, "pages", lambda _e, _s, _o, key, /, **_: iter([whole] if key == "MetricAlarms" else []))
    row = alarms.alarms(environment).iloc[0]
    assert {name: row[name] for name in expected} == {name: value.rstrip(".") for name, value in expected.items()}
    assert row["state"] == "" and row["since"] == NOW


@pytest.mark.parametrize("data", [None, "no json", "{}", json.dumps({"newState": {"stateValue": "ALARM"}})])
def test_broken_history_leaves_the_summary(
    environment: config.Environment, monkeypatch: pytest.MonkeyPatch, data: str | None
) -> None:
    item = {
        "AlarmName": "x",
        "Timestamp": NOW - timedelta(minutes=1),
        "HistorySummary": "Alarm updated from OK to ALARM",
        "HistoryData": data,
    }
    monkeypatch.setattr(aws, "pages", lambda *_, region="", **__: iter([item] if not region else []))
    [row] = alarms.history(environment, window=HOURS).to_dict("records")
    assert (row["before"], row["after"], row["reason"]) == ("OK", "ALARM", "")


def test_markers_tell_what_went_on(environment: config.Environment) -> None:
    found = markers(alarms=alarms.history(environment, window=HOURS))
    labels = [marker.label for marker in found]
    assert len(set(labels)) == len(labels) and "alarm sandbox-shop-db-db-load" in labels
    assert [marker.at for marker in found] == sorted(marker.at for marker in found)
    assert {marker.kind for marker in found} == {"alarm"} and markers() == []
