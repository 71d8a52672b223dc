"""The dimensions of Performance Insights: how it names and groups the kinds of sessions, and what it counts of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from opslib.sandbox.database_load import DATABASE, Session
from opslib.sandbox.service_errors import ServiceError

CUT = 500  # bytes of an element
GROUPS: dict[str, tuple[str, ...]] = {
    "db": ("db.id", "db.name"),
    "db.application": ("db.application.name",),
    "db.host": ("db.host.id", "db.host.name"),
    "db.session_type": ("db.session_type.name",),
    "db.sql": ("db.sql.id", "db.sql.db_id", "db.sql.tokenized_id", "db.sql.statement"),
    "db.sql_tokenized": ("db.sql_tokenized.id", "db.sql_tokenized.db_id", "db.sql_tokenized.statement"),
    "db.user": ("db.user.id", "db.user.name"),
    "db.wait_event": ("db.wait_event.name", "db.wait_event.type"),
    "db.wait_event_type": ("db.wait_event_type.name",),
}
# Statistics of statements: unit, description.
STATISTICS = {
    "calls_per_sec": ("Calls/sec", "Calls per second"),
    "rows_per_sec": ("Rows/sec", "Rows per second"),
    "total_time_per_sec": ("ms/sec", "Average active executions, in milliseconds per second"),
    "avg_latency_per_call": ("ms/call", "Average latency per call"),
    "rows_per_call": ("Rows/call", "Rows per call"),
    "shared_blks_hit_per_call": ("Blocks/call", "Buffer hits per call"),
    "shared_blks_read_per_call": ("Blocks/call", "Blocks read per call"),
}


@dataclass(frozen=True)
class Group:
    """Sessions that share the values of some dimensions."""

    dimensions: dict[str, str]
    columns: list[int]


def invalid_argument(message: str) -> ServiceError:
    """Return Performance Insights' error for an argument it refuses."""
    return ServiceError("InvalidArgumentException", message)


def values_of(session: Session) -> dict[str, str]:
    """Return all dimensions of a kind of session, whole."""
    kind = session.wait.partition(":")[0]
    background = session.statement.startswith("autovacuum")
    found = {
        "db.id": _id(DATABASE), "db.name": DATABASE, "db.host.id": _id(session.host), "db.host.name": session.host,
        "db.user.id": _id(session.user), "db.user.name": session.user,
        "db.session_type.name": "autovacuum worker" if background else "client backend",
        "db.sql.id": _id("whole " + session.statement), "db.sql.db_id": _number(session.statement),
        "db.sql.tokenized_id": session.sql_id, "db.sql.statement": session.statement,
        "db.sql_tokenized.id": session.sql_id, "db.sql_tokenized.db_id": _number(session.statement),
        "db.sql_tokenized.statement": session.statement,
        "db.wait_event.name": session.wait, "db.wait_event.type": kind, "db.wait_event_type.name": kind,
    }  # fmt: skip
    return found | ({} if background else {"db.application.name": session.user.replace("_", "-")})


def _id(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest().upper()


def _number(statement: str) -> str:
    return str(int(hashlib.sha1(statement.encode()).hexdigest()[:15], 16))


def shown(dimensions: Mapping[str, str]) -> dict[str, str]:
    """Return the values as answers carry them: cut at 500 bytes, within no character."""
    return {name: value.encode()[:CUT].decode(errors="ignore") for name, value in dimensions.items()}


def asked(group_by: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dimensions that a group asks for, or refuse it."""
    known = GROUPS.get(group_by["Group"])
    if known is None:
        raise invalid_argument(f"{group_by['Group']} is not a valid group")
    wanted = tuple(group_by.get("Dimensions") or known)
    if wrong := [name for name in wanted if name not in known]:
        raise invalid_argument(f"{wrong[0]} is not a valid dimension of {group_by['Group']}")
    return wanted


def passing(sessions: list[Session], given: Mapping[str, str] | None) -> list[int]:
    """Return the columns of the sessions that pass a filter."""
    known = {name for names in GROUPS.values() for name in names}
    if wrong := [name for name in given or () if name not in known]:
        raise invalid_argument(f"{wrong[0]} is not a valid dimension to filter by")
    whole = [values_of(session) for session in sessions]
    return [place for place, each in enumerate(whole) if all(each.get(k) == v for k, v in (given or {}).items())]


def top(sessions: list[Session], load: Any, columns: list[int], group_by: Mapping[str, Any]) -> list[Group]:
    """Return the groups with the most load, at most Limit (10); sessions without the dimension are in none."""
    wanted, found = asked(group_by), {}
    for column in columns:
        values = values_of(sessions[column])
        if wanted[0] in values:
            dimensions = {name: values[name] for name in wanted if name in values}
            found.setdefault(tuple(dimensions.items()), Group(dimensions, [])).columns.append(column)
    busy = load.sum(axis=0) if len(load) else np.zeros(len(sessions))
    ranked = sorted(found.items(), key=lambda item: (-round(float(busy[item[1].columns].sum()), 9), item[0]))
    some = [group for _, group in ranked if float(busy[group.columns].sum()) > 0]
    return some[: group_by.get("Limit") or 10]


def statistics(
    sessions: list[Session], mean: Any, columns: list[int], names: list[str], group: str
) -> dict[str, float]:
    """Return statistics of one statement over a window; none for what is no statement of a client."""
    rated = [column for column in columns if sessions[column].latency_ms > 0]
    if not rated:
        return {}
    time_ms = {column: float(mean[column]) * 1000 for column in rated}
    calls = {column: time_ms[column] / sessions[column].latency_ms for column in rated}
    total, count = sum(time_ms.values()), sum(calls.values())
    rows = sum(calls[column] * sessions[column].rows for column in rated)
    blocks = sum(calls[column] * sessions[column].blocks for column in rated)
    per_call = max(count, 1e-12)
    known = {
        "calls_per_sec": count, "rows_per_sec": rows, "total_time_per_sec": total, "avg_latency_per_call": total / per_call,
        "rows_per_call": rows / per_call, "shared_blks_hit_per_call": 0.98 * blocks / per_call,
        "shared_blks_read_per_call": 0.02 * blocks / per_call,
    }  # fmt: skip
    found = {}
    for name in names:
        stem = name.removeprefix(f"{group}.stats.").removesuffix(".avg")
        if stem not in known or not name.endswith(".avg"):
            raise invalid_argument(f"{name} is not a valid additional metric of {group}")
        found[name] = round(known[stem], 6)
    return found
