"""The database of the base life, built once: tables, roles, statistics, and a workload for pg_stat_statements."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from opslib.sandbox.postgres import BUILD_SETTINGS, DATABASE, SUPERUSER, Postgres

LIFE = Path(__file__).parent / "life"
SCHEMA = LIFE / "schema.sql"  # tables without indexes: a million rows load faster so
AFTER_COPY = LIFE / "after_copy.sql"  # keys, indexes, sequences
WORKLOAD = Path(__file__).parent / "workload.sql"
WORKLOAD_ROUNDS = 20
BLOCK = 1 << 18

Progress = Callable[[str], None]

ROLES_SQL = """
CREATE ROLE shop_owner LOGIN;
CREATE ROLE ops_reader LOGIN IN ROLE pg_monitor;
ALTER ROLE ops_reader SET default_transaction_read_only = on;
CREATE ROLE ops_writer LOGIN IN ROLE pg_monitor;
"""
GRANTS_SQL = """
GRANT USAGE ON SCHEMA public TO ops_reader, ops_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ops_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ops_writer;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO ops_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public GRANT SELECT ON TABLES TO ops_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ops_writer;
"""


class TemplateBuild:
    """A server that is being filled; what it leaves is copied for every sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(18)
        self.server = Postgres(folder / "data", folder / "build.log")

    def prepare(self) -> None:
        """Make the cluster, its roles and its empty database."""
        self.server.init(self.password)
        self.server.start(BUILD_SETTINGS, superuser_password=self.password)
        with self._connect("postgres") as connection:
            connection.execute(ROLES_SQL)
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER shop_owner")
        with self._connect() as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute("GRANT CREATE ON SCHEMA public TO shop_owner")

    def load(self, tables: Path, progress: Progress) -> None:
        """Fill the tables from the files of COPY named after them, then index and analyze."""
        with self._connect() as connection, connection.transaction():
            connection.execute("SET LOCAL ROLE shop_owner")
            connection.execute(SCHEMA.read_text())  # type: ignore[arg-type]
            for name in (tables / "order.txt").read_text().split():
                progress(f"loading {name} into PostgreSQL")
                copy_table(connection, name, tables / f"{name}.copy")
            progress("indexing the tables")
            connection.execute(AFTER_COPY.read_text())  # type: ignore[arg-type]
        with self._connect() as connection:
            connection.execute(GRANTS_SQL)
            connection.execute("VACUUM ANALYZE")

    def finish(self) -> None:
        """Run a modest workload, so that statistics hold something, and shut down so that they are kept."""
        with self._connect() as connection:
            connection.execute("SELECT pg_stat_statements_reset()")
        self._work()
        self.server.stop(clean=True)
        secret = self.folder / "superuser.pw"
        secret.touch(mode=0o600)
        secret.write_text(self.password)

    def abandon(self) -> None:
        """Stop a half-built server."""
        self.server.stop()

    def _work(self) -> None:
        statements = [part.strip() for part in WORKLOAD.read_text().split(";") if part.strip()]
        with self._connect() as connection:
            connection.execute("SET SESSION AUTHORIZATION shop_owner")
            for _ in range(WORKLOAD_ROUNDS):
                for statement in statements:
                    connection.execute(statement)  # type: ignore[arg-type]

    def _connect(self, dbname: str = DATABASE) -> psycopg.Connection[Any]:
        return self.server.connect(SUPERUSER, self.password, dbname=dbname)


def copy_table(connection: psycopg.Connection[Any], name: str, file: Path) -> None:
    """Load one file in COPY's text format, frozen: the table is of the same transaction, and VACUUM has little to do."""
    command = sql.SQL("COPY {} FROM STDIN (FREEZE)").format(sql.Identifier(name))
    with file.open("rb") as source, connection.cursor() as cursor, cursor.copy(command) as copy:
        while block := source.read(BLOCK):
            copy.write(block)
