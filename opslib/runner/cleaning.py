"""Redaction at the boundary of the record: every text of the notebook, the summary and the data files."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from opslib import files, redact
from opslib.errors import ParameterError
from opslib.runner import parameters
from opslib.runner.runbooks import Notebook

_PROBE = "Zq8xK2mWv7"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def clean(value: Any) -> Any:
    """Return JSON-like data with every text redacted, and every text under a key that names a secret."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {redact.text(str(key)): clean(_hidden(str(key), item)) for key, item in value.items()}
    return value


def clean_notebook(notebook: Notebook) -> Notebook:
    """Return the notebook with every text redacted, the literals of its parameters cell by their names too."""
    cell = parameters.cell_of(notebook)
    if cell is not None:
        cell["source"] = _clean_parameters(notebook, cell["source"])
    cleaned: Notebook = clean(notebook)
    return cleaned


def clean_files(folder: Path, *, leave: set[str]) -> list[str]:
    """Redact the text files below a folder in place; return the names of those that are no text and stay as they are."""
    untouched = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        if file.relative_to(folder).as_posix() in leave:
            continue
        try:
            text = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            untouched.append(file.relative_to(folder).as_posix())
            file.chmod(files.PRIVATE_FILE)
            continue
        cleaned = redact.text(text)
        if cleaned != text:
            files.write(file, cleaned)
        file.chmod(files.PRIVATE_FILE)
    return untouched


def _text(value: str) -> str:
    """Colours of a traceback stand between a name and its value: where something is found without them, they go."""
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, which no file may hold
        value = value.encode("utf-8", errors="backslashreplace").decode()
    if "\x1b[" in value:
        bare = _COLOUR.sub("", value)
        cleaned = redact.text(bare)
        return redact.text(value) if cleaned == bare else cleaned
    return redact.text(value)


def _hidden(key: str, value: Any) -> Any:
    return "[redacted]" if isinstance(value, str) and value and _names_a_secret(key) else value


@lru_cache(maxsize=4096)
def _names_a_secret(key: str) -> bool:
    return _PROBE not in redact.text(f'"{key}": "{_PROBE}"')


def _clean_parameters(notebook: Notebook, source: str) -> str:
    try:
        known = parameters.declared(notebook)
    except ParameterError:
        return source
    values = {name: parameter.default for name, parameter in known.items()}
    cleaned: dict[str, Any] = clean(values)
    changed = {name: value for name, value in cleaned.items() if name in values and value != values[name]}
    return parameters.filled(source, known, changed)
