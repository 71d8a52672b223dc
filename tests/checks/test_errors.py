"""New and grown errors: the arithmetic on counts made by hand, the whole on the planted incident and on an ordinary day."""

from typing import Any

import pandas as pd
import pytest

import opslib
from opslib import frames
from opslib.checks import errors
from opslib.checks.error_story import FEW, GREW, NEW, USUAL, read
from opslib.result import Sight, Verdict
from opslib.sandbox.control import Sandbox
from opslib.sources.error_patterns import COLUMNS

AT = pd.Timestamp("2026-11-05T02:00:00Z")


def counts(*rows: tuple[str, str, int], level: str = "ERROR") -> pd.DataFrame:
    """Return totals of (kind, pattern, lines) in one service."""
    made = [
        {"service": "api", "kind": kind, "level": level, "pattern": pattern, "lines": lines, "requests": lines, "first": AT, "example": f"req-{kind}"}
        for kind, pattern, lines in rows
    ]  # fmt: skip
    return frames.made(made, COLUMNS)


def course(kind: str, pattern: str, lines: list[int]) -> pd.DataFrame:
    rows = counts(*((kind, pattern, count) for count in lines)).assign(
        at=[AT + pd.Timedelta(minutes=n) for n in range(len(lines))]
    )
    rows.attrs["minutes"] = 1
    return rows


NOTHING = course("", "", [])


def test_new_grown_usual_and_rare_are_told_apart() -> None:
    now = counts(("A", "a", 5), ("B", "b", 40), ("C", "c", 12), ("D", "d", 4), ("E", "e", 9))
    before, yesterday = counts(("B", "b", 10), ("C", "c", 2), ("E", "e", 1)), counts(("B", "b", 13), ("C", "c", 11))
    story = read(now, NOTHING, {"before": before, "yesterday": yesterday})
    states = dict(zip(story.patterns["kind"], story.patterns["state"], strict=True))
    assert states == {"A": NEW, "B": GREW, "C": USUAL, "D": FEW, "E": GREW}  # 9 against 1: 1 + 4 * sqrt(2) is 6.7
    assert list(story.patterns["kind"])[:3] == ["A", "B", "E"] and list(story.off["more"]) == [5, 27, 8]


def test_a_baseline_with_fewer_lines_of_any_kind_expects_more() -> None:
    now, before = counts(("B", "b", 17)), counts(("B", "b", 4))
    now.attrs["scanned"], before.attrs["scanned"] = 30_000, 14_000  # the morning against the night
    assert list(read(now, NOTHING, {"before": before}).patterns["state"]) == [USUAL]
    before.attrs["scanned"] = 1  # an incident writes more, too, and must not excuse itself
    assert list(read(now.assign(lines=90), NOTHING, {"before": before}).patterns["state"]) == [GREW]


def test_the_named_error_comes_before_the_access_line_that_it_ends_in() -> None:
    now = counts(("", "request completed", 65), ("Timeout", "no answer", 61))
    assert list(read(now, NOTHING, {"before": counts(("x", "x", 1))}).patterns["kind"]) == ["Timeout", ""]


def test_without_a_baseline_nothing_is_new() -> None:
    assert not len(read(counts(("A", "a", 90)), NOTHING, {}).off)


def test_a_grown_pattern_began_where_it_stays_above_halfway() -> None:
    lines = [1, 0, 2, 0, 1, 0, 9, 8, 0, 9, 7, 8]
    story = read(counts(("B", "b", sum(lines))), course("B", "b", lines), {"before": counts(("B", "b", 6))})
    assert list(story.patterns["state"]) == [GREW] and story.patterns["since"][0] == AT + pd.Timedelta(minutes=6)


def test_a_kind_that_names_things_in_words_is_one_pattern() -> None:
    now = counts(*(("OutOfStock", f"out of stock: {name}", 2) for name in "uvwxyz"))
    before = counts(*(("OutOfStock", f"out of stock: {name}", 2) for name in "abcdef"))
    story = read(now, NOTHING, {"before": before})
    assert list(story.patterns["pattern"]) == ["out of stock: …"] and list(story.patterns["state"]) == [USUAL]


def test_the_planted_error_is_new_since_its_deploy(sandbox: Sandbox) -> None:
    search = errors.search(opslib.start())
    assert (search.verdict, search.sight) == (Verdict.CRITICAL, Sight.COMPLETE)
    assert search.sentence.startswith("LockTimeout in api is new since 11:02 JST: ")
    new = search.part("new").table
    assert (
        new is not None
        and set(new["kind"]) >= {"LockTimeout", "PSQLException"}
        and not new["message"].str.contains("req-").any()
    )
    assert search.next[0].runbook == "2-investigate/trace-request" and search.next[0].parameters[
        "request_id"
    ].startswith("req-")
    usual = search.part("usual").table
    assert usual is not None and "NotFound" in set(usual["kind"])


def test_lines_of_the_planted_error_are_counted_right(sandbox: Sandbox) -> None:
    run = opslib.start(window="1h")
    assert run.window
    found = sandbox.client("logs").filter_log_events(
        logGroupName="/shop/api", filterPattern='"LockTimeout"',
        startTime=int(run.window.start.timestamp() * 1000), endTime=int(run.window.end.timestamp() * 1000) - 1,
    )["events"]  # fmt: skip
    new = errors.search(run).part("new").table
    assert new is not None and int(new.set_index("kind").loc["LockTimeout", "lines"]) == len(found)


def test_no_group_is_no_answer(sandbox: Sandbox) -> None:
    search = errors.search(opslib.start(), log_groups="/no/such*")
    assert (search.verdict, search.sight) == (Verdict.UNKNOWN, Sight.ERROR) and "/no/such*" in search.reason


@pytest.fixture(scope="module")
def ordinary() -> Any:
    with Sandbox(clock="frozen", scenario="quiet-day") as quiet, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(quiet.directory))
        yield quiet


def test_on_an_ordinary_day_nothing_is_new_and_a_blind_baseline_is_said(ordinary: Sandbox) -> None:
    for window in ("1h", "3h", "30m"):
        assert errors.search(opslib.start(window=window)).verdict is Verdict.OK, window
    ordinary.fault(service="logs", operation="StartQuery", kind="access-denied", count=1)
    blind = errors.search(opslib.start())
    ordinary.clear_faults()
    assert (
        blind.verdict is Verdict.UNKNOWN and blind.sight in (Sight.PARTIAL, Sight.DENIED) and "denied" in blind.reason
    )
