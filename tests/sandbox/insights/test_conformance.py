"""The sixty conformance cases of the query language: number and rule, events, query, rows worked out by hand."""

import pytest
from asking import DAY, Given, Rows, answer

from opslib.sandbox.insights import Malformed

AB = [(0, {"a": 1, "b": 2})]
JSON_TEXT = [(0, {"d": '{"s":1}'})]
N13 = [(0, {"n": 1}), (1, {"n": 3})]
EXCEPTIONS = [(0, "Exception"), (1, "exception")]
KEYED = [(0, {"k": "x", "v": 2}), (1, {"k": "y", "v": 5}), (2, {"k": "x", "v": 4})]
XY = [(0, {"x": 1, "y": 1})]
PQ = [(0, {"a": "p"}), (5, {"a": "q"})]
MIXED = [(n, {"v": value}) for n, value in enumerate(["A", "5A", "111A", "3", "2"])]
TWICE = [(0, {"k": 1, "m": "a"}), (1, {"k": 1, "m": "b"})]

CASES: list[tuple[str, Given, str, Rows]] = [
    ("1 Fie: order of fields", AB, "fields b, a", [{"b": "2", "a": "1"}]),
    ("2 Fie: fields add up", AB, "fields a | fields b", [{"a": "1", "b": "2"}]),
    ("3 Dis: the last display counts", AB, "fields a,b | display a | display b", [{"b": "2"}]),
    ("4 G: backticks", [(0, {"foo-bar": 7})], "fields `foo-bar`", [{"foo-bar": "7"}]),
    ("5 G: a minus subtracts", [(0, {"foo": 5, "bar": 2})], "fields foo-bar as d", [{"d": "3"}]),
    ("6 Al: a comment line", [(0, {"a": 1})], "fields a\n# | filter a=9", [{"a": "1"}]),
    ("7 St: any case", [(0, {"a": 1})], "FIELDS a | FILTER a IN [1,2]", [{"a": "1"}]),
    ("8 DF: nested keys", [(0, {"u": {"t": "x"}})], "fields u.t", [{"u.t": "x"}]),
    ("9 DF: items of arrays", [(0, {"i": [{"id": "p"}, {"id": "q"}]})], "fields i.1.id", [{"i.1.id": "q"}]),
    ("10 DF: JSON in a string is a leaf", JSON_TEXT, "filter ispresent(d.s) | fields d", []),
    ("11 DF: jsonParse reads it", JSON_TEXT, "fields jsonParse(d).s as s", [{"s": "1"}]),
    ("12 DF: doubled at", [(0, {"@x": 1})], "fields @@x", [{"@@x": "1"}]),
    ("13 Fi: filter", N13, "filter n>2 | fields n", [{"n": "3"}]),
    ("14 Q: where", N13, "where n>2 | fields n", [{"n": "3"}]),
    ("15 Fi: in", [(0, {"c": 300}), (1, {"c": 404})], "filter c in [300,400] | fields c", [{"c": "300"}]),
    ("16 Fi: not in", [(0, {"k": "foo"}), (1, {"k": 1}), (2, {"k": "baz"})], 'filter k not in ["foo",1] | fields k', [{"k": "baz"}]),
    ("17 Fi: in takes whole strings", [(0, {"g": "ex_1"})], 'filter g in ["ex"] | fields g', []),
    ("18 Fi: like", EXCEPTIONS, 'filter @message like "Exception" | fields @message', [{"@message": "Exception"}]),
    ("19 Fi: (?i)", EXCEPTIONS, "filter @message like /(?i)exception/ | stats count(*) as n", [{"n": "2"}]),
    ("20 Fi: =~", EXCEPTIONS, "filter @message =~ /^E/ | fields @message", [{"@message": "Exception"}]),
    ("21 Fi: not like", EXCEPTIONS, 'filter @message not like "Exc" | fields @message', [{"@message": "exception"}]),
    ("22 Fi: a pattern on a number", [(0, {"s": 204}), (1, {"s": 304})], r"filter s like /2\d\d/ | fields s", [{"s": "204"}]),
    ("23 Fi: parentheses", [(0, {"a": 1, "b": 9}), (1, {"a": 2, "b": 9})], "filter (a=1 or a=3) and b=9 | fields a", [{"a": "1"}]),
    ("24 Fn: comparing a map is false", [(0, {"a": 1})], "fields jsonParse(@message) as j | filter j = 1", []),
    ("25 Pa: glob", [(0, "12:00 [WARN] {x=1} error: Foo")], 'parse @message "[*] * error: *" as l,c,e | display l,c,e', [{"l": "WARN", "c": "{x=1}", "e": "Foo"}]),
    ("26 Pa: no match stays", [(0, "k=1"), (1, "zz")], 'parse @message "k=*" as v | fields @message, v | sort @timestamp asc', [{"@message": "k=1", "v": "1"}, {"@message": "zz"}]),
    ("28 Pa: named groups", [(0, "user=bo id=7")], r"parse @message /user=(?<u>\w+)/ | display u", [{"u": "bo"}]),
    ("29 Pa: @message by default", [(0, "k=5")], 'parse "k=*" as v | display v', [{"v": "5"}]),
    ("30 Pa: parse what was parsed", [(0, "url=/api/v2/u/9")], 'parse @message "url=*" as r | parse r "/api/*/u/*" as ver,id | display ver,id', [{"ver": "v2", "id": "9"}]),
    ("31 Pa, So: multi", [(0, "10.0.0.1 10.0.0.2")], r"parse @message /(\d+\.\d+\.\d+\.\d+)/ as ip multi | stats count(*) as n by ip | sort ip asc", [{"ip": "10.0.0.1", "n": "1"}, {"ip": "10.0.0.2", "n": "1"}]),
    ("32 Pa: logfmt", [(0, "level=error msg=boom")], "parse @message logfmt as lf | display lf.level, lf.msg", [{"lf.level": "error", "lf.msg": "boom"}]),
    ("33 Pa: csv", [(0, "t1,ERROR,x")], 'parse @message csv as t,l,m | filter l="ERROR" | display m', [{"m": "x"}]),
    ("34 St: text is counted with", [(0, {"n": "4"}), (1, {"n": "6"})], "stats sum(n) as s, avg(n) as a", [{"s": "10", "a": "5"}]),
    ("35 St: count(f)", [(0, {"a": 1}), (1, {"a": 1}), (2, {"b": 1})], "stats count(*) as n, count(a) as m", [{"n": "3", "m": "2"}]),
    ("36 St, So: by", KEYED, "stats sum(v) as s by k | sort s desc", [{"k": "x", "s": "6"}, {"k": "y", "s": "5"}]),
    ("37 St: arithmetic of aggregates", KEYED, "stats sum(v)/count(*) as r by k | sort k asc", [{"k": "x", "r": "3"}, {"k": "y", "r": "5"}]),
    ("38 St: bin", [(60, "e"), (240, "e"), (360, "e")], "stats count(*) as n by bin(5m) as t | sort t asc", [{"t": f"{DAY}00:00.000", "n": "2"}, {"t": f"{DAY}05:00.000", "n": "1"}]),
    ("39 Fn: 300 s are capped to 60", [(70, "e"), (130, "e")], "stats count(*) as n by bin(300s) as t | sort t asc", [{"t": f"{DAY}01:00.000", "n": "1"}, {"t": f"{DAY}02:00.000", "n": "1"}]),
    ("40 St: hrs", [(0, "e"), (3599, "e")], "stats count(*) as n by bin(1hrs) as t", [{"t": f"{DAY}00:00.000", "n": "2"}]),
    ("41 St: stats of stats", [(0, {"v": 1}), (60, {"v": 2}), (300, {"v": 7})], "stats sum(v) as s by bin(5m) as t | stats max(s) as hi, min(s) as lo", [{"hi": "7", "lo": "3"}]),
    ("46 St: distinct", [(0, {"a": 1}), (1, {"a": 1}), (2, {"a": 2})], "stats countDistinct(a) as d, min(a) as lo, max(a) as hi", [{"d": "2", "lo": "1", "hi": "2"}]),
    ("47 St: variance of the population", [(0, {"a": 1}), (1, {"a": 3})], "stats variance(a) as v", [{"v": "1"}]),
    ("48 St: earliest", PQ, "stats earliest(a) as f, latest(a) as l", [{"f": "p", "l": "q"}]),
    ("50 So: natural order", MIXED, "fields v | sort v asc", [{"v": value} for value in ("5A", "111A", "A", "2", "3")]),
    ("51 So, Li: the reverse", MIXED, "fields v | sort v desc | limit 2", [{"v": "3"}, {"v": "2"}]),
    ("52 De: the first stays", TWICE, "fields m | sort @timestamp asc | dedup k", [{"m": "a"}]),
    ("53 De: the newest without sort", TWICE, "fields m | dedup k", [{"m": "b"}]),
    ("54 De: nulls stay", [(0, {"m": "a"}), (1, {"m": "b"})], "fields m | sort @timestamp asc | dedup k", [{"m": "a"}, {"m": "b"}]),
    ("56 Unnest, Fn", [(0, {"e": [{"n": "p"}, {"n": "q"}]})], "fields jsonParse(@message) as j | unnest j.e into x | stats count(*) as c by x.n | sort c asc, x.n asc", [{"x.n": "p", "c": "1"}, {"x.n": "q", "c": "1"}]),
    ("57 Expand", [(0, {"items": ["a", "b"], "h": "w"})], "expand items | stats count(*) as c by items, h | sort items asc", [{"items": "a", "h": "w", "c": "1"}, {"items": "b", "h": "w", "c": "1"}]),
    ("58 Fn: text", [(0, {"s": "aabcaa", "w": "  "})], 'fields ltrim(s,"a") as l, substr(s,2,2) as b, isblank(w) as i, isempty(zz) as z, strcontains(s,"BC",true) as c', [{"l": "bcaa", "b": "bc", "i": "1", "z": "1", "c": "1"}]),
    ("59 Fn: times and numbers", [(754, {"ip": "10.1.2.3"})], 'filter isIpInSubnet(ip,"10.0.0.0/8") | fields toMillis(datefloor(@timestamp,1h)) as f, toMillis(dateceil(@timestamp,1h)) as c, decToHex(255) as h, 2^3 as e, 10%3 as m', [{"f": "1767225600000", "c": "1767229200000", "h": "0xff", "e": "8", "m": "1"}]),
    ("60 Lo: lookup", [(0, {"u": "1"}), (1, {"u": "9"})], "fields u | lookup t u OUTPUT nm | sort u asc", [{"u": "1", "nm": "bo"}, {"u": "9"}]),
]  # fmt: skip

