"""The gateway itself: pass-through, what nobody models, faults, time, calls."""

import json
import socket
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.sandbox.gateway_process import Gateway, running

# One operation that neither we nor ministack model, for every protocol and every way in which ministack says so.
NOT_MODELLED: dict[str, tuple[str, dict[str, Any]]] = {
    "pi:ListPerformanceAnalysisReports": ("json", {"ServiceType": "RDS", "Identifier": "db-X"}),
    "cloudwatch:PutAnomalyDetector": ("json, query-compatible", {}),
    "amplify:ListWebhooks": ("rest-json, service unknown", {"appId": "x"}),
    "synthetics:DescribeCanaries": ("rest-json, service unknown", {}),
    "rds:DescribeDBLogFiles": ("query", {"DBInstanceIdentifier": "x"}),
    "redshift:DescribeClusters": ("query, service unknown", {}),
    "ec2:DescribeTrunkInterfaceAssociations": ("ec2", {}),
    "route53:GetCheckerIpRanges": ("rest-xml", {}),
}


@pytest.mark.parametrize("name", NOT_MODELLED)
def test_what_nobody_models_is_said_and_not_retried(gateway: Gateway, name: str) -> None:
    service, operation = name.split(":")
    client = gateway.client(service, attempts=3)
    method = {client.meta.method_to_api_mapping[each]: each for each in client.meta.method_to_api_mapping}[operation]
    gateway.admin("DELETE", "calls")
    with pytest.raises(ClientError, match=f"{name} the sandbox does not model") as error:
        getattr(client, method)(**NOT_MODELLED[name][1])
    assert error.value.response["Error"]["Code"] == "SandboxNotModelled"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert gateway.admin("GET", "calls")["counts"] == {name: 1}
    assert name in gateway.admin("GET", "status")["not_modelled"]


def test_ministack_answers_what_we_do_not(gateway: Gateway) -> None:
    assert gateway.client("sts").get_caller_identity()["Account"] == "000000000000"
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket="made", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    body = bytes(range(256)) * 4096
    s3.put_object(Bucket="made", Key="a folder/日本.bin", Body=body)
    assert s3.get_object(Bucket="made", Key="a folder/日本.bin")["Body"].read() == body
    assert s3.head_object(Bucket="made", Key="a folder/日本.bin")["ContentLength"] == len(body)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="made", Key="none")


def test_time_stands_still(gateway: Gateway) -> None:
    for client, call in (("logs", "describe_log_groups"), ("sts", "get_caller_identity")):
        answer = getattr(gateway.client(client), call)()
        assert answer["ResponseMetadata"]["HTTPHeaders"]["date"] == "Thu, 05 Nov 2026 02:40:00 GMT"
    cluster = gateway.client("ecs").create_cluster(clusterName="still")["cluster"]
    gateway.client("ecs").register_task_definition(family="still", containerDefinitions=[{"name": "a", "image": "b"}])
    definition = gateway.client("ecs").describe_task_definition(taskDefinition="still")["taskDefinition"]
    assert cluster["clusterName"] == "still"
    assert definition["registeredAt"].timestamp() * 1000 == 1_793_846_400_000


def test_time_is_advanced() -> None:
    with running("frozen") as gateway:
        assert gateway.admin("POST", "advance", {"seconds": 600})["now"] == "2026-11-05T02:50:00Z"
        answer = gateway.client("sts").get_caller_identity()
        assert answer["ResponseMetadata"]["HTTPHeaders"]["date"] == "Thu, 05 Nov 2026 02:50:00 GMT"
        assert rejected(gateway, "advance", {"seconds": -1}) == "time in the sandbox only goes forward"


def test_seeded_ids_are_equal_in_fresh_processes() -> None:
    def made() -> list[str]:
        with running(fresh=True) as gateway:
            identity = gateway.client("sts").get_caller_identity()
            ecs = gateway.client("ecs")
            ecs.create_cluster(clusterName="c")
            ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "b", "memory": 128}])
            tasks = ecs.run_task(cluster="c", taskDefinition="f")["tasks"]
            gateway.client("logs").describe_log_groups()
            saved = gateway.client("logs").put_query_definition(name="q", queryString="limit 1")
            request_id = identity["ResponseMetadata"]["RequestId"]
            return [request_id, tasks[0]["taskArn"], str(tasks[0]["createdAt"]), saved["queryDefinitionId"]]

    first = made()
    assert first == made()
    assert len(set(first)) == 4


