"""The files by which others find a running sandbox: sandbox.json, an AWS profile, passwords."""

import json
import os
from pathlib import Path
from typing import Any

ACCOUNT = "000000000000"
REGION = "ap-northeast-1"
GLOBAL = "us-east-1"  # where AWS keeps CloudFront, Route 53 and their certificates
PROFILE = "opslib-sandbox"
LOCKS, INCIDENTS, REPORTS = "shop-ops-locks", "shop-ops-incidents", "shop-ops-reports"
CODE = {REGION: "shop-ops-code", GLOBAL: "shop-ops-code-us-east-1"}  # Lambda takes code from its own region
BUCKETS = {LOCKS: REGION, INCIDENTS: REGION, REPORTS: REGION, **{name: region for region, name in CODE.items()}}
LOCKED = {INCIDENTS}  # with Object Lock
READ_SWITCH = "/shop/prod/reads-from"  # where the application looks up from which database it reads
READER, WRITER = "ops_reader", "ops_writer"

CONFIG = """\
[profile {profile}]
region = {region}
endpoint_url = {endpoint}
"""
CREDENTIALS = """\
[{profile}]
aws_access_key_id = sandbox
aws_secret_access_key = sandbox
"""


def sandbox_json(directory: Path) -> Path:
    """Return the file that says that a sandbox runs here."""
    return directory / "sandbox.json"


def profile_folder(directory: Path) -> Path:
    """Return the folder of the AWS profile and the passwords."""
    return directory / "aws"


def messages_file(directory: Path) -> Path:
    """Return the file of what Slack and PagerDuty got, a JSON object a line."""
    return directory / "messages.jsonl"


def lock_file(directory: Path) -> Path:
    """Return the file whose lock is held as long as a sandbox lives here; it holds the supervisor's process id."""
    return directory / "lock"


def write(
    directory: Path,
    *,
    endpoint: str,
    clock: str,
    postgres_port: int,
    passwords: dict[str, str],
    replica_port: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """Write everything, sandbox.json last, and return its content."""
    aws = profile_folder(directory)
    aws.mkdir(mode=0o700, exist_ok=True)
    _private(aws / "config", CONFIG.format(profile=PROFILE, region=REGION, endpoint=endpoint))
    _private(aws / "credentials", CREDENTIALS.format(profile=PROFILE))
    for role, password in passwords.items():
        _private(_password_file(directory, role), password)
    content = {
        "schema": 1,
        "pid": os.getpid(),
        "endpoint": endpoint,
        "clock": clock,
        **more,
        "passwords": {role: str(_password_file(directory, role)) for role in passwords},
        "environment": environment(directory, clock, postgres_port, replica_port, endpoint),
    }
    aside = directory / "sandbox.json.new"
    _private(aside, json.dumps(content, indent=1))
    aside.rename(sandbox_json(directory))
    return content


def environment(directory: Path, clock: str, postgres_port: int, replica_port: int, endpoint: str) -> dict[str, Any]:
    """Return what a user would write about the shop into opslib.toml; its alarms stand in shop_alarms.json."""
    aws = profile_folder(directory)
    return {
        "account": ACCOUNT,
        "region": REGION,
        "profile": PROFILE,
        "aws_config_file": str(aws / "config"),
        "aws_credentials_file": str(aws / "credentials"),
        "timezone": "Asia/Tokyo",
        "log_groups": ["*"],
        "clock": clock,
        "sandbox": True,
        "database": {
            "host": "127.0.0.1",
            "port": postgres_port,
            "dbname": "shop",
            "user": READER,
            "password_file": str(_password_file(directory, READER)),
            "change_user": WRITER,
            "change_password_file": str(_password_file(directory, WRITER)),
            "sslmode": "disable",
            "instance": "shop-db",
            "replicas": ["shop-db-replica-1"],
            "read_switch": READ_SWITCH,
            "read_record": "db-read.shop.example",
            **({"replica_host": "127.0.0.1", "replica_port": replica_port} if replica_port else {}),
        },
        "admin_urls": {"user": "https://admin.shop.example/users/{user_id}"},
        "services": {
            "cluster": "shop",
            "names": ["web", "api", "worker", "batch", "auth", "notifier"],
            "calls": {
                "cdn": ["frontend", "load-balancer"],
                "load-balancer": ["web"],
                "web": ["api"],
                "api": ["auth", "database", "cache", "replica", "payment-provider"],
                "worker": ["database", "notifier"],
                "batch": ["database", "replica"],
                "auth": ["database", "cache"],
                "jobs": ["worker", "batch"],
            },
        },
        "load_balancer": {
            "name": "app/shop-web/50dc6c495c0c9188",
            "target_group": "targetgroup/shop-web/73e2d6bc24d8a067",
            "service": "web",
        },
        "cache": {"replication_group": "shop-cache", "nodes": ["shop-cache-001", "shop-cache-002"]},
        "cdn": {"distribution": "E2SHOPEXAMPLE1", "domain": "www.shop.example"},
        "frontend": {"app": "d2shopexample", "branch": "main", "site": f"{endpoint}/_site/"},
        "health_checks": {"www.shop.example": "7a1c6c1e-5b1f-4f0e-9a54-shopexample1"},
        "alerts": {
            "job_log_groups": ["/shop/worker", "/shop/batch"],
            "code_buckets": CODE,
            "slack_secret": "ops/slack",
            "pagerduty_secret": "ops/pagerduty",
            "pagerduty_service": "PSHOPOPS",
            "pagerduty_token": "ops/pagerduty-read",
            "pagerduty_api": f"{endpoint}/_sinks/pagerduty",
            "stack_role": f"arn:aws:iam::{ACCOUNT}:role/shop-alert-stacks",
        },
        "runner": {
            "task_definition": "shop-batch",
            "container": "batch",
            "subnets": ["subnet-0a1", "subnet-0c2"],
            "security_groups": ["sg-0shop"],
        },
        "change_role": f"arn:aws:iam::{ACCOUNT}:role/shop-change",
        "lock_bucket": LOCKS,
        "incident_bucket": INCIDENTS,
        "report_bucket": REPORTS,
    }


def _password_file(directory: Path, role: str) -> Path:
    return profile_folder(directory) / f"{role}.password"


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
