"""CloudWatch metric math: expressions read into trees."""

import re
from typing import Any

Node = tuple[Any, ...]
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<text>'[^']*'|\"[^\"]*\")|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\|\||&&|==|!=|<=|>=|[-+*/^<>()\[\],]))"
)
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/"), ("^",))


class MathError(ValueError):
    """The expression is wrong: AWS refuses it too."""


class Unknown(ValueError):
    """The expression may be right, but nobody models it here."""


def parse(text: str) -> Node:
    """Return the tree of an expression."""
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found:
            raise MathError(f"Unexpected character '{text[at:].strip()[0]}'")
        tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
        at = found.end()
    parser = _Parser(tokens)
    tree = parser.binary(0)
    if parser.peek != ("", ""):
        raise MathError(f"Unexpected '{parser.peek[1]}'")
    return tree


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("", "")]
        self._at = 0

    @property
    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def take(self, sign: str = "") -> str:
        kind, text = self.peek
        if sign and text != sign:
            raise MathError(f"Expected '{sign}' but found '{text or 'the end'}'")
        if not kind:
            raise MathError("Unexpected end of expression")
        self._at += 1
        return text

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.single()
        left = self.binary(level + 1)
        while self.peek[1] in _LEVELS[level]:
            left = ("binary", self.take(), left, self.binary(level + 1))
        return left

    def single(self) -> Node:
        kind, text = self.peek
        if text == "-":
            self.take()
            return ("binary", "*", ("number", -1.0), self.single())
        if text == "(":
            self.take()
            inner = self.binary(0)
            self.take(")")
            return inner
        if text == "[":
            return ("array", self.listed("[", "]"))
        self.take()
        if kind == "number":
            return ("number", float(text))
        if kind == "text":
            return ("text", text[1:-1])
        if kind == "name" and self.peek[1] == "(":
            return ("call", text, self.listed("(", ")"))
        if kind == "name":
            return ("name", text)
        raise MathError(f"Unexpected '{text}'")

    def listed(self, opening: str, closing: str) -> list[Node]:
        self.take(opening)
        found: list[Node] = []
        while self.peek[1] != closing:
            if found:
                self.take(",")
            found.append(self.binary(0))
        self.take(closing)
        return found
