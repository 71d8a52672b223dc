"""One examination of an environment: every finding, and what it means for each runbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opslib import aws
from opslib.checks.wording import counted
from opslib.config import Environment
from opslib.doctor import needs, probes, resources, tables
from opslib.doctor.findings import BROKEN, Finding
from opslib.doctor.needs import Needs
from opslib.errors import OpsError
from opslib.runner import runbooks

WORKS, PARTLY, NOT = "works", "partly", "not at all"


@dataclass(frozen=True)
class Outlook:
    """What a runbook will do here, and the findings that stand in its way."""

    name: str
    state: str
    because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examination:
    """Findings, outlooks by runbook, IAM actions that were not tried because they change something or have nothing to be tried on."""

    who: str
    findings: tuple[Finding, ...]
    outlooks: tuple[Outlook, ...]
    untried: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 1 when a runbook does not work at all, else 2 when one works only partly, else 0."""
        states = {outlook.state for outlook in self.outlooks}
        return 1 if NOT in states else 2 if PARTLY in states else 0


def examine(environment: Environment) -> Examination:
    """Try what the runbooks will ask for, read only; nothing is raised but for a broken installation."""
    wanted = {name: needs.of_notebook(runbooks.read(file)) for name, file in runbooks.runbooks()}
    try:
        known = aws.identity(environment)
    except OpsError as error:
        finding = Finding(BROKEN, error.what, error.why, error.fix, "aws")
        return Examination("nobody", (finding,), tuple(Outlook(name, NOT, (finding.what,)) for name in wanted))
    every = Needs()
    for one in wanted.values():
        every |= one
    findings, untried = probes.tried(environment, every.calls, now=aws.now(environment))
    findings += resources.skew(environment)
    findings += resources.findings(environment, every.sections, every.fields)
    findings += tables.findings(environment, tables.tables_of(every.queries)) if every.queries else []
    findings = sorted(dict.fromkeys(findings), key=lambda finding: finding.kind != BROKEN)
    return Examination(
        f"account {known.account} · {known.arn}", tuple(findings), outlooks(wanted, findings), tuple(untried)
    )


def outlooks(wanted: Mapping[str, Needs], findings: list[Finding]) -> tuple[Outlook, ...]:
    """Return for each runbook whether it works, from the findings that touch what it needs."""
    return tuple(
        _outlook(name, need, [finding for finding in findings if touches(finding, need)])
        for name, need in wanted.items()
    )


def _outlook(name: str, need: Needs, met: list[Finding]) -> Outlook:
    broken = [finding for finding in met if finding.kind == BROKEN]
    reads = {f"{service}:{operation}" for service, operation in need.calls if operation.startswith(probes.READS)} - {
        "sts:get_caller_identity"
    }
    dead = {finding.about for finding in broken}
    no_rows = not need.queries or "database" in dead
    no_calls = not reads or all(call in dead for call in reads)
    state = NOT if broken and no_rows and no_calls else PARTLY if broken else WORKS
    return Outlook(
        name, state, tuple(finding.what for finding in [*broken, *(one for one in met if one not in broken)])
    )


def touches(finding: Finding, need: Needs) -> bool:
    """Tell whether a finding takes something away from a runbook."""
    kind, _, rest = finding.about.partition(" ")
    if kind == "table":
        return any(rest in tables.tables_of([query]) for query in need.queries)
    return {
        "aws": True, "database": bool(need.queries), "config": rest in need.sections, "field": rest in need.fields,
        "statistics": any(query.startswith("pg_") for query in need.queries),
        "performance": any(service == "pi" for service, _ in need.calls),
    }.get(kind, tuple(finding.about.split(":", 1)) in need.calls)  # fmt: skip


def text(environment: Environment, examined: Examination) -> str:
    """Return the examination as text: runbooks first, then each finding with its remedy."""
    width = max((len(outlook.name) for outlook in examined.outlooks), default=0)
    lines = [f"{environment.name} · {examined.who} · {environment.region}", ""]
    for outlook in examined.outlooks:
        why = "; ".join(outlook.because[:2]) + (
            f"; {len(outlook.because) - 2} more" if len(outlook.because) > 2 else ""
        )
        lines.append(f"{outlook.state:10}  {outlook.name:{width}}  {why}".rstrip())
    for number, finding in enumerate(examined.findings, 1):
        first, *rest = finding.text().splitlines()
        lines += ["", f"{number}. {finding.kind}: {first}", *(f"   {line}" for line in rest)]
    if examined.untried:
        lines += [
            "",
            f"not tried, because it changes something or has nothing to be tried on: {', '.join(examined.untried)}",
        ]
    return "\n".join(
        [*lines, "", counted(len(examined.findings), "finding") if examined.findings else "nothing to mend"]
    )
