"""What a check returns: a verdict, how well it could see, one sentence, the evidence, where it is from, what is next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from opslib.charts.drawing import Chart


class Verdict(StrEnum):
    """What the evidence says."""

    OK = "ok"
    WARN = "warn"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Sight(StrEnum):
    """How much of the evidence could be seen."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    NO_DATA = "no_data"
    DENIED = "denied"
    ERROR = "error"


BLIND = frozenset({Sight.PARTIAL, Sight.DENIED, Sight.ERROR})


@dataclass(frozen=True)
class Source:
    """Where an answer is from, folded under every table and chart."""

    api: str
    account: str = ""
    region: str = ""
    window: str = ""
    query: str = ""
    note: str = ""
    usd: float = 0.0


@dataclass(frozen=True)
class Next:
    """The runbook to open next, with its parameters, and why."""

    runbook: str
    parameters: dict[str, str] = field(default_factory=dict)
    why: str = ""

    def command(self) -> str:
        """Return the shell command that opens it."""
        import shlex

        given = "".join(f" -p {shlex.quote(f'{name}={value}')}" for name, value in self.parameters.items())
        return f"opslib open {self.runbook}{given}"


@dataclass(frozen=True)
class Finding:
    """One thing that was found; `key` is the same for the same thing in every run, by which a person is told of it once.

    `severity` is critical, error, warning or info, as everywhere in alerts. A critical one of a scheduled run goes to
    the notifier with its key (at most 255 characters, such as "audit:burst:user-17:2026-11-05"); all of them say what
    is new since the last report, and what is gone. Put no changing number into the key.
    """

    key: str
    severity: str
    text: str
    step: Next | None = None

    def as_json(self) -> dict[str, str]:
        """Return what summary.json keeps."""
        return {"key": self.key, "severity": self.severity, "text": self.text, "command": self.step.command() if self.step else ""}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """The answer to one question; renders the same in Jupyter, in the report, in Slack and in summary.json.

    `facts` are the few numbers of the verdict card, `table` and `chart` the evidence, `parts` the answers that
    this one was drawn from, `findings` what it found, one by one. A verdict of ok with less
    than complete sight becomes unknown: ok needs complete sight.
    """

    name: str
    title: str
    verdict: Verdict
    sentence: str
    sight: Sight = Sight.COMPLETE
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    table: pd.DataFrame | None = None
    chart: Chart | None = None
    sources: tuple[Source, ...] = ()
    next: tuple[Next, ...] = ()
    data: tuple[str, ...] = ()
    parts: tuple[Result, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict is Verdict.OK and self.sight is not Sight.COMPLETE:
            object.__setattr__(self, "verdict", Verdict.UNKNOWN)

    @property
    def blind(self) -> bool:
        """Tell whether this answer, or a part of it, could not be seen whole; unknown is blind whatever the reason."""
        unseen = self.sight in BLIND or any(part.sight in BLIND for part in self.parts)
        return unseen or self.verdict is Verdict.UNKNOWN

    def part(self, name: str) -> Result:
        """Return the part of that name; raises KeyError that lists the names there are."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(f"{self.name} has no part {name!r}; it has {', '.join(part.name for part in self.parts)}")

    def open_next(self, index: int = 0) -> str:
        """Return the command that opens the next runbook."""
        if not self.next:
            return f"{self.name} names no next runbook"
        return self.next[index].command()

    def as_json(self) -> dict[str, Any]:
        """Return what summary.json and the ledger keep: everything but table and chart."""
        return {
            "name": self.name,
            "title": self.title,
            "verdict": str(self.verdict),
            "sight": str(self.sight),
            "reason": self.reason,
            "sentence": self.sentence,
            "facts": dict(self.facts),
            "next": [{"runbook": step.runbook, "parameters": step.parameters, "why": step.why} for step in self.next],
            "data": list(self.data),
            "sources": [{"api": one.api, "window": one.window, "query": one.query} for one in self.sources],
            "findings": [finding.as_json() for finding in self.findings],
            "parts": [part.as_json() for part in self.parts],
        }

    def slack(self, *, sandbox: bool = False) -> str:
        """Return the text to paste into Slack: verdict, sentence, numbers, the next command."""
        from opslib.display import slack_text

        return slack_text(self, sandbox=sandbox)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from opslib.display import result_html, result_text

        return {"text/html": result_html(self), "text/plain": result_text(self)}
