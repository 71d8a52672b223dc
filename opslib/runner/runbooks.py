"""Find runbooks by name, read and write notebook files."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opslib.config import notebook_paths
from opslib.errors import ParameterError, RecordError


def runbooks() -> Iterator[tuple[str, Path]]:
    """Yield every runbook as its name ("2-investigate/trace-request") and file, in order; the index is none."""
    for folder in notebook_paths():
        for file in sorted(folder.rglob("*.ipynb")):
            name = file.relative_to(folder).with_suffix("").as_posix()
            if name != "index" and ".ipynb_checkpoints" not in file.parts:
                yield name, file


def find(name: str) -> tuple[str, Path]:
    """Return name and file of the runbook that is meant: a full name, its last part, or a path.

    Raises ParameterError with the nearest name.
    """
    wanted = name.removesuffix(".ipynb").removeprefix("notebooks/").removeprefix("./")
    known = dict(runbooks())
    if wanted in known:
        return wanted, known[wanted]
    by_end = [full for full in known if full.rsplit("/", 1)[-1] == wanted]
    if len(by_end) == 1:
        return by_end[0], known[by_end[0]]
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).stem, Path(name).resolve()
    near = difflib.get_close_matches(wanted.rsplit("/", 1)[-1], [full.rsplit("/", 1)[-1] for full in known], 1)
    fix = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
    raise ParameterError(f"there is no runbook {name!r}", fix=fix)


def read(file: Path) -> dict[str, Any]:
    """Return a notebook as plain JSON with each source as one text; raises RecordError."""
    try:
        notebook: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(
            f"{file} is not a readable notebook", why=str(error), fix="restore it from version control"
        ) from None
    return notebook


def text_of(notebook: dict[str, Any]) -> str:
    """Return the notebook as the text of its file: stable order, indent 1."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write(file: Path, text: str) -> None:
    """Write a file so that a full disk keeps the old one; raises RecordError."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise RecordError(
            f"{file} cannot be written",
            why=error.strerror or str(error),
            fix="make room on the disk; what was there is unchanged",
        ) from None


def plain(node: Any) -> dict[str, Any]:
    """Return an nbformat node as plain JSON, sources as one text."""
    copied: dict[str, Any] = json.loads(json.dumps(node))
    return copied
