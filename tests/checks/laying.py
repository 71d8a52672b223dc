"""Attacks laid into a sandbox: rows of the table audit_logs, and lines of the audit log group."""

import json
from collections.abc import Sequence

import psycopg

from opslib.sandbox.control import Sandbox
from opslib.sources.audit import COLUMNS
from tests.checks.planted_attacks import Attack, Row

GROUP, STREAM = "/shop/audit", "audit/0f6b21c49d3a"


def lay(sandbox: Sandbox, attacks: Sequence[Attack]) -> None:
    """Write the attacks; what an attack `lacks` is written nowhere else. Lines cannot be taken back: use a sandbox of one's own."""
    with psycopg.connect(**sandbox.postgres_dsn("shop_owner")) as connection:
        first = connection.execute("select max(id) + 1 from audit_logs").fetchone()[0]  # type: ignore[index]
        rows, lines = [], []
        for attack in attacks:
            own = attack.records(first)
            first += len(own)
            rows += [*(own if attack.lacks not in ("table", "both") else []), *attack.earlier(first)]
            first += len(attack.before)
            lines += own if attack.lacks not in ("log", "both") else []
        holes = ", ".join(["%s"] * len(COLUMNS))
        said = f"insert into audit_logs ({', '.join(COLUMNS)}) values ({holes})"
        connection.cursor().executemany(said, [[row[name] for name in COLUMNS] for row in rows])
    events = [{"timestamp": round(row["at"].timestamp() * 1000), "message": _line(row)} for row in lines]
    events.sort(key=lambda event: event["timestamp"])
    sandbox.client("logs").put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


def _line(row: Row) -> str:
    """Return the line of a row as the application writes it."""
    said = {name: row[name] for name in COLUMNS if name not in ("id", "at", "detail")}
    more = {
        "time": row["at"].isoformat(),
        "level": "info",
        "service": "audit",
        "audit_id": row["id"],
        "detail": json.loads(row["detail"]),
    }
    return json.dumps({**more, **said, "message": f"{row['action']} by {row['actor']}: {row['outcome']}"})