REFUSED = [
    ("27 Pa: a name for each star", 'parse @message "*-*" as x', "2 stars and 1 names"),
    ("42 St: z is gone", "stats sum(x) as s by y | stats max(z) as m", "Unknown symbols found in or after stats: z"),
    ("43 St: sort between stats", "stats sum(x) as s by y | sort s desc | stats max(s) as m", "sort before the last"),
    ("44 St: @timestamp is gone", "stats sum(x) as s by y | stats avg(s) as a by bin(5m)", "after stats: @timestamp"),
    ("45 St: eleven", " | ".join(f"stats count(*) as n{n}" for n in range(11)), "at most 10 stats"),
    ("49 St: topk with by", "stats topk(1,a) by a", "topk"),
    ("55 De: only limit may follow", "dedup m | fields m", "only limit may follow dedup"),
]


@pytest.mark.parametrize(("given", "query", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(given: Given, query: str, expected: Rows) -> None:
    assert answer(query, given) == expected


@pytest.mark.parametrize(("query", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_case_is_refused(query: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason) as caught:
        answer(query, XY)
    assert caught.value.message.startswith("stand-in: ")
    assert 0 <= caught.value.start < caught.value.end <= len(query)


def test_every_case_is_here() -> None:
    numbers = [int(case[0].split()[0]) for case in CASES] + [int(case[0].split()[0]) for case in REFUSED]
    assert sorted(numbers) == list(range(1, 61))
