"""Incidents as overlays on the base life: one module each, with TITLE and unfold(incident)."""

import ast
import pkgutil
from pathlib import Path


def _title(module: str) -> str:
    """Read a scenario's TITLE without importing it."""
    tree = ast.parse(Path(__path__[0], f"{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "TITLE":
            return str(ast.literal_eval(node.value))
    raise ValueError(f"scenario {module} has no TITLE")


SCENARIOS = {found.name.replace("_", "-"): _title(found.name) for found in pkgutil.iter_modules(__path__)}
DEFAULT_SCENARIO = "checkout-locks"
