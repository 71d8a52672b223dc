"""What commands and operators answer, a row a feature; expected rows worked out by hand."""

import pytest
from asking import DAY, Given, Rows, answer

A_B: Given = [(0, {"a": 1, "b": 2})]
N13: Given = [(0, {"n": 1}), (1, {"n": 3})]
KV: Given = [(0, {"k": "x", "v": 2}), (1, {"k": "y", "v": 5}), (2, {"k": "x", "v": 4})]
LINES: Given = [(0, {"s": "a", "d": 10}), (1, {"s": "b", "d": 30}), (2, {"s": "a"}), (3, "plain text")]
SHOPS: Given = [(0, {"shop": "a", "floor": 1}), (1, {"shop": "a", "floor": 2}), (2, {"shop": "c", "floor": 1})]
SERIES: Given = [(n, {"n": n, "v": value}) for n, value in enumerate((1, 2, 4))]
HOLES: Given = [(0, {"h": "x", "cpu1": 5}), (1, {"cpu1": 6}), (2, {"h": "y"})]

LEXICAL: list[tuple[str, Given, str, Rows]] = [
    ("a pipe in a string", [(0, "a | b")], 'filter @message like "a | b" | stats count(*) as n', [{"n": "1"}]),
    ("a # in a string", [(0, "a#b")], 'filter @message like "a#b" | stats count(*) as n', [{"n": "1"}]),
    ("a # in a pattern", [(0, "a#b")], "filter @message like /a#b/ | stats count(*) as n", [{"n": "1"}]),
    ("a comment after code", A_B, "fields a # | fields b\n| fields b", [{"a": "1", "b": "2"}]),
    ("an escaped quote", [(0, 'say "x"')], r'filter @message like "say \"x\"" | stats count(*) as n', [{"n": "1"}]),
    ("an escaped backslash", [(0, "a\\b")], r'filter @message like "a\\b" | stats count(*) as n', [{"n": "1"}]),
    ("single quotes", [(0, "it's")], r"filter @message like 'it\'s' | stats count(*) as n", [{"n": "1"}]),
    ("a slash in a pattern", [(0, "a/b")], r"filter @message like /a\/b/ | stats count(*) as n", [{"n": "1"}]),
    ("a star in like is a star", [(0, "a*b"), (1, "axb")], 'filter @message like "a*b" | fields @message', [{"@message": "a*b"}]),
    ("a slash divides", [(0, {"a": 9, "b": 2})], "fields a / b as q", [{"q": "4.5"}]),
    ("1e3", [(0, {"a": 1000})], "filter a = 1e3 | fields a", [{"a": "1000"}]),
    ("a negative literal", [(0, {"a": -5})], "filter a = -5 and a < -4.5 | fields a", [{"a": "-5"}]),
    ("a nested name in backticks", [(0, {"u": {"x-y": 1}})], "fields u.`x-y` as v", [{"v": "1"}]),
    ("a key with a dot in a map", [(0, {"d": '{"user.id":"u1"}'})], "fields jsonParse(d) as j, j.`user.id` as v | display v", [{"v": "u1"}]),
    ("a name that a keyword begins", [(0, {"order": 1, "input": 2})], "fields order, input", [{"order": "1", "input": "2"}]),
    ("field names have case", [(0, {"a": 1})], "filter ispresent(A) | fields a", []),
    ("text in other scripts", [(0, {"m": "在庫が足りません"})], 'filter m like "足り" | fields m', [{"m": "在庫が足りません"}]),
    ("true is true", [(0, {"f": True, "n": 1}), (1, {"f": False, "n": 2})], "filter f = true | fields n", [{"n": "1"}]),
]  # fmt: skip

