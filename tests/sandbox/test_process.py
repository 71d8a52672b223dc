"""A sandbox starts, tells about itself, and leaves nothing behind, however it ends."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from opslib.sandbox import base_life, cache, control, state_files
from opslib.sandbox.control import Sandbox, SandboxError

pytestmark = pytest.mark.usefixtures("started_supervisors")
NOBODY = 65534
ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.02)


def rows(sandbox: Sandbox, query: str, role: str = "ops_reader") -> list[tuple[object, ...]]:
    with psycopg.connect(**sandbox.postgres_dsn(role)) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def postmaster(sandbox: Sandbox) -> int:
    return int((Path(sandbox.info["work"]) / "data" / "postmaster.pid").read_text().split()[0])


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped by its parent does not."""
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(answer.stdout.strip()) and not answer.stdout.strip().startswith("Z")


def processes_that_name(text: str) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if text in line and line.split()[1][0] != "Z"]


def nothing_left(sandbox: Sandbox) -> bool:
    work, directory = sandbox.info["work"], sandbox.directory
    return (
        not Path(work).exists()
        and not state_files.sandbox_json(directory).exists()
        and not state_files.profile_folder(directory).exists()
        and not processes_that_name(work)
        and not processes_that_name(str(directory))
        and not control.is_running(directory)
    )


def test_status_tells_what_runs(sandbox: Sandbox) -> None:
    told = sandbox.status()
    assert told["running"] is True
    assert (told["clock"], told["scenario"]) == ("frozen", "checkout-locks")
    assert told["now"].startswith("2026-11-05T02:40:00")
    assert told["planted"] == {"request_id": "req-5f0c2e9ab714"} | told["planted"]
    assert set(told["ports"]) == {"gateway", "postgres"}
    assert told["log_groups"]["/shop/api"] > 0
    assert {"not_modelled", "faults", "pid", "endpoint"} <= told.keys()
    assert told["disk"]["sandbox_bytes"] > 1e8
    assert told["disk"]["cache_bytes"] >= told["disk"]["sandbox_bytes"] / 2


def test_the_environment_leads_to_a_database_that_answers(sandbox: Sandbox) -> None:
    environment = sandbox.info["environment"]
    database = environment["database"]
    password = Path(database["password_file"]).read_text()
    where = {name: database[name] for name in ("host", "port", "dbname", "user", "sslmode")}
    with psycopg.connect(**where, password=password) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("ops_reader",)
    config = Path(environment["aws_config_file"]).read_text()
    assert f"endpoint_url = {sandbox.endpoint}" in config
    assert f"[profile {environment['profile']}]" in config


def test_files_with_secrets_are_for_their_owner_only(sandbox: Sandbox) -> None:
    files = [state_files.sandbox_json(sandbox.directory), *state_files.profile_folder(sandbox.directory).iterdir()]
    assert len(files) > 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_second_start_finds_the_first(sandbox: Sandbox) -> None:
    begun = time.monotonic()
    assert control.start(sandbox.directory) == sandbox.info
    assert time.monotonic() - begun < 1


def test_everything_listens_on_this_machine_only(sandbox: Sandbox) -> None:
    outside = socket.gethostbyname(socket.gethostname())
    for port in sandbox.status()["ports"].values():
        socket.create_connection(("127.0.0.1", port), timeout=3).close()
        if not outside.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((outside, port), timeout=3)


def test_two_side_by_side_and_one_is_killed(running_sandbox: Callable[..., Sandbox]) -> None:
    first, second = running_sandbox(), running_sandbox(scenario="quiet-day")
    assert set(first.status()["ports"].values()).isdisjoint(second.status()["ports"].values())
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**second.postgres_dsn() | {"password": first.postgres_dsn()["password"]})
    server = postmaster(first)
    assert alive(server)
    os.kill(first.info["pid"], signal.SIGKILL)
    wait_until(lambda: nothing_left(first) and not alive(server), "all of the killed sandbox is gone")
    assert control.status(first.directory)["running"] is False
    assert rows(second, "SELECT 1") == [(1,)]
    assert second.status()["scenario"] == "quiet-day"
    assert control.start(first.directory, scenario="quiet-day")["pid"] != first.info["pid"]


