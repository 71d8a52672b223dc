"""The JupyterLab side: runbooks read-only, links that open a copy, copies that become records."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from opslib.config import project_root, sandbox_folder
from opslib.errors import OpsError

SANDBOX_ACCOUNT = "000000000000"
_ACCOUNT = re.compile(r"(?:arn:aws[\w-]*:[\w-]*:[\w-]*:|account )([0-9]{12})\b")


def serve(*, port: int, browser: bool, edit_runbooks: bool) -> None:
    """Run JupyterLab on the index until it is stopped, then finish the records that ran in it."""
    from opslib.runner import interactive

    environ = {**os.environ, "OPSLIB_EDIT_RUNBOOKS": "1" if edit_runbooks else ""}
    try:
        subprocess.run(_command(port, browser), cwd=project_root(), env=environ, check=False)
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
    for folder in interactive.opened():
        if interactive.has_run(folder):
            interactive.close(folder)


def show(copy: Path, *, browser: bool) -> None:
    """Open a copy in the lab that runs on this project, or start one on it; print the address."""
    place = quote(copy.relative_to(project_root()).as_posix())
    for server in running():
        address = f"{server['url']}lab/tree/{place}?token={server['token']}"
        click.echo(address)
        if browser:
            webbrowser.open(address)
        return
    environ = {**os.environ, "OPSLIB_LAB_START": f"/lab/tree/{place}"}
    subprocess.run(
        [*_command(0, browser), f"--ServerApp.default_url=/lab/tree/{place}"],
        cwd=project_root(),
        env=environ,
        check=False,
    )


def running() -> list[dict[str, Any]]:
    """Return the Jupyter servers that run on this project."""
    from jupyter_server.serverapp import list_running_servers

    root = str(project_root())
    return [server for server in list_running_servers() if server["root_dir"] == root]


def _command(port: int, browser: bool) -> list[str]:
    settings = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port or 8888, "ServerApp.root_dir": str(project_root()),
        "ServerApp.allow_unauthenticated_access": False, "ServerApp.allow_root": True, "ServerApp.open_browser": browser,
        "ServerApp.contents_manager_class": "opslib.lab.RunbookContents", "LabApp.default_url": "/lab/tree/notebooks/index.ipynb",
        "ServerApp.jpserver_extensions": {"opslib.lab": True}, "LabApp.news_url": None, "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }  # fmt: skip
    given = [
        f"--{name}={json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in settings.items()
        if not isinstance(value, dict) and value is not None
    ]
    return [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        *given,
        "--ServerApp.jpserver_extensions=opslib.lab=True",
        "--LabApp.news_url=None",
    ]


def __getattr__(name: str) -> Any:
    """Make the contents manager only when Jupyter asks: the command line must not load it."""
    if name == "RunbookContents":
        return _contents_class()
    raise AttributeError(f"module 'opslib.lab' has no attribute {name!r}")


def _contents_class() -> type:
    from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
    from tornado.web import HTTPError

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
            if reason := reason_not_to_write(path) or reason_not_to_show(model, path):
                raise HTTPError(403, reason)
            return await super().save(model, path)

    return RunbookContents


def reason_not_to_write(path: str) -> str:
    """Return why a path is read-only in the lab; empty when it may be written."""
    parts = path.strip("/").split("/")
    if parts[0] == "notebooks" and not os.environ.get("OPSLIB_EDIT_RUNBOOKS"):
        return "runbooks are read-only here: open a copy from the index, or start `opslib lab --edit-runbooks`"
    if parts[0] == "reports" and (project_root() / Path(*parts).parent / "summary.json").is_file():
        return "this record is finished: open a new copy of its runbook"
    return ""


def reason_not_to_show(model: Any, path: str) -> str:
    """Refuse to save outputs of an account other than the sandbox's below notebooks/."""
    if not path.strip("/").startswith("notebooks/") or model.get("type") != "notebook" or not model.get("content"):
        return ""
    outputs = json.dumps([cell.get("outputs", []) for cell in model["content"]["cells"]])
    others = sorted(set(_ACCOUNT.findall(outputs)) - {SANDBOX_ACCOUNT})
    return (
        f"outputs of account {others[0]} may not lie in notebooks/: clear them, or work in a record" if others else ""
    )


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "opslib.lab"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Add /opslib/open, the target of the index's links."""
    from jupyter_server.base.handlers import JupyterHandler
    from tornado import web

    from opslib.runner import interactive

    class Open(JupyterHandler):  # type: ignore[misc]
        """Make a copy of a runbook and go to it."""

        @web.authenticated  # type: ignore[untyped-decorator]
        def get(self) -> None:
            """Refuse other sites; parameters are p.NAME=VALUE."""
            if self.request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
                raise web.HTTPError(403, "links from other sites are refused")
            given = {name[2:]: self.get_argument(name) for name in self.request.arguments if name.startswith("p.")}
            try:
                copy = interactive.open_copy(self.get_argument("notebook"), given, env=self.get_argument("env", ""))
            except OpsError as error:
                raise web.HTTPError(400, error.text()) from None
            self.redirect(f"/lab/tree/{quote(copy.relative_to(project_root()).as_posix())}")

    server.web_app.add_handlers(".*$", [(r"/opslib/open", Open)])


_jupyter_server_extension_paths = _jupyter_server_extension_points
_ = sandbox_folder
