"""Functions of times, and the two dialects of their patterns."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.function import Function, literal_text
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.syntax import Call, Field, Node, Period
from opslib.sandbox.insights.values import Stamp, brief, needed, written

if TYPE_CHECKING:
    from opslib.sandbox.insights.expressions import Expressions

_JAVA = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "SSS": "%f",
         "MMM": "%b", "XXX": "%z", "X": "%z", "Z": "%z", "xxx": "%z", "xx": "%z"}  # fmt: skip
_JAVA_PIECE = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']")
_STRFTIME = re.compile(r"%[YmdHMSjaAbByIp%]|[^%]")


def _period(node: Node) -> int:
    if not isinstance(node, Period):
        raise Malformed("expected a period such as 5m", node.start, node.end)
    return node.milliseconds


def _bin(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
    width = _period(call.arguments[0])
    read = compiler.value(Field(("@timestamp",), start=call.start, end=call.end))
    return lambda row: Stamp(read(row) // width * width)


def _stepped(up: bool) -> Callable[["Expressions", Call], Callable[[Row], Any]]:
    def prepare(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
        read, width = compiler.value(call.arguments[0]), _period(call.arguments[1])

        def step(row: Row) -> Any:
            value = read(row)
            if value is None or isinstance(value, dict | list):
                return None
            moment = _moment(value)
            return Stamp(-(-moment // width) * width if up else moment // width * width)

        return step

    return prepare


def _moment(value: Any) -> int:
    """A time is a timestamp, or a whole number of milliseconds."""
    if isinstance(value, Stamp):
        return int(value)
    found = needed(value)
    if not isinstance(found, int):
        raise Failed(f"{brief(value)} is no time")
    return found


def _to_millis(value: Any) -> int:
    if not isinstance(value, Stamp):
        raise Failed(f"toMillis of {brief(value)} is not documented: it takes a time")
    return int(value)


def _known(read: Callable[["Expressions"], int]) -> Callable[["Expressions", Call], Callable[[Row], Any]]:
    def prepare(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
        value = read(compiler)
        return lambda row: value

    return prepare


def _zone(call: Call) -> ZoneInfo:
    if len(call.arguments) < 3:
        return ZoneInfo("UTC")
    try:
        return ZoneInfo(literal_text(call, 2))
    except (ZoneInfoNotFoundError, ValueError):
        raise Malformed("this time zone is unknown", call.arguments[2].start, call.arguments[2].end) from None


def _parse_date(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
    pattern, zone, read = _java(call), _zone(call), compiler.value(call.arguments[0])

    def parse(row: Row) -> Any:
        value = read(row)
        if value is None or isinstance(value, dict | list):
            return None
        try:
            moment = datetime.strptime(written(value), pattern)
        except ValueError:
            raise Failed(f"parseDate of {brief(value)}, which its pattern does not fit, is not documented") from None
        return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)

    return parse


def _java(call: Call) -> str:
    pattern, made, place = literal_text(call, 1), "", 0
    while place < len(pattern):
        piece = _JAVA_PIECE.match(pattern, place)
        letters = piece[0] if piece else ""
        if piece is None or (piece[2] and letters not in _JAVA):
            raise Malformed(f"{pattern[place:]!r} of this pattern is not modelled", call.start, call.end)
        text = _JAVA[letters] if piece[2] else (piece[1] or "'" if letters[0] == "'" else letters).replace("%", "%%")
        made, place = made + text, piece.end()
    if "yyyy" not in pattern:
        raise Malformed("a pattern without yyyy is not modelled", call.start, call.end)
    return made


def _format_date(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
    pattern, zone, read = literal_text(call, 1), _zone(call), compiler.value(call.arguments[0])
    if "".join(piece[0] for piece in _STRFTIME.finditer(pattern)) != pattern:
        raise Malformed(f"the pattern {pattern!r} is not modelled", call.start, call.end)

    def shape(row: Row) -> Any:
        value = read(row)
        if value is None or isinstance(value, dict | list):
            return None
        return datetime.fromtimestamp(_moment(value) / 1000, UTC).astimezone(zone).strftime(pattern)

    return shape


FUNCTIONS: dict[str, Function] = {
    "bin": Function(1, 1, prepare=_bin),
    "datefloor": Function(2, 2, prepare=_stepped(False)),
    "dateceil": Function(2, 2, prepare=_stepped(True)),
    "frommillis": Function(1, 1, lambda value: Stamp(_moment(value))),
    "tomillis": Function(1, 1, _to_millis),
    "now": Function(0, 0, prepare=_known(lambda compiler: compiler.setting.now_ms // 1000)),
    "querystarttime": Function(0, 0, prepare=_known(lambda compiler: compiler.setting.start_ms)),
    "queryendtime": Function(0, 0, prepare=_known(lambda compiler: compiler.setting.end_ms // 1000 * 1000)),
    "querytimerange": Function(
        0, 0, prepare=_known(lambda compiler: compiler.setting.end_ms // 1000 * 1000 - compiler.setting.start_ms)
    ),
    "parsedate": Function(2, 3, prepare=_parse_date),
    "formatdate": Function(2, 3, prepare=_format_date),
    "strftime": Function(2, 3, prepare=_format_date),
}
