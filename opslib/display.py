"""HTML and text for people: everything escaped, redacted, styled inline so that an untrusted notebook keeps its look."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from opslib import redact

if TYPE_CHECKING:
    import pandas as pd

    from opslib.result import Next, Result, Source
    from opslib.run import Run

# verdict -> (English, Japanese, colour)
STATUS = {
    "ok": ("OK", "正常", "#0b7a55"),
    "warn": ("CHECK", "要確認", "#a15c00"),
    "critical": ("ACT NOW", "要対応", "#b3261e"),
    "unknown": ("UNKNOWN", "判定不能", "#52606d"),
}
# name -> (English, Japanese): the headings of the daily report and the names of its numbers, there and in Slack
HEADINGS = {
    "daily-health": ("Do I have to do anything?", "要対応か"),
    "components": ("Every component", "各コンポーネントの状態"),
    "alarms": ("Alarms", "アラーム"),
    "unalerted": ("What raised no alert", "通知のなかった出来事"),
    "jobs": ("Background jobs", "ジョブ"),
    "delivery": ("Builds and delivery", "ビルドと配信"),
    "backups": ("Backups", "バックアップ"),
    "expiry": ("What is about to expire", "期限が近いもの"),
    "next-steps": ("What to do next", "次にすること"),
    "slack": ("Text for Slack", "Slack 用の文"),
    "to-do": ("to do", "要対応"),
    "alarms-on": ("alarms on", "発報中"),
    "failed-runs": ("failed runs", "失敗ジョブ"),
    "last-run": ("since the last run", "前回から"),
    "new": ("New", "新規"),
    "still": ("Still there", "継続"),
    "gone": ("Gone", "解消"),
}
ANSWERS = {
    "critical": ("Yes, now", "はい、今すぐ"),
    "warn": ("Yes, today", "はい、今日中に"),
    "unknown": ("Perhaps", "確認できません"),
    "ok": ("No", "いいえ"),
}
SIGHT = {
    "complete": "complete",
    "partial": "partly seen",
    "no_data": "no data",
    "denied": "access denied",
    "error": "no answer",
}
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Noto Sans JP','Hiragino Sans',sans-serif"
ROWS = 20
FLAG = "flagged"  # a column that is not shown
SHORT = 26  # characters that stay on one line
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")


def visible(value: Any) -> str:
    """Return the value as redacted text in which control, bidi and broken characters are shown, not obeyed."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", redact.text(str(value)))


def escape(value: Any) -> str:
    """Return the value as visible text, safe inside HTML text and attributes."""
    return html.escape(visible(value), quote=True)


def wrapped(inner: str) -> str:
    """Put a fragment into the outer box: no mathematics is typeset in it, so that SQL with $1 reads right."""
    return f'<div class="tex2jax_ignore mathjax_ignore" style="font:14px/1.5 {FONT};color:#1f2933;background:#fff;max-width:62rem">{inner}</div>'


def status_text(verdict: str) -> str:
    """Return the two words of a verdict, English and Japanese."""
    english, japanese, _ = STATUS[verdict]
    return f"{english} · {japanese}"


def heading(name: str) -> str:
    """Return a heading in both languages."""
    return " · ".join(HEADINGS[name])


def pill(verdict: str) -> str:
    """Return the coloured pill of a verdict."""
    return (f'<span style="display:inline-block;background:{STATUS[verdict][2]};color:#fff;border-radius:999px;padding:1px 10px;'
            f'font-size:12px;font-weight:700;white-space:nowrap">{status_text(verdict)}</span>')  # fmt: skip


def banner_html(run: Run) -> str:
    """Return the one banner of a run: where we are, who we are, which window; the sandbox in another colour."""
    sandbox = run.environment.sandbox
    colour = "#6b3fa0" if sandbox else "#0b5cad"
    word = "SANDBOX" if sandbox else run.environment.name.upper()
    parts = [f"<b>{escape(part)}</b>" if i == 0 else escape(part) for i, part in enumerate(_banner_parts(run))]
    return wrapped(
        f'<div style="border:1px solid {colour};border-left:6px solid {colour};border-radius:6px;padding:6px 12px;font-size:13px">'
        f'<span style="color:#fff;background:{colour};border-radius:4px;padding:1px 8px;font-weight:700;margin-right:8px">{escape(word)}</span>'
        f"{' · '.join(parts)}</div>"
    )


