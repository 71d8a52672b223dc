"""Functions, aggregates, arithmetic and parse patterns."""

import csv
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from opslib.sandbox.insights.lexer import Token
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.values import Row, Stamp, number, sort_key, written

Expression = Callable[[Row], Any]
_UNITS = (("ms", 1, 1000), ("s", 1000, 60), ("m", 60_000, 60), ("h", 3_600_000, 24), ("d", 86_400_000, 1))
_FORBIDDEN = re.compile(r"\(\?(?:[=!]|<[=!]|>)|\\[1-9]|\(\?P=|[*+?}]\+")


def _text(value: Any) -> str:
    return "" if value is None else written(value)


def _needed(value: Any) -> float | int:
    found = number(value)
    if found is None:
        raise Failed(f"{_text(value)[:40]!r} is not a number")
    return found


def _concat(*parts: Any) -> str:
    if any(part is None for part in parts):
        raise Failed("concat with a missing field is not documented")
    return "".join(written(part) for part in parts)


def _substr(text: Any, start: Any, length: Any = None) -> str:
    whole, first = written(text), int(start)
    if not 0 <= first <= len(whole):
        raise Failed("substr outside the text is not documented")
    return whole[first:] if length is None else whole[first : first + int(length)]


def _null_in(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: None if values and values[0] is None else function(*values)


def _parsed(text: str) -> Any:
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _address(text: str) -> Any:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _in_subnet(text: str, net: str) -> int:
    address = _address(text)
    if address is None:
        raise Failed(f"{text[:40]!r} is no address: guard with isValidIp()")
    return int(address in ipaddress.ip_network(net))


# name -> (fewest, most arguments, function of the values)
_PLAIN: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "ispresent": (1, 1, lambda value: int(value is not None)),
    "isempty": (1, 1, lambda value: int(value is None or written(value) == "")),
    "isblank": (1, 1, lambda value: int(value is None or written(value).strip() == "")),
    "coalesce": (1, 20, lambda *values: next((value for value in values if value is not None), None)),
    "if": (3, 3, lambda test, yes, no: yes if test else no),
    "isnumeric": (1, 1, lambda value: int(number(value) is not None)),
    "strlen": (1, 1, _null_in(lambda text: len(written(text)))),
    "toupper": (1, 1, _null_in(lambda text: written(text).upper())),
    "tolower": (1, 1, _null_in(lambda text: written(text).lower())),
    "trim": (1, 2, _null_in(lambda text, chars=None: written(text).strip(chars))),
    "ltrim": (1, 2, _null_in(lambda text, chars=None: written(text).lstrip(chars))),
    "rtrim": (1, 2, _null_in(lambda text, chars=None: written(text).rstrip(chars))),
    "concat": (1, 20, _concat),
    "substr": (2, 3, _null_in(_substr)),
    "replace": (3, 3, _null_in(lambda text, old, new: written(text).replace(written(old), written(new)))),
    "strcontains": (2, 3, _null_in(lambda text, part, fold=False: int(_folded(part, fold) in _folded(text, fold)))),
    "startswith": (2, 2, _null_in(lambda text, part: int(written(text).startswith(written(part))))),
    "endswith": (2, 2, _null_in(lambda text, part: int(written(text).endswith(written(part))))),
    "abs": (1, 1, _null_in(lambda value: abs(_needed(value)))),
    "ceil": (1, 1, _null_in(lambda value: math.ceil(_needed(value)))),
    "floor": (1, 1, _null_in(lambda value: math.floor(_needed(value)))),
    "sqrt": (1, 1, _null_in(lambda value: math.sqrt(_needed(value)))),
    "log": (1, 1, _null_in(lambda value: math.log(_needed(value)))),
    "greatest": (1, 20, lambda *values: max(_needed(value) for value in values)),
    "least": (1, 20, lambda *values: min(_needed(value) for value in values)),
    "tonumber": (1, 1, _null_in(_needed)),
    "tomillis": (1, 1, _null_in(lambda value: int(_needed(value)))),
    "frommillis": (1, 1, _null_in(lambda value: Stamp(int(_needed(value))))),
    "jsonparse": (1, 1, _null_in(lambda value: _parsed(written(value)))),
    "jsonstringify": (1, 1, _null_in(lambda value: orjson.dumps(value).decode())),
    "jsonarraysize": (1, 1, _null_in(lambda value: len(found) if isinstance(found := _parsed(written(value)), list) else None)),
    "isipinsubnet": (2, 2, _null_in(lambda value, net: _in_subnet(written(value), written(net)))),
    "isvalidip": (1, 1, _null_in(lambda value: int(_address(written(value)) is not None))),
    "dectohex": (1, 1, _null_in(lambda value: hex(int(_needed(value))))),
    "hextodec": (1, 1, _null_in(lambda value: int(written(value), 16))),
}


