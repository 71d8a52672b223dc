"""Texts that a message must hold to pass a filter, so that most events are dropped before their JSON is read."""

from collections.abc import Sequence
from typing import NamedTuple

from opslib.sandbox.insights.syntax import Both, Comparison, Either, Field, Like, Literal, Node, Within
from opslib.sandbox.insights.values import number


class Clause(NamedTuple):
    """One of some texts must be there; a value may hide behind an escape of JSON unless `exact`."""

    texts: tuple[str, ...]
    exact: bool


def clauses(node: Node) -> list[Clause]:
    """Return what every message that passes a filter has; the fields in it must be those of the events."""
    if isinstance(node, Both):
        return clauses(node.left) + clauses(node.right)
    if isinstance(node, Either):
        left, right = clauses(node.left), clauses(node.right)
        return [_merged(left[0], right[0])] if left and right else []
    if isinstance(node, Like) and not node.negated:
        return _of_like(node)
    if isinstance(node, Comparison) and node.sign == "=" and isinstance(node.right, Literal):
        return _of_values(node.left, [node.right.value])
    if isinstance(node, Within) and not node.negated and isinstance(node.items, tuple):
        return _of_values(node.subject, [item.value for item in node.items])
    return []


def _merged(left: Clause, right: Clause) -> Clause:
    return Clause(left.texts + right.texts, left.exact and right.exact)


def _of_like(node: Like) -> list[Clause]:
    field, text = node.subject, node.pattern
    if not isinstance(field, Field) or not isinstance(text, str) or not text:
        return []
    if field.name == "@message":
        return [Clause((text,), True)]
    spelled_out = not set(text) <= set("0123456789.eE+-")  # else a number may be written otherwise in the message
    return [Clause((text,), False)] if _in_json(field, text) and spelled_out else []


def _of_values(field: Node, values: Sequence[object]) -> list[Clause]:
    if not isinstance(field, Field):
        return []
    texts = tuple(value for value in values if isinstance(value, str) and value and number(value) is None)
    if len(texts) < len(values):
        return []
    if field.name == "@message":
        return [Clause(texts, True)]
    return [Clause(texts, False)] if all(_in_json(field, text) for text in texts) else []


def _in_json(field: Field, text: str) -> bool:
    """A discovered field shows its text in the message as it is, escapes apart."""
    own = not field.name.startswith("@") or field.name.startswith("@@")
    return own and text.isascii() and text.isprintable() and not set(text) & set('"\\')


def places(messages: Sequence[str], wanted: Sequence[Clause]) -> Sequence[int]:
    """Return the places of the messages that may pass."""
    found: Sequence[int] = range(len(messages))
    for clause in wanted:
        first, several = clause.texts[0], clause.texts[1:]
        if not several and clause.exact:
            found = [place for place in found if first in messages[place]]
        elif not several:
            found = [place for place in found if first in messages[place] or "\\" in messages[place]]
        else:
            texts = clause.texts if clause.exact else (*clause.texts, "\\")
            found = [place for place in found if any(text in messages[place] for text in texts)]
    return found
