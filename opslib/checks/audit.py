"""Who did what: operations of administrators and customers, and what about them is unusual."""

from __future__ import annotations

import fnmatch
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.checks import audit_parts as parts
from opslib.checks.audit_story import CRITICAL, findings
from opslib.checks.wording import counted, listed, local
from opslib.errors import SourceError
from opslib.result import Next, Result, Sight, Verdict
from opslib.run import Fact, Run
from opslib.sources import audit, insights_quoting, logs
from opslib.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment

NAME, NOTEBOOK = "who-did-what", "2-investigate/who-did-what"
HISTORY = timedelta(days=30)
MANY = 300  # actors whose habits are looked up


def who(run: Run, *, actor: str = "", action: str = "", target: str = "", user_id: str = "") -> Result:
    """Say who did what in the window, and what of it is unusual.

    `actor` and `target` are matched whole, `action` may hold *, `user_id` is actor or target. The window is 24 hours
    when nothing is named, else 7 days. Parts: findings, timeline, actors, logins, operations. From the table audit_logs;
    when the database does not answer, from the audit log group, and the answer says so. Raises ParameterError.
    """
    asked = {"actor": actor.strip(), "action": action.strip(), "target": target.strip(), "who": user_id.strip()}
    for value in asked.values():
        insights_quoting.literal(value)  # refuses control characters and what is too long
    window = run.window_or("7d" if any(asked.values()) else "24h")
    fact, problems = _rows(run, window, asked)
    if fact.frame is None:
        return run.record(parts.blind(fact, problems))
    rows = fact.frame
    habits = _habits(run, window, rows, asked) if not problems else Fact("audit_habits")
    if problems:
        problems.append("without the table nothing is told to be new or more than usual")
    if habits.error:
        problems.append(f"habits: {habits.error.what}")
    return run.record(_told(run, window, rows, habits.frame, asked, [*problems, *rows.attrs.get("problems", [])]))


def _rows(run: Run, window: Window, asked: dict[str, Any]) -> tuple[Fact, list[str]]:
    """Ask the table; when it does not answer, the log group."""
    fact = run.facts(
        deadline_s=3 * run.deadline, audit_rows=partial(audit.rows, run.environment, window=window, **asked)
    )["audit_rows"]
    if fact.error is None:
        return fact, []
    first = fact.error
    problems = [
        f"the table audit_logs could not be read ({first.what}{': ' + first.why if first.why else ''}; {first.fix})"
    ]
    lines = run.facts(deadline_s=6 * run.deadline, audit_lines=partial(log_lines, run, window, asked))["audit_lines"]
    if lines.error is not None:
        problems.append(
            f"and neither could the logs ({lines.error.what}{': ' + lines.error.why if lines.error.why else ''})"
        )
    return lines, problems


def log_groups(environment: Environment) -> pd.DataFrame:
    """Return those of the environment's log groups that are named like *audit* (sources.logs.log_groups).

    Raises SourceError when there is none.
    """
    found = logs.log_groups(environment, patterns=environment.log_groups)
    found = found[[fnmatch.fnmatchcase(name, "*audit*") for name in found["name"]]]
    if not len(found):
        raise SourceError("no log group is named like *audit*", fix="add the audit log group to log_groups")
    return found


def log_lines(run: Run, window: Window, asked: dict[str, Any]) -> pd.DataFrame:
    """Return the audit lines of the audit log groups (sources.audit.lines); attrs["kept_days"] is their retention."""
    found = log_groups(run.environment)
    frame = audit.lines(
        run.environment, groups=list(found["name"]), window=window, deadline_s=run.deadline * 3, **asked
    )
    run.usd += float(frame.attrs["usd"])
    kept = found["retention_days"].min()
    frame.attrs["kept_days"] = float(kept)
    if kept == kept and (run.now - window.start) > timedelta(days=float(kept)):
        frame.attrs["problems"] = [
            *frame.attrs["problems"],
            f"the log group keeps {kept:.0f} days, the window begins before",
        ]
    return frame


