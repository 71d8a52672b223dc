"""All functions by name, and those that choose between values."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opslib.sandbox.insights import number_functions, structure_functions, text_functions, time_functions
from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.function import Function
from opslib.sandbox.insights.logic import decided
from opslib.sandbox.insights.syntax import Call, Literal, Node

if TYPE_CHECKING:
    from opslib.sandbox.insights.expressions import Expressions

MAX_BRANCHES = 10


def _branch(compiler: "Expressions", node: Node) -> Callable[[Row], Any]:
    """A branch may be null, which is written nowhere else."""
    if isinstance(node, Literal) and node.value is None:
        return lambda row: None
    return compiler.value(node)


def _if(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
    test = compiler.truth(call.arguments[0])
    yes, no = (_branch(compiler, node) for node in call.arguments[1:])
    return lambda row: yes(row) if decided(test(row)) else no(row)


def _case(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
    nodes = call.arguments
    tests = [compiler.truth(node) for node in nodes[: len(nodes) // 2 * 2 : 2]]
    values = [_branch(compiler, node) for node in nodes[1::2]]
    default = _branch(compiler, nodes[-1]) if len(nodes) % 2 else lambda row: None

    def choose(row: Row) -> Any:
        for test, value in zip(tests, values, strict=True):
            if decided(test(row)):
                return value(row)
        return default(row)

    return choose


def _first_present(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


FUNCTIONS: dict[str, Function] = {
    **text_functions.FUNCTIONS,
    **number_functions.FUNCTIONS,
    **time_functions.FUNCTIONS,
    **structure_functions.FUNCTIONS,
    "ispresent": Function(1, 1, lambda value: int(value is not None), predicate=True, nulls=True),
    "coalesce": Function(1, 100, _first_present, nulls=True),
    "if": Function(3, 3, prepare=_if),
    "case": Function(2, 1 + 2 * MAX_BRANCHES, prepare=_case),
}
