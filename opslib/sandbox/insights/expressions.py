"""Expressions compiled to closures over a row."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opslib.sandbox.insights import discovery, logic
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.function import Function
from opslib.sandbox.insights.functions import FUNCTIONS
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.scope import Scope
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
    Subquery,
    Within,
)
from opslib.sandbox.insights.values import needed, number, plain

Reader = Callable[[Row], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A subquery that was compiled: the names in its scope, and what runs it."""

    scope: Scope
    values: Callable[[], list[Any]]  # of its one column
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run knows beside its rows."""

    start_ms: int = 0
    end_ms: int = 0
    now_ms: int = 0
    subquery: "Callable[[Subquery], Prepared] | None" = None


class Expressions:
    """Compiles expressions under the names that exist."""

    def __init__(self, text: str, scope: Scope, setting: Setting) -> None:
        self.text, self.scope = text, scope
        self.setting: Setting = setting

    def value(self, node: Node) -> Reader:
        """Return what computes a value; raises Malformed where the language has none."""
        spelled = self.text[node.start : node.end]
        if self.scope.closed and not isinstance(node, Field | Literal) and spelled in self.scope.defined:
            return self.scope.reader(Field((spelled,)))  # a column of a stats that has no name of its own
        match node:
            case Literal(value=value) if value is not None:
                return lambda row: value
            case Field():
                return self.scope.reader(node)
            case Call():
                return self._call(node)
            case Path(base=base, keys=keys):
                inner = self.whole(base)
                return lambda row: discovery.inside(inner(row), keys, ".".join(keys))
            case Arithmetic(sign=sign):
                return _arithmetic(sign, self.value(node.left), self.value(node.right))
            case Negative():
                operand = self.value(node.operand)
                return lambda row: -needed(operand(row))
            case Both() | Either() | Not() | Comparison() | Like() | Within():
                raise Malformed("a comparison is no value: write if(…, 1, 0)", node.start, node.end)
        raise Malformed("no value can stand here", node.start, node.end)

    def whole(self, node: Node) -> Reader:
        """Return what computes a value that may be a list or a map."""
        return self.scope.reader(node, whole=True) if isinstance(node, Field) else self.value(node)

    def counted(self, node: Node) -> Reader:
        """Return a value in which a comparison counts as 1 or 0, as sum() takes it."""
        if not isinstance(node, Both | Either | Not | Comparison | Like | Within):
            return self.value(node)
        test = self.truth(node)
        return lambda row: int(logic.decided(test(row)))

    def truth(self, node: Node) -> logic.Test:
        """Return what decides true or false; raises Malformed for what is neither."""
        match node:
            case Both():
                return logic.both(self.truth(node.left), self.truth(node.right))
            case Either():
                return logic.either(self.truth(node.left), self.truth(node.right))
            case Not():
                return logic.negation(self.truth(node.operand))
            case Comparison():
                return self._comparison(node)
            case Like():
                return logic.like(self.value(node.subject), node.pattern, negated=node.negated)
            case Within():
                return logic.within(self.value(node.subject), self._listing(node), negated=node.negated)
            case Literal(value=bool() as flag):
                return lambda row: flag
            case Call(name="ispresent", arguments=(Field() as field,)):
                present = self.value(field)
                return lambda row: present(row) is not None
            case Call(name=name) if name not in FUNCTIONS or FUNCTIONS[name].predicate:
                return _flag(self._call(node))
        raise Malformed("expected a comparison", node.start, node.end)

    def _comparison(self, node: Comparison) -> logic.Test:
        left, right = node.left, node.right
        if isinstance(right, Literal) and isinstance(right.value, str) and node.sign in {"=", "!="}:
            if number(right.value) is None:
                return logic.equals_text(self.value(left), right.value, negated=node.sign == "!=")
        elif isinstance(right, Literal) and isinstance(right.value, bool) and node.sign not in {"=", "!="}:
            raise Malformed("true and false have no order", node.start, node.end)
        return logic.comparison(node.sign, self.value(left), self.value(right))

    def _listing(self, node: Within) -> Callable[[], logic.Listing]:
        if not isinstance(node.items, Subquery):
            fixed = logic.Listing([item.value for item in node.items])
            return lambda: fixed
        prepared = self.prepared(node.items)
        made: list[logic.Listing] = []

        def listing() -> logic.Listing:
            if not made:
                made.append(logic.Listing(prepared.values()))
            return made[0]

        return listing

    def prepared(self, query: Subquery) -> Prepared:
        """Return a subquery compiled."""
        if self.setting.subquery is None:
            raise Malformed("queries inside of subqueries are not in the language", query.start, query.end)
        return self.setting.subquery(query)

    def _call(self, node: Call) -> Reader:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise Malformed(f"the function {node.name} is not modelled here", node.start, node.end)
        if not function.fewest <= len(node.arguments) <= function.most:
            raise Malformed(f"{node.name} takes {_count(function)} arguments", node.start, node.end)
        if function.prepare:
            return function.prepare(self, node)
        read = self.whole if function.whole else self.value
        return _applied(function, [read(argument) for argument in node.arguments])


def _count(function: Function) -> str:
    return str(function.fewest) if function.fewest == function.most else f"{function.fewest} to {function.most}"


def _applied(function: Function, arguments: list[Reader]) -> Reader:
    apply = function.apply
    if function.nulls:
        return lambda row: apply(*[argument(row) for argument in arguments])

    def call(row: Row) -> Any:
        values = [argument(row) for argument in arguments]
        for value in values:
            if value is None or (not function.whole and isinstance(value, dict | list)):
                return None
        return apply(*values)

    return call


def _flag(read: Reader) -> logic.Test:
    def test(row: Row) -> logic.Verdict:
        value = read(row)
        return logic.Maybe.NO if value is None else value == 1

    return test


def _arithmetic(sign: str, left: Reader, right: Reader) -> Reader:
    compute = _OPERATIONS[sign]
    return lambda row: plain(compute(needed(left(row)), needed(right(row))))


def _divided(first: float, second: float) -> float:
    if second == 0:
        raise Failed("division by zero is not documented")
    return first / second


def _remainder(first: float, second: float) -> float:
    if second <= 0 or first < 0:
        raise Failed("the remainder of negative numbers and by zero is not documented")
    return first % second


def _power(first: float, second: float) -> float:
    try:
        return math.pow(first, second)
    except (OverflowError, ValueError):
        raise Failed(f"{first}^{second} is not documented") from None


_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda first, second: first + second,
    "-": lambda first, second: first - second,
    "*": lambda first, second: first * second,
    "/": _divided,
    "%": _remainder,
    "^": _power,
}
