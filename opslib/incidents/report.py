"""The record of an incident for people, in English; report_ja draws the same as the Japanese 障害報告書."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from opslib import journal
from opslib.incidents.document import Cell, Document, Link, Section
from opslib.incidents.store import TIMES, Incident
from opslib.journal import NAME, Entry
from opslib.window import zone_named

_SPANS = (("detected", "started"), ("acknowledged", "detected"), ("mitigated", "started"), ("resolved", "started"))
ENGLISH = {"html": "report", "ipynb": "notebook", "same": "as above"}
OF_CHANGES = {"apply", "verified", "refused", "checked"}


def english(incident: Incident) -> Document:
    """Return the record: times with their source, impact in numbers, timeline with links, factors, fixes, proof."""
    times = incident.times()
    rows = tuple(
        (kind, utc(entry["moment"]), local(entry["moment"], zone_of(incident)), entry["source"])
        for kind, entry in times.items()
    )
    items = tuple(
        (entry["text"], entry.get("owner", "nobody yet"), entry.get("due", "no date"))
        for entry in incident.notes("action-item")
    )
    sections = (
        Section("What happened", items=texts(incident, "summary")), Section("Impact", items=texts(incident, "impact")),
        Section("Times", columns=("what", "UTC", "local", "source"), rows=rows),
        Section("How long", columns=("from", "to", "minutes"), rows=tuple((second, first, minutes) for first, second, minutes in spans(times))),
        Section("Timeline", columns=("UTC", "event", "evidence"), rows=timeline(incident, UTC, told)),
        Section("Contributing factors", items=texts(incident, "factor")), Section("Temporary fix", items=texts(incident, "temporary-fix")),
        Section("Permanent fix", items=texts(incident, "permanent-fix")),
        Section("Action items", columns=("what", "owner", "due"), rows=items), evidence(incident, ("file", "says", "window", "query", "sha256"), "Evidence"),
        Section("Integrity", text=_proof(incident)),
    )  # fmt: skip
    missing = incident.missing()
    lacks = f"Not yet said: {', '.join(missing)}." if missing else ""
    return Document(
        "en",
        f"{incident.fields['title']}",
        mark(incident),
        _facts(incident),
        f"{_headline(times)} {lacks}".strip(),
        sections,
        "nothing is noted",
    )


def spans(times: dict[str, Entry]) -> list[tuple[str, str, str]]:
    """Return (to, from, minutes) for the spans of which both ends are known; each is one incident's, no mean."""
    known = [(first, second) for first, second in _SPANS if first in times and second in times]
    return [
        (first, second, f"{(_at(times[first]) - _at(times[second])).total_seconds() / 60:.0f}")
        for first, second in known
    ]


def timeline(
    incident: Incident, zone: tzinfo, tell: Callable[[Entry], str], names: Mapping[str, str] = ENGLISH
) -> tuple[tuple[Cell, ...], ...]:
    """Return moment, event and link to its evidence, in the order of the moments."""
    last = {entry["plan"]: entry["n"] for entry in incident.entries if "plan" in entry and tell(entry)}
    runs = [entry for entry in incident.entries if entry["event"] == "run" and _applied(entry) in last]
    pages = {last[_applied(entry)]: entry["pages"] for entry in runs}  # the change tells it, and links the report
    shown = [
        {"pages": pages.get(entry["n"], {}), **entry} for entry in incident.entries if tell(entry) and entry not in runs
    ]
    ordered = sorted(shown, key=lambda entry: (_at(entry), entry["n"]))
    return tuple(
        (f"{_at(entry).astimezone(zone):%m-%d %H:%M:%S}", tell(entry), _link(entry, names)) for entry in ordered
    )


def _applied(entry: Entry) -> str:
    """Return the plan that a run of `opslib apply` was for; its notebook ran before the change and ended after it."""
    return str(entry["parameters"].get("plan", "")) if entry["runbook"].startswith("apply/") else ""


