"""Every end of a headless run leaves a true record, or none and one clear error."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opslib.errors import RecordError
from opslib.runner import headless, records, runbooks

from .probe import SECRET, code, markdown, notebook, summary_in


def statuses(summary: dict) -> list[str]:
    return [cell["status"] for cell in summary["cells"]]


def only_new(before: set[Path]) -> Path:
    (folder,) = set(records.folders()) - before
    return folder


def test_a_good_run_leaves_a_whole_record(record: Path) -> None:
    assert {file.name for file in record.iterdir()} == {"record.ipynb", "report.html", "summary.json"}
    summary = summary_in(record)
    assert (summary["status"], summary["verdict"], summary["exit_code"]) == ("finished", "critical", 1)
    assert statuses(summary) == ["finished"] * 5 and all(cell["seconds"] >= 0 for cell in summary["cells"])
    assert summary["parameters"]["account"] == "012345678901" and summary["calls"] == {"logs:StartQuery": 2}
    assert record.relative_to(records.reports()).parts[0] == "local" and not list(
        (records.reports() / ".partial").iterdir()
    )


def test_a_record_is_private(record: Path) -> None:
    assert stat.S_IMODE(record.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in record.iterdir()} == {0o600}


def test_parameters_stand_in_their_cell_with_their_help(record: Path) -> None:
    cell = runbooks.read(record / "record.ipynb")["cells"][1]
    assert 'account: str = "012345678901"  # twelve digits' in cell["source"].splitlines()


def test_a_flood_is_cut(record: Path) -> None:
    assert "characters left out" in (record / "record.ipynb").read_text()
    assert (record / "record.ipynb").stat().st_size < 150_000


@pytest.mark.parametrize(
    ("verdict", "sight", "exit_code"),
    [("ok", "complete", 0), ("warn", "no_data", 0), ("unknown", "denied", 2), ("critical", "partial", 1)],
)
def test_exit_codes(verdict: str, sight: str, exit_code: int) -> None:
    from opslib.runner import summary

    state = {
        "schema": 1,
        "run_id": "x",
        "runbook": "r",
        "env": "e",
        "mode": "headless",
        "operator": "o",
        "started": "2026-11-05T02:40:00+00:00",
    }
    ledger = [{"event": "result", "name": "a", "verdict": verdict, "sight": sight}]
    built = summary.build(state, ledger, [], status="finished", error="", parameters={})
    assert built["exit_code"] == exit_code and built["verdict"] == verdict and built["sight"] == sight
    assert summary.build(state, ledger, [], status="failed", error="", parameters={})["exit_code"] == 3


def test_a_cell_error(project: Path) -> None:
    folder, summary = headless.run("probe", {"act": "raise"})
    assert (summary["status"], summary["exit_code"], summary["verdict"]) == ("failed", 3, "unknown")
    assert statuses(summary) == ["finished", "finished", "finished", "failed", "not_run"]
    assert "ValueError: broken" in summary["error"]
    everything = "".join(file.read_text() for file in folder.iterdir())
    assert SECRET not in everything and "[redacted]" in everything
    assert "THIS RUN DID NOT FINISH" in runbooks.read(folder / "record.ipynb")["cells"][0]["source"]


def test_a_killed_kernel(project: Path) -> None:
    folder, summary = headless.run("probe", {"act": "die"})
    assert (summary["status"], summary["exit_code"]) == ("killed", 3)
    assert statuses(summary) == ["finished", "finished", "finished", "failed", "not_run"]
    assert (
        "the kernel died" in (folder / "report.html").read_text()
        and "papermill" not in (folder / "record.ipynb").read_text()
    )


@pytest.mark.parametrize(
    ("limits", "says"), [({"cell_seconds": 1}, "code cell 4 of 5"), ({"run_seconds": 2}, "the run took longer")]
)
def test_a_timeout(project: Path, limits: dict, says: str) -> None:
    began = time.monotonic()
    _, summary = headless.run("probe", {"act": "sleep"}, **limits)
    assert summary["status"] == "timeout" and says in summary["error"] and summary["exit_code"] == 3
    assert (
        statuses(summary) == ["finished", "finished", "finished", "failed", "not_run"] and time.monotonic() - began < 20
    )


def test_a_notebook_that_ends_itself(project: Path) -> None:
    _, summary = headless.run("probe", {"act": "leave"})
    assert summary["status"] == "failed" and statuses(summary)[-1] == "not_run"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_runner(project: Path, opslib, number: signal.Signals) -> None:
    before = set(records.folders())
    process = opslib("run", "probe", "-p", "act=sleep")
    until_asleep(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 3, out + err
    summary = summary_in(only_new(before))
    assert summary["status"] == "interrupted" and number.name in summary["error"]
    assert statuses(summary) == ["finished", "finished", "finished", "failed", "not_run"]


def test_a_killed_runner_is_told_by_the_next_run(project: Path, opslib) -> None:
    before = set(records.folders())
    process = opslib("run", "probe", "-p", "act=sleep")
    until_asleep(process)
    process.kill()
    process.communicate(timeout=30)
    assert set(records.folders()) == before
    (adopted,) = headless.adopt_abandoned()
    summary = summary_in(adopted)
    assert summary["status"] == "killed" and statuses(summary) == [
        "finished",
        "finished",
        "finished",
        "not_run",
        "not_run",
    ]


def test_two_at_once(project: Path, opslib) -> None:
    before = set(records.folders())
    both = [opslib("run", "probe", "-p", f"many={n}") for n in (1, 2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    made = set(records.folders()) - before
    assert sorted(summary_in(folder)["parameters"]["many"] for folder in made) == [1, 2]
    index = (records.reports() / "index.html").read_text()
    assert all(folder.name in index for folder in made)


def test_a_lock_keeps_the_second_out(project: Path, opslib) -> None:
    first = opslib("run", "--lock", "probe", "-p", "act=sleep")
    until_asleep(first)
    second = opslib("run", "--lock", "probe")
    assert second.communicate(timeout=30)[1].startswith("another run of") and second.returncode == 75
    first.terminate()
    first.communicate(timeout=30)


def test_plain_papermill_takes_the_same_file(project: Path, tmp_path: Path) -> None:
    program = [
        sys.executable,
        "-m",
        "papermill",
        "notebooks/2-try/probe.ipynb",
        str(tmp_path / "out.ipynb"),
        "-p",
        "many",
        "5",
    ]
    done = subprocess.run([*program, "--cwd", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0 and "the end  5" in (tmp_path / "out.ipynb").read_text()


def test_a_wait_is_spoken_of(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(headless, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(headless, "SAY_EVERY", 0.2)
    headless.run("probe", {"act": "sleep"}, cell_seconds=1)
    assert "code cell 4 of 5 (act)" in capsys.readouterr().err


def test_a_record_that_lies_elsewhere_is_of_the_same_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its folder no way leads up to the project: a task's disk, say. Where things lie may be said from here, too."""
    source = "from opslib import config\nprint(config.project_root(), config.reports_folder(), config.sandbox_folder())"
    runbooks.write(project / "notebooks" / "2-try" / "where.ipynb", notebook(markdown("# Where"), code(source)))
    for name in ("OPSLIB_ROOT", "OPSLIB_SANDBOX"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPSLIB_REPORTS", os.path.relpath(tmp_path))
    for forked in (False, True):
        folder, _ = headless.Job.of("where", {}, env="").run(forked=forked)
        (output,) = runbooks.read(folder / "record.ipynb")["cells"][1]["outputs"]
        assert folder.is_relative_to(tmp_path)
        assert "".join(output["text"]).split() == [str(project), str(tmp_path), str(project / ".opslib")], forked


def test_a_full_disk_keeps_what_was_there(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = notebook(markdown("# Big"), code("import os; print(os.urandom(60_000).hex())"), code("1 + 1"))
    runbooks.write(project / "notebooks" / "2-try" / "big.ipynb", big)
    (tmp_path / "disk").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path / "disk"], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a 64 kB disk needs root: {mounted.stderr.strip()}")
    try:
        monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path / "disk"))
        runbooks.write(project / "notebooks" / "2-try" / "small.ipynb", notebook(markdown("# Small"), code("1")))
        headless.run("small", {})
        before = {file: file.read_bytes() for file in (tmp_path / "disk").rglob("*") if file.is_file()}
        assert len(before) == 4
        with pytest.raises(RecordError, match="make room on the disk") as failed:
            headless.run("big", {})
        assert failed.value.why == os.strerror(28)
        assert {file: file.read_bytes() for file in (tmp_path / "disk").rglob("*") if file.is_file()} == before
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)


def until_asleep(process: subprocess.Popen) -> None:
    """Wait until the kernel of that run is in its long cell."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for state in (records.reports() / ".partial").glob("*/run.json"):
            if json.loads(state.read_text())["pid"] == process.pid and (state.parent / "sleeping").exists():
                return
        assert process.poll() is None, process.communicate()
        select_nothing()
    raise AssertionError("the run did not get to its long cell")


def select_nothing() -> None:
    """Give the other processes a moment."""
    import select

    select.select([], [], [], 0.05)
