"""The parameters cell of a runbook: read by syntax, checked by name and declared type before anything runs."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opslib.errors import ParameterError

TYPES = {"str": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell: `name: type = default  # help`."""

    name: str
    type: str
    default: Any
    help: str
    line: int

    def value_of(self, text: str) -> Any:
        """Return the text as the declared type; raises ParameterError."""
        try:
            if self.type == "bool":
                return {"true": True, "false": False}[text.lower()]
            return text if self.type == "str" else TYPES[self.type](text)
        except (KeyError, ValueError):
            words = {"bool": "true or false", "int": "a whole number", "float": "a number"}[self.type]
            raise ParameterError(
                f"parameter {self.name}={text!r} is not {words}", fix=f"{self.name}: {self.help}"
            ) from None


def cell_of(notebook: Mapping[str, Any]) -> Any:
    """Return the cell tagged `parameters`, or None."""
    return next((cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])), None)


def declared(notebook: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the declared parameters by name, in order."""
    cell = cell_of(notebook)
    if cell is None:
        return {}
    source = "".join(cell["source"])
    notes = _comments(source)
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            kind = ast.unparse(node.annotation)
            found[node.target.id] = Parameter(
                node.target.id,
                kind if kind in TYPES else "str",
                ast.literal_eval(node.value),
                notes.get(node.lineno, ""),
                node.lineno,
            )
    return found


def checked(runbook: str, known: Mapping[str, Parameter], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the given values as their declared types; raises ParameterError for a name that is not declared."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
            raise ParameterError(
                f"{runbook} has no parameter {name!r}", why="a misspelt name would run with the default", fix=hint
            )
    return {name: known[name].value_of(text) for name, text in given.items()}


def filled(source: str, known: Mapping[str, Parameter], values: Mapping[str, Any]) -> str:
    """Return the source of the parameters cell with the values put in and the help kept."""
    lines = source.splitlines()
    for name, value in values.items():
        parameter = known[name]
        note = f"  # {parameter.help}" if parameter.help else ""
        lines[parameter.line - 1] = f"{name}: {parameter.type} = {_literal(value)}{note}"
    return "\n".join(lines)


def _literal(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
