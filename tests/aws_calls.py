"""Every AWS operation that opslib can call, read from its own source: names of boto3 operations beside names of services."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import boto3

import opslib

ROOT = Path(opslib.__file__).parent
SERVICES = (
    "acm", "amplify", "application-autoscaling", "cloudformation", "cloudfront", "cloudwatch", "ecr", "ecs", "elasticache", "elbv2", "events", "kms",
    "lambda", "logs", "pi", "rds", "route53", "s3", "scheduler", "secretsmanager", "sns", "sqs", "ssm", "sts",
)  # fmt: skip


@cache
def operations(service: str) -> dict[str, str]:
    """Return the operations of a service as boto3 names them, with the names that AWS gives them."""
    client = boto3.Session("x", "x", region_name="us-east-1").client(service)
    return dict(client.meta.method_to_api_mapping)


@cache
def called() -> dict[str, set[str]]:
    """Return `service:Operation` with the modules that name it.

    A word counts when it is an operation of a service that its module names, or of only one service at all.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = path.relative_to(ROOT).as_posix()
        if module.startswith("sandbox/"):
            continue
        words = set(_words(ast.parse(path.read_text(encoding="utf-8"))))
        for word in words:
            having = [service for service in SERVICES if word in operations(service)]
            own = [service for service in having if service in words]
            for service in own or (having if len(having) == 1 else []):
                found.setdefault(f"{service}:{operations(service)[word]}", set()).add(module)
    return found


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"[a-z0-9][a-z0-9_-]+", node.value)
        ):
            yield node.value
        elif isinstance(node, ast.Attribute):
            yield node.attr
