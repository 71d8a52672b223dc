"""The record of an incident for people: in English, and as the Japanese 障害報告書."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from opslib import journal
from opslib.incidents.document import Cell, Document, Link, Section
from opslib.incidents.store import TIMES, Incident
from opslib.journal import NAME, Entry
from opslib.window import zone_named

JAPANESE = {
    "started": "発生", "detected": "検知", "notified": "通知", "acknowledged": "対応開始", "mitigated": "暫定復旧", "resolved": "完全復旧",
    "impact": "影響範囲", "factor": "原因", "temporary-fix": "暫定対応", "permanent-fix": "恒久対策", "action-item": "再発防止策",
    "summary": "概要", "event": "出来事",
}  # fmt: skip
_SPANS = (("detected", "started"), ("acknowledged", "detected"), ("mitigated", "started"), ("resolved", "started"))
_OF_CHANGES = {"apply", "verified", "refused", "checked"}
_OUTCOMES = {"done": "完了", "failed": "失敗", "unknown": "不明", "not done": "未実施"}


def english(incident: Incident) -> Document:
    """Return the record: times with their source, impact in numbers, timeline with links, factors, fixes, proof."""
    times = incident.times()
    rows = tuple(
        (kind, _utc(entry["moment"]), _local(entry["moment"], _zone(incident)), entry["source"])
        for kind, entry in times.items()
    )
    items = tuple(
        (entry["text"], entry.get("owner", "nobody yet"), entry.get("due", "no date"))
        for entry in incident.notes("action-item")
    )
    sections = (
        Section("What happened", items=_texts(incident, "summary")), Section("Impact", items=_texts(incident, "impact")),
        Section("Times", columns=("what", "UTC", "local", "source"), rows=rows),
        Section("How long", columns=("from", "to", "minutes"), rows=tuple((second, first, minutes) for first, second, minutes in spans(times))),
        Section("Timeline", columns=("UTC", "event", "evidence"), rows=timeline(incident, UTC, told)),
        Section("Contributing factors", items=_texts(incident, "factor")), Section("Temporary fix", items=_texts(incident, "temporary-fix")),
        Section("Permanent fix", items=_texts(incident, "permanent-fix")),
        Section("Action items", columns=("what", "owner", "due"), rows=items), _evidence(incident, ("file", "says", "window", "query", "sha256"), "Evidence", "as above"),
        Section("Integrity", text=_proof(incident)),
    )  # fmt: skip
    missing = incident.missing()
    lacks = f"Not yet said: {', '.join(missing)}." if missing else ""
    return Document(
        "en",
        f"{incident.fields['title']}",
        _mark(incident),
        _facts(incident),
        f"{_headline(times)} {lacks}".strip(),
        sections,
        "nothing is noted",
    )


def japanese(incident: Incident) -> Document:
    """Return the 障害報告書; what was noted with `ja` stands in Japanese, the rest as it was noted."""
    times, zone = incident.times(), _zone(incident)
    begun = tuple(
        (JAPANESE[kind], _local(entry["moment"], zone), _utc(entry["moment"]), entry["source"])
        for kind, entry in times.items()
    )
    items = tuple(
        (_ja(entry), entry.get("owner", "未定"), entry.get("due", "未定")) for entry in incident.notes("action-item")
    )
    found = times.get("detected")
    sections = (
        Section("概要", items=_texts(incident, "summary", _ja)),
        Section("発生日時", text=_local(times["started"]["moment"], zone) if "started" in times else "", columns=("区分", "現地時刻", "UTC", "根拠"), rows=begun),
        Section("検知", text=f"{_local(found['moment'], zone)} {found['source']} {_ja(found)}" if found else ""),
        Section("影響範囲", items=_texts(incident, "impact", _ja)), Section("原因", items=_texts(incident, "factor", _ja)),
        Section("暫定対応", items=_texts(incident, "temporary-fix", _ja)), Section("恒久対策", items=_texts(incident, "permanent-fix", _ja)),
        Section("再発防止策", columns=("内容", "担当", "期限"), rows=items),
        Section("時系列", columns=(f"時刻({zone_label(zone, incident)})", "内容", "証跡"), rows=timeline(incident, zone, _told_ja)),
        _evidence(incident, ("ファイル", "内容", "期間", "クエリ", "SHA-256"), "証跡一覧", "同上"), Section("改ざん検知", text=_proof(incident)),
    )  # fmt: skip
    missing = [JAPANESE[kind] for kind in incident.missing()]
    lacks = f"未記入: {'、'.join(missing)}" if missing else ""
    spent = [f"{JAPANESE[second]}から{JAPANESE[first]}まで{minutes}分" for first, second, minutes in spans(times)]
    return Document(
        "ja",
        f"障害報告書: {incident.fields['title']}",
        _mark(incident),
        _facts(incident),
        "。".join([*spent, lacks]).strip("。") or "記入中",
        sections,
        "記載なし",
    )


def spans(times: dict[str, Entry]) -> list[tuple[str, str, str]]:
    """Return (to, from, minutes) for the spans of which both ends are known; each is one incident's, no mean."""
    known = [(first, second) for first, second in _SPANS if first in times and second in times]
    return [
        (first, second, f"{(_at(times[first]) - _at(times[second])).total_seconds() / 60:.0f}")
        for first, second in known
    ]