def banner_text(run: Run) -> str:
    """Return the banner as one line of text."""
    return ("SANDBOX " if run.environment.sandbox else "") + " · ".join(visible(part) for part in _banner_parts(run))


def _banner_parts(run: Run) -> list[str]:
    local = run.now.astimezone(run.environment.zone)
    window = f"window {run.window.text()}" if run.window else "window: left to the runbook"
    note = [run.window.note] if run.window and run.window.note else []
    replayed = ["REPLAY of a record: no AWS, no database"] if run.replayed else []
    clock = [f"clock {run.environment.clock} at {local:%Y-%m-%d %H:%M %Z}"] if run.environment.clock == "frozen" else []
    return [
        run.environment.name,
        f"account {run.identity.account}",
        run.identity.arn,
        run.environment.region,
        window,
        *note,
        *clock,
        *replayed,
    ]


def result_html(result: Result) -> str:
    """Return a result: verdict card first, then chart, table, where it is from; a part has a light heading instead."""
    card = _card(result) if result.parts or result.facts or result.next else _reading(result)
    chart = result.chart.html() if result.chart else ""
    shown = table_html(result.table) if result.table is not None else ""
    return wrapped(card + chart + shown + _sources(result.sources) + _next(result.next))


def _card(result: Result) -> str:
    colour = STATUS[str(result.verdict)][2]
    tiles = "".join(
        f'<div style="background:#fff;border:1px solid #e3e8ee;border-radius:6px;padding:6px 10px">'
        f'<b style="display:block;font-size:18px;line-height:1.3;overflow-wrap:anywhere">{escape(value)}</b>'
        f'<span style="color:#5f6c7b;font-size:12px">{escape(name)}</span></div>'
        for name, value in result.facts.items()
    )
    grid = (
        f'<div style="display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr));gap:8px;margin-top:10px">{tiles}</div>'
        if tiles
        else ""
    )
    return (
        f'<div style="border-left:6px solid {colour};background:#f7f9fb;border-radius:6px;padding:12px 16px;margin:0 0 8px">'
        f'<div style="font-size:18px;font-weight:700;margin-bottom:2px">{escape(result.title)} {pill(str(result.verdict))}</div>'
        f'<div style="font-size:15px">{escape(result.sentence)}</div>{_sight(result)}{grid}</div>'
    )


def _reading(result: Result) -> str:
    mark = "" if str(result.verdict) == "ok" else pill(str(result.verdict)) + " "
    return f'<div style="font-weight:700;font-size:15px;margin:2px 0 6px">{mark}{escape(result.sentence)}</div>{_sight(result)}'


def _sight(result: Result) -> str:
    if str(result.sight) == "complete" and not result.reason:
        return ""
    return (
        f'<div style="color:#8a4b00;font-size:13px">{escape(SIGHT[str(result.sight)])}: {escape(result.reason)}</div>'
    )


def _sources(sources: tuple[Source, ...]) -> str:
    if not sources:
        return ""
    rows = "".join(f'<div style="margin:4px 0">{_source(source)}</div>' for source in sources)
    return f'<details style="font-size:12px;color:#5f6c7b;margin:2px 0 8px"><summary style="cursor:pointer">from where</summary>{rows}</details>'


def _source(source: Source) -> str:
    cost = f"US${source.usd:.4f}" if source.usd else ""
    facts = [
        fact
        for fact in (
            source.api,
            source.window,
            f"account {source.account}" if source.account else "",
            source.region,
            cost,
            source.note,
        )
        if fact
    ]
    query = (
        f'<pre style="white-space:pre-wrap;background:#f7f9fb;padding:6px 8px;margin:2px 0;font-size:12px">{escape(source.query)}</pre>'
        if source.query
        else ""
    )
    return f"{escape(' · '.join(facts))}{query}"