def _folded(value: Any, fold: Any) -> str:
    return written(value).lower() if fold else written(value)


def call(token: Token, arguments: list[Expression]) -> Expression:
    """Return a function call; raises Malformed for an unknown function or a wrong number of arguments."""
    word = token.word()
    if word == "bin":
        return _binned(token, [lambda row: row.get("@timestamp"), *arguments], up=False)
    if word in {"datefloor", "dateceil"}:
        return _binned(token, arguments, up=word == "dateceil")
    if word not in _PLAIN:
        raise Malformed(f"stand-in: function {token.text!r} is not modelled", token.start, token.end)
    fewest, most, function = _PLAIN[word]
    if not fewest <= len(arguments) <= most:
        raise Malformed(f"stand-in: {token.text} takes {fewest} to {most} arguments", token.start, token.end)
    return lambda row: function(*(argument(row) for argument in arguments))


def _binned(token: Token, arguments: list[Expression], *, up: bool) -> Expression:
    if len(arguments) != 2:
        raise Malformed(f"stand-in: {token.text} takes a period such as 5m", token.start, token.end)
    time, period = arguments

    def value(row: Row) -> Any:
        moment, width = time(row), int(period(row))
        if moment is None:
            return None
        return Stamp(-(-int(moment) // width) * width if up else int(moment) // width * width)

    return value


def period_ms(token: Token) -> int:
    """Return a period in milliseconds; the number is capped as AWS caps it, and must divide the next unit."""
    digits = re.match(r"\d+", token.text)
    assert digits
    count, unit = int(digits[0]), token.text[digits.end() :].lower()
    for letter, width, cap in _UNITS:
        if (unit.startswith(letter) and (letter != "m" or not unit.startswith("ms"))) and not (
            letter == "ms" and not unit.startswith(("ms", "milli"))
        ):
            count = min(count, cap)
            if count == 0 or cap % count:
                raise Malformed(
                    f"stand-in: how bins of {token.text} are aligned is not documented", token.start, token.end
                )
            return count * width
    if unit.startswith("milli"):
        return min(count, 1000)
    raise Malformed(f"stand-in: period {token.text!r} is not modelled", token.start, token.end)


def arithmetic(sign: str, left: Expression, right: Expression) -> Expression:
    """Return an operation on two numbers; missing values and division by zero are not documented."""

    def value(row: Row) -> Any:
        first, second = left(row), right(row)
        if first is None or second is None:
            raise Failed("arithmetic with a missing field is not documented")
        return _computed(sign, _needed(first), _needed(second))

    return value


def _computed(sign: str, first: float, second: float) -> float:
    if sign in "/%" and second == 0:
        raise Failed("division by zero is not documented")
    result = {"+": lambda: first + second, "-": lambda: first - second, "*": lambda: first * second, "/": lambda: first / second,
              "%": lambda: math.fmod(first, second), "^": lambda: first**second}[sign]()  # fmt: skip
    return int(result) if isinstance(result, float) and result.is_integer() and abs(result) < 2**53 else result


# -- aggregates


@dataclass
class Aggregate:
    """One aggregate call: what to take of each row, and what to make of it."""

    name: str
    take: Expression | None
    extra: float = 0.0
    value: Any = None
    taken: list[Any] = field(default_factory=list)


_AGGREGATES = {
    "count",
    "count_distinct",
    "countdistinct",
    "sum",
    "avg",
    "min",
    "max",
    "pct",
    "stddev",
    "variance",
    "earliest",
    "latest",
    "sortsfirst",
    "sortslast",
}


def is_aggregate(word: str) -> bool:
    """Tell whether a function belongs into stats."""
    return word in _AGGREGATES


def aggregate(token: Token, arguments: list[Expression], made: list[Aggregate]) -> Expression:
    """Register an aggregate call of the stats at hand and return where its value will stand."""
    word = token.word()
    if len(arguments) != (2 if word == "pct" else 1) and not (word == "count" and not arguments):
        raise Malformed(f"stand-in: {token.text} takes one field", token.start, token.end)
    extra = float(arguments[1](Row(None))) if word == "pct" else 0.0
    one = Aggregate(word, arguments[0] if arguments else None, extra)
    made.append(one)
    return lambda row: one.value


def grouped(expression: Expression, made: list[Aggregate]) -> Callable[[list[Row], Row], Any]:
    """Return a column of stats: computes its aggregates over the rows of a group, then its expression."""

    def value(rows: list[Row], line: Row) -> Any:
        for one in made:
            one.value = _reduced(one, rows)
        return expression(line)

    return value


def _reduced(one: Aggregate, rows: list[Row]) -> Any:
    if one.take is None:
        return len(rows)
    pairs = [(row, value) for row in rows if (value := one.take(row)) is not None]
    values = [value for _, value in pairs]
    if one.name == "count":
        return len(values)
    if one.name in {"count_distinct", "countdistinct"}:
        return len({written(value) for value in values})
    if not values:
        return None
    if one.name in {"earliest", "latest"}:
        return (min if one.name == "earliest" else max)(pairs, key=lambda pair: pair[0].get("@timestamp"))[1]
    if one.name in {"sortsfirst", "sortslast"}:
        return (min if one.name == "sortsfirst" else max)(values, key=sort_key)
    if one.name in {"min", "max"} and all(isinstance(value, Stamp) for value in values):
        return (min if one.name == "min" else max)(values)
    return _numeric(one, [_needed(value) for value in values])


def _numeric(one: Aggregate, values: list[float]) -> float:
    if one.name in {"min", "max", "sum"}:
        return {"min": min, "max": max, "sum": sum}[one.name](values)
    mean = sum(values) / len(values)
    if one.name == "avg":
        return mean
    if one.name in {"variance", "stddev"}:
        spread = sum((value - mean) ** 2 for value in values) / len(values)
        if one.name == "stddev" and spread:
            raise Failed("whether stddev is of the sample or the population is not documented")
        return spread
    ordered = sorted(values)
    exact = one.extra / 100 * (len(ordered) - 1)
    if ordered[math.floor(exact)] != ordered[math.ceil(exact)]:
        raise Failed("how pct interpolates is not documented")
    return ordered[math.floor(exact)]


# -- patterns


def regex(token: Token) -> re.Pattern[str]:
    """Return a compiled regular expression of the subset that RE2 and Hyperscan share."""
    if token.kind != "regex":
        raise Malformed("stand-in: expected a string or a regular expression", token.start, token.end)
    if _FORBIDDEN.search(token.value):
        raise Malformed(
            "stand-in: look-around, back-references and possessive groups are not in the engine", token.start, token.end
        )
    try:
        return re.compile(re.sub(r"\(\?<(@?\w)", r"(?P<\1", token.value.replace(r"\/", "/")))
    except re.error as error:
        raise Malformed(f"stand-in: {error}", token.start, token.end) from None


def pattern_of(token: Token, names: list[str]) -> tuple[re.Pattern[str], list[str]]:
    """Return the pattern of parse, glob or regular expression, and the names that it fills."""
    if token.kind == "string":
        pieces = token.value.split("*")
        if len(pieces) - 1 != len(names):
            raise Malformed("stand-in: parse needs a name for each *", token.start, token.end)
        body = "".join(re.escape(piece) + "(.*?)" for piece in pieces[:-1]) + re.escape(pieces[-1])
        return re.compile(body + ("$" if not pieces[-1] else ""), re.DOTALL), names
    compiled = regex(token)
    found = list(compiled.groupindex) or names
    if not found or compiled.groups != len(found):
        raise Malformed("stand-in: every group of parse needs a name", token.start, token.end)
    return compiled, found


def structured(mode: str, names: list[str], token: Token) -> Callable[[str], dict[str, Any]]:
    """Return the reader of `parse .. logfmt as m` or `parse .. csv as a, b`."""
    if mode == "logfmt":
        if len(names) != 1:
            raise Malformed("stand-in: logfmt takes one name", token.start, token.end)
        return lambda text: {names[0]: _logfmt(text)}
    return lambda text: _columns(text, names)


def _logfmt(text: str) -> dict[str, str]:
    if '"' in text:
        raise Failed("how quotes in logfmt are read is not documented")
    return dict(pair.split("=", 1) for pair in text.split() if "=" in pair)


def _columns(text: str, names: list[str]) -> dict[str, str]:
    values = next(csv.reader([text]))
    if len(values) != len(names) or '"' in text:
        raise Failed("csv with quotes, surplus or missing columns is not documented")
    return dict(zip(names, values, strict=True))
