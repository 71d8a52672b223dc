"""Kernels that speak over files, not TCP: nobody else on the machine can reach them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from typing import Any, ClassVar

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager


class PrivateKernel(AsyncKernelManager):
    """A kernel of this very Python with the IPC transport in a short folder of its own (socket paths end at 107 bytes)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.folder = tempfile.mkdtemp(prefix="opslib-")
        self.transport = "ipc"
        self.ip = f"{self.folder}/k"
        self.connection_file = f"{self.folder}/kernel.json"

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return ipykernel on this interpreter: a kernel `python3` that the user installed elsewhere lacks opslib."""
        if self._kernel_spec is None:
            self._kernel_spec = KernelSpec(**get_kernel_dict())
        return self._kernel_spec

    def cleanup_connection_file(self) -> None:
        """Remove the folder as well: this is called once, when the kernel is gone for good."""
        super().cleanup_connection_file()
        shutil.rmtree(self.folder, ignore_errors=True)


class IpcKernelManager(PrivateKernel):
    """The kernel of a headless run: found and struck from another thread."""

    running: ClassVar[list[IpcKernelManager]] = []
    environ: ClassVar[Mapping[str, str] | None] = None  # None: that of this process

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.running.append(self)

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel with the environment variables of this class: papermill does not pass them on."""
        if self.environ is not None:
            options["env"] = dict(self.environ)
        await super().start_kernel(**options)

    def cleanup_connection_file(self) -> None:
        """Forget the kernel as well."""
        super().cleanup_connection_file()
        if self in self.running:
            self.running.remove(self)

    def strike(self, number: signal.Signals) -> None:
        """Send a signal to the kernel and what it started, from any thread; it may be gone already."""
        process = getattr(self.provisioner, "process", None)
        if process is not None and process.poll() is None:
            try:
                os.killpg(os.getpgid(process.pid), number)
            except ProcessLookupError:
                return


def kernel_manager(environ: Mapping[str, str] | None) -> type[IpcKernelManager]:
    """Return a kernel manager class whose kernels get these environment variables."""
    return type("KernelManager", (IpcKernelManager,), {"environ": environ})
