"""Which planted attacks the detections find, how many minutes after they began, and what they say of seven quiet days.

Base is a quiet week of the sandbox, read through the real sources: the table, its history and the log group. An attack's
rows are laid over both; the cheap detections run every quarter of an hour, all of them every hour, each seeing only what
had happened by then. A false alarm is a key of a warning or worse in a week in which nothing was planted; the keys that
the quiet week has anyhow count for no attack.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from opslib import start
from opslib.checks import audit_events, detections
from opslib.checks.audit_events import Trail
from opslib.config_detections import Detections
from opslib.sandbox.control import Sandbox
from opslib.sources import audit
from opslib.window import Window
from tests.checks.planted_attacks import ATTACKS, NEAR_MISSES, Attack, over

CHEAP, ALL = timedelta(minutes=15), timedelta(hours=1)
DAYS, HISTORY = 7, 90
LATE = timedelta(minutes=1)  # so much later a line can be read
MARGIN = timedelta(minutes=5)  # table and log are compared up to so long ago
GROUP = "/shop/audit"


@dataclass
class Base:
    """A week: rows of the table, lines of the log, habits by hour, and the events of both in one form."""

    table: pd.DataFrame
    lines: pd.DataFrame
    history: pd.DataFrame
    now: datetime
    zone: object

    def __post_init__(self) -> None:
        """Bring the events into the form of detections once, not for each run."""
        every, _ = audit_events.compared(self.table, self.lines, since=self.now, before=self.now)
        self.events = audit_events.events(every)


def quiet() -> Base:
    """Read a quiet week and what was before it from a sandbox."""
    with Sandbox(clock="frozen", scenario="quiet-day") as sandbox:
        os.environ["OPSLIB_SANDBOX"] = str(sandbox.directory)
        run = start()
        zone = run.environment.zone
        week = Window(run.now - timedelta(days=DAYS, hours=23), run.now, zone)
        table = audit.rows(run.environment, window=week)
        lines = audit.lines(run.environment, groups=[GROUP], window=week, deadline_s=300)
        actors = sorted(table.loc[~table["actor_type"].isin(["user", "system"]), "actor"].unique())
        past = Window(run.now - timedelta(days=DAYS + HISTORY + 1), run.now, zone)
        return Base(table, lines, audit.history(run.environment, window=past, actors=actors), run.now, zone)


def trail(base: Base, end: datetime, *, cheap: bool) -> Trail:
    """Return what a run at an instant sees."""
    window = Window(end - (CHEAP if cheap else ALL), end, base.zone)  # type: ignore[arg-type]
    look, seen = window.start - detections.LOOKBACK[cheap], end - LATE
    events, table, lines = (
        frame[(frame["at"] >= start) & (frame["at"] < seen)].reset_index(drop=True)
        for frame, start in (
            (base.events, look),
            (base.table, window.start - MARGIN),
            (base.lines, window.start - MARGIN),
        )
    )
    _, missing = audit_events.compared(table, lines, since=window.start, before=end - MARGIN)
    habits = base.history
    before = habits[(habits["hour"] < look) & (habits["hour"] >= look - timedelta(days=HISTORY))]
    return Trail(events, window, before, missing)


def loud(base: Base, end: datetime, *, cheap: bool) -> pd.DataFrame:
    """Return the warnings and worse of a run at an instant."""
    found = detections.judge(trail(base, end, cheap=cheap), Detections(), cheap=cheap)
    return found[found["severity"] != audit_events.INFO]


def runs(first: datetime, last: datetime) -> Iterator[tuple[datetime, bool]]:
    """Yield when what runs: a quarter of an hour the cheap ones, at the full hour all."""
    at = first.replace(minute=first.minute // 15 * 15, second=0, microsecond=0) + CHEAP
    while at <= last:
        yield at, True
        if at.minute == 0:
            yield at, False
        at += CHEAP


def found_after(base: Base, attack: Attack, known: set[str]) -> tuple[float, str]:
    """Return after how many minutes the attack was first told of, and by which run; nan when never."""
    laid = Base(*over(attack, base.table, base.lines, base.history), base.now, base.zone)
    last = attack.end + timedelta(hours=2)
    for at, cheap in runs(attack.start, min(last, base.now)):
        if not cheap or detections.DETECTIONS[attack.wanted].cheap:
            told = loud(laid, at, cheap=cheap)
            if ((told["detection"] == attack.wanted) & ~told["key"].isin(known)).any():
                return (at - attack.start).total_seconds() / 60, "cheap" if cheap else "all"
    return float("nan"), "–"


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    base = quiet()
    # A day earlier than they are told, so that hours remain in which the runs after an attack can tell of it.
    attacks, near = (
        [replace(one, start=one.start - timedelta(days=1)) for one in some] for some in (ATTACKS, NEAR_MISSES)
    )
    alarms: dict[str, str] = {}
    for at, cheap in runs(base.now - timedelta(days=DAYS) + ALL, base.now):
        for one in loud(base, at, cheap=cheap).itertuples():
            alarms.setdefault(one.key, f"{at:%m-%d %H:%M} {one.key}: {one.explanation}")
    print(f"seven quiet days: {len(alarms)} false alarms", *(f"  {said}" for said in alarms.values()), sep="\n")
    print(f"\n{'detection':28} {'planted attack':52} found  minutes  by", flush=True)
    found = 0
    for attack in attacks:
        minutes, by = found_after(base, attack, set(alarms))
        found += minutes == minutes
        said = f"{minutes:7.0f}" if minutes == minutes else "      –"
        print(
            f"{attack.wanted:28} {attack.name:52} {'yes' if minutes == minutes else 'NO':5}  {said}  {by}", flush=True
        )
    told = [one for one in near if found_after(base, one, set(alarms))[1] != "–"]
    print(
        f"\nnear misses told of: {len(told)} of {len(near)}", *(f"  {one.wanted}: {one.name}" for one in told), sep="\n"
    )
    print(json.dumps({"planted": len(attacks), "found": found, "false_alarms": len(alarms)}))
