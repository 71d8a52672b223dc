"""One document, two forms: Markdown, and one HTML file that fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from opslib.display import FONT, escape, visible


@dataclass(frozen=True)
class Link:
    """A file of the record; anything else is text."""

    text: str
    file: str


Cell = str | Link


@dataclass(frozen=True)
class Section:
    """A heading with text, a list or a table under it."""

    title: str
    text: str = ""
    items: tuple[Cell, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


@dataclass(frozen=True)
class Document:
    """A title, a line of facts, a headline and sections."""

    language: str
    title: str
    mark: str
    facts: tuple[str, ...]
    headline: str
    sections: tuple[Section, ...]
    nothing: str


_STYLE = f"""body{{margin:0;background:#fff;color:#1f2933;font:15px/1.6 {FONT}}}main{{max-width:60rem;margin:0 auto;padding:16px}}
h1{{font-size:24px;line-height:1.3;margin:4px 0}}h2{{font-size:17px;margin:26px 0 6px;border-top:1px solid #e3e8ee;padding-top:14px}}
.facts{{color:#5f6c7b;font-size:13px}}.head{{border-left:6px solid #0b5cad;background:#f7f9fb;border-radius:6px;padding:12px 16px;margin:10px 0;font-size:16px}}
.sandbox{{background:#6b3fa0;color:#fff;border-radius:4px;padding:1px 8px;font-weight:700;font-size:13px}}.none{{color:#a15c00}}
table{{border-collapse:collapse;width:100%;font-size:13px}}th{{text-align:left;color:#5f6c7b;font-weight:600;border-bottom:2px solid #cbd2d9;padding:4px 8px 4px 0}}
td{{border-bottom:1px solid #e3e8ee;padding:5px 8px 5px 0;vertical-align:top;overflow-wrap:anywhere}}td:first-child{{font-variant-numeric:tabular-nums;min-width:8.2em}}
a{{color:#0b5cad}}p{{margin:4px 0;white-space:pre-wrap;overflow-wrap:anywhere}}ul{{margin:4px 0;padding-left:20px}}li{{overflow-wrap:anywhere}}
@media (max-width:600px){{thead{{display:none}}tr{{display:block;border-bottom:1px solid #e3e8ee;padding:6px 0}}td{{display:block;border:0;padding:1px 0}}td:first-child{{font-weight:600}}td:empty{{display:none}}}}
@media print{{a{{color:inherit}}h2{{break-after:avoid}}tr{{break-inside:avoid}}}}"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html(document: Document) -> str:
    """Return the document as one HTML file with nothing to fetch or to run."""
    mark = f'<span class="sandbox">{escape(document.mark)}</span> ' if document.mark else ""
    body = "".join(
        f"<h2>{escape(section.title)}</h2>{_html_of(section, document.nothing)}" for section in document.sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="{document.language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light">\n'
        f"<title>{escape(document.title)}</title><style>\n{_STYLE}</style></head>\n<body><main>"
        f'<div class="facts">{mark}{escape(" · ".join(filter(None, document.facts)))}</div><h1>{escape(document.title)}</h1>'
        f'<div class="head">{escape(document.headline)}</div>{body}</main></body></html>\n'
    )


def markdown(document: Document) -> str:
    """Return the document as Markdown; what people wrote is text in it, not markup."""
    mark = f"**{document.mark}** " if document.mark else ""
    lines = [
        f"# {_plain(document.title)}",
        "",
        mark + _plain(" · ".join(filter(None, document.facts))),
        "",
        _plain(document.headline),
        "",
    ]
    for section in document.sections:
        lines += [f"## {_plain(section.title)}", "", *_markdown_of(section, document.nothing), ""]
    return "\n".join(lines).rstrip() + "\n"


def _html_of(section: Section, nothing: str) -> str:
    parts = [f"<p>{escape(section.text)}</p>"] if section.text else []
    if section.items:
        parts.append(f"<ul>{''.join(f'<li>{_html_cell(item)}</li>' for item in section.items)}</ul>")
    if section.rows:
        head = "".join(f"<th>{escape(column)}</th>" for column in section.columns)
        rows = "".join(f"<tr>{''.join(f'<td>{_html_cell(cell)}</td>' for cell in row)}</tr>" for row in section.rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    return "".join(parts) or f'<p class="none">{escape(nothing)}</p>'


def _html_cell(cell: Cell) -> str:
    return f'<a href="{escape(quote(cell.file))}">{escape(cell.text)}</a>' if isinstance(cell, Link) else escape(cell)


def _markdown_of(section: Section, nothing: str) -> list[str]:
    lines = [_plain(section.text), ""] if section.text else []
    lines += [f"- {_markdown_cell(item)}" for item in section.items]
    if section.rows:
        lines += [
            _row(section.columns),
            _row(["---"] * len(section.columns)),
            *(_row(map_cells(row)) for row in section.rows),
        ]
    return lines or [f"*{nothing}*"]


def map_cells(row: Sequence[Cell]) -> list[str]:
    """Return the cells of a row as Markdown."""
    return [_markdown_cell(cell) for cell in row]


def _markdown_cell(cell: Cell) -> str:
    return f"[{_plain(cell.text)}]({quote(cell.file)})" if isinstance(cell, Link) else _plain(cell)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Take Markdown and HTML their meaning: backslashes before marks, entities for brackets, one line."""
    shown = " ".join(visible(text).replace("\\u000a", " ").split())
    for mark in "\\`*_[]|#!":
        shown = shown.replace(mark, f"\\{mark}")
    return shown.replace("<", "&lt;").replace(">", "&gt;")
