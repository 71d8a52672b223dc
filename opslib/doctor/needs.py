"""What each runbook needs, read off the code that it reaches: AWS operations, SQL, parts of the configuration, log fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import opslib
from opslib import aws
from opslib.runner.runbooks import Notebook, runs

SECTIONS = ("log_groups", "services", "load_balancer", "database", "cache", "cdn", "frontend", "health_checks")
FIELDS = ("request_id", "error.kind", "route", "status", "level", "job.id", "actor", "action", "duration_ms")
_LEFT_OUT = {"sandbox", "runner", "doctor"}
Place = tuple[str, str]  # module, function or class; "" is what stands outside of both


@dataclass(frozen=True)
class Needs:
    """calls: (service, operation as boto3 names it); queries: of queries/*.sql; sections: of the configuration; fields: of log lines."""

    calls: frozenset[tuple[str, str]] = frozenset()
    queries: frozenset[str] = frozenset()
    sections: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            self.calls | other.calls, self.queries | other.queries, self.sections | other.sections, self.fields | other.fields
        )  # fmt: skip


@dataclass
class _Module:
    parts: dict[str, list[ast.AST]] = field(default_factory=lambda: {"": []})
    imports: dict[str, Place] = field(default_factory=dict)  # alias: (module, name in it or "")
    words: set[str] = field(default_factory=set)  # its string constants


_NOTHING = _Module(parts={})


def of_notebook(notebook: Notebook) -> Needs:
    """Return what the code cells of a runbook need, together with everything they reach."""
    code = "\n".join(cell["source"] for cell in notebook["cells"] if runs(cell))
    module = _parsed(code)
    found, seen = Needs(), set[tuple[Place, frozenset[str]]]()
    waiting = [(place, frozenset[str]()) for place in _named("", module, module.parts[""])]
    while waiting:
        place, inherited = waiting.pop()
        target = _modules().get(place[0], _NOTHING)
        services = (
            frozenset(target.words & _services()) or inherited
        )  # a client that was handed over is of the caller's service
        if place[1] not in target.parts or (place, services) in seen:
            continue
        seen.add((place, services))
        found |= _needs(*place, services)
        waiting += [(next_one, services) for next_one in _references(*place)]
        waiting.append(((place[0], ""), services))
    return found


@lru_cache(maxsize=1)
def _modules() -> dict[str, _Module]:
    root = Path(opslib.__file__).parent
    files = [file for file in root.rglob("*.py") if not _LEFT_OUT & set(file.relative_to(root).parts)]
    names = {
        ".".join(("opslib", *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__"): file
        for file in files
    }
    return {name: _parsed(file.read_text(encoding="utf-8"), frozenset(names)) for name, file in names.items()}


def _parsed(code: str, known: frozenset[str] = frozenset()) -> _Module:
    module, tree = _Module(), ast.parse(code)
    known = known or frozenset(_modules())
    for node in tree.body:
        name = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
        module.parts.setdefault(name, []).append(node)
    for found in ast.walk(tree):
        if isinstance(found, ast.ImportFrom) and found.module:
            for alias in found.names:
                inner = f"{found.module}.{alias.name}"
                module.imports[alias.asname or alias.name] = (
                    (inner, "") if inner in known else (found.module, alias.name)
                )
        elif isinstance(found, ast.Constant) and isinstance(found.value, str):
            module.words.add(found.value)
    return module


@lru_cache(maxsize=4096)
def _references(name: str, part: str) -> frozenset[Place]:
    module = _modules()[name]
    return frozenset(_named(name, module, module.parts[part]))


def _named(name: str, module: _Module, nodes: list[ast.AST]) -> Iterator[Place]:
    """Yield the functions and classes of opslib that some code names, called or not."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            target = module.imports.get(node.value.id)
            if target and not target[1]:
                yield target[0], node.attr
        elif isinstance(node, ast.Name):
            if node.id in module.parts:
                yield name, node.id
            elif target := module.imports.get(node.id):
                yield target


@lru_cache(maxsize=4096)
def _needs(name: str, part: str, services: frozenset[str]) -> Needs:
    names, needs = _names(name, part)
    calls = {(service, method) for service in services for method in names & operations(service).keys()}
    return Needs(frozenset(calls), needs.queries, needs.sections, needs.fields)


@lru_cache(maxsize=4096)
def _names(name: str, part: str) -> tuple[frozenset[str], Needs]:
    """Return the words and attributes of some code, any of which may be an operation, and what else it needs."""
    module = _modules()[name]
    nodes = [inner for outer in module.parts[part] for inner in ast.walk(outer)]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    insights = [word for word in words if re.search(r"(^|\|\s*)(filter|fields|stats) ", word)]
    insights += [text for query in words if (text := _insights(query))]
    fields = {
        known for known in FIELDS for text in insights if re.search(rf"(?<![\w.]){re.escape(known)}(?![\w.])", text)
    }
    sections = {node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr in SECTIONS
                and getattr(node.value, "attr", getattr(node.value, "id", "")) in ("environment", "env")}  # fmt: skip
    needs = Needs(queries=frozenset(words & _queries()), sections=frozenset(sections), fields=frozenset(fields))
    return frozenset(words | attributes), needs


@lru_cache(maxsize=64)
def operations(service: str) -> dict[str, str]:
    """Return the operations of a service: boto3's method name to AWS's name."""
    from botocore import xform_name

    return {xform_name(name): name for name in model(service).operation_names}


@lru_cache(maxsize=64)
def model(service: str) -> Any:
    """Return botocore's model of a service."""
    from botocore.model import ServiceModel

    return ServiceModel(aws.models(None).load_service_model(service, "service-2"), service)


@lru_cache(maxsize=1)
def _services() -> frozenset[str]:
    return frozenset(aws.models(None).list_available_services("service-2"))


@lru_cache(maxsize=1)
def _queries() -> frozenset[str]:
    return frozenset(
        file.name.removesuffix(".sql")
        for file in resources.files("opslib.queries").iterdir()
        if file.name.endswith(".sql")
    )


def _insights(query: str) -> str:
    if not re.fullmatch(r"\w{1,60}", query):
        return ""
    file = resources.files("opslib.queries").joinpath(f"{query}.insights")
    return file.read_text(encoding="utf-8") if file.is_file() else ""
