"""The lab's server: who may open, what may be written, what becomes of the records when it stops."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opslib import lab, lab_server
from opslib.runner import interactive, records, runbooks

from .probe import PROBE, code, notebook, summary_in


class Client:
    """Asks the running lab, with its token unless told otherwise."""

    def __init__(self, server: dict[str, Any]) -> None:
        self.server = server

    def ask(
        self, path: str, *, method: str = "GET", body: Any = None, token: bool = True, **headers: str
    ) -> tuple[int, str, str]:
        """Return status, where it led to, and the text."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            given["Authorization"] = f"token {self.server['token']}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server["url"] + path, data=data, method=method, headers=given)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay()).open(
                request, timeout=20
            ) as answer:
                return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Location", ""), error.read().decode()


class Stay(urllib.request.HTTPRedirectHandler):
    """Do not follow: where it leads to is the answer."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def started(process: subprocess.Popen[str]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if server := lab.running():
            return server
        time.sleep(0.02)
    raise AssertionError(f"the lab did not start: {process.communicate(timeout=5)}")


@pytest.fixture(scope="module")
def client(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    import sys

    home = str(tmp_path_factory.mktemp("home"))
    program = [str(Path(sys.executable).with_name("opslib")), "lab", "--no-browser", "--port", str(free_port())]
    process = subprocess.Popen(
        program, env={**os.environ, "HOME": home}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Client(started(process))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_opens_without_the_token(client: Client) -> None:
    before = interactive.opened()
    status, where, _ = client.ask("opslib/open?notebook=probe", token=False)
    assert (status, where.split("?")[0]) == (302, "/login") and interactive.opened() == before


def test_a_link_makes_a_copy_and_leads_to_it(client: Client) -> None:
    before = set(interactive.opened())
    status, where, _ = client.ask(
        "opslib/open?notebook=2-try%2Fprobe&p.account=012345678901", Sec_Fetch_Site="same-origin"
    )
    (folder,) = set(interactive.opened()) - before
    assert (status, where) == (302, f"/lab/tree/{(folder / 'record.ipynb').relative_to(lab.project_root()).as_posix()}")
    assert records.state_of(folder)["parameters"]["account"] == "012345678901"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_are_refused(client: Client, site: str) -> None:
    before = interactive.opened()
    assert client.ask("opslib/open?notebook=probe", Sec_Fetch_Site=site)[0] == 403 and interactive.opened() == before


@pytest.mark.parametrize(("query", "says"), [("notebook=prob", "did you mean 'probe'"), ("notebook=probe&p.many=x", "whole number"),
                                             ("notebook=../../etc/passwd", "there is no runbook")])  # fmt: skip
def test_bad_links_say_what_is_wrong(client: Client, query: str, says: str) -> None:
    status, _, text = client.ask(f"opslib/open?{query}")
    assert status == 400 and says in text and "<" not in text.split("\n")[0]


@pytest.mark.parametrize(("method", "path"), [("PUT", "notebooks/2-try/probe.ipynb"), ("PUT", "notebooks/new.txt"), ("DELETE", "notebooks/2-try/probe.ipynb"),
                                              ("PATCH", "notebooks/2-try/probe.ipynb")])  # fmt: skip
def test_runbooks_are_read_only(client: Client, project: Path, method: str, path: str) -> None:
    file = project / "notebooks" / "2-try" / "probe.ipynb"
    before = file.read_text()
    body = {"type": "notebook", "content": PROBE, "path": "elsewhere.ipynb"}
    status, _, text = client.ask(f"api/contents/{path}", method=method, body=body)
    assert status == 403 and "read-only here" in text and file.read_text() == before
    assert not json.loads(client.ask("api/contents/notebooks/2-try/probe.ipynb")[2])["writable"]


def test_open_records_are_written_and_finished_ones_are_not(client: Client, project: Path) -> None:
    copy = interactive.open_copy("probe", {})
    path = f"api/contents/{copy.relative_to(project).as_posix()}"
    model = json.loads(client.ask(path)[2])
    assert (
        model["writable"]
        and client.ask(path, method="PUT", body={"type": "notebook", "content": model["content"]})[0] == 200
    )
    interactive.close(copy.parent)
    status, _, text = client.ask(path, method="PUT", body={"type": "notebook", "content": model["content"]})
    assert status == 403 and "finished" in text and not json.loads(client.ask(path)[2])["writable"]


def test_open_uses_the_running_lab(client: Client, opslib: Callable[..., Any]) -> None:
    before = set(interactive.opened())
    out, err = opslib("open", "probe", "-p", "many=4", "--no-browser").communicate(timeout=30)
    (folder,) = set(interactive.opened()) - before
    assert out.startswith(f"{client.server['url']}lab/tree/reports/local/") and folder.name in out and not err


def test_records_out_of_its_sight_are_not_begun(project: Path, tmp_path: Path, opslib: Callable[..., Any]) -> None:
    process = opslib("open", "probe", "--no-browser", OPSLIB_REPORTS=str(tmp_path))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 3 and "outside of the project" in error and not list(tmp_path.iterdir())


def test_no_news_and_no_updates_are_asked_for(client: Client) -> None:
    page = client.ask("lab")[2]
    assert '"disabled": true' in page.partition('"news":')[2][:40]
    settings = json.loads(client.ask("lab/api/settings/@jupyterlab/apputils-extension:notification")[2])
    defaults = settings["schema"]["properties"]
    assert defaults["checkForUpdates"]["default"] is False and defaults["fetchNews"]["default"] == "false"


@pytest.mark.parametrize(
    ("text", "refused"), [("account 123456789012", True), ("arn:aws:iam::000000000000:root", False), ("fine", False)]
)
def test_outputs_of_another_account_stay_out_of_notebooks(text: str, refused: bool) -> None:
    cell = {**code("1"), "outputs": [{"output_type": "stream", "name": "stdout", "text": text}]}
    model = {"type": "notebook", "content": notebook(cell)}
    assert bool(lab_server.reason_not_to_keep(model, "notebooks/2-try/probe.ipynb")) == refused
    assert not lab_server.reason_not_to_keep(model, "reports/x/record.ipynb")


def test_stopping_finishes_what_ran(project: Path, opslib: Callable[..., Any], tmp_path: Path, client: Client) -> None:
    """Last in this module: it stops the lab."""
    ran, idle = interactive.open_copy("probe", {}).parent, interactive.open_copy("probe", {}).parent
    (ran / "ledger.jsonl").write_text(
        '{"event":"result","name":"a","title":"","verdict":"ok","sight":"complete","sentence":"s"}\n'
    )
    book = runbooks.read(ran / "record.ipynb")
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"] = 1
    runbooks.write(ran / "record.ipynb", book)
    os.kill(client.server["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 20
    while not (ran / "summary.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert summary_in(ran)["status"] == "finished" and idle in interactive.opened() and not lab.state_file().exists()
