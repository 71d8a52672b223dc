"""What is due: backups that are old, certificates that end; and the form of a thing that needs a person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from opslib.checks import frontend_story, over_time
from opslib.checks.wording import listed, local, took
from opslib.display import FLAG, HEADINGS
from opslib.result import Finding, Next, Result, Sight, Verdict
from opslib.runbooks.daily_lines import Look
from opslib.runbooks.next_step import INVESTIGATE

if TYPE_CHECKING:
    from opslib.run import Fact

_SHOWS = {"RDS": "3-remediate/reboot-database", "PostgreSQL": "1-monitor/daily-health"}
REMEDIATE = "3-remediate/"
STALE = timedelta(minutes=30)  # RDS writes its log away every five minutes
NIGHTLY = timedelta(hours=24)  # a window as long must hold the end of a nightly backup
SHORT_TEXT = 150


@dataclass(frozen=True)
class Item:
    """One thing that a person has to do: how urgent, what, the notebook to open, the component it is about."""

    verdict: Verdict
    text: str
    step: Next
    component: str = ""

    def finding(self) -> Finding:
        """Return it under a key that stays while its numbers change."""
        severity = "error" if self.verdict is Verdict.CRITICAL else "warning"  # what pages is an alarm's to say
        return Finding(
            f"daily:{self.component or re.sub(r'[0-9][0-9:., -]*', '#', self.text)}", severity, self.text, self.step
        )

    def short(self) -> str:
        """Return it for the sentence."""
        return self.text if len(self.text) <= SHORT_TEXT else f"{self.text[: SHORT_TEXT - 1].rstrip()}…"


def blind(name: str, fact: Fact) -> Result:
    """Return the part whose source gave no answer."""
    said = f"{fact.error.what} — {fact.error.why}" if fact.error else "no answer"
    return Result(
        name,
        HEADINGS[name][0],
        Verdict.UNKNOWN,
        "It could not be seen.",
        Sight(fact.sight) if fact.error else Sight.NO_DATA,
        said,
    )


def labelled(name: str, look: Look) -> str:
    return f"{name} ({look.run.environment.timezone})"


def _backup_rows(look: Look) -> list[dict[str, Any]]:
    """Return for each primary how old its last restorable second and its last nightly backup are, and what is wrong."""
    instances, events = look.facts["instances"].frame, look.facts["database_events"].frame
    rows = []
    for one in [] if instances is None else instances[instances["role"] == "primary"].itertuples():
        age = look.run.now - one.restorable if one.restorable == one.restorable else None
        done = (
            None
            if events is None
            else events[
                (events["instance"] == one.instance) & events["message"].str.contains("Finished DB Instance backup")
            ]
        )
        night = done["at"].max() if done is not None and len(done) else None
        wrong = ""
        if not one.backup_days:
            wrong = "automated backups are switched off"
        elif age is None or age > STALE:
            wrong = (
                "it cannot be put back to any time"
                if age is None
                else f"it can be put back only to {took(age.total_seconds())} ago"
            )
        elif (
            done is not None
            and night is None
            and look.window.seconds >= NIGHTLY.total_seconds()
            and look.window.end >= look.run.now
        ):
            wrong = "no nightly backup was finished in the window"
        rows.append(
            {
                "instance": one.instance,
                "restorable": one.restorable,
                "night": night,
                "days": one.backup_days,
                "wrong": wrong,
            }
        )
    return rows


def backup_items(look: Look) -> list[Item]:
    found = []
    for row in _backup_rows(look):
        if row["wrong"]:
            step = (
                Next(REMEDIATE + "change-infrastructure")
                if not row["days"]
                else Next(INVESTIGATE + "slow-database", {"instance": row["instance"]})
            )
            found.append(Item(Verdict.WARN, f"backups of {row['instance']}: {row['wrong']}", step))
    return found


def backups(look: Look) -> Result:
    """Show until when the databases can be put back, and when the last nightly backup ended."""
    if look.facts["instances"].frame is None:
        return blind("backups", look.facts["instances"])
    rows, title = _backup_rows(look), HEADINGS["backups"][0]
    if not rows:
        return Result("backups", title, Verdict.OK, "No database is configured.")
    wrong = [f"{row['instance']}: {row['wrong']}" for row in rows if row["wrong"]]
    calm = [
        f"{row['instance']} can be put back to any second until {local(row['restorable'], look.window)}"
        for row in rows
        if not row["wrong"]
    ]
    shown = pd.DataFrame({
        "instance": [row["instance"] for row in rows], labelled("restorable until", look): over_time.local_times(look.run, pd.Series([row["restorable"] for row in rows])),
        labelled("nightly backup", look): over_time.local_times(look.run, pd.Series([row["night"] for row in rows])),
        "days kept": [row["days"] for row in rows], FLAG: [bool(row["wrong"]) for row in rows],
    })  # fmt: skip
    return Result("backups", title, Verdict.WARN if wrong else Verdict.OK, f"{listed(wrong + calm)}.", table=shown)


def _ends(look: Look) -> list[dict[str, Any]]:
    """Return what ends when: certificates that customers meet, server certificates and passwords of the databases; the first first."""
    frames = {name: frame for name in ("distribution", "certificates") if (frame := look.facts[name].frame) is not None}
    rows = [{"what": f"certificate of {one.domain}", "where": one.region, "ends": one.not_after, "renewal": one.renewal}
            for one in frontend_story.served(frames)]  # fmt: skip
    instances = look.facts["instances"].frame
    rows += [] if instances is None else [
        {"what": f"server certificate of {one.instance}", "where": "RDS", "ends": one.certificate_until, "renewal": ""}
        for one in instances.itertuples() if one.certificate_until == one.certificate_until
    ]  # fmt: skip
    roles = look.facts["role_ends"].frame if "role_ends" in look.facts else None
    rows += [] if roles is None else [
        {"what": f"password of {one.role}", "where": "PostgreSQL", "ends": one.ends, "renewal": ""} for one in roles.itertuples()
    ]  # fmt: skip
    for row in rows:
        row["days"] = (row["ends"] - look.run.now).total_seconds() / 86_400
    return sorted(rows, key=lambda row: row["days"])


def expiry_items(look: Look) -> list[Item]:
    found = []
    for row in _ends(look):
        if row["days"] < frontend_story.WARN_DAYS:
            verdict = Verdict.CRITICAL if row["days"] < frontend_story.CRITICAL_DAYS else Verdict.WARN
            when = f"ends in {row['days']:.0f} days" if row["days"] >= 0 else f"ended {local(row['ends'], look.window)}"
            found.append(
                Item(verdict, f"{row['what']} {when}", Next(_SHOWS.get(row["where"], INVESTIGATE + "slow-frontend")))
            )
    return found


def expiry(look: Look) -> Result:
    """Show what expires, the first first."""
    title, rows, due = HEADINGS["expiry"][0], _ends(look), expiry_items(look)
    silent = [
        look.facts[name]
        for name in ("certificates", "instances", "role_ends")
        if name in look.facts and look.facts[name].error
    ]
    reason = listed([f"{fact.name.replace('_', ' ')}: {fact.error.what}" for fact in silent if fact.error])
    sight = (
        Sight.COMPLETE if not silent else Sight(silent[0].sight) if silent[0].name == "certificates" else Sight.PARTIAL
    )
    if not rows:
        return Result("expiry", title, Verdict.OK, "Nothing that ends some day was found.", sight, reason)
    sentence = (
        listed([item.text for item in due])
        or f"Nothing ends within {frontend_story.WARN_DAYS} days; the first is the {rows[0]['what']}, in {rows[0]['days']:.0f} days"
    )
    shown = pd.DataFrame({
        "what": [row["what"] for row in rows], "where": [row["where"] for row in rows], "ends": [f"{row['ends'].astimezone(look.window.zone):%Y-%m-%d}" for row in rows],
        "days left": [round(row["days"]) for row in rows], "renewal": [row["renewal"] for row in rows], FLAG: [row["days"] < frontend_story.WARN_DAYS for row in rows],
    })  # fmt: skip
    worst = due[0].verdict if due else Verdict.OK
    return Result("expiry", title, worst, f"{sentence}.", sight, reason, table=shown)