def _next(steps: tuple[Next, ...]) -> str:
    rows = "".join(
        f'<div style="margin:3px 0">{escape(step.why)}{": " if step.why else ""}<code style="background:#eef2f6;padding:1px 6px;border-radius:4px">{escape(step.command())}</code></div>'
        for step in steps
    )
    return f'<div style="margin:6px 0;font-size:14px"><b>Next</b>{rows}</div>' if rows else ""


def table_html(frame: pd.DataFrame, *, rows: int = ROWS) -> str:
    """Return a table: numbers right, text left, at most `rows` rows and "20 of 431"; rows whose column FLAG is true are tinted."""
    shown, total = frame.head(frame.attrs.get("rows", rows)), frame.attrs.get("total", len(frame))
    columns = [column for column in frame.columns if column != FLAG]
    numeric = {column for column in columns if shown[column].dtype.kind in "if"}
    short = {column for column in columns if shown[column].map(lambda value: len(str(value))).max() <= SHORT} | numeric
    head = "".join(
        f'<th style="text-align:{"right" if column in numeric else "left"};font-weight:600;color:#5f6c7b;font-size:12px;border-bottom:2px solid #cbd2d9;padding:5px 8px;background:#fff;overflow-wrap:normal">{escape(column)}</th>'
        for column in columns
    )
    body = "".join(_row(record, columns, numeric, short, bool(record.get(FLAG))) for record in shown.to_dict("records"))
    more = (
        f'<div style="color:#5f6c7b;font-size:12px">{len(shown)} of {total}; all of them are in the record under data/</div>'
        if total > len(shown)
        else ""
    )
    return (f'<div style="overflow-x:auto"><table style="table-layout:auto;border-collapse:collapse;font:13px/1.45 {FONT};color:#1f2933;width:100%;margin:4px 0 8px;background:#fff">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}")  # fmt: skip


def _row(record: dict[Any, Any], columns: list[Any], numeric: set[Any], short: set[Any], flagged: bool) -> str:
    tint = "#fdecea" if flagged else "#fff"
    cells = "".join(
        f'<td style="text-align:{"right" if column in numeric else "left"};padding:5px 8px;border-bottom:1px solid #e3e8ee;vertical-align:top;'
        f'font-variant-numeric:tabular-nums;{"white-space:nowrap" if column in short else "overflow-wrap:anywhere;min-width:230px"};background:{tint}">{_cell(record[column])}</td>'
        for column in columns
    )
    return f"<tr>{cells}</tr>"


def _cell(value: Any) -> str:
    if value is None or value != value or str(value) in {"NaT", "<NA>"}:
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}".removesuffix(".0")
    return escape(value)


def result_text(result: Result) -> str:
    """Return the result as text: verdict, sentence, sight, next."""
    lines = [f"[{status_text(str(result.verdict))}] {visible(result.title)}: {visible(result.sentence)}"]
    if str(result.sight) != "complete" or result.reason:
        lines.append(f"{SIGHT[str(result.sight)]}: {visible(result.reason)}")
    return "\n".join([*lines, *(f"next: {visible(step.command())}" for step in result.next)])


def slack_text(result: Result, *, sandbox: bool = False) -> str:
    """Return the text to paste into Slack; mentions and links in it are made harmless."""

    def quiet(text: str) -> str:
        return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    mark = "[SANDBOX] " if sandbox else ""
    lines = [f"{mark}*{status_text(str(result.verdict))}* {quiet(result.title)}", quiet(result.sentence)]
    lines += (
        [" | ".join(f"{quiet(name)}: {quiet(value)}" for name, value in result.facts.items())] if result.facts else []
    )
    if str(result.sight) != "complete":
        lines.append(f"{SIGHT[str(result.sight)]}: {quiet(result.reason)}")
    return "\n".join(lines + [f"Next: `{quiet(step.command())}`" for step in result.next])
