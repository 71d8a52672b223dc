"""Where the built base life lies, who may build it, and the work folder of each running sandbox."""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from opslib.sandbox.errors import SandboxError

KEPT_BUILDS = 3  # a build is near a gigabyte; an edit of the generator makes another one


def root() -> Path:
    """Return the cache folder, made if needed and open to the user that PostgreSQL runs as."""
    named = os.environ.get("OPSLIB_CACHE_DIR")
    if named:
        path = Path(named).expanduser().resolve()
    elif os.geteuid() == 0:
        path = Path("/var/cache/opslib")
    else:
        path = Path.home() / ".cache" / "opslib"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o755)
    except OSError as problem:
        raise SandboxError(
            f"The cache folder {path} cannot be made: {problem.strerror}. Set OPSLIB_CACHE_DIR to another folder."
        ) from problem
    return path


def fingerprint(*sources: Path, salt: str = "", without: Collection[str] = ()) -> str:
    """Return 12 hex digits over the text of all files below the sources, some names of files and folders left out."""
    digest = hashlib.sha256(salt.encode())
    for source in sources:
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file() and not {"__pycache__", *without} & set(file.parts):
                digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def public_folder(path: Path) -> Path:
    """Make a folder that another user may enter, whatever the umask says."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def reachable(path: Path) -> bool:
    """Tell whether another user may enter the folder and all above it."""
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.parents])


@contextmanager
def locked(path: Path, *, exclusive: bool, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock file; `waiting` is called once when somebody else has it."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    with path.open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(file, kind)
        yield


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock, or None when a living process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def new_work_folder() -> tuple[Path, int]:
    """Make a work folder and return it with the descriptor of its lock, held while its sandbox lives."""
    sweep()
    path = public_folder(public_folder(root() / "work") / secrets.token_hex(6))
    descriptor = try_lock(path / "lock")
    if descriptor is None:
        raise SandboxError(f"The work folder {path} is in use. Start again.")
    return path, descriptor


def sweep() -> None:
    """Remove the work folders of sandboxes that are gone, such as after a power cut."""
    for path in (root() / "work").glob("*/"):
        lock = path / "lock"
        if not lock.exists():
            continue  # just being made
        descriptor = try_lock(lock)
        if descriptor is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def forget_old_builds(current: Path) -> None:
    """Keep the current build and the most recently used others; the caller holds the build lock."""
    others = [path for path in (root() / "built").glob("*/") if path != current]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[KEPT_BUILDS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
