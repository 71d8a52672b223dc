"""Runs: limits, pointers, counts, batches, ties, and a quarter of a million events."""

from typing import Any

import pytest
from asking import ZERO, Given, events
from hypothesis import given as drawn
from hypothesis import strategies as st

from opslib.sandbox.insights import Answer, Batch, Event, Failed, Malformed, compile_query
from opslib.sandbox.insights.lexer import tokens

NUMBERED: Given = [(n, {"n": n, "k": n % 3}) for n in range(9)]


def run(query: str, source: Any, limit: int = 10_000) -> Answer:
    return compile_query(query).run(source, limit=limit, start_ms=ZERO, end_ms=ZERO + 999, now_ms=ZERO)


def test_the_pointer_is_last_and_absent_after_stats() -> None:
    assert run("fields @ptr, n | sort n asc", events(NUMBERED)).rows[0] == [("n", "0"), ("@ptr", "/shop/api-0")]
    assert run("stats count(*) as n", events(NUMBERED)).rows == [[("n", "9")]]


def test_columns_keep_their_order_and_groups_come_first() -> None:
    row = run("stats sum(n) as s, count(*) as c by k as g, bin(1m) as t", events(NUMBERED)).rows[0]
    assert [name for name, _ in row] == ["g", "t", "s", "c"]


def test_the_limit_of_the_caller_holds() -> None:
    assert len(run("fields n", events(NUMBERED), limit=4).rows) == 4
    query = compile_query("fields n | limit 2")
    assert query.limit == 2 and not query.is_aggregate
    assert len(run("fields n | limit 2", events(NUMBERED)).rows) == 2
    assert compile_query("stats count(*) as n").limit is None and compile_query("stats count(*) as n").is_aggregate


@pytest.mark.parametrize(
    ("query", "matched"),
    [
        ("fields n", 9),
        ("filter k = 1 | limit 1", 3),
        ("filter k = 1 | filter n > 1 | stats count(*) as c", 2),
        ("stats count(*) as c by k | filter c > 100", 9),
        ('filter @message like "nowhere"', 0),
    ],
)
def test_records_are_counted(query: str, matched: int) -> None:
    answer = run(query, events(NUMBERED))
    assert (answer.records_matched, answer.records_scanned) == (matched, 9)
    assert answer.bytes_scanned == sum(len(event.message) for event in events(NUMBERED))


def test_bytes_are_of_utf8() -> None:
    assert run("fields n", [Event(ZERO, "在庫", "s", "g", ZERO, "p")]).bytes_scanned == 6


def test_a_query_runs_more_than_once() -> None:
    query = compile_query("sort n desc | accum n as total | limit 1")
    asked: dict[str, int] = {"limit": 5, "start_ms": 0, "end_ms": 0, "now_ms": 0}
    assert query.run(events(NUMBERED), **asked) == query.run(events(NUMBERED), **asked)


def test_batches_answer_as_events_do() -> None:
    given = events(NUMBERED)
    batch = Batch(
        group="/shop/api",
        timestamps=[event.timestamp for event in given],
        messages=[event.message for event in given],
        streams=["stream"] * 9,
        ingestion=[ZERO] * 9,
        ptrs=lambda place: f"/shop/api-{place}",
    )
    for query in ("fields @timestamp, n, @log, @logStream, @ingestionTime", "filter k = 1 | dedup k"):
        assert run(query, [batch]) == run(query, given)


def test_ties_do_not_follow_the_order_of_the_events() -> None:
    given: Given = [(0, {"n": n}) for n in range(40)]
    found = [dict(row)["n"] for row in run("fields n", events(given)).rows]
    assert found != sorted(found, key=int) and found != sorted(found, key=int, reverse=True)
    assert found == [dict(row)["n"] for row in run("fields n", events(given)[::-1]).rows]
    assert [dict(row)["n"] for row in run("stats count(*) as c by n", events(given)).rows] != sorted(found, key=int)


