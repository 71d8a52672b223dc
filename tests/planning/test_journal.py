"""The journal finds every edit, deletion and cut, and survives a crash in the middle of a line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opslib.journal import Journal, head

AT = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal.jsonl")
    for number in range(4):
        journal.append("note", at=AT, text=f"number {number}")
    return journal


def lines(journal: Journal) -> list[str]:
    return journal.file.read_text().splitlines(keepends=True)


def test_an_untouched_journal_has_no_problem(journal: Journal) -> None:
    assert journal.problems() == [] and [entry["n"] for entry in journal.entries()] == [1, 2, 3, 4]
    assert journal.entries()[0]["at"] == "2026-11-05T02:40:00.000Z" and journal.file.stat().st_mode & 0o077 == 0


def test_an_edit_is_found(journal: Journal) -> None:
    journal.file.write_text(journal.file.read_text().replace("number 1", "number 7"))
    assert journal.problems() == ["line 2 was changed after it was written"]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_deletion_is_found(journal: Journal, gone: int) -> None:
    kept = lines(journal)
    journal.file.write_text("".join(kept[:gone] + kept[gone + 1 :]))
    assert any("something is missing" in problem for problem in journal.problems())


def test_a_swap_is_found(journal: Journal) -> None:
    first, second, *rest = lines(journal)
    journal.file.write_text("".join([second, first, *rest]))
    assert journal.problems()


@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_cut_tail_is_found(journal: Journal, left: int) -> None:
    journal.file.write_text("".join(lines(journal)[:left]))
    assert journal.problems() == [f"the last {4 - left} of 4 entries are missing"]


def test_a_new_tail_over_a_cut_one_is_found_by_the_head_kept_elsewhere(journal: Journal) -> None:
    kept = head(journal.file)
    journal.file.write_text("".join(lines(journal)[:2]))
    for _ in range(3):
        journal.append("note", at=AT, text="forged")
    assert journal.problems() == []  # the chain alone cannot know
    assert journal.problems(head=kept) == ["entry 4 is not the one that was written"]


def test_a_line_cut_off_by_a_crash_is_kept_and_no_problem(journal: Journal) -> None:
    with journal.file.open("a") as file:
        file.write('{"n":5,"event":"intent","te')
    assert journal.problems() == ["its last line cannot be read"]
    journal.append("note", at=AT, text="after the crash")
    assert journal.problems() == [] and journal.entries()[-1]["n"] == 5
    torn = lines(journal)
    journal.file.write_text("".join(torn[:4] + torn[5:]))
    assert journal.problems() == ["a line before line 5 is gone"]


def test_a_crash_before_the_head_was_written_is_no_problem(journal: Journal) -> None:
    before = journal.file.with_suffix(".head").read_text()
    journal.append("note", at=AT, text="five")
    journal.file.with_suffix(".head").write_text(before)
    assert journal.problems() == []


def test_no_secret_is_noted(journal: Journal) -> None:
    entry = journal.append(
        "note", at=AT, text="password=hunter2 mail taro@example.com", deep={"a": ["token=abcdef123456"]}
    )
    assert (
        "hunter2" not in json.dumps(entry)
        and "taro@" not in journal.file.read_text()
        and "abcdef123456" not in journal.file.read_text()
    )
    assert journal.problems() == []