def test_running_clock_goes_on() -> None:
    with running("running") as gateway:
        first = gateway.admin("GET", "status")
        assert first["clock"] == "running" and first["now"] >= "2026-11-05T02:40:00Z"
        deadline = time.monotonic() + 5
        while gateway.admin("GET", "status")["now"] == first["now"]:
            assert time.monotonic() < deadline, "the clock does not run"


EXPECTED_CODES: dict[tuple[str, str], tuple[Callable[[Any], Any], str, int]] = {
    ("throttling", "logs"): (lambda client: client.describe_log_groups(), "ThrottlingException", 400),
    ("throttling", "cloudwatch"): (lambda client: client.list_metrics(), "Throttling", 400),
    ("throttling", "rds"): (lambda client: client.describe_db_instances(), "Throttling", 400),
    ("throttling", "s3"): (lambda client: client.list_buckets(), "SlowDown", 503),
    ("throttling", "amplify"): (lambda client: client.list_apps(), "LimitExceededException", 429),
    ("throttling", "route53"): (lambda client: client.list_hosted_zones(), "Throttling", 400),
    ("throttling", "ec2"): (lambda client: client.describe_vpcs(), "RequestLimitExceeded", 503),
    ("throttling", "lambda"): (lambda client: client.list_functions(), "TooManyRequestsException", 429),
    ("access-denied", "logs"): (lambda client: client.describe_log_groups(), "AccessDeniedException", 400),
    ("access-denied", "rds"): (lambda client: client.describe_db_instances(), "AccessDenied", 403),
    ("access-denied", "ec2"): (lambda client: client.describe_vpcs(), "UnauthorizedOperation", 403),
    ("access-denied", "amplify"): (lambda client: client.list_apps(), "AccessDeniedException", 403),
    ("expired-token", "logs"): (lambda client: client.describe_log_groups(), "ExpiredTokenException", 400),
    ("expired-token", "sts"): (lambda client: client.get_caller_identity(), "ExpiredToken", 403),
    ("expired-token", "s3"): (lambda client: client.list_buckets(), "ExpiredToken", 400),
}


@pytest.mark.parametrize(("kind", "service"), EXPECTED_CODES)
def test_error_faults_as_boto3_sees_them(gateway: Gateway, kind: str, service: str) -> None:
    call, code, status = EXPECTED_CODES[kind, service]
    gateway.admin("POST", "faults", {"service": service, "kind": kind})
    with pytest.raises(ClientError) as error:
        call(gateway.client(service))
    assert error.value.response["Error"]["Code"] == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_throttling_is_retried_until_it_ends(gateway: Gateway) -> None:
    fault = {"service": "logs", "operation": "DescribeLogGroups", "kind": "throttling", "count": 2}
    gateway.admin("POST", "faults", fault)
    answer = gateway.client("logs", attempts=4).describe_log_groups()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert gateway.admin("GET", "faults")["faults"][0]["fired"] == 2


def test_fault_strikes_only_its_operation(gateway: Gateway) -> None:
    gateway.admin("POST", "faults", {"service": "logs", "operation": "StartQuery", "kind": "access-denied"})
    assert gateway.client("logs").describe_log_groups()["logGroups"]
    gateway.admin("DELETE", "faults")
    gateway.admin("POST", "faults", {"service": "*", "kind": "access-denied"})
    for client, call in (("logs", "describe_log_groups"), ("sqs", "list_queues")):
        with pytest.raises(ClientError, match="is not authorized to perform"):
            getattr(gateway.client(client), call)()


def test_fault_by_probability_is_the_same_each_time(gateway: Gateway) -> None:
    gateway.admin("POST", "faults", {"service": "sts", "kind": "throttling", "probability": 0.5})
    outcomes = []
    for _ in range(40):
        try:
            gateway.client("sts").get_caller_identity()
            outcomes.append("ok")
        except ClientError:
            outcomes.append("throttled")
    assert 10 <= outcomes.count("ok") <= 30


def test_latency_delays_one_call_or_all(gateway: Gateway) -> None:
    def seconds() -> float:
        began = time.monotonic()
        gateway.client("logs").describe_log_groups()
        return time.monotonic() - began

    seconds()
    gateway.admin("POST", "faults", {"service": "logs", "kind": "latency", "ms": 700})
    assert seconds() >= 0.7
    gateway.admin("DELETE", "faults")
    gateway.admin("POST", "settings", {"latency_ms": 500})
    assert seconds() >= 0.5
    gateway.admin("POST", "settings", {"latency_ms": 0})
    assert min(seconds() for _ in range(5)) < 0.5


