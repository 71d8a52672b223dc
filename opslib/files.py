"""Files that are either the old ones or the new ones, never half of them, and private to their owner."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from opslib.errors import RecordError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def write(file: Path, text: str, *, mode: int = PRIVATE_FILE) -> None:
    """Write a file so that a full disk or a crash keeps the old one; raises RecordError."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise cannot_write(file, error) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(mode)
        Path(name).replace(file)
        settle(file.parent)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise cannot_write(file, error) from None


def make_private(folder: Path, *, below: Path) -> None:
    """Make a folder and those between it and `below`, each for the owner alone; raises OSError."""
    below.mkdir(parents=True, exist_ok=True)
    for parent in reversed([folder, *folder.parents]):
        if below in parent.parents:
            parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def settle(folder: Path) -> None:
    """Bring the names in a folder onto the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cannot_write(file: Path, error: OSError) -> RecordError:
    """Return the error for people."""
    return RecordError(
        f"{file} cannot be written",
        why=error.strerror or str(error),
        fix="make room on the disk, then run again; what was kept before is unchanged",
    )