def test_limit_any_takes_some_rows() -> None:
    found = {dict(row)["n"] for row in run("fields n | limit any 3", events(NUMBERED)).rows}
    assert len(found) == 3 and found != {"8", "7", "6"}


def test_groups_of_a_subquery_come_from_the_caller() -> None:
    with pytest.raises(Failed, match="other log groups"):
        run("filter n in (SOURCE '/x' | fields n)", events(NUMBERED))


def test_a_selection_of_groups_is_told_to_callers_that_can_select() -> None:
    text = "SOURCE logGroups(namePrefix: ['/shop/', '/aws/'], class: ['STANDARD']) | fields n | limit 3"
    query = compile_query(text, selects_groups=True)
    assert query.selection and query.selection.prefixes == ("/shop/", "/aws/") and query.limit == 3
    with pytest.raises(Malformed):
        compile_query("SOURCE logGroups(tags: ['x']) | fields n", selects_groups=True)


@drawn(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60))
def test_an_escaped_value_is_one_string(value: str) -> None:
    written = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    [found] = tokens(written)
    assert (found.kind, found.value) == ("string", value)
    if value:
        query = f"filter @message like {written} | stats count(*) as n"
        assert run(query, [Event(ZERO, f"<{value}>", "s", "g", ZERO, "p")]).rows == [[("n", "1")]]
        assert run(query, [Event(ZERO, "", "s", "g", ZERO, "p")]).rows == []


@drawn(
    st.text(st.sampled_from("ab.|"), max_size=6),
    st.sampled_from(
        ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", r"(a)\1", "a*+", "a?+", "a{2}+", r"\pL", "[[:alpha:]]"]
    ),
    st.text(st.sampled_from("ab.|"), max_size=6),
)
def test_what_the_engine_lacks_is_refused_anywhere(before: str, lacking: str, after: str) -> None:
    with pytest.raises(Malformed):
        compile_query(f"filter @message like /{before}{lacking}{after}/")


@pytest.fixture(scope="module")
def many() -> list[Batch]:
    """A quarter of a million events of about 300 bytes, in batches of 10,000."""
    filler = "x" * 200
    found = []
    for low in range(0, 250_000, 10_000):
        numbers = range(low, low + 10_000)
        messages = [
            f'{{"level":"{"ERROR" if n % 50 == 0 else "INFO"}","n":{n},"id":"req-{n:012x}","k":"k{n % 7}","pad":"{filler}"}}'
            for n in numbers
        ]
        found.append(
            Batch("/g", [ZERO + n * 100 for n in numbers], messages, ["s"] * 10_000, [ZERO] * 10_000, lambda place, low=low: f"p{low + place}")  # type: ignore[misc]
        )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("query", "matched", "rows"),
    [
        ('filter level = "ERROR" | stats count(*) as n', 5000, [[("n", "5000")]]),
        ("filter n >= 249999 | fields n", 1, [[("n", "249999"), ("@ptr", "p249999")]]),
        ('filter id = "req-00000000000a" | fields n', 1, [[("n", "10"), ("@ptr", "p10")]]),
        ("filter @message like /req-0+ff/ and n < 256 | fields n", 1, [[("n", "255"), ("@ptr", "p255")]]),
        ("stats sum(n) as s, max(n) as hi, count_distinct(k) as k7", 250_000, [[("s", "31249875000"), ("hi", "249999"), ("k7", "7")]]),
        ("fields n | sort n desc | limit 1", 250_000, [[("n", "249999"), ("@ptr", "p249999")]]),
        ("stats count(*) as n by bin(1h) as t | sort t asc | limit 1", 250_000, [[("t", "2026-01-01 00:00:00.000"), ("n", "36000")]]),
    ],
)  # fmt: skip
def test_a_quarter_million_events(many: list[Batch], query: str, matched: int, rows: list[Any]) -> None:
    found = run(query, many)
    assert (found.rows, found.records_matched, found.records_scanned) == (rows, matched, 250_000)
