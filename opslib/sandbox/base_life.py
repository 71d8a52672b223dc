"""The base life as every sandbox finds it: generated and loaded into PostgreSQL once, then taken from the cache."""

import importlib
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from opslib.sandbox import cache, postgres_template
from opslib.sandbox.errors import SandboxError
from opslib.sandbox.lifeline import die_with_parent
from opslib.sandbox.postgres_binaries import find

Progress = Callable[[str], None]
LAID_OVER = (
    "scenarios",
    "incident.py",
    "incident_tasks.py",
    "incident_sql.py",
    "incident_database.py",
    "overlays.py",
)  # an edit of these asks for no new build


@dataclass(frozen=True)
class BaseLife:
    """Where the built parts lie."""

    folder: Path

    @property
    def life(self) -> Path:
        """Return the folder of logs, metrics and events."""
        return self.folder / "life"

    @property
    def data(self) -> Path:
        """Return PostgreSQL's data directory, cleanly shut down."""
        return self.folder / "database" / "data"

    @property
    def superuser_password(self) -> str:
        """Return the password that the template's superuser has."""
        return (self.folder / "database" / "superuser.pw").read_text()


def location() -> BaseLife:
    """Return where the base life of these sources and this PostgreSQL lies, or will lie."""
    here = Path(postgres_template.__file__)
    sources = [postgres_template.LIFE, here, postgres_template.WORKLOAD, here.with_name("postgres.py")]
    name = cache.fingerprint(*sources, salt=find().version, without=LAID_OVER)
    return BaseLife(cache.public_folder(cache.root() / "built") / name)


def is_built() -> bool:
    """Tell whether a start will be a fast one."""
    return location().folder.exists()


def ensure(work: Path, progress: Progress) -> BaseLife:
    """Return the base life, building it if nobody has; of several that start at once, one builds."""
    base = location()
    lock = cache.root() / "lock"
    if not base.folder.exists():
        with cache.locked(lock, exclusive=True, waiting=lambda: progress("waiting: another sandbox is being built")):
            if not base.folder.exists():
                progress("building the shop's life (first start only)")
                _build(work / "build", progress).rename(base.folder)
                cache.forget_old_builds(base.folder)
    base.folder.touch()  # recently used
    return base


def _build(folder: Path, progress: Progress) -> Path:
    """Generate the life in a child process while PostgreSQL is being set up here."""
    cache.public_folder(folder)
    cache.public_folder(folder / "database")
    generator = _Generator(folder / "life", progress)
    template = postgres_template.TemplateBuild(folder / "database")
    try:
        template.prepare()
        generator.wait()
        template.load(folder / "life" / "tables", progress)
        template.finish()
    finally:
        generator.end()
        template.abandon()
    shutil.rmtree(folder / "life" / "tables")
    return folder


class _Generator:
    """The child process that runs the seeded generator; its memory goes away with it."""

    def __init__(self, target: Path, progress: Progress) -> None:
        cache.public_folder(target)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "opslib.sandbox.base_life", str(target)],
            stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._relay, args=(self._process.stdout, progress), daemon=True)
        self._reader.start()

    @staticmethod
    def _relay(lines: IO[str], progress: Progress) -> None:
        for line in lines:
            progress(line.rstrip("\n"))

    def wait(self) -> None:
        code = self._process.wait()
        self._reader.join()
        if code:
            raise SandboxError(
                f"The generator of the shop's life ended with {code}; supervisor.log holds its traceback."
            )

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def generate(target: Path) -> None:
    """Run the generator, printing the name of each step once."""
    life = importlib.import_module("opslib.sandbox.life")
    said: list[str] = []

    def progress(step: str, _share: float) -> None:
        if said[-1:] != [step]:
            said.append(step)
            print(step, flush=True)

    life.build(target, progress)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
