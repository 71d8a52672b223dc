"""The query language, a row a feature; expected rows were worked out by hand from AWS's documentation."""

import json
from typing import Any

import pytest

from opslib.sandbox.insights import Event, Failed, Malformed, compile_query

ZERO = 1_767_225_600_000  # 2026-01-01T00:00:00Z
A_B = [(0, {"a": 1, "b": 2})]
EXCEPTIONS = [(0, "Exception"), (1, "exception")]
NUMBERS = [(0, {"n": 1}), (1, {"n": 3})]
KEYED = [(0, {"k": "x", "v": 2}), (1, {"k": "y", "v": 5}), (2, {"k": "x", "v": 4})]
TWICE = [(0, {"k": 1, "m": "a"}), (1, {"k": 1, "m": "b"})]
ORDER = [(place, {"v": value}) for place, value in enumerate(["A", "5A", "111A", "3", "2"])]
XY = [(0, {"x": 1, "y": 1})]
DAY = "2026-01-01 00:"

ANSWERED: list[tuple[str, list[tuple[float, Any]], str, list[dict[str, str]]]] = [
    ("1 order of fields", A_B, "fields b, a", [{"b": "2", "a": "1"}]),
    ("2 fields add up", A_B, "fields a | fields b", [{"a": "1", "b": "2"}]),
    ("3 last display counts", A_B, "fields a,b | display a | display b", [{"b": "2"}]),
    ("4 backticks", [(0, {"foo-bar": 7})], "fields `foo-bar`", [{"foo-bar": "7"}]),
    ("5 minus", [(0, {"foo": 5, "bar": 2})], "fields foo-bar as d", [{"d": "3"}]),
    ("6 comment line", [(0, {"a": 1})], "fields a\n# | filter a=9", [{"a": "1"}]),
    ("7 any case", [(0, {"a": 1})], "FIELDS a | FILTER a IN [1,2]", [{"a": "1"}]),
    ("8 nested", [(0, {"u": {"t": "x"}})], "fields u.t", [{"u.t": "x"}]),
    ("9 array item", [(0, {"i": [{"id": "p"}, {"id": "q"}]})], "fields i.1.id", [{"i.1.id": "q"}]),
    ("10 JSON in a string is a leaf", [(0, {"d": '{"s":1}'})], "filter ispresent(d.s) | fields d", []),
    ("12 doubled at", [(0, {"@x": 1})], "fields @@x", [{"@@x": "1"}]),
    ("13 filter", NUMBERS, "filter n>2 | fields n", [{"n": "3"}]),
    ("14 where", NUMBERS, "where n>2 | fields n", [{"n": "3"}]),
    ("15 in numbers", [(0, {"c": 300}), (1, {"c": 404})], "filter c in [300,400] | fields c", [{"c": "300"}]),
    ("16 not in", [(0, {"k": "foo"}), (1, {"k": 1}), (2, {"k": "baz"})], 'filter k not in ["foo",1] | fields k', [{"k": "baz"}]),
    ("17 in is whole", [(0, {"g": "ex_1"})], 'filter g in ["ex"] | fields g', []),
    ("18 like", EXCEPTIONS, 'filter @message like "Exception" | fields @message', [{"@message": "Exception"}]),
    ("19 (?i)", EXCEPTIONS, "filter @message like /(?i)exception/ | stats count(*) as n", [{"n": "2"}]),
    ("20 =~", EXCEPTIONS, "filter @message =~ /^E/ | fields @message", [{"@message": "Exception"}]),
    ("21 not like", EXCEPTIONS, 'filter @message not like "Exc" | fields @message', [{"@message": "exception"}]),
    ("22 regex on a number", [(0, {"s": 204}), (1, {"s": 304})], r"filter s like /2\d\d/ | fields s", [{"s": "204"}]),
    ("23 parentheses", [(0, {"a": 1, "b": 9}), (1, {"a": 2, "b": 9})], "filter (a=1 or a=3) and b=9 | fields a", [{"a": "1"}]),
    ("25 glob", [(0, "12:00 [WARN] {x=1} error: Foo")], 'parse @message "[*] * error: *" as l,c,e | display l,c,e', [{"l": "WARN", "c": "{x=1}", "e": "Foo"}]),
    ("26 no match stays", [(0, "k=1"), (1, "zz")], 'parse @message "k=*" as v | fields @message, v | sort @timestamp asc', [{"@message": "k=1", "v": "1"}, {"@message": "zz"}]),
    ("28 regex names", [(0, "user=bo id=7")], r"parse @message /user=(?<u>\w+)/ | display u", [{"u": "bo"}]),
    ("29 parse without a field", [(0, "k=5")], 'parse "k=*" as v | display v', [{"v": "5"}]),
    ("30 parse twice", [(0, "url=/api/v2/u/9")], 'parse @message "url=*" as r | parse r "/api/*/u/*" as ver,id | display ver,id', [{"ver": "v2", "id": "9"}]),
    ("34 text is counted with", [(0, {"n": "4"}), (1, {"n": "6"})], "stats sum(n) as s, avg(n) as a", [{"s": "10", "a": "5"}]),
    ("35 count(f)", [(0, {"a": 1}), (1, {"a": 1}), (2, {"b": 1})], "stats count(*) as n, count(a) as m", [{"n": "3", "m": "2"}]),
    ("36 by", KEYED, "stats sum(v) as s by k | sort s desc", [{"k": "x", "s": "6"}, {"k": "y", "s": "5"}]),
    ("37 arithmetic of aggregates", KEYED, "stats sum(v)/count(*) as r by k | sort k asc", [{"k": "x", "r": "3"}, {"k": "y", "r": "5"}]),
    ("38 bin", [(60, "e"), (240, "e"), (360, "e")], "stats count(*) as n by bin(5m) as t | sort t asc", [{"t": f"{DAY}00:00.000", "n": "2"}, {"t": f"{DAY}05:00.000", "n": "1"}]),
    ("39 bin is capped", [(70, "e"), (130, "e")], "stats count(*) as n by bin(300s) as t | sort t asc", [{"t": f"{DAY}01:00.000", "n": "1"}, {"t": f"{DAY}02:00.000", "n": "1"}]),
    ("40 hours", [(0, "e"), (3599, "e")], "stats count(*) as n by bin(1hrs) as t", [{"t": f"{DAY}00:00.000", "n": "2"}]),
    ("41 stats of stats", [(0, {"v": 1}), (60, {"v": 2}), (300, {"v": 7})], "stats sum(v) as s by bin(5m) as t | stats max(s) as hi, min(s) as lo", [{"hi": "7", "lo": "3"}]),
    ("46 distinct", [(0, {"a": 1}), (1, {"a": 1}), (2, {"a": 2})], "stats countDistinct(a) as d, min(a) as lo, max(a) as hi", [{"d": "2", "lo": "1", "hi": "2"}]),
    ("47 variance of the population", [(0, {"a": 1}), (1, {"a": 3})], "stats variance(a) as v", [{"v": "1"}]),
    ("48 earliest", [(0, {"a": "p"}), (5, {"a": "q"})], "stats earliest(a) as f, latest(a) as l", [{"f": "p", "l": "q"}]),
    ("50 natural order", ORDER, "fields v | sort v asc", [{"v": value} for value in ("5A", "111A", "A", "2", "3")]),
    ("51 descending is the reverse", ORDER, "fields v | sort v desc | limit 2", [{"v": "3"}, {"v": "2"}]),
    ("52 dedup keeps the first", TWICE, "fields m | sort @timestamp asc | dedup k", [{"m": "a"}]),
    ("53 dedup without sort", TWICE, "fields m | dedup k", [{"m": "b"}]),
    ("54 dedup keeps nulls", [(0, {"m": "a"}), (1, {"m": "b"})], "fields m | sort @timestamp asc | dedup k", [{"m": "a"}, {"m": "b"}]),
    ("58 strings", [(0, {"s": "aabcaa", "w": "  "})], 'fields ltrim(s,"a") as l, substr(s,2,2) as b, isblank(w) as i, isempty(zz) as z, strcontains(s,"BC",true) as c', [{"l": "bcaa", "b": "bc", "i": "1", "z": "1", "c": "1"}]),
    ("59 times", [(754, {"p": 1})], "fields toMillis(datefloor(@timestamp,1h)) as f, toMillis(dateceil(@timestamp,1h)) as c, decToHex(255) as h, 2^3 as e, 10%3 as m", [{"f": "1767225600000", "c": "1767229200000", "h": "0xff", "e": "8", "m": "1"}]),
    ("11 jsonParse", [(0, {"d": '{"s":1}'})], "fields jsonParse(d).s as s", [{"s": "1"}]),
    ("24 a map equals nothing", [(0, {"a": 1})], "fields jsonParse(@message) as j | filter j = 1", []),
    ("31 multi", [(0, "10.0.0.1 10.0.0.2")], r"parse @message /(\d+\.\d+\.\d+\.\d+)/ as ip multi | stats count(*) as n by ip | sort ip asc", [{"ip": "10.0.0.1", "n": "1"}, {"ip": "10.0.0.2", "n": "1"}]),
    ("32 logfmt", [(0, "level=error msg=boom")], "parse @message logfmt as lf | display lf.level, lf.msg", [{"lf.level": "error", "lf.msg": "boom"}]),
    ("33 csv", [(0, "t1,ERROR,x")], 'parse @message csv as t,l,m | filter l="ERROR" | display m', [{"m": "x"}]),
    ("56 unnest", [(0, {"e": [{"n": "p"}, {"n": "q"}]})], "fields jsonParse(@message) as j | unnest j.e into x | stats count(*) as c by x.n | sort c asc, x.n asc", [{"x.n": "p", "c": "1"}, {"x.n": "q", "c": "1"}]),
    ("57 expand", [(0, {"items": ["a", "b"], "h": "w"})], "expand items | stats count(*) as c by items, h | sort items asc", [{"items": "a", "h": "w", "c": "1"}, {"items": "b", "h": "w", "c": "1"}]),
    ("59 subnet", [(0, {"ip": "10.1.2.3"})], 'filter isIpInSubnet(ip,"10.0.0.0/8") | fields ip', [{"ip": "10.1.2.3"}]),
    ("newest first by default", NUMBERS, "fields n", [{"n": "3"}, {"n": "1"}]),
    ("alias in the same stats", NUMBERS, "stats max(n) as hi, min(n) as lo, hi - lo as d", [{"hi": "3", "lo": "1", "d": "2"}]),
    ("a pipe in a string", [(0, "a | b")], 'filter @message like "a | b" | stats count(*) as n', [{"n": "1"}]),
    ("an escaped quote", [(0, 'say "x"')], r'filter @message like "say \"x\"" | stats count(*) as n', [{"n": "1"}]),
    ("equality after an escape in JSON", [(0, '{"k":"\\u0061bc"}')], 'filter k = "abc" | stats count(*) as n', [{"n": "1"}]),
    ("or of two literals", [(0, {"k": "abc"}), (1, {"k": "xyz"})], 'filter k = "abc" or k = "xyz" | stats count(*) as n', [{"n": "2"}]),
    ("the group", [(0, "e")], 'filter @log like "/shop/api" | stats count(*) as n by @log', [{"@log": "000000000000:/shop/api", "n": "1"}]),
]  # fmt: skip

