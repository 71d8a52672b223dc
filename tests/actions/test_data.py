"""fix-data against the sandbox's PostgreSQL: what is read, refused, changed, put back; and never over somebody's later edit."""

from __future__ import annotations

import io
import json
import random
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opslib import aws, database
from opslib.actions import data, data_rows, sql_guard
from opslib.applying import carry_out
from opslib.errors import ParameterError, Refused, SourceError
from opslib.journal import Journal
from opslib.plan import Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.stepping import Work

IDS = (3000011, 3000012, 3000013)
FIX = "update orders set status = 'cancelled' where id in (3000011, 3000012, 3000013)"


@pytest.fixture(scope="module")
def owner(live: Sandbox) -> Iterator[Any]:
    with psycopg.connect(**live.postgres_dsn("shop_owner"), autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def paid(owner: Any) -> None:
    owner.execute("update orders set status = 'paid', total_yen = 1000 where id = any(%s)", [list(IDS)])


def applied(plan: Plan) -> Result:
    assert plan.run is not None
    with redirect_stdout(io.StringIO()):
        return carry_out(Work(plan, plan.run.environment, "a test", pause=lambda seconds: None))


def statuses(owner: Any) -> list[str]:
    return [
        row[0]
        for row in owner.execute("select status from orders where id = any(%s) order by id", [list(IDS)]).fetchall()
    ]


def test_a_fix_is_planned_applied_read_again_and_undone(run: Run, owner: Any) -> None:
    rest = owner.execute(
        "select count(*), sum(hashtext(o::text)) from orders o where id <> all(%s)", [list(IDS)]
    ).fetchone()
    plan = data.fix(run, statement=FIX, expected_rows=3)
    assert not plan.blocked and statuses(owner) == ["paid"] * 3  # the dry run changed nothing
    assert [row.proposed for row in plan.changes] == ["status=cancelled"] * 3
    answer = applied(plan)
    assert answer.verdict == "ok" and "3 of 3 rows read again" in answer.sentence, answer.sentence
    assert statuses(owner) == ["cancelled"] * 3
    back = plan.undo()
    assert applied(back).verdict == "ok" and statuses(owner) == ["paid"] * 3
    assert (
        owner.execute(
            "select count(*), sum(hashtext(o::text)) from orders o where id <> all(%s)", [list(IDS)]
        ).fetchone()
        == rest
    )
    assert [entry["event"] for entry in Journal.of(run.environment).entries()] == [
        "apply",
        "intent",
        "result",
        "verified",
    ] * 2


def test_a_fix_is_audited_before_it_begins_or_not_made(run: Run, live: Sandbox, owner: Any) -> None:
    nowhere = replace(run, environment=run.environment.model_copy(update={"incident_bucket": "shop-no-such-bucket"}))
    answer = applied(data.fix(nowhere, statement=FIX, expected_rows=3))
    assert answer.verdict == "critical" and "NoSuchBucket" in answer.sentence and statuses(owner) == ["paid"] * 3
    alone = replace(run, environment=run.environment.model_copy(update={"incident_bucket": ""}))
    assert any("no incident_bucket" in one for one in data.fix(alone, statement=FIX, expected_rows=3).limits)
    plan = data.fix(run, statement=FIX, expected_rows=3)
    assert applied(plan).verdict == "ok" and statuses(owner) == ["cancelled"] * 3
    assert any("audited before it begins: s3://shop-ops-incidents/" in one for one in plan.limits)
    first, last = (_audited(live, f"{plan.sealed}{end}.json") for end in ("", "-done"))
    assert first["statement"].startswith("UPDATE orders") and len(first["rows"]) == 3
    assert dict(first["rows"]) == plan.before["rows"] == {key: before for key, before, _ in last["rows"]}
    assert all(before != after for _, before, after in last["rows"])
    back = plan.undo()
    assert applied(back).verdict == "ok"
    undone = _audited(live, f"{back.sealed}-done.json")
    assert undone["of"] == plan.sealed and [row[1:] for row in undone["rows"]] == [row[:0:-1] for row in last["rows"]]


def _audited(live: Sandbox, name: str) -> dict[str, Any]:
    found = live.client("s3").get_object(Bucket="shop-ops-incidents", Key=f"opslib/incidents/sandbox/data-fixes/{name}")
    assert found["ObjectLockMode"] == "COMPLIANCE"
    told: dict[str, Any] = json.loads(found["Body"].read())
    return told


def test_no_row_is_locked_while_the_audit_travels(
    run: Run, live: Sandbox, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = aws.ask
    put: list[str] = []

    def spied(environment: Any, service: str, operation: str, /, **given: Any) -> Any:
        if "data-fixes" in given.get("Key", ""):
            put.append(given["Key"])
            owner.execute("select 1 from orders where id = any(%s) for update nowait", [list(IDS)])  # raises when held
        return asked(environment, service, operation, **given)

    monkeypatch.setattr(aws, "ask", spied)
    plan = data.fix(run, statement=FIX, expected_rows=3)
    assert applied(plan).verdict == "ok" and applied(plan.undo()).verdict == "ok" and len(put) == 4


def test_a_fix_whose_end_could_not_be_audited_says_so(
    run: Run, live: Sandbox, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = aws.ask

    def breaks(environment: Any, service: str, operation: str, /, **given: Any) -> Any:
        if given.get("Key", "").endswith("-done.json"):
            raise SourceError("no answer from AWS within 8 s")
        return asked(environment, service, operation, **given)

    monkeypatch.setattr(aws, "ask", breaks)
    plan = data.fix(run, statement=FIX, expected_rows=3)
    answer = applied(plan)
    assert statuses(owner) == ["cancelled"] * 3 and "audit of its end could not be written" in answer.sentence
    assert len(_audited(live, f"{plan.sealed}.json")["rows"]) == 3
    noted = [entry for entry in Journal.of(run.environment).entries() if entry["event"] == "result"]
    assert "no answer from AWS" in noted[-1]["kept"]["audit"]


def test_a_deletion_comes_back_whole(run: Run, owner: Any) -> None:
    before = owner.execute("select * from job_runs where id = 21").fetchone()
    plan = data.fix(run, statement="delete from job_runs where id = 21", expected_rows=1)
    assert applied(plan).verdict == "ok" and owner.execute("select 1 from job_runs where id = 21").fetchone() is None
    assert applied(plan.undo()).verdict == "ok"
    assert owner.execute("select * from job_runs where id = 21").fetchone() == before


def test_another_number_of_rows_leaves_no_plan(run: Run) -> None:
    plan = data.fix(run, statement=FIX, expected_rows=2)
    assert [one.found for one in plan.blocked] == ["3 rows, 2 expected"]
    assert data.fix(run, statement="update orders set status='x' where id > 0", expected_rows=10**6).blocked


def test_a_row_edited_between_plan_and_apply_is_refused(run: Run, owner: Any) -> None:
    plan = data.fix(run, statement=FIX, expected_rows=3)
    owner.execute("update orders set total_yen = 7 where id = 3000012")
    assert "the state has changed" in applied(plan).sentence and statuses(owner) == ["paid"] * 3


def test_a_row_edited_in_the_last_moment_is_refused_in_the_transaction(run: Run, owner: Any, tmp_path: Path) -> None:
    plan = data.fix(run, statement=FIX, expected_rows=3)
    read = sql_guard.read(FIX)
    owner.execute("update orders set total_yen = 7 where id = 3000012")
    with pytest.raises(Refused, match="not the ones of the plan"):
        data_rows.change(run.environment, read, expected=plan.before["rows"], key=("id",), keep=tmp_path / "x.json")
    assert statuses(owner) == ["paid"] * 3 and not (tmp_path / "x.json").exists()


def test_a_held_row_is_waited_for_two_seconds_and_no_longer(run: Run, live: Sandbox, owner: Any) -> None:
    plan = data.fix(run, statement=FIX, expected_rows=3)
    with psycopg.connect(**live.postgres_dsn("shop_owner")) as holder:
        holder.execute("select 1 from orders where id = 3000012 for update")
        answer = applied(plan)
        holder.rollback()
    assert (
        answer.verdict == "critical" and "waited 2 s for a lock" in answer.sentence and statuses(owner) == ["paid"] * 3
    )


def test_undo_leaves_what_somebody_edited_since(run: Run, owner: Any) -> None:
    plan = data.fix(run, statement=FIX, expected_rows=3)
    applied(plan)
    owner.execute("update orders set total_yen = 7 where id = 3000012")
    answer = applied(plan.undo())
    assert "2 rows are put back; 1 that somebody edited" in answer.sentence, answer.sentence
    assert statuses(owner) == ["paid", "cancelled", "paid"]
    assert owner.execute("select total_yen from orders where id = 3000012").fetchone() == (7,)


def test_the_database_has_the_last_word(run: Run, owner: Any) -> None:
    plan = data.fix(run, statement="delete from orders where id = 3000011", expected_rows=1)
    answer = applied(plan)
    assert answer.verdict == "critical" and "foreign key" in answer.sentence and statuses(owner) == ["paid"] * 3


def test_triggers_are_named(run: Run, owner: Any) -> None:
    owner.execute("create function told() returns trigger language plpgsql as $$begin return new; end$$")
    owner.execute("create trigger tells before update on orders for each row execute function told()")
    plan = data.fix(run, statement=FIX, expected_rows=3)
    owner.execute("drop trigger tells on orders; drop function told()")
    assert any("triggers fire: tells" in limit for limit in plan.limits)


def test_no_row_lies_in_plan_or_journal(run: Run, owner: Any) -> None:
    name = owner.execute("select name, email from users order by id limit 1").fetchone()
    ident = owner.execute("select id from users order by id limit 1").fetchone()[0]
    plan = data.fix(run, statement=f"update users set status = 'active' where id = '{ident}'", expected_rows=1)
    applied(plan)
    said = plan.text() + Journal.of(run.environment).file.read_text()
    assert name[0] not in said and name[1] not in said
    kept = data_rows.place(run.environment, plan.sealed)
    assert kept.stat().st_mode & 0o077 == 0 and name[1] in kept.read_text()


@pytest.mark.parametrize(
    "statement",
    ["", ";", "select 1", "update orders set status = 'x'", "update orders set status = 'x' where true", "delete from orders",
     "update orders set status='x' where id=1; drop table users", "update orders set status = pg_sleep(1)::text where id = 1",
     "update orders set status=(select name from users limit 1) where id=1", "update orders set status='x' from users where orders.id=1",
     "with a as (delete from users returning 1) update orders set status='x' where id=1", "update pg_catalog.pg_class set relname='x' where oid=1",
     "update orders set status='x' where id=1 returning *", "update orders set updated_at = now() where id=1", "truncate orders", "drop table orders",
     "update orders set status=$$x$$ where id=1", "update only orders set status='x' where id=1", "insert into orders values (1)", "update orders o set status='x' where o.id=1",
     "delete from orders using users where orders.user_id=users.id", "copy orders to '/tmp/x'", "do $$begin end$$", "update orders set status='x' where id = 1 and exists (select 1)",
     "update orders set (status, total_yen) = ('x', 1) where id=1", "update orders set status='a\x00' where id=1", "update orders set status='\ud800' where id=1", "update orders set status='\u202eb' where id=1", "vacuum", "update orders set status=current_user where id=1"],
)  # fmt: skip
def test_anything_else_is_no_plan(statement: str) -> None:
    with pytest.raises(ParameterError, match="cannot become a plan"):
        sql_guard.read(statement)


def test_quotes_and_comments_lose_their_tricks(run: Run, owner: Any) -> None:
    read = sql_guard.read("update orders set status = 'it''s -- ; \"x\"' /* ; drop */ where id = 3000011 -- and more")
    assert read.sql == "UPDATE orders SET status = 'it''s -- ; \"x\"' WHERE id = 3000011"
    assert applied(data.fix(run, statement=read.sql, expected_rows=1)).verdict == "ok"
    assert statuses(owner)[0] == 'it\'s -- ; "x"'


def test_nobodys_later_edit_is_overwritten_in_a_thousand_interleavings(
    run: Run, live: Sandbox, owner: Any, tmp_path: Path
) -> None:
    """A writer commits edits at random moments; each must survive whatever fix and way back do meanwhile."""
    dice, read, shape = (
        random.Random(4711),
        sql_guard.read("update orders set status = 'cancelled' where id in (3000011, 3000012, 3000013)"),
        data_rows.shape(run.environment, "orders"),
    )
    environment, kept, outcomes = run.environment, tmp_path / "images.json", {"changed": 0, "refused": 0, "left": 0}
    opened = {
        name: _Again(connect(environment))
        for name, connect in (("connect", database.connect), ("connect_to_change", database.connect_to_change))
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        psycopg.connect(**live.postgres_dsn("shop_owner"), autocommit=True) as writer,
    ):
        for name, connection in opened.items():
            patch.setattr(database, name, lambda environment, connection=connection: connection)
        for number in range(1000):
            writer.execute("update orders set status = 'paid', total_yen = 0 where id in (3000011, 3000012, 3000013)")
            edits: dict[int, int] = {}

            def edit(number: int = number, edits: dict[int, int] = edits) -> None:
                chosen = dice.choice(IDS)
                writer.execute("update orders set total_yen = %s where id = %s", [number + 1, chosen])
                edits[chosen] = number + 1

            stages = [dice.random() < 0.3 for _ in range(2)]
            expected = data_rows.hashes(data_rows.seen(environment, read, shape.key))
            other = threading.Thread(target=edit)
            if stages[0]:
                other.start()
            try:
                data_rows.change(environment, read, expected=expected, key=shape.key, keep=kept)
                outcomes["changed"] += 1
            except Refused:
                outcomes["refused"] += 1
                _joined(other, stages[0])
                assert _same(writer, edits, {"paid"})
                continue
            _joined(other, stages[0])
            late = threading.Thread(target=edit)
            if stages[1]:
                late.start()
            back, left = data_rows.put_back(environment, kept, of=shape)
            _joined(late, stages[1])
            outcomes["left"] += left
            assert len(back) + left == 3 and _same(writer, edits, {"paid", "cancelled"})
            untouched = [row for row in _rows(writer) if row[0] not in edits]
            assert all(row[1:] == ("paid", 0) for row in untouched), untouched
    for connection in opened.values():
        connection.real.close()
    assert min(outcomes.values()) > 0, outcomes  # every case came up


class _Again:
    """One real connection for a thousand rounds; each `with` block is a transaction of its own."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __enter__(self) -> Any:
        return self.real

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.real.rollback() if kind else self.real.commit()


def _joined(thread: threading.Thread, started: bool) -> None:
    if started:
        thread.join()


def _rows(writer: Any) -> list[Any]:
    return list(
        writer.execute(
            "select id, status, total_yen from orders where id in (3000011, 3000012, 3000013) order by id"
        ).fetchall()
    )


def _same(writer: Any, edits: dict[int, int], allowed: set[str]) -> bool:
    return all(row[1] in allowed and (row[0] not in edits or row[2] == edits[row[0]]) for row in _rows(writer))


def test_the_images_are_json_of_the_row(run: Run) -> None:
    found = data_rows.seen(run.environment, sql_guard.read(FIX), ("id",))
    assert [json.loads(image.before)["id"] for image in found] == list(IDS) and json.loads(found[0].after)[
        "status"
    ] == "cancelled"
