"""Log files of any application as events: plain text by a pattern, JSON lines, and CloudWatch's exports to S3."""

import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opslib.sandbox.errors import SandboxError
from opslib.sandbox.log_times import TIME_KEYS, milliseconds

EXPORTED = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (?P<message>.*)", re.DOTALL)
GROUP_NAME = re.compile(r"[A-Za-z0-9_./#-]{1,512}")
PERMISSION_CHECK = "aws-logs-write-test"  # CloudWatch leaves it beside its exports
POST_BYTES = 4_000_000


@dataclass
class Event:
    """One event on its way into a log group."""

    group: str
    stream: str
    timestamp_ms: int
    message: str


class LoadedLogs(dict[str, int]):
    """Events per log group, and what became of the lines that are not events of their own."""

    continuation_lines: int = 0
    unplaced_lines: int = 0
    first_unplaced: str = ""

    @property
    def remark(self) -> str:
        """Return one sentence about lines that are not events, empty when all are."""
        parts = []
        if self.continuation_lines:
            parts.append(f"{self.continuation_lines} lines continue the event before them")
        if self.unplaced_lines:
            parts.append(f"{self.unplaced_lines} lines were NOT loaded (the first: {self.first_unplaced})")
        return "; ".join(parts)


@dataclass
class Reading:
    """What a file, or a folder of files, holds."""

    events: list[Event] = field(default_factory=list)
    continuation_lines: int = 0
    unplaced_lines: int = 0
    first_unplaced: str = ""

    def unplaced(self, file: Path, number: int, why: str) -> None:
        """Count a line that belongs to no event."""
        self.unplaced_lines += 1
        self.first_unplaced = self.first_unplaced or f"{file.name} line {number}: {why}"

    def counts(self) -> LoadedLogs:
        """Return the events per log group."""
        answer = LoadedLogs()
        for event in self.events:
            answer[event.group] = answer.get(event.group, 0) + 1
        answer.continuation_lines = self.continuation_lines
        answer.unplaced_lines = self.unplaced_lines
        answer.first_unplaced = self.first_unplaced
        return answer

    def sent(self, post: Callable[[bytes], Any]) -> LoadedLogs:
        """Hand all events over in parts of a few megabytes."""
        part, size = [], 0
        for event in self.events:
            line = json.dumps(vars(event)).encode()
            part.append(line)
            size += len(line)
            if size > POST_BYTES:
                post(b"\n".join(part))
                part, size = [], 0
        if part:
            post(b"\n".join(part))
        return self.counts()


class Format(Protocol):
    """Takes one line apart: (group or None, time as written, message); None for a line that begins no event."""

    def __call__(self, line: str) -> tuple[str | None, Any, str] | None: ...


def read(path: Path, *, pattern: str | None = None, zone: str = "", group: str | None = None) -> Reading:
    """Read a file or a folder; nothing is loaded when a time or a group name makes no sense."""
    expression = _compiled(pattern)
    _checked_zone(zone)
    if group:
        _checked_group(group, "--group")
    reading = Reading()
    for file in _files(path):
        _read_file(file, path, reading, expression, zone, group)
    if not reading.events:
        why = reading.first_unplaced or "it is empty"
        raise SandboxError(f"{path} holds no event ({why}). Nothing was loaded.")
    return reading


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as problem:
        raise SandboxError(f"--pattern is no regular expression: {problem}") from problem
    missing = {"time", "message"} - expression.groupindex.keys()
    if missing:
        raise SandboxError(
            f"--pattern lacks the named group {' and '.join(sorted(missing))}: it needs (?P<time>...) and "
            "(?P<message>...), and may have (?P<group>...)."
        )
    return expression


def _checked_zone(zone: str) -> None:
    try:
        if zone:
            ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise SandboxError(f"--zone {zone!r} is no time zone; say one such as Asia/Tokyo or UTC.") from problem


def _checked_group(name: str, where: str) -> str:
    if not GROUP_NAME.fullmatch(name):
        raise SandboxError(f"{where}: {name!r} cannot be the name of a log group (letters, digits and _ - / . # only).")
    return name


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SandboxError(f"There is no file {path}.")
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    files = [file for file in files if file.name != PERMISSION_CHECK]
    if not files:
        raise SandboxError(f"The folder {path} holds no files.")
    return files


def _read_file(
    file: Path, given: Path, reading: Reading, expression: re.Pattern[str] | None, zone: str, group: str | None
) -> None:
    """Add one file's events; a line that begins none belongs to the event before it, an empty one to nobody."""
    shape: Format | None = by_pattern(expression) if expression else None
    current: Event | None = None
    for number, line in enumerate(_lines(file), 1):
        if shape is None and line.strip():
            shape = _recognised(line, file)
        parts = shape(line) if shape else None
        if parts is None:
            _continue(reading, current, file, number, line)
            continue
        named, written, message = parts
        if written is None:
            reading.unplaced(file, number, "it has no time")
            continue
        where = f"{file.name} line {number}"
        target = _checked_group(group or named or _group_of(file, given), where)
        stream = file.parent.name if shape is by_export else file.name
        current = Event(target, stream, milliseconds(written, zone, where), message)
        reading.events.append(current)


def _continue(reading: Reading, current: Event | None, file: Path, number: int, line: str) -> None:
    if not line.strip():
        return
    if current is not None:
        current.message += "\n" + line
        reading.continuation_lines += 1
    else:
        reading.unplaced(file, number, "no event begins before it")


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines, unpacked when gzip packed them, without their ends."""
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        source: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        try:
            for line in io.TextIOWrapper(source, encoding="utf-8", errors="replace", newline="\n"):
                yield line.rstrip("\r\n")
        except (EOFError, gzip.BadGzipFile) as problem:
            raise SandboxError(f"{file} is a damaged gzip file: {problem}. Nothing was loaded.") from problem


def _recognised(line: str, file: Path) -> Format:
    """Tell by the first line what the file is."""
    if by_json(line):
        return by_json
    if by_export(line):
        return by_export
    raise SandboxError(
        f"{file} is neither JSON lines nor an export of CloudWatch. Say how its lines are built: "
        r"--pattern '(?P<time>\S+ \S+) (?P<message>.*)', with (?P<group>...) if a line names it."
    )


def by_pattern(expression: re.Pattern[str]) -> Format:
    """Return the format of plain text."""

    def split(line: str) -> tuple[str | None, Any, str] | None:
        found = expression.match(line)
        if found is None:
            return None
        parts = found.groupdict()
        return parts.get("group"), parts["time"], parts["message"] or ""

    return split


def by_json(line: str) -> tuple[str | None, Any, str] | None:
    """Split a line that is a JSON object; the whole line is the message."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    written = next((content[key] for key in TIME_KEYS if content.get(key) not in (None, "")), None)
    return None, written, line


def by_export(line: str) -> tuple[str | None, Any, str] | None:
    """Split a line of an export to S3: its time, a space, the message."""
    found = EXPORTED.fullmatch(line)
    return (None, found["time"], found["message"]) if found else None


def _group_of(file: Path, given: Path) -> str:
    """Name the group after the folder that was given, else after the file."""
    name = given.name if given.is_dir() else file.name.removesuffix(".gz").split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_./#-]", "-", name)
    if not re.search(r"[A-Za-z]", name):
        raise SandboxError(f"The name of {file} says no log group. Name one: --group /shop/api")
    return name
