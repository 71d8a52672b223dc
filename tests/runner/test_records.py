"""Interactive records, the index, replay and the table of contents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opslib import files
from opslib.errors import RecordError
from opslib.runner import contents, headless, index, interactive, records, refresh, replay, runbooks

from .probe import code, markdown, notebook, summary_in
from .test_report import assert_obeys_nothing


def content_of(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def as_if_run(folder: Path, *, until: int = 99, error: str = "") -> None:
    """Put outputs into an open record as the lab would save them."""
    book = runbooks.read(folder / "record.ipynb")
    for number, cell in enumerate([cell for cell in book["cells"] if cell["cell_type"] == "code"], 1):
        if number <= until:
            cell["execution_count"], cell["outputs"] = (
                number,
                [{"output_type": "stream", "name": "stdout", "text": "out"}],
            )
        if number == until and error:
            cell["outputs"] = [{"output_type": "error", "ename": error, "evalue": "token=opensesame", "traceback": []}]
    files.write(folder / "record.ipynb", runbooks.text_of(book))


def test_a_copy_is_open_and_filled_in(project: Path) -> None:
    copy = interactive.open_copy("probe", {"account": "012345678901"})
    state = records.state_of(copy.parent)
    assert (state["state"], state["mode"], state["parameters"]["account"]) == ("open", "interactive", "012345678901")
    book = runbooks.read(copy)
    assert 'account: str = "012345678901"  # twelve digits' in book["cells"][1]["source"]
    assert (
        not any(cell.get("outputs") for cell in book["cells"]) and book["metadata"]["kernelspec"]["name"] == "python3"
    )
    assert copy.parent in interactive.opened() and not interactive.has_run(copy.parent)


@pytest.mark.parametrize(
    ("until", "error", "status", "exit_code"),
    [(99, "", "finished", 0), (3, "", "interrupted", 3), (3, "ValueError", "failed", 3), (0, "", "interrupted", 3)],
)
def test_close_tells_the_truth(project: Path, until: int, error: str, status: str, exit_code: int) -> None:
    folder = interactive.open_copy("probe", {}).parent
    as_if_run(folder, until=until, error=error)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "record-checkpoint.ipynb").write_text("password=opensesame")
    assert interactive.has_run(folder) == bool(until)
    closed, summary = interactive.close(folder)
    assert (closed, summary["status"], summary["exit_code"]) == (folder, status, exit_code)
    assert {file.name for file in folder.iterdir()} == {"record.ipynb", "report.html", "summary.json"}
    assert not any(b"opensesame" in content for content in content_of(folder).values())
    with pytest.raises(RecordError, match="not an open record"):
        interactive.close(folder)


def test_changed_parameters_are_those_of_the_cell(project: Path) -> None:
    copy = interactive.open_copy("probe", {})
    book = runbooks.read(copy)
    book["cells"][1]["source"] = book["cells"][1]["source"].replace("many: int = 3", "many: int = 8")
    files.write(copy, runbooks.text_of(book))
    assert interactive.close(copy.parent)[1]["parameters"]["many"] == 8


def test_a_full_disk_leaves_the_open_record_open(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interactive.open_copy("probe", {}).parent
    before = content_of(folder)

    def full(file: Path, text: str, **_: Any) -> None:
        raise files.cannot_write(file, OSError(28, "No space left on device"))

    monkeypatch.setattr("opslib.runner.finishing.files.write", full)
    with pytest.raises(RecordError, match="make room"):
        interactive.close(folder)
    assert content_of(folder) == before


def test_the_index_lists_all_newest_first(project: Path, record: Path) -> None:
    day = records.reports() / "local" / "2020" / "01" / "02"
    broken = day / "20200102T030405Z_probe_deadbeef"
    files.make_private(broken, below=records.reports())
    (broken / "summary.json").write_text('{"half": ')
    lacking = day / "20200102T040506Z_<b>x_cafecafe"
    lacking.mkdir()
    (lacking / "summary.json").write_text("{}")
    text = index.write().read_text()
    page = assert_obeys_nothing(text.replace('href="local/', 'href="#local/'))
    words = "".join(page.words)
    today, old = f"{record.name[:4]}-{record.name[4:6]}-{record.name[6:8]}", words.index("2020-01-02")
    assert words.index(today) < old and words.index("04:05 UTC", old) < words.index("03:04 UTC", old)
    assert words.count("UNREADABLE") == 2 and broken.name in words and lacking.name in words and "OPEN" in words
    assert f'href="{record.relative_to(records.reports()).as_posix()}/report.html"' in text


def test_find_by_part_of_the_name(record: Path) -> None:
    assert records.find(record.name[-8:]) == record == records.find(str(record / "report.html"))
    with pytest.raises(RecordError, match="no single record"):
        records.find("zzzz")


def test_replay_reads_the_record_and_changes_nothing(project: Path) -> None:
    runbooks.write(project / "notebooks" / "2-try" / "again.ipynb", notebook(
        markdown("# Again"), code("import os, pathlib", cell_id="a"),
        code('print("from", os.environ.get("OPSLIB_REPLAY", "life"), pathlib.Path("run.json").exists())', cell_id="b")))  # fmt: skip
    folder, _ = headless.run("again", {})
    before = content_of(folder)
    page = replay.replay(folder)
    assert page == records.reports() / ".replay" / folder.name / "report.html" and content_of(folder) == before
    assert f"from {folder} False" in page.read_text() and "from life True" in (folder / "report.html").read_text()
    with pytest.raises(RecordError, match="lies in the record"):
        replay.replay(folder, folder / "data")


def test_replay_of_what_is_no_record(project: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a finished record"):
        replay.replay(tmp_path)


def test_the_contents_list_every_runbook(project: Path) -> None:
    contents.write()
    book = runbooks.read(contents.place())
    text = "\n".join(cell["source"] for cell in book["cells"])
    for name, _ in runbooks.runbooks():
        assert f"`opslib open {name}`" in text and f"notebook={name.replace('/', '%2F')}" in text
    assert "試すための手順書です。" in text and "READ-ONLY" in text and contents.write() == []


def test_refresh_writes_only_what_changed(project: Path) -> None:
    file = project / "notebooks" / "2-try" / "steady.ipynb"
    runbooks.write(file, notebook(markdown("# Steady"), code("import os; os.environ['GIVEN']", cell_id="a")))
    environ = {"PATH": "/usr/bin:/bin", "OPSLIB_ROOT": str(project), "GIVEN": "one"}
    assert file in refresh.refresh(["steady"], environ)
    assert runbooks.read(file)["cells"][1]["outputs"][0]["data"]["text/plain"] == "'one'"
    stamp = file.stat().st_mtime_ns
    assert refresh.refresh(["steady"], environ) == [] and file.stat().st_mtime_ns == stamp
    assert set(json.loads(file.read_text())["cells"][1]["metadata"]) == set()


def test_the_command_line_is_light_and_speaks_plainly(project: Path, opslib: Callable[..., Any]) -> None:
    import subprocess
    import sys

    heavy = "boto3 pandas papermill matplotlib nbformat jupyter_client pydantic"
    probe = f"import sys; import opslib.cli; print([name for name in {heavy.split()!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout == "[]\n"
    for arguments, says in ((["nonsense"], "No such command"), (["run", "probe", "-p", "many"], "not NAME=VALUE"),
                            (["run", "probe", "-p", "many=1", "-p", "many=2"], "given twice"), (["replay", "zzz"], "no single record")):  # fmt: skip
        process = opslib(*arguments)
        out, err = process.communicate(timeout=30)
        assert (
            process.returncode == 3
            and says in err
            and not out
            and len(err.splitlines()) <= 3
            and "Traceback" not in err
        )


def test_a_summary_survives_a_cut_ledger(project: Path) -> None:
    folder = interactive.open_copy("probe", {}).parent
    (folder / "ledger.jsonl").write_text(
        '{"event":"result","name":"a","title":"","verdict":"warn","sight":"complete","sentence":"s"}\n{"event":"res'
    )
    as_if_run(folder)
    assert interactive.close(folder)[1]["verdict"] == "warn" and summary_in(folder)["blind"] == "0 of 1 checks blind"
