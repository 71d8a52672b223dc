"""A streaming replica of the sandbox's PostgreSQL, copied from the running primary."""

import subprocess
from pathlib import Path

from opslib.sandbox.errors import SandboxError
from opslib.sandbox.postgres import SUPERUSER, Postgres, own_folder
from opslib.sandbox.postgres_binaries import clean_environment, run_as

PRIMARY, NAME, SLOT = "shop-db", "shop-db-replica-1", "shop_db_replica_1"


def start(primary: Postgres, password: str, data: Path, log: Path, settings: dict[str, str]) -> Postgres:
    """Copy the primary, start the copy as its standby and return it; it streams when it answers."""
    own_folder(data)
    replica = Postgres(data, log, primary.binaries)
    where = f"host=127.0.0.1 port={primary.port} user={SUPERUSER} sslmode=disable application_name={NAME}"
    command = [replica.binaries.path("pg_basebackup"), "-d", where, "-D", str(data), "-R", "-C", "-S", SLOT]
    answer = subprocess.run(
        [*command, "-X", "stream", "-c", "fast", "--no-sync"],
        capture_output=True, text=True, env=clean_environment() | {"PGPASSWORD": password}, cwd="/", **run_as(),
    )  # fmt: skip
    if answer.returncode:
        raise SandboxError(f"the replica could not be copied: {answer.stderr.strip()[-500:]}")
    log.unlink(missing_ok=True)
    replica.start(settings, superuser_password=password)
    return replica