REFUSED = [
    ("27 a name for each star", 'parse @message "*-*" as x'), ("42 a field that stats dropped", "stats sum(x) as s by y | stats max(z) as m"),
    ("43 sort between stats", "stats sum(x) as s by y | sort s desc | stats max(s) as m"), ("44 no @timestamp left", "stats sum(x) as s by y | stats avg(s) as a by bin(5m)"),
    ("45 eleven stats", " | ".join(["stats count(*) as n"] * 11)), ("49 topk with by", "stats topk(1,a) by a"), ("55 after dedup only limit", "dedup m | fields m"),
    ("an unknown command", "frobnicate a"), ("an unknown function", "fields frob(a)"), ("pattern", "pattern @message"), ("diff", "diff"), ("unmask", "unmask a"),
    ("look-ahead", "filter a like /(?=x)/"), ("back-reference", r"filter a like /(a)\1/"), ("regex flags", "filter a like /x/i"), ("an unclosed string", 'filter a = "x'),
    ("an unknown escape", r'filter a = "\n"'), ("an empty pipe", "fields a | | limit 5"), ("nothing", ""), ("limit 0", "fields a | limit 0"), ("limit above the most", "fields a | limit 100001"),
    ("commands after limit", "fields a | limit 5 | filter a=1"), ("a bin that divides nothing", "stats count(*) by bin(7m)"), ("an aggregate outside stats", "fields count(*)"), ("&&", "filter a=1 && b=2"),
    ("60 lookup needs a table", "fields u | lookup t u OUTPUT nm | sort u asc"), ("filterIndex", "filterIndex a = 1"), ("join", "join type=left left=a right=b where a.id=b.id (SOURCE '/g2')"), ("median", "stats median(a)"),
]  # fmt: skip

