"""What people read of a scheduled run: must I do anything, and what changed since the last report; for the notifier to draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opslib.display import HEADINGS
from opslib.result import Next

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.runner.batch import Outcome
    from opslib.scheduling.agenda import Scheduled
    from opslib.scheduling.due import Due

_SHOWN, _LONGEST = 5, 160  # findings of a kind, and characters of each
Told = dict[str, Any]


def findings(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what a run found, of every result and its parts: key, severity, text, command; each key once."""
    return list({one["key"]: one for result in summary["results"] for one in _of(result)}.values())


def is_blind(summary: Mapping[str, Any]) -> bool:
    """Tell whether a run did not see all: what it did not find may be there."""
    return not summary["blind"].startswith("0 ")


def changed(now: Mapping[str, str], before: Mapping[str, str], *, blind: bool = False) -> dict[str, list[str]]:
    """Return the texts of what is new, still there and gone, by their keys; of a blind run nothing is known to be gone."""
    return {
        "new": [text for key, text in now.items() if key not in before],
        "still": [text for key, text in now.items() if key in before],
        "gone": [text for key, text in before.items() if key not in now and not blind],
    }


def report(environment: Environment, one: Scheduled, found: Due, summary: Mapping[str, Any], changes: Mapping[str, list[str]], link: tuple[str, str] | None) -> Told:  # fmt: skip
    """Return the message of a report; its text alone answers whether anybody must do anything."""
    first = summary["results"][0] if summary["results"] else {}
    blind = "" if not is_blind(summary) else f"Not all was seen: {summary['blind']}. {first.get('reason', '')}"  # fmt: skip
    lines = [first.get("sentence") or "No check came to a result.", *_lines(changes), blind.strip(), found.covers]
    steps = [Next(step["runbook"], {**step["parameters"], "env": environment.name}).command() for step in first.get("next", [])[:3]]  # fmt: skip
    return {
        "verdict": summary["verdict"], "title": f"{one.schedule.name} ({one.runbook.rpartition('/')[2]})", "says": "\n".join(filter(None, lines)),
        "facts": {**dict(list(first.get("facts", {}).items())[:6]), **_about(environment, found), "source": f"record {summary['run_id']}"},
        "links": {link[1]: link[0]} if link else {}, "command": "\n".join(steps),
    }  # fmt: skip


def failure(environment: Environment, one: Scheduled, found: Due, outcome: Outcome, tries: int) -> Told:
    """Return the message that there is no report, why, and how to make one."""
    again = "The next one covers its window, too." if one.follows else ""
    given = {name: str(value) for name, value in one.values.items()} | {"env": environment.name}
    given |= {"window": found.window.as_parameter()} if one.follows else {}
    said = f"There is no report: {reason(outcome)}"
    source = f"record {outcome.summary['run_id']}" if outcome.summary else "no record"
    return {
        "verdict": "failed", "title": f"{one.schedule.name}: NO REPORT · レポートなし", "says": "\n".join(filter(None, [said, again, found.covers])),
        "facts": {"tries": str(tries), **_about(environment, found), "source": source}, "links": {},
        "command": Next(one.runbook, given).command().replace("opslib open", "opslib run", 1),
    }  # fmt: skip


def reason(outcome: Outcome) -> str:
    """Return why there is no report: the run's own word, or what befell it before or after."""
    status = outcome.summary.get("status", "finished")
    return f"{status}: {outcome.summary['error']}" if status != "finished" else outcome.error


def critical(environment: Environment, one: Scheduled, found: Due, finding: Mapping[str, str]) -> Told:
    """Return the message of something that cannot wait for whoever reads reports."""
    return {
        "verdict": "critical", "key": finding["key"], "title": finding["text"], "says": f"Found by {one.schedule.name} ({one.runbook}).",
        "facts": _about(environment, found), "links": {}, "command": finding["command"],
    }  # fmt: skip


def _of(result: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    yield from result.get("findings", [])
    for part in result.get("parts", []):
        yield from _of(part)


def _lines(changes: Mapping[str, list[str]]) -> Iterable[str]:
    for kind, texts in changes.items():
        if texts:
            english, japanese = HEADINGS[kind]
            yield f"{english} · {japanese} ({len(texts)})"
            yield from (f"• {text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'}" for text in texts[:_SHOWN])
            if len(texts) > _SHOWN:
                yield f"• and {len(texts) - _SHOWN} more: see the report"


def _about(environment: Environment, found: Due) -> dict[str, str]:
    # in one zone: a phone shows little
    return {"window": found.window.text().partition(" (")[0], "environment": environment.name}
