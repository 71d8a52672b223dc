"""What an incoming webhook of Slack takes, and with which words it refuses the rest."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

HOOK = "/services/T00SANDBOX/B00SANDBOX/"  # and a secret
BLOCKS, CHARACTERS, ATTACHMENTS, LINK = 50, 13_200, 100, 3000
TEXTS = {"header": 150, "section": 3000, "context": 3000, "markdown": 12_000}
FIELDS, FIELD = 10, 2000
KINDS = {*TEXTS, "divider", "image", "actions"}


def refusal(body: Any) -> tuple[int, str] | None:
    """Return status and word with which Slack refuses a message, or None."""
    if not isinstance(body, Mapping):
        return 400, "invalid_payload"
    attachments = body.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(one, Mapping) for one in attachments):
        return 400, "invalid_attachments"
    if len(attachments) > ATTACHMENTS:
        return 400, "too_many_attachments"
    if not (body.get("text") or body.get("blocks") or attachments):
        return 400, "no_text"
    if not isinstance(body.get("text", ""), str) or len(body.get("text", "")) > 40_000:
        return 400, "invalid_payload" if not isinstance(body.get("text", ""), str) else "msg_too_long"
    for blocks in [body.get("blocks"), *(one.get("blocks") for one in attachments)]:
        if blocks is not None and not _valid(blocks):
            return 400, "invalid_blocks"
    every = [block for one in (body, *attachments) for block in one.get("blocks") or []]
    if sum(len(text) for block in every for text in _strings(block)) > CHARACTERS:
        return 400, "msg_blocks_too_long"
    return None


def _valid(blocks: Any) -> bool:
    return isinstance(blocks, list) and len(blocks) <= BLOCKS and all(_block(block) for block in blocks)


def _block(block: Any) -> bool:
    if not isinstance(block, Mapping) or block.get("type") not in KINDS:
        return False
    kind = block["type"]
    if kind == "header":
        return _text(block.get("text"), TEXTS[kind], ("plain_text",))
    if kind == "section":
        fields = block.get("fields")
        if fields is not None and not (isinstance(fields, list) and 1 <= len(fields) <= FIELDS and all(_text(one, FIELD) for one in fields)):  # fmt: skip
            return False
        return _text(block["text"], TEXTS[kind]) if "text" in block else bool(fields)
    if kind in ("context", "actions"):
        held = block.get("elements")
        return isinstance(held, list) and 1 <= len(held) <= (10 if kind == "context" else 25) and all(_element(one) for one in held)  # fmt: skip
    return True


def _element(element: Any) -> bool:
    if not isinstance(element, Mapping):
        return False
    if element.get("type") == "button":
        url = element.get("url", "https://")
        return _text(element.get("text"), 75, ("plain_text",)) and len(url) <= LINK and urlsplit(url).scheme in ("http", "https")  # fmt: skip
    return element.get("type") == "image" or _text(element, TEXTS["context"])


def _text(text: Any, most: int, kinds: Iterable[str] = ("plain_text", "mrkdwn")) -> bool:
    """Say whether a text object is one: of a kind that may stand there, neither empty nor too long."""
    if not isinstance(text, Mapping) or text.get("type") not in kinds or not isinstance(text.get("text"), str):
        return False
    known = {"type", "text"} | ({"emoji"} if text["type"] == "plain_text" else {"verbatim"})
    return 1 <= len(text["text"]) <= most and set(text) <= known


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _strings(one)
