"""Functions of text."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from opslib.sandbox.insights.events import Row
from opslib.sandbox.insights.function import Function, literal_text
from opslib.sandbox.insights.patterns import compiled
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.syntax import Call
from opslib.sandbox.insights.values import brief, needed, written

if TYPE_CHECKING:
    from opslib.sandbox.insights.expressions import Expressions


def _concat(*parts: Any) -> str:
    if any(part is None for part in parts):
        raise Failed("concat with a missing value is not documented: use coalesce()")
    return "".join(map(written, parts))


def _substr(text: Any, start: Any, length: Any = None) -> str:
    whole, first = written(text), needed(start)
    end = len(whole) if length is None else first + needed(length)
    if not isinstance(first, int) or not isinstance(end, int) or not 0 <= first <= end <= len(whole):
        raise Failed(f"substr outside of {brief(whole)} is not documented")
    return whole[first:end]


def _contains(text: Any, part: Any, fold: Any = False) -> int:
    if fold is not True and fold is not False:
        raise Failed("the third argument of strcontains is true or false")
    whole, wanted = written(text), written(part)
    return int(wanted.lower() in whole.lower() if fold else wanted in whole)


def _regex_replace(compiler: "Expressions", call: Call) -> Callable[[Row], Any]:
    pattern = compiled(literal_text(call, 1), call.arguments[1])[0]
    replacement = literal_text(call, 2)
    if "$" in replacement or "\\" in replacement:
        raise Malformed("groups in a replacement are not modelled", call.start, call.end)
    subject = compiler.value(call.arguments[0])

    def replaced(row: Row) -> Any:
        value = subject(row)
        return None if value is None or isinstance(value, dict | list) else pattern.sub(replacement, written(value))

    return replaced


def _url_encoded(text: Any) -> str:
    if " " in written(text):
        raise Failed("whether urlencode makes + or %20 of a blank is not documented")
    return quote(written(text), safe="")


def _url_decoded(text: Any) -> str:
    if "+" in written(text):
        raise Failed("whether urldecode makes a blank of + is not documented")
    return unquote(written(text), errors="strict")


def _decoded(text: Any) -> str:
    try:
        return base64.b64decode(written(text), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Failed(f"base64decode of {brief(text)} is not documented") from None


def _split(text: Any, separator: Any) -> list[str]:
    if not written(separator):
        raise Failed("split by an empty text is not documented")
    return written(text).split(written(separator))


def _hex_to_ascii(text: Any) -> str:
    try:
        return bytes.fromhex(written(text).removeprefix("0x")).decode("ascii")
    except ValueError:
        raise Failed(f"hexToAscii of {brief(text)} is not documented") from None


def _digest(name: str) -> Callable[[Any], str]:
    return lambda text: hashlib.new(name, written(text).encode(), usedforsecurity=False).hexdigest()


FUNCTIONS: dict[str, Function] = {
    "concat": Function(1, 100, _concat, nulls=True),
    "strlen": Function(1, 1, lambda text: len(written(text))),
    "toupper": Function(1, 1, lambda text: written(text).upper()),
    "tolower": Function(1, 1, lambda text: written(text).lower()),
    "trim": Function(1, 2, lambda text, *chars: written(text).strip(*map(written, chars))),
    "ltrim": Function(1, 2, lambda text, *chars: written(text).lstrip(*map(written, chars))),
    "rtrim": Function(1, 2, lambda text, *chars: written(text).rstrip(*map(written, chars))),
    "substr": Function(2, 3, _substr),
    "replace": Function(3, 3, lambda text, old, new: written(text).replace(written(old), written(new))),
    "regexreplace": Function(3, 3, prepare=_regex_replace),
    "strcontains": Function(2, 3, _contains, predicate=True),
    "startswith": Function(2, 2, lambda text, part: int(written(text).startswith(written(part))), predicate=True),
    "endswith": Function(2, 2, lambda text, part: int(written(text).endswith(written(part))), predicate=True),
    "isempty": Function(1, 1, lambda text: int(text is None or written(text) == ""), predicate=True, nulls=True),
    "isblank": Function(1, 1, lambda text: int(text is None or not written(text).strip()), predicate=True, nulls=True),
    "urlencode": Function(1, 1, _url_encoded),
    "urldecode": Function(1, 1, _url_decoded),
    "base64encode": Function(1, 1, lambda text: base64.b64encode(written(text).encode()).decode()),
    "base64decode": Function(1, 1, _decoded),
    "split": Function(2, 2, _split),
    "hextoascii": Function(1, 1, _hex_to_ascii),
    "md5": Function(1, 1, _digest("md5")),
    "sha256": Function(1, 1, _digest("sha256")),
    "messagesize": Function(1, 1, lambda text: len(written(text).encode())),
}
