"""Runbooks for one web application on AWS. `opslib.start()` is the first call of every notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opslib.run import Run, start

__all__ = ["Run", "start"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the public names when they are asked for: `import opslib` stays cheap."""
    if name in __all__:
        from opslib import run

        return getattr(run, name)
    raise AttributeError(f"module 'opslib' has no attribute {name!r}")
