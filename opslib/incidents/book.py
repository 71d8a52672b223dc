"""The incident in force as a Result for a notebook, and a draft of its timeline from what AWS itself recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opslib.errors import ParameterError
from opslib.incidents import report, store
from opslib.result import BLIND, Result, Sight, Source, Verdict
from opslib.sources import alarms, amplify, autoscaling, ecs, elasticache, rds

if TYPE_CHECKING:
    from opslib.run import Fact, Run
    from opslib.window import Window

_COLUMNS = ["UTC", "local", "what", "from"]
_STANDS = 'opslib incident open "what customers see"'


def review(run: Run, *, incident: str = "", window: str = "24h") -> Result:
    """Return how far an incident's record is, and what AWS recorded in the window that may belong into it.

    `incident` empty means the one in force. Facts: times, what is missing; parts `times`, `journal`, `recorded`.
    """
    span = run.window_or(window)
    recorded = _recorded(run, span)
    try:
        found = None if run.replayed else store.meant(run.environment, incident)
    except ParameterError as error:
        if incident:
            raise
        return run.record(_none(recorded, error.why))
    return run.record(_told(run, found, recorded) if found else _none(recorded, "a replay of a record asks no journal"))


def _none(recorded: Result, why: str) -> Result:
    said = f"{why[:1].upper()}{why[1:]}: {_STANDS}. {recorded.sentence}"
    facts = {"open incidents": "0", "recorded by AWS": str(0 if recorded.table is None else len(recorded.table))}
    return Result(
        "incident",
        "Incident record",
        Verdict.WARN,
        said,
        recorded.sight,
        recorded.reason,
        facts=facts,
        parts=(recorded,),
        data=recorded.data,
    )


def _told(run: Run, found: store.Incident, recorded: Result) -> Result:
    missing = found.missing()
    times = found.times()
    said = f"{found.id} lacks {', '.join(missing)}." if missing else f"{found.id} says what it must."
    facts = {"state": found.fields["state"]} | {
        f"{first} after {second}": f"{minutes} min" for first, second, minutes in report.spans(times)
    }
    facts |= {
        "runs": str(sum(entry["event"] == "run" for entry in found.entries)),
        "changes": str(sum(entry["event"] == "apply" for entry in found.entries)),
    }
    parts = (_times(run, times), _journal(run, found), recorded)
    verdict = Verdict.WARN if missing else Verdict.OK
    return Result(
        "incident",
        found.fields["title"],
        verdict,
        said,
        recorded.sight,
        recorded.reason,
        facts=facts,
        parts=parts,
        data=recorded.data,
    )


def _times(run: Run, times: dict[str, Any]) -> Result:
    import pandas as pd

    rows = [
        (kind, *_both(run, datetime.fromisoformat(entry["moment"])), entry["source"]) for kind, entry in times.items()
    ]
    unknown = [kind for kind in store.TIMES if kind not in times]
    said = f"Not known yet: {', '.join(unknown)}." if unknown else "All six times are known, each with its source."
    verdict = Verdict.WARN if unknown else Verdict.OK
    return Result(
        "times",
        "Times",
        verdict,
        said,
        table=pd.DataFrame(rows, columns=["what", "UTC", "local", "source"]) if rows else None,
    )


def _journal(run: Run, found: store.Incident) -> Result:
    import pandas as pd

    rows = [(when, told) for when, told, _ in report.timeline(found, UTC, report.told)]
    return Result(
        "journal",
        "Timeline",
        Verdict.OK,
        f"{len(rows)} entries so far.",
        table=pd.DataFrame(rows, columns=["UTC", "event"]),
    )


def _recorded(run: Run, span: Window) -> Result:
    """Deploys, scaling, restarts and failovers that AWS itself wrote down: each may be a cause, and each is a time with a source."""
    import pandas as pd

    environment = run.environment
    facts = run.facts(
        alarms=lambda: alarms.history(environment, window=span),
        deployments=lambda: ecs.deployments(environment, window=span), scaling=lambda: autoscaling.activities(environment, window=span),
        builds=lambda: amplify.jobs(environment, window=span), database_events=lambda: rds.events(environment, window=span),
        cache_events=lambda: elasticache.events(environment, window=span),
    )  # fmt: skip
    rows = sorted(row for name, tell in _TELL.items() for row in _rows(facts[name], tell))
    table = pd.DataFrame([(*_both(run, at), what, origin) for at, what, origin in rows], columns=_COLUMNS)
    blind = {name: fact.error.what for name, fact in facts.items() if fact.error}
    problems = [] if facts["alarms"].frame is None else facts["alarms"].frame.attrs["problems"]
    blind |= {"alarms": "; ".join(problems)} if problems else {}
    sight = Sight.COMPLETE if not blind else Sight.PARTIAL
    reason = "; ".join(f"{name}: {why}" for name, why in blind.items())
    said = (
        f"Changes, alarms and events that AWS recorded in {span.text()}: {len(rows)}."
        if rows
        else f"AWS recorded nothing in {span.text()}."
    )
    kept = run.keep("recorded", table) if rows and not run.replayed else ""
    source = Source(
        "cloudwatch, ecs, application-autoscaling, amplify, rds, elasticache",
        environment.account,
        environment.region,
        span.text(),
    )
    verdict = Verdict.UNKNOWN if sight in BLIND else Verdict.OK
    return Result(
        "recorded",
        "What AWS recorded",
        verdict,
        said,
        sight,
        reason,
        table=table if rows else None,
        sources=(source,),
        data=(kept,) if kept else (),
    )


_TELL: dict[str, Callable[[dict[str, Any]], tuple[datetime, str, str]]] = {
    "alarms": lambda row: (row["at"], f"alarm {row['name']}: {row['before']} to {row['after']}", "cloudwatch:DescribeAlarmHistory"),
    "deployments": lambda row: (row["started"], f"{row['service']}: deployment of {row['task_definition']} {row['status']}", "ecs:ListServiceDeployments"),
    "scaling": lambda row: (row["at"], f"{row['service']}: {row['cause']}", "application-autoscaling:DescribeScalingActivities"),
    "builds": lambda row: (row["started"], f"front end {row['branch']}: job {row['job']} {row['status']}, {row['message']}", "amplify:ListJobs"),
    "database_events": lambda row: (row["at"], f"{row['instance']}: {row['message']}", "rds:DescribeEvents"),
    "cache_events": lambda row: (row["at"], f"{row['node']}: {row['message']}", "elasticache:DescribeEvents"),
}  # fmt: skip


def _rows(fact: Fact, tell: Callable[[dict[str, Any]], tuple[datetime, str, str]]) -> list[tuple[datetime, str, str]]:
    return [] if fact.frame is None else [tell(row) for row in fact.frame.to_dict("records")]


def _both(run: Run, moment: datetime) -> tuple[str, str]:
    return f"{moment.astimezone(UTC):%m-%d %H:%M:%S}", f"{moment.astimezone(run.environment.zone):%H:%M:%S %Z}"
