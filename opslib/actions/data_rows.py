"""The rows of a data fix: their images before and after, changed in one transaction, and put back where nobody came since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opslib import database, files
from opslib.actions.sql_guard import Statement
from opslib.config import Environment, reports_folder
from opslib.errors import DatabaseError, RecordError, Refused, Unanswered

MOST = 1000


@dataclass(frozen=True)
class Image:
    """One row as JSON text before and after, with the values of its primary key; empty text: the row is not there."""

    key: dict[str, Any]
    before: str
    after: str = ""


@dataclass(frozen=True)
class Shape:
    """A table's columns: all, those of the primary key, those that PostgreSQL computes."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    computed: tuple[str, ...]


def shape(environment: Environment, table: str) -> Shape:
    """Return the shape of a table; raises DatabaseError."""
    frame = database.fetch(environment, "table_shape", {"table": _name(table)})
    rows = frame.to_dict("records")
    return Shape(
        *(
            tuple(row["name"] for row in rows if test(row))
            for test in (lambda row: True, lambda row: row["key"], lambda row: row["computed"])
        )
    )


def seen(environment: Environment, statement: Statement, key: tuple[str, ...]) -> list[Image]:
    """Return the rows that a statement means, and as the values of its SET would make them: by a SELECT, nothing is changed.

    At most one more than MOST. Raises DatabaseError.
    """
    sets = ", ".join(f"{_literal(column)}, {expression}" for column, expression in statement.sets)
    after = f"(to_jsonb({_name(statement.table)}.*) || jsonb_build_object({sets}))::text" if sets else "''"
    text = f"SELECT {_image(statement.table)}, {after} FROM {_name(statement.table)} WHERE {statement.where} ORDER BY {_list(key)} LIMIT {MOST + 1}"
    with database.connect(environment) as connection, _told("the statement"):
        return [_made(key, *row) for row in connection.execute(text, prepare=True).fetchall()]


def change(
    environment: Environment, statement: Statement, *, expected: dict[str, str], key: tuple[str, ...], keep: Path
) -> list[Image]:
    """Lock the rows, hold them against what was expected (key: hash), change them, keep both images on the disk, commit.

    Everything in one transaction: a row that somebody changed, a row more or less, and nothing is changed (Refused).
    Raises DatabaseError when the database refuses, Unanswered when the connection broke at the commit.
    """
    locking = f"SELECT {_image(statement.table)} FROM {_name(statement.table)} WHERE {statement.where} ORDER BY {_list(key)} FOR UPDATE"
    with database.connect_to_change(environment) as connection:
        with _told("the statement"):
            before = [_made(key, row[0]) for row in connection.execute(locking, prepare=True).fetchall()]
            if hashes(before) != expected:
                raise Refused(
                    "the rows are not the ones of the plan",
                    why=f"{len(before)} rows, {len(expected)} expected, or another content",
                )
            returned = connection.execute(
                f"{statement.sql} RETURNING {_image(statement.table)}", prepare=True
            ).fetchall()
        images = _paired(before, returned, key, kind=statement.kind)
        files_write(keep, statement.table, statement.kind, images)
        _commit(connection)
    return images


def put_back(environment: Environment, kept: Path, *, of: Shape) -> tuple[list[Image], int]:
    """Give rows their image before where they still equal the image after.

    Returns those that were put back, from what to what, and how many are left as somebody made them.
    """
    table, kind, images = read(kept)
    target = _name(table)
    with database.connect_to_change(environment) as connection:
        with _told("the way back"):
            done = [image for image in images if connection.execute(*_back(target, kind, image, of)).rowcount]
        _commit(connection)
    return [Image(image.key, image.after, image.before) for image in done], len(images) - len(done)


def now(environment: Environment, kept: Path, key: tuple[str, ...]) -> list[Image]:
    """Return the kept rows as they are now: `before` is the row, `after` what the change had made of it."""
    table, _, images = read(kept)
    target = _name(table)
    text = f"SELECT {_image(table)} FROM {target} WHERE {_same_key(target, table, tuple(key))}"
    with database.connect(environment) as connection, _told("reading the rows"):
        found = [(image, connection.execute(text, {"row": image.before or image.after}).fetchone()) for image in images]
    return [Image(image.key, row[0] if row else "", image.after) for image, row in found]


