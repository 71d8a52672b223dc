"""Regular expressions that RE2 and Hyperscan both know, and globs."""

import re

from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.syntax import Node

_PIECES = re.compile(
    r"""\\(?P<escape>.)
      | (?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])
      | (?P<group>\(\?(?:P?<(?P<name>[A-Za-z_@][\w@]*)>|[imsU]*(?:-[imsU]+)?[:)])?)
      | (?P<possessive>[*+?}]\+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_INNER = re.compile(r"(\\.)|\[", re.DOTALL)
_ESCAPES = "dDwWsSbBAzntrfvxa0"  # letters after a backslash that mean the same in both


def compiled(text: str, place: Node) -> tuple[re.Pattern[str], dict[int, str]]:
    """Return a compiled expression and the names of its groups by number: `(?<name>…)` and `(?P<name>…)`."""
    names: list[str] = []

    def translated(match: re.Match[str]) -> str:
        _check_piece(match, place)
        if match["class"]:
            return "[" + _INNER.sub(lambda inner: inner[1] or r"\[", match[0][1:])  # re warns of a bare one
        if match["name"]:
            names.append(match["name"])
            return f"(?P<g{len(names)}>"
        return r"\Z" if match[0] == r"\z" else match[0]

    try:
        pattern = re.compile(_PIECES.sub(translated, text), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise _refused(f"this regular expression cannot be read: {error}", place) from None
    if len(set(names)) < len(names):
        raise _refused("two groups have the same name", place)
    return pattern, {pattern.groupindex[f"g{number}"]: name for number, name in enumerate(names, 1)}


def _check_piece(match: re.Match[str], place: Node) -> None:
    if match["group"] == "(?":
        raise _refused("look-around, atomic groups and comments in groups are not in the engine", place)
    if match["possessive"]:
        raise _refused(f"{match['possessive']}: possessive counts are not in the engine", place)
    found = match["class"] or ""
    if any(part in found for part in ("[:", "&&", "--", "~~", "||")):
        raise _refused(f"the class {found} is not modelled", place)
    for escape in [match["escape"] or "", *re.findall(r"\\(.)", found, re.DOTALL)]:
        if escape.isdigit() and escape != "0":
            raise _refused(f"\\{escape}: back-references are not in the engine", place)
        if escape.isalnum() and escape not in _ESCAPES:
            raise _refused(f"\\{escape} is not in both RE2 and Hyperscan", place)


def _refused(message: str, place: Node) -> Malformed:
    return Malformed(message, place.start, place.end)


def glob(text: str, place: Node) -> re.Pattern[str]:
    """Return a glob of `parse` as an expression with a group a star: the nearest match, the last star to the end."""
    pieces = text.split("*")
    if len(pieces) < 2:
        raise _refused("a pattern of parse has a * or is a regular expression", place)
    if "" in pieces[1:-1]:
        raise _refused("two stars side by side: which takes what is not documented", place)
    body = "".join(re.escape(piece) + "(.*?)" for piece in pieces[:-1]) + re.escape(pieces[-1])
    return re.compile(body + ("" if pieces[-1] else r"\Z"), re.DOTALL)
