"""The parameters cell of a runbook: read by syntax, checked by name and declared type before anything runs."""

from __future__ import annotations

import ast
import difflib
import io
import json
import math
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opslib import redact
from opslib.errors import ParameterError
from opslib.runner.runbooks import Cell, Notebook, tags
from opslib.window import parse

TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
_WHOLE, _LONGEST = re.compile(r"[+-]?\d+", re.ASCII), 10_000
_WORD = re.compile(r"([a-z][a-z0-9-]*): ", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """One statement of the parameters cell: `name: type = default  # help`."""

    name: str
    type: str
    default: Any
    help: str
    lines: tuple[int, int]

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words that the help explains one by one, "all: this; cheap: that"; none but these is a value."""
        found = tuple(read[1] if (read := _WORD.match(part)) else "" for part in self.help.split("; "))
        return found if self.type == "str" and self.default in found and "" not in found and found[1:] else ()

    def value_of(self, given: Any) -> Any:
        """Return the given text (or value, from Python) as the declared type; raises ParameterError."""
        try:
            value = self._read(given) if isinstance(given, str) else self._same(given)
            if self.words and value not in self.words:
                fix = f"{self.name}: {self.help}"
                raise ParameterError(f"{self.name}={redact.cut(repr(given), 80)} is none of {', '.join(self.words)}", why="it knows no other word", fix=fix)  # fmt: skip
            return value
        except (KeyError, ValueError):
            shown = redact.cut(repr(given), 80)
            fix = f"{self.name}: {self.help}" if self.help else f"for example -p {self.name}={_shell(self.default)}"
            why = f"{self.name} is declared as {self.type}"
            raise ParameterError(f"{self.name}={shown} is not {_WORDS[self.type]}", why=why, fix=fix) from None

    def _read(self, text: str) -> Any:
        if self.type == "bool":
            return {"true": True, "false": False}[text]
        if self.type == "int" and not _WHOLE.fullmatch(text):
            raise ValueError
        value = TYPES[self.type](text)
        if self.type == "float" and ("_" in text or not math.isfinite(value)):
            raise ValueError
        return value

    def _same(self, value: Any) -> Any:
        if self.type == "float" and type(value) is int:
            return float(value)
        if type(value) is not TYPES[self.type]:
            raise ValueError
        return value


def cell_of(notebook: Notebook) -> Cell | None:
    """Return the cell tagged `parameters`, or None."""
    return next((cell for cell in notebook["cells"] if "parameters" in tags(cell)), None)


def declared(notebook: Notebook) -> dict[str, Parameter]:
    """Return the declared parameters by name, in order; raises ParameterError for what is no literal."""
    cell = cell_of(notebook)
    if cell is None:
        return {}
    source = "".join(cell["source"])
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise _unreadable(error.lineno or 1, error.msg) from None
    notes = _comments(source)
    found = [_parameter(node, notes) for node in body]
    return {parameter.name: parameter for parameter in found}


def checked(runbook: str, known: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values as their declared types.

    Raises ParameterError for a name that is not declared, with the nearest one, and for a value that is not of the
    type, too long, no window or no id.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
            raise ParameterError(
                f"{runbook} has no parameter {name!r}", why="with a misspelt name it would run on the default", fix=hint
            )
    values = {name: known[name].value_of(value) for name, value in given.items()}
    for name, value in values.items():
        _check_meaning(name, value)
    return values


def filled(source: str, known: Mapping[str, Parameter], values: Mapping[str, Any]) -> str:
    """Return the source of the parameters cell with the values put in as literals and the help kept."""
    lines = source.splitlines()
    for name, value in sorted(values.items(), key=lambda item: -known[item[0]].lines[0]):
        first, last = known[name].lines
        note = f"  # {known[name].help}" if known[name].help else ""
        lines[first - 1 : last] = [f"{name}: {known[name].type} = {literal(value)}{note}"]
    return "\n".join(lines)


def literal(value: Any) -> str:
    """Return the value as it stands in a cell: one line, whatever is in it."""
    if not isinstance(value, str):
        return repr(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else ascii(value)  # bidi and control characters are shown, not obeyed


def _parameter(node: ast.stmt, notes: Mapping[int, str]) -> Parameter:
    targets: list[ast.expr] = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    target = targets[0] if len(targets) == 1 else None
    if not isinstance(target, ast.Name) or not isinstance(node, ast.AnnAssign | ast.Assign) or node.value is None:
        raise _unreadable(node.lineno, "it is no `name: type = value`")
    try:
        default = ast.literal_eval(node.value)
    except (ValueError, TypeError, SyntaxError):
        raise _unreadable(node.lineno, f"{ast.unparse(node.value)} is computed, not a literal") from None
    kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else type(default).__name__
    if kind not in TYPES:
        raise _unreadable(node.lineno, f"type {kind} is none of {', '.join(TYPES)}")
    last = node.end_lineno or node.lineno
    return Parameter(target.id, kind, default, notes.get(last, notes.get(node.lineno, "")), (node.lineno, last))


def _unreadable(line: int, why: str) -> ParameterError:
    return ParameterError(
        f"line {line} of the parameters cell cannot be read", why=why, fix="write `name: type = literal  # help`"
    )


def _check_meaning(name: str, value: Any) -> None:
    """Refuse what the runbook itself would refuse a few seconds later, before a kernel is started."""
    if isinstance(value, str) and len(value) > _LONGEST:
        raise ParameterError(f"{name} has {len(value)} characters", why=f"at most {_LONGEST}", fix="put data in a file")
    if name == "request_id":
        from opslib.sources.insights_quoting import checked_id

        checked_id(value)
    if name == "window" and isinstance(value, str) and value.strip():
        # only the form: what lies in the future is known by the environment's clock alone, which start() asks
        parse(value, now=datetime(9000, 1, 1, tzinfo=UTC), zone=UTC)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _shell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
