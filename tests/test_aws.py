"""What AWS does wrong while it answers is one error for people, and never an endless loop."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.response import StreamingBody

from opslib import aws, config
from opslib.errors import SourceError

ENVIRONMENT = config.Environment(name="prod", account="000000000000", region="eu-west-1")


def test_a_page_that_is_told_twice_ends_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [{"found": [1], "nextToken": "a"}, {"nextToken": "b"}, {"found": [2], "nextToken": "b"}]
    asked: list[dict[str, Any]] = []

    def ask(**given: Any) -> dict[str, Any]:
        asked.append(given)
        return answers[len(asked) - 1]

    monkeypatch.setattr(aws, "client", lambda *_, **__: SimpleNamespace(can_paginate=lambda _: False, ask=ask))
    pages, seen = aws.pages(ENVIRONMENT, "logs", "ask", "found", of="x"), []
    with pytest.raises(SourceError, match="ask told the same next page twice"):
        seen.extend(pages)
    assert asked == [{"of": "x"}, {"of": "x", "nextToken": "a"}, {"of": "x", "nextToken": "b"}]


def test_a_connection_that_ends_within_an_object_is_told() -> None:
    assert aws.content(ENVIRONMENT, {"Body": StreamingBody(io.BytesIO(b"{}"), 2)}) == b"{}"
    with pytest.raises(SourceError, match="IncompleteReadError"):
        aws.content(ENVIRONMENT, {"Body": StreamingBody(io.BytesIO(b"{"), 2)})
