"""HTML from a notebook as HTML for the page: no script, no form, no frame, nothing that is fetched."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_TAG_NAMES = """
    a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr
    i img ins kbd li mark ol p picture pre q s samp section small source span strong sub summary sup table tbody td
    tfoot th thead time tr u ul var wbr"""
_TAGS = frozenset(_TAG_NAMES.split())
_ATTRIBUTE_NAMES = """
    align alt class colspan datetime height id lang media open rowspan scope span start style title type width"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_NAMES.split())
_IMAGE = re.compile(r"\s*data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*\Z")
_FETCHES = re.compile(r"url\s*\(|@import|expression\s*\(|image-set|\\|/\*", re.I)
_STYLE_BLOCK = re.compile(r"<style\b.*?</style\s*>", re.S | re.I)  # of pandas: the page's own look does better
_ASIDE = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]+")


def harmless(fragment: str) -> str:
    """Return the fragment with everything that is not on the list of plain markup shown as text, not obeyed."""
    images: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        images.append(found[0])
        return f"data:image/png;base64,{len(images) - 1:012d}"

    light = _ASIDE.sub(put_aside, _STYLE_BLOCK.sub("", fragment))  # a parser in Python is slow on megabytes of base64
    cleaned = _cleaner().clean(light)
    return re.sub(r"data:image/png;base64,(\d{12})(?!\d)", lambda found: _back(found, images), cleaned)


def _back(found: re.Match[str], images: list[str]) -> str:
    number = int(found[1])
    return images[number] if number < len(images) else found[0]


def _allowed(tag: str, name: str, value: str) -> bool:
    if name in {"src", "srcset"}:
        return tag in {"img", "source"} and bool(_IMAGE.match(value))
    if name == "href":
        return tag == "a" and bool(re.match(r"(?:https?://|mailto:|#)", value, re.I))
    return name in _ATTRIBUTES


class _Styles:
    """Keep inline styles, but for those that could fetch something."""

    def sanitize_css(self, style: str) -> str:
        return "" if _FETCHES.search(style) else style


@lru_cache(maxsize=1)
def _cleaner() -> Any:
    from bleach.sanitizer import Cleaner  # type: ignore[import-untyped]

    return Cleaner(
        tags=_TAGS, attributes=_allowed, protocols={"http", "https", "mailto", "data"}, css_sanitizer=_Styles()
    )
