"""Tokens to commands: the commands of the language, with expressions as closures over a row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opslib.sandbox.insights import functions
from opslib.sandbox.insights.lexer import Token, tokens
from opslib.sandbox.insights.logic import ABSENT, Test, compare, contains, matching, member, negated, truth
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.values import Row, number, walk

Expression = Callable[[Row], Any]
_REFUSED = {
    "pattern", "anomaly", "diff", "logcompare", "relevantfields", "estimate", "unmask", "filterindex", "join", "lookup", "cidrlookup",
    "json", "source", "appendcols", "addtotals", "accum", "autoregress", "filldown", "sessionize", "fillmissing", "outlier",
    "countfrequent", "search", "order", "head", "tail", "stat",
}  # fmt: skip


@dataclass
class Command:
    """One command between two pipes."""

    name: str
    start: int
    columns: list[tuple[str, Callable[..., Any]]] = field(default_factory=list)
    groups: list[tuple[str, Expression]] = field(default_factory=list)
    test: Test | None = None
    needles: list[str] = field(default_factory=list)
    order: list[tuple[Expression, bool]] = field(default_factory=list)
    number: int = 0
    source: str = "@message"
    pattern: Any = None
    reader: Any = None
    multi: bool = False
    fields: set[str] = field(default_factory=set)


class Parser:
    """Recursive descent over one query; `aggregates` collects the aggregate calls of the stats at hand."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.place = text, tokens(text), 0
        self.aggregates: list[functions.Aggregate] | None = None
        self.seen: set[str] = set()
        self.needles: list[str] = []

    def commands(self) -> list[Command]:
        """Return all commands; raises Malformed."""
        found = []
        while True:
            found.append(self._command())
            if not self._take("|"):
                break
        if self.place < len(self.tokens):
            self.refuse("unexpected symbol")
        return found

    def _command(self) -> Command:
        token = self._next("a command")
        word = token.word()
        word = "filter" if word == "where" else word
        self.seen, self.needles = set(), []
        command = Command(word, token.start)
        rule = (
            getattr(self, f"_{word}", None)
            if word in {"fields", "display", "filter", "stats", "sort", "limit", "dedup", "parse", "unnest", "expand"}
            else None
        )
        if rule is None:
            said = f"command {word!r} is not modelled" if word in _REFUSED else f"unexpected symbol found {token.text}"
            raise Malformed(f"stand-in: {said}", token.start, token.end)
        rule(command)
        command.fields = self.seen
        return command

    def _fields(self, command: Command) -> None:
        command.columns = self._list(self._aliased)

    _display = _fields

    def _filter(self, command: Command) -> None:
        command.test = truth(self._or())
        command.needles = self.needles

    def _stats(self, command: Command) -> None:
        while True:
            self.aggregates = []
            name, expression = self._aliased()
            command.columns.append((name, functions.grouped(expression, self.aggregates)))
            if not self._take(","):
                break
        self.aggregates = None
        if self._take("by"):
            command.groups = self._list(self._aliased)

    def _sort(self, command: Command) -> None:
        self._take("by")
        while True:
            expression = self._sum()
            descending = self._take("desc")
            if not descending:
                self._take("asc")
            command.order.append((expression, bool(descending)))
            if not self._take(","):
                return

    def _limit(self, command: Command) -> None:
        token = self._next("a number")
        if token.kind != "number" or not token.text.isdigit() or not 1 <= int(token.text) <= 100_000:
            raise Malformed("stand-in: limit takes 1 to 100000", token.start, token.end)
        command.number = int(token.text)

    def _dedup(self, command: Command) -> None:
        command.columns = self._list(self._aliased)

    def _parse(self, command: Command) -> None:
        token = self._next("a field or a pattern")
        if token.kind in {"name", "quoted"}:
            command.source = token.value
            token = self._next("a pattern")
        names: list[str] = []
        if self._take("as"):
            names = self._list(lambda: self._name().value)
        if token.word() in {"logfmt", "csv"}:
            command.reader = functions.structured(token.word(), names, token)
        else:
            command.pattern, names = functions.pattern_of(token, names)
            command.multi = bool(self._take("multi"))
        command.columns = [(name, lambda row: None) for name in names]

    def _unnest(self, command: Command) -> None:
        token = self._name()
        self._expect("into")
        command.source, command.columns = token.value, [(self._name().value, lambda row: None)]
        self.seen.add(token.value)

    def _expand(self, command: Command) -> None:
        token = self._name()
        command.source, command.columns = token.value, [(token.value, lambda row: None)]
        self.seen.add(token.value)

    def _list(self, item: Callable[[], Any]) -> list[Any]:
        found = [item()]
        while self._take(","):
            found.append(item())
        return found

    def _aliased(self) -> tuple[str, Expression]:
        begin = self.place
        expression = self._sum() if not self._boolean_ahead() else self._or()
        written = self.text[self.tokens[begin].start : self.tokens[self.place - 1].end]
        name = written.strip("`") if self.place == begin + 1 else written
        return (self._name().value, expression) if self._take("as") else (name, expression)

    def _boolean_ahead(self) -> bool:
        depth = 0
        for token in self.tokens[self.place :]:
            depth += (token.text == "(") - (token.text == ")")
            if depth < 0 or (depth == 0 and token.text in {",", "|"}) or token.word() in {"as", "by"}:
                return False
            if depth == 0 and (
                token.text in {"=", "!=", "<", ">", "<=", ">="} or token.word() in {"like", "in", "and", "or", "not"}
            ):
                return True
        return False

    # -- predicates

    def _or(self) -> Any:
        parts, kept = [self._and()], len(self.needles)
        while self._take("or"):
            parts.append(self._and())
        if len(parts) == 1:
            return parts[0]
        del self.needles[:kept]  # a needle holds only where every event must have it
        self.needles.clear()
        return lambda row: _any(part(row) for part in parts)

    def _and(self) -> Any:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda row: _all(part(row) for part in parts)

    def _not(self) -> Any:
        if self._take("not") or self._take("!"):
            kept = list(self.needles)
            inner = self._not()
            self.needles = kept
            return lambda row: negated(inner(row))
        return self._comparison()

    def _comparison(self) -> Any:
        left = self._sum()
        opposite = bool(self._take("not"))
        if self._take("like") or self._take("=~") or self._take("~="):
            token = self._next("a string or a regular expression")
            if token.kind == "string":
                self._needle(token.value, opposite)
                return contains(left, token.value, opposite)
            return matching(left, functions.regex(token), opposite)
        if self._take("in"):
            return member(left, self._literals(), opposite)
        if opposite:
            self.refuse("expected like or in after not")
        for sign in ("!=", "<=", ">=", "==", "=", "<", ">"):
            if self._take(sign):
                token = self.tokens[self.place] if self.place < len(self.tokens) else None
                right = self._sum()
                if sign in {"=", "=="} and token is not None and token.kind == "string":
                    self._needle(token.value, False)
                return compare(sign, left, right)
        return left

    def _needle(self, text: str, opposite: bool) -> None:
        """Remember a literal that every matching event holds as text, to look for it before reading JSON."""
        if not opposite and text.isascii() and text and number(text) is None:
            self.needles.append(text)

    def _literals(self) -> list[Any]:
        self._expect("[")
        found = []
        while not self._take("]"):
            token = self._next("a value")
            if token.kind not in {"string", "number"}:
                raise Malformed("stand-in: expected a string or a number", token.start, token.end)
            found.append(token.value if token.kind == "string" else number(token.text))
            self._take(",")
        return found

    # -- arithmetic

    def _sum(self) -> Expression:
        left = self._product()
        while sign := self._take("+") or self._take("-"):
            left = functions.arithmetic(sign.text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._power()
        while sign := self._take("*") or self._take("/") or self._take("%"):
            left = functions.arithmetic(sign.text, left, self._power())
        return left

    def _power(self) -> Expression:
        left = self._atom()
        if self._take("^"):
            return functions.arithmetic("^", left, self._atom())
        return left

    def _atom(self) -> Expression:
        token = self._next("a value")
        if token.text == "(":
            inner = self._or() if self._boolean_ahead() else self._sum()
            self._expect(")")
            return inner
        if token.text == "-":
            return functions.arithmetic("-", lambda row: 0, self._atom())
        if token.kind == "number":
            value = number(token.text)
            return lambda row: value
        if token.kind == "period":
            period = functions.period_ms(token)
            return lambda row: period
        if token.kind == "string":
            return lambda row: token.value
        if token.kind in {"name", "quoted"}:
            return self._call(token) if token.kind == "name" and self._take("(") else self._field(token)
        raise Malformed(f"stand-in: unexpected symbol {token.text!r}", token.start, token.end)

    def _field(self, token: Token) -> Expression:
        if token.word() in {"true", "false"}:
            return lambda row: token.word() == "true"
        self.seen.add(token.value)
        return lambda row: row.get(token.value)

    def _call(self, token: Token) -> Expression:
        word = token.word()
        arguments: list[Expression] = []
        star = bool(self._take("*")) if word == "count" else False
        while not self._take(")"):
            arguments.append(self._or() if self._boolean_ahead() else self._sum())
            if not self._take(","):
                self._expect(")")
                break
        if functions.is_aggregate(word):
            if self.aggregates is None:
                raise Malformed(f"stand-in: {token.text} belongs into stats", token.start, token.end)
            return functions.aggregate(token, [] if star else arguments, self.aggregates)
        if word == "bin":
            self.seen.add("@timestamp")
        called = functions.call(token, arguments)
        member = self.tokens[self.place] if self.place < len(self.tokens) else None
        if member is None or member.kind != "member":
            return called
        self.place += 1
        return lambda row: None if (value := called(row)) is None else walk(value, member.text[1:])

    # -- tokens

    def _take(self, text: str) -> Token | None:
        if self.place < len(self.tokens):
            token = self.tokens[self.place]
            if token.kind not in {"string", "quoted", "regex"} and token.text.lower() == text:
                self.place += 1
                return token
        return None

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self.refuse(f"expected {text!r}")

    def _next(self, wanted: str) -> Token:
        if self.place >= len(self.tokens):
            raise Malformed(f"stand-in: expected {wanted}", len(self.text), len(self.text))
        self.place += 1
        return self.tokens[self.place - 1]

    def _name(self) -> Token:
        token = self._next("a name")
        if token.kind not in {"name", "quoted"}:
            raise Malformed("stand-in: expected a name", token.start, token.end)
        return token

    def refuse(self, said: str) -> None:
        """Raise Malformed at the token at hand."""
        token = self.tokens[min(self.place, len(self.tokens) - 1)] if self.tokens else Token("", "", "", 0, 0)
        raise Malformed(f"stand-in: {said} near {token.text!r}", token.start, token.end)


def _any(values: Any) -> Any:
    worst: Any = False
    for value in values:
        if value is True or value == 1:
            return True
        worst = value if value is ABSENT or value is None else worst
    return worst


def _all(values: Any) -> Any:
    worst: Any = True
    for value in values:
        if value is not ABSENT and value is not None and not value:
            return False
        worst = value if value is ABSENT or (value is None and worst is True) else worst
    return worst


__all__ = ["Command", "Failed", "Parser"]
