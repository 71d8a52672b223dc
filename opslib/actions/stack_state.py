"""A CloudFormation stack as a plan needs to see it: its state, a change set, what was changed by hand, its templates."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import aws, files
from opslib.config import project_root, reports_folder
from opslib.errors import ParameterError, RecordError, SourceError
from opslib.journal import digest

if TYPE_CHECKING:
    from opslib.config import Environment

SECRET = "****"  # how CloudFormation tells a NoEcho parameter
LONGEST = 51_200  # bytes of a template in a call
CALM = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
# What holds data: when CloudFormation replaces or removes one, what was in it is gone.
HOLDS_DATA = (
    "AWS::RDS::", "AWS::DynamoDB::", "AWS::S3::Bucket", "AWS::ElastiCache::", "AWS::EFS::", "AWS::SQS::Queue", "AWS::Logs::LogGroup",
    "AWS::KMS::Key", "AWS::Cognito::UserPool", "AWS::SecretsManager::Secret", "AWS::ECR::Repository", "AWS::OpenSearchService::", "AWS::Kinesis::Stream",
)  # fmt: skip


@dataclass(frozen=True)
class Touched:
    """One resource that a change set touches."""

    name: str
    kind: str
    action: str  # Add, Modify, Remove, Import, Dynamic
    replaced: str  # True, False, Conditional, or empty
    of: tuple[str, ...]  # properties
    physical: str = ""  # the last part of its physical id

    @property
    def loses(self) -> bool:
        """Tell whether what the resource holds may be gone afterwards."""
        away = self.action == "Remove" or self.replaced in {"True", "Conditional"}
        return away and self.kind.startswith(HOLDS_DATA)

    def back(self) -> str:
        """Return in words what the way back does to it."""
        if self.action == "Add":
            return "it is removed"
        return (
            "another new one, empty"
            if self.replaced in {"True", "Conditional"} or self.action == "Remove"
            else "changed back in place"
        )

    def impact(self) -> str:
        """Return who notices."""
        if self.action in {"Add", "Import"}:
            return "none to what stands"
        if self.loses:
            return "WHAT IT HOLDS IS GONE"
        followed = "it gets another identity: who uses its name or ARN must follow"
        return (
            followed if self.replaced in {"True", "Conditional"} or self.action == "Remove" else "changed while in use"
        )

    def says(self) -> str:
        """Return in words what happens to it."""
        what = f" {', '.join(self.of)}" if self.of else ""
        how = {"True": "REPLACE it by a new one", "Conditional": "perhaps REPLACE it"}.get(self.replaced, "in place")
        return f"{self.action}{what}, {how}" if self.action == "Modify" else self.action


def read(environment: Environment, name: str, *, region: str = "") -> dict[str, Any]:
    """Return a stack (cloudformation:DescribeStacks); raises SourceError."""
    return dict(aws.ask(environment, "cloudformation", "describe_stacks", region=region, StackName=name)["Stacks"][0])


def find(environment: Environment, name: str, *, region: str = "") -> dict[str, Any] | None:
    """Return a stack, or None when there is none of that name; raises SourceError."""
    try:
        return read(environment, name, region=region)
    except SourceError as error:
        if "does not exist" in error.why:
            return None
        raise


def identity(told: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same when a plan is applied."""
    updated = told.get("LastUpdatedTime") or told["CreationTime"]
    return {"status": told["StackStatus"], "updated": updated.isoformat(), "parameters": values(told)}


def values(told: dict[str, Any]) -> dict[str, str]:
    """Return the values of a stack's parameters; secret ones as CloudFormation tells them."""
    return {
        one["ParameterKey"]: str(one.get("ResolvedValue", one.get("ParameterValue", "")))
        for one in told.get("Parameters", [])
    }


def change_set(environment: Environment, stack: str, name: str, *, region: str = "") -> dict[str, Any]:
    """Return status, reason, description, created and the touched resources of a change set, all pages (DescribeChangeSet)."""
    asked: dict[str, Any] = {"StackName": stack, "ChangeSetName": name, "region": region}
    told = aws.ask(environment, "cloudformation", "describe_change_set", **asked)
    changes, following = list(told.get("Changes", [])), told.get("NextToken")
    while following:
        more = aws.ask(environment, "cloudformation", "describe_change_set", **asked, NextToken=following)
        changes, following = changes + more.get("Changes", []), more.get("NextToken")
    return {
        "status": told["Status"], "execution": told.get("ExecutionStatus", ""), "reason": told.get("StatusReason", ""),
        "description": told.get("Description", ""), "created": told["CreationTime"].isoformat(), "values": values(told),
        "touched": tuple(_touched(one["ResourceChange"]) for one in changes if "ResourceChange" in one),
    }  # fmt: skip


def set_identity(found: dict[str, Any]) -> dict[str, Any]:
    """Return what of a change set must be the same when it is executed: another one may have got its name."""
    known = [[one.name, one.kind, one.action, one.replaced, list(one.of)] for one in found["touched"]]
    return {"change set": digest([known, found["created"]]), "execution": found["execution"]}


