"""Data by direct connection: one statement, read by a parser, bound to the very rows it was planned for, with a way back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opslib import database, redact
from opslib import plan as plans
from opslib.actions import data_audit, sql_guard
from opslib.actions import data_rows as rows
from opslib.actions.data_rows import MOST, Image, Shape
from opslib.errors import ParameterError
from opslib.plan import SQL, Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

SHOWN = 6


def fix(run: Run, *, statement: str, expected_rows: int) -> Plan:
    """Plan one UPDATE or DELETE of a table of the application; the dry run is a SELECT of the same rows.

    Raises ParameterError for a statement that is not one plain UPDATE or DELETE, DatabaseError when the database
    refuses it (pg_attribute, pg_index, pg_trigger, pg_constraint, and the table itself).
    """
    if run.replayed:
        return plans.remembered(run)
    environment, read = run.environment, sql_guard.read(statement)
    shape = rows.shape(environment, read.table)
    if not shape.columns:
        raise ParameterError(f"there is no table {read.table!r} that the reader role sees")
    images = rows.seen(environment, read, shape.key) if shape.key else []
    reach = [
        (row["kind"], row["name"])
        for row in database.fetch(environment, "table_reach", {"table": f'"{read.table}"'}).to_dict("records")
    ]
    step = Step(
        SQL,
        read.kind,
        {"statement": f"{read.sql};"},
        f"lock {_count(images)}, compare with this plan, {read.kind.lower()}, keep both images, commit",
    )
    back = Step(
        SQL,
        "PUT BACK",
        {"statement": f"-- each row of {read.table} whose content is still the one that the fix left"},
        "put the images before back",
    )
    return plans.propose(
        run, action="fix-data", title=f"{read.kind} {_count(images)} of {read.table}", target=read.table,
        parameters={"statement": read.sql, "rows": expected_rows, "key": list(shape.key)}, before={"rows": rows.hashes(images)},
        changes=_changes(read, images), conditions=_conditions(environment, read, shape, images, expected_rows, reach), steps=(step,),
        limits=(*_limits(read, reach), data_audit.where(environment)),
        verification=Verification("The rows are read again and are what the statement returned.", f"SELECT * FROM {read.table} WHERE {read.where}", 2.0, 60.0),
        undo_draft=Undo("each row that still equals its image after gets its image before; kept on this machine only, not in the record",
                        "undo-fix-data", (back,)),
    )  # fmt: skip


def _conditions(
    environment: Environment,
    read: sql_guard.Statement,
    shape: Shape,
    images: list[Image],
    expected: int,
    reach: list[tuple[str, str]],
) -> tuple[Condition, ...]:
    cascades = [name for kind, name in reach if kind == "cascade"]
    moved = sorted({column for column, _ in read.sets} & set(shape.key))
    unknown = sorted({column for column, _ in read.sets} - set(shape.columns))
    role = environment.database.change_user if environment.database else ""
    found = _count(images) if len(images) <= MOST else f"more than {MOST} rows"
    return (
        Condition("as many rows as expected", f"{found}, {expected} expected", len(images) == expected > 0),
        Condition("a plan changes few rows", f"at most {MOST}", len(images) <= MOST),
        Condition(
            "the table has a primary key", ", ".join(shape.key) or "none: no row could be found again", bool(shape.key)
        ),
        Condition("keys stay, columns exist", ", ".join(moved + unknown) or "yes", not moved and not unknown),
        Condition(
            "no other table follows a deletion", ", ".join(cascades) or "none", read.kind == "UPDATE" or not cascades
        ),
        Condition(
            "it is the primary",
            "a replica answers" if ("replica", "this is a replica") in reach else "yes",
            ("replica", "this is a replica") not in reach,
        ),
        Condition("a role that may write is configured", role or "no change_user", bool(role)),
    )


def _limits(read: sql_guard.Statement, reach: list[tuple[str, str]]) -> tuple[str, ...]:
    triggers = [name for kind, name in reach if kind == "trigger"]
    fires = (
        f"triggers fire: {', '.join(triggers)}; what they do elsewhere has no way back"
        if triggers
        else "no trigger fires"
    )
    return (
        "one transaction; it waits 2 s for a lock and no longer",
        fires,
        "caches and search indexes of the application are not told",
    )


def _changes(read: sql_guard.Statement, images: list[Image]) -> tuple[Change, ...]:
    shown = tuple(_change(read, image) for image in images[:SHOWN])
    more = (
        (Change(f"{len(images) - SHOWN} rows more", "as above", "as above", "as above", "as above"),)
        if len(images) > SHOWN
        else ()
    )
    return shown + more


def _change(read: sql_guard.Statement, image: Image) -> Change:
    before, after = json.loads(image.before), json.loads(image.after or "{}")
    target = f"{read.table} {', '.join(f'{name}={value}' for name, value in image.key.items())}"
    if read.kind == "DELETE":
        told = ", ".join(_shown(name, value) for name, value in list(before.items())[:8])
        return Change(target, told, "the row is gone", "the row comes back", "who reads it finds nothing")
    names = [column for column, _ in read.sets]
    same = all(str(before.get(name)) == str(after.get(name)) for name in names)
    now, then = (", ".join(_shown(name, row.get(name)) for name in names) for row in (before, after))
    return Change(target, now, then, now, "no effect: it is so already" if same else "the application sees it at once")


def _count(images: list[Image]) -> str:
    return "1 row" if len(images) == 1 else f"{len(images)} rows"


def _shown(name: str, value: Any) -> str:
    """What a plan's file may hold: redacted here, so that the record's redaction leaves its hash whole."""
    return redact.text(f"{name}={value}")


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    read = sql_guard.read(plan.parameters["statement"])
    return {"rows": rows.hashes(rows.seen(environment, read, tuple(plan.parameters["key"])))}


def _perform(environment: Environment, plan: Plan, step: Step) -> Kept:
    read = sql_guard.read(plan.parameters["statement"])
    kept = rows.place(environment, plan.sealed)
    data_audit.announce(environment, plan)
    images = rows.change(environment, read, expected=plan.before["rows"], key=tuple(plan.parameters["key"]), keep=kept)
    return {"changed": len(images), "audit": data_audit.complete(environment, plan, images)}


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    found = rows.now(environment, rows.place(environment, plan.sealed), tuple(plan.parameters["key"]))
    same = sum(image.before == image.after for image in found)
    others = f"; {len(found) - same} were changed by somebody since" if same < len(found) else ""
    return Progress(
        "done",
        f"{same} of {len(found)} rows read again are as the fix left them{others}{_unaudited(kept)}",
        {"rows_changed": len(found)},
    )


def _unaudited(kept: Kept) -> str:
    return f"; {kept['audit']}" if kept.get("audit") else ""


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    environment, key = run.environment, tuple(plan.parameters["key"])
    found = rows.now(environment, rows.place(environment, plan.sealed), key)
    same = [image for image in found if image.before == image.after]
    change = Change(plan.target, f"{len(same)} of {len(found)} rows are as the fix left them", "these get their image before",
                    "run the fix again", f"{len(found) - len(same)} rows that somebody edited since stay as they are")  # fmt: skip
    return plans.propose(
        run, action="undo-fix-data", title=f"Put {_count(same)} of {plan.target} back", target=plan.target,
        parameters={"of": plan.sealed, "key": list(key)}, before={"rows": rows.hashes(found)}, changes=(change,),
        conditions=(Condition("a row is still as the fix left it", f"{len(same)} of {len(found)}", bool(same)),), steps=plan.undo_draft.steps,
        limits=("one transaction; a row that somebody edited since is not touched",),
        verification=Verification("The rows are read again.", plan.verification.look, 2.0, 60.0), undo_draft=Undo("run the fix again instead"),
    )  # fmt: skip


def _observe_back(environment: Environment, plan: Plan) -> dict[str, Any]:
    return {
        "rows": rows.hashes(
            rows.now(environment, rows.place(environment, plan.parameters["of"]), tuple(plan.parameters["key"]))
        )
    }


def _perform_back(environment: Environment, plan: Plan, step: Step) -> Kept:
    kept, shape = rows.place(environment, plan.parameters["of"]), rows.shape(environment, plan.target)
    data_audit.announce(environment, plan)
    done, left = rows.put_back(environment, kept, of=shape)
    return {"put_back": len(done), "left": left, "audit": data_audit.complete(environment, plan, done)}


def _follow_back(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    left = f"; {kept['left']} that somebody edited stay as they are" if kept["left"] else ""
    return Progress(
        "done" if kept["put_back"] else "failed",
        f"{kept['put_back']} rows are put back{left}{_unaudited(kept)}",
        dict(kept),
    )


register(
    Action(
        "fix-data",
        observe=_observe,
        follow=_follow,
        keep=lambda answers: dict(answers[0]),
        undo=_undo,
        perform=_perform,
    )
)
register(
    Action(
        "undo-fix-data",
        observe=_observe_back,
        follow=_follow_back,
        keep=lambda answers: dict(answers[0]),
        perform=_perform_back,
    )
)
