"""The one statement of a data fix, read by a parser: what runs is what was read, written out again from its tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opslib.errors import ParameterError

_FIX = "one UPDATE or DELETE of one table with a WHERE that names its rows by values"
# Anything that is not on the list of plain expressions is refused: a function may do more than compute.
_PLAIN = """
    Column Identifier Literal Null Boolean Paren Tuple EQ NEQ GT GTE LT LTE And Or Not In Is Between Like ILike Neg Add Sub Mul Div
    Mod Cast DataType Case If Coalesce Lower Upper Trim Abs Round Concat DPipe Length Nullif Interval Var Where Table Update
    Delete DataTypeParam Placeholder NullSafeEQ NullSafeNEQ JSONExtractScalar JSONExtract JSONPath JSONPathRoot JSONPathKey Array Any"""
_BIDI = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they make a statement read otherwise than it runs
_ALLOWED = frozenset(_PLAIN.split())


@dataclass(frozen=True)
class Statement:
    """A statement that was read: its parts as SQL, written by us."""

    kind: str  # UPDATE or DELETE
    table: str
    sql: str
    where: str
    sets: tuple[tuple[str, str], ...]  # column, expression


def read(text: str) -> Statement:
    """Return the statement; raises ParameterError for anything but one plain UPDATE or DELETE."""
    import sqlglot
    from sqlglot import expressions as exp
    from sqlglot.errors import SqlglotError

    if any((ord(one) < 32 and one not in "\n\t\r") or 0xD800 <= ord(one) <= 0xDFFF or one in _BIDI for one in text):
        raise _refused("it holds control characters")
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect="postgres") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise _refused(str(error).splitlines()[0]) from None
    if len(trees) != 1:
        raise _refused(f"it is {len(trees)} statements")
    tree = trees[0]
    if not isinstance(tree, exp.Update | exp.Delete):
        raise _refused(f"it is a {tree.key.upper()}")
    _check(tree, exp)
    sets = tuple(_set(each) for each in tree.expressions) if isinstance(tree, exp.Update) else ()
    where = tree.args["where"].this.sql(dialect="postgres", comments=False)
    return Statement(tree.key.upper(), tree.this.name, tree.sql(dialect="postgres", comments=False), where, sets)


def _check(tree: Any, exp: Any) -> None:
    table = tree.this
    if not isinstance(table, exp.Table) or any(table.args.get(name) for name in ("alias", "catalog", "joins", "only")):
        raise _refused("it changes more than one plain table")
    if table.db not in {"", "public"}:
        raise _refused(f"schema {table.db!r} is not the application's")
    extra = [name for name, value in tree.args.items() if value and name not in {"this", "expressions", "where"}]
    if extra:
        raise _refused(f"it has {', '.join(extra)}")
    where = tree.args.get("where")
    if where is None or not list(where.find_all(exp.Column)):
        raise _refused("without a WHERE on a column it would change every row")
    strange = sorted({type(node).__name__ for node in tree.walk() if type(node).__name__ not in _ALLOWED})
    if strange:
        raise _refused(
            f"it holds {', '.join(strange)}: no function, no other table and no clock, only values and plain operators"
        )


def _set(each: Any) -> tuple[str, str]:
    if each.key != "eq" or each.this.key != "column":
        raise _refused("SET must name single columns")
    return each.this.name, each.expression.sql(dialect="postgres", comments=False)


def _refused(why: str) -> ParameterError:
    return ParameterError("this statement cannot become a plan", why=why, fix=_FIX)
