"""Performance Insights and RDS of the sandbox through real boto3 clients: equal to CloudWatch, with AWS's limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.sandbox.control import Sandbox

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)
LOAD = {"Metric": "db.load.avg"}


@pytest.fixture(scope="module")
def primary(sandbox: Sandbox) -> str:
    return str(instance(sandbox, "shop-db")["DbiResourceId"])


def instance(sandbox: Sandbox, name: str) -> dict[str, Any]:
    return dict(sandbox.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def ask(
    sandbox: Sandbox, identifier: str, *queries: dict[str, Any], hours: float = 1, period: int = 60, **more: Any
) -> Any:
    where = {"ServiceType": "RDS", "Identifier": identifier, "StartTime": NOW - timedelta(hours=hours), "EndTime": NOW}
    return sandbox.client("pi").get_resource_metrics(
        **where, MetricQueries=list(queries), PeriodInSeconds=period, **more
    )


def keys(sandbox: Sandbox, identifier: str, group: str, **more: Any) -> Any:
    where = {"ServiceType": "RDS", "Identifier": identifier, "StartTime": NOW - timedelta(hours=1), "EndTime": NOW}
    return sandbox.client("pi").describe_dimension_keys(**where, Metric="db.load.avg", GroupBy={"Group": group}, **more)


def refused(call: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize(("hours", "period"), [(1, 60), (5, 300), (48, 3600)])
def test_load_sums_up_to_cloudwatch(sandbox: Sandbox, primary: str, hours: int, period: int) -> None:
    groups = ("db.wait_event", "db.user", "db.host")
    queries = [LOAD | {"GroupBy": {"Group": group, "Limit": 25}} for group in groups]
    series = ask(sandbox, primary, *queries, hours=hours, period=period, PeriodAlignment="START_TIME", MaxResults=25)
    series = series["MetricList"]
    query = {
        "Namespace": "AWS/RDS",
        "MetricName": "DBLoad",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "shop-db"}],
    }
    start = datetime.fromtimestamp((NOW.timestamp() - hours * 3600) // period * period, UTC)
    told = sandbox.client("cloudwatch").get_metric_statistics(
        **query, StartTime=start, EndTime=NOW, Period=period, Statistics=["Average"]
    )
    watched = {point["Timestamp"]: point["Average"] for point in told["Datapoints"]}
    starts = [place for place, one in enumerate(series) if "Dimensions" not in one["Key"]]
    total = {point["Timestamp"]: point["Value"] for point in series[0]["DataPoints"]}
    shared = total.keys() & watched.keys()
    assert len(shared) >= hours * 3600 // period - 1
    assert all(total[at] == pytest.approx(watched[at], abs=1e-4) for at in shared)
    parts = series[1 : starts[1]]
    assert len(parts) > 5
    for at, value in total.items():
        grouped = sum(point["Value"] for one in parts for point in one["DataPoints"] if point["Timestamp"] == at)
        assert grouped == pytest.approx(value, abs=1e-4)


def test_points_are_cut_without_a_word(sandbox: Sandbox, primary: str) -> None:
    told = ask(sandbox, primary, LOAD, hours=10)
    points = told["MetricList"][0]["DataPoints"]
    assert len(points) == 350 and "NextToken" not in told
    assert told["AlignedEndTime"] - told["AlignedStartTime"] == timedelta(hours=10)
    assert points[0]["Timestamp"] - told["AlignedStartTime"] == timedelta(minutes=1)  # the end of the period


def test_limits_of_pi(sandbox: Sandbox, primary: str) -> None:
    assert refused(lambda: ask(sandbox, primary, *[LOAD] * 16)) == "ValidationException"
    assert (
        refused(lambda: ask(sandbox, primary, LOAD | {"GroupBy": {"Group": "db.user", "Limit": 26}}))
        == "ValidationException"
    )
    assert refused(lambda: ask(sandbox, primary, LOAD, MaxResults=26)) == "ValidationException"
    for wrong in ({"Metric": "db.load"}, {"Metric": "os.general.numVCPUs"}, LOAD | {"GroupBy": {"Group": "db.colour"}}):
        assert refused(lambda wrong=wrong: ask(sandbox, primary, wrong)) == "InvalidArgumentException"
    for wrong in ("shop-db", "db-NOBODY"):
        assert refused(lambda wrong=wrong: ask(sandbox, wrong, LOAD)) == "InvalidArgumentException"
    assert refused(lambda: ask(sandbox, primary, LOAD, period=61)) == "InvalidArgumentException"
    assert refused(lambda: ask(sandbox, primary, LOAD, hours=24 * 8, period=3600)) == "InvalidArgumentException"
    first = keys(sandbox, primary, "db.sql_tokenized", MaxResults=3)
    rest = keys(sandbox, primary, "db.sql_tokenized", MaxResults=3, NextToken=first["NextToken"])
    assert len(first["Keys"]) == len(rest["Keys"]) == 3 and first["Keys"][2]["Total"] >= rest["Keys"][0]["Total"]
    assert refused(lambda: keys(sandbox, primary, "db.sql_tokenized", NextToken="abc")) == "InvalidArgumentException"


def test_top_statements_with_statistics(sandbox: Sandbox, primary: str) -> None:
    names = [f"db.sql_tokenized.stats.{name}.avg" for name in ("calls_per_sec", "avg_latency_per_call")]
    told = keys(sandbox, primary, "db.sql_tokenized", PartitionBy={"Group": "db.wait_event"}, AdditionalMetrics=names)
    first = told["Keys"][0]
    assert first["Dimensions"]["db.sql_tokenized.statement"].startswith("update stock") and first["Total"] > 4
    assert told["PartitionKeys"][0]["Dimensions"]["db.wait_event.name"] == "Lock:transactionid"
    assert sum(first["Partitions"]) == pytest.approx(first["Total"], abs=1e-3)
    calls, latency = (first["AdditionalMetrics"][name] for name in names)
    assert calls * latency / 1000 == pytest.approx(first["Total"], rel=1e-3)
    vacuum = [
        key
        for key in keys(sandbox, primary, "db.sql_tokenized", AdditionalMetrics=names)["Keys"]
        if "autovacuum" in str(key)
    ]
    assert all("AdditionalMetrics" not in key for key in vacuum)


def test_a_cut_statement_is_told_whole(sandbox: Sandbox, primary: str) -> None:
    dimensions = [key["Dimensions"] for key in keys(sandbox, primary, "db.sql_tokenized")["Keys"]]
    cut = next(each for each in dimensions if len(each["db.sql_tokenized.statement"].encode()) == 500)
    asked = {
        "ServiceType": "RDS",
        "Identifier": primary,
        "Group": "db.sql_tokenized",
        "RequestedDimensions": ["statement"],
    }
    told = sandbox.client("pi").get_dimension_key_details(**asked, GroupIdentifier=cut["db.sql_tokenized.id"])
    [whole] = told["Dimensions"]
    assert whole["Status"] == "AVAILABLE" and whole["Value"].endswith("limit 48")
    assert whole["Value"].startswith(cut["db.sql_tokenized.statement"])


def test_what_can_be_asked_is_listed(sandbox: Sandbox, primary: str) -> None:
    pi, who = sandbox.client("pi"), {"ServiceType": "RDS", "Identifier": primary}
    named, token = [], {}
    while token is not None:
        page = pi.list_available_resource_metrics(
            **who, MetricTypes=["os", "db", "db.sql_tokenized.stats"], MaxResults=5, **token
        )
        named += [each["Metric"] for each in page["Metrics"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert {"os.general.numVCPUs", "db.load", "db.sql_tokenized.stats.calls_per_sec"} <= {*named} and len(named) > 10
    [about] = pi.list_available_resource_dimensions(**who, Metrics=["db.load"])["MetricDimensions"]
    assert {"db.sql", "db.wait_event"} <= {group["Group"] for group in about["Groups"]}
    assert pi.get_resource_metadata(**who)["Features"]["SQL_STATISTICS"]["Status"] == "ENABLED"


def test_a_replica_has_a_load_of_its_own(sandbox: Sandbox) -> None:
    told = ask(sandbox, instance(sandbox, "shop-db-replica-1")["DbiResourceId"], LOAD)
    values = [point["Value"] for point in told["MetricList"][0]["DataPoints"]]
    assert len(values) == 60 and 0 < max(values) < 2


def test_instances_are_described_in_pages(sandbox: Sandbox) -> None:
    rds = sandbox.client("rds")
    assert [each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]] == [
        "shop-db",
        "shop-db-replica-1",
    ]
    replica = instance(sandbox, "shop-db-replica-1")
    assert replica["ReadReplicaSourceDBInstanceIdentifier"] == "shop-db" and not replica["MultiAZ"]
    assert refused(lambda: rds.describe_db_instances(DBInstanceIdentifier="nobody")) == "DBInstanceNotFound"
    assert refused(lambda: rds.describe_db_instances(MaxRecords=5)) == "InvalidParameterValue"
    assert (
        sandbox.client("rds").describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": ["x"]}])[
            "DBInstances"
        ]
        == []
    )


def test_events_of_instances(sandbox: Sandbox) -> None:
    rds = sandbox.client("rds")
    pages = rds.get_paginator("describe_events").paginate(Duration=20160, PaginationConfig={"PageSize": 20})
    found = [event for page in pages for event in page["Events"]]
    assert len(found) == 28 and [event["Date"] for event in found] == sorted(event["Date"] for event in found)
    assert (
        rds.describe_events(Duration=20160, SourceIdentifier="shop-db-replica-1", SourceType="db-instance")["Events"]
        == []
    )
    assert refused(lambda: rds.describe_events(Duration=30000)) == "InvalidParameterValue"


def test_pending_maintenance(sandbox: Sandbox) -> None:
    [pending] = sandbox.client("rds").describe_pending_maintenance_actions()["PendingMaintenanceActions"]
    [detail] = pending["PendingMaintenanceActionDetails"]
    assert pending["ResourceIdentifier"].endswith(":db:shop-db")
    assert (detail["Description"], detail["CurrentApplyDate"]) == ("OS patch", datetime(2026, 11, 7, 19, tzinfo=UTC))


def test_parameters(sandbox: Sandbox) -> None:
    rds = sandbox.client("rds")
    told = rds.describe_db_parameters(DBParameterGroupName="shop-postgres16")["Parameters"]
    assert {each["ParameterName"]: each["ParameterValue"] for each in told}["max_connections"] == "400"
    assert refused(lambda: rds.describe_db_parameters(DBParameterGroupName="x")) == "DBParameterGroupNotFound"