FAILING = [
    ("!= on a missing field", A_B, "filter zz != 1"), ("not of a missing field", A_B, "filter not (zz = 1)"), ("not like on a missing field", A_B, 'filter zz not like "x"'),
    ("text below a number", [(0, {"a": "x"})], "filter a < 3"), ("007 and 7 as text", [(0, {"a": "007"})], 'filter a = "7"'), ("division by zero", A_B, "fields a/0 as x"),
    ("arithmetic with a missing field", A_B, "fields a+zz as x"), ("sort on a missing field", A_B, "fields a | sort zz"), ("by a missing field", A_B, "stats count(*) by zz"),
    ("an object as a value", [(0, {"u": {"t": 1}})], "fields u"),
]  # fmt: skip


def events(given: list[tuple[float, Any]]) -> list[Event]:
    return [
        Event(ZERO + int(at * 1000), what if isinstance(what, str) else json.dumps(what), "stream", "/shop/api", ZERO, f"ptr-{place}")
        for place, (at, what) in enumerate(given)
    ]


def answer(query: str, given: list[tuple[float, Any]]) -> list[dict[str, str]]:
    found = compile_query(query).run(events(given), limit=10_000, start_ms=ZERO, end_ms=ZERO + 10**8, now_ms=ZERO)
    return [{name: value for name, value in row if name != "@ptr"} for row in found.rows]


