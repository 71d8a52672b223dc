"""The head of a closed incident's journal in a group of CloudWatch Logs, whose events nobody can rewrite.

The second way beside S3 Object Lock. An event cannot be changed; who may delete the stream can take it away, which
`verify` says. Calls: logs:CreateLogStream, PutLogEvents, GetLogEvents.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.errors import SourceError
from opslib.journal import canonical

if TYPE_CHECKING:
    from opslib.config import Environment


def post(environment: Environment, incident: str, told: dict[str, Any]) -> str:
    """Put number and hash of the last entry and the hash of the manifest into a stream of the incident's own.

    Returns the place, empty without `incident_log_group`. Raises SourceError, also when another head was posted before.
    """
    group = environment.incident_log_group
    if not group:
        return ""
    place = {"logGroupName": group, "logStreamName": _stream(environment, incident)}
    try:
        aws.ask(environment, "logs", "create_log_stream", **place)
    except SourceError as error:  # an earlier try may have made it
        if "ResourceAlreadyExists" not in error.what or (posted := _posted(environment, place)) not in (None, told):
            raise
        if posted:
            return f"log group {group}, stream {place['logStreamName']}"
    event = {"timestamp": int(aws.now(environment).timestamp() * 1000), "message": canonical(told)}
    aws.ask(environment, "logs", "put_log_events", **place, logEvents=[event])
    return f"log group {group}, stream {place['logStreamName']}"


def differences(environment: Environment, incident: str, told: dict[str, Any]) -> tuple[list[str], str]:
    """Return what of a record is not as it was posted, and against what it was held; raises SourceError."""
    group, stream = environment.incident_log_group, _stream(environment, incident)
    posted = _posted(environment, {"logGroupName": group, "logStreamName": stream})
    if posted is None:
        return [], f"NO head in log group {group}: it was closed without one, or the stream was deleted"
    changed = [f"{name} is not the one that was posted at its end" for name in posted if posted[name] != told.get(name)]
    return changed, f"the head in log group {group}, stream {stream}"


def _posted(environment: Environment, place: dict[str, str]) -> dict[str, Any] | None:
    asked: dict[str, Any] = {**place, "startFromHead": True, "limit": 1}
    try:
        found = aws.ask(environment, "logs", "get_log_events", **asked)["events"]
    except SourceError as error:
        if "ResourceNotFoundException" not in error.what:
            raise
        found = []
    posted: dict[str, Any] | None = json.loads(found[0]["message"]) if found else None
    return posted


def _stream(environment: Environment, incident: str) -> str:
    return f"{environment.name}/{incident}"