FILTERS: list[tuple[str, Given, str, Rows]] = [
    ("text and number are equal", [(0, {"c": 200, "n": 1}), (1, {"c": "200", "n": 2})], "filter c = 200 | stats count(*) as n", [{"n": "2"}]),
    ("number and text are equal", [(0, {"c": 200}), (1, {"c": "200"})], 'filter c = "200" | stats count(*) as n', [{"n": "2"}]),
    ("== is =", A_B, "filter a == 1 | fields b", [{"b": "2"}]),
    ("~= is like", [(0, {"a": "xyz"})], 'filter a ~= "y" | fields a', [{"a": "xyz"}]),
    ("!=", KV, 'filter k != "x" | fields k', [{"k": "y"}]),
    ("not (…)", KV, 'filter not (k = "x") | fields k', [{"k": "y"}]),
    ("! f(x)", [(0, {"a": 1}), (1, {"b": 1})], "filter !ispresent(a) | fields b", [{"b": "1"}]),
    ("<= and >=", N13, "filter n <= 1 or n >= 3 | stats count(*) as n2", [{"n2": "2"}]),
    ("several filters are and", KV, 'filter k = "x" | filter v > 2 | fields v', [{"v": "4"}]),
    ("two fields compared", [(0, {"a": 5, "b": 5}), (1, {"a": 5, "b": 6})], "filter a < b | fields b", [{"b": "6"}]),
    ("a missing field equals nothing", LINES, "filter d = 10 | fields s", [{"s": "a"}]),
    ("a missing field is not below", LINES, "filter d < 20 | fields d", [{"d": "10"}]),
    ("a missing field is in no list", LINES, "filter d in [30] | fields d", [{"d": "30"}]),
    ("!= behind a guard", LINES, "filter ispresent(d) and d != 10 | fields d", [{"d": "30"}]),
    ("a guard behind !=", LINES, "filter d != 10 and ispresent(d) | fields d", [{"d": "30"}]),
    ("not in behind a guard", LINES, "filter ispresent(d) and d not in [10] | fields d", [{"d": "30"}]),
    ("not of what is false anyway", LINES[:1], 'filter not (s = "z" and zz = 1) | fields s', [{"s": "a"}]),
    ("the left of and guards the right", [(0, {"s": "x"}), (1, {"s": "7"})], "filter isNumeric(s) and s > 3 | fields s", [{"s": "7"}]),
    ("or with what is missing", LINES, 'filter d = 99 or s = "b" | fields s', [{"s": "b"}]),
    ("or ispresent", LINES, 'filter s != "a" or !ispresent(s) | stats count(*) as n', [{"n": "2"}]),
    ("not like a pattern", [(0, "GET /"), (1, "POST /")], "filter @message not like /^GET/ | fields @message", [{"@message": "POST /"}]),
    ("in with text of a number", [(0, {"c": "300"})], "filter c in [300] | fields c", [{"c": "300"}]),
    ("a function decides", [(0, {"a": "xyz"}), (1, {"a": "yz"})], 'filter startsWith(a, "x") | fields a', [{"a": "xyz"}]),
    ("a predicate is 1 or 0", [(0, {"a": "xyz"})], 'filter startsWith(a, "x") = 1 and endsWith(a, "x") = 0 | fields a', [{"a": "xyz"}]),
    ("arithmetic binds before comparing", N13, "filter n * 2 + 1 > 6 | fields n", [{"n": "3"}]),
    ("unknown precedence in parentheses", N13, "filter (n = 1 and n < 2) or n = 3 | stats count(*) as c", [{"c": "2"}]),
    ("an escape in JSON", [(0, '{"k":"\\u0061bc"}')], 'filter k = "abc" | stats count(*) as n', [{"n": "1"}]),
    ("an escape in JSON, like", [(0, '{"k":"\\u0061bc"}')], 'filter k like "abc" | stats count(*) as n', [{"n": "1"}]),
    ("or of two literals", [(0, {"k": "abc"}), (1, {"k": "xyz"}), (2, {"k": "q"})], 'filter k = "abc" or k = "xyz" | stats count(*) as n', [{"n": "2"}]),
    ("the word elsewhere does not count", [(0, {"k": "abc"}), (1, {"l": "abc"})], 'filter k = "abc" | stats count(*) as n', [{"n": "1"}]),
    ("like on digits of a decimal", [(0, '{"a":1.50}')], "filter a like /^1.5/ | stats count(*) as n", [{"n": "1"}]),
    ("the group", [(0, "e")], 'filter @log like "/shop/api" | stats count(*) as n by @log', [{"@log": "000000000000:/shop/api", "n": "1"}]),
    ("the stream", [(0, "e")], 'filter @logStream = "stream" | fields @logStream', [{"@logStream": "stream"}]),
    ("a time by its milliseconds", [(0, "a"), (9, "b")], "filter toMillis(@timestamp) > 1767225605000 | fields @message", [{"@message": "b"}]),
    ("a parsed field hides the event's", [(0, {"k": "v", "t": "k=w"})], 'parse t "k=*" as k | filter k = "w" | fields k', [{"k": "w"}]),
    ("in a subquery", [(0, {"id": "x"}), (1, {"id": "y"})], "filter id in (SOURCE '/flags' | filter e=1 | fields id) | fields id", [{"id": "x"}]),
    ("not in a subquery", [(0, {"id": "x"}), (1, {"id": "z"})], "filter id not in (SOURCE '/flags' | fields id) | fields id", [{"id": "z"}]),
]  # fmt: skip

