"""The papermill engine `opslib-fork`. papermill loads this module itself when it is imported; nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from papermill.engines import NBClientEngine

if TYPE_CHECKING:
    from opslib.runner.forking import Forked


class ForkEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's standard engine with a forked kernel."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, child: Forked | None = None, **options: Any
    ) -> None:
        """Execute in `child`, by default in one that is forked now."""
        from opslib.runner import forking

        its = {
            "child": child or forking.Forked(),
            "environ": getattr(options.get("kernel_manager_class"), "environ", None),
        }
        manager = type("KernelManager", (forking.ForkedKernelManager,), its)
        super().execute_managed_notebook(nb_man, kernel_name, **{**options, "kernel_manager_class": manager})
