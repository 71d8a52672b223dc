"""Draws messages of a Slack webhook as Slack shows them, so that they can be looked at: Block Kit, and the markup in its texts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

_STYLE = """
* { box-sizing: border-box } body { margin: 0; padding: 16px 20px; background: #fff; color: #1d1c1d; font: 15px/1.46 Lato, 'Noto Sans JP', 'Noto Sans CJK JP', Arial, sans-serif }
.m { display: flex; gap: 8px; margin: 0 0 18px } .i { flex: 0 0 36px; height: 36px; border-radius: 4px; background: #4a154b; color: #fff; font-weight: 900; text-align: center; line-height: 36px }
.b { min-width: 0; flex: 1; max-width: 660px } .n { font-weight: 900 } .n span { font-size: 10px; font-weight: 400; background: #eee; padding: 1px 3px; border-radius: 2px; color: #616061; margin-left: 4px } .n time { font-size: 12px; font-weight: 400; color: #616061; margin-left: 6px }
.a { border-left: 4px solid; border-radius: 4px; padding: 2px 0 2px 12px; margin: 4px 0 } h3 { font-size: 18px; font-weight: 900; margin: 6px 0 } .s { margin: 8px 0; overflow-wrap: anywhere }
.f { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin: 8px 0 } .f div { overflow-wrap: anywhere } .c { font-size: 13px; color: #616061; margin: 6px 0; overflow-wrap: anywhere } .c b { color: #616061 }
code { font: 12px Monaco, Menlo, Consolas, 'DejaVu Sans Mono', monospace; color: #e01e5a; background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px }
pre { font: 12px/1.5 Monaco, Menlo, Consolas, 'DejaVu Sans Mono', monospace; background: #f8f8f8; border: 1px solid #ddd; border-radius: 4px; padding: 8px; margin: 4px 0; white-space: pre-wrap; overflow-wrap: anywhere }
a { color: #1264a3; text-decoration: none } .k { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; margin: 2px 8px 2px 0; font-weight: 700; font-size: 13px }
"""
_PIECES = re.compile(r"```(?P<pre>.+?)```|`(?P<code>[^`\n]+)`|<(?P<link>[^>]+)>|\*(?P<bold>[^*\n]+)\*", re.DOTALL)


def page(bodies: Iterable[dict[str, Any]], *, app: str = "ops alerts") -> str:
    """Return an HTML page with messages as they stand in a channel."""
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>" + "".join(_message(one, app) for one in bodies)


def _message(body: dict[str, Any], app: str) -> str:
    drawn = "".join(f'<div class=a style="border-color:{html.escape(one["color"])}">{"".join(map(_block, one["blocks"]))}</div>' for one in body.get("attachments", []))  # fmt: skip
    said = "".join(map(_block, body.get("blocks", []))) or f"<div class=s>{_marked(body.get('text', ''))}</div>"
    return f"<div class=m><div class=i>!</div><div class=b><div class=n>{app}<span>APP</span></div>{said}{drawn}</div></div>"


def _block(block: dict[str, Any]) -> str:
    kind = block["type"]
    if kind == "header":
        return f"<h3>{_text(block['text'])}</h3>"
    if kind == "divider":
        return "<hr>"
    if kind in ("context", "actions"):
        return f"<div class={kind[0]}>{' '.join(map(_element, block['elements']))}</div>"
    fields = "".join(f"<div>{_text(one)}</div>" for one in block.get("fields", []))
    return (f"<div class=s>{_text(block['text'])}</div>" if "text" in block else "") + (f"<div class=f>{fields}</div>" if fields else "")  # fmt: skip


def _element(element: dict[str, Any]) -> str:
    return f'<a class=k href="{html.escape(element["url"])}">{_text(element["text"])}</a>' if element["type"] == "button" else _text(element)  # fmt: skip


def _text(text: dict[str, Any]) -> str:
    return _marked(text["text"]) if text["type"] == "mrkdwn" else html.escape(text["text"]).replace("\n", "<br>")


def _marked(text: str) -> str:
    """Return mrkdwn as HTML: spans of code first, in which nothing else counts; &, < and > come escaped already."""
    drawn, end = [], 0
    for found in _PIECES.finditer(text):
        drawn += [_plain(text[end : found.start()]), _piece(found.groupdict())]
        end = found.end()
    return "".join([*drawn, _plain(text[end:])])


def _plain(text: str) -> str:
    return _shown(text).replace("\n", "<br>")


def _shown(text: str) -> str:
    """Escape what is not escaped, as a browser must have it; what Slack wants escaped stays."""
    return html.escape(html.unescape(text))


def _piece(found: dict[str, str | None]) -> str:
    if found["pre"] or found["code"]:
        return f"<pre>{_shown(found['pre'])}</pre>" if found["pre"] else f"<code>{_shown(found['code'] or '')}</code>"
    if found["bold"]:
        return f"<b>{_shown(found['bold'])}</b>"
    target, _, words = (found["link"] or "").partition("|")
    if target.startswith("!date^"):
        moment = datetime.fromtimestamp(int(target.split("^")[1]), UTC)
        return f"{moment:%b} {moment.day}, {moment.year} {moment:%I:%M:%S %p}"
    if target.startswith(("!", "@", "#")):
        return f"<mark>{_shown(target)}</mark>"  # somebody is called
    return f'<a href="{_shown(target)}">{_shown(words or target)}</a>'
