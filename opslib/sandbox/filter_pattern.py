"""Filter patterns of searches and metric filters: plain terms and JSON fields; what is not modelled is refused, never ignored."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from opslib.sandbox import json_pattern
from opslib.sandbox.service_errors import NotModelled, invalid

Matcher = Callable[[str], bool]
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')
_PLAIN = re.compile(r"[^\W]+")  # letters, digits and _; anything else must stand in quotes


@dataclass(frozen=True)
class _Term:
    sign: str
    text: str


def compile_pattern(pattern: str, operation: str = "FilterLogEvents") -> Matcher:
    """Return a test of messages; an empty pattern takes all. Terms are matched as text anywhere, case by case."""
    pattern = pattern.strip()
    for start, kind in (("[", "on columns"), ("%", "with regular expressions")):
        if pattern.startswith(start):
            raise NotModelled("logs", operation, f"filter patterns {kind} are not modelled")
    if is_json(pattern):
        return json_pattern.read(pattern)
    terms = _terms(pattern)
    needed = [term.text for term in terms if term.sign == ""]
    excluded = [term.text for term in terms if term.sign == "-"]
    either = [term.text for term in terms if term.sign == "?"]
    if either and (needed or excluded):
        raise NotModelled("logs", operation, "filter patterns that mix ?terms with others are not modelled")
    if either:
        return lambda message: any(text in message for text in either)
    if excluded:
        return lambda message: all(t in message for t in needed) and not any(t in message for t in excluded)
    return lambda message: all(text in message for text in needed)


def is_json(pattern: str) -> bool:
    """Say whether a pattern is one on JSON fields."""
    return pattern.lstrip().startswith("{")


def _terms(pattern: str) -> list[_Term]:
    terms, at = [], 0
    while at < len(pattern):
        found = _TERM.match(pattern, at)
        if not found:
            raise invalid("Invalid filter pattern: unbalanced quotation mark")
        sign, quoted, plain = found.groups()
        if plain is not None and not _PLAIN.fullmatch(plain):
            raise invalid(f"Invalid character(s) in term '{plain}'")
        terms.append(_Term(sign, plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)))
        at = found.end()
        if at < len(pattern) and not pattern[at].isspace():
            raise invalid("Invalid filter pattern: terms must be separated by spaces")
    return terms