COLUMNS: list[tuple[str, Given, str, Rows]] = [
    ("@timestamp and @message by default", [(1.5, "e")], 'filter @message = "e"', [{"@timestamp": f"{DAY}00:01.500", "@message": "e"}]),
    ("newest first by default", N13, "fields n", [{"n": "3"}, {"n": "1"}]),
    ("an expression without a name", A_B, "fields a + b", [{"a + b": "3"}]),
    ("missing fields are left out", LINES[:3], "fields s, d | sort @timestamp desc", [{"s": "a"}, {"s": "b", "d": "30"}, {"s": "a", "d": "10"}]),
    ("display may compute", A_B, "fields a | display b * 2 as c", [{"c": "4"}]),
    ("what display hides is there before it", A_B, "fields a, b | filter b = 2 | display a", [{"a": "1"}]),
    ("a raw field may be named anew", LINES[2:3], 'fields coalesce(d, "none") as d', [{"d": "none"}]),
    ("after stats only its columns", KV, "stats sum(v) as s by k | filter s > 5 | sort k asc", [{"k": "x", "s": "6"}]),
    ("fields after stats adds", KV, 'stats sum(v) as s by k | fields s * 10 as t | filter k = "y"', [{"k": "y", "s": "5", "t": "50"}]),
    ("display after stats chooses", KV, 'stats sum(v) as s by k | filter k = "y" | display s', [{"s": "5"}]),
    ("a display before stats is gone", KV, "display k | stats count(*) as n", [{"n": "3"}]),
    ("a column by its text", KV, 'stats count(*) by k | filter k = "x" | sort count(*) desc', [{"k": "x", "count(*)": "2"}]),
    ("a bin by its text", [(61, "e")], "stats count(*) as n by bin(1m) | sort bin(1m) asc", [{"bin(1m)": f"{DAY}01:00.000", "n": "1"}]),
    ("ingestion time", [(1, "e")], "fields @ingestionTime", [{"@ingestionTime": f"{DAY}00:00.000"}]),
    ("a nested number as text", [(0, {"u": {"t": 1.5}})], "fields u.t", [{"u.t": "1.5"}]),
]  # fmt: skip

STATS: list[tuple[str, Given, str, Rows]] = [
    ("aliases of the same stats", N13, "stats max(n) as hi, min(n) as lo, hi - lo as d", [{"hi": "3", "lo": "1", "d": "2"}]),
    ("no events, no row", [], "stats count(*) as n", []),
    ("group by an expression", LINES[:3], 'stats count(*) as n by coalesce(d, "none") as d2 | filter d2 = "none"', [{"d2": "none", "n": "1"}]),
    ("group by two", KV, "stats count(*) as n by k, v | sort k asc, v desc", [{"k": "x", "v": "4", "n": "1"}, {"k": "x", "v": "2", "n": "1"}, {"k": "y", "v": "5", "n": "1"}]),
    ("1 and text 1 are one group", [(0, {"k": 1}), (1, {"k": "1"})], "stats count(*) as n by k", [{"k": "1", "n": "2"}]),
    ("aggregates skip what is missing", LINES, "stats avg(d) as a, min(d) as lo, count(*) as n", [{"a": "20", "lo": "10", "n": "4"}]),
    ("nothing to average", LINES[2:3], "stats avg(d) as a, count(*) as n", [{"n": "1"}]),
    ("a sum of tests", LINES, 'stats sum(s = "a" or s = "b") as n', [{"n": "3"}]),
    ("a sum of predicates", LINES, 'stats sum(strcontains(@message, "text")) as n, sum(ispresent(d)) as m', [{"n": "1", "m": "2"}]),
    ("a sum of if", KV, 'stats sum(if(k = "x", v, 0)) as n', [{"n": "6"}]),
    ("an average with a fraction", [*N13, (2, {"n": 3})], "stats avg(n) * 3 as a", [{"a": "7"}]),
    ("sortsFirst and sortsLast", [(0, {"a": "b9"}), (1, {"a": "b10"}), (2, {"a": 1})], "stats sortsFirst(a) as f, sortsLast(a) as l", [{"f": "b9", "l": "1"}]),
    ("pct where all agree", [(n, {"d": 7 if n < 99 else 900}) for n in range(100)], "stats pct(d, 50) as p", [{"p": "7"}]),
    ("pct is the nearest rank", [(n, {"d": 10 * n}) for n in range(1, 21)], "stats pct(d, 95) as a, pct(d, 96) as b, pct(d, 0) as c, pct(d, 100) as e", [{"a": "190", "b": "200", "c": "10", "e": "200"}]),
    ("pct between two", [(0, {"d": 1}), (1, {"d": 2})], "stats pct(d, 50) as p", [{"p": "1"}]),
    ("stddev of the population", [(0, {"d": 1}), (1, {"d": 3})], "stats stddev(d) as s", [{"s": "1"}]),
    ("stddev of equal values", [(0, {"d": 7}), (1, {"d": 7})], "stats stddev(d) as s", [{"s": "0"}]),
    ("max of equal texts", [(0, {"d": "x"}), (1, {"d": "x"})], "stats max(d) as m", [{"m": "x"}]),
    ("values as JSON", KV[:2], 'stats values(k) as l | fields jsonStringify(l) as j | display j', [{"j": '["x","y"]'}]),
    ("latest of a time", KV, "stats latest(@timestamp) as t", [{"t": f"{DAY}00:02.000"}]),
    ("a time carried on", [(60, {"v": 1}), (3600, {"v": 2})], "stats max(@timestamp) as @t, sum(v) as s by v | stats sum(s) as n by dateceil(@t, 1h) as h | sort h asc | limit 1", [{"h": "2026-01-01 01:00:00.000", "n": "3"}]),
    ("toMillis of max", KV, "stats toMillis(max(@timestamp)) as t", [{"t": "1767225602000"}]),
    ("count_distinct of text and number", [(0, {"k": 1}), (1, {"k": "1"}), (2, {"k": 2})], "stats count_distinct(k) as n", [{"n": "2"}]),
    ("sort before the only stats", KV, "sort v asc | stats count(*) as n", [{"n": "3"}]),
    ("1 d begins at UTC midnight", [(80_000, "e")], "stats count(*) as n by bin(1d) as t", [{"t": "2026-01-01 00:00:00.000", "n": "1"}]),
]  # fmt: skip

