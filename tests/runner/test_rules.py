"""`opslib check`: a broken runbook for every rule, and a good one for all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opslib.errors import ParameterError
from opslib.runner import check, contents, rules, runbooks
from opslib.runner.new import new

from .probe import code, markdown, notebook

TITLE = "# Find it\n\n**READ-ONLY** · 探します。\n\nUse it when lost. Not for the found."
GOOD = [
    markdown(TITLE),
    code('env: str = ""  # empty: the default', "parameters", cell_id="parameters"),
    code("import opslib\nrun = opslib.start(env=env)", "start", cell_id="start"),
    code("answer = run\nanswer", "verdict", cell_id="verdict"),
]

WRITING = [markdown(TITLE.replace("READ-ONLY", "WRITES")), *GOOD[1:]]


def found(file: Path, *cells: dict[str, Any], name: str = "2-try/find-it", **changes: Any) -> set[str]:
    book = notebook(*runbooks.plain(list(cells) or GOOD)) | changes
    runbooks.write(file, book)
    return {finding.rule for finding in rules.findings(name, file, runbooks.read(file))}


def with_cell(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [{**cell, **changes} if index == number else cell for index, cell in enumerate(GOOD)]


def shown(text: str) -> list[dict[str, Any]]:
    counts = [{**cell, "execution_count": number} if number else cell for number, cell in enumerate(GOOD)]
    return [*counts[:3], {**counts[3], "outputs": [{"output_type": "stream", "name": "stdout", "text": text}]}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "find-it.ipynb"


def test_a_good_one_passes(file: Path) -> None:
    assert found(file) == set()
    assert found(file, *WRITING, code(rules.APPLY, cell_id="apply")) == set()


@pytest.mark.parametrize(
    ("rule", "cells"),
    [
        ("title", [markdown("Find it"), *GOOD[1:]]), ("badge", [markdown(TITLE.replace("READ-ONLY", "x")), *GOOD[1:]]),
        ("badge", [markdown(TITLE + "**WRITES**"), *GOOD[1:]]), ("japanese", [markdown(TITLE.replace("探します。", "")), *GOOD[1:]]),
        ("when", [markdown(TITLE.replace("Not for", "")), *GOOD[1:]]), ("parameters", [GOOD[0], *GOOD[2:]]),
        ("literals", with_cell(1, source='env: str = str("")  # x')), ("literals", with_cell(1, source='env = ""  # x')),
        ("help", with_cell(1, source='env: str = ""')), ("env", with_cell(1, source='x: str = ""  # x')),
        ("secret", with_cell(1, source='env: str = ""  # x\ndb_password: str = ""  # x')), ("tags", GOOD[:3]),
        ("order", [GOOD[0], GOOD[1], GOOD[3], GOOD[2]]), ("start", with_cell(2, source="run = 1")),
        ("length", with_cell(3, source="\n".join("a = 1" for _ in range(13)))), ("plumbing", with_cell(3, source="def a(): pass")),
        ("plumbing", with_cell(3, source="class A: pass")), ("plumbing", with_cell(3, source="try: a\nexcept ValueError: pass")),
        ("plumbing", with_cell(3, source="for a in b: pass")), ("plumbing", with_cell(3, source="while a: pass")),
        ("magic", with_cell(3, source="%time a")), ("magic", with_cell(3, source="!ls")), ("magic", with_cell(3, source="answer?")),
        ("input", with_cell(3, source="input()")), ("syntax", with_cell(3, source="a b")),
        ("apply", [markdown(TITLE.replace("READ-ONLY", "WRITES")), *GOOD[1:]]),
        ("apply", [*WRITING, code(rules.APPLY.replace('""', '"restart-service api 1a2b3c4d"'))]),
        ("apply", [*WRITING, code("plan.apply(plan.phrase)"), code(rules.APPLY)]), ("read-only", with_cell(3, source="from opslib.actions import services")),
        ("read-only", with_cell(3, source='plan.apply("")')), ("stale", with_cell(3, execution_count=4)),
        ("error", with_cell(3, outputs=[{"output_type": "error", "ename": "E", "evalue": "", "traceback": []}])),
        ("display-id", with_cell(3, source='display(a, display_id="b")')),
        ("stderr", with_cell(3, outputs=[{"output_type": "stream", "name": "stderr", "text": "warning"}])),
        ("account", shown("arn:aws:iam::123456789012:role/x")), ("account", shown("account 123456789012")),
        ("unsteady", shown("commit 9ec4eae")), ("unsteady", shown("<A at 0x7f12ab34cd>")), ("unsteady", shown("in /home/me/x")),
        ("unsteady", shown("opslib 0.1.0")), ("size", shown("x" * 400_000)), ("ids", with_cell(3, id="start")),
    ],
)  # fmt: skip
def test_each_rule_finds_its_fault(file: Path, rule: str, cells: list[dict[str, Any]]) -> None:
    assert rule in found(file, *cells)


def test_the_name_and_the_kernel(file: Path) -> None:
    assert found(file, name="2-try/Find It") == {"name"} and found(file, metadata={}) == {"kernel"}


def test_the_sandbox_account_and_images_are_fine(file: Path) -> None:
    assert found(file, *shown("arn:aws:iam::000000000000:root data:image/svg+xml;base64,account123456789012")) == set()


@pytest.mark.parametrize("fine", ["a = b if c else d", 'a = "100%"', "a = b % c", "a != b", 'print("really?")'])
def test_no_false_alarm(file: Path, fine: str) -> None:
    assert found(file, *with_cell(3, source=fine)) == set()


def test_new_makes_what_check_passes(project: Path) -> None:
    (project / "notebooks" / "2-try" / "probe.ipynb").rename(project / "probe.kept")
    made = new("2-try/my-runbook")
    assert check.check([]) == [] and made.name in {file.name for _, file in runbooks.runbooks()}
    assert "opslib open 2-try/my-runbook" in contents.place().read_text()
    for name in ("2-try/my-runbook", "2-try/My Runbook", "../x", "a/b/c"):
        with pytest.raises(ParameterError):
            new(name)


def test_the_command_tells_file_cell_rule_and_remedy(project: Path, opslib: Callable[..., Any]) -> None:
    runbooks.write(project / "notebooks" / "2-try" / "wrong.ipynb", notebook(markdown("# Wrong"), code("%ls")))
    process = opslib("check", "notebooks/2-try")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "notebooks/2-try/wrong.ipynb: cell 2: magic: a magic" in out and "do: " in out
    assert any(finding.rule == "index" for _, finding in check.check([])) and "findings" in err
