"""stack.json is what CloudFormation needs for the stacks of alerts and schedules, by the schemas that AWS publishes of their types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from policy_sentry.querying.actions import get_action_data

from opslib import policies
from opslib.actions import stack_diff
from opslib.alerting import template
from opslib.config import Environment
from tests.alerting.test_template import FULL
from tests.scheduling.test_stack import made

STATEMENTS = policies.policy("stack")["Statement"]
ALLOWED = {action for statement in STATEMENTS for action in statement["Action"]}
# A schema lists what any property may take; of those that our templates do not set: type, property, actions.
UNUSED: tuple[tuple[str, str, str], ...] = (
    ("AWS::Lambda::Function", "VpcConfig", "ec2:DescribeNetworkInterfaces ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs"),
    ("AWS::Lambda::Function", "FileSystemConfigs", "elasticfilesystem:DescribeMountTargets s3files:ListMountTargets"),
    ("AWS::Lambda::Function", "KmsKeyArn", "kms:CreateGrant kms:Decrypt kms:Encrypt kms:GenerateDataKey"),
    ("AWS::Lambda::Function", "CodeSigningConfigArn", "lambda:DeleteFunctionCodeSigningConfig lambda:GetCodeSigningConfig lambda:PutFunctionCodeSigningConfig"),
    ("AWS::Lambda::Function", "Layers", "lambda:GetLayerVersion"),
    ("AWS::Lambda::Function", "RuntimeManagementConfig", "lambda:AssociateRuntimeAlias lambda:PutRuntimeManagementConfig"),
    ("AWS::Lambda::Function", "RecursiveLoop", "lambda:PutFunctionRecursionConfig"),
    ("AWS::Lambda::Function", "FunctionScalingConfig", "lambda:PutFunctionScalingConfig"),
    ("AWS::Lambda::Function", "CapacityProviderConfig", "lambda:PassCapacityProvider"),
    ("AWS::Lambda::Function", "PublishToLatestPublished", "lambda:PublishVersion"),
    ("AWS::IAM::Role", "ManagedPolicyArns", "iam:AttachRolePolicy iam:DetachRolePolicy"),
    ("AWS::IAM::Role", "PermissionsBoundary", "iam:DeleteRolePermissionsBoundary iam:PutRolePermissionsBoundary"),
    ("AWS::Logs::LogGroup", "DataProtectionPolicy", "firehose:TagDeliveryStream logs:CreateLogDelivery logs:DeleteDataProtectionPolicy logs:PutDataProtectionPolicy s3:REST.PUT.OBJECT"),
    ("AWS::Logs::LogGroup", "FieldIndexPolicies", "logs:DeleteIndexPolicy logs:PutIndexPolicy"),
    ("AWS::Logs::LogGroup", "ResourcePolicyDocument", "logs:DeleteResourcePolicy logs:PutResourcePolicy"),
    ("AWS::Logs::LogGroup", "KmsKeyId", "logs:AssociateKmsKey logs:DisassociateKmsKey"),
    ("AWS::Logs::LogGroup", "DeletionProtectionEnabled", "logs:PutLogGroupDeletionProtection"),
    ("AWS::Logs::LogGroup", "BearerTokenAuthenticationEnabled", "logs:PutBearerTokenAuthentication"),
    ("AWS::SNS::Topic", "DataProtectionPolicy", "sns:PutDataProtectionPolicy"),
    ("AWS::KMS::Key", "Enabled", "kms:DisableKey kms:EnableKey"),
)  # fmt: skip
# Of what stays when its stack lets go of it, and of code that is named by its content.
RETAINED = {"AWS::Logs::LogGroup": "logs:DeleteLogGroup", "AWS::KMS::Key": "kms:ScheduleKeyDeletion", "AWS::SQS::Queue": "sqs:DeleteQueue"}  # fmt: skip
NEVER = {"s3:GetObjectVersion", "kms:DisableKeyRotation"}


def resources() -> Iterator[dict[str, Any]]:
    for body in (*template.templates(Environment(**FULL)).values(), made()):
        yield from body["Resources"].values()


def needed() -> set[str]:
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # not with the file: each worker collects it

    schemas = {one["Type"]: PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", one["Type"]).schema for one in resources()}  # fmt: skip
    handlers = [schema["handlers"] for schema in schemas.values()]
    return {action for one in handlers for kind, told in one.items() if kind != "list" for action in told["permissions"]}  # fmt: skip


def test_it_holds_what_the_types_need_and_nothing_more() -> None:
    unused = {action for _, _, actions in UNUSED for action in actions.split()}
    assert needed() - unused - set(RETAINED.values()) - NEVER == ALLOWED


def test_what_it_leaves_out_the_templates_do_not_use() -> None:
    for one in resources():
        used = [name for kind, name, _ in UNUSED if kind == one["Type"] and name in one["Properties"]]
        assert not used and (one["Type"] not in RETAINED or stack_diff.stays(one))
        assert "S3ObjectVersion" not in one["Properties"].get("Code", {})
        assert one["Properties"].get("EnableKeyRotation", True)


def test_each_action_is_scoped_as_aws_allows_to_the_names_that_templates_give() -> None:
    for statement in STATEMENTS:
        for action in statement["Action"]:
            service, operation = action.split(":")
            rows = get_action_data(service, operation)[service]
            formats = [re.sub(r"\\\$\\\{[^}]+\\\}", ".+", re.escape(row["resource_arn_format"])) for row in rows]
            for text in statement["Resource"]:
                assert any(re.fullmatch(each, text) for each in formats if each != r"\*" or text == "*"), (action, text)
            if statement["Resource"] == ["*"]:
                assert {row["resource_arn_format"] for row in rows} == {"*"}, action
    environment = Environment(**{**FULL, "account": "123456789012"})
    filled = {one["Sid"]: one["Resource"] for one in policies.filled("stack", environment)["Statement"]}
    assert not [text for listed in filled.values() for text in listed if re.search(r"\{\w+\}", text)]
    names = [one["Properties"]["AlarmName"] for one in resources() if "AlarmName" in one["Properties"]]
    [prefix, _] = [text.rpartition(":")[2].removesuffix("*") for text in filled["Alarms"]]
    assert names and all(name.startswith(prefix) for name in names)
    topics = {text.rpartition(":")[2] for text in filled["Topics"]}
    assert topics == {one["Properties"]["TopicName"] for one in resources() if "TopicName" in one["Properties"]}


def test_a_role_is_passed_to_nobody_else() -> None:
    told = {one["Sid"]: one["Condition"]["StringEquals"]["iam:PassedToService"] for one in STATEMENTS if "iam:PassRole" in one["Action"]}  # fmt: skip
    assert told == {"RoleOfNotifiers": ["lambda.amazonaws.com"], "RoleOfScheduler": ["scheduler.amazonaws.com"]}