ORDER: list[tuple[str, Given, str, Rows]] = [
    ("sort by", KV, "fields v | sort by v", [{"v": "2"}, {"v": "4"}, {"v": "5"}]),
    ("numbers by value", [(0, {"v": 10}), (1, {"v": 9}), (2, {"v": "100"})], "fields v | sort v desc", [{"v": "100"}, {"v": "10"}, {"v": "9"}]),
    ("digits in text by value", [(0, {"v": "w10"}), (1, {"v": "w9"})], "fields v | sort v", [{"v": "w9"}, {"v": "w10"}]),
    ("limit alone takes the newest", KV, "fields v | limit 1", [{"v": "4"}]),
    ("display after limit", KV, "sort v desc | limit 1 | display k", [{"k": "y"}]),
    ("dedup then limit", KV, "fields k, v | sort v desc | dedup k | limit 1", [{"k": "y", "v": "5"}]),
    ("dedup of two", [*KV, (3, {"k": "x", "v": 2})], "fields k, v | sort @timestamp asc | dedup k, v | limit 2", [{"k": "x", "v": "2"}, {"k": "y", "v": "5"}]),
    ("accum", SERIES, "fields n | sort n asc | accum v as run", [{"n": "0", "run": "1"}, {"n": "1", "run": "3"}, {"n": "2", "run": "7"}]),
    ("autoregress", SERIES, "fields n | sort n asc | autoregress v p=1-2", [{"n": "0"}, {"n": "1", "v_p1": "1"}, {"n": "2", "v_p1": "2", "v_p2": "1"}]),
    ("accum before stats needs its sort", SERIES, "sort n desc | accum v as run | stats min(run) as lo", [{"lo": "4"}]),
    ("filldown", HOLES, "fields @timestamp, h, cpu1 | sort @timestamp asc | filldown h cpu* | display h, cpu1", [{"h": "x", "cpu1": "5"}, {"h": "x", "cpu1": "6"}, {"h": "y", "cpu1": "6"}]),
    ("addtotals", A_B, "fields a, b | addtotals fieldname=Sum a, b", [{"a": "1", "b": "2", "Sum": "3"}]),
    ("addtotals after stats", KV, 'stats count(*) as n, sum(v) as s by k | filter k = "x" | addtotals', [{"k": "x", "n": "2", "s": "6", "Total": "8"}]),
]  # fmt: skip

