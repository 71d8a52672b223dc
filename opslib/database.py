"""PostgreSQL by keyword arguments: read-only, with a statement timeout, and errors that never repeat a password."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib.config import Environment
from opslib.config_sections import Database
from opslib.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    import pandas as pd

CONNECT_SECONDS = 3


def connect(environment: Environment, *, replica: bool = False) -> Any:
    """Open a read-only psycopg connection to the environment's database; close it with `with`.

    `replica` asks for the read replica; an environment that names no `replica_host` answers with the primary.
    Raises ConfigError without a [database] section, DatabaseError when there is no way to it.
    """
    import psycopg

    database = environment.database
    if database is None:
        raise ConfigError(
            f"environment {environment.name!r} has no database",
            fix=f"add [env.{environment.name}.database] with host, dbname and user",
        )
    if replica and database.replica_host:
        place = {"host": database.replica_host, "hostaddr": database.replica_hostaddr, "port": database.replica_port}
        database = database.model_copy(update=place)
    password = _password(environment, database)
    try:
        return psycopg.connect(**_arguments(database), password=password, autocommit=True)
    except (psycopg.Error, ValueError) as error:
        raise _unreachable(error, database, password) from None  # libpq may repeat the password in its message


def connect_to_change(environment: Environment) -> Any:
    """Open a connection of the role that applies a data fix: it may write, and waits for no lock longer than 2 s.

    Transactions are the caller's. Raises ConfigError when the environment names no `change_user`.
    """
    import psycopg

    database = environment.database
    if database is None or not database.change_user:
        fix = f"add change_user to [env.{environment.name}.database], a role that may write these tables and no more"
        raise ConfigError("no role may change data here", why="the configuration names no change_user", fix=fix)
    named = {
        "user": database.change_user,
        "password_env": database.change_password_env,
        "password_file": database.change_password_file,
    }
    database = database.model_copy(update=named)
    password = _password(environment, database)
    arguments = _arguments(database)
    arguments["options"] = arguments["options"].replace("default_transaction_read_only=on", "lock_timeout=2000")
    try:
        return psycopg.connect(**arguments, password=password)
    except (psycopg.Error, ValueError) as error:
        raise _unreachable(error, database, password) from None


def fetch(environment: Environment, query: str, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Run queries/<query>.sql with bound parameters and return its rows, one column a select item.

    Raises DatabaseError when there is no way to the database or the statement failed.
    """
    with connect(environment) as connection:
        return ask(connection, query, parameters)


def ask(connection: Any, query: str, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Run queries/<query>.sql on an open connection; raises DatabaseError when the statement failed."""
    import pandas as pd
    import psycopg

    try:  # never prepared: a generic plan would not see the window
        cursor = connection.execute(query_text(query), dict(parameters), prepare=False)
    except psycopg.Error as error:
        raise _refused(query, error) from None
    return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])


def _refused(query: str, error: Exception) -> DatabaseError:
    import psycopg

    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return DatabaseError(
            f"query {query} was denied", why=why, fix="grant the reader role SELECT on it", sight="denied"
        )
    if isinstance(error, psycopg.errors.QueryCanceled):
        fix = "narrow the window, or raise `statement_timeout_s`"
        return DatabaseError(f"query {query} took longer than the statement timeout", why=why, fix=fix)
    fix = "try it by hand; the statement is shown under the answer"
    return DatabaseError(f"query {query} failed", why=why, fix=fix)


def query_text(query: str) -> str:
    """Return the text of queries/<query>.sql."""
    return resources.files("opslib.queries").joinpath(f"{query}.sql").read_text(encoding="utf-8")


def _arguments(database: Database) -> dict[str, Any]:
    """Return the keyword arguments of libpq: the certificate is checked against `host` even through a port forward."""
    timeout = int(database.statement_timeout_s * 1000)
    arguments: dict[str, Any] = {
        "host": database.host,
        "port": database.port,
        "dbname": database.dbname,
        "user": database.user,
        "sslmode": database.sslmode,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "opslib",
        "options": f"-c default_transaction_read_only=on -c statement_timeout={timeout} -c timezone=UTC",
    }
    if database.hostaddr:
        arguments["hostaddr"] = database.hostaddr
    if database.sslmode.startswith("verify"):
        arguments["sslrootcert"] = database.sslrootcert
    return arguments


def _password(environment: Environment, database: Database) -> str:
    if database.password_env:
        if value := os.environ.get(database.password_env):
            return value
        raise ConfigError(
            f"environment variable {database.password_env} is empty",
            why="it is named by `password_env`",
            fix=f"export {database.password_env}",
        )
    if database.password_file:
        try:
            return Path(database.password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"{database.password_file} cannot be read", why=error.strerror or "", fix="correct `password_file`"
            ) from None
    client = aws.client(environment, "rds")
    return str(client.generate_db_auth_token(DBHostname=database.host, Port=database.port, DBUsername=database.user))


def _unreachable(error: Exception, database: Database, password: str) -> DatabaseError:
    said = re.sub(r"\s+", " ", str(error)).strip()
    why = said.replace(password, "[redacted]") if password else said
    where = f"{database.host}:{database.port}" + (f" by {database.hostaddr}" if database.hostaddr else "")
    if "certificate" in why or "SSL" in why:
        fix = 'check sslmode and sslrootcert; through a port forward keep `host` and set `hostaddr` = "127.0.0.1"'
    elif "authentication" in why or "password" in why:
        fix = 'check `user` and how the password is named (password_env, password_file, or auth = "iam")'
    else:
        fix = "check network, VPN or the port forward; the parts that need no database go on"
    return DatabaseError(f"no way to the database at {where}", why=why, fix=fix)