def told(entry: Entry) -> str:
    """Return an entry as a line of the timeline; empty when it has none."""
    event = entry["event"]
    if event == "note":
        kind = entry["kind"]
        return f"{kind}: {entry['text']}" if kind in TIMES else entry["text"] if kind == "event" else ""
    if event == "run":
        return f"{entry['runbook']} ({entry['verdict']}): {entry['says']}"
    if event in OF_CHANGES or (event == "result" and entry["outcome"] != "done"):
        return f"change {entry['action']} {entry['target']}: {_change(entry)}"
    if event == "evidence" and not entry.get("query"):
        return f"evidence: {entry['says']}"
    return {"opened": "incident opened", "closed": "incident closed"}.get(event, "")


def _change(entry: Entry) -> str:
    told = {
        "apply": f"begun by {entry['by']}, plan {entry['plan'][:8]}", "verified": f"{entry.get('outcome')}: {entry.get('says')}",
        "refused": f"refused: {entry.get('what')}", "result": f"step {entry.get('step')} {entry.get('outcome')}: {entry.get('why')}", "checked": f"looked at by {entry['by']}: {entry.get('says')}",
    }  # fmt: skip
    return told[entry["event"]]


def _link(entry: Entry, names: Mapping[str, str]) -> Cell:
    pages = entry.get("pages", {})
    if "report.html" in pages:
        return Link(names["html"], pages["report.html"]["file"])
    if entry["event"] == "evidence":
        return Link(entry["file"].rpartition("/")[2], entry["file"])
    return str(entry.get("source") or (f"{NAME} {entry['n']}" if entry["event"] != "note" else ""))


def evidence(
    incident: Incident, columns: tuple[str, ...], title: str, names: Mapping[str, str] = ENGLISH,
    tell: Callable[[str], str] = str,
) -> Section:  # fmt: skip
    """Return every file of the record with what it shows, its window, its query and the first digits of its hash."""
    found = [entry for entry in incident.entries if entry["event"] == "evidence"]
    pages = [(page, entry) for entry in incident.entries if entry["event"] == "run" for page in entry["pages"].values()]
    rows: list[tuple[Cell, ...]] = []
    for before, entry in zip([{}, *found], found, strict=False):  # the files of one run mostly have one query
        about = [entry.get(name, "") for name in ("says", "window", "query")]
        shown = (
            about
            if about != [before.get(name, "") for name in ("says", "window", "query")]
            else [names["same"], "", ""]
        )
        shown[0] = shown[0] if shown[0] == names["same"] else tell(shown[0])
        rows.append((Link(entry["file"].rpartition("/")[2], entry["file"]), *map(_short, shown), entry["sha256"][:16]))
    rows += [
        (
            Link(names[page["file"].rpartition(".")[2]], page["file"]),
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
    until = f"closed {utc(told['closed'])}" if told["closed"] else "open"
    return (
        incident.id,
        told["severity"],
        f"{told['environment']} {told['account']} {told['region']}",
        f"opened {utc(told['opened'])}",
        until,
    )


def mark(incident: Incident) -> str:
    """Return what stands in front of everything that was not for real."""
    return "SANDBOX" if incident.fields["sandbox"] else ""


def texts(
    incident: Incident, kind: str, told: Callable[[Entry], str] = lambda entry: str(entry["text"])
) -> tuple[str, ...]:
    """Return the notes of a kind, each with from where it is known."""
    return tuple(
        told(entry) + (f" ({entry['source']})" if entry.get("source") else "") for entry in incident.notes(kind)
    )


def zone_of(incident: Incident) -> tzinfo:
    """Return the time zone that the incident was opened in."""
    return zone_named(incident.fields["timezone"])


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.get("moment") or entry["at"])


def utc(stamp: str) -> str:
    """Return a moment in UTC."""
    return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def local(stamp: str, zone: tzinfo) -> str:
    """Return a moment as people there read it."""
    return f"{datetime.fromisoformat(stamp).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _short(query: Any) -> str:
    return query if len(query) <= 300 else f"{query[:300]}…"