def hashes(images: list[Image]) -> dict[str, str]:
    """Return the hash of each row by its key: what a plan may hold of a row without holding personal data."""
    return {
        json.dumps(image.key, sort_keys=True): hashlib.sha256(image.before.encode()).hexdigest() for image in images
    }


def place(environment: Environment, sealed: str) -> Path:
    """Return where the images of a plan lie: beside the records, never in one, for this user alone."""
    return reports_folder() / environment.name / ".images" / f"{sealed}.json"


def read(kept: Path) -> tuple[str, str, list[Image]]:
    """Return table, kind and images; raises RecordError."""
    try:
        told = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(
            "the images of this change are not here", why=str(error), fix="they lie on the machine that applied it"
        ) from None
    return told["table"], told["kind"], [Image(**image) for image in told["rows"]]


def files_write(keep: Path, table: str, kind: str, images: list[Image]) -> None:
    """Bring the images onto the disk before the commit."""
    keep.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write(
        keep,
        json.dumps({"table": table, "kind": kind, "rows": [asdict(image) for image in images]}, ensure_ascii=False),
    )


def _back(target: str, kind: str, image: Image, of: Shape) -> tuple[str, dict[str, str]]:
    row = f"jsonb_populate_record(NULL::{target}, %(before)s::jsonb)"
    if kind == "DELETE":
        columns = _list(tuple(column for column in of.columns if column not in of.computed))
        return (
            f"INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {row} ON CONFLICT DO NOTHING",
            {"before": image.before},
        )
    before, after = json.loads(image.before), json.loads(image.after)
    changed = [column for column in of.columns if before[column] != after[column] and column not in of.computed] or [
        of.key[0]
    ]
    sets = f"({_list(tuple(changed))}) = (SELECT {_list(tuple(changed))} FROM {row})"
    where = f"{_same_key(target, target, of.key)} AND to_jsonb({target}.*) = %(row)s::jsonb"
    return f"UPDATE {target} SET {sets} WHERE {where}", {"before": image.before, "row": image.after}


def _same_key(target: str, table: str, key: tuple[str, ...]) -> str:
    record = f"jsonb_populate_record(NULL::{target}, %(row)s::jsonb)"
    return " AND ".join(f"{target}.{_name(column)} = ({record}).{_name(column)}" for column in key)


def _paired(before: list[Image], returned: list[Any], key: tuple[str, ...], *, kind: str) -> list[Image]:
    after = {json.dumps(image.key): image.before for image in (_made(key, row[0]) for row in returned)}
    if set(after) != {json.dumps(image.key) for image in before}:
        raise Refused(
            "the statement touched other rows than it locked", why=f"{len(after)} changed, {len(before)} locked"
        )
    return [
        Image(image.key, image.before, "" if kind == "DELETE" else after[json.dumps(image.key)]) for image in before
    ]


def _commit(connection: Any) -> None:
    import psycopg

    try:
        connection.commit()
    except psycopg.errors.IntegrityError as error:
        raise DatabaseError("the commit was refused", why=str(error).splitlines()[0]) from None
    except psycopg.Error as error:
        raise Unanswered("the commit got no answer", why=str(error).splitlines()[0]) from None


@contextmanager
def _told(what: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise DatabaseError(
            f"{what} waited 2 s for a lock that somebody holds", why=_first(error), fix="opslib open slow-database"
        ) from None
    except psycopg.Error as error:
        raise DatabaseError(f"{what} was refused by the database", why=_first(error)) from None


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _made(key: tuple[str, ...], before: str, after: str = "") -> Image:
    row = json.loads(before)
    return Image({column: row[column] for column in key}, before, after)


def _image(table: str) -> str:
    return f"to_jsonb({_name(table)}.*)::text"


def _name(identifier: str) -> str:
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(_name, names))
