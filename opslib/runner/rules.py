"""What every runbook holds to; each rule tells the cell, what is wrong and how to mend it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opslib.errors import ParameterError
from opslib.runner import parameters
from opslib.runner.runbooks import METADATA, Cell, Notebook, described, runs, tags

LONGEST_CELL, LARGEST_FILE = 12, 400_000
SANDBOX_ACCOUNT = "000000000000"
_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ACCOUNT = re.compile(
    r"arn:aws[\w-]*:[\w-]*:[\w-]*:(\d{12})\b|\baccount\W{1,12}(\d{12})\b|\b(\d{12})\.dkr\.ecr|[?&]account(?:Id)?=(\d{12})\b",
    re.I,
)
_IMAGE = re.compile(r"data:image/[a-z+.-]+;base64,[A-Za-z0-9+/=]+")
_MAGIC = re.compile(r"^\s*(?:%|!|\?)|^[^#'\"\n]*\?\s*$", re.M)
APPLY = 'plan.apply("")  # type the phrase shown above, then run this cell alone'
_CHANGES = re.compile(
    r"\bopslib\.(?:actions|applying)\b|\bfrom opslib import (?:.*\b)?(?:actions|applying)\b|\bplan\.apply\("
)
_SECRET = re.compile(r"pass(?:word|wd|phrase)|secret|token|api_?key|private_?key|credential", re.I)
_PLUMBING: dict[type[ast.AST], str] = {
    ast.FunctionDef: "def", ast.AsyncFunctionDef: "def", ast.ClassDef: "class", ast.Lambda: "lambda", ast.Try: "try",
    ast.TryStar: "try", ast.For: "loop", ast.AsyncFor: "loop", ast.While: "loop",
}  # fmt: skip
_UNSTEADY = {
    "a commit": re.compile(r"\bcommit[: ]+[0-9a-f]{7,40}\b", re.I), "a memory address": re.compile(r"\b0x[0-9a-f]{6,16}\b"),
    "a path of this machine": re.compile(r"(?<![\w.])/(?:home|root|Users|tmp)/[\w.-]+"),
    "a version": re.compile(r"\bopslib[ =]+\d+\.\d+"), "a run id": re.compile(r"\brun (?:id )?[0-9a-f]{8}\b"),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the house has it; cell 0 means the file as a whole."""

    rule: str
    cell: int
    what: str
    remedy: str


@dataclass(frozen=True)
class Subject:
    """A runbook under examination."""

    name: str
    notebook: Notebook
    size: int

    def code(self) -> Iterator[tuple[int, Cell]]:
        """Yield the code cells with their number, counted from one over all cells."""
        return ((number, cell) for number, cell in enumerate(self.notebook["cells"], 1) if runs(cell))

    def tagged(self, tag: str) -> list[tuple[int, Cell]]:
        """Return the cells with a tag, numbered."""
        return [(number, cell) for number, cell in enumerate(self.notebook["cells"], 1) if tag in tags(cell)]


def findings(name: str, file: Path, notebook: Notebook) -> list[Finding]:
    """Return everything that is wrong with a runbook, in the order of its cells."""
    subject = Subject(name, notebook, file.stat().st_size)
    found = [finding for rule in _RULES for finding in rule(subject)]
    return sorted(found, key=lambda finding: (finding.cell, finding.rule))


def foreign_accounts(notebook: Notebook) -> list[str]:
    """Return the account ids in the outputs that are not the sandbox's."""
    return sorted({account for cell in notebook["cells"] for account in _accounts(cell)} - {SANDBOX_ACCOUNT})


def _name(subject: Subject) -> Iterator[Finding]:
    wrong = [part for part in subject.name.split("/") if not _KEBAB.fullmatch(part)]
    if wrong:
        yield Finding(
            "name", 0, f"{wrong[-1]!r} is not kebab-case", "small letters, digits and hyphens, verb or symptom first"
        )


def _opening(subject: Subject) -> Iterator[Finding]:
    cells = subject.notebook["cells"]
    if not cells or cells[0]["cell_type"] != "markdown" or not described(subject.notebook)["title"]:
        yield Finding("title", 1, "the first cell has no title", "begin with a markdown cell: # Trace a request")
        return
    about, text = described(subject.notebook), cells[0]["source"]
    if not about["kind"] or ("**READ-ONLY**" in text and "**WRITES**" in text):
        yield Finding(
            "badge",
            1,
            "it does not say whether it changes anything",
            "write **READ-ONLY** or **WRITES** below the title",
        )
    if not about["japanese"]:
        yield Finding(
            "japanese", 1, "no Japanese sentence says what it is for", "add one that ends with 。 beside the badge"
        )
    if "Use it " not in text or "Not for " not in text:
        yield Finding("when", 1, "it does not say when to use it and when not", 'write "Use it when …" and "Not for …"')


def _parameters(subject: Subject) -> Iterator[Finding]:
    found = subject.tagged("parameters")
    if len(found) != 1:
        yield Finding("parameters", 0, f"{len(found)} cells are tagged `parameters`", "tag exactly one")
        return
    number, cell = found[0]
    try:
        known = parameters.declared(subject.notebook)
    except ParameterError as error:
        yield Finding("literals", number, f"{error.what}: {error.why}", error.fix)
        return
    for name, parameter in known.items():
        if not parameter.help:
            yield Finding("help", number, f"{name} has no help", f"{name}: {parameter.type} = …  # what it is")
        if _SECRET.search(name):
            yield Finding(
                "secret", number, f"{name} looks like a secret", "no secret is a parameter: name where it lies"
            )
    bare = [node for node in ast.parse(cell["source"]).body if not isinstance(node, ast.AnnAssign)]
    if bare:
        yield Finding("literals", number, f"line {bare[0].lineno} declares no type", "write name: type = value  # help")
    if "env" not in known:
        yield Finding("env", number, "there is no `env`", 'env: str = ""  # empty: OPSLIB_ENV, else the default')


