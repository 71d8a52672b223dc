"""Filter patterns on JSON fields, `{ $.level = "error" && $.ms > 100 }`: read into a test of log lines."""

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from opslib.sandbox.service_errors import ServiceError, invalid

MISSING = object()
Test = Callable[[Any], bool]
_STEP = r"""(?:\.[A-Za-z_][\w-]*|\[\d+\]|\.?\[\s*(?:"[^"]+"|'[^']+')\s*\])"""
_TOKEN = re.compile(
    rf"""\s*(?:(?P<selector>\${_STEP}+)|(?P<sign>&&|\|\||!=|<=|>=|[=<>()])|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s"()=<>!&|]+))"""
)
_STEPS = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(\d+)\]|\.?\[\s*["']([^"']+)["']\s*\]""")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_PLAIN = re.compile(r"[\w .,:;@-]+", re.ASCII)  # every JSON writer writes these as they are


@dataclass(frozen=True)
class JsonPattern:
    """A pattern; a line without one of the needles cannot match, and need not be read as JSON."""

    test: Test
    needles: tuple[str, ...] = ()

    def __call__(self, message: str) -> bool:
        """Say whether a line matches; one that is no JSON object never does."""
        if not all(needle in message for needle in self.needles):
            return False
        held = fields(message)
        return held is not None and self.test(held)


def fields(message: str) -> dict[str, Any] | None:
    """Return the fields of a line, or None when it is no JSON object."""
    try:
        held = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    return held if isinstance(held, dict) else None


def selector(path: str) -> Callable[[Any], Any]:
    """Return how to take `$.a.b[0]` out of a line's fields: MISSING where there is none; raises as AWS refuses a wrong one."""
    if not re.fullmatch(rf"\${_STEP}+", path):
        raise _wrong(f"'{path}' is no property selector")
    steps = [int(place) if place else name or quoted for name, place, quoted in _STEPS.findall(path)]

    def take(held: Any) -> Any:
        for step in steps:
            if isinstance(step, int):
                held = held[step] if isinstance(held, list) and step < len(held) else MISSING
            else:
                held = held.get(step, MISSING) if isinstance(held, dict) else MISSING
        return held

    return take


def read(pattern: str) -> JsonPattern:
    """Return the test that a pattern in braces is; raises as AWS refuses a wrong one."""
    if not pattern.endswith("}"):
        raise _wrong("there is no closing brace")
    reader = _Reader(list(_tokens(pattern[1:-1])))
    found = reader.either()
    if reader.kind:
        raise _wrong(f"'{reader.text}' was not expected")
    return found


def _tokens(text: str) -> Iterable[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found:
            raise _wrong(f"'{text[at:].strip()[:20]}' was not expected")
        yield found.lastgroup or "", found[found.lastgroup or 0]
        at = found.end()


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("", "")]
        self._at = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def text(self) -> str:
        return self._tokens[self._at][1]

    def _take(self, *wanted: str) -> str:
        kind, text = self._tokens[self._at]
        if not kind or (wanted and text.upper() not in wanted):
            raise _wrong(f"'{text or 'the end'}' was not expected")
        self._at += 1
        return text

    def either(self) -> JsonPattern:
        parts = [self._both()]
        while self.text == "||":
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else JsonPattern(lambda held: any(one.test(held) for one in parts))

    def _both(self) -> JsonPattern:
        parts = [self._single()]
        while self.text == "&&":
            self._take()
            parts.append(self._single())
        needles = tuple(needle for one in parts for needle in one.needles)
        return JsonPattern(lambda held: all(one.test(held) for one in parts), needles)

    def _single(self) -> JsonPattern:
        if self.text == "(" and self.kind == "sign":
            self._take()
            inner = self.either()
            self._take(")")
            return inner
        if self.kind != "selector":
            raise _wrong(f"'{self.text or 'the end'}' is no property selector")
        take, word = selector(self._take()), self._take().upper()
        if word == "IS":
            wanted = {"NULL": None, "TRUE": True, "FALSE": False}[self._take("NULL", "TRUE", "FALSE").upper()]
            return JsonPattern(lambda held: take(held) is wanted)
        if word == "NOT":
            self._take("EXISTS")
            return JsonPattern(lambda held: take(held) is MISSING)
        return self._compared(take, word)

    def _compared(self, take: Callable[[Any], Any], sign: str) -> JsonPattern:
        kind, text = self.kind, self._take()
        number = float(text) if kind == "word" and _NUMBER.fullmatch(text) else None
        if kind not in ("word", "text") or sign not in ("=", "!=", *_ORDERS) or (sign in _ORDERS and number is None):
            raise _wrong(f"'{sign} {text}' cannot be compared with")
        if number is not None:
            compare = _ORDERS.get(sign, operator.ne if sign == "!=" else operator.eq)
            return JsonPattern(lambda held: _is_number(take(held)) and bool(compare(take(held), number)))
        text = re.sub(r"\\(.)", r"\1", text) if kind == "text" else text
        same = _text_test(text)
        if sign == "!=":
            return JsonPattern(lambda held: _is_scalar(take(held)) and not same(take(held)))
        firm = max(text.split("*"), key=len)
        needles = (firm,) if _PLAIN.fullmatch(firm) else ()
        return JsonPattern(lambda held: same(take(held)), needles)


def _text_test(text: str) -> Test:
    """Return whether a value is a text, `*` in it for anything; `*` alone takes any value that is no object or array."""
    if text == "*":
        return _is_scalar
    exact = re.compile(fnmatch.translate(re.sub(r"([\[?])", r"[\1]", text))) if "*" in text else None
    return lambda value: isinstance(value, str) and bool(exact.match(value) if exact else value == text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return value is not MISSING and not isinstance(value, dict | list)


def _wrong(what: str) -> ServiceError:
    return invalid(f"Invalid filter pattern: {what}")
