"""What is refused before it runs, and what fails because of the data: a row a rule."""

import json

import pytest
from asking import Given, answer

from opslib.sandbox.insights import Failed, Malformed, compile_query

A: Given = [(0, {"a": 1, "s": "x", "l": [1], "u": {"t": 1}})]

MALFORMED = [
    # the text
    ("nothing", "", "a command"), ("only blanks", " \n", "a command"), ("only a comment", "# fields a", "a command"), ("a pipe first", "| fields a", "a command"),
    ("a pipe last", "fields a |", "a command"), ("an empty command", "fields a | | limit 5", "a command"), ("||", "filter a=1 || b=2", "write `or`"),
    ("&&", "filter a=1 && b=2", "write `and`"), ("!~", "filter a !~ /x/", "not like"), ("// is no comment", "fields a // b", "begins with #"), ("an unclosed string", 'filter a = "x', "symbol"),
    ("a string over two lines", 'filter a = "x\ny"', "symbol"), ("an unknown escape", r'filter a = "\n"', "escape"), ("the other quote escaped", r'''filter a = "\'"''', "escape"),
    ("hex", "filter a = 0x10", "neither a number"), ("an underscore in a number", "filter a = 1_000", "neither a number"), ("a number with two dots", "filter a = 1.2.3", "neither a number"),
    ("a full-width blank", "fields　a", "symbol"), ("a name with a digit first", "fields 4xx", "neither a number"), ("is null", "filter a is null", "a pipe"), ("exists", "filter exists(a)", "function exists"),
    ("between", "filter a between 1", "a pipe"), ("two queries", "fields a fields b", "a pipe"), ("a keyword as a field", "fields by", "expression"),
    # patterns
    ("flags", "filter s like /x/i", "flags"), ("look-ahead", "filter s like /(?=x)/", "look-around"), ("negative look-ahead", "filter s like /(?!x)/", "look-around"),
    ("look-behind", "filter s like /(?<=x)y/", "look-around"), ("negative look-behind", "filter s like /(?<!x)y/", "look-around"), ("atomic", "filter s like /(?>x)/", "look-around"),
    ("back-reference", r"filter s like /(a)\1/", "back-ref"), ("named back-reference", "filter s like /(?P<x>a)(?P=x)/", "look-around"), ("possessive", "filter s like /x*+/", "possessive"),
    ("possessive count", "filter s like /x{2}+/", "possessive"), ("an unclosed group", "filter s like /(x/", "cannot be read"), ("an unclosed pattern", "filter s like /x", "no closing"),
    ("a unicode class", r"filter s like /\p{L}/", r"\\p"), ("a posix class", "filter s like /[[:alpha:]]/", "class"), ("a comment in a pattern", "filter s like /(?#x)/", "look-around"),
    ("two groups of a name", "parse s /(?<x>a)(?<x>b)/", "same name"), ("an empty pattern", "filter s like //", "begins with #"), ("no pattern", "filter s like a", "a string or a regular"),
    # expressions
    ("and beside or", "filter a=1 and b=2 or c=3", "parentheses"), ("or beside and", "filter a=1 or b=2 and c=3", "parentheses"), ("comparisons in a row", "filter 1 < a < 3", "in a row"),
    ("a value is no test", "filter a", "comparison"), ("a number is no test", "filter a + 1", "comparison"), ("a function that is no test", "filter strlen(s)", "comparison"),
    ("a test as a value", "fields a = 1 as x", "no value"), ("a test in arithmetic", "filter (a = 1) + 1 = 2", "no value"), ("null in a comparison", "filter a = null", "no value"),
    ("true has no order", "filter a > true", "no order"), ("an expression in a list", "filter a in [1+1]", "'\\+'"), ("a field in a list", "filter a in [b]", "strings and numbers"),
    ("an empty list", "filter a in []", "expression"), ("a round list", "filter a in (1,2)", "source"), ("an unknown system field", "fields @requestId", "@requestId"),
    ("a key with a dot", "fields u.`a.b`", "dot"),
    # names
    ("a field listed, then named", "fields a, b | fields b + 1 as a", "defined twice"), ("a name given twice", "fields a + 1 as x | fields a + 2 as x", "defined twice"),
    ("an output of stats, named again", "stats count(*) as n by a | stats max(n) as n", "defined twice"), ("parsed under a listed name", 'fields x | parse s "*" as x', "defined twice"),
    ("two columns of one name", "stats count(*) as n, sum(a) as n", "same name"), ("one name for two stars", 'parse s "*-*" as x, x', "given twice"), ("@timestamp is taken", "fields a as @timestamp", "another meaning"),
    # order of commands
    ("limit 0", "limit 0", "100000"), ("limit above the most", "limit 100001", "100000"), ("two limits", "limit 5 | limit 3", "several limits"), ("filter after limit", "limit 5 | filter a=1", "after limit"),
    ("sort after limit", "limit 5 | sort a", "after limit"), ("limit before stats", "limit 5 | stats count(*) as n", "after limit"), ("limit any after sort", "sort a | limit any 5", "contradicts"),
    ("limit with a fraction", "limit 1.5", "whole number"), ("dedup then sort", "dedup a | sort a", "only limit"), ("dedup after stats", "stats count(*) as n by a | dedup n", "needs a sort"),
    ("@message after stats", "stats count(*) as n | fields @message", "@message"), ("a raw field in a sort after stats", "stats count(*) as n by s | sort @timestamp desc", "@timestamp"),
    ("a raw field beside an aggregate", "stats count(*) + a as n", "Unknown symbols"), ("a later column", "stats n + 1 as m, count(*) as n", "Unknown symbols"), ("an aggregate after by", "stats count(*) by max(a)", "after `by`"),
    ("a private name", "stats count(*) as n, `#0` + 1 as m", "Unknown symbols"), ("an aggregate in an aggregate", "stats sum(avg(a)) as x", "not modelled"), ("earliest after stats", "stats count(*) as n by a | stats latest(n) as l", "@timestamp"),
    ("accum without sort", "accum a as x", "right after `sort`"), ("filldown after a filter", "sort a | filter a=1 | filldown a", "right after `sort`"), ("accum without a name", "sort a | accum a", "write `as`"),
    ("autoregress without p", "sort a | autoregress a", "p"), ("filldown of nothing", "sort a | filldown zz*", "begins with zz"), ("addtotals of everything", "addtotals", "name the fields"),
    ("addtotals with a summary", "addtotals col=true a", "not modelled"), ("max of a time is shown", "stats max(@timestamp) as t", "toMillis"),
    # commands
    ("an unknown command", "frobnicate a", "a command"), ("stat", "stat count(*)", "stats"), ("pattern", "pattern @message", "pattern"), ("anomaly", "pattern @message | anomaly", "pattern"), ("diff", "diff", "diff"),
    ("logcompare", "logcompare timeshift 7d", "logcompare"), ("unmask", "unmask a", "unmask"), ("filterIndex", "filterIndex a = 1", "filterindex"), ("appendcols", "appendcols (SOURCE 'g')", "appendcols"),
    ("cidrlookup", "cidrlookup nets ip OUTPUT region", "cidrlookup"), ("sessionize", "sessionize a maxspan 1h", "sessionize"), ("fillmissing", "fillmissing with 0 for n", "fillmissing"),
    ("outlier", "outlier a", "outlier"), ("countFrequent", "countFrequent a", "countfrequent"), ("relevantfields", "relevantfields", "relevantfields"), ("estimate", "estimate", "estimate"),
    ("head", "head 5", "limit"), ("tail", "tail 5", "limit"), ("search", "search x", "search"), ("order", "order by a", "order"), ("offset", "stats count(*) by bin(5m) offset 1h", "offset"),
    ("median", "stats median(a) as m", "pct"), ("rate", "stats rate(a) as m", "rate"), ("histogram", "stats histogram(a) as m", "histogram"), ("topk", "stats topk(2, a)", "topk"), ("pct of a field", "stats pct(a, s) as p", "percentile"),
    ("pct 101", "stats pct(a, 101) as p", "percentile"), ("sum of two", "stats sum(a, s) as p", "1 arguments"), ("a name in sort", "sort a as b", "names in `sort`"), ("parse without names", "parse s /(a)/", "one name"),
    ("a group too many", "parse s /(?<x>a)(b)/", "one name"), ("a glob without star", 'parse s "abc" as x', "has a \\*"), ("two stars", 'parse s "**" as x, y', "side by side"), ("multi on a glob", 'parse s "*" as x multi', "multi"),
    ("json without a field", 'json "a" as b', "field"), ("json by an index", 'json field=s "a[0]" as b', "path"), ("an unknown table", "lookup nets a OUTPUT b", "no lookup table"),
    ("an unknown column", "lookup t u OUTPUT zz", "no column zz"), ("lookup without OUTPUT", "lookup t u", "output"),
    # other groups
    ("a subquery in a subquery", "filter a in (SOURCE 'g' | filter b in (SOURCE 'h' | fields c) | fields b)", "inside of subqueries"), ("two joins", "join left=a right=b where a.x=b.x (SOURCE 'g') | join left=c right=d where c.x=d.x (SOURCE 'g')", "inside|one join"),
    ("join by an order", "join left=a right=b where a.x<b.x (SOURCE 'g') | fields a.x", "compares"), ("join by one side", "join left=a right=b where a.x=a.y (SOURCE 'g') | fields a.x", "compares"),
    ("full join", "join type=full left=a right=b where a.x=b.x (SOURCE 'g') | fields a.x", "type=inner or left"), ("a bare name after join", "join left=a right=b where a.x=b.x (SOURCE 'g') | fields x", "have a side: a.x or b.x"),
    ("no columns after join", "join left=a right=b where a.x=b.x (SOURCE 'g')", "name the fields"), ("bin after join", "join left=a right=b where a.x=b.x (SOURCE 'g') | stats count(*) by bin(5m)", "have a side"),
    ("a mistake in a subquery", "filter a in (SOURCE 'g' | frob)", "a command"), ("SOURCE of a group first", "SOURCE 'g' | fields a", "not documented"), ("SOURCE logGroups", "SOURCE logGroups(namePrefix: ['a']) | fields a", "not modelled here"),
]  # fmt: skip

