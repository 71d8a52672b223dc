"""One change at a time on one target: a lock in S3 that holds for all machines, or a file that holds for this one."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from opslib import aws
from opslib.config import Environment, reports_folder
from opslib.errors import OpsError, RecordError, Refused
from opslib.journal import canonical

THIS_MACHINE = "guards this machine only (no lock_bucket is configured)"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@contextmanager
def held(environment: Environment, target: str, *, holder: str, now: datetime, lasts: timedelta) -> Iterator[str]:
    """Hold the lock of a target for the block and say how far it guards; raises Refused when somebody else has it.

    With `lock_bucket` it is an object that only one can create (s3:PutObject with If-None-Match); one that outlived
    its time is taken over, if it is still the same (If-Match). A lock of a process that died stays until then.
    """
    body = {"holder": holder, "taken": now.isoformat(), "until": (now + lasts).isoformat()}
    if environment.lock_bucket:
        with _in_s3(environment, _key(environment, "locks", target), body, now) as said:
            yield said
    else:
        with _in_file(environment, target, body):
            yield THIS_MACHINE


def mark_applied(environment: Environment, plan_hash: str, *, holder: str, now: datetime) -> None:
    """Note for all machines that a plan is being applied, once and for all; raises Refused when it was before.

    Without `lock_bucket` this machine's journal alone knows.
    """
    if not environment.lock_bucket:
        return
    body = {"holder": holder, "at": now.isoformat()}
    if not _put(environment, _key(environment, "applied", plan_hash), body, IfNoneMatch="*"):
        raise Refused(
            "this plan was applied before", why="from another machine", fix="make a new plan: run all cells above"
        )


def place(environment: Environment, kind: str, name: str) -> str:
    """Return where all machines keep what they know of something."""
    return f"s3://{environment.lock_bucket}/{_key(environment, kind, name)}"


def read(environment: Environment, kind: str, name: str) -> str | None:
    """Return what all machines know of something (s3:GetObject); None when nothing is known. Raises SourceError."""
    found = _asked(environment, "get_object", Key=_key(environment, kind, name))
    return None if found is None else aws.content(environment, found).decode()


def write(environment: Environment, kind: str, name: str, text: str) -> None:
    """Let all machines know something (s3:PutObject); whoever writes holds a lock. Raises SourceError."""
    _asked(environment, "put_object", Key=_key(environment, kind, name), Body=text.encode())


@contextmanager
def _in_s3(environment: Environment, key: str, body: dict[str, str], now: datetime) -> Iterator[str]:
    tag = _put(environment, key, body, IfNoneMatch="*") or _taken_over(environment, key, body, now)
    try:
        yield f"held for all machines: s3://{environment.lock_bucket}/{key}"
    finally:
        try:
            _asked(environment, "delete_object", Key=key, IfMatch=tag)
        except OpsError as error:  # what was done stands; the lock ends by itself
            sys.stderr.write(f"the lock could not be given back and ends at {body['until']}: {error.what}\n")


def _taken_over(environment: Environment, key: str, body: dict[str, str], now: datetime) -> str:
    found = _asked(environment, "get_object", Key=key)
    if found is None:
        raise _busy("somebody else", "it was given back this moment: try again")
    other = json.loads(aws.content(environment, found))
    if other == body:  # our own first try, whose answer got lost
        return str(found["ETag"])
    if now < datetime.fromisoformat(other["until"]):
        raise _busy(other["holder"], f"it ends at {other['until']} at the latest")
    tag = _put(environment, key, body, IfMatch=found["ETag"])
    if not tag:
        raise _busy("somebody else", "an outlived lock was taken over this moment")
    return tag


def _put(environment: Environment, key: str, body: dict[str, str], **condition: str) -> str:
    made = _asked(environment, "put_object", Key=key, Body=canonical(body).encode(), **condition)
    return "" if made is None else str(made["ETag"])


def _asked(environment: Environment, operation: str, **given: Any) -> Any:
    """Call S3; None when a condition does not hold or the object is gone."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(aws.client(environment, "s3"), operation)(Bucket=environment.lock_bucket, **given)
    except ClientError as error:
        if error.response["Error"]["Code"] in {*_TAKEN, "NoSuchKey"}:
            return None
        raise aws.explain(error, environment) from None
    except BotoCoreError as error:
        raise aws.explain(error, environment) from None


def _key(environment: Environment, kind: str, name: str) -> str:
    return f"opslib/{kind}/{environment.name}/{quote(name, safe='')}.json"


@contextmanager
def _in_file(environment: Environment, target: str, body: dict[str, str]) -> Iterator[None]:
    folder = reports_folder() / ".locks"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = (folder / f"change-{environment.name}-{quote(target, safe='')}").open("a+")
    except OSError as error:
        raise RecordError(
            "the lock cannot be written", why=str(error), fix="make room on the disk; nothing was done"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise _busy(_holder(handle.read()), "another process of this machine holds it") from None
        handle.truncate(0)
        handle.write(json.dumps(body))
        handle.flush()
        yield


def _holder(text: str) -> str:
    try:
        return str(json.loads(text)["holder"])
    except (ValueError, KeyError):
        return "somebody else"


def _busy(holder: str, why: str) -> Refused:
    return Refused(
        f"another change of this target is under way: {holder}", why=why, fix="wait for its end, then make a new plan"
    )
