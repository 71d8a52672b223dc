"""Every operation of the services that runbooks use is known by the request that boto3 makes for it."""

from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.config import Config

from opslib.sandbox.protocol import Request, identify
from opslib.sandbox.signing import scope_of, services_of

SERVICES = [
    "amplify",
    "application-autoscaling",
    "budgets",
    "ce",
    "cloudfront",
    "cloudtrail",
    "cloudwatch",
    "ecs",
    "elasticache",
    "elbv2",
    "events",
    "lambda",
    "logs",
    "pi",
    "rds",
    "resourcegroupstaggingapi",
    "route53",
    "s3",
    "s3control",
    "scheduler",
    "sns",
    "sqs",
    "ssm",
    "sts",
]
# Sent without a signature, to a host of their own, or signed for another service; older names of a route that
# has a newer one.
NOT_TELLABLE = {
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "s3:ListDirectoryBuckets",
    "s3:WriteGetObjectResponse",
    "s3:GetBucketLifecycle",
    "s3:GetBucketNotification",
    "s3:PutBucketLifecycle",
    "s3:PutBucketNotification",
    "s3control:DeleteAccessPointScope",
    "s3control:GetAccessPointScope",
    "s3control:PutAccessPointScope",
    "s3control:ListAccessPointsForDirectoryBuckets",
}


class Caught(Exception):
    """Thrown instead of sending a request."""


def least(shape: Any, depth: int = 0) -> Any:
    """Return a value of a shape with no more than it must hold."""
    if shape.type_name == "structure":
        names = list(shape.members)[:1] if getattr(shape, "is_tagged_union", False) else shape.required_members
        return {name: least(shape.members[name], depth + 1) for name in names} if depth < 8 else {}
    if shape.type_name == "list":
        return [least(shape.member, depth + 1)]
    if shape.type_name == "map":
        return {"key": least(shape.value, depth + 1)}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x" * max(shape.metadata.get("min", 1), 3)
    simple = {"boolean": True, "timestamp": datetime(2026, 1, 1), "blob": b"x", "float": 1.0, "double": 1.0}
    return simple.get(shape.type_name, max(1, int(shape.metadata.get("min", 1))))


def sent(client: Any, method: str, operation: str) -> Request:
    """Return the request that boto3 would send."""
    caught: list[Any] = []

    def catch(request: Any, **_: Any) -> None:
        caught.append(request)
        raise Caught

    client.meta.events.register("before-send", catch, unique_id="catch")
    shape = client.meta.service_model.operation_model(operation).input_shape
    with pytest.raises(Caught):
        getattr(client, method)(**(least(shape) if shape else {}))
    client.meta.events.unregister("before-send", unique_id="catch")
    [request] = caught
    url, body = urlsplit(request.url), request.body or b""
    body = body if isinstance(body, bytes) else body.read() if hasattr(body, "read") else body.encode()
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    return Request(request.method, unquote(url.path), url.query, headers, body)


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_is_known(service: str) -> None:
    session = boto3.session.Session("key", "secret", region_name="ap-northeast-1")
    settings = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    client = session.client(service, endpoint_url="http://127.0.0.1:1", config=settings)
    wrong = []
    for method, operation in client.meta.method_to_api_mapping.items():
        name = f"{service}:{operation}"
        found = identify(sent(client, method, operation)) if name not in NOT_TELLABLE else None
        if name not in NOT_TELLABLE and (found is None or found.name != name):
            wrong.append((name, found and found.name))
    assert wrong == []


def test_scope_of_signed_presigned_and_unsigned_requests() -> None:
    header = "AWS4-HMAC-SHA256 Credential=AKIA/20261105/eu-west-1/monitoring/aws4_request, SignedHeaders=host"
    assert scope_of(header, "") == ("eu-west-1", "monitoring")
    assert scope_of("", "X-Amz-Credential=AKIA%2F20261105%2Feu-west-1%2Fs3%2Faws4_request") == ("eu-west-1", "s3")
    assert scope_of("", "") is None
    assert services_of("monitoring") == ["cloudwatch"]
    assert services_of("rds")[0] == "rds" and services_of("nonsense") == []
