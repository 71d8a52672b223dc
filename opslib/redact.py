"""Take secrets and personal data out of text before it is shown or kept.

One function, `text`, applied at every boundary: what is displayed, what lies in a record, what goes to Slack. It is
idempotent, so that a record drawn again from its own data reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAMES = ("passw", "passp", "pwd", "secret", "key", "token", "cred", "cook")  # the letters every name below has, folded
_NAMED = r"""(?ix) \b( [\w.-]*? (?: passw(?:or)?d | passphrase | pwd | secret(?:[_-]?access)?(?:[_-]?key)? | api[_-]?key
    | access[_-]?token | refresh[_-]?token | id[_-]?token | session[_-]?token | auth[_-]?token | routing[_-]?key
    | integration[_-]?key | private[_-]?key | client[_-]?secret | token | credential s? | cookie ) )
    ( \\*["']? \s* [:=] \s* )
    ( "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | (?P<quote>\\+["'])(?:(?!(?<!\\)(?P=quote)).)*(?<!\\)(?P=quote) | [^\s,;&"'{}\\<>]+ )"""

# (what the text must hold, cheap to look for; the pattern; the replacement)
_RULES: list[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (("PRIVATE KEY",), re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
     "[redacted:private-key]"),
    (("eyJ",), re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,2}"), "[redacted:jwt]"),  # also one that somebody has cut
    (("AKIA", "ASIA", "AROA", "AIDA"), re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), "[redacted:aws-key-id]"),
    (("hooks.slack.com",), re.compile(r"https://hooks\.slack\.com/[\w/+-]+"), "[redacted:slack-hook]"),
    (("xox",), re.compile(r"\bxox[abeoprs]-[\w-]{8,}"), "[redacted:slack-token]"),
    (("ghp_", "gho_", "ghs_", "github_pat_"), re.compile(r"\b(?:gh[pos]_|github_pat_)\w{20,}"), "[redacted:github-token]"),
    (("://",), re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s:@\"'<>]*:[^/\s\"'<>]+@", re.I), r"\1[redacted:userinfo]@"),
    (("X-Amz-",), re.compile(r"(X-Amz-(?:Signature|Security-Token|Credential)=)[^&\s\"'<>]+"), r"\1[redacted]"),
    (("earer ", "asic "), re.compile(r"\b([Bb](?:earer|asic) )(?!\[redacted)[\w.~+/=-]{8,}"), r"\1[redacted:authorization]"),
    (_NAMES, re.compile(_NAMED), lambda m: m[0] if _harmless(m[3]) or _names_only(m) else f"{m[1]}{m[2]}{_quoted(m[3])}"),
    (("@",), re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}\b"), "[email]"),
    (("0", "+81"), re.compile(r"(?<![\w.-])(?<!\d:)(?:\+81[- ]?|0)(?:[5789]0[- ]?\d{4}[- ]\d{4}|[5789]0\d{8}|\d{1,4}[- ]\d{1,4}[- ]\d{4})(?![\w.:-])"),
     "[phone]"),
    (("3", "4", "5", "6", "2"), re.compile(r"(?<![\w.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![\w.-])"),
     lambda m: "[card]" if _is_card(m[0]) else m[0]),
]  # fmt: skip
_BEFORE_NAME, _SECRET_NAME = re.compile(r"\barn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:\Z"), re.compile(r"[\w/+=.@-]+")
_ARN = re.compile(r"arn:aws[\w-]*:(?:secretsmanager:[\w-]+:\d{12}:secret:|ssm:[\w-]+:\d{12}:parameter/)[\w/+=.@-]+")
_IMAGE = re.compile(r"(data:image/[a-z+.-]+;base64,[A-Za-z0-9+/=]+)")
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|35\d{14}|3[068]\d{12}|6(?:011|5\d\d)\d{12}"
)


def text(value: str) -> str:
    """Return the text with keys, tokens, passwords, card numbers, e-mail addresses and telephone numbers replaced."""
    if "data:image/" not in value:
        return _plain(value)
    parts = _IMAGE.split(value)  # drawn glyphs carry no text, and base64 must not be touched
    return "".join(part if i % 2 else _plain(part) for i, part in enumerate(parts))


def cut(value: str, most: int) -> str:
    """Return the text redacted and then cut: half a secret would not be known for one."""
    shown = text(value)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _plain(value: str) -> str:
    for hints, pattern, replacement in _RULES:
        held = value.casefold() if hints is _NAMES else value
        for hint in hints:
            if hint in held:
                value = pattern.sub(replacement, value)
                break
    return value


def _harmless(found: str) -> bool:
    """A value that is no secret: empty, already redacted, or a plain word such as null, true, a number of tokens."""
    bare = found.strip("\\\"'")
    return (
        bare.startswith("[redacted")
        or bare.lower() in {"", "null", "none", "true", "false", "str", "string"}
        or (bare.isdigit() and len(bare) < 4)
    )


def _names_only(found: re.Match[str]) -> bool:
    """Tell whether it names something and opens nothing: a secret by its ARN, a call by its token of idempotency.

    Without them a plan could not be applied from its record.
    """
    if found[1] == "ClientRequestToken" or _ARN.fullmatch(found[3].strip("\\\"'")):
        return True
    before = found.string[max(0, found.start() - 80) : found.start()]
    return found[1] + found[2] == "secret:" and bool(_BEFORE_NAME.search(before) and _SECRET_NAME.fullmatch(found[3]))


def _quoted(found: str) -> str:
    """Keep the quotes, so that JSON stays JSON."""
    opening = re.match(r"\\*[\"']", found)
    return f"{opening[0]}[redacted]{opening[0]}" if opening else "[redacted]"


def _is_card(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    if not _ISSUERS.fullmatch(digits):
        return False
    doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
