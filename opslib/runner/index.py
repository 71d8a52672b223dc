"""reports/index.html: all records by day, newest first, with their verdicts."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from opslib import files
from opslib.display import STATUS, escape, pill
from opslib.errors import RecordError
from opslib.runner import records

_STYLE = (Path(__file__).with_name("templates") / "index.css").read_text(encoding="utf-8")
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light"><meta name="referrer" content="no-referrer"><title>Records 実行記録</title>
"""


def write() -> Path:
    """Make reports/index.html anew from the summaries and return its path; raises RecordError."""
    root = records.reports()
    rows = [(folder.name[:8], _row(folder, root)) for folder in records.folders()]
    days = [_day(day, [row for _, row in found]) for day, found in groupby(rows, key=lambda row: row[0])]
    body = "".join(days) or "<p>No records yet.</p>"
    page = f"{_HEAD}<style>\n{_STYLE}</style></head>\n<body><main><h1>Records <small>実行記録</small></h1>\n{body}</main></body></html>\n"
    files.write(root / "index.html", page)
    return root / "index.html"


def _day(day: str, rows: list[str]) -> str:
    return f"<h2>{escape(f'{day[:4]}-{day[4:6]}-{day[6:8]}')} <small>{len(rows)}</small></h2>\n{''.join(rows)}"


def _row(folder: Path, root: Path) -> str:
    clock = f"<time>{escape(folder.name[9:11])}:{escape(folder.name[11:13])} UTC</time>"
    try:
        if (folder / records.STATE).is_file():
            return _line(clock, *_open(folder))
        return _line(clock, *_finished(folder, root))
    except (RecordError, KeyError, TypeError, IndexError) as error:
        why = error.why if isinstance(error, RecordError) else f"its summary lacks {error}"
        return _line(clock, '<b class="bad">UNREADABLE</b>', escape(folder.name), escape(why))


def _open(folder: Path) -> tuple[str, str, str]:
    state = records.state_of(folder)
    said = f"{state['env']}, opened by {state['operator']}; finish it with: opslib close {state['run_id']}"
    return '<b class="open">OPEN</b>', escape(state["runbook"]), escape(said)


def _finished(folder: Path, root: Path) -> tuple[str, str, str]:
    summary: dict[str, Any] = records.summary_of(folder)
    first = summary["results"][0]["sentence"] if summary["results"] else ""
    unfinished = "" if summary["status"] == records.FINISHED else f' <b class="bad">{escape(summary["status"])}</b>'
    said = first if not unfinished else f"{summary['error'].partition(chr(10))[0]} {first}"
    place = quote((folder / records.PAGE).relative_to(root).as_posix())
    link = f'<a href="{place}">{escape(summary["runbook"])}</a>'
    where = ", ".join([summary["env"], summary["mode"], summary["blind"], f"{summary['timing']['seconds']} s"])
    verdict = summary["verdict"] if summary["verdict"] in STATUS else "unknown"
    return pill(verdict), f"{link}{unfinished} <small>{escape(where)}</small>", escape(said)


def _line(clock: str, mark: str, name: str, said: str) -> str:
    return f"<article>{clock}<div>{mark} {name}<p>{said}</p></div></article>\n"