def timeline(incident: Incident, zone: tzinfo, tell: Callable[[Entry], str]) -> tuple[tuple[Cell, ...], ...]:
    """Return moment, event and link to its evidence, in the order of the moments."""
    last = {entry["plan"]: entry["n"] for entry in incident.entries if "plan" in entry and tell(entry)}
    runs = [entry for entry in incident.entries if entry["event"] == "run" and _applied(entry) in last]
    pages = {last[_applied(entry)]: entry["pages"] for entry in runs}  # the change tells it, and links the report
    shown = [
        {"pages": pages.get(entry["n"], {}), **entry} for entry in incident.entries if tell(entry) and entry not in runs
    ]
    ordered = sorted(shown, key=lambda entry: (_at(entry), entry["n"]))
    return tuple((f"{_at(entry).astimezone(zone):%m-%d %H:%M:%S}", tell(entry), _link(entry)) for entry in ordered)


def _applied(entry: Entry) -> str:
    """Return the plan that a run of `opslib apply` was for; its notebook ran before the change and ended after it."""
    return str(entry["parameters"].get("plan", "")) if entry["runbook"].startswith("apply/") else ""


def zone_label(zone: tzinfo, incident: Incident) -> str:
    """Return the short name of the zone at the time of the incident."""
    return str(datetime.fromisoformat(incident.fields["opened"]).astimezone(zone).tzname())


def told(entry: Entry) -> str:
    """Return an entry as a line of the timeline; empty when it has none."""
    event = entry["event"]
    if event == "note":
        kind = entry["kind"]
        return f"{kind}: {entry['text']}" if kind in TIMES else entry["text"] if kind == "event" else ""
    if event == "run":
        return f"{entry['runbook']} ({entry['verdict']}): {entry['says']}"
    if event in _OF_CHANGES or (event == "result" and entry["outcome"] != "done"):
        return f"change {entry['action']} {entry['target']}: {_change(entry)}"
    if event == "evidence" and not entry.get("query"):
        return f"evidence: {entry['says']}"
    return {"opened": "incident opened", "closed": "incident closed"}.get(event, "")


def _told_ja(entry: Entry) -> str:
    event = entry["event"]
    if event == "note":
        kind = entry["kind"]
        return f"{JAPANESE[kind]}: {_ja(entry)}" if kind in TIMES else _ja(entry) if kind == "event" else ""
    if event in _OF_CHANGES or (event == "result" and entry["outcome"] != "done"):
        word = {
            "apply": "変更を開始",
            "refused": "変更を中止",
            "checked": "変更の結果を確認",
            "result": f"変更の手順{entry.get('step')}: {_OUTCOMES.get(entry.get('outcome', ''), '')}",
        }.get(event, "変更の確認: " + _OUTCOMES.get(entry.get("outcome", ""), ""))
        return f"{word} {entry['action']} {entry['target']}"
    if event == "run":
        return f"調査 {entry['runbook']} ({entry['verdict']}): {entry['says']}"
    if event == "evidence" and not entry.get("query"):
        return f"証跡を追加: {entry['says']}"
    return {"opened": "インシデントを登録", "closed": "インシデントを完了"}.get(event, "")