def drift(environment: Environment, stack: str, *, region: str = "", looks: int = 200) -> tuple[str, dict[str, str]]:
    """Detect what was changed by hand: how well it was seen, and what differs by resource (DetectStackDrift and its answers).

    Of many resources it takes AWS "several minutes": five are waited, less with fewer `looks`.
    """
    try:
        begun = aws.ask(environment, "cloudformation", "detect_stack_drift", region=region, StackName=stack)["StackDriftDetectionId"]  # fmt: skip
        for _ in range(looks):
            told = aws.ask(environment, "cloudformation", "describe_stack_drift_detection_status", region=region, StackDriftDetectionId=begun)  # fmt: skip
            if told["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                break
            time.sleep(1.5)
    except SourceError as error:
        return f"NOT SEEN: {error.what}: {error.why}", {}
    if told["DetectionStatus"] != "DETECTION_COMPLETE":
        return f"NOT SEEN: {told['DetectionStatus']} {told.get('DetectionStatusReason', '')}".strip(), {}
    asked: dict[str, Any] = {"StackName": stack, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
    rows = aws.pages(environment, "cloudformation", "describe_stack_resource_drifts", "StackResourceDrifts", region=region, **asked)  # fmt: skip
    found = {one["LogicalResourceId"]: _differs(one) for one in rows if one["StackResourceDriftStatus"] in {"MODIFIED", "DELETED"}}  # fmt: skip
    return told["StackDriftStatus"], found


def happened(environment: Environment, stack: str, since: datetime, *, region: str = "") -> list[dict[str, Any]]:
    """Return the stack's events since a moment, oldest first (cloudformation:DescribeStackEvents)."""
    found = []
    for event in aws.pages(
        environment, "cloudformation", "describe_stack_events", "StackEvents", region=region, StackName=stack
    ):
        if event["Timestamp"] < since:
            break
        found.append(event)
    return found[::-1]


def template(environment: Environment, stack: str, *, region: str = "") -> str:
    """Return the template that a stack was made with (cloudformation:GetTemplate), as short as JSON can be: boto3 has read it."""
    told = aws.ask(
        environment, "cloudformation", "get_template", region=region, StackName=stack, TemplateStage="Original"
    )
    body = told["TemplateBody"]
    return body if isinstance(body, str) else json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def keep(environment: Environment, text: str) -> str:
    """Keep a template on this machine, for its owner alone, and return its sha256: it may hold what no record should."""
    name = hashlib.sha256(text.encode()).hexdigest()
    place = _place(environment, name)
    try:
        files.make_private(place.parent, below=reports_folder())
    except OSError as error:
        raise files.cannot_write(place, error) from None
    files.write(place, text)
    return name


def kept(environment: Environment, name: str) -> str:
    """Return a template that was kept; raises RecordError when it is gone or is no longer the same."""
    try:
        text = _place(environment, name).read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError("the template is no longer kept on this machine", why=str(error.strerror)) from None
    if hashlib.sha256(text.encode()).hexdigest() != name:
        raise RecordError("the template was edited since the plan was made", why=f"its hash is not {name[:16]}")
    return text


def from_file(path: str) -> str:
    """Return the template of a file, which is one of the project when its path is relative; raises ParameterError."""
    try:
        file = (project_root() / path).resolve()
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} is no template", why=str(error)) from None
    if not Path(path).is_absolute() and not file.is_relative_to(project_root().resolve()):
        raise ParameterError(f"{path} is no template", why="it leaves the project", fix="name it by its whole path")
    if "Resources" not in text:
        raise ParameterError(f"{path} is no template", why="it names no Resources")
    if len(text.encode()) > LONGEST:
        raise ParameterError(f"{path} is longer than {LONGEST:,} bytes", fix="make the change set by your pipeline, and name it here")  # fmt: skip
    return text


def _place(environment: Environment, name: str) -> Path:
    return reports_folder() / environment.name / ".templates" / f"{name}.template"


def _touched(told: dict[str, Any]) -> Touched:
    targets = [detail.get("Target", {}) for detail in told.get("Details", [])]
    names = tuple(dict.fromkeys(str(one.get("Name") or one.get("Attribute", "")) for one in targets))
    physical = told.get("PhysicalResourceId", "").rpartition(":")[2].rpartition("/")[2]
    return Touched(
        told["LogicalResourceId"], told["ResourceType"], told["Action"], told.get("Replacement", ""), names, physical
    )


def _differs(told: dict[str, Any]) -> str:
    if told["StackResourceDriftStatus"] == "DELETED":
        return "deleted"
    paths = [one["PropertyPath"].lstrip("/") for one in told.get("PropertyDifferences", [])]
    return f"{', '.join(paths)} differ{'s' if len(paths) == 1 else ''}"
