"""Each runbook that the code or a runbook sends an operator to exists, and takes the parameters that it is given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opslib.result import Next
from opslib.runner import parameters, runbooks

HOME = Path(__file__).parents[2]
NOTEBOOKS = {
    file.relative_to(HOME / "notebooks").with_suffix("").as_posix(): file
    for file in (HOME / "notebooks").glob("*/*.ipynb")
}
NAMED = re.compile(
    r"(?<![\w/-])[1-6]-(?:monitor|investigate|remediate|maintain|support|cost)/[a-z][a-z-]*[a-z](?![\w*/-])"
)
OPENED = re.compile(r"opslib (?:open|run|plan) ([a-z0-9/-]+)((?: -p [a-z_]+=\S+)*)")
EXAMPLES = {"2-investigate/my-runbook"}  # what `opslib new` would make


def taken(runbook: str) -> set[str]:
    """Return the names of a runbook's parameters; it may be named by its end."""
    file = next(file for name, file in NOTEBOOKS.items() if name == runbook or name.endswith(f"/{runbook}"))
    return set(parameters.declared(runbooks.read(file)))


def sources() -> Iterator[tuple[str, str]]:
    for file in sorted((HOME / "opslib").rglob("*.py")):
        yield file.relative_to(HOME).as_posix(), file.read_text()


def test_each_runbook_that_is_named_exists() -> None:
    named = {(place, name) for place, text in sources() for name in NAMED.findall(text)}
    assert len({name for _, name in named}) > 10
    assert {(place, name) for place, name in named if name not in NOTEBOOKS} <= {
        ("opslib/cli.py", name) for name in EXAMPLES
    }


def steps() -> Iterator[tuple[str, str, set[str]]]:
    """Return place, runbook and parameter names of each Next that is written down with both."""
    for place, text in sources():
        tree = ast.parse(text)
        constants: dict[str, Any] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                pairs = (
                    zip(node.targets[0].elts, node.value.elts, strict=False)
                    if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(node.targets[0], node.value)]
                )
                constants |= {
                    to.id: value.value
                    for to, value in pairs
                    if isinstance(to, ast.Name) and isinstance(value, ast.Constant)
                }
        for call in ast.walk(tree):
            if not (
                isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Next" and call.args
            ):
                continue
            first = call.args[0]
            runbook = (
                first.value
                if isinstance(first, ast.Constant)
                else constants.get(first.id)
                if isinstance(first, ast.Name)
                else None
            )
            keys = {
                key.value
                for part in call.args[1:]
                for one in ast.walk(part)
                if isinstance(one, ast.Dict)
                for key in one.keys
                if isinstance(key, ast.Constant)
            }
            if runbook:
                yield f"{place}:{call.lineno}", str(runbook), {str(key) for key in keys}


def test_each_next_step_gives_what_its_runbook_takes() -> None:
    found = list(steps())
    assert len(found) > 20
    assert [(place, runbook, given - taken(runbook)) for place, runbook, given in found if given - taken(runbook)] == []


@pytest.mark.parametrize("name", sorted(NOTEBOOKS))
def test_each_command_of_a_runbook_can_be_typed(name: str) -> None:
    prose = "\n".join("".join(cell["source"]) for cell in runbooks.read(NOTEBOOKS[name])["cells"])
    for runbook, given in OPENED.findall(prose):
        assert set(re.findall(r"-p ([a-z_]+)=", given)) <= taken(runbook), (name, runbook)


def test_the_kept_outputs_name_runbooks_that_exist() -> None:
    for name, file in NOTEBOOKS.items():
        shown = OPENED.findall(file.read_text())
        assert all(any(known == one or known.endswith(f"/{one}") for known in NOTEBOOKS) for one, _ in shown), name
    assert Next("3-remediate/invalidate-cdn").command() == "opslib open 3-remediate/invalidate-cdn"
