"""What JupyterLab loads of ours: files that may only be read, and the address behind the index's links."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tornado.web as web
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from jupyter_server.utils import url_path_join

from opslib import files, lab
from opslib.config import project_root
from opslib.errors import OpsError, RecordError
from opslib.runner import interactive, records, rules
from opslib.runner.kernel import PrivateKernel


class RunbookContents(AsyncLargeFileManager):  # type: ignore[misc]
    """Files of the project: notebooks/ and finished records can be read, not written."""

    async def get(self, path: str, *args: Any, **options: Any) -> Any:
        """Return a file's model, marked as not writable where it is not."""
        model = await super().get(path, *args, **options)
        if reason_not_to_write(path):
            model["writable"] = False
        return model

    async def save(self, model: Any, path: str = "") -> Any:
        """Save a file, unless it is a runbook or a finished record, or shows another account."""
        _refuse(reason_not_to_write(path) or reason_not_to_keep(model, path))
        return await super().save(model, path)

    async def rename_file(self, old_path: str, new_path: str) -> None:
        """Rename a file, unless it or its new place is read-only."""
        _refuse(reason_not_to_write(old_path) or reason_not_to_write(new_path))
        await super().rename_file(old_path, new_path)

    async def delete_file(self, path: str) -> None:
        """Delete a file, unless it is read-only."""
        _refuse(reason_not_to_write(path))
        await super().delete_file(path)


class LabKernel(PrivateKernel, ServerKernelManager):  # type: ignore[misc]
    """The lab's kernels: this Python, over files, like those of headless runs."""


class OpenCopy(JupyterHandler):  # type: ignore[misc]
    """GET /opslib/open?notebook=NAME&p.PARAMETER=VALUE makes a copy of a runbook and goes to it."""

    @web.authenticated  # type: ignore[untyped-decorator]
    def get(self) -> None:
        """Refuse requests that other sites make the browser send; errors are shown as text."""
        if self.request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
            raise web.HTTPError(403, "links from other sites are refused")
        given = {name[2:]: self.get_argument(name) for name in self.request.arguments if name.startswith("p.")}
        try:
            lab.check_place()
            copy = interactive.open_copy(self.get_argument("notebook"), given, env=self.get_argument("env", ""))
            place = copy.relative_to(project_root()).as_posix()
        except (OpsError, ValueError) as error:
            self.set_status(400)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(error.text() if isinstance(error, OpsError) else str(error))
            return
        self.redirect(url_path_join(self.base_url, "lab/tree", quote(place)))


def reason_not_to_write(path: str) -> str:
    """Return why a path is read-only in the lab; empty when it may be written."""
    parts = Path(path.strip("/")).parts
    if not parts:
        return ""
    if parts[0] == "notebooks" and not os.environ.get("OPSLIB_EDIT_RUNBOOKS"):
        return "Runbooks are read-only here: open a copy from the index, or start `opslib lab --edit-runbooks`."
    place = project_root() / Path(*parts)
    if any((folder / records.SUMMARY).is_file() for folder in (place, *place.parents)):
        return "This record is finished and stays as it is: open a new copy of its runbook."
    return ""


def reason_not_to_keep(model: Any, path: str) -> str:
    """Refuse outputs of an account other than the sandbox's below notebooks/: those files are committed."""
    content = model.get("content")
    if not path.strip("/").startswith("notebooks/") or model.get("type") != "notebook" or not content:
        return ""
    others = rules.foreign_accounts(content)
    return (
        f"Outputs of account {others[0]} may not lie in notebooks/: clear them, or work in a record." if others else ""
    )


def _refuse(reason: str) -> None:
    if reason:
        raise web.HTTPError(403, reason)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "opslib.lab_server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    base = server.web_app.settings["base_url"]
    server.web_app.add_handlers(".*$", [(url_path_join(base, "opslib", "open"), OpenCopy)])
    server.io_loop.call_later(0, _announce, server)


def _announce(server: Any) -> None:
    """Say where the lab is: to people on stdout, to `opslib open` in a private file."""
    token = server.identity_provider.token
    sys.stdout.write(
        f"JupyterLab  {server.connection_url}{server.default_url.lstrip('/')}?token={token}\nstop it with Ctrl-C: what ran is finished then\n"
    )
    sys.stdout.flush()
    state = {"url": server.connection_url, "token": token, "pid": os.getpid()}
    try:
        lab.state_file().parent.mkdir(exist_ok=True)
        files.write(lab.state_file(), json.dumps(state))
    except (OSError, RecordError) as error:
        sys.stderr.write(f"`opslib open` will not find this lab: {error}\n")
