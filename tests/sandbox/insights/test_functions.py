"""What each function answers; values worked out by hand or taken from AWS's pages."""

import pytest
from asking import answer

from opslib.sandbox.insights import Failed, Malformed

ROW = {"s": "abcdef", "n": 7, "t": "2026-01-02T03:04:05.678+09:00", "l": ["v", "w"], "e": "", "neg": -7, "sp": " x ", "f": 2.5,
       "ip": "10.1.2.3", "pub": "8.8.8.8", "bad": "300.1.1.1", "six": "2001:db8::1", "d": '{"k":["a",{"b":"c"}]}'}  # fmt: skip

ANSWERED = [
    # numbers
    ("abs(-2)", "2"), ("ceil(1.2)", "2"), ("floor(1.8)", "1"), ("sqrt(9)", "3"), ("log(1)", "0"), ("round(2.6)", "3"), ("round(2.26,1)", "2.3"),
    ("round(-1234, -2)", "-1200"), ("greatest(1,5)", "5"), ("least(1,5)", "1"), ("haversine(0,0,0,0)", "0"), ('toNumber("7")', "7"), ('toDouble("7.5")', "7.5"),
    ("toInt(n)", "7"), ("toLong(9007199254740993)", "9007199254740993"), ("isNumeric(n)", "1"), ("isNumeric(s)", "0"), ("-n", "-7"), ("2^3", "8"), ("10 % 3", "1"),
    ("7 / 2", "3.5"), ("(1 + 2) * 3", "9"), ("1 + 2 * 3", "7"), ("8 - 3 - 2", "3"), ("2 * 3 ^ 2", "18"), ("(-2) ^ 2", "4"), ("n - -1", "8"),
    ('hexToDec("0xff")', "255"), ("decToHex(-255)", "-0xff"), ("decToHex(255.9)", "0xff"),
    # text
    ('concat("a","-","b")', "a-b"), ("concat(s, n)", "abcdef7"), ("trim(sp)", "x"), ("ltrim(sp)", "x "), ("rtrim(sp)", " x"), ('trim("aabcaa","a")', "bc"),
    ('rtrim("xyab","ba")', "xy"), ('strlen("é日")', "2"), ("toupper(s)", "ABCDEF"), ('tolower("ÀB")', "àb"), ("substr(s,2,3)", "cde"), ("substr(s,4)", "ef"), ("substr(s,6)", ""),
    ('replace("a.a",".","-")', "a-a"), ('regexReplace("a1b2","[0-9]","")', "ab"), ('strcontains("abc","B",true)', "1"), ('strcontains("abc","B")', "0"),
    ('startsWith("abc","a")', "1"), ('endsWith("abc","a")', "0"), ("isempty(e)", "1"), ("isempty(zz)", "1"), ("isempty(s)", "0"), ('isblank(" ")', "1"), ("isblank(sp)", "0"),
    ('urlencode("a/b?é")', "a%2Fb%3F%C3%A9"), ('urldecode("a%2Fb")', "a/b"), ('base64encode("hi")', "aGk="), ('base64decode("aGk=")', "hi"),
    ('jsonStringify(split("a,b", ","))', '["a","b"]'), ('hexToAscii("6869")', "hi"), ('md5("")', "d41d8cd98f00b204e9800998ecf8427e"),
    ('sha256("abc")', "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), ('messageSize("é日")', "5"),
    # times; the event is of 00:12:34.500, the query asked at 02:00
    ("@timestamp", "2026-01-01 00:12:34.500"), ("bin(5m)", "2026-01-01 00:10:00.000"), ("bin(1h)", "2026-01-01 00:00:00.000"), ("bin(500ms)", "2026-01-01 00:12:34.500"),
    ("bin(5MIN)", "2026-01-01 00:10:00.000"), ("bin(10seconds)", "2026-01-01 00:12:30.000"), ("dateceil(@timestamp, 10m)", "2026-01-01 00:20:00.000"),
    ("datefloor(@timestamp, 1d)", "2026-01-01 00:00:00.000"), ("toMillis(@timestamp)", "1767226354500"), ("fromMillis(1767225600001)", "2026-01-01 00:00:00.001"),
    ("now()", "1767232800"), ("queryStartTime()", "1767225600000"), ("queryEndTime()", "1767229200000"), ("queryTimeRange()", "3600000"),
    ('parseDate("2026-01-02 03:04:05", "yyyy-MM-dd HH:mm:ss")', "1767323045000"), ('parseDate("02/01/2026", "dd/MM/yyyy", "Asia/Tokyo")', "1767279600000"),
    ("""parseDate(t, "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")""", "1767290645678"), ('formatDate(@timestamp, "%Y-%m-%d %H:%M", "Asia/Tokyo")', "2026-01-01 09:12"),
    ('strftime(fromMillis(0), "%H%%")', "00%"),
    # choices and structure
    ("ispresent(s)", "1"), ("ispresent(zz)", "0"), ('coalesce(zz, "d")', "d"), ("coalesce(s, zz)", "abcdef"), ('if(n > 1, "hi", "lo")', "hi"), ('if(zz > 1, "hi", "lo")', "lo"),
    ('case(n = 1, "one", n = 7, "seven", "many")', "seven"), ('case(n = 1, "one", "many")', "many"), ('coalesce(case(n = 1, "one"), "none")', "none"),
    ('coalesce(if(n = 7, null, "x"), "was null")', "was null"), ("jsonParse(d).k.1.b", "c"), ("jsonArraySize(l)", "2"), ('jsonArraySize("[]")', "0"),
    ('jsonArrayContains(l, "v")', "1"), ('jsonArrayContains(l, "V")', "0"), ('jsonArrayContains("{", "V")', "0"), ("jsonStringify(jsonParse(d).k)", '["a",{"b":"c"}]'),
    ('coalesce(toupper(jsonParse(d)), "null for a map")', "null for a map"), ('coalesce(jsonParse("{"), "no JSON")', "no JSON"),
    # addresses
    ("isValidIp(ip)", "1"), ("isValidIp(bad)", "0"), ("isValidIpV4(six)", "0"), ("isValidIpV6(six)", "1"), ('isIpInSubnet(ip, "10.0.0.0/8")', "1"), ('isIpInSubnet(pub, "10.0.0.0/8")', "0"),
    ('isIpv4InSubnet(pub, "8.8.8.0/24")', "1"), ('isIpv6InSubnet(six, "2001:db8::/32")', "1"), ("ipv4ToNumber(ip)", "167838211"), ("isPrivateIP(ip)", "1"), ("isPrivateIP(pub)", "0"),
    ("isPublicIP(pub)", "1"), ("isPublicIP(ip)", "0"), ('isReservedIP("240.0.0.1")', "1"), ("isReservedIP(pub)", "0"),
]  # fmt: skip

MISSING = ["strlen(zz)", "abs(zz)", 'strcontains(zz, "a")', "toMillis(zz)", "datefloor(zz, 1h)", 'formatDate(zz, "%Y")', "jsonArraySize(s)", "isValidIp(zz)",
           'regexReplace(zz, "a", "b")', 'parseDate(zz, "yyyy")', "jsonParse(d).nothing", 'if(zz = 1, "x", null)', "isNumeric(zz)"]  # fmt: skip

UNKNOWN = [
    ("round(2.5)", "half"), ("round(f)", "half"), ("sqrt(neg)", "sqrt"), ("log(0)", "log"), ("n / 0", "division by zero"), ("n % 0", "remainder"), ("neg % 3", "remainder"),
    ("n + zz", "missing value"), ("n + s", "no number"), ("n + f2", "missing value"), ("9e99 + n", "overflow"), ("2 ^ 9999", "not documented"), ("toInt(3000000000)", "32 bits"),
    ("toInt(f)", "32 bits"), ("toNumber(s)", "converting"), ("concat(s, zz)", "concat"), ("substr(s, 7)", "outside"), ("substr(s, 2, 9)", "outside"), ("substr(s, -1)", "outside"),
    ("greatest(n, zz)", "missing"), ('urlencode("a b")', "blank"), ('urldecode("a+b")', "blank"), ('base64decode("!")', "base64decode"), ('hexToAscii("zz")', "hexToAscii"),
    ('hexToDec("zz")', "hexToDec"), ("@timestamp + 1", "toMillis"), ("toMillis(n)", "toMillis"), ('parseDate(s, "yyyy")', "parseDate"), ("jsonStringify(s)", "jsonStringify"),
    ("jsonParse(d)", "lists and maps"), ("l", "list or a map"), ('split(s, "")', "empty text"), ('isIpInSubnet(bad, "10.0.0.0/8")', "no address"), ("isPrivateIP(six)", "IPv6"),
    ('isPublicIP("127.0.0.1")', "public or reserved"), ('jsonArrayContains("[1]", "1")', "no text"), ("jsonParse(j0).x", "null"), ('if(zz != 1, "a", "b")', "guard"),
]  # fmt: skip

REFUSED = [
    "frob(a)", "abs()", "abs(1, 2)", "bin(@timestamp, 1h)", "bin(7m)", "bin(25d)", "bin(1w)", "bin(2mo)", "bin(1q)", "bin(1y)", "bin(0m)", "bin(a)", "bin(90)", "datefloor(@timestamp)",
    "5m", "null", 'coalesce(a, null)', "a = 1", "a and b", 'regexReplace(s, a, "")', 'regexReplace(s, "(a", "")', 'regexReplace(s, "(a)", "$1")', 'formatDate(@timestamp, "%Q")',
    'formatDate(@timestamp, "%Y", "Mars/Base")', 'parseDate(s, "yy")', 'parseDate(s, "EEE yyyy")', "count(*)", "sum(a)", "if(a, 1, 2)", "if(1 = 1, 2)", "*", "j.l[1]", "jsonParse(d)[0]",
    "case(a = 1)", "case(" + "n = 1, 1, " * 11 + "2)", "2 ^ 3 ^ 4", "-2 ^ 2", "2 ^ -2", "1 < 2 < 3", "(1 = 1) + 1",
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), ANSWERED, ids=[case[0] for case in ANSWERED])
def test_function(expression: str, expected: str) -> None:
    assert answer(f"fields {expression} as x", [(754.5, ROW)]) == [{"x": expected}]


@pytest.mark.parametrize("expression", MISSING)
def test_missing_makes_missing(expression: str) -> None:
    assert answer(f"fields {expression} as x", [(0, ROW)]) == [{}]


@pytest.mark.parametrize(("expression", "reason"), UNKNOWN, ids=[case[0] for case in UNKNOWN])
def test_fails_where_aws_is_undocumented(expression: str, reason: str) -> None:
    with pytest.raises(Failed, match=f"stand-in: .*{reason}"):
        answer(f"fields {expression} as x", [(0, {**ROW, "j0": '{"x":null}'})])


@pytest.mark.parametrize("expression", REFUSED)
def test_is_refused(expression: str) -> None:
    with pytest.raises(Malformed, match="stand-in: "):
        answer(f"fields {expression} as x", [(0, ROW)])


def test_a_distance_is_in_kilometres() -> None:
    [row] = answer("fields haversine(35.6762, 139.6503, 34.6937, 135.5023) as km", [(0, ROW)])
    assert 390 < float(row["km"]) < 400  # Tokyo to Osaka


def test_the_square_root_may_be_of_a_fraction() -> None:
    assert float(answer("fields sqrt(2) as x", [(0, ROW)])[0]["x"]) == pytest.approx(1.41421356)
