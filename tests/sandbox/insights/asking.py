"""Events and answers as plain Python, for tables of cases."""

import json
from typing import Any

from opslib.sandbox.insights import Event, LookupTable, compile_query

ZERO = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY = "2026-01-01 00:"
Given = list[tuple[float, Any]]
Rows = list[dict[str, str]]
OTHER_GROUPS: dict[str, Given] = {
    "/users": [(0, {"id": "u1", "name": "bo"}), (1, {"id": "u2", "name": "al"}), (2, {"id": "u2", "name": "mi"})],
    "/flags": [(0, {"e": 1, "id": "x"}), (1, {"e": 0, "id": "y"})],
}
TABLES = {
    "t": LookupTable(("u", "nm"), [("1", "bo")]),
    "places": LookupTable(("shop", "floor", "name"), [("a", "1", "toys"), ("a", "2", "tea"), ("b", "1", "x"), ("b", "1", "y")]),
}  # fmt: skip


def events(given: Given, group: str = "/shop/api") -> list[Event]:
    """Return events from (seconds after ZERO, text or something for JSON)."""
    return [
        Event(
            ZERO + int(at * 1000), what if isinstance(what, str) else json.dumps(what), "stream", group, ZERO, f"{group}-{n}"
        )
        for n, (at, what) in enumerate(given)
    ]  # fmt: skip


def answer(query: str, given: Given) -> Rows:
    """Return the rows of an answer without their pointers."""
    found = compile_query(query, tables=TABLES).run(
        events(given),
        limit=10_000,
        start_ms=ZERO,
        end_ms=ZERO + 3_600_999,
        now_ms=ZERO + 7_200_000,
        source=lambda groups: [event for group in groups for event in events(OTHER_GROUPS[group], group)],
    )
    return [{name: value for name, value in row if name != "@ptr"} for row in found.rows]