SHAPES: list[tuple[str, Given, str, Rows]] = [
    ("glob: the first of several", [(0, "a=1 a=2;")], 'parse @message "a=* " as v | display v', [{"v": "1"}]),
    ("glob: a literal with signs", [(0, "x (1.5) y")], 'parse @message "(*)" as v | display v', [{"v": "1.5"}]),
    ("glob: on a number", [(0, {"d": 1234})], 'parse d "1*4" as v | display v', [{"v": "23"}]),
    ("regex: a name with @", [(0, "u=bo")], r"parse @message /u=(?<@user>\w+)/ | display @user", [{"@user": "bo"}]),
    ("regex: (?P<…>)", [(0, "u=bo")], r"parse @message /u=(?P<u>\w+)/ | display u", [{"u": "bo"}]),
    ("regex: a group that took no part", [(0, "a")], "parse @message /(?<x>a)(?<y>b)?/ | display x, y", [{"x": "a"}]),
    ("regex: the same names again", [(0, "u=bo")], r"parse @message /u=(?<u>\w+)/ as u | display u", [{"u": "bo"}]),
    ("regex: groups without names", [(0, "7 of 9")], r"parse @message /(\d) of (\d)/ as a, b | fields a + b as c | display c", [{"c": "16"}]),
    ("multi keeps what does not match", [(0, "zz")], r"parse @message /(\d)/ as n multi | fields @message, n", [{"@message": "zz"}]),
    ("logfmt without pairs", [(0, "zz")], "parse @message logfmt as lf | fields @message, lf.a", [{"@message": "zz"}]),
    ("json", [(0, {"p": '{"user":{"name":"bo"}}'})], 'json field=p "user.name" as u | display u', [{"u": "bo"}]),
    ("json of no JSON", [(0, {"p": "{"})], 'json field=p "user" as u | display p, u', [{"p": "{"}]),
    ("unnest a discovered list", [(0, {"l": [1, 2]})], "unnest l into e | fields e | sort e asc", [{"e": "1"}, {"e": "2"}]),
    ("unnest what is no list", [(0, {"l": 5})], "unnest l into e | fields e", [{"e": "5"}]),
    ("unnest a split", [(0, {"l": "a,b"})], 'unnest split(l, ",") into e | fields e | sort e asc', [{"e": "a"}, {"e": "b"}]),
    ("expand text that holds a list", [(0, {"l": '["a"]'})], "expand l | fields l", [{"l": "a"}]),
    ("expand maps", [(0, {"l": [{"n": 1}, {"n": 2}]})], "expand l | fields l.n as n | sort n asc", [{"n": "1"}, {"n": "2"}]),
    ("lookup under another name", [(0, {"user": "1"})], "fields user | lookup t u as user OUTPUT nm as name", [{"user": "1", "name": "bo"}]),
    ("lookup by two keys", SHOPS[:2], "fields floor | lookup places shop, floor OUTPUT name | sort floor", [{"floor": "1", "name": "toys"}, {"floor": "2", "name": "tea"}]),
    ("OUTPUT overwrites", [(0, {"u": "9", "nm": "old"})], "fields u | lookup t u OUTPUT nm", [{"u": "9"}]),
    ("OUTPUTNEW fills", [(0, {"u": "1", "nm": "old"}), (1, {"u": "1"})], "fields u | lookup t u OUTPUTNEW nm", [{"u": "1", "nm": "bo"}, {"u": "1", "nm": "old"}]),
    ("inner join", [(0, {"id": "u1"}), (1, {"id": "u9"})], "join left=a right=b where a.id=b.id (SOURCE '/users') | fields a.id, b.name", [{"a.id": "u1", "b.name": "bo"}]),
    ("left join", [(0, {"id": "u1"}), (1, {"id": "u9"})], "join type=left left=a right=b where a.id=b.id (SOURCE '/users') | fields a.id, b.name | sort a.id asc", [{"a.id": "u1", "b.name": "bo"}, {"a.id": "u9"}]),
    ("join: a row a match", [(0, {"id": "u2"})], "join left=a right=b where b.id=a.id (SOURCE '/users') | fields b.name | sort b.name asc", [{"b.name": "al"}, {"b.name": "mi"}]),
    ("join: right side filtered and parsed", [(0, {"id": "u2"})], "join left=a right=b where a.id=b.id (SOURCE '/users' | filter name like \"l\" | parse name \"*l\" as head) | fields b.head", [{"b.head": "a"}]),
    ("join then stats", [(0, {"id": "u2"})], "join left=a right=b where a.id=b.id (SOURCE '/users') | stats count(*) as n by a.id", [{"a.id": "u2", "n": "2"}]),
]  # fmt: skip
CASES = [*LEXICAL, *FILTERS, *COLUMNS, *STATS, *ORDER, *SHAPES]


@pytest.mark.parametrize(("given", "query", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_feature(given: Given, query: str, expected: Rows) -> None:
    assert answer(query, given) == expected
