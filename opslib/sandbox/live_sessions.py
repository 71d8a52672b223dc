"""Sessions that an incident leaves in PostgreSQL: one that holds row locks, and those that wait for it.

They are connections of the supervisor and cost nothing while they wait. What they changed is never committed.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from opslib.sandbox.postgres import Postgres

OWNER = "shop_owner"


def hold(server: Postgres, passwords: dict[str, str], sessions: Sequence[dict[str, Any]], stack: ExitStack) -> None:
    """Open the sessions of an incident, {"application", "statement", "waits"}, in order, until the stack is closed."""
    for session in sessions:
        connection = server.connect(OWNER, passwords[OWNER], autocommit=False)
        stack.callback(connection.close)
        connection.execute("SELECT set_config('application_name', %s, false)", [session["application"]])
        if session["waits"]:
            connection.pgconn.send_query(session["statement"].encode())  # its answer never comes
        else:
            connection.execute(session["statement"])
