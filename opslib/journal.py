"""A journal that shows when it was touched: JSON lines, each with the hash of the one before, on the disk before going on.

A chain finds an edit and a deletion in its middle. A cut tail it cannot see by itself: the head (number and hash of
the last entry) is therefore kept beside it, and with closed incidents where nobody can rewrite it.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from opslib import redact
from opslib.config import Environment, reports_folder
from opslib.errors import RecordError

Entry = dict[str, Any]
START = "0" * 64
NAME = "journal.jsonl"


def canonical(content: Any) -> str:
    """Return the one way to write some JSON: keys sorted, no spaces, no NaN; raises ValueError or TypeError for others."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(content: Any) -> str:
    """Return the sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(content).encode("utf-8", errors="backslashreplace")).hexdigest()


@dataclass(frozen=True)
class Journal:
    """One chained file of JSON lines."""

    file: Path

    @classmethod
    def of(cls, environment: Environment) -> Journal:
        """Return the journal of all changes made from here in an environment."""
        return cls(reports_folder() / environment.name / NAME)

    def append(self, event: str, *, at: datetime, **facts: Any) -> Entry:
        """Write one entry, redacted, and return it when it is on the disk; raises RecordError.

        A line that a crash cut off stays as it is: the next entry carries its hash.
        """
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.file, "a+b", opener=_private) as out:
                fcntl.flock(out, fcntl.LOCK_EX)
                entry = self._next(out, {"at": _stamp(at), "event": event, "by": person(), **_clean(facts)})
                out.write(canonical(entry).encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())
                _write_head(self.file, entry)
        except OSError as error:
            why = f"{error.strerror}: {self.file}"
            raise RecordError(
                "the journal cannot be written", why=why, fix="make room on the disk; nothing was done"
            ) from None
        return entry

    def entries(self) -> list[Entry]:
        """Return the entries that can be read, oldest first."""
        return [entry for entry in map(_read, self._lines()) if entry]

    def problems(self, *, head: Mapping[str, Any] | None = None) -> list[str]:
        """Return what was done to the file since it was written; empty when nothing.

        `head` is the number and hash of the last entry as kept elsewhere; else the one beside the file counts.
        """
        found, before, torn, number = [], START, "", 0
        for place, line in enumerate(self._lines(), 1):
            entry = _read(line)
            if entry is None:
                torn = hashlib.sha256(line).hexdigest()
                continue
            number += 1
            found += _doubts(place, entry, before, torn, number)
            before, torn, number = str(entry.get("hash")), "", int(entry.get("n", number))
        found += ["its last line cannot be read"] if torn else []
        return found + self._missing_tail(head, number, before)

    def _missing_tail(self, head: Mapping[str, Any] | None, number: int, last: str) -> list[str]:
        kept = head or _head(self.file)
        if kept is None:
            return ["its head is missing: nothing tells whether entries at the end were cut off"] if number else []
        if kept["n"] > number:
            return [f"the last {kept['n'] - number} of {kept['n']} entries are missing"]
        at_head = next((entry["hash"] for entry in self.entries() if entry.get("n") == kept["n"]), START)
        if at_head != kept["hash"]:
            return [f"entry {kept['n']} is not the one that was written"]
        return []

    def _next(self, out: IO[bytes], facts: Entry) -> Entry:
        """Number the entry and tie it to the last one; the file is locked."""
        out.seek(0)
        whole = out.read()
        lines = whole.split(b"\n")
        first: Entry = {"n": 0, "hash": START}
        last = next((entry for entry in map(_read, reversed(lines)) if entry), first)
        entry = {"n": last["n"] + 1, **facts, "before": last["hash"]}
        if lines[-1]:
            out.write(b"\n")
            entry["torn"] = hashlib.sha256(lines[-1]).hexdigest()
        return {**entry, "hash": digest(entry)}

    def _lines(self) -> list[bytes]:
        try:
            return [line for line in self.file.read_bytes().split(b"\n") if line]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RecordError("the journal cannot be read", why=f"{error.strerror}: {self.file}") from None


def person() -> str:
    """Return who works here: OPSLIB_PERSON, else the name of the user; a container may have none."""
    try:
        return os.environ.get("OPSLIB_PERSON") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def head(file: Path) -> dict[str, Any]:
    """Return number and hash of the last entry, as kept beside the journal."""
    return _head(file) or {"n": 0, "hash": START}


def _doubts(place: int, entry: Entry, before: str, torn: str, number: int) -> list[str]:
    found = []
    if digest({name: value for name, value in entry.items() if name != "hash"}) != entry.get("hash"):
        found.append(f"line {place} was changed after it was written")
    if entry.get("before") != before or entry.get("n") != number:
        found.append(f"something is missing, added or moved before line {place}")
    if entry.get("torn", "") != torn:
        found.append(f"line {place - 1} was damaged" if torn else f"a line before line {place} is gone")
    return found


def _read(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact.text(value.encode("utf-8", errors="backslashreplace").decode())
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list | tuple) else value


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _head_file(file: Path) -> Path:
    return file.with_suffix(".head")


def _head(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(_head_file(file).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found.get("n"), int) and "hash" in found else None


def _write_head(file: Path, entry: Entry) -> None:
    aside = file.with_suffix(".head.new")
    aside.write_text(canonical({"n": entry["n"], "hash": entry["hash"]}))
    aside.chmod(0o600)
    aside.replace(_head_file(file))