def _change(entry: Entry) -> str:
    told = {
        "apply": f"begun by {entry['by']}, plan {entry['plan'][:8]}", "verified": f"{entry.get('outcome')}: {entry.get('says')}",
        "refused": f"refused: {entry.get('what')}", "result": f"step {entry.get('step')} {entry.get('outcome')}: {entry.get('why')}", "checked": f"looked at by {entry['by']}: {entry.get('says')}",
    }  # fmt: skip
    return told[entry["event"]]


def _link(entry: Entry) -> Cell:
    pages = entry.get("pages", {})
    if "report.html" in pages:
        return Link("report", pages["report.html"]["file"])
    if entry["event"] == "evidence":
        return Link(entry["file"].rpartition("/")[2], entry["file"])
    return str(entry.get("source") or (f"{NAME} {entry['n']}" if entry["event"] != "note" else ""))


def _evidence(incident: Incident, columns: tuple[str, ...], title: str, same: str) -> Section:
    found = [entry for entry in incident.entries if entry["event"] == "evidence"]
    pages = [(page, entry) for entry in incident.entries if entry["event"] == "run" for page in entry["pages"].values()]
    rows: list[tuple[Cell, ...]] = []
    for before, entry in zip([{}, *found], found, strict=False):  # the files of one run mostly have one query
        about = [entry.get(name, "") for name in ("says", "window", "query")]
        shown = about if about != [before.get(name, "") for name in ("says", "window", "query")] else [same, "", ""]
        rows.append((Link(entry["file"].rpartition("/")[2], entry["file"]), *map(_short, shown), entry["sha256"][:16]))
    rows += [
        (
            Link({"html": "report", "ipynb": "notebook"}[page["file"].rpartition(".")[2]], page["file"]),
            entry["runbook"],
            "",
            "",
            page["sha256"][:16],
        )
        for page, entry in pages
    ]
    return Section(title, columns=columns, rows=tuple(rows))


def _headline(times: dict[str, Entry]) -> str:
    told = [f"{first} {minutes} minutes after {second}" for first, second, minutes in spans(times)]
    return f"{'; '.join(told).capitalize()}." if told else "Its times are not known yet."


def _proof(incident: Incident) -> str:
    kept = journal.head(incident.folder / NAME)
    return f"{kept['n']} journal entries, head {kept['hash']}. opslib incident verify {incident.id}"


def _facts(incident: Incident) -> tuple[str, ...]:
    told = incident.fields
    until = f"closed {_utc(told['closed'])}" if told["closed"] else "open"
    return (
        incident.id,
        told["severity"],
        f"{told['environment']} {told['account']} {told['region']}",
        f"opened {_utc(told['opened'])}",
        until,
    )


def _mark(incident: Incident) -> str:
    return "SANDBOX" if incident.fields["sandbox"] else ""


def _texts(
    incident: Incident, kind: str, told: Callable[[Entry], str] = lambda entry: str(entry["text"])
) -> tuple[str, ...]:
    return tuple(
        told(entry) + (f" ({entry['source']})" if entry.get("source") else "") for entry in incident.notes(kind)
    )


def _ja(entry: Entry) -> str:
    return str(entry.get("ja") or entry["text"])


def _zone(incident: Incident) -> tzinfo:
    return zone_named(incident.fields["timezone"])


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.get("moment") or entry["at"])


def _utc(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _local(stamp: str, zone: tzinfo) -> str:
    return f"{datetime.fromisoformat(stamp).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _short(query: Any) -> str:
    return query if len(query) <= 300 else f"{query[:300]}…"
