"""CloudWatch metric math worked out over lines of points."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from opslib.sandbox.metric_expressions import MathError, Node, Unknown

Points = dict[int, float]  # epoch seconds: value


@dataclass
class Line:
    """One time series; `about` is what a dynamic label may name."""

    points: Points
    period: int
    label: str = ""
    about: dict[str, str] = field(default_factory=dict)


Value = float | Line | list[Line]
_BINARY: dict[str, Callable[[float, float], float]] = {
    "||": lambda a, b: float(bool(a) or bool(b)),
    "&&": lambda a, b: float(bool(a) and bool(b)),
    "==": lambda a, b: float(a == b), "!=": lambda a, b: float(a != b), "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b), ">": lambda a, b: float(a > b), ">=": lambda a, b: float(a >= b),
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
}  # fmt: skip
_FOLDS: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum, "MIN": min, "MAX": max, "AVG": lambda values: sum(values) / len(values),
}  # fmt: skip


@dataclass
class Scope:
    """What an expression may refer to: other queries by id, METRICS(), the periods of the request, and SEARCH."""

    value_of: Callable[[str], Value]
    metrics: Callable[[str], list[Line]]
    times: Callable[[int], Iterable[int]]
    search: Callable[[list[str | float]], list[Line]]

    def work_out(self, node: Node) -> Value:
        """Return what a tree comes to."""
        match node:
            case ("number", number):
                return float(number)
            case ("name", name):
                return self.value_of(name)
            case ("array", items):
                return _lines([self.work_out(item) for item in items])
            case ("binary", sign, left, right):
                return _combined(_BINARY[sign], self.work_out(left), self.work_out(right))
            case ("call", name, given):
                return self._call(name, given)
        raise MathError(f"Unexpected text '{node[1]}'")

    def _call(self, name: str, given: list[Node]) -> Value:
        if name == "METRICS":
            return self.metrics(*[str(node[1]) for node in given])
        if name == "SEARCH":
            return self.search([node[1] for node in given])
        if name == "FILL" and len(given) == 2:
            return self._filled(self.work_out(given[0]), given[1])
        method = {"IF": _chosen, "ABS": _absolute, "RATE": _rate, "PERIOD": _period}.get(name)
        if not method and name not in _FOLDS:
            raise Unknown(f"the function {name} is not modelled")
        values = [self.work_out(node) for node in given]
        try:
            return method(*values) if method else _folded(_FOLDS[name], *values)
        except TypeError:
            raise MathError(f"{name} does not take {len(values)} operands of these types") from None

    def _filled(self, value: Value, by: Node) -> Value:
        if isinstance(value, list):
            return [self._filled(line, by) for line in value]  # type: ignore[misc]
        line = _line(value, "FILL")
        points = dict(line.points)
        if by not in (("name", "REPEAT"), ("name", "LINEAR")):
            filler = self.work_out(by)
            if not isinstance(filler, float):
                raise MathError("FILL takes a number, REPEAT or LINEAR")
            missing = [at for at in self.times(line.period) if at not in points] if points else []
            return _like(line, points | dict.fromkeys(missing, filler))
        if by == ("name", "LINEAR"):
            raise Unknown("FILL with LINEAR is not modelled")
        last = None
        for at in self.times(line.period):
            last = points.get(at, last)
            if last is not None:
                points[at] = last
        return _like(line, points)


def _lines(values: Sequence[Value]) -> list[Line]:
    found: list[Line] = []
    for value in values:
        if isinstance(value, float):
            raise MathError("An array holds time series only")
        found += value if isinstance(value, list) else [value]
    return found


def _line(value: Value, function: str) -> Line:
    if not isinstance(value, Line):
        raise MathError(f"{function} takes a time series")
    return value


def _like(line: Line, points: Points) -> Line:
    return Line(dict(sorted(points.items())), line.period, line.label, line.about)


def _combined(operate: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Operate point by point where both have one; a division by zero leaves no point."""
    if isinstance(left, list) and isinstance(right, list):
        raise MathError("Two arrays cannot be combined")
    if isinstance(left, list):
        return [_combined(operate, line, right) for line in left]  # type: ignore[misc]
    if isinstance(right, list):
        return [_combined(operate, left, line) for line in right]  # type: ignore[misc]
    if isinstance(left, float) and isinstance(right, float):
        try:
            return float(operate(left, right))
        except (ZeroDivisionError, OverflowError):
            raise MathError("Division by zero") from None
    model = left if isinstance(left, Line) else right
    assert isinstance(model, Line)
    points: Points = {}
    for at in model.points:
        pair = [side.points.get(at) if isinstance(side, Line) else side for side in (left, right)]
        if None not in pair and not (operate is operator.truediv and pair[1] == 0):
            points[at] = float(operate(*pair))  # type: ignore[arg-type]
    return _like(model, points)


def _folded(fold: Callable[[Sequence[float]], float], value: Value) -> Value:
    """Return a number from one series, one series from an array: of the points that there are at each time."""
    if isinstance(value, float):
        raise MathError("A function over time series was given a number")
    if isinstance(value, Line):
        if not value.points:
            raise MathError("The time series has no points")
        return float(fold(list(value.points.values())))
    if len({line.period for line in value}) > 1:
        raise Unknown("series of different periods in one function are not modelled")
    at_once: dict[int, list[float]] = {}
    for line in value:
        for at, point in line.points.items():
            at_once.setdefault(at, []).append(point)
    return Line({at: float(fold(points)) for at, points in sorted(at_once.items())}, value[0].period if value else 60)


def _chosen(condition: Value, then: Value, other: Value | None = None) -> Value:
    """IF: point by point; without a third operand there is no point where the condition is 0."""
    if isinstance(condition, list) or isinstance(then, list) or isinstance(other, list):
        raise MathError("IF takes no arrays")
    if isinstance(condition, float):
        chosen = then if condition else other
        if chosen is None:
            raise MathError("IF over numbers needs three operands")
        return chosen
    points = {}
    for at, holds in condition.points.items():
        side = then if holds else other
        value = side.points.get(at) if isinstance(side, Line) else side
        if value is not None:
            points[at] = value
    return _like(condition, points)


def _absolute(value: Value) -> Value:
    if isinstance(value, list):
        return [_absolute(line) for line in value]  # type: ignore[misc]
    return abs(value) if isinstance(value, float) else _like(value, {at: abs(x) for at, x in value.points.items()})


def _rate(value: Value) -> Value:
    """RATE: the change since the point before, a second."""
    if isinstance(value, list):
        return [_rate(line) for line in value]  # type: ignore[misc]
    points = sorted(_line(value, "RATE").points.items())
    pairs = pairwise(points)
    assert isinstance(value, Line)
    return _like(value, {at: (new - old) / (at - before) for (before, old), (at, new) in pairs})


def _period(value: Value) -> Value:
    return float(_line(value, "PERIOD").period)
