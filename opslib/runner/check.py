"""Hold runbooks to the rules of the house: those of the project, and a user's own."""

from __future__ import annotations

from pathlib import Path

from opslib.errors import ParameterError, RecordError
from opslib.runner import contents, rules, runbooks
from opslib.runner.rules import Finding


def check(paths: list[str]) -> list[tuple[Path, Finding]]:
    """Return what is wrong with the named runbooks, files or folders; without a name, with all and their index."""
    found = [(file, finding) for name, file in _chosen(paths) for finding in _findings(name, file)]
    return found if paths else found + _index()


def _findings(name: str, file: Path) -> list[Finding]:
    try:
        return rules.findings(name, file, runbooks.read(file))
    except RecordError as error:
        return [Finding("readable", 0, error.why, error.fix)]


def _chosen(paths: list[str]) -> list[tuple[str, Path]]:
    if not paths:
        return list(runbooks.runbooks())
    chosen: list[tuple[str, Path]] = []
    for path in paths:
        if Path(path).is_dir():
            files = [file for file in sorted(Path(path).rglob("*.ipynb")) if ".ipynb_checkpoints" not in file.parts]
            if not files:
                raise ParameterError(f"{path} holds no notebook", fix="name a folder of runbooks, a file or a runbook")
            chosen += [runbooks.find(str(file)) for file in files if file.name != "index.ipynb"]
        else:
            chosen.append(runbooks.find(path))
    return chosen


def _index() -> list[tuple[Path, Finding]]:
    file = contents.place()
    made = runbooks.text_of(contents.notebook())
    if file.is_file() and file.read_text(encoding="utf-8") == made:
        return []
    return [(file, Finding("index", 0, "the index is not what the runbooks say", "opslib refresh --index-only"))]
