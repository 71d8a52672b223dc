"""AWS's recommended alarms, written down from AWS's table: alarms.toml and the templates are held to it row by row."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from opslib.alerting import alarms, template
from opslib.config import Environment
from tests.alerting.test_template import FULL

# knowledge/observability.md 3.2, from awslabs/mcp: metric, statistic, comparison and threshold ("advised": AWS says how to
# find a number and gives none), M of N, missing data, dimensions; the period is 60 s throughout. A hyphen: no alarm of ours.
AWS = """
[AWS/ECS]
- CPUReservation                        Average >  80            5/5   breaching    ClusterName
  CPUUtilization                        Average >  80            5/5   breaching    ClusterName,ServiceName
- MemoryReservation                     Average >  80            5/5   breaching    ClusterName
  MemoryUtilization                     Average >  80            5/5   breaching    ClusterName,ServiceName
- HTTPCode_Target_5XX_Count             Sum     >  advised       5/5   notBreaching ClusterName,ServiceName
- TargetResponseTime                    Average >  advised       5/5   missing      ClusterName,ServiceName
- EBSFilesystemUtilization              Average >  90            5/5   missing      ClusterName,ServiceName
[ECS/ContainerInsights]
  TaskCpuUtilization                    Average >  80            5/5   notBreaching ClusterName
  TaskCpuUtilization                    Average >  80            5/5   notBreaching ClusterName,ServiceName
  ContainerCpuUtilization               Average >  80            5/5   notBreaching ClusterName
  ContainerCpuUtilization               Average >  80            5/5   notBreaching ClusterName,ServiceName
- EphemeralStorageUtilized              Average >  90            5/5   notBreaching ClusterName,ServiceName
  TaskEphemeralStorageUtilization       Average >  80            5/5   notBreaching ClusterName
  TaskEphemeralStorageUtilization       Average >  80            5/5   notBreaching ClusterName,ServiceName
  TaskMemoryUtilization                 Average >  80            5/5   notBreaching ClusterName
  TaskMemoryUtilization                 Average >  80            5/5   notBreaching ClusterName,ServiceName
  ContainerMemoryUtilization            Average >  80            5/5   notBreaching ClusterName
  ContainerMemoryUtilization            Average >  80            5/5   notBreaching ClusterName,ServiceName
  RunningTaskCount                      Average <= 0             5/5   notBreaching ClusterName,ServiceName
- instance_filesystem_utilization       Average >  80            5/5   notBreaching InstanceId,ContainerInstanceId,ClusterName
[AWS/RDS]
  CPUUtilization                        Average >  90            5/5   breaching    DBInstanceIdentifier
  DatabaseConnections                   Average >  advised       5/5   breaching    DBInstanceIdentifier
  EBSByteBalance%                       Average <  10            3/3   missing      DBInstanceIdentifier
  EBSIOBalance%                         Average <  10            3/3   missing      DBInstanceIdentifier
  FreeableMemory                        Average <  advised       15/15 breaching    DBInstanceIdentifier
- FreeLocalStorage                      Average <  advised       5/5   missing      DBInstanceIdentifier
  FreeStorageSpace                      Minimum <  advised       5/5   breaching    DBInstanceIdentifier
  MaximumUsedTransactionIDs             Average >  1_000_000_000 1/1   missing      DBInstanceIdentifier
  ReadLatency                           p90     >  advised       5/5   missing      DBInstanceIdentifier
  ReplicaLag                            Maximum >  60            10/10 breaching    DBInstanceIdentifier
  WriteLatency                          p90     >  advised       5/5   missing      DBInstanceIdentifier
  DBLoad                                Average >  advised       15/15 missing      DBInstanceIdentifier
- AuroraVolumeBytesLeftTotal            Average <  advised       5/5   breaching    DBClusterIdentifier
- AuroraBinlogReplicaLag                Average <= -1            2/2   breaching    DBClusterIdentifier,Role=WRITER
- BlockedTransactions                   Average >  advised       5/5   notBreaching DBInstanceIdentifier
- BufferCacheHitRatio                   Average <  80            10/10 missing      DBInstanceIdentifier
- EngineUptime                          Average <= 0             2/2   breaching    DBClusterIdentifier,Role=WRITER
- RollbackSegmentHistoryListLength      Average >  1_000_000     5/5   breaching    DBInstanceIdentifier
- StorageNetworkThroughput              Average >  advised       5/5   missing      DBClusterIdentifier,Role=WRITER
[AWS/ElastiCache]
  CPUUtilization                        Average >  advised       5/5   missing      CacheClusterId,CacheNodeId
  CurrConnections                       Average >  advised       10/10 missing      CacheClusterId,CacheNodeId
  DatabaseMemoryUsagePercentage         Average >  advised       5/5   missing      CacheClusterId
  EngineCPUUtilization                  Average >  90            5/5   missing      CacheClusterId
  ReplicationLag                        Average >  advised       15/15 missing      CacheClusterId
[AWS/CloudFront]
  5xxErrorRate                          Average >  advised       5/5   missing      DistributionId,Region=Global
  OriginLatency                         p90     >  advised       5/5   missing      DistributionId,Region=Global
