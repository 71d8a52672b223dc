"""Expressions: or < and < not < comparison < + - < * / % < ^ < minus."""

import re
from dataclasses import replace

from opslib.sandbox.insights.cursor import KEYWORDS, Cursor
from opslib.sandbox.insights.lexer import Token
from opslib.sandbox.insights.patterns import compiled
from opslib.sandbox.insights.periods import milliseconds
from opslib.sandbox.insights.syntax import (
    Arithmetic,
    Both,
    Call,
    Comparison,
    Either,
    Field,
    Like,
    Literal,
    Negative,
    Node,
    Not,
    Path,
    Period,
    Star,
    Subquery,
    Within,
)
from opslib.sandbox.insights.values import plain

_SIGNS = ("=", "==", "!=", "<", "<=", ">", ">=")
_WORDS = {"true": True, "false": False, "null": None}


class ExpressionParser(Cursor):
    """Reads expressions; what has no documented precedence must be in parentheses."""

    def expression(self) -> Node:
        """Step over an expression."""
        node = self._conjunction()
        while self.accept_word("or"):
            right = self._conjunction()
            for side in (node, right):
                if isinstance(side, Both) and not side.bracketed:
                    raise self.refused("`and` beside `or` without parentheses: precedence is not documented", side)
            node = Either(node, right, start=node.start, end=right.end)
        return node

    def _conjunction(self) -> Node:
        node = self._negation()
        while self.accept_word("and"):
            right = self._negation()
            node = Both(node, right, start=node.start, end=right.end)
        return node

    def _negation(self) -> Node:
        start = self.next.start
        if self.accept_word("not") or self.accept("!"):
            operand = self._negation()
            return Not(operand, start=start, end=operand.end)
        return self._comparison()

    def _comparison(self) -> Node:
        node = self._sum()
        if self.next.text in _SIGNS and self.next.kind == "sign":
            sign = self.take().text
            if sign == "==":
                self.notes.append("`==` is not documented: write `=`")
            right = self._sum()
            node = Comparison("=" if sign == "==" else sign, node, right, start=node.start, end=right.end)
        elif self.next.word in {"not", "like", "in"} or self.at("=~") or self.at("~="):
            node = self._matched(node)
        if self.next.text in (*_SIGNS, "=~", "~=") or self.next.word in {"like", "in"}:
            raise self.refused("comparisons in a row: precedence is not documented", self.next)
        return node

    def _matched(self, subject: Node) -> Node:
        negated = bool(self.accept_word("not"))
        if self.accept_word("in"):
            items = self._items()
            return Within(subject, items, negated, start=subject.start, end=self.ended)
        if not negated and self.accept("=~"):
            pattern: str | re.Pattern[str] = self.pattern()
        elif not negated and self.accept("~="):
            self.notes.append("`~=` is not documented: write `like`")
            pattern = self.expect_kind("string").value
        else:
            self.expect_word("like")
            pattern = self.take().value if self.next.kind == "string" else self.pattern()
        return Like(subject, pattern, negated, start=subject.start, end=self.ended)

    def pattern(self) -> re.Pattern[str]:
        """Step over a regular expression whose groups need no names."""
        if not self.at("/"):
            raise self.unexpected("a string or a regular expression")
        token = self.take_regex()
        return compiled(token.value.replace(r"\/", "/"), Node(start=token.start, end=token.end))[0]

    def _items(self) -> "tuple[Literal, ...] | Subquery":
        if self.at("("):
            return self.subquery()
        self.expect("[")
        items = [self._literal()]
        while self.accept(","):
            items.append(self._literal())
        self.expect("]")
        return tuple(items)

    def subquery(self) -> Subquery:
        """Step over a query in parentheses."""
        raise self.refused("a subquery cannot stand here", self.next)

    def _literal(self) -> Literal:
        minus = self.accept("-")
        node = self._primary()
        if not isinstance(node, Literal) or node.value is None or (minus and not isinstance(node.value, int | float)):
            raise self.refused("a list holds strings and numbers", node)
        return Literal(-node.value, start=node.start, end=node.end) if minus else node  # type: ignore[operator]

    def _sum(self) -> Node:
        node = self._product()
        while self.at("+") or self.at("-"):
            sign, right = self.take().text, self._product()
            node = Arithmetic(sign, node, right, start=node.start, end=right.end)
        return node

    def _product(self) -> Node:
        node = self._power()
        while self.at("*") or self.at("/") or self.at("%"):
            sign, right = self.take().text, self._power()
            node = Arithmetic(sign, node, right, start=node.start, end=right.end)
        return node

    def _power(self) -> Node:
        node = self._minus()
        if not self.accept("^"):
            return node
        right = self._minus()
        if self.at("^") or any(isinstance(side, Negative) and not side.bracketed for side in (node, right)):
            raise self.refused("`^` beside `^` or a minus without parentheses: precedence is not documented", node)
        return Arithmetic("^", node, right, start=node.start, end=right.end)

    def _minus(self) -> Node:
        start = self.next.start
        if self.accept("-"):
            operand = self._minus()
            return Negative(operand, start=start, end=operand.end)
        return self._path(self._primary())

    def _path(self, node: Node) -> Node:
        if self.at("[") and self.next.start == node.end:
            raise self.refused("how `[ ]` counts is not documented: write .0 for the first", self.next)
        if self.next.kind == "path" and self.next.start == node.end and not isinstance(node, Literal | Field):
            token = self.take()
            return self._path(Path(node, token.parts, start=node.start, end=token.end))
        return node

    def _primary(self) -> Node:
        token = self.next
        if token.kind == "number" and token.text.isdigit():
            return Literal(int(token.text), start=token.start, end=self.take().end)
        if token.kind == "number":
            value = float(token.text) if "." in token.text else plain(float(token.text))
            return Literal(value, start=token.start, end=self.take().end)
        if token.kind == "string":
            return Literal(token.value, start=token.start, end=self.take().end)
        if token.kind == "period":
            return Period(milliseconds(token), start=token.start, end=self.take().end)
        if token.kind == "name" and token.word not in KEYWORDS:
            return self._named(self.take())
        if self.accept("("):
            inner = self.expression()
            return replace(inner, bracketed=True, start=token.start, end=self.expect(")").end)
        raise self.unexpected("an expression")

    def _named(self, token: Token) -> Node:
        if self.at("(") and token.word:
            return self._call(token)
        if token.word in _WORDS:
            return Literal(_WORDS[token.word], start=token.start, end=token.end)
        if token.word in {"is", "exists", "between"}:
            raise self.refused(f"`{token.word}` is not in the language", token)
        return Field(token.parts, start=token.start, end=token.end)

    def _call(self, token: Token) -> Node:
        self.expect("(")
        arguments: list[Node] = []
        while not self.at(")"):
            if arguments:
                self.expect(",")
            star = self.next
            arguments.append(Star(start=star.start, end=self.take().end) if self.at("*") else self.expression())
        return Call(token.word, tuple(arguments), start=token.start, end=self.expect(")").end)
