"""Answers of Logs Insights over windows that are closed, kept on this machine: a second look scans and costs nothing.

Late events are possible (PutLogEvents takes them for 14 days), hence the age limit. The sandbox is not cached unless
OPSLIB_LOG_CACHE=1: faults and changed data must show there.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from opslib.sources.log_rows import Columns

if TYPE_CHECKING:
    from opslib.config import Environment

SETTLED = timedelta(minutes=15)  # ingestion may lag
KEPT_SECONDS = 24 * 3600.0
LANGUAGE = "CWLI"


@dataclass(frozen=True)
class Kept:
    """What lay on the disk."""

    columns: Columns
    scanned: float


def key(environment: Environment, text: str, *, groups: Sequence[str], start: int, end: int, limit: int | None) -> str:
    """Return the name under which an answer is kept: all that it depends on, the sandbox's identity too."""
    asked = [environment.account, environment.region, environment.aws_config_file, sorted(groups), LANGUAGE, text, start, end, limit]  # fmt: skip
    return hashlib.sha256(orjson.dumps(asked)).hexdigest()


def read(environment: Environment, name: str) -> Kept | None:
    """Return the answer, or None when it is not there, too old, or unreadable."""
    file = _folder() / name
    try:
        if not _used(environment) or time.time() - file.stat().st_mtime > KEPT_SECONDS:
            return None
        found = orjson.loads(zlib.decompress(file.read_bytes()))
        return Kept(found["columns"], found["scanned"])
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None


def write(environment: Environment, name: str, columns: Columns, scanned: float) -> None:
    """Keep a complete answer, readable by this user only; a full disk costs nothing but the next scan."""
    if not _used(environment):
        return
    folder, content = _folder(), zlib.compress(orjson.dumps({"columns": columns, "scanned": scanned}), 1)
    aside = folder / f"{name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(folder)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
        aside.replace(folder / name)
    except OSError:
        aside.unlink(missing_ok=True)


def _used(environment: Environment) -> bool:
    return not environment.sandbox or os.environ.get("OPSLIB_LOG_CACHE") == "1"


def _folder() -> Path:
    named = os.environ.get("OPSLIB_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "opslib" / "logs"


def _forget_old(folder: Path) -> None:
    for file in folder.iterdir():
        if time.time() - file.stat().st_mtime > KEPT_SECONDS:
            file.unlink(missing_ok=True)
