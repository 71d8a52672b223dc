"""What a schedule knows of its last run: in `lock_bucket`, where all machines see it, else in a file of this one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import files, locks
from opslib.config import reports_folder
from opslib.errors import RecordError

if TYPE_CHECKING:
    from opslib.config import Environment

_FOLDER, _TIMES = "schedules", ("covered", "at", "unseen")


@dataclass(frozen=True)
class Memory:
    """Up to where good runs have looked, and what became of the tries of the newest time."""

    covered: datetime | None = None  # the end of the last good run's window; None: there was none
    at: datetime | None = None  # the scheduled time that was tried last
    tries: int = 0  # how often; counted before each, so that one that was killed counts
    told: bool = False  # that this time has no report was told
    why: str = ""  # it has none, when that could not be told
    findings: dict[str, str] = field(default_factory=dict)  # of the last good run: key, text
    unseen: datetime | None = None  # from here up to `covered` not all was seen
    looks: int = 0  # what becomes of that: opslib.scheduling.due
    record: str = (
        ""  # of the last good run, below the folder of reports, as it lies in `report_bucket`; empty: it does not
    )
    files: tuple[str, ...] = ()  # of that record

    def as_json(self) -> dict[str, Any]:
        """Return what is kept."""
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()}  # fmt: skip


def recalled(environment: Environment, name: str) -> Memory:
    """Return what a schedule knows; raises RecordError for a memory that cannot be read, SourceError when S3 gives none."""
    if environment.lock_bucket:
        place, text = locks.place(environment, _FOLDER, name), locks.read(environment, _FOLDER, name)
    else:
        place, text = str(_file(environment, name)), _text(_file(environment, name))
    try:
        return _read(json.loads(text)) if text is not None else Memory()
    except (ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise RecordError(f"{place} cannot be read", why=why, fix="remove it: the next run looks back as the first one did") from None  # fmt: skip


def remember(environment: Environment, name: str, memory: Memory) -> None:
    """Keep what a schedule knows, whole or not at all; raises RecordError, SourceError."""
    text = json.dumps(memory.as_json(), ensure_ascii=False, indent=1)
    if environment.lock_bucket:
        locks.write(environment, _FOLDER, name, text)
        return
    file = _file(environment, name)
    try:
        files.make_private(file.parent, below=reports_folder())
    except OSError as error:
        raise files.cannot_write(file, error) from None
    files.write(file, text)


def _read(kept: dict[str, Any]) -> Memory:
    kept = {"unseen": None, "looks": 0, "record": "", "files": (), **kept}  # those of before had none of them
    times = {name: datetime.fromisoformat(kept[name]) if kept[name] else None for name in _TIMES}
    findings = {str(key): str(text) for key, text in kept["findings"].items()}
    return Memory(**times, tries=int(kept["tries"]), told=bool(kept["told"]), why=str(kept["why"]), findings=findings, looks=int(kept["looks"]), record=str(kept["record"]), files=tuple(map(str, kept["files"])))  # fmt: skip


def _file(environment: Environment, name: str) -> Path:
    return reports_folder() / f".{_FOLDER}" / environment.name / f"{name}.json"


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{file} cannot be read", why=str(error), fix="restore the file, or remove it") from None