def test_hang_and_drop(gateway: Gateway) -> None:
    gateway.admin("POST", "faults", {"service": "logs", "operation": "DescribeLogGroups", "kind": "hang", "count": 1})
    with pytest.raises(ReadTimeoutError):
        gateway.client("logs", read_timeout=0.5).describe_log_groups()
    gateway.admin("POST", "faults", {"service": "logs", "operation": "DescribeLogGroups", "kind": "drop", "count": 1})
    with pytest.raises(ConnectionClosedError):
        gateway.client("logs").describe_log_groups()
    assert gateway.client("logs").describe_log_groups()["logGroups"]
    faults = [call["fault"] for call in gateway.admin("GET", "calls")["calls"] if call["status"] == 0]
    assert sorted(faults) == ["drop", "hang"]


def rejected(gateway: Gateway, path: str, body: Any) -> str:
    with pytest.raises(urllib.error.HTTPError) as error:
        gateway.admin("POST", path, body)
    assert error.value.code == 400
    return json.loads(error.value.read())["error"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("faults", {"service": "logs", "kind": "fire"}, "kind must be one of throttling"),
        ("faults", {"kind": "hang", "probability": 2}, "probability must be a number from 0 to 1"),
        ("faults", {"kind": "hang", "operations": "x"}, "unknown field 'operations'"),
        ("faults", b"[]", "the body must be a JSON object"),
        ("settings", {"latency": 1}, "unknown setting 'latency'"),
        ("settings", {"latency_ms": "fast"}, "latency_ms must be a number"),
        ("advance", {"seconds": "10m"}, "seconds must be a number"),
        ("load-logs", b'{"group":"g","stream":"s","timestamp_ms":1,"message":"m"}\n{"group":"g"}', "line 2 is not"),
    ],
)
def test_admin_says_what_is_wrong(gateway: Gateway, path: str, body: Any, message: str) -> None:
    assert message in rejected(gateway, path, body)
    assert "g" not in gateway.admin("GET", "status")["log_groups"]


def test_calls_are_recorded(gateway: Gateway) -> None:
    gateway.client("logs").describe_log_groups()
    gateway.admin("DELETE", "calls")
    gateway.client("logs").describe_log_groups()
    with pytest.raises(ClientError):
        gateway.client("logs").get_log_events(logGroupName="/none", logStreamName="s")
    first, second = gateway.admin("GET", "calls")["calls"]
    assert (first["service"], first["operation"], first["status"]) == ("logs", "DescribeLogGroups", 200)
    assert first["started"] == "2026-11-05T02:40:00+00:00"
    assert (second["status"], second["code"]) == (400, "ResourceNotFoundException")


def test_many_calls_at_once(gateway: Gateway) -> None:
    def ask(number: int) -> str:
        if number % 2:
            return gateway.client("sts").get_caller_identity()["Account"]
        return gateway.client("logs").describe_log_groups(limit=1)["logGroups"][0]["logGroupName"]

    gateway.client("sts"), gateway.client("logs")
    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(100)))
    assert len(answers) == 2


def test_it_listens_on_this_machine_only(gateway: Gateway) -> None:
    port = int(gateway.endpoint.rpartition(":")[2])
    with socket.socket() as other:
        other.settimeout(1)
        assert other.connect_ex(("127.0.0.2", port)) != 0


@pytest.fixture
def own_gateway() -> Iterator[Gateway]:
    """A gateway whose time a test may step."""
    with running() as started:
        yield started


def test_ministack_knows_our_groups_and_metrics(own_gateway: Gateway) -> None:
    gateway = own_gateway
    logs, cloudwatch = gateway.client("logs"), gateway.client("cloudwatch")
    logs.create_log_group(logGroupName="/watched")
    transformation = {"metricName": "errors", "metricNamespace": "Shop", "metricValue": "1"}
    for group in ("/tiny/api", "/watched"):
        logs.put_metric_filter(
            logGroupName=group, filterName="errors", filterPattern="ERROR", metricTransformations=[transformation]
        )
        assert logs.describe_metric_filters(logGroupName=group)["metricFilters"][0]["filterName"] == "errors"
    alarm = {"Namespace": "Shop", "MetricName": "errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    limits = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(AlarmName="too many", **alarm, **limits)
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "errors", "Value": 5}])
    gateway.admin("POST", "advance", {"seconds": 60})  # alarms are looked at every minute of the sandbox
    assert cloudwatch.describe_alarms(AlarmNames=["too many"])["MetricAlarms"][0]["StateValue"] == "ALARM"
