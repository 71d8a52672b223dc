"""The JupyterLab side: start it on the index, open copies in the one that runs, finish what ran when it stops."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
import warnings
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from opslib.config import project_root, reports_folder
from opslib.errors import OpsError, RecordError

INDEX = "notebooks/index.ipynb"
PORT = 8888
_SETTINGS = Path(__file__).with_name("lab_settings")


def serve(*, port: int = 0, browser: bool = True, edit_runbooks: bool = False, first: str = INDEX) -> None:
    """Run JupyterLab on the index, on this machine only and with a token, until it is stopped.

    Records that were opened and worked in are finished then. Without `edit_runbooks`, notebooks/ is read-only.
    """
    import opslib.runner  # noqa: F401  # before Jupyter: it keeps a slow import away

    if not (project_root() / INDEX).is_file():
        from opslib.runner import contents

        contents.write()
    os.environ |= {"OPSLIB_EDIT_RUNBOOKS": "1" if edit_runbooks else "", "JUPYTER_PREFER_ENV_PATH": "1"}
    warnings.filterwarnings("ignore", message="Extension endpoints without")  # of Jupyter's own terminals
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(_arguments(port, browser, first))
    _finish_what_ran()
    _leave()


def show(copy: Path, *, browser: bool = True) -> None:
    """Open a copy in the lab that runs on this project, or start one on it; print the address."""
    place = copy.relative_to(project_root()).as_posix()
    server = running()
    if server is None:
        serve(browser=browser, first=place)
        return
    address = f"{server['url']}lab/tree/{quote(place)}?token={server['token']}"
    sys.stdout.write(f"{address}\n")
    if browser:
        webbrowser.open(address)


def check_place() -> None:
    """Refuse, before a record is begun, a folder of records that the lab would not show; raises RecordError."""
    if not reports_folder().is_relative_to(project_root()):
        raise RecordError(
            "the lab cannot show records that lie outside of the project",
            why=f"{reports_folder()} is not below {project_root()}",
            fix="unset OPSLIB_REPORTS for work in the lab; `opslib run` takes any folder",
        )


def running() -> dict[str, Any] | None:
    """Return url, token and pid of the lab on this project, or None; asked, not believed."""
    try:
        server: dict[str, Any] = json.loads(state_file().read_text(encoding="utf-8"))
        asked = urllib.request.Request(
            f"{server['url']}api/status", headers={"Authorization": f"token {server['token']}"}
        )
        with _direct().open(asked, timeout=2) as answer:
            return server if answer.status == 200 else None
    except (OSError, ValueError, KeyError):
        return None


def state_file() -> Path:
    """Return the file in which the running lab says where it is."""
    return project_root() / ".opslib" / "lab.json"


def _direct() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # 127.0.0.1 is behind no proxy


def _finish_what_ran() -> None:
    from opslib.runner import interactive

    if running() is not None:
        return  # another lab on this project still works on them
    state_file().unlink(missing_ok=True)
    for folder in interactive.opened():
        try:
            if interactive.has_run(folder):
                sys.stderr.write(f"finished {interactive.close(folder)[0]}\n")
        except OpsError as error:
            sys.stderr.write(f"{error.text()}\n")


def _leave() -> None:
    """End at once: about one stop in ten, a thread of Jupyter's waits for ever, and all of ours is written by now."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _arguments(port: int, browser: bool, first: str) -> list[str]:
    settings: dict[str, Any] = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port or PORT, "ServerApp.port_retries": 0 if port else 50,
        "ServerApp.root_dir": project_root(), "ServerApp.open_browser": browser, "ServerApp.answer_yes": True,
        "ServerApp.allow_root": True, "ServerApp.allow_unauthenticated_access": False, "ServerApp.log_level": "WARN",
        "MappingKernelManager.kernel_manager_class": "opslib.lab_server.LabKernel",
        "ServerApp.contents_manager_class": "opslib.lab_server.RunbookContents",
        "ServerApp.jpserver_extensions": {"opslib.lab_server": True, "jupyterlab": True},
        "ServerApp.default_url": f"/lab/tree/{quote(first)}", "LabApp.default_url": f"/lab/tree/{quote(first)}",
        "LabApp.news_url": None, "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly", "LabApp.log_level": "WARN", "LabApp.app_settings_dir": _SETTINGS,
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in settings.items()]
