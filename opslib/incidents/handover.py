"""What the next shift has to know: what is still open, what happened, what was done, what is due."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from opslib.checks import changes, over_time
from opslib.checks.wording import counted, listed, local
from opslib.display import FLAG, status_text
from opslib.incidents import shift_facts
from opslib.result import Next, Result, Sight, Source, Verdict
from opslib.runbooks import daily_due, daily_parts
from opslib.runbooks.daily_lines import Look
from opslib.sources import alarms, certificates, rds

if TYPE_CHECKING:
    from opslib.run import Fact, Run
    from opslib.window import Window

NAME, TITLE = "shift-handover", "Shift handover · 引き継ぎ"
BAD = (Verdict.CRITICAL, Verdict.WARN)


def report(run: Run) -> Result:
    """Say what is to be handed over and what happened in the shift: the last 8 hours, or the window that was given.

    Critical: an incident is open, a critical alarm is on, or the end of a change is not known; warn: something else waits
    for somebody. Parts: incidents, alarms, changes, actions, records, due.
    """
    env, window = run.environment, run.window_or("8h")
    facts = run.facts(
        deadline_s=2 * run.deadline, alarms=partial(alarms.alarms, env), alarm_history=partial(alarms.history, env, window=window),
        **changes.fetches(run, window), instances=partial(rds.instances, env), maintenance=partial(rds.pending_maintenance, env),
        certificates=partial(certificates.certificates, env), incidents=partial(shift_facts.incidents, env, window=window),
        journal=partial(shift_facts.journal, env, window=window), records=partial(shift_facts.records, env, window=window, own=run.folder),
    )  # fmt: skip
    nothing = pd.DataFrame()
    look = Look(run, window, window, facts, nothing, nothing, None, None)
    every = (_incidents(look), daily_parts.rang(look), _changes(look), _actions(look), _records(look), _due(look))
    return run.record(_told(look, every))


def _told(look: Look, every: tuple[Result, ...]) -> Result:
    facts, window, run = look.facts, look.window, look.run
    now, said = facts["alarms"].frame, {part.name: part for part in every}
    on = (
        []
        if now is None
        else sorted(now[now["state"] == "ALARM"].itertuples(), key=lambda one: one.severity != "critical")
    )
    grave = any(one.severity == "critical" for one in on)
    verdict = Verdict.CRITICAL if grave else Verdict.WARN if on else Verdict.OK
    verdict = next((one for one in BAD if one is verdict or any(part.verdict is one for part in every)), verdict)
    unseen = [f"{name.replace('_', ' ')}: {fact.error.what}" for name, fact in facts.items() if fact.error]
    unseen += [text for fact in facts.values() if fact.frame is not None for text in fact.frame.attrs.get("problems", [])]  # fmt: skip
    waits = [part.sentence.rstrip(".") for name in ("incidents", "actions", "due") if (part := said[name]).verdict in BAD]  # fmt: skip
    waits[1:1] = [f"{counted(len(on), 'alarm')} still on: {listed([one.name for one in on], 3)}"] if on else []
    opened = None if facts["incidents"].frame is None else int((facts["incidents"].frame["state"] == "open").sum())
    counts = {name: 0 if (table := said[name].table) is None else len(table) for name in ("changes", "actions", "records")}  # fmt: skip
    rang = facts["alarm_history"].frame
    fired = "–" if rang is None else str(rang.loc[rang["after"] == "ALARM", "name"].nunique())
    tiles = {
        "open incidents · 対応中": "–" if opened is None else str(opened), "alarms on · 発報中": "–" if now is None else str(len(on)), "alarms that rang · 発報": fired,
        "deploys and changes · 変更": str(counts["changes"]), "actions · 作業": str(counts["actions"]), "records · 記録": str(counts["records"]),
    }  # fmt: skip
    steps = [Next("2-investigate/first-look", {"report": one.name}, f"{one.name} is on") for one in on[:1]]
    steps += [Next("3-remediate/write-incident-record", {}, "see what the record lacks")] if opened else []  # fmt: skip
    text = f"To hand over: {'; '.join(waits)}." if waits else "Nothing is left open."
    text += (
        f" Due next: {said['due'].sentence}" if said["due"].table is not None and said["due"].verdict not in BAD else ""
    )
    api = "CloudWatch alarms, ECS, Amplify, RDS, ElastiCache, CloudFront, ACM; journal, incidents and records of this machine's reports folder"
    return Result(
        NAME, TITLE, verdict, f"{text} The shift: {window.text()}.", Sight.PARTIAL if unseen else Sight.COMPLETE, listed(list(dict.fromkeys(unseen)), 5), tiles,
        sources=(Source(api, run.identity.account, run.environment.region, window.text()),), next=tuple(steps), parts=every,
        data=tuple(f"data/{name}.csv" for name, fact in facts.items() if fact.frame is not None and run.folder),
    )  # fmt: skip


def _blind(name: str, title: str, fact: Fact) -> Result:
    return Result(name, title, Verdict.UNKNOWN, "It could not be seen.", Sight(fact.sight), fact.error.what if fact.error else "")  # fmt: skip


def _incidents(look: Look) -> Result:
    title, fact = "Which incidents are open, or were closed?", look.facts["incidents"]
    if (frame := fact.frame) is None:
        return _blind("incidents", title, fact)
    opened = frame[frame["state"] == "open"]
    names = [f"{one.incident}{f' (lacks {one.lacks})' if one.lacks else ''}" for one in opened.itertuples()]
    sentence = (
        f"{counted(len(opened), 'open incident')}: {listed(names, 3)}." if len(opened) else "No incident is open."
    )
    closed = len(frame) - len(opened)
    sentence += f" {counted(closed, 'incident')} closed in the shift." if closed else ""
    shown = frame.assign(**{FLAG: frame["state"] == "open"})
    for column in ("opened", "closed"):
        shown[column] = over_time.local_times(look.run, frame[column])
    verdict = Verdict.CRITICAL if len(opened) else Verdict.OK
    columns = ["incident", "title", "severity", "state", "opened", "closed", "lacks", FLAG]
    return Result("incidents", title, verdict, sentence, table=shown[columns] if len(frame) else None)  # fmt: skip


def _changes(look: Look) -> Result:
    """Show what was deployed, built, scaled or configured in the shift itself."""
    title = "What was deployed or changed?"
    every = changes.as_table(look.run.environment, look.facts, look.window)
    shown = every[every["at"] >= look.window.start]
    names = [name for name in changes.fetches(look.run, look.window) if look.facts[name].error]
    gaps = listed([f"{name.replace('_', ' ')}: {error.what}" for name in names if (error := look.facts[name].error)])
    kinds = [f"{count} x {kind}" for kind, count in shown["kind"].value_counts(sort=False).items()]
    sentence = f"{listed(kinds, 6)}." if kinds else "Nothing was changed that AWS or the audit log tells."
    table = shown[["component", "kind", "what"]].copy()
    table.insert(0, daily_due.labelled("at", look), over_time.local_times(look.run, shown["at"]))
    return Result("changes", title, Verdict.OK, sentence, Sight.PARTIAL if gaps else Sight.COMPLETE, gaps, table=table if len(shown) else None)  # fmt: skip


def _actions(look: Look) -> Result:
    """Show the changes made with opslib: the journal of the environment."""
    title, fact = "What was done from here?", look.facts["journal"]
    if (frame := fact.frame) is None:
        return _blind("actions", title, fact)
    unknown = frame[frame["unknown"]]
    ends = [f"{one.action} {one.target}" for one in unknown.itertuples()]
    sentence = f"The end of {counted(len(unknown), 'change')} is not known: {listed(ends, 3)}." if ends else f"{counted(int((frame['event'] == 'apply').sum()), 'change')} applied." if len(frame) else "Nothing was applied from this machine."  # fmt: skip
    table = frame[["by", "action", "target", "says"]].assign(**{FLAG: frame["unknown"]})
    table.insert(0, daily_due.labelled("at", look), over_time.local_times(look.run, frame["at"]))
    verdict = Verdict.CRITICAL if ends else Verdict.OK
    return Result("actions", title, verdict, sentence, table=table if len(frame) else None)


def _records(look: Look) -> Result:
    title, fact = "Which runbooks were run?", look.facts["records"]
    if (frame := fact.frame) is None:
        return _blind("records", title, fact)
    left, plans = int((frame["status"] == "open").sum()), int((frame["plan"] != "").sum())
    sentence = f"{counted(len(frame), 'record')}, {plans} with a plan; {left} not closed yet: `opslib close`." if len(frame) else "No runbook was run on this machine."  # fmt: skip
    if not len(frame):
        return Result("records", title, Verdict.OK, sentence)
    verdicts = [status_text(one) if one else "–" for one in frame["verdict"]]
    table = pd.DataFrame({
        daily_due.labelled("at", look): over_time.local_times(look.run, frame["at"]), "runbook": frame["runbook"], "verdict": verdicts, "status": frame["status"],
        "by": frame["by"], "says": frame["says"], "plan": frame["plan"], FLAG: frame["status"] != "finished",
    })  # fmt: skip
    return Result("records", title, Verdict.OK, sentence, table=table)


def _due(look: Look) -> Result:
    """Show what comes next: maintenance, what expires, backups that are old, action items with a date."""
    rows: list[tuple[str, str, bool]] = []
    for item in [*daily_due.backup_items(look), *daily_due.expiry_items(look)]:
        rows.append(("soon", item.text, True))
    waiting = look.facts["maintenance"].frame
    for one in [] if waiting is None else waiting.itertuples():
        rows.append((_when(one.at, look.window), f"maintenance of {one.instance}: {one.action}, {one.description}", False))  # fmt: skip
    incidents = look.facts["incidents"].frame
    rows += [("by its date", f"action item: {text}", False) for due in ([] if incidents is None else incidents["due"]) for text in due.split("\n") if text]  # fmt: skip
    gaps = [error.what for name in ("instances", "maintenance", "certificates") if (error := look.facts[name].error)]
    grave = [text for _, text, bad in rows if bad]
    sentence = f"{listed(grave or [text for _, text, _ in rows], 3)}." if rows else "Nothing is due."
    table: Any = pd.DataFrame(rows, columns=["when", "what", FLAG]) if rows else None
    return Result("due", "What is due next?", Verdict.WARN if grave else Verdict.OK, sentence, Sight.PARTIAL if gaps else Sight.COMPLETE,
                  listed(gaps), table=table)  # fmt: skip


def _when(moment: Any, window: Window) -> str:
    return "not scheduled" if moment != moment or moment is None else local(moment, window)