@pytest.mark.parametrize(("given", "query", "expected"), [case[1:] for case in ANSWERED], ids=[case[0] for case in ANSWERED])
def test_answers(given: list[tuple[float, Any]], query: str, expected: list[dict[str, str]]) -> None:
    assert answer(query, given) == expected


@pytest.mark.parametrize("query", [case[1] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refuses_before_it_runs(query: str) -> None:
    with pytest.raises(Malformed):
        compile_query(query)


@pytest.mark.parametrize(("given", "query"), [case[1:] for case in FAILING], ids=[case[0] for case in FAILING])
def test_fails_where_aws_is_undocumented(given: list[tuple[float, Any]], query: str) -> None:
    with pytest.raises(Failed, match="stand-in"):
        answer(query, given)


def test_the_pointer_is_last_and_absent_after_stats() -> None:
    assert compile_query("fields a").run(events(A_B), limit=10, start_ms=0, end_ms=0, now_ms=0).rows[0][-1] == ("@ptr", "ptr-0")
    assert "@ptr" not in dict(compile_query("stats count(*) as n").run(events(A_B), limit=10, start_ms=0, end_ms=0, now_ms=0).rows[0])


def test_a_quarter_million_events_are_counted_right() -> None:
    many = [Event(ZERO + n * 100, f'{{"level":"{"INFO" if n % 50 else "ERROR"}","n":{n}}}', "s", "/g", ZERO, str(n)) for n in range(250_000)]
    found = compile_query('filter level = "ERROR" | stats count(*) as n').run(many, limit=10, start_ms=0, end_ms=0, now_ms=0)
    assert (found.rows, found.records_matched, found.records_scanned) == ([[("n", "5000")]], 5000, 250_000)