def _habits(run: Run, window: Window, rows: pd.DataFrame, asked: dict[str, Any]) -> Fact:
    """Ask for the habits of the staff among the rows, and of the one who was named."""
    staff = rows.loc[~rows["actor_type"].isin(["user", "system"]), "actor"]
    actors = sorted({*staff, *(name for name in (asked["actor"], asked["who"]) if name)})[:MANY]
    before = Window(window.start - HISTORY, window.start, window.zone)
    ask = partial(audit.habits, run.environment, window=before, actors=actors)
    return run.facts(deadline_s=3 * run.deadline, audit_habits=ask)["audit_habits"]


def _told(
    run: Run,
    window: Window,
    rows: pd.DataFrame,
    habits: pd.DataFrame | None,
    asked: dict[str, Any],
    problems: list[str],
) -> Result:
    found = findings(rows, habits, zone=run.environment.timezone)
    run.keep("findings", found)
    verdict = Verdict.CRITICAL if (found["severity"] == CRITICAL).any() else Verdict.WARN if len(found) else Verdict.OK
    sight = Sight.PARTIAL if problems else Sight.COMPLETE if len(rows) else Sight.NO_DATA
    reason = "; ".join(problems) or ("" if len(rows) else "audit_logs has no such row in the window")
    source = parts.source(run, window, rows)
    staff = rows[rows["actor_type"] == "staff"]
    facts = {
        "operations": f"{len(rows):,}", "administrators": str(staff["actor"].nunique()), "their operations": f"{len(staff):,}",
        "customers": f"{rows.loc[rows['actor_type'] == 'user', 'actor'].nunique():,}", "refused or failed": f"{int((rows['outcome'] != 'success').sum()):,}",
        "unusual": str(len(found)),
    }  # fmt: skip
    return Result(
        NAME, _title(asked), verdict, _sentence(rows, found, window), sight, reason, facts, sources=(source,),
        next=_next(found, rows), data=("data/findings.csv" if run.folder else "",),
        parts=(parts.unusual(run, found, source, habits is not None), parts.timeline(run, rows, window, source), parts.actors(run, rows, source),
               parts.logins(run, rows, window, source, odd=bool(found["rule"].isin(["password spray", "failed-login burst"]).any())), parts.operations(run, rows, found, source, named=any(asked.values()))),
    )  # fmt: skip


def _title(asked: dict[str, Any]) -> str:
    words = {"actor": "by", "action": "of", "target": "on", "who": "by or on"}
    named = [f"{words[name]} {value}" for name, value in asked.items() if value]
    return "Operations " + (" ".join(named) if named else "of everybody")


def _sentence(rows: pd.DataFrame, found: pd.DataFrame, window: Window) -> str:
    if not len(rows):
        return "Nothing was done: there is no such row."
    if not len(found):
        staff = rows[rows["actor_type"] == "staff"]
        who_acted = (
            f"{counted(staff['actor'].nunique(), 'administrator')} did {counted(len(staff), 'operation')}"
            if len(staff)
            else "no administrator acted"
        )
        return f"{counted(len(rows), 'operation')}, nothing unusual; {who_acted}."
    worst = found[found["severity"] == found["severity"].iloc[0]]
    said = [
        f"{row.what}, since {local(row.first, window)}"
        if row.rule == "password spray"
        else f"{row.rule} by {row.actor}: {row.what}"
        for row in worst.itertuples()
    ]
    return listed(said, most=3) + "."


def _next(found: pd.DataFrame, rows: pd.DataFrame) -> tuple[Next, ...]:
    steps = []
    spray = found[(found["rule"] == "password spray") & (found["severity"] == CRITICAL)]
    if len(spray):
        network = spray["actor"].iloc[0]
        entered = rows[(rows["request_id"] == spray["request_id"].iloc[0])]["actor"]
        steps.append(
            Next(
                NOTEBOOK, {"user_id": str(entered.iloc[0])}, f"see what was done with an account that {network} opened"
            )
        )
    if len(found) and (request := next(iter(found["request_id"][found["request_id"] != ""]), "")):
        steps.append(
            Next(
                "2-investigate/trace-request",
                {"request_id": request},
                f"trace a request of the {found['rule'].iloc[0]}",
            )
        )
    return tuple(steps)
