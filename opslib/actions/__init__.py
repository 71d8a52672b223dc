"""Changes: each function returns a Plan. `load` makes every kind of change known, for plans that come out of a file."""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every module of this package, so that it registers its actions."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
