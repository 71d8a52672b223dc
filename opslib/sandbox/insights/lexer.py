"""Text to tokens."""

import re
from dataclasses import dataclass

from opslib.sandbox.insights.refusals import Malformed

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<period>\d+(?:milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|hr|h|days?|d)\b)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<quoted>`[^`]+`)
      | (?P<name>@{0,2}[A-Za-z_][\w]*(?:\.(?:\w+|`[^`]+`))*)
      | (?P<member>(?<=\))\.\w+(?:\.\w+)*)
      | (?P<sign><=|>=|!=|==|=~|~=|[=<>(),|*+\-/%^\[\]!])""",
    re.VERBOSE,
)
_BEFORE_REGEX = {"like", "=~", "parse", "matches"}
_REGEX = re.compile(r"/((?:\\.|[^/\\\n])+)/")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `value` is what it means, `text` how it was written."""

    kind: str
    text: str
    value: str
    start: int
    end: int

    def word(self) -> str:
        """Return a name in lower case: keywords are written in any case."""
        return self.text.lower() if self.kind == "name" else ""


def tokens(text: str) -> list[Token]:
    """Return the tokens of a query; raises Malformed at the first character that begins none."""
    found: list[Token] = []
    place = 0
    while place < len(text):
        regex = _regex(text, place, found)
        match = regex or _TOKEN.match(text, place)
        if not match:
            raise Malformed(f"stand-in: unexpected symbol {text[place]!r}", place, place + 1)
        kind = "regex" if regex else str(match.lastgroup)
        if kind != "space":
            found.append(Token(kind, match[0], _value(kind, match[0], match.start()), match.start(), match.end()))
        place = match.end()
    return found


def _regex(text: str, place: int, found: list[Token]) -> re.Match[str] | None:
    """A slash opens a regular expression after like, =~ and parse [field]; elsewhere it divides."""
    if text[place] != "/" or not found:
        return None
    after = found[-1].word() in _BEFORE_REGEX or found[-1].text == "=~"
    after = after or (len(found) > 1 and found[-2].word() == "parse" and found[-1].kind in {"name", "quoted"})
    return _REGEX.match(text, place) if after else None


def _value(kind: str, text: str, start: int) -> str:
    if kind == "quoted":
        return text[1:-1]
    if kind == "string":
        return _unescaped(text, start)
    return text[1:-1] if kind == "regex" else text.replace("`", "")


def _unescaped(text: str, start: int) -> str:
    quote = text[0]
    for escape in re.finditer(r"\\(.)", text[1:-1], re.DOTALL):
        if escape[1] not in ("\\", quote):
            raise Malformed(f"stand-in: escape \\{escape[1]} is not documented", start, start + len(text))
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