- FunctionValidationErrors              Sum     >  0             2/2   missing      DistributionId,FunctionName,Region=Global
- FunctionExecutionErrors               Sum     >  0             5/5   missing      DistributionId,FunctionName,Region=Global
- FunctionThrottles                     Sum     >  0             5/5   missing      DistributionId,FunctionName,Region=Global
[AWS/Route53]
  HealthCheckStatus                     Average <  1             3/3   breaching    HealthCheckId
[AWS/Lambda]
  Errors                                Sum     >  advised       3/3   missing      FunctionName
  Throttles                             Sum     >= advised       5/5   missing      FunctionName
  Duration                              p90     >  advised       15/15 missing      FunctionName
  ConcurrentExecutions                  Maximum >  advised       10/10 missing      FunctionName
- ClaimedAccountConcurrency             Maximum >  advised       10/10 notBreaching
[AWS/Cognito]
- SignUpThrottles                       Sum     >  advised       5/5   missing      UserPool,UserPoolClient
- SignInThrottles                       Sum     >  advised       5/5   missing      UserPool,UserPoolClient
- TokenRefreshThrottles                 Sum     >  advised       5/5   missing      UserPool,UserPoolClient
- FederationThrottles                   Sum     >  advised       5/5   missing      UserPool,UserPoolClient,IdentityProvider
[AWS/SQS]
- ApproximateAgeOfOldestMessage         Maximum >= advised       15/15 missing      QueueName
- ApproximateNumberOfMessagesNotVisible Average >= advised       15/15 missing      QueueName
- ApproximateNumberOfMessagesVisible    Average >= advised       15/15 missing      QueueName
- NumberOfMessagesSent                  Sum     <= 0             15/15 missing      QueueName
"""
# Where an alarm of ours differs from AWS on purpose: namespace and field, what we take, and why.
DEVIATES = {
    ("AWS/Lambda", "missing"): ("notBreaching", "a notifier runs now and then: missing data as missing tells an OK after every pause"),
}  # fmt: skip
SIGNS = {"GreaterThanThreshold": ">", "GreaterThanOrEqualToThreshold": ">=", "LessThanThreshold": "<", "LessThanOrEqualToThreshold": "<="}  # fmt: skip


class Row(NamedTuple):
    ns: str
    metric: str
    stat: str
    op: str
    threshold: float | None  # None: AWS only advises
    m: int
    n: int
    missing: str
    dims: str
    ours: bool  # there is an alarm of it


def recommended() -> list[Row]:
    found, ns = [], ""
    for line in AWS.strip().splitlines():
        if line.startswith("["):
            ns = line.strip("[]")
            continue
        metric, stat, op, limit, points, missing, *dims = line[2:].split()
        m, n = map(int, points.split("/"))
        found.append(Row(ns, metric, stat, op, None if limit == "advised" else float(limit), m, n, missing, "".join(dims), line[0] != "-"))  # fmt: skip
    return found


@pytest.fixture(scope="module")
def made() -> list[dict[str, Any]]:
    found = template.templates(Environment(**FULL)).values()
    return [one["Properties"] for body in found for one in body["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]  # fmt: skip


def test_the_file_is_what_aws_recommends() -> None:
    held = alarms.table()["recommended"]
    said = [(*(row[key] for key in ("ns", "metric", "stat", "op", "m", "n", "missing", "dims")), "left_out" not in row) for row in held]  # fmt: skip
    assert said == [(row.ns, row.metric, row.stat, row.op, row.m, row.n, row.missing, row.dims, row.ours) for row in recommended()]  # fmt: skip
    for row, one in zip(recommended(), held, strict=True):
        # a number of our own only where AWS gives none, and it is marked; a row without an alarm says why
        assert one.get("ours", False) == (row.threshold is None and row.ours), row
        assert one.get("threshold") == row.threshold or one.get("ours"), row
        assert row.ours or len(one["left_out"].split()) > 1, row


@pytest.mark.parametrize("row", recommended(), ids=lambda row: f"{row.ns} {row.metric} {row.dims}")
def test_each_alarm_is_as_aws_recommends(row: Row, made: list[dict[str, Any]]) -> None:
    names = sorted(name.partition("=")[0] for name in row.dims.split(","))
    found = [one for one in made if (one.get("Namespace"), one.get("MetricName")) == (row.ns, row.metric) and sorted(pair["Name"] for pair in one["Dimensions"]) == names]  # fmt: skip
    if not row.ours:
        assert not found or row.ns == "AWS/SQS"  # the queues of the alerting itself have an alarm of our own
        return
    assert found
    missing, reason = DEVIATES.get((row.ns, "missing"), (row.missing, "as AWS has it"))
    for alarm in found:
        fixed = {pair["Name"]: pair["Value"] for pair in alarm["Dimensions"]}
        assert all(fixed[name] == value for name, _, value in (each.partition("=") for each in row.dims.split(",")) if value)  # fmt: skip
        assert (alarm.get("Statistic", alarm.get("ExtendedStatistic")), SIGNS[alarm["ComparisonOperator"]], alarm["Period"]) == (row.stat, row.op, 60)  # fmt: skip
        assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (row.m, row.n)
        assert row.threshold is None or alarm["Threshold"] == row.threshold
        assert alarm["TreatMissingData"] == missing, reason