def test_the_replica_ends_with_the_killed_sandbox() -> None:
    with Sandbox(scenario="quiet-day", replica=True) as sandbox:
        replica = int((Path(sandbox.info["work"]) / "replica" / "postmaster.pid").read_text().splitlines()[0])
        assert alive(replica) and sandbox.info["environment"]["database"]["replica_port"]
        os.kill(sandbox.info["pid"], signal.SIGKILL)
        wait_until(lambda: nothing_left(sandbox) and not alive(replica), "the replica is gone too")


def test_killed_together_with_its_reaper(running_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = running_sandbox(scenario="quiet-day")
    server, work = postmaster(sandbox), Path(sandbox.info["work"])
    reapers = [line for line in processes_that_name(str(work)) if "opslib-reaper" in line]
    assert len(reapers) == 1
    for pid in (int(reapers[0].split()[0]), sandbox.info["pid"]):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(server), "PostgreSQL died with its parent")
    assert control.status(sandbox.directory)["running"] is False
    cache.sweep()  # as every start does
    assert not work.exists()


def test_sigterm_ends_everything_in_order(running_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = running_sandbox()
    os.kill(sandbox.info["pid"], signal.SIGTERM)
    wait_until(lambda: nothing_left(sandbox), "all of the stopped sandbox is gone")
    assert "Traceback" not in (sandbox.directory / "supervisor.log").read_text()


def test_the_death_of_postgresql_ends_the_sandbox(running_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = running_sandbox()
    os.kill(postmaster(sandbox), signal.SIGQUIT)
    wait_until(lambda: nothing_left(sandbox), "the sandbox without its database is gone")
    assert "PostgreSQL ended" in (sandbox.directory / "supervisor.log").read_text()


def test_reset_starts_from_the_template_again(running_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = running_sandbox(scenario="quiet-day")
    with psycopg.connect(**sandbox.postgres_dsn("shop_owner"), autocommit=True) as connection:
        connection.execute("DROP TABLE audit_logs CASCADE")
    steps: list[str] = []
    sandbox.info = control.reset(sandbox.directory, "checkout-locks", progress=lambda step, _: steps.append(step))
    assert rows(sandbox, "SELECT count(*) >= 1000000 FROM audit_logs") == [(True,)]
    assert sandbox.status()["scenario"] == "checkout-locks"
    assert steps[-1] == "starting the gateway"


@pytest.mark.parametrize("action", [control.info, control.reset, control.clear_faults, control.add_fault])
def test_not_running_says_how_to_start(tmp_path: Path, action: Callable[[Path], object]) -> None:
    with pytest.raises(SandboxError, match="opslib sandbox start"):
        action(tmp_path)
    assert control.stop(tmp_path) is False
    assert control.status(tmp_path)["running"] is False


def test_a_stale_file_is_not_taken_for_a_sandbox(tmp_path: Path) -> None:
    state_files.sandbox_json(tmp_path).write_text(json.dumps({"pid": os.getpid(), "endpoint": "http://127.0.0.1:1"}))
    assert control.is_running(tmp_path) is False


def test_an_unknown_scenario_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"no scenario 'no-such'; there are .*quiet-day"):
        control.start(tmp_path, scenario="no-such")
    assert control.is_running(tmp_path) is False
    assert not processes_that_name(str(tmp_path))


@pytest.fixture
def open_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own that an unprivileged user can enter (pytest's folders are closed)."""
    folder = Path(tempfile.mkdtemp(prefix="opslib-cache-")).resolve()
    folder.chmod(0o755)
    monkeypatch.setenv("OPSLIB_CACHE_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_two_that_start_at_once_build_once(open_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, builds, steps = threading.Event(), [], []

    def build(folder: Path, progress: Callable[[str], None]) -> Path:
        builds.append(folder)
        assert waiting.wait(20)  # until the other one stands at the lock
        folder.mkdir(parents=True)
        return folder

    def note(step: str) -> None:
        steps.append(step)
        if step.startswith("waiting"):
            waiting.set()

    monkeypatch.setattr(base_life, "_build", build)
    threads = [threading.Thread(target=base_life.ensure, args=(open_cache / name, note)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(builds) == 1
    assert base_life.is_built()
    assert len([step for step in steps if step.startswith("waiting")]) == 1


def test_killed_while_building_leaves_no_half_built_life(open_cache: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "opslib.sandbox.supervisor", str(tmp_path)],
        stdout=subprocess.PIPE, start_new_session=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert b"building" in process.stdout.readline()
    wait_until(lambda: bool(list(open_cache.glob("work/*/build"))), "the build has begun")
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until(lambda: not processes_that_name(str(open_cache)), "no process of the build is left")
    wait_until(lambda: not list(open_cache.glob("work/*")), "no half-built folder is left")
    assert not list(open_cache.glob("built/*"))
    assert control.is_running(tmp_path) is False


def test_folders_of_sandboxes_that_lost_their_reaper_are_swept(open_cache: Path) -> None:
    orphan, lock = cache.new_work_folder()
    kept, kept_lock = cache.new_work_folder()
    os.close(lock)
    cache.sweep()
    assert (orphan.exists(), kept.exists()) == (False, True)
    os.close(kept_lock)


def test_old_builds_make_room(open_cache: Path) -> None:
    for age in range(6):
        folder = cache.public_folder(open_cache / "built" / f"build-{age}")
        os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    cache.forget_old_builds(open_cache / "built" / "build-5")
    assert sorted(path.name for path in (open_cache / "built").iterdir()) == ["build-0", "build-1", "build-5"]


AS_ANYBODY = """
import os, psycopg
from opslib.sandbox.control import Sandbox
with Sandbox(scenario="quiet-day") as sandbox, psycopg.connect(**sandbox.postgres_dsn()) as connection:
    answer = connection.execute("SELECT count(*) > 0 FROM orders").fetchone()
    print(os.geteuid(), sandbox.status()["running"], answer)
"""


@pytest.fixture(scope="session")
def built_life(sandbox: Sandbox) -> Path:
    """The folder that the suite's own sandboxes come from."""
    return base_life.location().folder


def test_works_without_root(built_life: Path, open_cache: Path) -> None:
    python, packages = open_interpreter()
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 and python else {}
    cache.public_folder(open_cache / "built")
    subprocess.run(["cp", "-a", str(built_life), str(open_cache / "built")], check=True)
    if user:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(open_cache)], check=True)
    environment = {"OPSLIB_CACHE_DIR": str(open_cache), "HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    environment |= {"PYTHONPATH": f"{ROOT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run(
        [python or sys.executable, "-c", AS_ANYBODY],
        capture_output=True, text=True, cwd="/", env=environment, timeout=60, **user,
    )  # fmt: skip
    expected = NOBODY if user else os.geteuid()
    assert answer.stdout.split("\n")[0] == f"{expected} True (True,)", answer.stderr


def open_interpreter() -> tuple[str | None, str]:
    """Return a Python of our version that another user can run, and our packages.

    The one in use may lie below /root, and so may the whole checkout: then there is none, and the test runs as the
    user that it has.
    """
    packages = sysconfig.get_paths()["purelib"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    installed = shutil.which(version, path="/usr/local/bin:/usr/bin")
    for candidate in filter(None, (sys.executable, installed)):
        if all(cache.reachable(place) for place in (Path(candidate).resolve().parent, Path(packages), ROOT)):
            return candidate, packages
    return None, packages
