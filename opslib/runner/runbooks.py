"""Find runbooks by name, read and write notebook files as plain JSON."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opslib import files
from opslib.config import notebook_paths
from opslib.errors import ParameterError, RecordError

Notebook = dict[str, Any]
Cell = dict[str, Any]
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_JAPANESE = re.compile(r"[^\n|·]*[\u3040-\u30ff\u4e00-\u9fff][^\n]*。")


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
    wanted = name.removesuffix(".ipynb").removeprefix("./").removeprefix("notebooks/")
    known = dict(runbooks())
    if wanted in known:
        return wanted, known[wanted]
    by_end = [full for full in known if full.rsplit("/", 1)[-1] == wanted]
    if len(by_end) == 1:
        return by_end[0], known[by_end[0]]
    if name.endswith(".ipynb") and Path(name).is_file():
        file = Path(name).resolve()
        return next((full for full, path in known.items() if path.resolve() == file), file.stem), file
    near = difflib.get_close_matches(wanted.rsplit("/", 1)[-1], [full.rsplit("/", 1)[-1] for full in known], 1)
    fix = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
    raise ParameterError(f"there is no runbook {name!r}", why="neither a name, the end of one, nor a file", fix=fix)


def read(file: Path) -> Notebook:
    """Return a notebook as plain JSON in which each text is one string; raises RecordError."""
    try:
        notebook: Notebook = json.loads(file.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            _each_text(cell, lambda text: "".join(text) if isinstance(text, list) else text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{file} is not a readable notebook", why=str(error), fix="restore the file") from None
    return notebook


def text_of(notebook: Notebook) -> str:
    """Return the notebook as the text of its file, in the form in which Jupyter itself writes it."""
    copied = plain(notebook)
    for cell in copied["cells"]:
        _each_text(cell, lambda text: text.splitlines(keepends=True) if isinstance(text, str) else text)
    return json.dumps(copied, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write(file: Path, notebook: Notebook) -> None:
    """Write a notebook of the project, readable for all; raises RecordError."""
    files.write(file, text_of(notebook), mode=0o644)


def cleared(notebook: Notebook) -> Notebook:
    """Return a copy without outputs, execution counts and what runs leave in the metadata of cells."""
    copied = plain(notebook)
    for cell in copied["cells"]:
        for left in ("execution", "papermill", "opslib"):
            cell["metadata"].pop(left, None)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    copied["metadata"] = {**copied["metadata"], **METADATA}
    copied["metadata"].pop("papermill", None)
    return copied


def plain(node: Any) -> Notebook:
    """Return an nbformat node as plain JSON."""
    copied: Notebook = json.loads(json.dumps(node))
    return copied


def tags(cell: Cell) -> list[str]:
    """Return the tags of a cell."""
    found: list[str] = cell["metadata"].get("tags", [])
    return found


def runs(cell: Cell) -> bool:
    """Tell whether a cell is code that a kernel would run."""
    return cell["cell_type"] == "code" and bool(cell["source"].strip())


def described(notebook: Notebook) -> dict[str, str]:
    """Return title, Japanese sentence and kind (READ-ONLY or WRITES) of a runbook, from its first cell."""
    intro = next((cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown"), "")
    first = intro.lstrip().partition("\n")[0]
    japanese = _JAPANESE.search(intro)
    kind = next((word for word in ("READ-ONLY", "WRITES") if f"**{word}**" in intro), "")
    title = first.removeprefix("# ").strip() if first.startswith("# ") else ""
    return {"title": title, "japanese": japanese[0].strip() if japanese else "", "kind": kind}


def _each_text(cell: Cell, change: Any) -> None:
    cell["source"] = change(cell["source"])
    for output in cell.get("outputs", []):
        if "text" in output:
            output["text"] = change(output["text"])
        for kind, value in output.get("data", {}).items():
            if not kind.endswith("json"):
                output["data"][kind] = change(value)
