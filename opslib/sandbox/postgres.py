"""One PostgreSQL server of the sandbox: started on a free port of 127.0.0.1, ended at once when its starter dies."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from opslib.sandbox import cache
from opslib.sandbox.errors import SandboxError
from opslib.sandbox.lifeline import die_with_parent
from opslib.sandbox.postgres_binaries import Binaries, clean_environment, find, run_as, run_ids

DATABASE = "shop"
SUPERUSER = "postgres"
ROLES = ("shop_owner", "ops_reader", "ops_writer")

# Bounded memory, no durability (a sandbox never survives a crash), nothing left outside the data directory.
SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "shared_buffers": "96MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
    "track_io_timing": "on",
    "track_activity_query_size": "4096",
}
# While building: COPY into a table of the same transaction writes no WAL.
BUILD_SETTINGS = {"wal_level": "minimal", "max_wal_senders": "0", "autovacuum": "off", "maintenance_work_mem": "512MB"}
START_SECONDS = 20.0
ATTEMPTS = 3


class Postgres:
    """A server over one data directory."""

    def __init__(self, data: Path, log: Path, binaries: Binaries | None = None) -> None:
        self.data = data
        self.log = log
        self.binaries = binaries or find()
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def init(self, password: str) -> None:
        """Make the data directory, its superuser authenticated by this password."""
        own_folder(self.data)
        secret = self.data.with_name("superuser.pw")
        secret.write_text(password)
        os.chown(secret, *run_ids())
        secret.chmod(0o600)
        options = ["--username", SUPERUSER, "--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8"]
        options += ["--locale", "C", "--no-sync", "--no-instructions"]
        answer = subprocess.run(
            [self.binaries.path("initdb"), "-D", str(self.data), *options],
            capture_output=True, text=True, env=clean_environment(), cwd="/", **run_as(),
        )  # fmt: skip
        secret.unlink()
        if answer.returncode:
            raise SandboxError(f"initdb failed: {answer.stderr.strip()[-500:]}")

    def start(self, settings: Mapping[str, str] | None = None, *, superuser_password: str) -> None:
        """Start the server and wait until it answers; call it from the main thread (see die_with_parent)."""
        for attempt in range(1, ATTEMPTS + 1):
            self.port = free_port()
            self._launch({**SETTINGS, **(settings or {})})
            if self._answers(superuser_password):
                return
            self.stop()
            if attempt == ATTEMPTS or "could not bind" not in self._log_tail():  # else: another process took the port
                raise SandboxError(f"PostgreSQL did not start; its log {self.log} ends:\n{self._log_tail()}")

    def _launch(self, settings: Mapping[str, str]) -> None:
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries.path("postgres"), "-D", str(self.data), "-p", str(self.port), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(), cwd="/",
                preexec_fn=die_with_parent(signal.SIGQUIT), **run_as(),
            )  # fmt: skip

    def _answers(self, password: str) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.connect(SUPERUSER, password, dbname="postgres").close()
            except psycopg.OperationalError as problem:
                if "password" in str(problem):
                    raise SandboxError(f"PostgreSQL refuses the template's password: {problem}") from problem
                time.sleep(0.03)
            else:
                return True
        return False

    def _log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-800:] if self.log.exists() else ""

    def connect(
        self, user: str, password: str, *, dbname: str = DATABASE, autocommit: bool = True
    ) -> psycopg.Connection[Any]:
        """Open a connection as one of the roles."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=dbname, user=user, password=password,
            sslmode="disable", connect_timeout=10, autocommit=autocommit,
        )  # fmt: skip

    def stop(self, *, clean: bool = False) -> None:
        """End the server: at once, or cleanly so that its statistics are kept."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if clean else signal.SIGQUIT)
            try:
                self.process.wait(timeout=60 if clean else 10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


def own_folder(path: Path) -> None:
    """Make an empty folder that belongs to the run user alone, as PostgreSQL demands."""
    path.mkdir(parents=True)
    os.chown(path, *run_ids())
    path.chmod(0o700)
    if os.geteuid() == 0 and not cache.reachable(path.parent):
        raise SandboxError(
            f"PostgreSQL runs as an unprivileged user, which cannot enter {path.parent}. "
            "Set OPSLIB_CACHE_DIR to a folder that everybody may enter, such as /var/cache/opslib."
        )


def copy_data(template: Path, target: Path) -> None:
    """Copy a stopped server's data directory, sharing blocks where the file system can."""
    command = ["cp", "-a", "--reflink=auto"] if sys.platform == "linux" else ["cp", "-Rp"]
    answer = subprocess.run([*command, str(template), str(target)], capture_output=True, text=True)
    if answer.returncode:
        raise SandboxError(f"The database could not be copied to {target}: {answer.stderr.strip()[-300:]}")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_as_owner(server: Postgres, superuser_password: str, statements: Sequence[str]) -> None:
    """Run the statements as shop_owner in one transaction that pg_stat_statements does not see."""
    with server.connect(SUPERUSER, superuser_password) as connection, connection.transaction():
        connection.execute("SET LOCAL pg_stat_statements.track = 'none'")
        connection.execute("SET LOCAL ROLE shop_owner")
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def cut_sessions(server: Postgres, superuser_password: str) -> None:
    """End every session of a client, as a reboot does; their transactions are rolled back."""
    with server.connect(SUPERUSER, superuser_password) as connection:
        connection.execute("SET pg_stat_statements.track = 'none'")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


def new_passwords(server: Postgres, superuser_password: str) -> dict[str, str]:
    """Give every role a password of its own, so that two sandboxes share none; return them by role."""
    passwords = {role: secrets.token_urlsafe(18) for role in (SUPERUSER, *ROLES)}
    with server.connect(SUPERUSER, superuser_password, dbname="postgres") as connection:
        connection.execute("SET pg_stat_statements.track = 'none'")  # it would show the passwords
        for role, password in passwords.items():
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
    return passwords
