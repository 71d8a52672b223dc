"""What the compiler has to know of a function."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.syntax import Call, Literal

if TYPE_CHECKING:
    from opslib.sandbox.insights.expressions import Expressions


def _never(*values: Any) -> Any:
    raise AssertionError("this function is prepared, not applied")


class Function(NamedTuple):
    """How many arguments a function takes, and what it makes of their values.

    A missing argument makes the result missing, unless `nulls`; lists and maps are let through by `whole`.
    `prepare` takes the call itself where arguments are no plain values.
    """

    fewest: int
    most: int
    apply: Callable[..., Any] = _never
    predicate: bool = False  # 1 or 0, and may stand where true or false is expected
    nulls: bool = False
    whole: bool = False
    prepare: "Callable[[Expressions, Call], Callable[..., Any]] | None" = None


def literal_text(call: Call, place: int) -> str:
    """Return an argument that must be a string in the query itself."""
    argument = call.arguments[place]
    if not isinstance(argument, Literal) or not isinstance(argument.value, str):
        raise Malformed(f"argument {place + 1} of {call.name} must be a string", argument.start, argument.end)
    return argument.value
