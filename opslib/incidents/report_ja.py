"""The record of an incident as the Japanese 障害報告書.

What somebody noted with `ja` stands in Japanese. What a program or a person said in another language is quoted as it
was said (原文「…」), never translated: a report that stands in a review must not say more than its evidence.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from opslib import journal
from opslib.display import STATUS
from opslib.incidents.document import Document, Section
from opslib.incidents.report import (
    OF_CHANGES,
    evidence,
    local,
    mark,
    spans,
    texts,
    timeline,
    utc,
    zone_of,
)  # fmt: skip
from opslib.incidents.store import TIMES, Incident
from opslib.journal import NAME, Entry

NAMES = {
    "started": "発生", "detected": "検知", "notified": "通知", "acknowledged": "対応開始", "mitigated": "暫定復旧", "resolved": "完全復旧",
    "impact": "影響範囲", "factor": "原因", "temporary-fix": "暫定対応", "permanent-fix": "恒久対策", "action-item": "再発防止策",
    "summary": "概要", "event": "出来事",
}  # fmt: skip
_OUTCOMES = {"done": "完了", "failed": "失敗", "unknown": "不明", "not done": "未実施"}
_FILES = {"html": "レポート", "ipynb": "ノートブック", "same": "同上"}
_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def japanese(incident: Incident) -> Document:
    """Return the 障害報告書: 発生日時, 検知, 影響範囲, 原因, 暫定対応, 恒久対策, 再発防止策, 時系列, and its proof."""
    times, zone = incident.times(), zone_of(incident)
    begun = tuple(
        (NAMES[kind], local(entry["moment"], zone), utc(entry["moment"]), entry["source"])
        for kind, entry in times.items()
    )
    items = tuple(
        (_said(entry), entry.get("owner", "未定"), entry.get("due", "未定")) for entry in incident.notes("action-item")
    )
    found = times.get("detected")
    sections = (
        Section("概要", items=texts(incident, "summary", _said)),
        Section("発生日時", text=local(times["started"]["moment"], zone) if "started" in times else "", columns=("区分", "現地時刻", "UTC", "根拠"), rows=begun),
        Section("検知", text=f"{local(found['moment'], zone)} {_said(found)}（根拠: {found['source']}）" if found else ""),
        Section("影響範囲", items=texts(incident, "impact", _said)), Section("原因", items=texts(incident, "factor", _said)),
        Section("暫定対応", items=texts(incident, "temporary-fix", _said)), Section("恒久対策", items=texts(incident, "permanent-fix", _said)),
        Section("再発防止策", columns=("内容", "担当", "期限"), rows=items),
        Section("時系列", columns=(f"時刻({_label(zone, incident)})", "内容", "証跡"), rows=timeline(incident, zone, told, _FILES)),
        evidence(incident, ("ファイル", "内容", "期間", "クエリ", "SHA-256"), "証跡一覧", _FILES, quoted), Section("改ざん検知", text=_proof(incident)),
    )  # fmt: skip
    missing = [NAMES[kind] for kind in incident.missing()]
    lacks = f"未記入: {'、'.join(missing)}" if missing else ""
    spent = [f"{NAMES[second]}から{NAMES[first]}まで{minutes}分" for first, second, minutes in spans(times)]
    headline = "。".join([*spent, lacks]).strip("。") or "記入中"
    title = f"障害報告書: {incident.fields['title']}"
    return Document("ja", title, mark(incident), _facts(incident, zone), headline, sections, "記載なし")


def told(entry: Entry) -> str:
    """Return an entry as a line of the 時系列; empty when it has none."""
    event = entry["event"]
    if event == "note":
        kind = entry["kind"]
        return f"{NAMES[kind]}: {_said(entry)}" if kind in TIMES else _said(entry) if kind == "event" else ""
    if event in OF_CHANGES or (event == "result" and entry["outcome"] != "done"):
        return _change(entry)
    if event == "run":
        return f"調査 {entry['runbook']}（判定: {STATUS[entry['verdict']][1]}）: {quoted(entry['says'])}"
    if event == "evidence" and not entry.get("query"):
        return f"証跡を追加: {quoted(entry['says'])}"
    return {"opened": "インシデントを登録", "closed": "インシデントを完了"}.get(event, "")


def quoted(text: str) -> str:
    """Return a text as it is when it is Japanese, else as a quotation."""
    return text if not text or _JAPANESE.search(text) else f"原文「{text}」"


def _said(entry: Entry) -> str:
    return str(entry.get("ja") or quoted(entry["text"]))


def _change(entry: Entry) -> str:
    outcome = _OUTCOMES.get(entry.get("outcome", ""), "")
    word, said = {
        "apply": ("変更を開始", f"担当 {entry['by']}、計画 {entry['plan'][:8]}"),
        "refused": ("変更を中止", quoted(str(entry.get("what", "")))),
        "checked": ("変更の結果を確認", f"担当 {entry['by']}、{quoted(str(entry.get('says', '')))}"),
        "result": (f"変更の手順{entry.get('step')}: {outcome}", quoted(str(entry.get("why", "")))),
        "verified": (f"変更の確認: {outcome}", quoted(str(entry.get("says", "")))),
    }[entry["event"]]
    return f"{word} {entry['action']} {entry['target']}（{said}）"


def _proof(incident: Incident) -> str:
    kept = journal.head(incident.folder / NAME)
    return f"記録 {kept['n']}件、末尾のハッシュ {kept['hash']}。検証方法: opslib incident verify {incident.id}"


def _facts(incident: Incident, zone: tzinfo) -> tuple[str, ...]:
    kept = incident.fields
    until = f"完了 {local(kept['closed'], zone)}" if kept["closed"] else "対応中"
    place = f"{kept['environment']} {kept['account']} {kept['region']}"
    return incident.id, kept["severity"], place, f"登録 {local(kept['opened'], zone)}", until


def _label(zone: tzinfo, incident: Incident) -> str:
    """Return the short name of the zone at the time of the incident."""
    return str(datetime.fromisoformat(incident.fields["opened"]).astimezone(zone).tzname())
