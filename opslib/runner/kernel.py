"""Kernels that speak over files, not TCP: nobody else on the machine can reach them."""

from __future__ import annotations

import tempfile
from typing import Any

from jupyter_client.manager import AsyncKernelManager


class IpcKernelManager(AsyncKernelManager):
    """A kernel manager with the IPC transport in a short folder of its own (socket paths are limited to 107 bytes)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transport = "ipc"
        self.ip = f"{tempfile.mkdtemp(prefix='opslib-')}/k"