def _order(subject: Subject) -> Iterator[Finding]:
    tagged = {tag: [number for number, _ in subject.tagged(tag)] for tag in ("parameters", "start", "verdict")}
    for tag in ("start", "verdict"):
        if len(tagged[tag]) != 1:
            yield Finding("tags", 0, f"{len(tagged[tag])} cells are tagged `{tag}`", "tag exactly one")
    if any(len(numbers) != 1 for numbers in tagged.values()):
        return
    if not tagged["parameters"] < tagged["start"] < tagged["verdict"]:
        yield Finding("order", tagged["start"][0], "not parameters, start, verdict", "put them in this order")
    number, cell = subject.tagged("start")[0]
    if "opslib.start(" not in cell["source"]:
        yield Finding("start", number, "the start cell does not start", "run = opslib.start(env=env)")


def _plain_cells(subject: Subject) -> Iterator[Finding]:
    for number, cell in subject.code():
        lines = cell["source"].strip().splitlines()
        if len(lines) > LONGEST_CELL:
            yield Finding("length", number, f"{len(lines)} lines", f"at most {LONGEST_CELL}: move the work into opslib")
        if _MAGIC.search(cell["source"]):
            yield Finding(
                "magic", number, "a magic or a shell line", "call a function: headless tools skip magics silently"
            )
            continue
        yield from _syntax(number, cell["source"])


def _syntax(number: int, source: str) -> Iterator[Finding]:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        yield Finding("syntax", number, f"line {error.lineno}: {error.msg}", "mend it")
        return
    found = {_PLUMBING[type(node)] for node in ast.walk(tree) if type(node) in _PLUMBING}
    if found:
        yield Finding(
            "plumbing", number, f"{', '.join(sorted(found))} in a cell", "a cell says what: move how into opslib"
        )
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if "input" in calls:
        yield Finding("input", number, "input() asks a person", "make it a parameter: headless runs have nobody to ask")


def _writes(subject: Subject) -> Iterator[Finding]:
    """A runbook that changes something ends with a cell that does nothing until a person types into it."""
    code = list(subject.code())
    if described(subject.notebook)["kind"] != "WRITES":
        for number, cell in code:
            if _CHANGES.search(cell["source"]):
                yield Finding(
                    "read-only", number, "a READ-ONLY runbook plans a change", "write **WRITES** below the title"
                )
        return
    if code and code[-1][1]["source"].strip() != APPLY:
        yield Finding("apply", code[-1][0], "the last cell does not apply the plan", f"it must read: {APPLY}")
    for number, cell in code[:-1]:
        if re.search(r"\bapply\(|OPSLIB_APPLY|\bapplying\b|\bphrase\b", cell["source"]):
            yield Finding(
                "apply", number, "a cell above the last one applies", "only the last cell may, and only by hand"
            )


def _outputs(subject: Subject) -> Iterator[Finding]:
    counts = [cell.get("execution_count") for _, cell in subject.code()]
    if any(counts) and counts != list(range(1, len(counts) + 1)):
        yield Finding("stale", 0, "the cells were not run once each from top to bottom", "opslib refresh")
    for number, cell in subject.code():
        outputs = cell.get("outputs", [])
        if any(output["output_type"] == "error" for output in outputs) and "raises-exception" not in tags(cell):
            yield Finding("error", number, "its output is an error", "mend the cause, then opslib refresh")
        if any("display_id" in output.get("transient", {}) for output in outputs) or "display_id" in cell["source"]:
            yield Finding("display-id", number, "a display_id update", "show the final text where it belongs")
        if any(output.get("name") == "stderr" for output in outputs):
            yield Finding("stderr", number, "a warning lies in the outputs", "mend its cause, then opslib refresh")
        for account in sorted(_accounts(cell) - {SANDBOX_ACCOUNT}):
            yield Finding(
                "account", number, f"output of account {account}", "opslib refresh: only the sandbox's are kept here"
            )
        shown = _shown(cell)
        for what, pattern in _UNSTEADY.items():
            if pattern.search(shown):
                yield Finding("unsteady", number, f"its output holds {what}", "leave it to summary.json and the footer")


def _file(subject: Subject) -> Iterator[Finding]:
    if subject.size > LARGEST_FILE:
        yield Finding("size", 0, f"{subject.size:,} bytes", f"at most {LARGEST_FILE:,}: fewer points, fewer rows")
    if subject.notebook["metadata"].get("kernelspec", {}).get("name") != METADATA["kernelspec"]["name"]:
        yield Finding("kernel", 0, "the kernel is not python3", "opslib refresh")
    ids = [cell.get("id", "") for cell in subject.notebook["cells"]]
    if len(set(ids)) != len(ids) or "" in ids:
        yield Finding("ids", 0, "cell ids are missing or double", "opslib refresh")


def _accounts(cell: Cell) -> set[str]:
    return {next(filter(None, found.groups())) for found in _ACCOUNT.finditer(_shown(cell))}


def _shown(cell: Cell) -> str:
    """All text of the outputs, drawn images left out."""
    return _IMAGE.sub("", json.dumps(cell.get("outputs", []), ensure_ascii=False))


_RULES: list[Callable[[Subject], Iterator[Finding]]] = [
    _name, _opening, _parameters, _order, _plain_cells, _writes, _outputs, _file,
]  # fmt: skip
