"""Tables of the page on a phone: one that is wider than the screen is told row by row, each value under its column's name."""

from __future__ import annotations

import html
import re
import unicodedata

_OURS = re.compile(r'<table (style="table-layout:auto.*?)</table>', re.S)  # as `display.table_html` makes them
_NAME = re.compile(r"<th\s[^>]*>(.*?)</th>", re.S)
_ROW = re.compile(r"<tr>.*?</tr>", re.S)
_CELL = re.compile(r"<td (style=[^>]*)>(.*?)</td>", re.S)
_TAG = re.compile(r"<[^>]*>")
SCREEN = 54  # characters of 12 px beside each other on 390 px
GAP = 1.6  # of them between two columns
WORDY = 30  # what a column that may break its lines needs


def by_rows(fragment: str) -> str:
    """Return HTML in which each of our tables that a phone would have to scroll carries class and names for `page.css`."""
    return _OURS.sub(lambda found: _named(found[0]), fragment)


def _named(table: str) -> str:
    names, rows = (
        [_TAG.sub("", name) for name in _NAME.findall(table)],
        [_CELL.findall(row) for row in _ROW.findall(table)[1:]],
    )
    if not rows or any(len(row) != len(names) for row in rows):
        return table
    longest = [max(_long(row[place][1]) for row in rows) for place in range(len(names))]
    heads = [max(map(_long, name.split()), default=0) for name in names]
    wide = sum(max(min(value, WORDY), head) + GAP for value, head in zip(longest, heads, strict=True))
    if wide <= SCREEN:
        return table
    column = iter([html.escape(html.unescape(name)) for name in names] * len(rows))  # its quotes end no attribute
    told = _CELL.sub(lambda cell: f'<td data-column="{next(column, "")}" {cell[1]}>{cell[2]}</td>', table)
    return told.replace("<table ", '<table class="rows" ', 1)


def _long(text: str) -> int:
    """Return the places that a text takes; a Japanese character takes two."""
    return sum(2 if unicodedata.east_asian_width(one) in "FW" else 1 for one in html.unescape(text))
