"""The services of the shop's account, one module each: every class named in a module's APIS answers operations."""

import pkgutil
from importlib import import_module


def owners() -> tuple[type, ...]:
    """Return the classes of all modules here; each is made with the RegionState."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return tuple(owner for module in modules for owner in getattr(module, "APIS", ()))
