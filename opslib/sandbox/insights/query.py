"""A compiled query, and what it answers."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from opslib.sandbox.insights.parser import Command, Parser
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.values import Row, sort_key, written

MAX_STATS = 10


class Event(NamedTuple):
    """One log event."""

    timestamp: int
    message: str
    stream: str
    group: str
    ingestion: int
    ptr: str


@dataclass
class Answer:
    """Rows of (field, value) in column order, and what was looked at."""

    rows: list[list[tuple[str, str]]]
    records_matched: int
    records_scanned: int
    bytes_scanned: int


def compile_query(text: str, *, tables: Any = None) -> "Query":
    """Return the query, or raise Malformed: what is not modelled is refused, never dropped."""
    commands = Parser(text).commands()
    _check(commands)
    return Query(commands)


class Query:
    """Commands in order; `limit` is that of the text, None without one."""

    def __init__(self, commands: list[Command]) -> None:
        self.commands = commands
        self.is_aggregate = any(command.name == "stats" for command in commands)
        self.limit = next((command.number for command in commands if command.name == "limit"), None)

    def run(
        self, events: Iterable[Event], *, limit: int, start_ms: int, end_ms: int, now_ms: int, source: Any = None
    ) -> Answer:
        """Answer over events of one time range; raises Failed where the data leave open what AWS would say."""
        scan = _Scan(self.commands)
        rows = [row for event in events if (row := scan.row(event)) is not None]
        matched, aggregated, ordered = len(rows), False, False
        for command in self.commands[scan.done :]:
            if command.name == "filter":
                assert command.test
                rows = [row for row in rows if command.test(row)]
                matched = matched if aggregated else len(rows)
            elif command.name in {"fields", "display"}:
                _compute(command, rows)
            elif command.name == "parse":
                rows = _parse(command, rows)
            elif command.name in {"unnest", "expand"}:
                rows = _unnested(command, rows)
            elif command.name == "stats":
                rows, aggregated, ordered = _stats(command, rows), True, False
            elif command.name == "sort":
                rows, ordered = _sorted(command, rows), True
            elif command.name == "dedup":
                rows, ordered = _deduplicated(command, rows if ordered or aggregated else _newest_first(rows)), True
        if not ordered:
            rows = sorted(rows, key=_shuffled) if aggregated else _newest_first(rows)
        rows = rows[: min(limit, self.limit or limit)]
        shown = self._shown()
        return Answer([self._written(row, shown) for row in rows], matched, scan.scanned, scan.bytes)

    def _shown(self) -> list[str]:
        stats = [command for command in self.commands if command.name == "stats"]
        displays = [command for command in self.commands if command.name == "display"]
        after = self.commands[self.commands.index(stats[-1]) + 1 :] if stats else self.commands
        if displays and displays[-1] in after:
            return [name for name, _ in displays[-1].columns]
        if stats:
            extra = [name for command in after if command.name == "fields" for name, _ in command.columns]
            return list(
                dict.fromkeys(
                    [*(name for name, _ in stats[-1].groups), *(name for name, _ in stats[-1].columns), *extra]
                )
            )
        chosen = [name for command in self.commands if command.name == "fields" for name, _ in command.columns]
        return list(dict.fromkeys(chosen)) or ["@timestamp", "@message"]

    def _written(self, row: Row, shown: list[str]) -> list[tuple[str, str]]:
        cells = [(name, written(value)) for name in shown if name != "@ptr" and (value := row.get(name)) is not None]
        return cells if row.event is None else [*cells, ("@ptr", row.event.ptr)]


class _Scan:
    """The filters at the front of a query, applied while events come in: text is searched before JSON is read."""

    def __init__(self, commands: list[Command]) -> None:
        self.scanned = self.bytes = self.done = 0
        self._tests: list[tuple[list[str], Callable[[Row], bool]]] = []
        for command in commands:
            if command.name == "fields" and all(name.startswith("@") or "(" not in name for name, _ in command.columns):
                break
            if command.name != "filter":
                break
            assert command.test
            self._tests.append((command.needles, command.test))
            self.done += 1

    def row(self, event: Event) -> Row | None:
        """Return the event as a row when it passes, else None."""
        message = event.message
        self.scanned += 1
        self.bytes += len(message)
        row = Row(event)
        for needles, test in self._tests:
            if (
                needles
                and "\\" not in message
                and any(needle not in message for needle in needles)
                and not _elsewhere(event, needles)
            ):
                return None
            if not test(row):
                return None
        return row


def _elsewhere(event: Event, needles: list[str]) -> bool:
    """A literal may also be compared with the stream or the group."""
    return any(needle in event.stream or needle in f"000000000000:{event.group}" for needle in needles)


def _check(commands: list[Command]) -> None:
    names = [command.name for command in commands]
    if names.count("stats") > MAX_STATS:
        raise Malformed(f"stand-in: at most {MAX_STATS} stats commands")
    for place, command in enumerate(commands):
        later = names[place + 1 :]
        if command.name == "limit" and later:
            raise Malformed("stand-in: commands after limit are not documented", command.start, command.start + 5)
        if command.name == "dedup" and any(name != "limit" for name in later):
            raise Malformed("stand-in: only limit may follow dedup", command.start, command.start + 5)
        if command.name == "sort" and "stats" in later:
            raise Malformed("stand-in: sort before stats is not valid", command.start, command.start + 4)
    _check_fields(commands)


def _check_fields(commands: list[Command]) -> None:
    """After a stats only its outputs exist."""
    known: set[str] | None = None
    for command in commands:
        used = command.fields - {name for name, _ in command.columns} if command.name == "stats" else command.fields
        if known is not None and (gone := sorted(used - known)):
            raise Malformed(
                f"Unknown symbols found in or after stats: {', '.join(gone)}",
                command.start,
                command.start + len(command.name),
            )
        if command.name == "stats":
            known = {name for name, _ in [*command.groups, *command.columns]}
        elif known is not None:
            known |= {name for name, _ in command.columns}


def _compute(command: Command, rows: list[Row]) -> None:
    for name, expression in command.columns:
        if command.fields == {name} and len(command.columns) == 1:
            continue
        for row in rows:
            value = expression(row)
            if value is not None and not name.startswith("@"):
                row.given[name] = value


def _parse(command: Command, rows: list[Row]) -> list[Row]:
    made: list[Row] = []
    for row in rows:
        value = row.get(command.source)
        text = None if value is None else written(value)
        found = [] if text is None else _finds(command, text)
        if not command.multi:
            row.given.update(found[0] if found else {})
            made.append(row)
        else:
            made += [Row(row.event, {**row.given, **each}) for each in found] or [row]
    return made


def _finds(command: Command, text: str) -> list[dict[str, Any]]:
    if command.reader is not None:
        return [command.reader(text)]
    names = [name for name, _ in command.columns]
    found = [dict(zip(names, match.groups(), strict=True)) for match in command.pattern.finditer(text)]
    return [{name: value for name, value in each.items() if value is not None} for each in found]


def _unnested(command: Command, rows: list[Row]) -> list[Row]:
    name, made = command.columns[0][0], []
    for row in rows:
        value = row.raw(command.source)
        if value == []:
            raise Failed(f"what {command.name} makes of an empty list is not documented")
        items = value if isinstance(value, list) else [value]
        made += [Row(row.event, {**row.given, name: item}) for item in items if item is not None] or [row]
    return made


def _stats(command: Command, rows: list[Row]) -> list[Row]:
    groups: dict[tuple[str, ...], tuple[list[Any], list[Row]]] = {}
    for row in rows:
        values = [expression(row) for _, expression in command.groups]
        if any(value is None for value in values):
            raise Failed("rows without the field of `by` are not documented: guard with ispresent()")
        groups.setdefault(tuple(map(written, values)), (values, []))[1].append(row)
    lines = []
    for values, members in groups.values():
        line = Row(None, {name: value for (name, _), value in zip(command.groups, values, strict=True)})
        for name, column in command.columns:
            value = column(members, line)
            if value is not None:
                line.given[name] = value
        lines.append(line)
    return lines


def _sorted(command: Command, rows: list[Row]) -> list[Row]:
    rows = sorted(rows, key=_shuffled) if len(rows) < 50_000 else rows
    for expression, descending in reversed(command.order):
        keyed = [(expression(row), row) for row in rows]
        if any(value is None for value, _ in keyed):
            raise Failed("the place of rows without the field of `sort` is not documented: filter with ispresent()")
        keyed.sort(key=lambda pair: sort_key(pair[0]), reverse=descending)
        rows = [row for _, row in keyed]
    return rows


def _newest_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.event.timestamp, row.event.ptr))


def _deduplicated(command: Command, rows: list[Row]) -> list[Row]:
    seen: set[tuple[str, ...]] = set()
    kept = []
    for row in rows:
        values = [expression(row) for _, expression in command.columns]
        key = tuple(map(written, values))
        if any(value is None for value in values) or key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def _shuffled(row: Row) -> str:
    """An order that is always the same and means nothing, so that nobody relies on it."""
    text = row.event.ptr if row.event is not None else repr(sorted(row.given.items()))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
