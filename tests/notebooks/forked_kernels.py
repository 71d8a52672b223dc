"""A pytest plugin: nbval's kernels are forked from this process, as those of `opslib run` on many runbooks are.

A kernel that is started imports for three seconds, and there is one for each notebook and time zone. The first one is
started all the same, so that what a kernel says while it imports would still be an output that nobody committed.
"""

from typing import Any

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager

from opslib.runner.forking import Forked, ForkedKernelManager, warm

_ready: list[Forked] = []


class Forking(KernelManager):
    """nbval's kernel manager; it starts the first kernel and makes the others of children that were forked before."""

    async def _async_launch_kernel(self, kernel_cmd: list[str], **given: Any) -> None:
        if type(self)._launched:
            self.child = _ready.pop()
            await ForkedKernelManager._async_launch_kernel(self, kernel_cmd, **given)  # type: ignore[arg-type]
        else:
            await super()._async_launch_kernel(kernel_cmd, **given)
        type(self)._launched += 1

    _launched = 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fork a kernel a notebook, before nbval's clients bring threads along."""
    warm()
    _ready.extend(Forked() for _ in {item.path for item in items})
    nbval.kernel.KernelManager = Forking  # type: ignore[misc]


def pytest_sessionfinish() -> None:
    """Let those end that no notebook asked for."""
    while _ready:
        _ready.pop().dismiss()
