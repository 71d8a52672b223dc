"""Text to tokens, one at a time: only the parser knows where a slash opens a regular expression."""

import re
from dataclasses import dataclass

from opslib.sandbox.insights.refusals import Malformed

_BLANK = re.compile(r"(?:\s+|#[^\n]*)*", re.ASCII)
_TOKEN = re.compile(
    r"""(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<period>\d[\w.]*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<name>@{0,2}(?:[A-Za-z_][\w@]*|`[^`\n]+`)(?:\.(?:[\w@]+|`[^`\n]+`))*)
      | (?P<path>(?:\.(?:[\w@]+|`[^`\n]+`))+)
      | (?P<sign><=|>=|!=|!~|==|=~|~=|&&|\|\||//|[=<>(),|*+\-/%^\[\]!:{}])""",
    re.VERBOSE | re.ASCII,
)
_PART = re.compile(r"[^.`]*`[^`]+`|[^.`]+")
_REGEX = re.compile(r"/((?:\\.|[^/\\\n])+)/")
_HINTS = {
    "&&": "write `and`",
    "||": "write `or`; a command may not be empty",
    "!~": "write `not like`",
    "//": "a comment begins with #",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: `text` is how it was written, `value` what a literal means, `parts` the parts of a name."""

    kind: str  # number, period, string, name, path, sign, regex, end
    text: str
    start: int
    end: int
    value: str = ""
    parts: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """Return a bare name in lower case: keywords are written in any case; empty for all else."""
        return self.text.lower() if self.kind == "name" and self.text.isidentifier() else ""


def token_at(text: str, place: int) -> Token:
    """Return the token at or after a place, `end` after the last; raises Malformed where none begins."""
    blank = _BLANK.match(text, place)
    start = blank.end() if blank else place
    if start >= len(text):
        return Token("end", "", start, start)
    match = _TOKEN.match(text, start)
    if match is None:
        raise Malformed(f"unexpected symbol {text[start]!r}", start, start + 1)
    kind, found, end = str(match.lastgroup), match[0], match.end()
    if found in _HINTS:
        raise Malformed(f"{found} is not in the language: {_HINTS[found]}", start, end)
    if kind == "string":
        return Token(kind, found, start, end, value=_unescaped(found, start))
    if kind in {"name", "path"}:
        return Token(kind, found, start, end, parts=tuple(part.replace("`", "") for part in _PART.findall(found)))
    return Token(kind, found, start, end)


def regex_at(text: str, place: int) -> Token:
    """Return the regular expression that opens at a place; its end is the first slash without a backslash."""
    blank = _BLANK.match(text, place)
    start = blank.end() if blank else place
    match = _REGEX.match(text, start)
    if match is None:
        raise Malformed("this regular expression is empty or has no closing /", start, min(start + 1, len(text)))
    if re.match(r"\w", text[match.end() : match.end() + 1]):
        raise Malformed(
            "flags after a regular expression are not documented; write (?i) inside", match.end(), match.end() + 1
        )
    return Token("regex", match[0], start, match.end(), value=match[1])


def tokens(text: str) -> list[Token]:
    """Return all tokens of a text without regular expressions."""
    found: list[Token] = []
    while not found or found[-1].kind != "end":
        found.append(token_at(text, found[-1].end if found else 0))
    return found[:-1]


def _unescaped(text: str, start: int) -> str:
    quote = text[0]
    for escape in re.finditer(r"\\(.)", text[1:-1], re.DOTALL):
        if escape[1] not in ("\\", quote):
            raise Malformed(f"what the escape \\{escape[1]} means is not documented", start, start + len(text))
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
