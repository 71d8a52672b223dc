"""The place in a query at which a parser stands."""

from opslib.sandbox.insights.lexer import Token, regex_at, token_at
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.syntax import Field, Node

KEYWORDS = frozenset({"and", "or", "not", "in", "like", "as", "by"})


class Cursor:
    """A text and the next token of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.notes: list[str] = []  # what is accepted, yet better written otherwise
        self.next = token_at(text, 0)
        self.ended = 0  # where the last token that was taken ended

    def take(self) -> Token:
        """Return the next token and step over it."""
        token = self.next
        self.ended = token.end
        self.next = token_at(self.text, token.end)
        return token

    def take_regex(self) -> Token:
        """Return the regular expression that begins here and step over it."""
        token = regex_at(self.text, self.next.start)
        self.ended = token.end
        self.next = token_at(self.text, token.end)
        return token

    def at(self, sign: str) -> bool:
        """Tell whether a sign is next."""
        return self.next.kind == "sign" and self.next.text == sign

    def accept(self, sign: str) -> bool:
        """Step over a sign if it is next."""
        if self.at(sign):
            self.take()
            return True
        return False

    def accept_word(self, *words: str) -> str:
        """Step over one of some words if it is next, and return it; else an empty text."""
        return self.take().word if self.next.word in words else ""

    def expect(self, sign: str) -> Token:
        """Step over a sign that must be next."""
        if not self.at(sign):
            raise self.unexpected(repr(sign))
        return self.take()

    def expect_word(self, *words: str) -> str:
        """Step over one of some words, one of which must be next, and return it."""
        if self.next.word not in words:
            raise self.unexpected(" or ".join(words))
        return self.take().word

    def expect_kind(self, kind: str) -> Token:
        """Step over a token of a kind."""
        if self.next.kind != kind:
            raise self.unexpected(f"a {kind}")
        return self.take()

    def whole_number(self) -> int:
        """Step over a whole number."""
        token = self.expect_kind("number")
        if not token.text.isdigit():
            raise self.refused("expected a whole number", token)
        return int(token.text)

    def field(self) -> Field:
        """Step over the name of a field."""
        if self.next.kind != "name" or self.next.word in KEYWORDS:
            raise self.unexpected("a field")
        token = self.take()
        return Field(token.parts, start=token.start, end=token.end)

    def names(self) -> tuple[str, ...]:
        """Step over names with commas between them."""
        found = [self.field().name]
        while self.accept(","):
            found.append(self.field().name)
        return tuple(found)

    def unexpected(self, wanted: str) -> Malformed:
        """Return the refusal of the next token."""
        found = f"{self.next.text[:40]!r}" if self.next.kind != "end" else "the end of the query"
        return Malformed(f"expected {wanted}, found {found}", self.next.start, self.next.end)

    @staticmethod
    def refused(message: str, place: Token | Node) -> Malformed:
        """Return a refusal of something that was taken."""
        return Malformed(message, place.start, place.end)