FAILED = [
    ("!= on a missing field", A, "filter zz != 1", "guard"), ("not of a missing field", A, "filter not (zz = 1)", "guard"), ("not like on a missing field", A, 'filter zz not like "x"', "guard"),
    ("not in on a missing field", A, "filter zz not in [1]", "guard"), ("not of a function of a missing field", A, 'filter not strcontains(zz, "a")', "guard"), ("or with != on a missing field", A, "filter a = 2 or zz != 1", "guard"),
    ("text below a number", A, "filter s < 3", "by order"), ("text below text", A, 'filter s < "y"', "by order"), ("007 and 7", [(0, {"a": "007"})], "filter a = 7", "same number"), ("1.0 and 1", [(0, '{"a":1.0}')], 'filter a = "1"', "same number"),
    ("1.0 in a list", [(0, '{"a":1.0}')], "filter a in [1]", "same number"), ("true and text", [(0, {"a": True})], 'filter a = "true"', "not documented"), ("true and 1", [(0, {"a": True})], "filter a = 1", "not documented"),
    ("true is shown", [(0, {"a": True})], "fields a", "true and false"), ("true is summed", [(0, {"a": True})], "stats sum(a) as n", "counts as 1"), ("null is touched", [(0, {"a": None})], "filter ispresent(a)", "null"),
    ("null deeper down", [(0, {"u": {"a": None}})], "fields u.a", "null"), ("an object is touched", A, "fields u", "list or a map"), ("a list is touched", A, "filter l = 1", "list or a map"), ("a key twice", [(0, '{"a":1,"a":2}')], "fields a", "twice"),
    ("a key twice, deeper", [(0, '{"u":{"a":1,"a":2}}')], "fields u.a", "twice"), ("a literal dot", [(0, '{"u.a":1}')], "fields u.a", "nested keys"), ("a large number", [(0, '{"a":1e300}')], "fields a", "large number"),
    ("201 fields", [(0, json.dumps({f"k{n}": n for n in range(201)}))], "fields k1", "200 fields"), ("a time is compared", A, "filter @timestamp > 5", "toMillis"), ("a time is searched", A, 'filter @timestamp like "2026"', "toMillis"),
    ("a mistake before a filter that drops the row", A, 'fields a, a / 0 as x | filter s = "no such"', "division"), ("sort on a missing field", A, "fields a | sort zz", "sort"), ("by a missing field", A, "stats count(*) by zz", "guard"), ("a sum of nothing", A, "stats sum(zz) as n", "guard"), ("a sum of text", A, "stats sum(s) as n", "no number"),
    ("a sum of an unknown", A, "stats sum(zz != 1) as n", "guard"),
    ("max of texts", [(0, {"d": "x"}), (1, {"d": "y"})], "stats max(d) as x", "sortsLast"), ("values that repeat", [(0, A[0][1]), (1, A[0][1])], "stats values(s) as x", "repeats"),
    ("values are shown", A, "stats values(s) as x", "jsonStringify"), ("a map by", A, "fields jsonParse(@message) as j | stats count(*) by j", "after `by`"), ("a map sorted", A, "fields jsonParse(@message) as j | sort j", "sorted"),
    ("a map in dedup", A, "fields jsonParse(@message) as j | dedup j", "dedup"), ("logfmt with quotes", [(0, 'a="b c"')], "parse @message logfmt as l | fields l.a", "quotes"), ("logfmt with bare words", [(0, "a=b c")], "parse @message logfmt as l | fields l.a", "without ="),
    ("csv with quotes", [(0, '"a",b')], "parse @message csv as x, y | fields x", "quotes"), ("csv with more columns", [(0, "a,b,c")], "parse @message csv as x, y | fields x", "more or fewer"), ("unnest of nothing", A, "unnest zz into e | fields e", "no list"),
    ("unnest of an empty list", [(0, {"l": []})], "unnest l into e | fields e", "empty"), ("expand of text", A, "expand s | fields s", "no list"), ("two rows of a table", [(0, {"shop": "b", "floor": 1})], "lookup places shop, floor OUTPUT name", "several"),
    ("a subquery with two columns", A, "filter a in (SOURCE '/flags' | fields e, id)", "one column"), ("accum over a hole", [(0, {"t": 1}), (1, {"a": 1})], "sort @timestamp asc | accum t as x", "missing value"),
    ("a path into parsed text", [(0, {"t": "error=x"})], 'parse t "error=*" as error | fields error.kind', "text or number"),
    ("max of a carried time is shown", A, "fields @timestamp as t | stats max(t) as x", "toMillis"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "reason"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_refused_before_it_runs(query: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason) as caught:
        answer(query, [])
    assert caught.value.message.startswith("stand-in: ")
    assert 0 <= caught.value.start <= caught.value.end <= len(query)


@pytest.mark.parametrize(("given", "query", "reason"), [case[1:] for case in FAILED], ids=[case[0] for case in FAILED])
def test_fails_because_of_the_data(given: Given, query: str, reason: str) -> None:
    with pytest.raises(Failed, match=f"stand-in: .*{reason}"):
        answer(query, given)
    assert answer(query, []) == [], "without data nothing is unknown"


def test_two_hundred_fields_are_read() -> None:
    message = json.dumps({f"k{n}": n for n in range(200)})
    assert answer("fields k199", [(0, message)]) == [{"k199": "199"}]


def test_what_is_better_written_otherwise_is_noted() -> None:
    notes = compile_query("filter a == 1 | sort a | stats count(*) by b").notes
    assert len(notes) == 3 and all("`" in note or "as" in note for note in notes)
